"""The gate says no where a number moved, names it, and is quiet where none did."""

import json
from functools import cache

import pytest
from mutations import MUTATIONS

from suite import cli, gate, gate_report, probes
from suite.errors import Exit, SuiteError
from suite.gate import Baseline, Entry, Verdict, Watched, compare, exit_of, settle
from suite.probes import PROBES, Number

pytestmark = pytest.mark.usefixtures("one_thread")

TRAINED = ("vmambair-sisr-x4@real-sr-x4", "mambair-denoise@denoise-15", "vmambair-derain@real-denoise")  # what the mutations are about
TINY = ("vmambair-realsr-x4-tiny", "mambair-sr-x2-tiny")


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Fewer cells and networks than the whole gate has: the faults are seen in these."""
    import models

    every = [*models.names(tiny=True), *models.names()]
    chosen = {True: [name for name in every if name in TINY], False: ["vmambair-realsr-x4", "mambair-sr-x2"]}
    monkeypatch.setattr(models, "names", lambda *, tiny=False: chosen[tiny])
    cells = probes.smoke_cells
    monkeypatch.setattr(probes, "smoke_cells", lambda: [spec for spec in cells() if f"{spec.model}@{spec.task}" in TRAINED])


@cache
def clean(probe):
    return tuple(PROBES[probe].numbers())


def baseline(numbers, **changes):
    fields = {"data": "d" * 16, "packages": {}, "machine": {}, "repeats": "none", "numbers": gate.watched([numbers])}
    log = (Entry(date="2026-01-01", commit="0123abc", reason="the first", changed=0),)
    return Baseline(**(fields | {"log": log} | changes))


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_every_fault_is_caught_and_named(mutation, monkeypatch):
    before = baseline(clean(mutation.probe))
    mutation.fault(monkeypatch)
    findings = compare(before, list(PROBES[mutation.probe].numbers()), probes=[mutation.probe])
    drifted = [finding.key for finding in findings if finding.verdict is Verdict.DRIFT]
    assert any(mutation.moves in key for key in drifted), drifted[:5]
    assert exit_of(findings) == Exit.DRIFT


@pytest.mark.parametrize("probe", PROBES)
def test_clean_repeats_raise_no_alarm(probe):
    import torch

    before = baseline(clean(probe))
    for threads in (1, 2):
        torch.set_num_threads(threads)
        findings = compare(before, list(PROBES[probe].numbers()), probes=[probe])
        assert {finding.verdict for finding in findings} <= {Verdict.SAME, Verdict.INSIGNIFICANT}
        assert exit_of(findings) == Exit.DONE
    torch.set_num_threads(1)


def test_there_are_faults_enough_for_every_probe():
    assert len(MUTATIONS) >= 20
    assert {mutation.probe for mutation in MUTATIONS} == set(PROBES)


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
    assert exit_of(findings) == code


def test_what_disagrees_with_itself_is_unstable():
    findings = compare(baseline([number(1.0)]), [number(1.1)], probes=["protocols"])
    assert settle(findings, [number(1.1)])[0].verdict is Verdict.DRIFT
    (found,) = settle(findings, [number(1.2)])
    assert (found.verdict, found.note) == (Verdict.UNSTABLE, "measured again, it is 1.2")
    assert exit_of([found]) == Exit.DRIFT


def test_a_spread_that_was_seen_is_allowed_four_times():
    watched = gate.watched([[number(1.0)], [number(1.01)], [number(0.98)]])["protocols/x"]
    assert watched.spread == pytest.approx(0.02)
    assert gate.allowed(watched) == pytest.approx(0.08)
    with pytest.raises(SuiteError, match="must be equal in every repeat"):
        gate.watched([[number("a", kind="digest")], [number("b", kind="digest")]])


def test_nothing_is_never_a_pass():
    assert exit_of([]) == Exit.NOTHING
    (new,) = compare(baseline([]), [number(1.0)], probes=["protocols"])
    assert new.verdict is Verdict.NOT_COMPARABLE
    other = compare(baseline([number(1.0)]), [number(1.0)], probes=["protocols"], data="e" * 16)
    assert (other[0].verdict, other[0].note) == (Verdict.NOT_COMPARABLE, "the data are others")


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
        gate.load(path)
    assert cli.main(["check", "--baseline", str(path)]) == Exit.NOT_READY
    assert "Traceback" not in capsys.readouterr().err


@pytest.fixture
def quick(monkeypatch, tmp_path):
    """The command with one probe of two numbers that the test sets, and its baseline's path."""
    values = {"protocols/a": 1.0, "protocols/b": 2.0}
    probe = probes.Probe("protocols", "two numbers", lambda: iter([Number(key, "known", value) for key, value in values.items()]))
    for module in (probes, gate):
        monkeypatch.setattr(module, "PROBES", {"protocols": probe})
    path = tmp_path / "baseline.json"
    return values, path


def test_the_command_updates_with_a_reason_compares_and_reports(quick, capsys, tmp_path):
    values, path = quick
    check = ["check", "--baseline", str(path)]
    assert cli.main([*check, "--update"]) == Exit.USAGE
    assert "--reason TEXT" in capsys.readouterr().err
    assert cli.main([*check, "--update", "--reason", "the first", "--repeats", "2"]) == Exit.DONE
    assert cli.main(check) == Exit.DONE
    assert "2 numbers: 2 same" in capsys.readouterr().out
    values["protocols/b"] = 2.5
    junit, summary = tmp_path / "out" / "check.xml", tmp_path / "check.md"
    assert cli.main([*check, "--junit", str(junit), "--markdown", str(summary)]) == Exit.DRIFT
    printed = capsys.readouterr().out
    assert "protocols/b" in printed
    assert "1 same, 1 drift" in printed
    assert 'failures="1"' in junit.read_text()
    assert "| protocols/b | drift | 2 | 2.5 | +0.5 |" in summary.read_text()
    assert cli.main([*check, "--json"]) == Exit.DRIFT
    found = json.loads(capsys.readouterr().out)
    assert (found["exit"], found["verdicts"]["drift"]) == (3, 1)
    assert cli.main([*check, "--update", "--reason", "b is better now", "--repeats", "2"]) == Exit.DONE
    assert [entry.reason for entry in gate.load(path).log] == ["the first", "b is better now"]
    assert gate.load(path).log[-1].changed == 1
    assert cli.main(check) == Exit.DONE
    assert cli.main([*check, "--only", "nothing"]) == Exit.USAGE


def test_markup_in_a_note_stays_text():
    finding = gate.Finding("protocols/<script>|", Verdict.DRIFT, "digest", "a", "b", note="<b>|\n\x00")
    assert "&lt;script&gt;" in gate_report.junit([finding], 1.0)
    assert "\\|" in gate_report.markdown([finding])


def test_the_committed_baseline_is_whole():
    committed = gate.load(gate.baseline_path())
    groups = {key.partition("/")[0] for key in committed.numbers}
    assert groups == set(PROBES)
    assert all(isinstance(watched, Watched) and watched.value is not None for watched in committed.numbers.values())
    from suite.tasks import TASKS

    assert {key.split("/")[1] for key in committed.numbers if key.startswith("training/")} == set(TASKS)
