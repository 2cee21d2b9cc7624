"""Launchers: the same attempts at the same cells, one after another in this process or spread by Ray.

Of the files that know Ray (with suite.bell, which tells cells on a cluster to stop) this one schedules cells: events stream back to the
driver, which keeps the ledger. Another, suite.workers, trains one cell on several workers; such a cell takes no processor itself while it
waits for them, and as many cells are under way at a time as have room for all their workers.

`ray` without an address starts a Ray of its own that ends with this process: on the loopback interface alone, without usage
statistics or log output, in a short temporary folder (its sockets' paths must stay under 107 bytes)
that is removed, with a small object store (records go through it, images do not). Where the driver is killed, Ray's processes
die with it (two idle agents of Ray's a minute later), and the next run removes the folder.

With an address it joins a cluster (`host:6379`, or `auto` on one of its machines). There every machine needs this checkout
installed at the same commit (`pip install -e .`) with the same Python and Ray, and the data sets where the specs name them;
nothing is shipped. A cluster with token authentication is joined with Ray's own variables, RAY_AUTH_MODE and RAY_AUTH_TOKEN.
Results come back by the network, but a cell's checkpoint stays where it ran: a cell that moves to another machine starts
anew unless the work folder is shared, and such a machine keeps the work folder of a cell that is done. That the run is to stop, a
cell there learns from an actor.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from suite.attempt import CELL, attempt, error_text, failed_record, thread_environment
from suite.bell import Bell, listening_attempt
from suite.cell import CellContext, Progress
from suite.errors import Exit, SuiteError
from suite.ledger import take_lock
from suite.machine import cores
from suite.output import note
from suite.paths import ROOT
from suite.record import Attempt
from suite.spec import CellSpec
from suite.stop import Stop, StopFlag

if TYPE_CHECKING:
    from types import ModuleType

    from ray.actor import ActorHandle

OBJECT_STORE_BYTES = 256 * 2**20
JOIN_SECONDS = 40.0  # an address that does not answer would hold ray.init for many minutes
POLL_SECONDS = 0.5  # how soon a signal is noticed
LIVES = 2  # a worker process may die once; the second time the cell has failed
LOG_TAIL = 2000  # characters of a dead worker's own log that go into the record
TASK_MARK = ":task_name:"  # begins a line that Ray adds to a worker's log
FOLDER_PREFIX = "ssm-"
ADVICE = "`--launcher inline` runs the same cells without Ray, one after another."


@dataclass(frozen=True)
class Job:
    """A cell to be run now, and how."""

    spec: CellSpec
    context: CellContext


@dataclass
class _Flight:
    """A cell on its way through Ray."""

    job: Job
    started: datetime
    deaths: int = 0
    recorded: bool = False


@dataclass(frozen=True)
class _Where:
    """A cluster's address, or a Ray of our own, with or without its dashboard."""

    address: str | None
    dashboard: bool


@dataclass
class _Grid:
    """The cells under way, by their streams of events."""

    cell: str
    logs: Path | None  # folder of the workers' logs, where it is on this machine
    environment: dict[str, str] | None  # of the workers, where they are not our own
    waiting: list[_Flight]
    at_once: int  # flights
    bell: ActorHandle | None = None  # on a cluster
    flights: dict[Any, _Flight] = field(default_factory=dict)


def run(
    jobs: Sequence[Job], launcher: str, stop: Stop, *, address: str | None = None, cell: str = CELL, dashboard: bool = False
) -> Iterator[Progress | Attempt]:
    """Runs the jobs and yields what happens; each ends in one record, done or failed, unless the run is stopped.

    When `stop` is requested, cells are asked to end, and broken off where they do not in time. `cell` names the generator function that
    is run, as `module:attribute`.
    Raises `SuiteError` where Ray is missing, does not start, or has no room for a job.
    """
    if not jobs:
        return
    if launcher == "inline":
        yield from _inline(jobs, stop, cell)
    else:
        yield from _on_ray(jobs, stop, _Where(address, dashboard), cell)


def _inline(jobs: Sequence[Job], stop: Stop, cell: str) -> Iterator[Progress | Attempt]:
    for job in jobs:
        flag = StopFlag.of(job.context.work)
        stop.watch(flag)
        try:
            with contextlib.closing(attempt(job.spec, job.context, cell)) as events:
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


