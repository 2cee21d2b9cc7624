"""From cells to a ledger that holds them: what is done is left alone, the rest is launched and recorded as it ends."""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path

from suite.core.errors import Exit, SuiteError
from suite.core.output import note
from suite.core.stop import EXITS, GRACE_SECONDS, Stop
from suite.records.cell import CellContext, Progress
from suite.records.evaluation import EvaluationSpec
from suite.records.ledger import Ledger, weights_file
from suite.records.record import Attempt
from suite.records.spec import CellSpec, RunSpec
from suite.runner import launch, progress
from suite.runner.cluster import Job
from suite.training import storage
from suite.training.checkpoints import prove_writable


@dataclass(frozen=True)
class How:
    """How cells are run; nothing here changes their numbers by intent."""

    launcher: str  # a name of suite.cli.run.LAUNCHERS
    threads: int  # of one cell
    backend_reason: str
    address: str | None = None  # of a Ray cluster
    disk_mib: float = 0.0  # that must be free
    micro_batch: int = 0
    recompute: bool = False
    grace: float = field(default_factory=lambda: GRACE_SECONDS)  # that cells have to end by themselves when the run is stopped
    seconds: float | None = None  # after which the run is stopped
    dashboard: bool = False  # Ray's
    workers: int = 1  # that train a cell
    gpus: int = 0  # of each worker
    storage: str = ""  # path or URI of the workers' checkpoints; empty: the ledger's work folder
    storage_mib: float = 0.0  # that must be free there, where it is a folder of this machine
    rehearse: bool = False
    track: tuple[str, ...] = ()
    given: Mapping[str, Path] = field(default_factory=dict)  # files of weights, by their sha256


@dataclass(frozen=True)
class Outcome:
    """What became of the selected cells."""

    skipped: int  # done before
    done: int
    failed: int
    unfinished: int  # not reached, or broken off
    signum: int | None = None
    time_up: bool = False
    records: tuple[Attempt, ...] = ()  # of this run, done and failed

    @property
    def exit(self) -> Exit:
        """The exit code of the run."""
        if self.signum is not None:
            return EXITS[self.signum]
        return Exit.INCOMPLETE if self.failed or self.unfinished else Exit.DONE

    @property
    def sentence(self) -> str:
        """The outcome in words."""
        total = self.skipped + self.done + self.failed + self.unfinished
        parts = [f"{self.skipped + self.done} of {total} cells done" + (f" ({self.skipped} before)" if self.skipped else "")]
        if self.failed:
            parts.append(f"{self.failed} failed")
        if self.signum is not None:
            parts.append(f"stopped by {signal.Signals(self.signum).name}; the same command continues")
        elif self.time_up and self.unfinished:
            parts.append("stopped: the time limit is reached; the same command continues")
        elif self.failed or self.unfinished:
            parts.append("the same command tries the rest again")
        return ", ".join(parts)


def unique_specs(specs: Sequence[CellSpec]) -> list[CellSpec]:
    """Return the specs without repetitions, in their order."""
    return list({spec.fingerprint: spec for spec in specs}.values())


def execute(specs: Sequence[CellSpec], ledger: Ledger, how: How, *, again: bool = False) -> Outcome:
    """Run the cells of `specs` that are not done, with a view on standard error; must be called in the main thread.

    With `again`, those that are done, too: each adds another attempt to the ledger.

    Raises `SuiteError` where the ledger is held by another run or cannot be written, or the launcher does not start.
    """
    stop = Stop(grace=how.grace, seconds=how.seconds)
    records: list[Attempt] = []
    with ledger.locked(), stop.armed():
        done = set() if again else {entry.fingerprint for entry in ledger.entries() if entry.status == "done"}
        wanted = _lost_starts(specs, done, ledger)
        todo = [spec for spec in unique_specs(specs) if spec.fingerprint not in done or spec.fingerprint in wanted]
        skipped = len(unique_specs(specs)) - len(todo)
        _clear({spec.fingerprint for spec in specs} - {spec.fingerprint for spec in todo}, ledger, how)
        if todo:
            prove_writable(ledger.work, round(how.disk_mib * 2**20))
            if how.storage and "://" not in how.storage:
                prove_writable(Path(how.storage), round(how.storage_mib * 2**20), "another folder with --storage PATH")
        board = progress.Board.of(todo, skipped)
        events = _events(todo, ledger, how, stop)
        with contextlib.closing(events), progress.make_view(board, sys.stderr) as view:
            for event in events:
                if isinstance(event, Attempt):
                    ledger.add(event)
                    records.append(event)
                    if event.status == "done":
                        _clear({event.fingerprint}, ledger, how)
                view.show(event)
    done_now = sum(record.status == "done" for record in records)
    return Outcome(skipped, done_now, len(records) - done_now, len(todo) - len(records), stop.signum, stop.time_up, tuple(records))


def _clear(done: Set[str], ledger: Ledger, how: How) -> None:
    """Remove the checkpoints of cells that are done and recorded; also those that a run left which was killed before it could.

    What cannot be removed now is reported, and tried again by the next run: no cell that is under way is lost for it.
    """
    for fingerprint in sorted(done):
        try:
            ledger.clear_work(fingerprint)
        except OSError as error:
            note(f"cell {fingerprint} is done; its checkpoints in {ledger.work} cannot be removed now ({error}).")
    if how.storage:
        try:
            storage.remove_cells(how.storage, done)
        except SuiteError as error:
            note(str(error))


def _lost_starts(specs: Sequence[CellSpec], done: Set[str], ledger: Ledger) -> set[str]:
    """Return the cells that are done, whose weights others are to begin with and are gone: they are run once more."""
    needed = {spec.start for spec in specs if isinstance(spec, RunSpec) and spec.start and spec.fingerprint not in done}
    return {fingerprint for fingerprint in needed & set(done) if not weights_file(ledger.weights, fingerprint).is_file()}


def _events(todo: Sequence[CellSpec], ledger: Ledger, how: How, stop: Stop) -> Iterator[Progress | Attempt]:
    """Yield what happens to the cells; one that begins with another's weights is launched when that one has ended."""
    waiting = {spec.fingerprint: spec for spec in todo}
    while waiting and not stop.requested:
        ready = [spec for spec in waiting.values() if not isinstance(spec, RunSpec) or spec.start not in waiting]
        jobs = [Job(spec, _context(spec, ledger, how)) for spec in ready]
        yield from launch.run(jobs, how.launcher, stop, address=how.address, dashboard=how.dashboard)
        for spec in ready:
            del waiting[spec.fingerprint]


def _context(spec: CellSpec, ledger: Ledger, how: How) -> CellContext:
    return CellContext(
        work=ledger.work_folder(spec.fingerprint),
        threads=how.threads,
        launcher=how.launcher,
        backend_reason=how.backend_reason,
        attempt=ledger.attempts(spec.fingerprint) + 1,
        weights=ledger.weights,
        micro_batch=how.micro_batch,
        recompute=how.recompute,
        workers=how.workers,
        gpus=how.gpus,
        storage=how.storage,
        rehearse=how.rehearse,
        logs=ledger.logs,
        track=how.track,
        given=how.given.get(spec.weights) if isinstance(spec, EvaluationSpec) else None,
    )
