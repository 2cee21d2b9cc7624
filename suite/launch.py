"""Launchers: the same attempts at the same cells, one after another in this process or spread by Ray.

This is the only file that knows Ray, and Ray only schedules: events stream back to the driver, which keeps the ledger.

`ray` without an address starts a Ray of its own that ends with this process: on the loopback interface alone, without
dashboard, usage statistics or log output, in a short temporary folder (its sockets' paths must stay under 107 bytes)
that is removed, with a small object store (records go through it, images do not). Where the driver is killed, Ray's processes
die with it (two idle agents of Ray's a minute later), and the next run removes the folder.

With an address it joins a cluster (`host:6379`, or `auto` on one of its machines). There every machine needs this checkout
installed at the same commit (`pip install -e .`) with the same Python and Ray, and the data sets where the specs name them;
nothing is shipped. A cluster with token authentication is joined with Ray's own variables, RAY_AUTH_MODE and RAY_AUTH_TOKEN.
Results come back by the network, but a cell's checkpoint stays where it ran: a cell that moves to another machine starts
anew unless the work folder is shared, and such a machine keeps the work folder of a cell that is done.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from suite.attempt import CELL, attempt, error_text, failed_record, thread_environment
from suite.cell import CellContext, Progress
from suite.errors import Exit, SuiteError
from suite.ledger import take_lock
from suite.machine import cores
from suite.paths import ROOT
from suite.record import Attempt
from suite.spec import CellSpec
from suite.stop import Stop

if TYPE_CHECKING:
    from types import ModuleType

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


@dataclass
class _Grid:
    """The cells under way, by their streams of events."""

    cell: str
    logs: Path | None  # folder of the workers' logs, where it is on this machine
    environment: dict[str, str] | None  # of the workers, where they are not our own
    flights: dict[Any, _Flight] = field(default_factory=dict)


def run(jobs: Sequence[Job], launcher: str, stop: Stop, *, address: str | None = None, cell: str = CELL) -> Iterator[Progress | Attempt]:
    """Runs the jobs and yields what happens; each ends in one record, done or failed.

    Ends early when `stop` is requested. `cell` names the generator function that is run, as `module:attribute`.
    Raises `SuiteError` where Ray is missing, does not start, or has no room for a job.
    """
    if not jobs:
        return
    if launcher == "inline":
        yield from _inline(jobs, stop, cell)
    else:
        yield from _on_ray(jobs, stop, address, cell)


def _inline(jobs: Sequence[Job], stop: Stop, cell: str) -> Iterator[Progress | Attempt]:
    for job in jobs:
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


def _on_ray(jobs: Sequence[Job], stop: Stop, address: str | None, cell: str) -> Iterator[Progress | Attempt]:
    ray = _import_ray(local=address is None)
    threads = max(job.context.threads for job in jobs)
    with _own_ray(ray, threads) if address is None else _joined_ray(ray, address) as logs:
        stop.rearm()  # ray.init takes SIGTERM
        _check_room(ray, jobs)
        environment = None if address is None else thread_environment(threads) | {"PYTHONUNBUFFERED": "1"}
        grid = _Grid(cell, logs, environment)
        for job in jobs:
            _submit(ray, grid, _Flight(job, datetime.now(UTC)))
        try:
            yield from _collect(ray, grid, stop)
        finally:
            for stream in grid.flights:
                ray.cancel(stream, force=True)


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
def _own_ray(ray: ModuleType, threads: int) -> Iterator[Path | None]:
    """A Ray of our own for the length of the block; gives the folder of its logs."""
    with _temporary_folder() as folder:
        try:
            with _environment(_worker_environment(threads)):
                ray.init(
                    address="local",  # also where RAY_ADDRESS is set
                    num_cpus=cores(),
                    include_dashboard=False,
                    log_to_driver=False,
                    logging_level="ERROR",
                    object_store_memory=OBJECT_STORE_BYTES,
                    _node_ip_address="127.0.0.1",
                    _temp_dir=str(folder),
                )
        except Exception as error:
            ray.shutdown()
            raise SuiteError(f"Ray did not start on this machine: {_first_line(error)}. {ADVICE}", exit=Exit.NOT_READY) from error
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


def _worker_environment(threads: int) -> dict[str, str]:
    """What Ray's workers inherit: their threads, and where `suite` and `models` are found whatever their working directory."""
    path = os.environ.get("PYTHONPATH")
    return thread_environment(threads) | {"PYTHONPATH": f"{ROOT}{os.pathsep}{path}" if path else str(ROOT)}


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
    """CPUs and GPUs that a job takes."""
    return job.context.threads, int(job.spec.device == "cuda")


def _check_room(ray: ModuleType, jobs: Sequence[Job]) -> None:
    """SuiteError where no machine could ever take some job: Ray would wait for ever."""
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    for job in jobs:
        cpus, gpus = _needs(job)
        if not any(node.get("CPU", 0) >= cpus and node.get("GPU", 0) >= gpus for node in nodes):
            have = "; ".join(f"{node.get('CPU', 0):.0f} CPUs, {node.get('GPU', 0):.0f} GPUs" for node in nodes)
            raise SuiteError(
                f"{job.spec.label} needs {cpus} CPUs and {gpus} GPUs on one machine, and Ray has: {have}. "
                "Change --cpus-per-cell or --device.",
                exit=Exit.NOT_READY,
            )


def _submit(ray: ModuleType, grid: _Grid, flight: _Flight) -> None:
    cpus, gpus = _needs(flight.job)
    options: dict[str, Any] = {"num_cpus": cpus, "num_gpus": gpus, "max_retries": 0, "num_returns": "streaming", "name": _task_name(flight)}
    if grid.environment is not None:
        options["runtime_env"] = {"env_vars": grid.environment}
    stream = ray.remote(attempt).options(**options).remote(flight.job.spec, flight.job.context, grid.cell)
    grid.flights[stream] = flight


def _collect(ray: ModuleType, grid: _Grid, stop: Stop) -> Iterator[Progress | Attempt]:
    """Events of all the streams as they come, until all have ended or a stop is requested."""
    while grid.flights and not stop.requested:
        ready, _ = ray.wait(list(grid.flights), num_returns=1, timeout=POLL_SECONDS)
        for stream in ready:
            flight = grid.flights[stream]
            try:
                event = ray.get(next(stream))
            except StopIteration:
                del grid.flights[stream]
                if not flight.recorded:
                    yield _failure(flight, "its stream of events ended without a record")
            except ray.exceptions.RayTaskError as error:  # not the cell's own error: `attempt` records those
                flight.recorded = True
                yield _failure(flight, error_text(error))
            except ray.exceptions.RayError as error:
                del grid.flights[stream]
                if flight.recorded:
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