def _on_ray(jobs: Sequence[Job], stop: Stop, where: _Where, cell: str) -> Iterator[Progress | Attempt]:
    ray = _import_ray(local=where.address is None)
    threads = max(job.context.threads for job in jobs)
    with _own_ray(ray, threads, where.dashboard) if where.address is None else _joined_ray(ray, where.address) as logs:
        stop.rearm()  # ray.init takes SIGTERM
        _check_room(ray, jobs)
        bell = environment = None
        if where.address is not None:
            bell = ray.remote(Bell).options(num_cpus=0).remote()
            environment = thread_environment(threads) | {"PYTHONUNBUFFERED": "1"}
        flights = [_Flight(job, datetime.now(UTC)) for job in jobs]
        grid = _Grid(cell, logs, environment, flights, _at_once(ray, jobs), bell)
        for job in jobs:
            stop.watch(StopFlag.of(job.context.work))
        try:
            yield from _collect(ray, grid, stop)
        finally:
            for stream in grid.flights:
                ray.cancel(stream, force=True)
            for job in jobs:
                stop.forget(StopFlag.of(job.context.work))


def _import_ray(*, local: bool) -> ModuleType:
    """Ray, told by its environment, which must come before the import, to be quiet and to stay on this machine."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # leaves CUDA_VISIBLE_DEVICES to the user
    os.environ.setdefault("RAY_worker_niceness", "0")  # as fast as the inline launcher, on a busy machine, too
    if local:  # Ray's name for "no cluster": all its sockets listen on 127.0.0.1
        os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
        if os.environ.setdefault("RAY_AUTH_MODE", "token") == "token":  # keeps other users out; without it Ray writes one into ~/.ray
            os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    try:
        import ray
    except ImportError as error:
        raise SuiteError(
            f"Ray cannot be imported ({error}). Install it with `pip install ray`, or: {ADVICE}", exit=Exit.NOT_READY
        ) from error
    return ray


@contextlib.contextmanager
def _own_ray(ray: ModuleType, threads: int, dashboard: bool) -> Iterator[Path | None]:
    """A Ray of our own for the length of the block; gives the folder of its logs."""
    if dashboard:
        _check_dashboard()
    with _temporary_folder() as folder:
        try:
            with _environment(_worker_environment(threads)), _kept_from_children({signal.SIGUSR1}):
                started = ray.init(
                    address="local",  # also where RAY_ADDRESS is set
                    num_cpus=cores(),
                    include_dashboard=dashboard,
                    dashboard_host="127.0.0.1",
                    log_to_driver=False,
                    logging_level="ERROR",
                    object_store_memory=OBJECT_STORE_BYTES,
                    _node_ip_address="127.0.0.1",
                    _temp_dir=str(folder),
                )
        except Exception as error:
            ray.shutdown()
            raise SuiteError(f"Ray did not start on this machine: {_first_line(error)}. {ADVICE}", exit=Exit.NOT_READY) from error
        if dashboard:
            token = f", token {os.environ['RAY_AUTH_TOKEN']}" if os.environ.get("RAY_AUTH_MODE") == "token" else ""
            note(f"Ray's dashboard, on this machine alone: http://{started.dashboard_url}{token}")
        try:
            yield folder / "session_latest" / "logs"
        finally:
            ray.shutdown()


def tried() -> float:
    """Starts a Ray of its own as a run does, and ends it; gives the processors that it offers. SuiteError where it does not start."""
    ray = _import_ray(local=True)
    with _own_ray(ray, 1):
        return float(ray.cluster_resources().get("CPU", 0))


@contextlib.contextmanager
def _joined_ray(ray: ModuleType, address: str) -> Iterator[Path | None]:
    """The cluster at `address` for the length of the block; its logs are out of reach."""
    if address.startswith("ray://"):
        raise SuiteError(
            f"--address {address}: Ray's client cannot stream results. Give the cluster's own address, such as host:6379 or auto."
        )
    probe = "import sys, ray; ray.init(address=sys.argv[1], log_to_driver=False, logging_level='ERROR')"
    try:
        answer = subprocess.run([sys.executable, "-c", probe, address], capture_output=True, text=True, timeout=JOIN_SECONDS, check=False)  # noqa: S603
        problem = "" if answer.returncode == 0 else _cause(answer.stderr)
    except subprocess.TimeoutExpired:
        problem = f"nothing there answered as a Ray cluster within {JOIN_SECONDS:.0f} s"
    if problem:
        raise SuiteError(
            f"the Ray cluster at {address} cannot be joined: {problem}. Leave out --address for a Ray of its own, or: {ADVICE}",
            exit=Exit.NOT_READY,
        )
    ray.init(address=address, log_to_driver=False, logging_level="ERROR")
    try:
        yield None
    finally:
        ray.shutdown()


@contextlib.contextmanager
def _temporary_folder() -> Iterator[Path]:
    """A folder with a short path, locked while it is in use; those that killed runs left behind are removed."""
    short = Path("/tmp")  # noqa: S108 Ray's sockets need a short path; mkdtemp makes a private folder there
    base = short if short.is_dir() and os.access(short, os.W_OK) else Path(tempfile.gettempdir())
    for old in base.glob(f"{FOLDER_PREFIX}*/.lock"):
        with contextlib.suppress(OSError), old.open("a+", encoding="ascii") as handle:  # another user's, or just gone
            if take_lock(handle) is None:
                shutil.rmtree(old.parent, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=FOLDER_PREFIX, dir=base))
    try:
        with (folder / ".new").open("a+", encoding="ascii") as handle:
            take_lock(handle)
            (folder / ".new").rename(folder / ".lock")  # locked before others can see it
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _check_dashboard() -> None:
    """SuiteError where what Ray's dashboard needs is not installed."""
    try:
        import ray.dashboard.optional_deps  # noqa: F401 - Ray's own list
    except ImportError as error:
        raise SuiteError(
            f"--dashboard needs packages that are not installed ({error}). Install them: `pip install 'ray[default]'`.",
            exit=Exit.NOT_READY,
        ) from error


