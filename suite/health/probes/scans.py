"""The scan backends that are verified, each against the reference in float64."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import chain

from models.scan.backends import BackendUnavailable, resolve_backend
from models.scan.cases import CASES
from suite.health.probes.number import Number, ProbePart
from suite.measure.scans import check

WATCHED_BACKENDS = ("numba", "cpp")  # where they run
SCAN_ELEMENTS, LONG_CASE = 60_000, "length-20164"  # of the largest case that is verified, and the long one beside


def parts() -> tuple[ProbePart, ...]:
    """Return a part for each backend."""
    return tuple(ProbePart(backend, partial(_verified, backend), 14) for backend in WATCHED_BACKENDS)


def _verified(backend: str) -> Iterator[Number]:
    """Compare the backend with the reference, forward and every gradient, short and long: "right", or what is off."""
    try:
        resolve_backend(backend, "cpu")
    except BackendUnavailable as error:
        yield Number(f"scans/{backend}", "digest", None, error=f"{backend} does not run here: {error.reason}")
        return
    checks = chain(check.check_backend(backend, "cpu", SCAN_ELEMENTS), check.check_case(backend, "cpu", CASES[LONG_CASE]))
    wrong = [f"{found.name}: {', '.join(found.wrong)}" for found in checks if found.wrong]
    yield Number(f"scans/{backend}", "digest", "; ".join(wrong[:3]) or "right")
