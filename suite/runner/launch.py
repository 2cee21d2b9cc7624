"""Launchers: the same attempts at the same cells, one after another in this process or spread by Ray.

Of the files that know Ray this one schedules cells: events stream back to the driver, which keeps the ledger. suite.runner.cluster starts
or joins the Ray and says what it has room for, suite.training.workers trains one cell
on several workers; such a cell takes no processor itself while it waits for them, and as many cells are under way at a time as have room
for all their workers.

Results come back by the network, but a cell's checkpoint stays where it ran: a cell that moves to another machine starts
anew unless the work folder is shared, and such a machine keeps the work folder of a cell that is done. That the run is to stop, a
cell there learns from an actor.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from models.scan.backends import REVISION
from suite.core.redaction import error_text
from suite.core.stop import Stop, StopFlag
from suite.core.torch_state import thread_environment
from suite.records.cell import Progress
from suite.records.record import Attempt
from suite.runner.attempt import StopSignal, attempt, attempt_on_cluster, failed_record
from suite.runner.cluster import Job, check_room, count_jobs_at_once, import_ray, join_ray, own_resources, place_beside_gpus, start_ray
from suite.training.ray_internals import last_words

if TYPE_CHECKING:
    from types import ModuleType

    from ray.actor import ActorHandle

SIGNAL_SECONDS = 0.5  # how soon a signal is noticed
TASK_LIVES = 2  # a worker process may die once; the second time the cell has failed


@dataclass
class _Flight:
    """A cell on its way through Ray."""

    job: Job
    started: datetime
    deaths: int = 0
    recorded: bool = False


@dataclass
class _Grid:
    """The cells under way, by their streams of events."""

    logs: Path | None  # folder of the workers' logs, where it is on this machine
    environment: dict[str, str] | None  # of the workers, where they are not our own
    waiting: list[_Flight]
    at_once: int  # flights
    signal: ActorHandle | None = None  # to stop, on a cluster
    flights: dict[Any, _Flight] = field(default_factory=dict)


def run(
    jobs: Sequence[Job], launcher: str, stop: Stop, *, address: str | None = None, dashboard: bool = False
) -> Iterator[Progress | Attempt]:
    """Run the jobs and yield what happens; each ends in one record, done or failed, unless the run is stopped.

    When `stop` is requested, cells are asked to end, and broken off where they do not in time.
    Raises `SuiteError` where Ray is missing, does not start, or has no room for a job.
    """
    if not jobs:
        return
    if launcher == "inline":
        yield from _inline(jobs, stop)
    else:
        yield from _on_ray(jobs, stop, address, dashboard)


def _inline(jobs: Sequence[Job], stop: Stop) -> Iterator[Progress | Attempt]:
    for job in jobs:
        flag = StopFlag.of(job.context.work)
        stop.watch(flag)
        try:
            with contextlib.closing(attempt(job.spec, job.context)) as events:
                while True:
                    try:
                        with stop.interruptible():
                            event = next(events, None)
                    except KeyboardInterrupt:
                        return
                    if event is None:
                        break
                    yield event
        finally:
            stop.forget(flag)
        if stop.requested:
            return


def _on_ray(jobs: Sequence[Job], stop: Stop, address: str | None, dashboard: bool) -> Iterator[Progress | Attempt]:
    ray = import_ray(local=address is None)
    threads = max(job.context.threads for job in jobs)
    with start_ray(ray, threads, dashboard) if address is None else join_ray(ray, address) as logs:
        stop.rearm()  # ray.init takes SIGTERM
        check_room(ray, jobs)
        signal = environment = None
        if address is not None:
            signal = ray.remote(StopSignal).options(num_cpus=0).remote()
            environment = (
                thread_environment(threads)
                | {"PYTHONUNBUFFERED": "1"}
                | ({REVISION: revision} if (revision := os.environ.get(REVISION)) else {})
            )
        flights = [_Flight(job, datetime.now(UTC)) for job in jobs]
        grid = _Grid(logs, environment, flights, count_jobs_at_once(ray, jobs), signal)
        for job in jobs:
            stop.watch(StopFlag.of(job.context.work))
        try:
            yield from _collect(ray, grid, stop)
        finally:
            for stream in grid.flights:
                ray.cancel(stream, force=True)
            for job in jobs:
                stop.forget(StopFlag.of(job.context.work))


def _submit(ray: ModuleType, grid: _Grid, flight: _Flight) -> None:
    cpus, gpus = own_resources(flight.job)
    options: dict[str, Any] = {"num_cpus": cpus, "num_gpus": gpus, "max_retries": 0, "num_returns": "streaming", "name": _task_name(flight)}
    if grid.environment is not None:
        options["runtime_env"] = {"env_vars": grid.environment}
    if flight.job.context.gpus:
        options["scheduling_strategy"] = place_beside_gpus(ray)
    task, signal = (attempt, ()) if grid.signal is None else (attempt_on_cluster, (grid.signal,))
    stream = ray.remote(task).options(**options).remote(flight.job.spec, flight.job.context, *signal)
    grid.flights[stream] = flight


def _collect(ray: ModuleType, grid: _Grid, stop: Stop) -> Iterator[Progress | Attempt]:
    """Yield the events of all the streams as they come, until all have ended, or not in time after a stop is requested."""
    asked = False
    while (grid.flights or (grid.waiting and not stop.requested)) and not stop.overdue:
        while grid.waiting and not stop.requested and len(grid.flights) < grid.at_once:
            _submit(ray, grid, grid.waiting.pop(0))
        if stop.requested and grid.signal is not None and not asked:
            grid.signal.give.remote()
            asked = True
        ready, _ = ray.wait(list(grid.flights), num_returns=1, timeout=SIGNAL_SECONDS)
        for stream in ready:
            flight = grid.flights[stream]
            try:
                event = ray.get(next(stream))
            except StopIteration:
                del grid.flights[stream]  # without a record: it was asked to stop
            except ray.exceptions.RayTaskError as error:  # not the cell's own error: `attempt` records those
                flight.recorded = True
                yield _failure(flight, error_text(error))
            except ray.exceptions.RayError as error:
                del grid.flights[stream]
                if flight.recorded or stop.requested:
                    continue
                flight.deaths += 1
                if flight.deaths < TASK_LIVES:
                    _submit(ray, grid, flight)
                    yield Progress(flight.job.spec.fingerprint, "starting", 0, flight.job.spec.steps)
                else:
                    reason = f"the worker process was lost {flight.deaths} times: {type(error).__name__}: {error}"
                    yield _failure(flight, "\n".join([reason, *last_words(grid.logs, _task_name(flight))]))
            else:
                flight.recorded |= isinstance(event, Attempt)
                yield event


def _failure(flight: _Flight, error: str) -> Attempt:
    return failed_record(flight.job.spec, flight.job.context, flight.started, error)


def _task_name(flight: _Flight) -> str:
    """Return the name of the cell's task; Ray writes it into the worker's log where the task begins."""
    return f"cell-{flight.job.spec.fingerprint}"
