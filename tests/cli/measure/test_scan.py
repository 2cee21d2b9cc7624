"""`python -m suite scan` and the grid of backends: what is wrong is not timed, what is timed is recorded and shown."""

import dataclasses
import json
import re
import subprocess
import sys

import pytest
import scan_records as made
import synthetic_records
import torch

from models.scan.backends import numba, reference
from suite.cli import main
from suite.core import machine
from suite.core.errors import Exit, SuiteError
from suite.core.paths import ROOT
from suite.measure.scans import ahead, ceilings, check, grid
from suite.measure.scans import cell as scan_cell
from suite.measure.scans.check import CASES, relative_error, select_cases, tolerance
from suite.measure.scans.measure import measure_backend
from suite.records.kinds.scan import ScanRecord
from suite.records.ledger import Ledger
from suite.records.load import load
from suite.records.record import dump
from suite.report import report

QUICK = ("--case", "channel-lifted", "--seconds", "0.2", "--threads", "1", "--no-build", "--device", "cpu")


@pytest.fixture
def run(tmp_path, capsys, monkeypatch):
    """Runs the command line in an empty folder; gives exit code, standard output and standard error."""
    monkeypatch.chdir(tmp_path)
    threads = torch.get_num_threads()

    def call(*words):
        code = main.main([str(word) for word in words])
        out, err = capsys.readouterr()
        return code, out, err

    yield call
    torch.set_num_threads(threads)


@pytest.fixture
def here(monkeypatch):
    """Cells in this process, where backends can be replaced, verified on a few small cases."""
    monkeypatch.setenv("NUMBA_NUM_THREADS", "1")  # given back after the test
    monkeypatch.setattr(scan_cell, "measure_in_processes", lambda spec: measure_backend(spec, "found"))
    monkeypatch.setattr(ceilings, "CEILING_SECONDS", 0.02)
    monkeypatch.setattr(ceilings, "COPY_BYTES", {"cpu": 16 * 2**20})
    few = tuple(CASES[name] for name in ("channel-lifted", "length-65", "bare"))
    monkeypatch.setattr(check, "select_cases", lambda _most=None: few)


def replaced(monkeypatch, forward=reference.forward, backward=reference.backward):
    """Numba's functions, in the table of backends, become these."""
    monkeypatch.setattr(numba, "unavailable", lambda: None)
    monkeypatch.setattr(numba, "forward", lambda args, softplus, keep: forward(args, softplus, keep))
    monkeypatch.setattr(numba, "backward", lambda grad_y, kept, args, softplus: backward(grad_y, kept, args, softplus))


def off(by):
    def forward(args, softplus, keep):
        y, kept = reference.forward(args, softplus, keep)
        return y * (1 + by), kept

    return forward


def wrong_gradient(*args):
    du, ddelta, dA, *rest = reference.backward(*args)
    return du, ddelta, dA + 1e-3 * dA.abs(), *rest


def overflowing(*args):
    gradients = list(reference.backward(*args))
    gradients[1] = gradients[1] * torch.inf
    return tuple(gradients)


# The gate


@pytest.mark.parametrize(
    ("forward", "backward", "what"),
    [
        (off(1e-3), reference.backward, "y is 1.0e-03 off"),
        (reference.forward, wrong_gradient, "the gradient of A is 1.0e-03 off"),
        (reference.forward, overflowing, "the gradient of delta is not finite"),
    ],
    ids=["y", "gradient", "not finite"],
)
@pytest.mark.usefixtures("here")
def test_a_wrong_backend_is_not_timed(run, monkeypatch, tmp_path, forward, backward, what):
    replaced(monkeypatch, forward, backward)
    where = ("--ledger", tmp_path / "runs", "--report", tmp_path / "page")
    code, out, _ = run("scan", "--backend", "numba", *QUICK, *where)
    assert code == Exit.INCOMPLETE
    assert f"numba: incorrect, so not timed: {what}" in out
    (record,) = Ledger(tmp_path / "runs").records()
    assert (record.status, record.findings.verdict, record.findings.timings) == ("failed", "incorrect", ())
    assert any(found.wrong for found in record.findings.verified)
    page = (tmp_path / "page" / "scan.html").read_text()
    assert "incorrect" in page
    assert what in page


