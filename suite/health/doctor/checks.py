"""CHECKS: what `python -m suite doctor` looks at. A check is a function from a question to findings; each runs in a process of its own
(run.py), so it may import what is broken. It imports what it needs by itself: this module loads nothing heavy.
"""

from __future__ import annotations

import importlib
import os
import re
import shutil
from pathlib import Path

from models.cache import FolderUnavailable, find_cache, find_in_cache, is_file
from suite.core import machine
from suite.core.errors import SuiteError
from suite.core.paths import ROOT, data_folder, is_installed
from suite.health.doctor.findings import Check, Diagnosis, Question, State, say_error
from suite.health.doctor.packages import check_imports, check_optional, check_packages, check_python

BACKENDS = ("reference", "numba", "cpp", "triton", "cuda")  # those of models.scan.backends, whose package loads torch; a test compares
SELF_CHECK = "length-65"  # the case of models.scan.cases that is checked: a step beyond a tile, in a moment
LITTLE_GIB, NOTHING_GIB = 5.0, 0.2  # of disk: a run of the paper's budget, a record
BACKEND_SECONDS = 15.0
COMPILES = "its first use compiles, or fetches a kernel, which may take minutes"
COMPILE = "python -m suite scan --seconds 0.1 --no-build --backend"
NAME_DATA = "export SUITE_DATA=<the folder of your data sets>"
QUOTED_COMMAND = re.compile(r"`([^`]+)`")


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
        return [Diagnosis("", "problem", f"it cannot be imported ({say_error(error)})", mend)]
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
