"""CHECKS: what `python -m suite doctor` looks at. A check is a function from a question to findings; each runs in a process of its own
(suite.health.doctor_run), so it may import what is broken. It imports what it needs by itself: this module loads nothing heavy.

A finding is a problem where something that the suite needs does not work, and a warning where a part is missing that not everyone needs.
Both say what to do. Findings may hold paths: whoever shows them takes out what is private.
"""

from __future__ import annotations

import importlib
import os
import platform
import re
import shutil
import sys
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

from models.cache import FolderUnavailable, find_cache, find_in_cache, is_file
from suite.core import machine
from suite.core.errors import SuiteError
from suite.core.paths import ROOT, data_folder, is_installed

OPTIONAL = ("triton", "pyiqa", "mamba-ssm", "kernels", "spandrel", "tensorboard", "h5py")
IMPORTED = ("numpy", "torch", "torchvision", "numba", "scipy", "pandas", "PIL", "skimage", "lpips", "fvcore", "jinja2", "rich")
BACKENDS = ("reference", "numba", "cpp", "triton", "cuda")  # those of models.scan.backends, whose package loads torch; a test compares
SELF_CHECK = "length-65"  # the case of models.scan.cases that is checked: a step beyond a tile, in a moment
LITTLE_GIB, NOTHING_GIB = 5.0, 0.2  # of disk: a run of the paper's budget, a record
BACKEND_SECONDS = 15.0
COMPILES = "its first use compiles, or fetches a kernel, which may take minutes"
COMPILE = "python -m suite scan --seconds 0.1 --no-build --backend"
ABI = re.compile(r"_ARRAY_API|numpy\.dtype size changed|compiled using NumPy 1|numpy\.core\.multiarray|binary incompatib", re.IGNORECASE)
NAME_DATA = "export SUITE_DATA=<the folder of your data sets>"
QUOTED_COMMAND = re.compile(r"`([^`]+)`")

State = Literal["ok", "warning", "problem"]


@dataclass(frozen=True)
class Question:
    """The question to a check: its `subject` of the table, and the ledger's folder ("" = the default one)."""

    subject: str = ""
    ledger: str = ""


@dataclass(frozen=True)
class Diagnosis:
    """A line of the doctor's table; without a name of its own it has its check's."""

    check: str
    state: State
    found: str
    mend: str = ""  # what fixes it, as a command where there is one


@dataclass(frozen=True)
class Check:
    """A row of CHECKS."""

    name: str
    function: Callable[[Question], list[Diagnosis]]
    subject: str = ""
    deep: bool = False  # only where it is asked for
    seconds: float = 60.0  # it may take: a driver or a file system may hang; most take a tenth of it
    late: str = ""  # why it may take longer
    mend: str = ""  # what helps then


def check_python(_: Question) -> list[Diagnosis]:
    """Report Python's version, the system, and whether packages go into an environment of their own."""
    lowest = _lowest_python()
    about = f"Python {platform.python_version()}, {platform.system()} {platform.machine()}"
    if _numbers(platform.python_version()) < _numbers(lowest):
        return [Diagnosis("", "problem", f"{about}; {lowest} is the oldest that is supported", f"python{lowest} -m venv .venv")]
    shared = sys.prefix == sys.base_prefix
    return [Diagnosis("", "ok", about + (", not in an environment of its own" if shared else ""))]


def check_packages(_: Question) -> list[Diagnosis]:
    """Compare the versions of what the suite requires with its lower bounds."""
    held, wrong = [], []
    for name, lowest in _required():
        version = _version(name)
        if version is None or _numbers(version) < _numbers(lowest):
            found = f"{name} is not installed" if version is None else f"{name} {version} is older than {lowest}"
            wrong.append(Diagnosis("", "problem", found, f"pip install --upgrade '{name}>={lowest}'"))
        else:
            held.append(f"{name} {version}")
    return [Diagnosis("", "ok", ", ".join(held) or "none"), *wrong]


def check_optional(_: Question) -> list[Diagnosis]:
    """Report the versions of optional packages."""
    held = [f"{name} {version}" for name in OPTIONAL if (version := _version(name))]
    return [Diagnosis("", "ok", ", ".join(held) or "none of " + ", ".join(OPTIONAL))]


def check_imports(_: Question) -> list[Diagnosis]:
    """Import the needed packages: versions alone do not tell that they fit."""
    findings = _torchvision_for_another_torch()
    broken = []
    for name in IMPORTED:
        if name == "torchvision" and findings:
            continue
        try:
            importlib.import_module(name)
        except Exception as error:  # a compiled module that does not fit raises whatever it likes
            broken.append(Diagnosis("", "problem", f"{name} cannot be imported ({_said(error)})", _reinstall(name, str(error))))
    findings += broken or _torch_without_numpy()
    return findings or [Diagnosis("", "ok", f"{len(IMPORTED)} packages are imported")]


