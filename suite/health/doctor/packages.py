"""Checks of Python and of packages: versions against lower bounds, and whether what is installed fits together."""

from __future__ import annotations

import importlib
import platform
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib import metadata

from suite.core import machine
from suite.core.paths import ROOT, is_installed
from suite.health.doctor.findings import Diagnosis, Question, say_error

OPTIONAL = ("triton", "pyiqa", "mamba-ssm", "kernels", "spandrel", "tensorboard", "h5py")
IMPORTED = ("numpy", "torch", "torchvision", "numba", "scipy", "pandas", "PIL", "skimage", "lpips", "fvcore", "jinja2", "rich")
ABI = re.compile(r"_ARRAY_API|numpy\.dtype size changed|compiled using NumPy 1|numpy\.core\.multiarray|binary incompatib", re.IGNORECASE)


def check_python(_: Question) -> list[Diagnosis]:
    """Report Python's version, the system, and whether packages go into an environment of their own."""
    lowest = _lowest_python()
    about = f"Python {platform.python_version()}, {platform.system()} {platform.machine()}"
    if read_release(platform.python_version()) < read_release(lowest):
        return [Diagnosis("", "problem", f"{about}; {lowest} is the oldest that is supported", f"python{lowest} -m venv .venv")]
    shared = sys.prefix == sys.base_prefix
    return [Diagnosis("", "ok", about + (", not in an environment of its own" if shared else ""))]


def check_packages(_: Question) -> list[Diagnosis]:
    """Compare the versions of what the suite requires with its lower bounds."""
    held, wrong = [], []
    for name, lowest in list_required():
        version = find_version(name)
        if version is None or read_release(version) < read_release(lowest):
            found = f"{name} is not installed" if version is None else f"{name} {version} is older than {lowest}"
            wrong.append(Diagnosis("", "problem", found, f"pip install --upgrade '{name}>={lowest}'"))
        else:
            held.append(f"{name} {version}")
    return [Diagnosis("", "ok", ", ".join(held) or "none"), *wrong]


def check_optional(_: Question) -> list[Diagnosis]:
    """Report the versions of optional packages."""
    held = [f"{name} {version}" for name in OPTIONAL if (version := find_version(name))]
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
            broken.append(Diagnosis("", "problem", f"{name} cannot be imported ({say_error(error)})", _reinstall(name, str(error))))
    findings += broken or _torch_without_numpy()
    return findings or [Diagnosis("", "ok", f"{len(IMPORTED)} packages are imported")]


def _torchvision_for_another_torch() -> list[Diagnosis]:
    torch, vision = find_version("torch"), find_version("torchvision")
    if torch is None or vision is None:
        return []
    wanted = [line for line in metadata.requires("torchvision") or [] if re.match(r"torch\s*\(?==", line)]
    match = re.search(r"==\s*([\d.]+)", wanted[0]) if wanted else None
    if match is None or read_release(match[1]) == read_release(torch):
        return []
    found = f"torchvision {vision} was built for torch {match[1]}, and torch {torch} is installed: it cannot be imported, nor can lpips"
    return [Diagnosis("", "problem", found, "pip install --upgrade torch torchvision (both in one command, from one index)")]


def _torch_without_numpy() -> list[Diagnosis]:
    import torch

    try:
        torch.zeros(1).numpy()
    except RuntimeError as error:
        return [Diagnosis("", "problem", f"torch cannot use NumPy ({say_error(error)})", "pip install --upgrade torch torchvision numpy")]
    return []


def _reinstall(module: str, error: str) -> str:
    name = {"PIL": "pillow", "skimage": "scikit-image"}.get(module, module)
    if ABI.search(error):
        return f"pip install --upgrade --force-reinstall {name} (it was built for another NumPy)"
    both = "torch torchvision" if module == "torchvision" else name
    return f"pip install --upgrade --force-reinstall {both}"


def _project() -> dict[str, object]:
    """Return what pyproject.toml says in a checkout."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def _lowest_python() -> str:
    asked = metadata.metadata(machine.PROJECT)["Requires-Python"] if is_installed() else _project()["requires-python"]
    return str(asked).removeprefix(">=")


def list_required() -> Iterator[tuple[str, str]]:
    """Yield name and lower bound of each package that the suite requires; upper ones are left out, as are optional packages."""
    lines = metadata.requires(machine.PROJECT) or [] if is_installed() else _project()["dependencies"]
    for line in lines:
        needed, _, condition = line.partition(";")
        if (match := re.search(r">=\s*([\w.]+)", needed)) and "extra" not in condition:
            yield re.match(r"[\w.-]+", needed)[0], match[1]


def find_version(name: str) -> str | None:
    """Return the version of an installed package; None where it is not there."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def read_release(version: str) -> tuple[int, ...]:
    """Return the release that a version begins with, without zeros at its end: 2.6.0+cpu as 2, 6."""
    match = re.match(r"\d+(?:\.\d+)*", version)
    found = [int(part) for part in match[0].split(".")] if match else []
    while found and not found[-1]:
        found.pop()
    return tuple(found)
