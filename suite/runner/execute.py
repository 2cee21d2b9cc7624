"""From cells to a ledger that holds them: what is done is left alone, the rest is launched and recorded as it ends."""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from pathlib import Path

from suite.core.errors import Exit, SuiteError
from suite.core.output import note
from suite.core.stop import EXITS, GRACE_SECONDS, Stop
from suite.records.cell import CellContext, Progress
from suite.records.kinds.evaluation import EvaluationSpec
from suite.records.ledger import Ledger
from suite.records.record import Attempt, Record
from suite.records.spec import CellSpec, RunSpec
from suite.records.trainings import Trainings, choose_trainers
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
    changed: int = 0  # done before with other data, and left alone

    @property
    def exit(self) -> Exit:
        """The exit code of the run."""
        if self.signum is not None:
            return EXITS[self.signum]
        return Exit.INCOMPLETE if self.failed or self.unfinished or self.changed else Exit.DONE

    @property
    def sentence(self) -> str:
        """The outcome in words."""
        total = self.skipped + self.done + self.failed + self.unfinished + self.changed
        parts = [f"{self.skipped + self.done} of {total} cells done" + (f" ({self.skipped} before)" if self.skipped else "")]
        if self.failed:
            parts.append(f"{self.failed} failed")
        if self.changed:
            parts.append(f"{self.changed} done with data that have changed since (--again runs them)")
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


def execute(
    specs: Sequence[CellSpec],
    ledger: Ledger,
    how: How,
    *,
    again: bool = False,
    changed: Set[str] = frozenset(),
    retrained: Set[str] = frozenset(),
    renew: bool = False,
) -> Outcome:
    """Run the cells of `specs` that are not done, with a view on standard error; must be called in the main thread.

    With `again`, those that are done, too: each adds another attempt to the ledger. `changed` are the done cells whose data have changed:
    they are left alone and counted apart, or with `renew` run, those of `retrained` with their training.

    Raises `SuiteError` where the ledger is held by another run or cannot be written, or the launcher does not start.
    """
    stop = Stop(grace=how.grace, seconds=how.seconds)
    records: list[Attempt] = []
    with ledger.locked(), stop.armed():
        done = set() if again else ledger.find_done([spec.fingerprint for spec in specs]).keys() - (changed if renew else set())
        left = any(isinstance(spec, RunSpec) and spec.fingerprint not in done for spec in specs)
        held = ledger.records(lambda _error: None) if left else ()  # unreadable ones are reported by the report
        trainings = Trainings(specs, held, [spec.fingerprint for spec in specs if again or (renew and spec.fingerprint in retrained)])
        wanted = _lost_starts(specs, done, trainings, ledger)
        todo = [spec for spec in unique_specs(specs) if spec.fingerprint not in done or spec.fingerprint in wanted]
        stale = len(changed & done - wanted)
        skipped = len(unique_specs(specs)) - len(todo) - stale
        _clear(_names_of_done(specs, todo, trainings, ledger), ledger, how)
        if todo:
            prove_writable(ledger.work, round(how.disk_mib * 2**20))
            if how.storage and "://" not in how.storage:
                prove_writable(Path(how.storage), round(how.storage_mib * 2**20), "another folder with --storage PATH")
        board = progress.Board.of(todo, skipped)
        events = _events(todo, trainings, ledger, how, stop)
        with contextlib.closing(events), progress.make_view(board, sys.stderr) as view:
            for event in events:
                if isinstance(event, Attempt):
                    ledger.add(event)
                    records.append(event)
                    trainings.add(event)
                    if event.status == "done":
                        _clear(_names(event.spec, trainings), ledger, how)
                view.show(event)
    done_now = sum(record.status == "done" for record in records)
    return Outcome(skipped, done_now, len(records) - done_now, len(todo) - len(records), stop.signum, stop.time_up, tuple(records), stale)


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


