"""Made-up scan records for the tests of the view and the page: every number is invented."""

from synthetic_records import provenance

from suite.records.kinds.scan import Absent, CeilingsUsed, ScanFindings, ScanRecord, ScanRound, ScanStart, ScanTiming, Verified
from suite.records.spec import ScanSpec


def spec(backend="numba", **changed):
    fields = {"cases": ("light", "channel"), "threads": 2, "machine": "m" * 16, "software": "s" * 16}
    return ScanSpec(backend=backend, **(fields | changed))


def timing(case="light", work="forward", median=10.0, *, path="sequences", **changed):
    fields = {
        "rounds": (ScanRound(seconds=(median / 1e3,) * 5, calls=1, others=0.0),),
        "warm_up_calls": 3,
        "first_ms": 2 * median,
        "median_ms": median,
        "quartiles_ms": (0.9 * median, 1.1 * median),
        "moved_bytes": 10_000_000,
        "exponentials": 11_796_480,
        "peak_memory_mib": 4.5,
    }
    shape = "1 × 288 channels, 10 states, 4,096 steps"
    what = {"case": case, "layer": "a layer", "shape": shape, "path": path, "work": work, "elements": 11_796_480}
    return ScanTiming(**(what | fields | changed))


def skipped(case="light", work="forward", expected=4000.0):
    none = dict.fromkeys(("first_ms", "median_ms", "quartiles_ms", "moved_bytes", "exponentials", "peak_memory_mib"))
    return timing(case, work, rounds=(), warm_up_calls=0, **none, skipped="it would take about 4.0 s a call", expected_ms=expected)


def verified(name="light", error=2e-7):
    return Verified(name=name, errors={"y": 1e-7, "A": error}, allowed={"y": 3e-6, "A": 3e-6})


def findings(times, **changed):
    fields = {
        "verdict": "correct",
        "verified": (verified(),),
        "starts": (
            ScanStart(caches="empty", case="light", length=256, forward_seconds=12.5, backward_seconds=9.25),
            ScanStart(caches="filled", case="light", length=256, forward_seconds=0.5, backward_seconds=0.125),
        ),
        "ceilings": CeilingsUsed(bandwidth_bytes_per_second=5e10, exponentials_per_second=2e10, exponentials_method="2^x of a test"),
        "timings": tuple(times),
        "absent": (Absent(name="triton", reason="there is no GPU.", remedy="use a machine with one"),),
    }
    return ScanFindings(**(fields | changed))


def record(backend="numba", times=(), *, finished="2026-03-02T10:04:30+00:00", attempt=1, spec_fields=None, **changed):
    of = spec(backend, **(spec_fields or {}))
    fields = {"status": "done", "findings": findings(times), "provenance": provenance(finished=finished)}
    return ScanRecord(fingerprint=of.fingerprint, spec=of, attempt=attempt, **(fields | changed))


def incorrect(backend="numba", **changed):
    wrong = findings((), verdict="incorrect", verified=(verified(error=None), verified("channel")), ceilings=None)
    return record(backend, status="failed", findings=wrong, error="incorrect, so not timed: the gradient of A is not finite", **changed)


def bench():
    """The reference, slow and partly not timed, and two fast backends, one of which scans images."""
    works = ("forward", "forward+backward")
    reference = record("reference", [skipped(work=work) for work in works] + [timing("channel", work, 40.0) for work in works])
    numba = record("numba", [timing(case, work, 8.0, noisy=True) for case in ("light", "channel") for work in works])
    cpp = record("cpp", [timing(path=path, work=work, median=ms) for path, ms in (("image", 2.0), ("image-copied", 5.0)) for work in works])
    return [reference, numba, cpp]