@pytest.mark.usefixtures("here")
def test_a_right_backend_is_timed_recorded_and_shown(run, monkeypatch, tmp_path):
    replaced(monkeypatch)
    where = ("--ledger", tmp_path / "runs", "--report", tmp_path / "page")
    code, out, err = run("scan", "--backend", "numba", *QUICK, *where, "--json")
    document = json.loads(out)
    assert code == document["exit"] == Exit.DONE
    assert document["report"] == str(tmp_path / "page" / "scan.html")
    assert "scan numba · cpu: timing, 1/1, channel-lifted" in err
    (record,) = Ledger(tmp_path / "runs").records()
    assert json.loads(dump(record)) == document["records"][0]
    findings = record.findings
    assert [(t.case, t.path, t.work) for t in findings.timings] == [
        ("channel-lifted", "sequences", "forward"),
        ("channel-lifted", "sequences", "forward+backward"),
    ]
    for timing in findings.timings:
        samples = [second for found in timing.rounds for second in found.seconds]
        assert min(samples) * 1e3 <= timing.quartiles_ms[0] <= timing.median_ms <= timing.quartiles_ms[1] <= max(samples) * 1e3
        assert timing.moved_bytes > timing.exponentials > 0
    assert findings.ceilings.bandwidth_bytes_per_second > 0
    assert findings.starts[0].forward_seconds > 0
    assert 'href="scan.html"' in (tmp_path / "page" / "index.html").read_text()
    code, out, _ = run("scan", "--backend", "numba", *QUICK, *where, "--no-backward")  # another cell, and the same again
    assert code == Exit.DONE
    assert "channel-lifted  numba" in out
    run("scan", "--backend", "numba", *QUICK, *where, "--no-backward")
    assert sorted(entry.attempt for entry in Ledger(tmp_path / "runs").entries()) == [1, 1, 2]


@pytest.mark.usefixtures("here")
def test_what_would_take_too_long_is_not_timed_and_says_so(monkeypatch):
    replaced(monkeypatch)
    *_, findings = measure_backend(made.spec("numba", cases=("channel",), threads=1, seconds=1e-4), "found")
    for timing in findings.timings:
        assert timing.skipped.startswith("it would take about")
        assert timing.median_ms is None
        assert timing.best_ms == timing.expected_ms > 0.3


def test_errors_are_relative_and_what_is_not_finite_is_infinitely_wrong():
    exact = torch.tensor([3.0, 4.0], dtype=torch.float64)
    assert relative_error(torch.tensor([3.0, 4.5]), exact) == pytest.approx(0.1)
    assert relative_error(torch.tensor([3.0, torch.nan]), exact) == float("inf")
    assert relative_error(torch.zeros(2), torch.zeros(2, dtype=torch.float64)) == 0.0
    assert relative_error(torch.ones(2), torch.zeros(2, dtype=torch.float64)) == float("inf")
    assert relative_error(torch.zeros(3), exact) == float("inf")


def test_a_comparison_that_is_not_finite_is_wrong(monkeypatch):
    monkeypatch.setattr(check, "measure_errors", lambda *_: {"y": float("inf"), "u": 1e-9})
    found = next(check.check_case("reference", "cpu", CASES["channel"]))
    assert found.errors == {"y": None, "u": 1e-9}
    assert found.wrong == ("y",)
    assert found.worst == "y"


def test_tolerances_follow_length_and_dtype():
    light = CASES["light"]
    assert tolerance(light.shortened(256), "y") < tolerance(light, "y") < 1e-5
    assert tolerance(CASES["bfloat16"], "y") > 2.0**-8 > 1e-4 > tolerance(CASES["bfloat16"], "A")
    assert all(case.length == check.LAYER_LENGTH for case in select_cases() if case.layer and case.side)
    assert [case for case in select_cases() if not case.layer] == [case for case in CASES.values() if not case.layer]  # none cut
    assert max(case.length for case in select_cases()) >= 20_000
    assert {case.name for case in select_cases()} == set(CASES)
    assert all(case.elements <= 1000 for case in select_cases(1000))


# Cells and records


def test_a_cell_is_a_backend_on_a_machine_with_its_software():
    specs, absent = grid.plan_scans(grid.Selection("cpu"))
    assert specs[0].backend == "reference"
    assert {spec.backend for spec in specs} | {one.name for one in absent} == set(grid.BACKENDS)
    assert all(spec.threads == machine.count_cores() for spec in specs)
    changed = [{}, {"software": "other"}, {"machine": "other"}, {"threads": 1}, {"seconds": 2.0}, {"cases": ("light",)}]
    assert len({made.spec(**change).fingerprint for change in changed}) == len(changed)
    assert machine.machine_digest() == machine.machine_digest()


def test_what_is_interpreted_is_not_timed(monkeypatch):
    monkeypatch.setattr(grid, "resolve_backend", lambda name, _device: (name, "a test"))
    monkeypatch.setattr(grid, "BACKENDS", {"reference": None, "triton": None})
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    running, absent = grid.list_available("cpu")
    assert running == ["reference"]
    assert absent[0].remedy == "unset TRITON_INTERPRET"


