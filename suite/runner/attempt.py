"""One attempt at a cell, in whatever process it runs: threads, the cell itself, and what becomes of an error.

`attempt` ends in a record, the cell's own or a failed one with the error, unless the cell was asked to stop. Both launchers run it,
so that the threads, the messages and the records are the same with Ray and without.

For tests, the environment variable SUITE_CELL names another generator function, as `module:attribute`, that is run instead of any cell; it
counts where the cell runs, on a cluster in the environment that its machines were started with.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import IO, TYPE_CHECKING

from suite.core.errors import Exit, SuiteError
from suite.core.files import LOCK, wait_for_lock
from suite.core.paths import go_to_working_folder
from suite.core.redaction import error_text
from suite.core.stop import StopFlag, Stopped
from suite.core.torch_state import let_threads_sleep, limit_threads
from suite.records.cell import SECONDS_BETWEEN_PROGRESS, CellContext, Progress, provenance
from suite.records.kinds.evaluation import Evaluation, EvaluationSpec
from suite.records.kinds.profile import ProfileRecord, ProfileSpec, name_network
from suite.records.kinds.scan import ScanRecord
from suite.records.record import Attempt, Record
from suite.records.spec import CellSpec, RunSpec, ScanSpec
from suite.study.outside.plugins import install

if TYPE_CHECKING:
    from ray.actor import ActorHandle

CELL_VARIABLE = "SUITE_CELL"
OTHERS_SECONDS = 120.0  # that a cell waits for another process to leave it
ASK_SECONDS = 1.0  # between questions of a cell on a cluster, whether it is to stop

Cell = Callable[[CellSpec, CellContext], Iterator[Progress | Attempt]]


def attempt(spec: CellSpec, context: CellContext) -> Iterator[Progress | Attempt]:
    """Run the cell; yield its progress, thinned out, and last its record, whatever happens short of the death of the process.

    There is no record where the cell was asked to stop before it began, or raises `Stopped`.
    """
    started = datetime.now(UTC)
    go_to_working_folder()
    if StopFlag.of(context.work).requested():
        return
    yield Progress(spec.fingerprint, "starting", 0, spec.steps)
    try:
        install(context.plugins)
        context.work.mkdir(parents=True, exist_ok=True)
        with (context.work / LOCK).open("a+", encoding="ascii") as handle:
            yield from _alone(spec, handle)
            if isinstance(spec, RunSpec):  # times of scans and networks are taken with OpenMP as it is
                let_threads_sleep()
            limit_threads(context.threads)
            shown, shown_at = "starting", 0.0
            for event in _function_of(spec)(spec, context):
                if isinstance(event, Attempt):
                    yield event
                    return
                if event.note or event.state != shown or time.monotonic() - shown_at >= SECONDS_BETWEEN_PROGRESS:
                    shown, shown_at = event.state, time.monotonic()
                    yield event
            raise RuntimeError(f"{spec.label} ended without a record")
    except Stopped:
        return
    except Exception as error:
        yield failed_record(spec, context, started, error_text(error))


def _function_of(spec: CellSpec) -> Cell:
    """Return what runs cells of this kind; imported in the process of the cell, for the driver of a Ray does without torch."""
    if entry := os.environ.get(CELL_VARIABLE):
        module, _, attribute = entry.partition(":")
        return getattr(importlib.import_module(module), attribute)
    if isinstance(spec, RunSpec):
        from suite.training.cell import run_cell as run
    elif isinstance(spec, ScanSpec):
        from suite.measure.scans.cell import run_scan as run
    elif isinstance(spec, EvaluationSpec):
        from suite.measure.quality.evaluation import run_evaluation as run
    else:
        from suite.measure.costs.cell import run_profile as run
    return run


def _alone(spec: CellSpec, handle: IO[str]) -> Iterator[Progress]:
    """Wait until no other process works on the cell: where a driver is killed, Ray's workers go on for some seconds, and write there.

    SuiteError where one does so for longer; a folder that knows no locks is taken as it is.
    """
    until = time.monotonic() + OTHERS_SECONDS
    with contextlib.suppress(OSError):
        for holder in wait_for_lock(handle, SECONDS_BETWEEN_PROGRESS):
            if time.monotonic() > until:
                raise SuiteError(
                    f"process {holder} has been working on {spec.label} for {OTHERS_SECONDS:.0f} s; it may belong to a run that was "
                    "killed. Stop it, and the same command continues.",
                    exit=Exit.NOT_READY,
                )
            yield Progress(spec.fingerprint, "starting", 0, spec.steps, note=f"waiting for process {holder}, which still works on it")


def failed_record(spec: CellSpec, context: CellContext, started: datetime, error: str) -> Attempt:
    """Return the record of an attempt that failed, with the machine it failed on."""
    made = provenance(context, started.isoformat(timespec="seconds"), {}, spec.backend)
    fields = {"fingerprint": spec.fingerprint, "spec": spec, "status": "failed", "attempt": context.attempt, "error": error}
    if isinstance(spec, ProfileSpec):
        label, source = name_network(spec.model)
        return ProfileRecord(label=label, source=source, provenance=made, **fields)
    kind = Record if isinstance(spec, RunSpec) else Evaluation if isinstance(spec, EvaluationSpec) else ScanRecord
    return kind(provenance=made, **fields)


class StopSignal:
    """Says to the cells on a cluster, whose work folders the driver may not reach, that the run is to stop: an actor of Ray's."""

    def __init__(self) -> None:
        self._given = False

    def give(self) -> None:
        """Note that the run is to stop."""
        self._given = True

    def given(self) -> bool:
        """Return whether the run is to stop."""
        return self._given


def attempt_on_cluster(spec: CellSpec, context: CellContext, signal: ActorHandle) -> Iterator[Progress | Attempt]:
    """Run `attempt` where only the network reaches: set the cell's flag on its own machine when the signal is given."""
    flag, ended = StopFlag.of(context.work), threading.Event()
    flag.clear()
    threading.Thread(target=_ask, args=(signal, flag, ended), daemon=True).start()
    try:
        yield from attempt(spec, context)
    finally:
        ended.set()


def _ask(signal: ActorHandle, flag: StopFlag, ended: threading.Event) -> None:
    import ray  # the inline launcher does without it

    with contextlib.suppress(ray.exceptions.RayError):  # the driver is gone, and Ray ends this process
        while not ended.wait(ASK_SECONDS):
            if ray.get(signal.given.remote()):
                flag.set()
                return