def _names(spec: CellSpec, trainings: Trainings) -> set[str]:
    """Return the names by which a cell's checkpoints may lie."""
    return {spec.fingerprint, *(trainings.key(spec).names if isinstance(spec, RunSpec) else ())}


def _names_of_done(specs: Sequence[CellSpec], todo: Sequence[CellSpec], trainings: Trainings, ledger: Ledger) -> set[str]:
    """Return the names of what a killed run may have left of cells that are done.

    A training goes by its own name, too, which is left out where its weights are gone: another cell may have begun it anew.
    """
    done = {spec.fingerprint: spec for spec in specs}
    for spec in todo:
        del done[spec.fingerprint]
    keys = [trainings.key(spec) for spec in done.values() if isinstance(spec, RunSpec)]
    return {*done, *(key.fingerprint for key in keys if key.find_weights(ledger.weights) is not None)}


def _lost_starts(specs: Sequence[CellSpec], done: Set[str], trainings: Trainings, ledger: Ledger) -> set[str]:
    """Return the cells that are done, whose weights others are to begin with and are gone: they are run once more."""
    runs = [spec for spec in specs if isinstance(spec, RunSpec)]
    trainers = choose_trainers([spec for spec in runs if spec.fingerprint not in done], trainings, ledger.weights)
    needed = {spec.start for spec in runs if spec.fingerprint in trainers} & set(done)
    trained = {trainings.identify(spec) for spec in runs if spec.fingerprint in trainers}
    begun = [spec for spec in runs if spec.fingerprint in needed and trainings.identify(spec) not in trained]
    return choose_trainers(begun, trainings, ledger.weights)


def _events(todo: Sequence[CellSpec], trainings: Trainings, ledger: Ledger, how: How, stop: Stop) -> Iterator[Progress | Attempt]:
    """Yield what happens to the cells.

    One that measures what another trains, or begins with another's weights, is launched when that one has ended.
    """
    waiting = list(todo)
    while waiting and not stop.requested:
        ready = _choose_ready(waiting, trainings, ledger)
        jobs = [Job(spec, _context(spec, trainings, ledger, how)) for spec in ready]
        yield from launch.run(jobs, how.launcher, stop, address=how.address, dashboard=how.dashboard)
        launched = {spec.fingerprint for spec in ready}
        waiting = [spec for spec in waiting if spec.fingerprint not in launched]


def _choose_ready(waiting: Sequence[CellSpec], trainings: Trainings, ledger: Ledger) -> list[CellSpec]:
    trainers = choose_trainers(waiting, trainings, ledger.weights)
    under_way = {trainings.identify(spec) for spec in waiting if spec.fingerprint in trainers and isinstance(spec, RunSpec)}
    ready = []
    for spec in waiting:
        if isinstance(spec, RunSpec) and trainings.identify(spec) in under_way:
            begun = trainings.start_key(spec)
            if spec.fingerprint not in trainers or (begun is not None and begun.fingerprint in under_way):
                continue
        ready.append(spec)
    return ready


def _read_trained(cell: str, ledger: Ledger) -> Record:
    """Return what the record of `cell` says of its training; the rest of it stays in the ledger."""
    record = ledger.latest(cell)
    if not isinstance(record, Record):
        raise SuiteError(f"the record of the cell {cell} is gone from {ledger.folder}. The same command trains it again.")
    return record.model_copy(update={"scores": (), "crops": (), "receptive_field": None})


def _context(spec: CellSpec, trainings: Trainings, ledger: Ledger, how: How) -> CellContext:
    context = CellContext(
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
    if not isinstance(spec, RunSpec):
        return context
    found = trainings.find_trained(spec, ledger.weights)
    if found is not None:
        cell, key = found
        return replace(context, training=key, trained=_read_trained(cell, ledger), workers=1, gpus=0)
    key = trainings.key(spec)
    return replace(context, work=ledger.find_work(key.names), training=key, begins_with=trainings.start_key(spec))