@pytest.mark.parametrize("record", [*made.bench(), made.incorrect(), made.record(findings=None, status="failed", error="RuntimeError: x")])
def test_a_scan_record_comes_back_as_it_went_in(record, tmp_path):
    assert load(dump(record), origin="here") == record
    Ledger(tmp_path).add(record)
    assert list(Ledger(tmp_path).records()) == [record]


def test_both_kinds_of_record_live_in_one_ledger_and_each_has_its_page(run, tmp_path):
    ledger = Ledger(tmp_path / "runs")
    for record in [*made.bench(), synthetic_records.done(synthetic_records.VMAMBAIR[0])]:
        ledger.add(record)
    code, out, _ = run("report", "--ledger", ledger.folder, "--out", tmp_path / "page")
    assert (code, out) == (Exit.DONE, f"report: {tmp_path / 'page' / 'index.html'}\n")
    assert sorted(path.name for path in (tmp_path / "page").iterdir()) == ["index.html", "scan.html"]
    rows = json.loads(run("list", "records", "--ledger", ledger.folder, "--json")[1])
    assert {row["model"] for row in rows} == {"scan reference · cpu", "scan numba · cpu", "scan cpp · cpu", synthetic_records.VMAMBAIR[0]}
    report.write_report([], tmp_path / "page")
    assert [path.name for path in (tmp_path / "page").iterdir()] == ["index.html"]


# What a user can mend

ERRORS = {
    "unknown backend": (("scan", "--backend", "numbas"), Exit.USAGE, "'numba'"),
    "backend of another device": (("scan", "--backend", "numba", "--device", "cuda"), Exit.NOT_READY, "not on cuda"),
    "backend of a GPU": (("scan", "--backend", "cuda"), Exit.NOT_READY, "mamba-ssm is not installed"),
    "what scan has not": (("run", "--grid", "backends", "--rehearse", "--recipe", "paper"), Exit.USAGE, "--recipe and --rehearse cannot"),
    "dashboard without Ray": (("run", "--grid", "backends", "--launcher", "inline", "--dashboard"), Exit.USAGE, "starts no Ray"),
    "no GPU": (("scan", "--device", "cuda"), Exit.NOT_READY, "PyTorch finds no GPU"),
    "unknown case": (("scan", "--case", "lihgt"), Exit.NOTHING, "Did you mean 'light'"),
    "no threads": (("scan", "--threads", 0), Exit.USAGE, "must be 1 to"),
    "no time": (("scan", "--seconds", 0), Exit.USAGE, "more than 0"),
    "a budget": (("run", "--grid", "backends", "--budget", "quick"), Exit.USAGE, "--budget cannot be given with --grid backends"),
    "seeds and fields": (("run", "--grid", "backends", "--seeds", 2, "--set", "lr=1"), Exit.USAGE, "--seeds and --set"),
    "a backend": (("run", "--grid", "backends", "--backend", "numba"), Exit.USAGE, "with --only"),
    "a cluster": (("run", "--grid", "backends", "--address", "host:1"), Exit.USAGE, "all of this machine"),
    "threads": (("run", "--grid", "backends", "--cpus-per-cell", 1), Exit.USAGE, "--cpus-per-cell"),
    "no such backend": (("run", "--grid", "backends", "--only", "tpu", "--device", "cpu"), Exit.NOTHING, "--only tpu selects none"),
}


@pytest.mark.parametrize(("words", "code", "part"), ERRORS.values(), ids=ERRORS)
def test_a_user_s_error_is_one_message_and_its_code(run, monkeypatch, words, code, part):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    found, out, err = run(*words)
    assert (found, out) == (code, "")
    assert part in err
    assert "Traceback" not in err


def test_a_dry_run_of_the_grid_shows_its_cells(run, tmp_path):
    code, out, _ = run("run", "--grid", "backends", "--only", "reference", "--device", "cpu", "--ledger", tmp_path, "--dry-run")
    titles, cell, sentence = out.splitlines()
    assert code == Exit.DONE
    assert titles.split() == ["BACKEND", "DEVICE", "THREADS", "DTYPE", "SECONDS", "STATE", "CELL"]
    assert cell.split()[:2] == ["reference", "cpu"]
    assert sentence.startswith("1 cell, 0 done, 1 to run; about ")