def _torchvision_for_another_torch() -> list[Diagnosis]:
    torch, vision = _version("torch"), _version("torchvision")
    if torch is None or vision is None:
        return []
    wanted = [line for line in metadata.requires("torchvision") or [] if re.match(r"torch\s*\(?==", line)]
    match = re.search(r"==\s*([\d.]+)", wanted[0]) if wanted else None
    if match is None or _numbers(match[1]) == _numbers(torch):
        return []
    found = f"torchvision {vision} was built for torch {match[1]}, and torch {torch} is installed: it cannot be imported, nor can lpips"
    return [Diagnosis("", "problem", found, "pip install --upgrade torch torchvision (both in one command, from one index)")]


def _torch_without_numpy() -> list[Diagnosis]:
    import torch

    try:
        torch.zeros(1).numpy()
    except RuntimeError as error:
        return [Diagnosis("", "problem", f"torch cannot use NumPy ({_said(error)})", "pip install --upgrade torch torchvision numpy")]
    return []


def _reinstall(module: str, error: str) -> str:
    name = {"PIL": "pillow", "skimage": "scikit-image"}.get(module, module)
    if ABI.search(error):
        return f"pip install --upgrade --force-reinstall {name} (it was built for another NumPy)"
    both = "torch torchvision" if module == "torchvision" else name
    return f"pip install --upgrade --force-reinstall {both}"


def check_gpu(_: Question) -> list[Diagnosis]:
    """Report NVIDIA's GPUs and their driver, and try whether torch can use them."""
    import torch

    rows = machine.describe_gpus()
    built = f"torch {torch.__version__} for CUDA {torch.version.cuda}" if torch.version.cuda else f"torch {torch.__version__} without CUDA"
    if not rows:
        silent = f" (nvidia-smi is here, and lists none within {machine.TOOL_SECONDS} s)" if shutil.which("nvidia-smi") else ""
        return [Diagnosis("", "ok", f"no NVIDIA GPU, so networks run on the processor{silent}; {built}")]
    about = f"{'; '.join(rows)}; {built}"
    if torch.cuda.is_available():
        return [Diagnosis("", "ok", about)]
    mend = "pip install --upgrade --force-reinstall torch torchvision (a build for CUDA)"
    if torch.version.cuda:
        mend = f"update the driver to one for CUDA {torch.version.cuda}, or install a torch for the driver's CUDA"
    return [Diagnosis("", "warning", f"torch cannot use the GPU: {about}", mend)]


def check_backend(question: Question) -> list[Diagnosis]:
    """Compare one scan backend with the reference in float64, forward and all gradients, on a short scan."""
    from models.scan.backends import BACKENDS, BackendUnavailable, explain_backend, resolve_backend
    from suite.measure.scans.check import CASES, measure_errors, tolerance

    name = question.subject
    device = BACKENDS[name].devices[0] if name != "reference" else "cpu"
    try:
        resolve_backend(name, device)
    except BackendUnavailable as error:
        return [Diagnosis("", "warning", f"does not run here: {error.reason}", error.remedy)]
    case = CASES[SELF_CHECK]
    shares = {tensor: error / tolerance(case, tensor) for tensor, error in measure_errors(name, case, device).items()}
    worst = max(shares, key=lambda tensor: shares[tensor])
    if not shares[worst] <= 1:
        found = f"wrong on {device}: the error of {worst} is {shares[worst]:.1f} times what it may be"
        return [Diagnosis("", "problem", found, f"--backend another one, and report what `python -m suite scan --backend {name}` prints")]
    whose = explain_backend(name)
    return [Diagnosis("", "ok", f"agrees with the reference on {device}, y and all gradients{f'; {whose}' if whose else ''}")]


def check_auto(_: Question) -> list[Diagnosis]:
    """Report which backend `auto` takes on the default device."""
    from models.scan.backends import resolve_backend

    device = machine.default_device()
    name, reason = resolve_backend("auto", device)
    if name == "reference":
        mend = "pip install --upgrade numba" if device == "cpu" else "pip install --upgrade triton"
        return [Diagnosis("", "warning", f"reference on {device}, the slow definition: {reason}", mend)]
    return [Diagnosis("", "ok", f"{name} on {device}")]


def check_compiler(_: Question) -> list[Diagnosis]:
    """Look for a C++ compiler, for the backend cpp and for torch.compile on a processor."""
    asked = os.environ.get("CXX")
    names = [asked] if asked else ["c++", "g++", "clang++"]
    found = next((name for name in names if shutil.which(name)), None)
    if found:
        return [Diagnosis("", "ok", found)]
    what = f"no C++ compiler ({', '.join(names)}): neither the backend cpp nor torch.compile works on a processor"
    return [Diagnosis("", "warning", what, "apt-get install g++ (or set CXX to a C++17 compiler)")]


