"""What made a number: machine, package versions, commit. No user name, home folder or host name goes in."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import tomllib
from importlib import metadata
from pathlib import Path
from typing import Literal, NamedTuple

from suite.core.errors import Exit, SuiteError
from suite.core.paths import ROOT, SHIPPED, is_installed

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
    "kernels",
    "intel_extension_for_pytorch",
)
PROJECT = "ssm-restoration-suite"  # as pyproject.toml names it
NO_ANSWER = "git does not answer"
TRUST = "git config --global --add safe.directory"
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


class Commit(NamedTuple):
    """The commit of a checkout."""

    name: str  # "unknown" where there is none
    dirty: bool | None  # whether tracked or new files differ from it; None where that is unknown
    reason: str = ""  # why there is none; it holds no path


def find_commit(folder: Path = ROOT) -> Commit:
    """Return the commit of the checkout that the code in `folder` belongs to, whatever the working folder and the variables of git.

    A repository that merely lies around the folder (an environment in a project of somebody's) has another history: it does not count.
    """
    if folder == ROOT and is_installed():
        return _find_built_commit()
    if shutil.which("git") is None:
        return Commit("unknown", None, "git is not installed, or not on PATH")
    code = _git(folder, "ls-files", "--error-unmatch", *(name for name in ("suite", "models") if (folder / name).is_dir()))
    head = _git(folder, "rev-parse", "HEAD") if code is None or code.returncode == 0 else code
    if head is None:
        return Commit("unknown", None, f"{NO_ANSWER} within {TOOL_SECONDS} s")
    if head.returncode:
        return Commit("unknown", None, _explain_refusal(head.stderr))
    changes = _git(folder, "status", "--porcelain")
    return Commit(head.stdout.strip(), bool(changes.stdout.strip()) if changes is not None and changes.returncode == 0 else None)


def _find_built_commit() -> Commit:
    """Return the commit that the installed wheel was built of, as setup.py noted it."""
    try:
        held = json.loads((SHIPPED / "commit.json").read_text(encoding="utf-8"))
        return Commit(str(held["name"]), held["dirty"])
    except (OSError, ValueError, LookupError, TypeError):
        return Commit("unknown", None, "the installed suite was not built in a git checkout")


def _git(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str] | None:
    """Run git in `folder`; None where it does not answer. Variables by which git's hooks name another repository are left out."""
    others = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR", "GIT_PREFIX", "GIT_OBJECT_DIRECTORY", "GIT_NAMESPACE")
    there = {name: value for name, value in os.environ.items() if name not in others} | {"LC_ALL": "C"}
    try:
        return subprocess.run(  # noqa: S603 a fixed program
            [shutil.which("git") or "git", "-C", str(folder), *arguments],
            capture_output=True,
            text=True,
            timeout=TOOL_SECONDS,
            check=False,
            env=there,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None


def _explain_refusal(error: str) -> str:
    """Return why git names no commit of the suite's code: in our words where they are known, else in git's, without paths."""
    for words, reason in (
        ("not a git repository", "the suite's code lies in no git checkout"),
        ("did not match any file", "the suite's code is no part of the git repository around it"),
        ("ambiguous argument 'HEAD'", "the checkout has no commit yet"),
    ):
        if words in error:
            return reason
    first = next(filter(None, map(str.strip, error.splitlines())), "without a word")
    said = re.sub(r"'/[^']*'|(?<!\S)/\S+", "FOLDER", first)
    if "dubious ownership" in error:
        return f"git refuses the checkout, which belongs to another user: {said} (`{TRUST} FOLDER` allows it)"
    return f"git cannot read the checkout: {said}"


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


def find_version() -> str:
    """Return the version of the suite: of pyproject.toml beside the code, else as installed; empty where neither is there."""
    project = ROOT / "pyproject.toml"
    if project.is_file():
        return str(tomllib.loads(project.read_text(encoding="utf-8"))["project"]["version"])
    try:
        return metadata.version(PROJECT)
    except metadata.PackageNotFoundError:
        return ""


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
