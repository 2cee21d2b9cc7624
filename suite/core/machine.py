"""What made a number: machine, package versions, commit. No user name, home folder or host name goes in.

Functions:
    machine()    processor, cores, memory, GPUs, system, Python, as a record keeps them
    packages()   versions of the packages that can move a number
    commit()     git commit of the checkout, and whether it has uncommitted changes
    cores()      processor cores that this process may use
    default_device()  where networks run by default
"""

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
        "memory_gib": round(_memory_bytes() / 2**30, 1),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
    }
    names = list_gpus()
    if names:
        facts["gpu"] = ", ".join(names)
    return facts


def list_gpus() -> list[str]:
    """Return the names of the GPUs that nvidia-smi lists; empty where there is none or no driver."""
    answer = _output("nvidia-smi", "--query-gpu=name", "--format=csv,noheader")
    return [line.strip() for line in answer.splitlines() if line.strip()] if answer else []


def free_gpu_mib() -> float | None:
    """Return the memory in MiB that is free on the first GPU, by nvidia-smi; None where it does not tell."""
    answer = _output("nvidia-smi", "--query-gpu=memory.free", "--format=csv,noheader,nounits")
    first = answer.splitlines()[0].strip() if answer and answer.strip() else ""
    return float(first) if first.isdecimal() else None


def describe_gpus() -> list[str]:
    """Return name, memory and driver of every GPU that nvidia-smi lists, as it words them."""
    answer = _output("nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader")
    return [line.strip() for line in answer.splitlines() if line.strip()] if answer else []


def default_device() -> Literal["cpu", "cuda"]:
    """Return where networks run by default: on a GPU that torch can use. Loads torch only where nvidia-smi lists a GPU."""
    if not list_gpus():
        return "cpu"
    os.environ.setdefault("PYTORCH_NVML_BASED_CUDA_CHECK", "1")  # asks the driver without starting CUDA in this process
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


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


def _memory_bytes() -> int:
    """Return the physical memory, or the container's limit where it is lower."""
    import psutil  # which knows nothing of a container's limit

    total = psutil.virtual_memory().total
    limit = Path("/sys/fs/cgroup/memory.max")
    if limit.is_file():
        text = limit.read_text(encoding="ascii").strip()
        if text != "max":
            total = min(total, int(text))
    return total


def machine_digest() -> str:
    """Return 16 hexadecimal digits that tell this machine from others."""
    return hashlib.sha256(json.dumps(describe_machine(), sort_keys=True).encode()).hexdigest()[:16]
