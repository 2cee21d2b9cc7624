"""`scan --peers`: another package's scan is verified forward, timed and shown beside ours, or said to be absent. A stand-in is the peer."""

import json

import pytest
import torch

from models.scan.backends import reference
from suite.cli import main
from suite.core.errors import Exit
from suite.measure.scans import ceilings, check, peers
from suite.measure.scans import cell as scan_cell
from suite.measure.scans.check import CASES
from suite.measure.scans.measure import measure_backend
from suite.records.ledger import Ledger

QUICK = ("--case", "channel-lifted", "--seconds", "0.05", "--threads", "1", "--no-build", "--device", "cpu", "--backend", "reference")


@pytest.fixture
def here(monkeypatch):
    """Cells in this process, where peers can be replaced, verified on a few small cases."""
    monkeypatch.setattr(scan_cell, "measure_in_processes", lambda spec: measure_backend(spec, "found"))
    monkeypatch.setattr(ceilings, "CEILING_SECONDS", 0.02)
    monkeypatch.setattr(ceilings, "COPY_BYTES", {"cpu": 16 * 2**20})
    few = tuple(CASES[name] for name in ("channel-lifted", "bare", "views", "bfloat16"))
    monkeypatch.setattr(check, "select_cases", lambda _most=None: few)
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def run(here, tmp_path, capsys):  # noqa: ARG001
    """Runs `scan --peers`; gives exit code, standard output, the records by backend and the page."""

    def call(*words):
        where = ("--ledger", str(tmp_path / "runs"), "--report", str(tmp_path / "page"))
        code = main.main(["scan", "--peers", *QUICK, *where, *words])
        records = {record.spec.backend: record for record in Ledger(tmp_path / "runs").records()}
        return code, capsys.readouterr().out, records, (tmp_path / "page" / "scan.html").read_text()

    return call


def stand_in(monkeypatch, off=0.0, module="torch", package="torch"):
    """The only peer is a stand-in that computes by the reference, `off` by a share of itself."""

    def forward(args, softplus):
        assert all(tensor is None or tensor.is_contiguous() for tensor in args)
        return reference.forward(args, softplus, False)[0] * (1 + off)

    row = peers.Peer("stand-in", module, package, "pip install a-stand-in", lambda: forward)
    for place in (peers, check):
        monkeypatch.setattr(place, "PEERS", {"stand-in": row})
    for name in ("suite.measure.scans.grid.PEERS", "suite.measure.scans.measure.PEERS"):
        monkeypatch.setattr(name, {"stand-in": row})


def test_a_peer_is_verified_forward_timed_and_shown(run, monkeypatch):
    stand_in(monkeypatch)
    code, out, records, page = run()
    assert code == Exit.DONE
    assert "channel-lifted  stand-in" in out
    found = records["stand-in"].findings
    assert [(one.name, list(one.errors)) for one in found.verified] == [(name, ["y"]) for name in ("channel-lifted", "bare", "views")]
    assert [(one.case, one.path, one.work) for one in found.timings] == [("channel-lifted", "sequences", "forward")]
    assert found.timings[0].median_ms > 0
    assert '<th scope="row" class="backend">stand-in</th>' in page


def test_a_wrong_peer_is_not_timed(run, monkeypatch):
    stand_in(monkeypatch, off=1e-3)
    code, out, records, _ = run()
    assert code == Exit.INCOMPLETE
    assert "stand-in: incorrect, so not timed: y is 1.0e-03 off" in out
    assert records["stand-in"].findings.timings == ()


def test_an_absent_peer_is_said_with_the_command(run, monkeypatch):
    stand_in(monkeypatch, module="no_such_package", package="no-such-package")
    code, out, records, page = run()
    assert (code, list(records)) == (Exit.DONE, ["reference"])
    assert "stand-in is not available: the package no-such-package is not installed. To fix it: pip install a-stand-in" in out
    assert "the package no-such-package is not installed." in page
    assert "pip install a-stand-in" in page


def test_a_peer_of_another_pytorch_is_never_imported(monkeypatch):
    """Intel's extension ends the process that imports it beside another PyTorch than its own."""
    stand_in(monkeypatch)
    monkeypatch.setattr(peers.metadata, "version", lambda _package: "1.2.3")
    running, (absent,) = peers.list_peers("cpu")
    assert running == []
    assert absent.reason == f"the package torch 1.2.3 needs PyTorch 1.2, and {torch.__version__} is installed."


@pytest.mark.usefixtures("here")
def test_without_the_option_no_peer_runs(monkeypatch, tmp_path, capsys):
    stand_in(monkeypatch)
    assert main.main(["scan", *QUICK, "--ledger", str(tmp_path / "runs"), "--report", str(tmp_path / "page"), "--json"]) == Exit.DONE
    document = json.loads(capsys.readouterr().out)
    assert [record["spec"]["backend"] for record in document["records"]] == ["reference"]
