"""The gate says no where a number moved, names it, and is quiet where none did."""

import json
from functools import cache

import pytest
from mutations import MUTATIONS

import models
from models.catalog import design_of
from models.designs import DESIGNS
from suite.cli import main
from suite.core.errors import Exit, SuiteError
from suite.health import gate, gate_measure, gate_report, probes
from suite.health.gate import GateBaseline, LogEntry, Verdict, Watched, choose_exit, compare, settle
from suite.health.probes import PROBES, Number, ProbePart
from suite.health.probes.networks import WATCHED_WHOLE
from suite.health.probes.nudge import nudged
from suite.health.probes.training import plan_smoke_cells
from suite.measure.costs import count
from suite.records.record import Cost
from suite.study import grids

pytestmark = pytest.mark.usefixtures("one_thread")

TINY = ("vmambair-realsr-x4-tiny", "mambair-sr-x2-tiny", "mambair-light-x2-tiny")
STEADY = (  # parts that take a moment each: together they hold every kind of number
    *(("outputs", name) for name in TINY),
    ("networks", "parameters"),
    ("data", "sr-x2"),
    ("protocols", "made-up pairs"),
    ("protocols", "LPIPS"),
    ("inference", "restorers"),
    ("training", "mambair-denoise on denoise-15"),
    ("training", "vmambair-sisr-x4 on real-sr-x4"),
    ("cells", "uneven passes"),
    ("definitions", "tables"),
    ("report", "tables"),
)


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Fewer networks than the whole gate has; what full-size ones cost is counted elsewhere."""
    import models

    assert len(grids.GRIDS["tasks"].models) > 2  # it was loaded while all names were there
    every = [*models.names(tiny=True), *models.names()]
    chosen = {True: [name for name in every if name in TINY], False: ["vmambair-realsr-x4", "mambair-sr-x2"]}
    monkeypatch.setattr(models, "names", lambda *, tiny=False: chosen[tiny])
    monkeypatch.setattr(count, "count_full_size", lambda _model: Cost(params=1, macs=1.0, scan_macs=0.0, input_size=(64, 64)))


def part_of(probe, name):
    return next(part for part in PROBES[probe].parts() if part.name == name)


@cache
def clean(probe, name):
    return tuple(part_of(probe, name).numbers())


def baseline(numbers, **changes):
    fields = {"data": "d" * 16, "packages": {}, "machine": {}, "repeats": "none", "numbers": gate.learn_spreads({"as it is": numbers})}
    log = (LogEntry(date="2026-01-01", commit="0123abc", reason="the first", changed=0),)
    return GateBaseline(**(fields | {"log": log} | changes))


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_every_fault_is_caught_and_named(mutation, monkeypatch):
    before = baseline(clean(mutation.probe, mutation.part))
    mutation.fault(monkeypatch)
    measured = gate_measure._measure_part(mutation.probe, part_of(mutation.probe, mutation.part))
    findings = compare(before, measured, probes=[mutation.probe])
    loud = [finding for finding in findings if finding.verdict not in gate_report.QUIET]
    assert any(mutation.moves in finding.key for finding in loud), [(f.key, f.note) for f in findings if f.verdict is not Verdict.SAME][:5]
    assert choose_exit(findings) in (Exit.DRIFT, Exit.INCOMPLETE)


@pytest.mark.parametrize(("probe", "name"), STEADY, ids=lambda name: name)
def test_clean_repeats_raise_no_alarm(probe, name):
    import torch

    before = baseline(clean(probe, name))
    for threads in (1, 2):
        torch.set_num_threads(threads)
        findings = compare(before, list(part_of(probe, name).numbers()), probes=[probe])
        assert {finding.verdict for finding in findings} <= {Verdict.SAME, Verdict.INSIGNIFICANT}
        assert choose_exit(findings) == Exit.DONE
    torch.set_num_threads(1)


@pytest.mark.parametrize(("probe", "name"), [key for key in STEADY if key[0] in gate_measure.NUDGED], ids=lambda name: name)
def test_rounding_decides_no_watched_number(probe, name):
    found = list(clean(probe, name))
    with nudged(1):
        moved = list(part_of(probe, name).numbers())
    watched = gate.learn_spreads({"as it is": found, "nudged": moved})
    assert any(one.spread for one in watched.values()), "nothing was nudged"


def test_there_are_faults_enough_for_every_probe():
    assert {mutation.probe for mutation in MUTATIONS} == set(PROBES)
    assert len(MUTATIONS) == len({mutation.name for mutation in MUTATIONS})


def number(value, key="protocols/x", kind="known", **rest):
    return Number(key, kind, value, **rest)


@pytest.mark.parametrize(
    ("before", "now", "verdict", "code"),
    [
        (number(1.0), number(1.0), Verdict.SAME, Exit.DONE),
        (number(1.0), number(1.0 + 1e-12), Verdict.INSIGNIFICANT, Exit.DONE),
        (number(1.0), number(1.1), Verdict.DRIFT, Exit.DRIFT),
        (number(1.0), number(None, error="boom"), Verdict.NEW_FAILURE, Exit.INCOMPLETE),
        (number(None, error="boom"), number(1.0), Verdict.FIXED, Exit.DONE),
        (number(None, error="boom"), number(None, error="boom"), Verdict.SAME, Exit.DONE),
        (number(1.0, rests_on="sr-y@1"), number(1.0, rests_on="sr-y@2"), Verdict.NOT_COMPARABLE, Exit.DRIFT),
        (number("ab", kind="digest"), number("ac", kind="digest"), Verdict.DRIFT, Exit.DRIFT),
        (number(7.0, kind="count"), number(7.0 + 1e-9, kind="count"), Verdict.DRIFT, Exit.DRIFT),
        (number(1.0), None, Verdict.NEW_FAILURE, Exit.INCOMPLETE),
    ],
)
def test_verdicts(before, now, verdict, code):
    findings = compare(baseline([before]), [now] if now else [], probes=["protocols"])
    assert [finding.verdict for finding in findings] == [verdict]
    assert choose_exit(findings) == code


def test_what_disagrees_with_itself_is_unstable():
    findings = compare(baseline([number(1.0)]), [number(1.1)], probes=["protocols"])
    assert settle(findings, [number(1.1)])[0].verdict is Verdict.DRIFT
    (found,) = settle(findings, [number(1.2)])
    assert (found.verdict, found.note) == (Verdict.UNSTABLE, "measured again, it is 1.2")
    assert choose_exit([found]) == Exit.DRIFT


def test_a_spread_that_was_seen_is_allowed_four_times_and_its_setting_kept():
    runs = {"as it is": [number(1.0)], "two threads": [number(1 + 1e-5)], "AVX2": [number(1 - 2e-5)]}
    watched = gate.learn_spreads(runs)["protocols/x"]
    assert (watched.spread, watched.spread_from) == (pytest.approx(2e-5), "AVX2")
    assert gate.allowed_move(watched) == pytest.approx(8e-5)
    with pytest.raises(SuiteError, match=r"protocols/x must be equal under every setting: it is a, and b with AVX2\."):
        gate.learn_spreads({"as it is": [number("a", kind="digest")], "AVX2": [number("b", kind="digest")]})


def test_a_number_that_rounding_decides_is_refused():
    with pytest.raises(SuiteError, match=r"1 numbers move by more than 0.0001 of themselves.*by 0.001 with AVX2"):
        gate.learn_spreads({"as it is": [number(1.0)], "AVX2": [number(1.001)]})


def test_a_new_baseline_keeps_what_the_old_one_saw():
    old = gate.learn_spreads({"as it is": [number(1.0)], "AVX2": [number(1 + 1e-5)]})
    now = {"as it is": [number(1 + 2e-5)], "two threads": [number(1 + 3e-5)]}
    kept = gate.learn_spreads(now, old)["protocols/x"]
    assert (kept.spread, kept.spread_from) == (pytest.approx(2e-5), "the baseline before")
    same = gate.learn_spreads({"as it is": [number(1 + 2e-5)]}, old)["protocols/x"]  # nothing was measured but the number
    assert same.spread == pytest.approx(2e-5)
    other = gate.learn_spreads({"as it is": [number(1 + 5e-5)]}, old)["protocols/x"]  # it moved further than what was seen allows
    assert other.spread == 0


def test_nothing_is_never_a_pass():
    assert choose_exit([]) == Exit.NOTHING
    (new,) = compare(baseline([]), [number(1.0)], probes=["protocols"])
    assert new.verdict is Verdict.NOT_COMPARABLE
    other = compare(baseline([number(1.0)]), [number(1.0)], probes=["protocols"], data="e" * 16)
    assert (other[0].verdict, other[0].note) == (Verdict.NOT_COMPARABLE, "the data have changed")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, r"there is no baseline .*--update --reason"),
        ("{", "cannot be read"),
        ("[]", "of schema None"),
        ('{"schema_version": 99}', "of schema 99, and this suite compares with schema 1"),
        ('{"schema_version": 1, "numbers": {}}', "is damaged"),
    ],
)
def test_a_baseline_that_cannot_be_used_is_an_error(tmp_path, capsys, text, message):
    path = tmp_path / "baseline.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(SuiteError, match=message):
        gate.load_baseline(path)
    assert main.main(["check", "--baseline", str(path)]) == Exit.NOT_READY
    assert "Traceback" not in capsys.readouterr().err


@pytest.fixture
def quick(monkeypatch, tmp_path):
    """The command with one probe of two numbers that the test sets, and its baseline's path."""
    values = {"protocols/a": 1.0, "protocols/b": 2.0}
    part = ProbePart("two", lambda: iter([Number(key, "known", value) for key, value in values.items()]))
    probe = probes.Probe("protocols", "two numbers", lambda: (part,))
    for module in (probes, gate):
        monkeypatch.setattr(module, "PROBES", {"protocols": probe})
    monkeypatch.setattr(gate_measure, "SETTINGS", ())
    monkeypatch.setattr(gate_measure, "NUDGES", 2)
    monkeypatch.setattr(gate_measure, "NUDGED", ())
    path = tmp_path / "baseline.json"
    return values, path