def check_ray(_: Question) -> list[Diagnosis]:
    """Import Ray."""
    try:
        module = importlib.import_module("ray")
    except Exception as error:  # as above
        mend = "pip install --upgrade --force-reinstall ray (or run with --launcher inline)"
        return [Diagnosis("", "problem", f"it cannot be imported ({_said(error)})", mend)]
    found = Diagnosis("", "ok", f"ray {module.__version__} is imported")
    address = os.environ.get("RAY_ADDRESS")
    if not address:
        return [found]
    from suite.runner.cluster import FORGET_ADDRESS, explain_silence

    silence = explain_silence(address)
    if silence:
        return [found, Diagnosis("ray: cluster", "warning", f"`run` would join $RAY_ADDRESS, {address}, and {silence}", FORGET_ADDRESS)]
    return [found, Diagnosis("ray: cluster", "ok", "$RAY_ADDRESS names a cluster, which `run` joins")]


def check_ray_start(_: Question) -> list[Diagnosis]:
    """Start a Ray of one's own, on the loopback interface alone."""
    from suite.runner import cluster

    try:
        processors = cluster.try_ray()
    except SuiteError as error:
        return [Diagnosis("", "problem", str(error), "--launcher inline runs the same cells without Ray")]
    return [Diagnosis("", "ok", f"started on 127.0.0.1 with {processors:g} processors, and ended")]


def check_disk(question: Question) -> list[Diagnosis]:
    """Check the room for, and the access to, what a run writes."""
    from suite.records.ledger import Ledger

    ledger = Ledger(Path(question.ledger) if question.ledger else None)
    findings = [_room(name, folder) for name, folder in (("ledger", ledger.folder), ("work", ledger.work))]
    try:
        return [*findings, _room("cache", find_cache())]
    except FolderUnavailable as error:
        return [*findings, _without_cache("disk: cache", str(error))]


def _without_cache(check: str, reason: str) -> Diagnosis:
    """Say what it means that there is no cache, which is no fault: measuring and restoring do without."""
    what = "compiled kernels go to a temporary folder, checksums are found anew each time, and large training sets cannot be decoded"
    return Diagnosis(check, "warning", f"{reason.partition('. ')[0]}: {what}", "export SUITE_CACHE=<a folder you may write to>")


def _room(name: str, folder: Path) -> Diagnosis:
    there = next(place for place in (folder, *folder.parents) if os.path.exists(place))  # noqa: PTH110 - which raises where a folder may not be looked into
    free = shutil.disk_usage(there).free / 2**30
    option = "export SUITE_CACHE=DIR" if name == "cache" else "--ledger DIR, a folder elsewhere"
    if not os.access(there, os.W_OK | os.X_OK):
        if name == "cache":
            return _without_cache("disk: cache", f"{folder} cannot be written")
        return Diagnosis(f"disk: {name}", "problem", f"{folder} cannot be written", f"chmod u+w {there}, or {option}")
    state: State = "ok" if free >= LITTLE_GIB else "warning" if free >= NOTHING_GIB else "problem"
    return Diagnosis(f"disk: {name}", state, f"{free:.1f} GiB free in {folder}", "" if state == "ok" else f"free some space, or {option}")


def check_caches(_: Question) -> list[Diagnosis]:
    """Report where weights and compiled kernels are kept, and which weights are there."""
    import torch

    from suite.measure.quality import available, perceptual
    from suite.training.losses import vgg19_file

    asked = "" if os.environ.get("SUITE_CACHE") else " ($SUITE_CACHE is not set)"
    cache = find_in_cache() or "no cache folder"
    findings = [Diagnosis("caches", "ok", f"{cache}{asked}; torch's: {torch.hub.get_dir()}")]
    for metric in perceptual.BACKBONES:
        reason = available.explain_absence(metric)
        findings.append(_weights(metric, reason, f"{metric} is measured"))
    command = "python -c \"from torchvision.models import vgg19; vgg19(weights='IMAGENET1K_V1')\""
    lacking = f"{vgg19_file()} is not there, and recipes with a perceptual loss do not start. `{command}`"
    missing = None if is_file(vgg19_file()) else lacking
    return [*findings, _weights("VGG19", missing, "the perceptual loss has its weights")]


def _weights(name: str, reason: str | None, good: str) -> Diagnosis:
    if reason is None:
        return Diagnosis(f"weights: {name}", "ok", good)
    commands = QUOTED_COMMAND.findall(reason)
    what = reason.partition(" With a network")[0].partition(" `")[0]
    return Diagnosis(f"weights: {name}", "warning", what, commands[-1] if commands else "")


