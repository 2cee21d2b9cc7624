"""The gate of a design from outside: its own numbers alone, in a file of its own, and what moved is named."""

import outside
import pytest

from suite.cli import main
from suite.cli.health import check
from suite.core.errors import Exit
from suite.health import gate, gate_measure
from suite.health.gate import Verdict
from suite.health.probes import PROBES, choose_probes
from suite.health.probes.outside import OUTSIDE
from suite.study.outside import plugins

pytestmark = pytest.mark.usefixtures("one_thread")


def test_the_help_names_the_probes():
    assert tuple(PROBES) == check.PROBE_NAMES
    assert tuple(OUTSIDE) == check.OUTSIDE_NAMES
    assert set(OUTSIDE) <= set(PROBES), "settings are chosen by the probes' names"


def measured(path, *wanted):
    """The numbers of the parts whose probes are wanted, of the plug-in in `path`."""
    with plugins.loaded([str(path)], installed=False):
        parts = gate_measure.list_parts(wanted)
        return [number for probe, part in parts for number in gate_measure._measure_part(probe, part)]


def moved(before, now, *probes):
    """The keys of what is not as it was."""
    numbers = gate.learn_spreads({"as it is": before})
    log = (gate.LogEntry(date="2026-01-01", commit="0123abc", reason="the first", changed=0),)
    held = gate.GateBaseline(data="d" * 16, packages={}, machine={}, repeats="none", numbers=numbers, log=log)
    return [one.key for one in gate.compare(held, now, probes=probes) if one.verdict not in (Verdict.SAME, Verdict.INSIGNIFICANT)]


def test_it_watches_the_plug_in_alone_and_names_what_moved(tmp_path):
    probes = ("networks", "outputs", "definitions")
    first = measured(outside.write(tmp_path), *probes)
    assert {key.split("/")[1].split("-x4")[0] for key in (one.key for one in first)} == {
        "ladder",
        "models",
        "cells at quick",
        "cells at paper",
    }
    assert not [one for one in first if one.error]
    assert moved(first, measured(outside.write(tmp_path / "same", ("The network:", "A network:")), *probes), *probes) == []
    wider = moved(first, measured(outside.write(tmp_path / "wider", ("d_state=8", "d_state=9")), *probes), *probes)
    assert "networks/ladder-x4/parameters" in wider
    assert any(key.startswith("outputs/ladder-x4-tiny") for key in wider)
    slower = moved(first, measured(outside.write(tmp_path / "task", ("blocks: int = 4", "blocks: int = 5")), *probes), *probes)
    assert "definitions/models/ladder-x4" in slower


def test_each_network_is_trained(tmp_path):
    found = measured(outside.write(tmp_path), "training")
    losses = [one for one in found if one.kind == "loss"]
    assert {one.key.split("/")[2] for one in losses} == {"ladder-x4", "ladder-x4.one-direction"}
    assert all(isinstance(one.value, float) for one in losses)


def test_without_a_plug_in_the_suite_s_own_are_watched(tmp_path):
    assert choose_probes() is PROBES
    with plugins.loaded([str(outside.write(tmp_path))], installed=False):
        assert choose_probes() is OUTSIDE


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "holds no number of mine.py. Name a file of your own: --baseline FILE"),
        (["--baseline", "b.json", "--time"], "--time runs old code of the suite"),
        (["--baseline", "b.json", "--only", "scans"], "no probe is called 'scans'"),
        (["--baseline", "b.json"], "there is no baseline b.json"),
    ],
)
def test_what_cannot_be_gated_is_told(words, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    outside.write(tmp_path)
    assert main.main(["check", "--plugin", "mine.py", *words]) in (Exit.USAGE, Exit.NOT_READY)
    assert said in " ".join(capsys.readouterr().err.split())