def test_kernels_compiled_ahead_of_time_are_a_table_and_problems_an_exit_code(run, monkeypatch):
    @dataclasses.dataclass
    class Compiled:
        kernel: str
        target: int
        spilled: int

    class Ahead:
        compile_all = staticmethod(lambda: [Compiled("forward", 90, 0), Compiled("backward", 90, 8)])
        problems = staticmethod(lambda rows: [f"{row.kernel} spills" for row in rows if row.spilled])

    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    monkeypatch.setitem(sys.modules, ahead.MODULE, Ahead)
    monkeypatch.setattr(ahead.importlib, "import_module", lambda _name: Ahead)
    code, out, err = run("scan", "--ahead-of-time")
    assert code == Exit.INCOMPLETE
    assert out.splitlines()[0].split() == ["KERNEL", "TARGET", "SPILLED"]
    assert err == "backward spills\n"
    monkeypatch.setattr(Ahead, "problems", staticmethod(lambda _rows: []))
    code, out, _ = run("scan", "--ahead-of-time", "--json")
    assert (code, len(json.loads(out)["rows"])) == (Exit.DONE, 2)


def test_without_triton_that_is_said(monkeypatch):
    def missing(_name):
        raise ImportError("No module named 'triton'")

    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    monkeypatch.setattr(ahead.importlib, "import_module", missing)
    with pytest.raises(SuiteError, match="pip install triton") as caught:
        ahead.compile_kernels()
    assert caught.value.exit is Exit.NOT_READY


# Processes of their own


def test_a_worker_that_fails_leaves_its_last_words():
    with pytest.raises(RuntimeError, match=r"backend reference ended with 1:[\s\S]*no-such-case"):
        list(scan_cell.measure_in_processes(made.spec("reference", cases=("no-such-case",))))


def test_a_worker_ends_with_its_parent():
    worker = subprocess.Popen(
        [sys.executable, "-m", "suite.core.process", "suite.measure.scans.measure:answer"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=ROOT,
    )
    asked = {"spec": made.spec("reference", cases=("light",)).model_dump(mode="json"), "only_start": False, "caches": "none"}
    worker.stdin.write(json.dumps(asked).encode() + b"\n")
    worker.stdin.close()
    assert worker.wait(timeout=30) == 1
    worker.stdout.close()


@pytest.mark.slow
def test_the_verb_needs_torch_and_pydantic_alone(tmp_path):
    code = f"""
import sys
absent = ("ray", "fvcore", "lpips", "pyiqa", "numba", "rich", "pandas", "scipy", "skimage", "PIL", "jinja2")
sys.modules |= dict.fromkeys(absent)
from suite.cli import main
sys.exit(main.main(["scan", "--backend", "reference", *{QUICK!r}, "--ledger", {str(tmp_path)!r}, "--json"]))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == Exit.DONE, done.stderr
    document = json.loads(done.stdout)
    assert document["report"] is None
    assert re.search(r"the report is not written: (jinja2|scipy) is not installed", done.stderr)  # whichever is asked for first
    assert [record["status"] for record in document["records"]] == ["done"]


@pytest.mark.slow
def test_the_grid_gives_records_of_equal_structure_inline_and_through_ray(run, tmp_path, monkeypatch):
    real = grid.plan_scans
    small = {"cases": ("channel-lifted",), "seconds": 0.05, "threads": 1}
    monkeypatch.setattr(grid, "plan_scans", lambda selection: real(dataclasses.replace(selection, **small)))
    words = ("run", "--grid", "backends", "--only", "reference", "--device", "cpu", "--report", tmp_path / "page")
    found = {}
    for launcher in ("inline", "ray"):
        code, out, _ = run(*words, "--launcher", launcher, "--ledger", tmp_path / launcher)
        assert code == Exit.DONE
        assert "\n1 of 1 backends verified and timed; report: " in out
        (found[launcher],) = Ledger(tmp_path / launcher).records()
    inline, ray = found["inline"], found["ray"]
    assert isinstance(ray, ScanRecord)
    assert (inline.spec, inline.fingerprint, inline.provenance.threads) == (ray.spec, ray.fingerprint, 1)
    assert (inline.findings.verified, inline.findings.absent) == (ray.findings.verified, ray.findings.absent)
    assert [(t.case, t.path, t.work) for t in inline.findings.timings] == [(t.case, t.path, t.work) for t in ray.findings.timings]
    assert ray.provenance.launcher == "ray"
    code, out, _ = run(*words, "--launcher", "inline", "--ledger", tmp_path / "ray")  # nothing is left to do
    assert "\n1 of 1 backends verified and timed (1 before); report: " in out
    document = json.loads(run(*words, "--launcher", "inline", "--ledger", tmp_path / "ray", "--json")[1])
    assert [record["spec"]["backend"] for record in document["records"]] == ["reference"]