def check_data(_: Question) -> list[Diagnosis]:
    """Look for the embedded photographs, and for the user's sets."""
    from suite.data.cards import cards
    from suite.data.check.checks import find_copies
    from suite.data.photos import photos_folder

    try:
        photos_folder()
        findings = [Diagnosis("data: photos", "ok", "the embedded photographs are there")]
    except SuiteError as error:
        findings = [Diagnosis("data: photos", "problem", str(error), "pip install --force-reinstall 'scikit-image>=0.24'")]
    own = [card for card in cards().values() if not card.package]
    base = data_folder()
    if base is None:
        found = f"$SUITE_DATA is not set, so none of {len(own)} sets is looked for"
        return [*findings, Diagnosis("", "warning", found, NAME_DATA)]
    if not base.is_dir():
        return [*findings, Diagnosis("", "problem", f"$SUITE_DATA, {base}, is not a folder", NAME_DATA)]
    here = [card.name for card in own if find_copies(card, None)]
    state: State = "ok" if here else "warning"
    mend = "" if here else "python -m suite data show Set5 (in which folders a set may lie)"
    return [*findings, Diagnosis("", state, f"{len(here)} of {len(own)} sets: {', '.join(here) or 'none'}", mend)]


def check_package_names(_: Question) -> list[Diagnosis]:
    """Check that the folder datasets/ does not hide the package of that name, which pyiqa imports."""
    if is_installed():
        return [Diagnosis("", "ok", "the suite's data lie in its own package, and hide no other")]
    blockers = [path for path in (ROOT / "datasets" / "__init__.py", ROOT / "datasets.py") if path.exists()]
    if blockers:
        found = f"{blockers[0].relative_to(ROOT)} hides the Python package `datasets`, which pyiqa imports"
        return [Diagnosis("", "problem", found, f"rm {blockers[0].relative_to(ROOT)}")]
    return [Diagnosis("", "ok", "the folder datasets/ hides no package")]


def check_commit(_: Question) -> list[Diagnosis]:
    """Report the version and the commit of the suite, which records hold."""
    commit, version = machine.find_commit(), machine.find_version() or "of unknown version"
    if commit.reason:
        found = f"suite {version}; records cannot name its commit: {commit.reason}"
        mend = "clone the repository and `pip install .` there"
        if machine.TRUST in commit.reason:
            mend = f"{machine.TRUST} {ROOT}"
        elif machine.NO_ANSWER in commit.reason:
            mend = "python -m suite doctor (again, when less else runs here)"
        return [Diagnosis("", "warning", found, mend)]
    return [Diagnosis("", "ok", f"suite {version}, commit {commit.name[:12]}{', with uncommitted changes' if commit.dirty else ''}")]


CHECKS: tuple[Check, ...] = (
    Check("python", check_python),
    Check("commit", check_commit),
    Check("packages", check_packages),
    Check("optional packages", check_optional),
    Check("imports", check_imports),
    Check("gpu", check_gpu),
    *(
        Check(f"scan: {name}", check_backend, name, seconds=BACKEND_SECONDS)
        if name == "reference"
        else Check(f"scan: {name}", check_backend, name, seconds=BACKEND_SECONDS, late=COMPILES, mend=f"{COMPILE} {name}")
        for name in BACKENDS
    ),
    Check("scan: auto", check_auto),
    Check("compiler", check_compiler),
    Check("ray", check_ray),
    Check("ray: start", check_ray_start, deep=True),
    Check("disk", check_disk),
    Check("caches", check_caches),
    Check("data sets", check_data),
    Check("package names", check_package_names),
)


def _project() -> dict[str, object]:
    """Return what pyproject.toml says in a checkout."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def _lowest_python() -> str:
    asked = metadata.metadata(machine.PROJECT)["Requires-Python"] if is_installed() else _project()["requires-python"]
    return str(asked).removeprefix(">=")


def _required() -> Iterator[tuple[str, str]]:
    """Yield name and lower bound of each package that the suite requires; upper ones are left out, as are optional packages."""
    lines = metadata.requires(machine.PROJECT) or [] if is_installed() else _project()["dependencies"]
    for line in lines:
        needed, _, condition = line.partition(";")
        if (match := re.search(r">=\s*([\w.]+)", needed)) and "extra" not in condition:
            yield re.match(r"[\w.-]+", needed)[0], match[1]


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _numbers(version: str) -> tuple[int, ...]:
    """Return the release that a version begins with, without zeros at its end: 2.6.0+cpu as 2, 6."""
    match = re.match(r"\d+(?:\.\d+)*", version)
    found = [int(part) for part in match[0].split(".")] if match else []
    while found and not found[-1]:
        found.pop()
    return tuple(found)


def _said(error: Exception) -> str:
    """Return type and first line of an error."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
