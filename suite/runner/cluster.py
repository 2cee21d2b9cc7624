"""Where cells run: a Ray of our own, or a cluster that is joined; and what there is room for.

A Ray of our own ends with this process: it is on the loopback interface alone, without usage statistics or log output, in a short
temporary folder (its sockets' paths must stay under 107 bytes) that is removed, with a small object store (records go through it, images
do not). Where the driver is killed, Ray's processes die with it (two idle agents of Ray's a minute later), and the next run removes the
folder.

A cluster is joined by its address (`host:6379`, or `auto` on one of its machines). There every machine needs this checkout installed at
the same commit (`pip install -e .`) with the same Python and Ray, and the data sets where the specs name them; nothing is shipped but the
code of plug-ins. A cluster with token authentication is joined with Ray's own variables, RAY_AUTH_MODE and RAY_AUTH_TOKEN.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from suite.core.errors import Exit, SuiteError
from suite.core.files import take_lock
from suite.core.machine import count_cores
from suite.core.output import note
from suite.core.paths import ROOT, WORKING_FOLDER, is_installed, python_path
from suite.core.process import Child, changed_environment
from suite.core.torch_state import thread_environment
from suite.records.cell import CellContext
from suite.records.spec import CellSpec
from suite.training import ray_internals

if TYPE_CHECKING:
    from types import ModuleType

OBJECT_STORE_BYTES = 256 * 2**20
JOIN_SECONDS = 40.0  # an address that does not answer would hold ray.init for many minutes
FOLDER_PREFIX = "ssm-"
KNOCK_SECONDS = 5.0  # for a connection; one that is refused takes none
FORGET_ADDRESS = "env -u RAY_ADDRESS python -m suite run ..."
INLINE_ADVICE = "`--launcher inline` runs the same cells without Ray, one after another."


@dataclass(frozen=True)
class Job:
    """A cell to be run now, and how."""

    spec: CellSpec
    context: CellContext


def settle_environment(*, local: bool) -> None:
    """Tell Ray by its environment to be quiet and to stay on this machine; it reads that once in a process, when it is first imported."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # leaves CUDA_VISIBLE_DEVICES to the user
    os.environ.setdefault("RAY_worker_niceness", "0")  # as fast as the inline launcher, on a busy machine, too
    if local:  # Ray's name for "no cluster": all its sockets listen on 127.0.0.1
        os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
        if os.environ.setdefault("RAY_AUTH_MODE", "token") == "token":  # keeps other users out; without it Ray writes one into ~/.ray
            os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))


def import_ray(*, local: bool) -> ModuleType:
    """Import Ray with its environment settled; SuiteError where there is none, or where a local one can no longer be closed to others."""
    if local and "ray" in sys.modules and "RAY_AUTH_MODE" not in os.environ:
        raise SuiteError(
            "Ray was imported in this process before its settings for this machine alone, so it would not be closed to other users. "
            f"Import it later, or set RAY_AUTH_MODE=token before. {INLINE_ADVICE}",
            exit=Exit.NOT_READY,
        )
    settle_environment(local=local)
    try:
        import ray
    except ImportError as error:
        raise SuiteError(
            f"Ray cannot be imported ({error}). Install it with `pip install ray`, or: {INLINE_ADVICE}", exit=Exit.NOT_READY
        ) from error
    return ray


@contextlib.contextmanager
def start_ray(ray: ModuleType, threads: int, dashboard: bool) -> Iterator[Path | None]:
    """Start a Ray of our own for the length of the block; give the folder of its logs."""
    if dashboard:
        _check_dashboard()
    with _temporary_folder() as folder:
        try:
            # Ray puts the working folder before all else where its workers look for code: there must be none in it.
            with changed_environment(_worker_environment(threads)), _block({signal.SIGUSR1}), contextlib.chdir(folder):
                started = ray.init(
                    address="local",  # also where RAY_ADDRESS is set
                    num_cpus=count_cores(),
                    include_dashboard=dashboard,
                    dashboard_host="127.0.0.1",
                    log_to_driver=False,
                    logging_level="ERROR",
                    object_store_memory=OBJECT_STORE_BYTES,
                    **ray_internals.local_options(folder),
                )
        except Exception as error:
            ray.shutdown()
            raise SuiteError(f"Ray did not start on this machine: {_first_line(error)}. {INLINE_ADVICE}", exit=Exit.NOT_READY) from error
        if dashboard:
            token = f", token {os.environ['RAY_AUTH_TOKEN']}" if os.environ.get("RAY_AUTH_MODE") == "token" else ""
            note(f"Ray's dashboard, on this machine alone: http://{started.dashboard_url}{token}")
        try:
            yield ray_internals.logs_of(folder)
        finally:
            ray.shutdown()


def try_ray() -> float:
    """Start a Ray of its own as a run does, and end it; return how many processors it offers. SuiteError where it does not start."""
    ray = import_ray(local=True)
    with start_ray(ray, 1, dashboard=False):
        return float(ray.cluster_resources().get("CPU", 0))