@contextlib.contextmanager
def _kept_from_children(signals: set[signal.Signals]) -> Iterator[None]:
    """Processes that begin in the block, and theirs, never see the signals: a batch system warns all of a job, and only we are to act."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _worker_environment(threads: int) -> dict[str, str]:
    """What Ray's workers inherit: their threads, and where `suite` and `models` are found whatever their working directory."""
    path = os.environ.get("PYTHONPATH")
    found = {"PYTHONPATH": f"{ROOT}{os.pathsep}{path}" if path else str(ROOT)}
    return thread_environment(threads) | found | {"GLOO_SOCKET_IFNAME": "lo" if sys.platform.startswith("linux") else "lo0"}


@contextlib.contextmanager
def _environment(changes: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in changes}
    os.environ.update(changes)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _needs(job: Job) -> tuple[int, int]:
    """CPUs and GPUs that a job's own process takes; that of several workers waits while they train, and measures when they have left."""
    return (job.context.threads, int(job.spec.device == "cuda")) if job.context.workers == 1 else (0, 0)


def _room(ray: ModuleType, context: CellContext) -> int:
    """How many workers of a job the machines can take together."""
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    room = 0
    for node in nodes:
        cpus = int(node.get("CPU", 0) // context.threads)
        room += min(cpus, int(node.get("GPU", 0) // context.gpus)) if context.gpus else cpus
    return room


def _at_once(ray: ModuleType, jobs: Sequence[Job]) -> int:
    """How many jobs are given to Ray at a time: all, but where several workers share one."""
    if all(job.context.workers == 1 for job in jobs):
        return len(jobs)
    return max(1, min(_room(ray, job.context) // job.context.workers for job in jobs))


def _check_room(ray: ModuleType, jobs: Sequence[Job]) -> None:
    """SuiteError where no machine could ever take some job, or not all its workers at once: Ray would wait for ever."""
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    have = "; ".join(f"{node.get('CPU', 0):.0f} CPUs, {node.get('GPU', 0):.0f} GPUs" for node in nodes)
    for job in jobs:
        context, (cpus, gpus) = job.context, _needs(job)
        if not any(node.get("CPU", 0) >= cpus and node.get("GPU", 0) >= gpus for node in nodes):
            raise SuiteError(
                f"{job.spec.label} needs {cpus} CPUs and {gpus} GPUs on one machine, and Ray has: {have}. "
                "Change --cpus-per-cell or --device.",
                exit=Exit.NOT_READY,
            )
        if context.workers > 1 and _room(ray, context) < context.workers:
            raise SuiteError(
                f"{job.spec.label} needs room for {context.workers} workers of {context.threads} CPUs and {context.gpus} GPUs each, and "
                f"Ray has: {have}. Change --workers-per-trial, --cpus-per-cell or --gpus-per-worker.",
                exit=Exit.NOT_READY,
            )


def _beside_gpus(ray: ModuleType) -> object:
    """Where a cell goes that measures on a GPU without keeping one from its workers: to the machine with most of them."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    nodes = [node for node in ray.nodes() if node["Alive"]]
    best = max(nodes, key=lambda node: node["Resources"].get("GPU", 0))
    return NodeAffinitySchedulingStrategy(best["NodeID"], soft=True)


def _submit(ray: ModuleType, grid: _Grid, flight: _Flight) -> None:
    cpus, gpus = _needs(flight.job)
    options: dict[str, Any] = {"num_cpus": cpus, "num_gpus": gpus, "max_retries": 0, "num_returns": "streaming", "name": _task_name(flight)}
    if grid.environment is not None:
        options["runtime_env"] = {"env_vars": grid.environment}
    if flight.job.context.gpus:
        options["scheduling_strategy"] = _beside_gpus(ray)
    task, bell = (attempt, ()) if grid.bell is None else (listening_attempt, (grid.bell,))
    stream = ray.remote(task).options(**options).remote(flight.job.spec, flight.job.context, grid.cell, *bell)
    grid.flights[stream] = flight


def _collect(ray: ModuleType, grid: _Grid, stop: Stop) -> Iterator[Progress | Attempt]:
    """Events of all the streams as they come, until all have ended, or not in time after a stop is requested."""
    rung = False
    while (grid.flights or (grid.waiting and not stop.requested)) and not stop.overdue:
        while grid.waiting and not stop.requested and len(grid.flights) < grid.at_once:
            _submit(ray, grid, grid.waiting.pop(0))
        if stop.requested and grid.bell is not None and not rung:
            grid.bell.ring.remote()
            rung = True
        ready, _ = ray.wait(list(grid.flights), num_returns=1, timeout=POLL_SECONDS)
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
                if flight.deaths < LIVES:
                    _submit(ray, grid, flight)
                    yield Progress(flight.job.spec.fingerprint, "starting", 0, flight.job.spec.steps)
                else:
                    reason = f"the worker process was lost {flight.deaths} times: {type(error).__name__}: {error}"
                    yield _failure(flight, "\n".join([reason, *_last_words(grid.logs, flight)]))
            else:
                flight.recorded |= isinstance(event, Attempt)
                yield event


def _failure(flight: _Flight, error: str) -> Attempt:
    return failed_record(flight.job.spec, flight.job.context, flight.started, error)


def _task_name(flight: _Flight) -> str:
    """The name of the cell's task; Ray writes it into the worker's log where the task begins."""
    return f"cell-{flight.job.spec.fingerprint}"


def _last_words(logs: Path | None, flight: _Flight) -> list[str]:
    """The end of what the cell's dead workers wrote to their error logs, if they wrote anything."""
    found = []
    for path in sorted(logs.rglob("worker-*.err")) if logs else []:  # Ray moves those of dead workers to `old` in its time
        _, mark, text = path.read_text(encoding="utf-8", errors="replace").rpartition(f"{TASK_MARK}{_task_name(flight)}\n")
        if mark and TASK_MARK not in text and text.strip():
            found += ["The end of its worker's log:", text.strip()[-LOG_TAIL:]]
    return found


def _cause(traceback: str) -> str:
    """The error that a printed traceback, which may be a chain, began with."""
    errors = re.findall(r"^[\w.]+(?:Error|Exception): (?!.*Traceback).+", traceback, flags=re.MULTILINE)
    return (errors or traceback.strip().splitlines() or ["no reason given"])[0].rstrip(".")


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".strip().splitlines()[0].rstrip(".")
