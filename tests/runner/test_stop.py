"""Stopping: who is asked, who is broken off, when, and that a cell that was asked goes on where it ended."""

import json
import os
import signal
import time

import fake_cells
import pytest
from fake_cells import spec

from suite.core import stop
from suite.core.errors import Exit, SuiteError
from suite.core.stop import EXITS, Stop, StopFlag
from suite.records.cell import CellContext, Progress
from suite.records.ledger import Ledger
from suite.records.record import Record
from suite.records.trainings import Trainings
from suite.runner import launch
from suite.runner.attempt import CELL_VARIABLE, attempt
from suite.runner.cluster import Job
from suite.runner.execute import How, execute

TINY = "mambair-sr-x2-tiny"
pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(autouse=True)
def fake(monkeypatch):
    monkeypatch.setenv(CELL_VARIABLE, fake_cells.CELL)


@pytest.fixture
def behave(monkeypatch):
    return lambda **kinds: monkeypatch.setenv(fake_cells.VARIABLE, json.dumps(kinds))


def context(folder):
    return CellContext(work=folder, threads=1, launcher="inline", backend_reason="a test")


def how(**fields):
    return How("inline", 1, "a test", **fields)


def test_a_flag_is_a_file_that_can_be_seen_and_taken_back(tmp_path):
    flag = StopFlag.of(tmp_path / "work")
    assert not flag.requested()
    flag.set()
    flag.set()
    assert flag.requested()
    assert StopFlag(flag.path).requested()
    flag.clear()
    flag.clear()
    assert not flag.requested()


def test_every_signal_has_its_exit_code():
    assert {int(number): int(code) for number, code in EXITS.items()} == {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGUSR1: 138}


def signalled(number):
    """Sends ourselves a signal, and waits to be broken off."""
    os.kill(os.getpid(), number)
    time.sleep(5)


@pytest.mark.parametrize("number", EXITS)
def test_the_first_signal_asks_those_that_run_and_those_that_begin(tmp_path, number):
    running, later, ended = (StopFlag.of(tmp_path / name) for name in ("running", "later", "ended"))
    ended.set()  # by an earlier run
    asked = Stop()
    with asked.armed():
        asked.watch(running)
        asked.watch(ended)
        assert not ended.requested()
        asked.forget(ended)
        with asked.interruptible():
            os.kill(os.getpid(), number)
            time.sleep(0.01)
        assert (asked.requested, asked.overdue, asked.signum) == (True, False, number)
        asked.watch(later)
    assert running.requested()
    assert later.requested()
    assert not ended.requested()
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_after_the_grace_period_what_is_interruptible_is_broken_off(tmp_path):
    asked = Stop(grace=0.1)
    with asked.armed():
        asked.watch(StopFlag.of(tmp_path))
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.05)
        assert not asked.overdue
        with pytest.raises(KeyboardInterrupt), asked.interruptible():
            time.sleep(5)
        assert asked.overdue
        with pytest.raises(KeyboardInterrupt), asked.interruptible():
            pytest.fail("began something new")


def test_what_is_not_interruptible_is_never_broken_off():
    asked = Stop(grace=0.02)
    with asked.armed():
        os.kill(os.getpid(), signal.SIGTERM)
        deadline = time.monotonic() + 0.1
        while time.monotonic() < deadline:
            time.sleep(0.01)
    assert asked.overdue


def test_without_grace_the_first_signal_breaks_off():
    asked = Stop(grace=0.0)
    with asked.armed(), pytest.raises(KeyboardInterrupt), asked.interruptible():
        signalled(signal.SIGINT)
    assert asked.signum == signal.SIGINT


def test_where_nobody_can_be_asked_cells_are_broken_off(tmp_path, capfd):
    (tmp_path / "file").touch()
    asked = Stop()
    with asked.armed():
        asked._flags.add(StopFlag.of(tmp_path / "file" / "work"))
        with pytest.raises(KeyboardInterrupt), asked.interruptible():
            signalled(signal.SIGINT)
    assert "cannot be asked to stop" in capfd.readouterr().err


def test_the_end_of_the_time_asks_too(tmp_path):
    flag = StopFlag.of(tmp_path)
    asked = Stop(seconds=0.05)
    with asked.armed():
        asked.watch(flag)
        deadline = time.monotonic() + 5
        while not flag.requested() and time.monotonic() < deadline:
            time.sleep(0.01)
        assert (asked.time_up, asked.signum, asked.requested) == (True, None, True)