def explain_silence(address: str) -> str:
    """Say why nothing can be there at `address`, host:port, as its port answers; "" where something is, or that is not known."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or "/" in host:
        return ""
    try:
        socket.create_connection((host.strip("[]"), int(port)), KNOCK_SECONDS).close()
    except (OSError, OverflowError) as error:
        return f"nothing answers there ({getattr(error, 'strerror', None) or error})"
    return ""


@contextlib.contextmanager
def join_ray(ray: ModuleType, address: str) -> Iterator[Path | None]:
    """Join the cluster at `address` for the length of the block; its logs are out of reach."""
    from_variable = address == os.environ.get("RAY_ADDRESS")
    given = f"$RAY_ADDRESS is {address}" if from_variable else f"--address {address}"
    if address.startswith("ray://"):
        raise SuiteError(f"{given}: Ray's client cannot stream results. Give the cluster's own address, such as host:6379 or auto.")
    problem = explain_silence(address) or _try_to_join(address)
    if problem:
        alone = f"`{FORGET_ADDRESS}` runs on this machine alone" if from_variable else "Leave out --address to run on this machine alone"
        raise SuiteError(f"{given}: the Ray cluster there cannot be joined: {problem}. {alone}, or: {INLINE_ADVICE}", exit=Exit.NOT_READY)
    with tempfile.TemporaryDirectory() as empty, contextlib.chdir(empty if is_installed() else ROOT):  # as in start_ray
        ray.init(address=address, log_to_driver=False, logging_level="ERROR")
    try:
        yield None
    finally:
        ray.shutdown()


def _try_to_join(address: str) -> str:
    """Join the cluster in a process of its own; return why it cannot be joined, "" where it can."""
    probe = "import sys, ray; ray.init(address=sys.argv[1], log_to_driver=False, logging_level='ERROR')"
    try:
        with Child("-c", probe, address) as child:
            return _cause(child.last_words()) if child.process.wait(JOIN_SECONDS) else ""
    except subprocess.TimeoutExpired:
        return f"nothing there answered as a Ray cluster within {JOIN_SECONDS:.0f} s"


@contextlib.contextmanager
def _temporary_folder() -> Iterator[Path]:
    """Make a folder with a short path, locked while it is in use; remove those that killed runs left behind."""
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
    """Raise SuiteError where what Ray's dashboard needs is not installed."""
    try:
        ray_internals.check_dashboard()
    except ImportError as error:
        raise SuiteError(
            f"--dashboard needs packages that are not installed ({error}). Install them: `pip install 'ray[default]'`.",
            exit=Exit.NOT_READY,
        ) from error


@contextlib.contextmanager
def _block(signals: set[signal.Signals]) -> Iterator[None]:
    """Keep the signals from processes that begin in the block, and theirs: a batch system warns all of a job, and only we are to act."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _worker_environment(threads: int) -> dict[str, str]:
    """Return what Ray's workers inherit: their threads, and where `suite` and `models` are found whatever their working directory."""
    loopback = "lo" if sys.platform.startswith("linux") else "lo0"
    nccl = os.environ.get("NCCL_SOCKET_IFNAME", loopback)  # GPUs of one machine talk past it; it is for their meeting alone
    own = {"PYTHONPATH": python_path(), "GLOO_SOCKET_IFNAME": loopback, "NCCL_SOCKET_IFNAME": nccl}
    return thread_environment(threads) | {WORKING_FOLDER: str(Path.cwd())} | own


def own_resources(job: Job) -> tuple[int, int]:
    """Return the CPUs and GPUs of a job's own process; that of several workers waits while they train, and measures when they have left."""
    return (job.context.threads, int(job.spec.device == "cuda")) if job.context.workers == 1 else (0, 0)


def _room(ray: ModuleType, context: CellContext) -> int:
    """Count the workers of a job that the machines can take together."""
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    room = 0
    for node in nodes:
        cpus = int(node.get("CPU", 0) // context.threads)
        room += min(cpus, int(node.get("GPU", 0) // context.gpus)) if context.gpus else cpus
    return room


def count_jobs_at_once(ray: ModuleType, jobs: Sequence[Job]) -> int:
    """Count the jobs that are given to Ray at a time: all, but where several workers share one."""
    if all(job.context.workers == 1 for job in jobs):
        return len(jobs)
    return max(1, min(_room(ray, job.context) // job.context.workers for job in jobs))


def check_room(ray: ModuleType, jobs: Sequence[Job]) -> None:
    """Raise SuiteError where no machine could ever take some job, or not all its workers at once: Ray would wait for ever."""
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    have = "; ".join(f"{node.get('CPU', 0):.0f} CPUs, {node.get('GPU', 0):.0f} GPUs" for node in nodes)
    for job in jobs:
        context, (cpus, gpus) = job.context, own_resources(job)
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


def place_beside_gpus(ray: ModuleType) -> object:
    """Send a cell that measures on a GPU, without keeping one from its workers, to the machine with most of them."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    nodes = [node for node in ray.nodes() if node["Alive"]]
    best = max(nodes, key=lambda node: node["Resources"].get("GPU", 0))
    return NodeAffinitySchedulingStrategy(best["NodeID"], soft=True)


def _cause(traceback: str) -> str:
    """Return the error that a printed traceback, which may be a chain, began with."""
    errors = re.findall(r"^[\w.]+(?:Error|Exception): (?!.*Traceback).+", traceback, flags=re.MULTILINE)
    return (errors or traceback.strip().splitlines() or ["no reason given"])[0].rstrip(".")


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".strip().splitlines()[0].rstrip(".")
