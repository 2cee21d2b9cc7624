"""The order of turns, and the processes that take them: whose code, which fail, which end."""

import os
import signal
import statistics
import time
from pathlib import Path

import pytest

from suite.core.errors import SuiteError
from suite.health.time import cases as gate_cases
from suite.health.time import old_code, turns
from suite.health.time.turns import FEWEST_TURNS, Turn


def test_turns_are_a_b_b_a_and_b_a_a_b():
    order = []

    def side(name, values):
        def sample():
            order.append(name)
            return next(values)

        return sample

    found = [turns.take_turn(number, side("A", iter((1.0, 2.0))), side("B", iter((3.0, 4.0)))) for number in range(2)]
    assert "".join(order) == "ABBABAAB"
    assert found == [Turn((1.0, 2.0), (3.0, 4.0))] * 2


def test_a_steady_change_cancels_within_a_turn():
    clock = iter(1.05**step for step in range(8))
    for number in range(2):
        assert turns.take_turn(number, clock.__next__, clock.__next__).ratio() == pytest.approx(0)


@pytest.fixture
def trees(tmp_path, monkeypatch):
    """Makes trees of code whose one case sleeps; the file of the cases is one of this test's, and needs no torch."""
    cases = tmp_path / "cases.py"
    text = Path(gate_cases.__file__).read_text()
    for before, after in (
        ("    import torch\n\n    import models\n\n    torch.set_num_threads(1)", "    import models"),
        ("MappingProxyType(dict(_table()))", "{'one': lambda: __import__('models').create('one')}"),
    ):
        assert text.count(before) == 1, f"the file of the cases has {before!r} no longer"
        text = text.replace(before, after)
    cases.write_text(text)
    monkeypatch.setattr(gate_cases, "__file__", str(cases))

    def make(**bodies):
        found = {}
        for side, body in bodies.items():
            folder = tmp_path / side
            (folder / "models").mkdir(parents=True)
            (folder / "models/__init__.py").write_text(f"import os, signal, time\n\n\ndef create(name):\n    {body}\n")
            found[side] = (folder, old_code.make_environment(folder))
        return found

    return make


def sleeper(milliseconds):
    return f"return lambda: time.sleep({milliseconds} / 1000)"


def test_each_process_calls_its_own_code(trees):
    found = turns.take_turns(trees(old=sleeper(20), new=sleeper(80)), [("time", "one"), ("memory", "one")], 0.0)
    assert len(found.taken["time", "one"]) == len(found.taken["memory", "one"]) == FEWEST_TURNS
    # The median, for single calls are far off on a busy machine: a sleeper wakes late, and time in line is taken off when it is told.
    taken = found.taken["time", "one"]
    old, new = (statistics.median(seconds for turn in taken for seconds in getattr(turn, side)) for side in ("old", "new"))
    assert new > 2 * old
    assert found.failed == {}


def test_a_case_that_fails_is_told_with_its_side_and_the_others_go_on(trees):
    found = turns.take_turns(trees(old="raise ValueError('no network ' + name)", new=sleeper(1)), [("time", "one")], 0.0)
    assert found.failed == {"one": {"old": "ValueError: no network one"}}
    assert found.taken == {}


def test_a_process_that_is_killed_is_an_error_in_words(trees):
    with turns.start_processes(trees(old=sleeper(1), new=sleeper(1))) as (old, new):
        old.ask("one", "prepare")
        os.kill(new.child.process.pid, signal.SIGKILL)
        killed = r"the new code was killed by SIGKILL (when it was asked for .*|before it answered), so time and memory were not compared"
        with pytest.raises(SuiteError, match=killed):
            new.ask("one", "prepare")
        processes = (old.child.process.pid, new.child.process.pid)
    assert not any(Path(f"/proc/{number}").exists() for number in processes)


def test_a_process_that_cannot_begin_says_its_last_words(trees):
    both = trees(old=sleeper(1), new=sleeper(1))
    (both["old"][0] / "models/__init__.py").write_text("raise ImportError('torch is too new')")
    with pytest.raises(SuiteError, match=r"(?s)the old code ended with 1 .*torch is too new"):
        turns.take_turns(both, [("time", "one")], 0.0)


def test_a_process_that_does_not_answer_is_not_waited_for_without_end(trees, monkeypatch):
    monkeypatch.setattr(turns, "ANSWER_SECONDS", 0.5)
    with pytest.raises(SuiteError, match="the old code has not answered"):
        turns.take_turns(trees(old=sleeper(60_000), new=sleeper(1)), [("time", "one")], 0.0)


def test_processes_end_when_the_measurement_is_broken_off(trees):
    begun = []

    def broken_off():
        with turns.start_processes(trees(old=sleeper(60_000), new=sleeper(1))) as both:
            begun.extend(process.child.process.pid for process in both)
            both[0].say("one", "prepare")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        broken_off()
    assert len(begun) == 2
    assert not any(Path(f"/proc/{number}").exists() for number in begun)


def test_the_code_of_another_tree_is_noticed(trees):
    both = trees(old=sleeper(1), new=sleeper(1))
    both["old"] = (both["old"][0], both["new"][1])
    with pytest.raises(SuiteError, match="was to be timed, and Python found that of"):
        turns.take_turns(both, [("time", "one")], 0.0)


def test_processes_that_compiled_are_not_timed(trees, monkeypatch):
    begun = []
    monkeypatch.setattr(turns, "COMPILED", 0.0)
    monkeypatch.setattr(turns.Process, "__init__", _counted(turns.Process.__init__, begun))
    turns.take_turns(trees(old=sleeper(1), new=sleeper(1)), [("time", "one")], 0.0)
    assert begun == ["old", "new", "old", "new"]


def _counted(before, begun):
    def begin(self, side, *rest):
        begun.append(side)
        before(self, side, *rest)

    return begin


def test_waiting_for_a_processor_is_that_of_the_thread_that_worked(tmp_path, monkeypatch):
    before = {"1": (0.0, 0.0), "2": (1.0, 0.5), "3": (0.0, 0.0)}
    after = {"1": (0.1, 0.9), "2": (2.0, 0.7), "4": (10.0, 10.0)}  # 1 looks on, 2 works, 3 has ended, 4 is new
    assert gate_cases.find_busiest(before, after) == pytest.approx((1.0, 0.2))
    assert gate_cases.find_busiest({}, {}) == (0, 0)
    assert gate_cases.time_calls(lambda: time.sleep(0.01), 2) >= 0.009  # to sleep is no waiting for a processor
    monkeypatch.setattr(gate_cases, "find_busiest", lambda *_both: (0.001, 5.0))
    assert gate_cases.time_calls(lambda: None, 2) == 0.001
    monkeypatch.setattr(gate_cases, "THREADS_FOLDER", str(tmp_path / "none"))
    assert gate_cases.read_threads() == {}


@pytest.mark.usefixtures("one_thread")
def test_every_case_runs_here():
    calls = {}
    for case in gate_cases.CASES:
        assert gate_cases.answer({"case": case, "ask": "prepare"}, calls).keys() == {"value"}
        assert gate_cases.answer({"case": case, "ask": "seconds", "calls": 1}, calls)["value"] > 0
        assert gate_cases.answer({"case": case, "ask": "bytes"}, calls)["value"] >= 0
    assert "error" in gate_cases.answer({"case": "none", "ask": "prepare"}, calls)