# Attempts and runs


def test_a_cell_that_is_stopped_has_no_record(tmp_path, behave):
    behave(m="slow")
    events = attempt(spec("m"), context(tmp_path))
    for event in events:
        assert isinstance(event, Progress)
        StopFlag.of(tmp_path).set()
    assert (tmp_path / "saved").exists()
    assert list(attempt(spec("m"), context(tmp_path))) == []  # one that is asked before it begins does not


def stopped_after(count, jobs, asked):
    """The inline launcher's events, with a signal after the first `count`."""
    seen = []
    with asked.armed():
        for event in launch.run(jobs, "inline", asked):
            seen.append(event)
            if len(seen) == count:
                os.kill(os.getpid(), signal.SIGUSR1)
    return seen


@pytest.mark.slow
def test_a_training_that_is_stopped_goes_on_to_the_same_weights_bit_for_bit(tmp_path, behave, monkeypatch):
    monkeypatch.setattr("suite.runner.attempt.SECONDS_BETWEEN_PROGRESS", 0.0)
    behave(**{TINY: "trains"})
    of = spec(TINY, iterations=6, ema_decay=0.9, milestones=(3,))
    straight = list(attempt(of, context(tmp_path / "straight")))[-1]
    events = stopped_after(3, [Job(of, context(tmp_path / "work"))], Stop())
    assert [event.iteration for event in events] == [0, 1, 2, 3]  # the step that was under way is finished, and no more begun
    assert not (tmp_path / "work" / "stop").exists()
    again = list(attempt(of, context(tmp_path / "work")))
    assert [event.iteration for event in again[1:-1]] == [4, 5, 6]
    assert again[-1].scores == straight.scores


def test_no_cell_begins_after_a_stop(tmp_path, behave):
    behave(first="slow")
    jobs = [Job(of, context(tmp_path / of.model)) for of in (spec("first"), spec("second"))]
    assert not any(isinstance(event, Record) for event in stopped_after(2, jobs, Stop()))
    assert (tmp_path / "first" / "saved").exists()
    assert not (tmp_path / "second").exists()


def test_a_run_that_is_out_of_time_is_incomplete_and_continues(tmp_path, behave):
    behave(second="slow")
    ledger = Ledger(tmp_path / "runs")
    specs = [spec("first"), spec("second"), spec("third")]
    outcome = execute(specs, ledger, how(seconds=0.5))
    assert (outcome.done, outcome.failed, outcome.unfinished, outcome.exit) == (1, 0, 2, Exit.INCOMPLETE)
    assert outcome.sentence == "1 of 3 cells done, stopped: the time limit is reached; the same command continues"
    assert (ledger.work_folder(Trainings().identify(specs[1])) / "saved").exists()
    behave()
    outcome = execute(specs, ledger, how(seconds=60.0))
    assert (outcome.skipped, outcome.done, outcome.exit) == (1, 2, Exit.DONE)
    assert outcome.sentence == "3 of 3 cells done (1 before)"
    assert [entry.attempt for entry in ledger.entries()] == [1, 1, 1]  # what was stopped was no attempt


def test_a_cell_that_does_not_listen_is_broken_off_in_time(tmp_path, behave):
    behave(m="deaf")
    began = time.monotonic()
    outcome = execute([spec("m")], Ledger(tmp_path / "runs"), how(seconds=0.1, grace=0.3))
    assert time.monotonic() - began < 5
    assert (outcome.unfinished, outcome.exit) == (1, Exit.INCOMPLETE)


def test_two_runs_on_one_ledger_are_refused_and_the_first_goes_on(tmp_path):
    ledger = Ledger(tmp_path / "runs")
    with ledger.locked():
        with pytest.raises(SuiteError, match=rf"another run \(process {os.getpid()}\) is writing"):
            execute([spec("m")], Ledger(tmp_path / "runs"), how())
        assert ledger.entries() == []
    assert execute([spec("m")], ledger, how()).done == 1


def test_a_look_at_the_flag_costs_nothing_beside_a_step(tmp_path):
    flag = StopFlag.of(tmp_path)
    began = time.perf_counter()
    for _ in range(1000):
        flag.requested()
    assert time.perf_counter() - began < 0.5  # seconds for 1000; measured: some microseconds each
    assert stop.GRACE_SECONDS == 30.0