def test_the_command_updates_with_a_reason_compares_and_reports(quick, capsys, tmp_path):
    values, path = quick
    check = ["check", "--baseline", str(path)]
    assert main.main([*check, "--update"]) == Exit.USAGE
    assert "--reason TEXT" in capsys.readouterr().err
    assert main.main([*check, "--update", "--reason", "the first"]) == Exit.DONE
    assert main.main(check) == Exit.DONE
    assert "2 numbers: 2 same" in capsys.readouterr().out
    values["protocols/b"] = 2.5
    junit, summary = tmp_path / "out" / "check.xml", tmp_path / "check.md"
    assert main.main([*check, "--junit", str(junit), "--markdown", str(summary)]) == Exit.DRIFT
    printed = capsys.readouterr().out
    assert "protocols/b" in printed
    assert "1 same, 1 drift" in printed
    assert 'failures="1"' in junit.read_text()
    assert "| protocols/b | drift | 2 | 2.5 | +0.5 |" in summary.read_text()
    assert main.main([*check, "--json"]) == Exit.DRIFT
    found = json.loads(capsys.readouterr().out)
    assert (found["exit"], found["verdicts"]["drift"]) == (3, 1)
    assert main.main([*check, "--update", "--reason", "b is better now"]) == Exit.DONE
    assert [entry.reason for entry in gate.load_baseline(path).log] == ["the first", "b is better now"]
    assert gate.load_baseline(path).log[-1].changed == 1
    assert main.main(check) == Exit.DONE
    assert main.main([*check, "--only", "nothing"]) == Exit.USAGE


