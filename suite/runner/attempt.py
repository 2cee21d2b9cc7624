"""One attempt at a cell, in whatever process it runs: threads, the cell itself, and what becomes of an error.

`attempt` ends in a record, the cell's own or a failed one with the error, unless the cell was asked to stop. Both launchers run it,
so that the threads, the messages and the records are the same with Ray and without.
"""

from __future__ import annotations

import contextlib
import importlib
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import IO

from suite.core import machine
from suite.core.errors import Exit, SuiteError
from suite.core.files import LOCK, wait_for_lock
from suite.core.redaction import error_text
from suite.core.stop import StopFlag, Stopped
from suite.core.torch_state import limit_threads
from suite.records.cell import SECONDS_BETWEEN_PROGRESS, CellContext, Progress
from suite.records.profile import ProfileRecord, ProfileSpec, named
from suite.records.record import Attempt, Provenance, Record
from suite.records.scan import ScanRecord
from suite.records.spec import CellSpec, RunSpec

CELL = "suite.training.cell:run_cell"
OTHERS_SECONDS = 120.0  # that a cell waits for another process to leave it

Cell = Callable[[CellSpec, CellContext], Iterator[Progress | Attempt]]


def attempt(spec: CellSpec, context: CellContext, cell: str = CELL) -> Iterator[Progress | Attempt]:
    """Progress of the cell, thinned out, and last its record, whatever happens short of the death of the process.

    There is no record where the cell was asked to stop before it began, or raises `Stopped`. `cell` names the generator function as
    `module:attribute`.
    """
    started = datetime.now(UTC)
    if StopFlag.of(context.work).requested():
        return
    yield Progress(spec.fingerprint, "starting", 0, spec.steps)
    try:
        context.work.mkdir(parents=True, exist_ok=True)
        with (context.work / LOCK).open("a+", encoding="ascii") as handle:
            yield from _alone(spec, handle)
            limit_threads(context.threads)
            module, _, attribute = cell.partition(":")
            run: Cell = getattr(importlib.import_module(module), attribute)
            shown, shown_at = "starting", 0.0
            for event in run(spec, context):
                if isinstance(event, Attempt):
                    yield event
                    return
                if event.note or event.state != shown or time.monotonic() - shown_at >= SECONDS_BETWEEN_PROGRESS:
                    shown, shown_at = event.state, time.monotonic()
                    yield event
            raise RuntimeError(f"{cell} ended without a record")
    except Stopped:
        return
    except Exception as error:
        yield failed_record(spec, context, started, error_text(error))


def _alone(spec: CellSpec, handle: IO[str]) -> Iterator[Progress]:
    """Waits until no other process works on the cell: where a driver is killed, Ray's workers go on for some seconds, and write there.

    SuiteError where one does so for longer; a folder that knows no locks is taken as it is.
    """
    until = time.monotonic() + OTHERS_SECONDS
    with contextlib.suppress(OSError):
        for holder in wait_for_lock(handle, SECONDS_BETWEEN_PROGRESS):
            if time.monotonic() > until:
                raise SuiteError(
                    f"process {holder} has been working on {spec.label} for {OTHERS_SECONDS:.0f} s; it may belong to a run that was "
                    "killed. Stop it, and the same command goes on.",
                    exit=Exit.NOT_READY,
                )
            yield Progress(spec.fingerprint, "starting", 0, spec.steps, note=f"waiting for process {holder}, which still works on it")


def failed_record(spec: CellSpec, context: CellContext, started: datetime, error: str) -> Attempt:
    """The record of an attempt that failed, with the machine it failed on."""
    commit, dirty = machine.commit()
    fields = {
        "fingerprint": spec.fingerprint,
        "spec": spec,
        "status": "failed",
        "attempt": context.attempt,
        "provenance": Provenance(
            started=started.isoformat(timespec="seconds"),
            finished=datetime.now(UTC).isoformat(timespec="seconds"),
            commit=commit,
            dirty=dirty,
            packages=machine.packages(),
            machine=machine.machine(),
            threads=context.threads,
            launcher=context.launcher,
            backend_reason=context.backend_reason,
        ),
        "error": error,
    }
    if isinstance(spec, ProfileSpec):
        label, source = named(spec.model)
        return ProfileRecord(label=label, source=source, **fields)
    return (Record if isinstance(spec, RunSpec) else ScanRecord)(**fields)
