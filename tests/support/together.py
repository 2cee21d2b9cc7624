"""Cells that two workers train by Ray Train, watched and disturbed: for test_workers.py and test_ray_internals.py."""

import contextlib
import os
import signal

import fake_cells
import pytest
from places import SUPPORT
from processes import command_line, descendants

from suite.core.stop import Stop
from suite.records.cell import CellContext
from suite.records.record import Record
from suite.runner import launch
from suite.runner.attempt import CELL_VARIABLE
from suite.runner.cluster import Job


def job(folder, of, count=2, **fields):
    context = CellContext(
        work=folder / "work" / of.fingerprint, threads=1, launcher="ray", backend_reason="a test", workers=count, **fields
    )  # fmt: skip
    return Job(of, context)


@contextlib.contextmanager
def told(**variables):
    """The environment of Ray's processes: slowed steps to be disturbed in, a controller that looks often, and `variables`."""
    quick = {
        "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.2",
        "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",
        fake_cells.PAUSE: "0.15",
        CELL_VARIABLE: fake_cells.SHARED_CELL,
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (quick | {"PYTHONPATH": str(SUPPORT)} | variables).items():
            patch.setenv(name, value)
        yield


def events(jobs, stop=None, address=None):
    yield from launch.run(jobs, "ray", stop or Stop(), address=address)


def processes_named(part, driver=None):
    """Processes below `driver`, by default this one, with `part` in their command line."""
    return {process for process in descendants(driver or os.getpid()) if part in command_line(process)}


def kill(processes):
    """Kill them, as far as they are there."""
    for process in processes:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)


def until(stream, iteration):
    """Consumes events until a worker has come so far, past its first checkpoints; gives the notes among them."""
    notes = []
    for event in stream:
        assert not isinstance(event, Record), event.error
        notes += [event.note] if event.note else []
        if event.state == "training" and event.iteration >= iteration:
            assert event.loss is not None
            return notes
    raise AssertionError("the stream ended")


def rest(stream):
    """The iterations that were told, and the record."""
    *seen, record = stream
    return [event.iteration for event in seen if event.state == "training"], record