def test_an_update_learns_spreads_where_something_moved_and_keeps_the_others(quick, monkeypatch):
    values, path = quick
    measured = []

    def measure(parts, setting=gate_measure.PLAIN):
        measured.append((setting.name, [part.name for _, part in parts]))
        by = 1e-6 * (setting.nudge or 0)
        return {(probe, part.name): [Number(n.key, n.kind, n.value + by) for n in part.numbers()] for probe, part in parts}

    two = tuple(
        ProbePart(name, lambda name=name: iter([Number(f"protocols/{name}", "output", values[f"protocols/{name}"])])) for name in "ab"
    )
    for module in (probes, gate):
        monkeypatch.setattr(module, "PROBES", {"protocols": probes.Probe("protocols", "two parts", lambda: two)})
    monkeypatch.setattr(gate_measure, "NUDGED", ("protocols",))
    monkeypatch.setattr(gate_measure, "make_nudge", lambda number: gate_measure.Setting(f"draw {number}", ("protocols",), nudge=number))
    monkeypatch.setattr(gate_measure, "measure_parts", measure)
    update = ["check", "--baseline", str(path), "--update", "--reason", "tried"]
    assert main.main(update) == Exit.DONE
    values["protocols/b"] = 3.0
    assert main.main(update) == Exit.DONE
    plain, both = ("as it is", ["a", "b"]), [(f"draw {number}", ["a", "b"]) for number in (1, 2)]
    assert measured == [plain, *both, plain, ("draw 1", ["b"]), ("draw 2", ["b"])]
    kept = gate.load_baseline(path).numbers
    assert {key: one.value for key, one in kept.items()} == {"protocols/a": 1.0, "protocols/b": 3.0}
    assert [one.spread for one in kept.values()] == pytest.approx([2e-6, 2e-6])
    assert [one.draws for one in kept.values()] == [2, 2]
    measured.clear()
    assert main.main([*update, "--repeats", "3"]) == Exit.DONE
    assert measured == [plain, ("draw 3", ["a", "b"])], "the draws that are known are not repeated"
    kept = gate.load_baseline(path).numbers.values()
    assert [(one.draws, one.spread) for one in kept] == [(3, pytest.approx(3e-6))] * 2


def test_markup_in_a_note_stays_text():
    finding = gate.Finding("protocols/<script>|", Verdict.DRIFT, "digest", "a", "b", note="<b>|\n\x00")
    assert "&lt;script&gt;" in gate_report.write_junit([finding], 1.0)
    assert "\\|" in gate_report.write_markdown([finding])


def test_the_committed_baseline_is_whole():
    committed = gate.load_baseline(gate.baseline_path())
    groups = {key.partition("/")[0] for key in committed.numbers}
    assert groups == set(PROBES)
    assert all(isinstance(watched, Watched) and watched.value is not None for watched in committed.numbers.values())
    from suite.study.tasks import TASKS

    assert {key.split("/")[1] for key in committed.numbers if key.startswith("data/")} >= set(TASKS)  # batches
    trained = {(key.split("/")[1], key.split("/")[2]) for key in committed.numbers if key.startswith("training/")}
    assert {(spec.task, spec.model) for spec in plan_smoke_cells()} <= trained
    assert {design_of(models.card(model).config).name for _, model in trained} == {design.name for design in DESIGNS}
    whole = {name for design in DESIGNS if design.name in WATCHED_WHOLE for run in design.runs for name in (*run.printed, *run.others)}
    assert whole <= {name for name, _ in trained}
