"""What made a number: machine, package versions, commit. No user name, home folder or host name goes in."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Literal

from suite.core.errors import Exit, SuiteError
from suite.core.paths import ROOT

# What computes or decodes; the rest (rich, jinja2, ...) cannot move a number.
PACKAGES = (
    "torch",
    "numpy",
    "numba",
    "scipy",
    "scikit-image",
    "pillow",
    "ray",
    "fvcore",
    "spandrel",
    "lpips",
    "torchvision",
    "pyiqa",
    "triton",
    "mamba-ssm",
)
TOOL_SECONDS = 20  # nvidia-smi can hang on a broken driver; git on a dead network folder


def count_cores() -> int:
    """Return how many cores this process may use: by its affinity, and by the container's quota, which psutil does not know (cgroup v2)."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = Path("/sys/fs/cgroup/cpu.max")
    if quota.is_file():
        limit, period = quota.read_text(encoding="ascii").split()
        if limit != "max":
            allowed = min(allowed, max(1, int(limit) // int(period)))
    return allowed


def describe_machine() -> dict[str, str | int | float]:
    """Return the machine as records keep it; two machines with equal answers may be compared in time."""
    facts: dict[str, str | int | float] = {
        "cpu": _cpu_model(),
        "cores": count_cores(),
        "memory_gib": round(_memory()[0] / 2**30, 1),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
    }
    names = list_gpus()
    if names:
        facts["gpu"] = ", ".join(names)
    return facts


def list_gpus() -> list[str]:
    """Return the names of the GPUs that nvidia-smi lists; empty where there is none or no driver."""
    return _query_gpus("name")


def find_free_mib(device: str) -> float | None:
    """Return the memory in MiB that is free for `device`, of a GPU's the first one's by nvidia-smi; None where that does not tell."""
    if device == "cpu":
        return _memory()[1] / 2**20
    first = next(iter(_query_gpus("memory.free", "csv,noheader,nounits")), "")
    return float(first) if first.isdecimal() else None


def describe_gpus() -> list[str]:
    """Return name, memory and driver of every GPU that nvidia-smi lists, as it words them."""
    return _query_gpus("name,memory.total,driver_version")


def _query_gpus(fields: str, form: str = "csv,noheader") -> list[str]:
    """Return a line for each GPU with what nvidia-smi says of the `fields`; none where there is no GPU or no driver."""
    answer = _output("nvidia-smi", f"--query-gpu={fields}", f"--format={form}")
    return [line.strip() for line in answer.splitlines() if line.strip()] if answer else []


def default_device() -> Literal["cpu", "cuda"]:
    """Return where networks run by default: on a GPU that torch can use. Loads torch only where nvidia-smi lists a GPU."""
    return "cuda" if list_gpus() and _torch_finds_gpu() else "cpu"


def check_device(device: str) -> None:
    """Raise SuiteError where PyTorch cannot use a GPU that is asked for."""
    if device == "cuda" and not _torch_finds_gpu():
        raise SuiteError("--device cuda: PyTorch finds no GPU that it can use here. Choose --device cpu.", exit=Exit.NOT_READY)


def _torch_finds_gpu() -> bool:
    os.environ.setdefault("PYTORCH_NVML_BASED_CUDA_CHECK", "1")  # asks the driver without starting CUDA in this process
    import torch

    return torch.cuda.is_available()


def choose_threads(asked: int | None) -> int:
    """Return the threads of `--threads`, all cores by default; SuiteError for more than this machine has."""
    cores = count_cores()
    threads = cores if asked is None else asked
    if not 1 <= threads <= cores:
        raise SuiteError(f"--threads {threads}: this machine has {cores} cores, so it must be 1 to {cores}.")
    return threads


def installed_packages() -> dict[str, str]:
    """Return the installed versions of PACKAGES; a package that is not installed is left out."""
    found: dict[str, str] = {}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def find_commit(folder: Path = ROOT) -> tuple[str, bool | None]:
    """Return the commit of the checkout in `folder` and whether tracked or new files differ from it; ('unknown', None) outside git."""
    head = _output("git", "-C", str(folder), "rev-parse", "HEAD")
    if head is None:
        return "unknown", None
    changes = _output("git", "-C", str(folder), "status", "--porcelain")
    return head.strip(), None if changes is None else bool(changes.strip())


def _output(program: str, *arguments: str) -> str | None:
    """Return the standard output of a program; None where it is not installed, fails or does not answer."""
    path = shutil.which(program)
    if path is None:
        return None
    try:
        done = subprocess.run([path, *arguments], capture_output=True, text=True, timeout=TOOL_SECONDS, check=False)  # noqa: S603 fixed programs
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


def _cpu_model() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return (_output("sysctl", "-n", "machdep.cpu.brand_string") or platform.processor() or platform.machine()).strip()


def _memory() -> tuple[int, int]:
    """Return the bytes of memory that there are and that are free: this machine's, or the container's where those are fewer (cgroup v2)."""
    import psutil  # which knows nothing of a container's limit

    total, free = psutil.virtual_memory()[:2]
    limit, used = (Path("/sys/fs/cgroup") / name for name in ("memory.max", "memory.current"))
    if limit.is_file() and (text := limit.read_text(encoding="ascii").strip()) != "max":
        total = min(total, int(text))
        if used.is_file():
            free = min(free, int(text) - int(used.read_text(encoding="ascii")))
    return total, free


def machine_digest() -> str:
    """Return 16 hexadecimal digits that tell this machine from others."""
    return hashlib.sha256(json.dumps(describe_machine(), sort_keys=True).encode()).hexdigest()[:16]
