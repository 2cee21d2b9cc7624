"""Verdicts on time and memory, on made-up samples; what the command says and ends with."""

import json
from itertools import cycle
from xml.etree import ElementTree

import numpy as np
import pytest

from suite.cli import main
from suite.core.errors import Exit, SuiteError
from suite.health.gate import Verdict
from suite.health.time import old_code, report, turns
from suite.health.time import verdict as gate_time
from suite.health.time.turns import FEWEST_TURNS, Turn, Turns
from suite.health.time.verdict import Timed, TimeReport

QUIET = {Verdict.SAME, Verdict.INSIGNIFICANT}
CASES = [f"case {number}" for number in range(10)]
KEYS = [("time", case) for case in CASES]


def turns_of(random, *, slower=1.0, noise=0.1, count=24, common=None):
    """Turns whose samples are lognormal around 10 ms; `common` is what the machine does to the samples one after another."""
    moments = 10e-3 * np.exp(noise * random.standard_normal((count, 4))) * (1 if common is None else common.reshape(count, 4))
    found = []
    for number, (a, b, c, d) in enumerate(moments):
        values = cycle((a, b * slower, c * slower, d) if number % 2 == 0 else (a * slower, b, c, d * slower))
        sample = values.__next__
        found.append(turns.take_turn(number, sample, sample))
    return found


def verdicts_of(taken, keys=KEYS):
    return gate_time.judge_turns(Turns(taken=taken), keys)


def test_equal_code_is_not_flagged_in_hundreds_of_measurements():
    random = np.random.default_rng(0)
    flagged = 0
    for noise in (0.01, 0.05, 0.1, 0.2):
        for _ in range(75):
            found = verdicts_of({key: turns_of(random, noise=noise) for key in KEYS[:4]}, KEYS[:4])
            flagged += sum(timed.verdict in (Verdict.DRIFT, Verdict.FIXED) for timed in found.values())
    assert flagged <= 3  # of 300 measurements: the test alone may pass in one of a hundred, and a median must move by 5 % too
    quiet = verdicts_of({key: turns_of(random, noise=0.01) for key in KEYS})
    assert {timed.verdict for timed in quiet.values()} == {Verdict.SAME}


@pytest.mark.parametrize("noise", [0.01, 0.05, 0.1])
def test_code_slower_by_a_fifth_always_is(noise):
    random = np.random.default_rng(1)
    for _ in range(20):
        taken = {key: turns_of(random, noise=noise) for key in KEYS} | {KEYS[3]: turns_of(random, slower=1.2, noise=noise)}
        found = verdicts_of(taken)
        assert found[KEYS[3]].verdict is Verdict.DRIFT
        assert found[KEYS[3]].change == pytest.approx(0.2, abs=0.12)
        low, high = found[KEYS[3]].interval
        assert gate_time.FLOOR < low < found[KEYS[3]].change < high


