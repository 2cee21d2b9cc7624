"""A cell of the scan benchmark, from spec to record: what the launchers run, as suite.training.cell is for models.

The backend is timed in processes of its own (suite.measure.scans.measure), which hold nothing of another's libraries: first, where it is
asked for, its start with empty caches, then the rest with the caches that this filled. Environment variables hold the threads from the
outset, as OpenMP wants it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import tempfile
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

from suite.core.process import ask, environment_for
from suite.measure.scans.grid import list_available
from suite.records.cell import CellContext, Progress, now, provenance
from suite.records.kinds.scan import Caches, ScanFindings, ScanRecord, ScanStart, Verified
from suite.records.spec import ScanSpec

# The variable by which a backend knows where to keep what it builds; the others build nothing.
BUILDS: Mapping[str, str] = MappingProxyType({"numba": "NUMBA_CACHE_DIR", "cpp": "SUITE_CACHE", "triton": "TRITON_CACHE_DIR"})


def run_scan(spec: ScanSpec, context: CellContext) -> Iterator[Progress | ScanRecord]:
    """Verify and time a backend; a backend that is wrong makes a failed record without times."""
    started = now()
    findings = None
    for event in measure_in_processes(spec):
        if isinstance(event, Progress):
            yield event
        else:
            findings = event
    if findings is None:
        raise RuntimeError("the process that times the backend ended without findings")
    wrong = [found for found in findings.verified if found.wrong]
    yield ScanRecord(
        fingerprint=spec.fingerprint,
        spec=spec,
        status="failed" if wrong else "done",
        attempt=context.attempt,
        findings=findings.model_copy(update={"absent": tuple(list_available(spec.device)[1])}),
        provenance=provenance(dataclasses.replace(context, threads=spec.threads), started, {}, spec.backend),
        error=_accusation(wrong) if wrong else None,
    )


def _accusation(wrong: list[Verified]) -> str:
    """Describe the first comparison that failed, and how many did."""
    first = max(wrong, key=lambda found: found.share(found.worst))
    error = first.errors[first.worst]
    what = "y" if first.worst == "y" else f"the gradient of {first.worst}"
    size = "not finite" if error is None else f"{error:.1e} off, {first.allowed[first.worst]:.1e} allowed"
    cases = f"{len(wrong)} {'comparison' if len(wrong) == 1 else 'comparisons'} with float64 failed"
    return f"incorrect, so not timed: {what} is {size} in the case {first.name}; {cases}"


def measure_in_processes(spec: ScanSpec) -> Iterator[Progress | ScanFindings]:
    """Yield progress and findings from processes of the backend's own."""
    with contextlib.ExitStack() as stack:
        environment = environment_for(spec.threads)
        starts: list[ScanStart] = []
        caches: Caches = "found" if spec.backend in BUILDS else "none"
        if spec.build and spec.backend in BUILDS:
            folder = tempfile.TemporaryDirectory(prefix="ssm-scan-", ignore_cleanup_errors=True)
            environment |= {BUILDS[spec.backend]: stack.enter_context(folder)}
            yield Progress(spec.fingerprint, "building", 0, spec.steps)
            said = _worker(spec, environment, "empty", only_start=True)
            starts += [ScanStart.model_validate(value) for kind, value in said if kind == "start"]
            caches = "filled"
        for kind, value in _worker(spec, environment, caches, only_start=False):
            if kind == "progress":
                yield Progress(**value)
            else:
                found = ScanFindings.model_validate(value)
                yield found.model_copy(update={"starts": (*starts, *found.starts)})


def _worker(spec: ScanSpec, environment: dict[str, str], caches: Caches, *, only_start: bool) -> Iterator[tuple[str, Any]]:
    """Start a worker and yield what it says, by kind."""
    asked = {"spec": spec.model_dump(mode="json"), "only_start": only_start, "caches": caches}
    yield from ask("suite.measure.scans.measure:answer", asked, environment, f"the backend {spec.backend}")
