"""The cells of the scan benchmark: one for each backend that runs on a device of this machine, over all the chosen cases.

A cell takes the whole machine: every core, and a GPU of its own where the device is one, so that no two are timed at once.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from models.lookup import suggest
from models.scan.backends import BACKENDS, REVISION, BackendUnavailable, resolve_backend
from models.scan.cases import CASES, LAYERS
from suite.core.errors import Exit, SuiteError
from suite.core.machine import check_device, choose_threads, machine_digest
from suite.records.kinds.scan import Absent
from suite.records.spec import ScanSpec
from suite.study import versions
from suite.study.grids import SCAN_GRID, selects

GRID_NAME = SCAN_GRID
GRID_SUMMARY = "every scan backend that runs on this machine, verified and timed; one cell per backend, each with the machine to itself"
REASON = "every backend that runs here is timed"
KEPT = ("device", "dtype", "backward", "images", "build", "seconds")  # of a selection, by the specs
SOFTWARE = ("torch", "numba", "triton", "mamba-ssm", "kernels")


@dataclass(frozen=True)
class Selection:
    """A choice of what is timed and how; no name means all that there are."""

    device: str
    backends: Sequence[str] = ()  # names, each of which must run here
    only: Sequence[str] = ()  # patterns for the names of those that run here
    cases: Sequence[str] = ()  # names or patterns of models.scan.cases.CASES; none means the layers of real networks
    dtype: str = "float32"
    backward: bool = True
    images: bool = True
    build: bool = True
    seconds: float = 1.0
    threads: int | None = None  # None: all that this process may use


def plan_scans(selection: Selection) -> tuple[list[ScanSpec], list[Absent]]:
    """Plan the cells, and list the backends that do not run here; raises `UnknownName`, `BackendUnavailable` or `SuiteError`."""
    for name in selection.backends:
        resolve_backend(name, selection.device)
    check_device(selection.device)
    running, absent = list_available(selection.device)
    named = [name for name in running if not selection.backends or name in selection.backends]
    chosen = [name for name in named if not selection.only or any(selects(pattern, name, BACKENDS) for pattern in selection.only)]
    if not chosen:
        raise SuiteError(f"--only {' '.join(selection.only)} selects none of the backends {', '.join(named)}.", exit=Exit.NOTHING)
    threads = choose_threads(selection.threads)
    if not 0 < selection.seconds <= 60:
        raise SuiteError(f"--seconds {selection.seconds}: it must be more than 0 and at most 60.")
    names, here, software = _cases(selection.cases), machine_digest(), software_digest()
    same = {field: getattr(selection, field) for field in KEPT}
    specs = [ScanSpec(backend=name, cases=names, threads=threads, machine=here, software=software, **same) for name in chosen]
    return specs, absent


def list_available(device: str) -> tuple[list[str], list[Absent]]:
    """List the names of the backends that can be timed on `device` here, and the others with their reasons."""
    running, absent = [], []
    for name in BACKENDS:
        try:
            resolve_backend(name, device)
        except BackendUnavailable as error:
            absent.append(Absent(name=name, reason=error.reason, remedy=error.remedy))
            continue
        if name == "triton" and os.environ.get("TRITON_INTERPRET") == "1":
            absent.append(
                Absent(name=name, reason="it is interpreted, which says nothing about its time.", remedy="unset TRITON_INTERPRET")
            )
        else:
            running.append(name)
    return running, absent


def _cases(patterns: Sequence[str]) -> tuple[str, ...]:
    """Return the names of the selected cases in their order; SuiteError where a pattern selects none."""
    if not patterns:
        return tuple(case.name for case in LAYERS)
    for pattern in patterns:
        if not any(selects(pattern, name, CASES) for name in CASES):
            raise SuiteError(f"--case {pattern} selects none of the cases.{suggest(pattern, CASES)}", exit=Exit.NOTHING)
    return tuple(name for name in CASES if any(selects(pattern, name, CASES) for pattern in patterns))


def software_digest() -> str:
    """Return 16 hexadecimal digits over the version of the scans and of the packages that they are built with."""
    revision = os.environ.get(REVISION)
    return versions.software((versions.SCANS, *([f"{REVISION}={revision}"] if revision else [])), SOFTWARE)