def test_what_the_machine_does_to_both_cancels():
    random = np.random.default_rng(2)
    samples = np.arange(24 * 4)
    throttled = np.exp(samples / 20)  # a hundred times slower at the end
    bursts = np.where(samples // 8 % 3 == 0, 5.0, 1.0)  # two turns of three are five times as fast
    for common in (throttled, bursts, throttled * bursts):
        found = verdicts_of({KEYS[0]: turns_of(random, noise=0.01, common=common)}, KEYS[:1])[KEYS[0]]
        assert found.verdict is Verdict.SAME
        slow = verdicts_of({KEYS[0]: turns_of(random, noise=0.01, common=common, slower=1.1)}, KEYS[:1])[KEYS[0]]
        assert slow.verdict is Verdict.DRIFT
        assert slow.change == pytest.approx(0.1, abs=0.02)


def exact(change, count=FEWEST_TURNS, size=10e-3):
    return [Turn((size, size), (size * (1 + change), size * (1 + change) * (1 + 1e-6 * number))) for number in range(count)]


@pytest.mark.parametrize(
    ("change", "verdict", "part"),
    [
        (0.0, Verdict.SAME, ""),
        (0.04, Verdict.SAME, ""),
        (0.06, Verdict.DRIFT, "slower by 6.0%"),
        (0.5, Verdict.DRIFT, "slower by 50.0%"),
        (-0.04, Verdict.SAME, ""),
        (-0.2, Verdict.FIXED, "faster by 20.0%"),
    ],
)
def test_a_verdict_on_each_change(change, verdict, part):
    found = verdicts_of({key: exact(change) for key in KEYS})[KEYS[0]]
    assert (found.verdict, found.note) == (verdict, part)
    assert (found.unit, found.turns) == ("ms", FEWEST_TURNS)
    assert found.before == pytest.approx(10)
    assert found.now == pytest.approx(10 * (1 + change), rel=1e-4)


def test_too_few_turns_or_too_much_noise_are_no_pass():
    random = np.random.default_rng(3)
    assert verdicts_of({KEYS[0]: exact(0.0, 5)}, KEYS[:1])[KEYS[0]].verdict is Verdict.NOT_COMPARABLE
    wild = verdicts_of({KEYS[0]: turns_of(random, noise=1.0)}, KEYS[:1])[KEYS[0]]
    assert wild.verdict is Verdict.NOT_COMPARABLE
    assert "slower is not excluded; run it again on a quieter machine" in wild.note
    assert verdicts_of({}, KEYS[:1])[KEYS[0]].verdict is Verdict.NOT_COMPARABLE


def test_memory_is_judged_likewise_and_small_peaks_are_not_what_pages_make_of_them():
    keys = [("memory", case) for case in CASES]
    taken = {key: exact(0.1, size=20 * 2**20) for key in keys[:5]} | {key: exact(0.1, size=2**17) for key in keys[5:]}
    taken[keys[9]] = exact(0.0, size=0)  # nothing at all
    found = verdicts_of(taken, keys)
    assert found[keys[0]].verdict is Verdict.DRIFT
    assert found[keys[0]].note == "more memory by 9.5%"  # as if each side held a MiB more
    assert (found[keys[0]].unit, found[keys[0]].before) == ("MiB", 20)
    assert {found[key].verdict for key in keys[5:]} == {Verdict.SAME}


def test_time_is_corrected_apart_from_memory():
    taken = {key: exact(0.2) for key in KEYS} | {("memory", case): exact(0.0, size=2**22) for case in CASES}
    found = verdicts_of(taken, [*KEYS, *(("memory", case) for case in CASES)])
    assert all(found[key].p == pytest.approx(10 * 2.0 ** (1 - FEWEST_TURNS)) for key in KEYS)
    assert found[KEYS[0]].p < gate_time.TEST_LEVEL


def test_what_two_other_processes_do_not_show_is_not_of_the_code():
    first, again = (verdicts_of({KEYS[0]: exact(change)}, KEYS[:1])[KEYS[0]] for change in (0.08, 0.01))
    assert gate_time.confirm(first, first) is first
    found = gate_time.confirm(first, again)
    assert (found.verdict, found.note) == (Verdict.INSIGNIFICANT, "+8.0% in one pair of processes, +1.0% in another")


def test_a_case_that_one_side_lacks_says_so():
    failed = {"a": {"old": "no such network"}, "b": {"new": "boom"}, "c": {"old": "no compiler", "new": "no compiler"}}
    keys = [("time", case) for case in failed]
    found = gate_time.judge_turns(Turns(failed=failed), keys)
    assert [(found[key].verdict, found[key].note) for key in keys] == [
        (Verdict.NOT_COMPARABLE, "it does not run in the old code: no such network"),
        (Verdict.NEW_FAILURE, "it runs in the old code, and here: boom"),
        (Verdict.NOT_COMPARABLE, "it does not run in both: no compiler"),
    ]


# The whole, with a measurement that is made up


@pytest.fixture
def made_up(monkeypatch, tmp_path):
    """The command with two watched numbers and turns by a function (kind, case, pass) -> change; gives the list of what was timed."""
    from suite.cli.health import check
    from suite.health import gate, gate_measure, probes
    from suite.health.probes import Number, Probe, ProbePart

    part = ProbePart("one", lambda: iter([Number("protocols/a", "known", 1.0)]))
    monkeypatch.setattr(probes, "PROBES", {"protocols": Probe("protocols", "", lambda: (part,))})
    monkeypatch.setattr(gate_measure, "SETTINGS", ())
    monkeypatch.setattr(gate_measure, "NUDGED", ())
    monkeypatch.setattr(check, "digest_data", lambda: "d" * 16)
    monkeypatch.setattr(gate_time, "hold_machine", old_code.contextlib.nullcontext)
    baseline = tmp_path / "baseline.json"
    assert main.main(["check", "--baseline", str(baseline), "--update", "--reason", "r", "--repeats", "2"]) == Exit.DONE
    monkeypatch.setattr(gate, "baseline_path", lambda: baseline)
    monkeypatch.setattr(old_code, "find_last_commit", lambda _file: "0123456789abcdef")
    monkeypatch.setattr(old_code, "is_changed", lambda _file: False)
    monkeypatch.setattr(old_code, "lay_out", lambda _commit: old_code.contextlib.nullcontext(old_code.OldCode(tmp_path, {})))
    asked = []

    def script(change):
        def measured(_trees, keys, _seconds, *, fresh=False):
            asked.append((len(keys), fresh))
            return Turns(taken={key: exact(change(*key, len(asked)), size=2**24) for key in keys})

        monkeypatch.setattr(gate_time, "take_turns", measured)
        return asked

    return script


def slow_scan(kind, case, _number):
    return 0.3 if kind == "time" and case == "scan/cpp/forward" else 0.0


def test_time_is_told_and_binds_only_when_asked(made_up, capsys, tmp_path):
    asked = made_up(slow_scan)
    assert main.main(["check"]) == Exit.DONE
    assert asked == []
    assert "time" not in capsys.readouterr().out
    junit, summary = tmp_path / "check.xml", tmp_path / "check.md"
    files = ["--junit", str(junit), "--markdown", str(summary)]
    assert main.main(["check", "--time", *files]) == Exit.DONE
    assert asked == [(20, False), (1, True)]
    printed = capsys.readouterr()
    assert "time/scan/cpp/forward " in printed.out
    assert "the code of 0123456789, called in turn on this machine: 19 same, 1 drift" in printed.out
    assert "advisory: reported, never fails the run" in printed.out
    assert "timing scan/cpp/forward (time) again, in other processes" in printed.err
    assert "| time/scan/cpp/forward | drift |" in summary.read_text()
    suites = {suite.get("name"): suite for suite in ElementTree.fromstring(junit.read_text())}  # noqa: S314 - our own
    assert (suites["time"].get("tests"), suites["time"].get("failures"), suites["time"].get("errors")) == ("20", "0", "0")
    assert "slower by 30.0%" in suites["time"].find(".//system-out").text
    assert main.main(["check", "--gate-time", *files]) == Exit.DRIFT
    assert "(binding)" in capsys.readouterr().out
    suites = {suite.get("name"): suite for suite in ElementTree.fromstring(junit.read_text())}  # noqa: S314 - our own
    assert (suites["time"].get("failures"), suites["protocols"].get("failures")) == ("1", "0")
    assert main.main(["check", "--gate-time", "--json"]) == Exit.DRIFT
    found = json.loads(capsys.readouterr().out)
    assert (found["exit"], found["time"]["binding"], found["time"]["verdicts"]["drift"]) == (3, True, 1)


def test_a_drift_that_is_not_confirmed_and_faster_code_pass(made_up, capsys):
    made_up(lambda kind, case, number: slow_scan(kind, case, number) if number == 1 else 0.0)
    assert main.main(["check", "--gate-time"]) == Exit.DONE
    assert "+30.0% in one pair of processes, +0.0% in another" in capsys.readouterr().out
    made_up(lambda *key: -slow_scan(*key))
    assert main.main(["check", "--gate-time"]) == Exit.DONE
    assert "faster by 30.0%" in capsys.readouterr().out


def test_where_there_is_nothing_to_compare_with_it_is_said_and_no_pass(made_up, capsys, monkeypatch, tmp_path):
    made_up(slow_scan)

    def missing(_file):
        raise SuiteError("this clone is shallow.", exit=Exit.NOT_READY)

    monkeypatch.setattr(old_code, "find_last_commit", missing)
    junit = tmp_path / "check.xml"
    assert main.main(["check", "--time", "--junit", str(junit)]) == Exit.DONE
    printed = capsys.readouterr().out
    assert "this clone is shallow." in printed
    assert "against older code: 1 not comparable" in printed
    assert '<skipped message="not comparable: this clone is shallow."' in junit.read_text()
    assert main.main(["check", "--gate-time", "--junit", str(junit)]) == Exit.DRIFT
    assert '<error message="not comparable: this clone is shallow."' in junit.read_text()


def test_changes_of_the_baseline_that_are_not_committed_are_told(made_up, capsys, monkeypatch):
    made_up(slow_scan)
    monkeypatch.setattr(old_code, "is_changed", lambda _file: True)
    assert main.main(["check", "--time"]) == Exit.DONE
    assert "baseline.json has changes that are not committed" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["--against", "HEAD"], "--against belongs to --time or --gate-time."),
        (["--time", "--against", "no-such-name"], "git knows no such commit"),
        (["--update", "--reason", "r", "--time"], "--update keeps no times"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_measured(made_up, capsys, words, part):
    asked = made_up(slow_scan)
    assert main.main(["check", *words]) == Exit.USAGE
    assert part in capsys.readouterr().err
    assert asked == []


def test_a_binding_failure_does_not_hide_that_of_a_number():
    cases = (Timed("time/a", Verdict.NEW_FAILURE, note="<b>\x00"), Timed("time/b", Verdict.DRIFT, note="slower"))
    for binding, code in ((True, Exit.INCOMPLETE), (False, Exit.DONE)):
        found = TimeReport("0" * 40, cases, 1.0, binding)
        assert report.choose_exit(found) == code
        text = ElementTree.tostring(report.write_junit(found), encoding="unicode")
        assert "&lt;b&gt;" in text
        assert "\x00" not in text
