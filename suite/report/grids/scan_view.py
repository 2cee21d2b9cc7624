"""What the table and the page of the scan benchmark show, decided once: which record stands, what is compared with what, in which words.

A bench is what may be compared: one machine, device, number of threads and dtype. Of each backend the latest record stands; cases that it
did not time come from earlier records of the same software, and none do where the latest record says that the backend is wrong.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

from suite.records.kinds.scan import Absent, Path, ScanRecord, ScanTiming, Verified, Work
from suite.records.record import error_line
from suite.report import html as pages

SCAN_FILE = "scan.html"
SCAN_COMMAND = "python -m suite scan"
PATHS: dict[Path, str] = {"sequences": "", "image": "image, walked by address", "image-copied": "image, by copies"}
REFERENCE = "reference"
Best = tuple[float, float] | None  # bytes and exponentials a second
HALF_PRECISION = 2.0**-12  # a tolerance above this has a rounding to 16 bits in it


@dataclass(frozen=True)
class ScanTime:
    """A time with what it is compared with; `ratio` is how many times faster than the baseline, `about` where that was only estimated."""

    timing: ScanTiming
    ratio: float | None
    about: bool
    share: float | None = None  # of the nearer ceiling that was reached
    bound_by: str = ""  # which ceiling that is

    @property
    def text(self) -> str:
        """Median and quartiles in milliseconds."""
        low, high = self.timing.quartiles_ms or (0.0, 0.0)
        return f"{format_digits(self.timing.median_ms)} [{format_digits(low)}–{format_digits(high)}]"


@dataclass(frozen=True)
class BackendTimes:
    """A backend at a case."""

    backend: str
    forward: ScanTime | None
    both: ScanTime | None
    verified: Verified | None
    memory_mib: float | None


@dataclass(frozen=True)
class CaseRows:
    """All backends at a case; of images, both paths of the backends that have them."""

    case: str
    layer: str
    shape: str
    path: Path
    rows: tuple[BackendTimes, ...]


@dataclass(frozen=True)
class Bench:
    """All that may be compared: one machine, device, number of threads and dtype."""

    device: str
    dtype: str
    threads: int
    machine: tuple[tuple[str, str], ...]
    standing: tuple[ScanRecord, ...]  # one a backend
    sequences: tuple[CaseRows, ...]
    images: tuple[CaseRows, ...]
    absent: tuple[Absent, ...]
    ceilings: tuple[tuple[str, str], ...]
    packages: tuple[tuple[str, str], ...]
    noisy: int  # times that others disturbed

    @property
    def title(self) -> str:
        """The processor, or the GPU."""
        facts = dict(self.machine)
        name = facts.get("gpu") if self.device == "cuda" else facts.get("cpu")
        threads = "1 thread" if self.threads == 1 else f"{self.threads} threads"
        return f"{name or self.device}, {threads}, {self.dtype}" if self.device == "cpu" else f"{name or self.device}, {self.dtype}"


def gather_benches(records: Iterable[ScanRecord]) -> list[Bench]:
    """Return the benches of all the records, GPUs first."""
    with_findings = [record for record in records if record.provenance]
    key = lambda record: (record.spec.device != "cuda", record.spec.machine, record.spec.dtype, -record.spec.threads)  # noqa: E731
    return [_bench(list(group)) for _, group in groupby(sorted(with_findings, key=key), key=key)]


def _bench(records: Sequence[ScanRecord]) -> Bench:
    by_age = sorted(records, key=lambda record: (record.provenance.finished, record.attempt))
    standing = {record.spec.backend: record for record in by_age}
    times: dict[tuple[str, str, Path, Work], ScanTiming] = {}
    for record in by_age:
        latest = standing[record.spec.backend]
        if latest.status == "done" and record.status == "done" and record.spec.software == latest.spec.software:
            times |= {(record.spec.backend, t.case, t.path, t.work): t for t in record.findings.timings}
    first, newest, best = by_age[0], by_age[-1], _best_ceilings(by_age)
    return Bench(
        device=first.spec.device,
        dtype=first.spec.dtype,
        threads=first.spec.threads,
        machine=tuple((name.replace("_gib", ", GiB"), str(value)) for name, value in newest.provenance.machine.items()),
        standing=tuple(standing.values()),
        sequences=_cases(times, standing, ("sequences",), best),
        images=_cases(times, standing, ("image", "image-copied"), best),
        absent=tuple(one for one in (newest.findings.absent if newest.findings else ()) if one.name not in standing),
        ceilings=_ceilings(by_age, best),
        packages=tuple(sorted(newest.provenance.packages.items())),
        noisy=sum(timing.noisy for timing in times.values()),
    )


def _ceilings(records: Sequence[ScanRecord], best: Best) -> tuple[tuple[str, str], ...]:
    """Return the ceilings in words."""
    if best is None:
        return ()
    methods = dict.fromkeys(one.findings.ceilings.exponentials_method for one in records if one.findings and one.findings.ceilings)
    exponentials = f"10⁹ exponentials a second ({'; '.join(methods)})"
    return (("bandwidth, GB/s, read and written", format_digits(best[0] / 1e9)), (exponentials, format_digits(best[1] / 1e9)))


def _cases(
    times: dict[tuple[str, str, Path, Work], ScanTiming], standing: dict[str, ScanRecord], paths: Sequence[Path], best: Best
) -> tuple[CaseRows, ...]:
    found = {(t.case, t.path): t for (_, _, path, _), t in times.items() if path in paths}
    longest = max((record.spec.cases for record in standing.values()), key=len)  # list of cases that was asked for
    order = {case: place for place, case in enumerate(longest)}
    groups = []
    for (case, path), example in sorted(found.items(), key=lambda item: (order.get(item[0][0], len(order)), paths.index(item[0][1]))):
        rows = tuple(
            _row(times, standing[name], (case, path), best) for name in standing if any((name, case, path, w) in times for w in WORKS)
        )
        groups.append(CaseRows(case, example.layer, example.shape, path, rows))
    return tuple(groups)


WORKS: tuple[Work, ...] = ("forward", "forward+backward")


def _row(times: dict[tuple[str, str, Path, Work], ScanTiming], record: ScanRecord, at: tuple[str, Path], best: Best) -> BackendTimes:
    case, path = at
    name = record.spec.backend
    baseline = (REFERENCE, case, "sequences") if path == "sequences" else (name, case, "image-copied")
    forward, both = (_measured(times.get((name, case, path, work)), times.get((*baseline, work)), best) for work in WORKS)
    checks = {found.name: found for found in record.findings.verified}
    peaks = [found.timing.peak_memory_mib for found in (both, forward) if found and found.timing.peak_memory_mib is not None]
    check = checks.get(case if path != "image" else f"{case}, image, 4 ways")
    return BackendTimes(name, forward, both, check, peaks[0] if peaks else None)


def _measured(timing: ScanTiming | None, baseline: ScanTiming | None, best: Best) -> ScanTime | None:
    if timing is None:
        return None
    known = timing.median_ms and baseline and baseline.best_ms and baseline is not timing
    ratio = baseline.best_ms / timing.median_ms if known else None
    return ScanTime(timing, ratio, bool(known) and baseline.median_ms is None, *_share(timing, best))


def _share(timing: ScanTiming, best: Best) -> tuple[float | None, str]:
    """Return the fraction of the nearer ceiling that was reached, and which that is (suite.measure.scans.ceilings has the formula)."""
    if best is None or not timing.median_ms or timing.moved_bytes is None or timing.exponentials is None:
        return None, ""
    moving, computing = timing.moved_bytes / best[0], timing.exponentials / best[1]
    return 1e3 * max(moving, computing) / timing.median_ms, "bandwidth" if moving > computing else "exponentials"


def _best_ceilings(records: Sequence[ScanRecord]) -> Best:
    """Return the best that any record measured of the machine: a ceiling is what can be reached, and a busy machine only lowers it."""
    used = [record.findings.ceilings for record in records if record.findings and record.findings.ceilings]
    if not used:
        return None
    return max(one.bandwidth_bytes_per_second for one in used), max(one.exponentials_per_second for one in used)


def format_digits(value: float | None) -> str:
    """Format a number of any size with three digits that count; a dash where there is none."""
    if value is None:
        return "–"
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}" if value >= 1 else f"{value:.3f}"


def format_scientific(value: float | None) -> str:
    """Format a small error as 1.2e−7; what is not finite in words."""
    return "not finite" if value is None else f"{value:.1e}".replace("e-0", "e-").replace("e-", "e−")


def format_percent(share: float | None) -> str:
    """Format a share as a percentage with two digits that count."""
    if share is None:
        return "–"
    return f"{100 * share:.0f} %" if share >= 0.095 else f"{100 * share:.1f} %" if share >= 0.001 else "< 0.1 %"


def scan_page_text(records: Iterable[ScanRecord], moment: object) -> str:
    """Return the page as text; `moment` formats an ISO time for people."""
    return pages.fill_template(
        "scan.html.j2",
        {"digits": format_digits, "moment": moment, "scientific": format_scientific, "percent": format_percent},
        {"benches": gather_benches(records), "command": SCAN_COMMAND, "paths": PATHS, "worst": find_worst, "error_line": error_line},
    )


def find_worst(record: ScanRecord) -> tuple[Verified, str] | None:
    """Return the comparison that is farthest beyond its tolerance, or nearest to it, and its tensor.

    What is rounded to half precision in the end says nothing of a backend unless it is wrong.
    """
    held = record.findings.verified if record.findings else ()
    wrong = [one for one in held if one.wrong]
    exact = [one for one in held if one.allowed["y"] < HALF_PRECISION]
    if not held:
        return None
    found = max(wrong or exact or held, key=lambda one: one.share(one.worst))
    return found, found.worst


def table_lines(bench: Bench) -> list[dict[str, str]]:
    """Return the lines of the command line's table: one for each case and backend."""
    rows = []
    for group in (*bench.sequences, *bench.images):
        for row in group.rows:
            line = {"case": group.case + (f" ({PATHS[group.path]})" if PATHS[group.path] else ""), "backend": row.backend}
            for work, measured in (("forward", row.forward), ("both", row.both)):
                line |= _columns("fwd" if work == "forward" else "f+b", measured)
            error = max((e for e in row.verified.errors.values() if e is not None), default=None) if row.verified else None
            line |= {"MiB": format_digits(row.memory_mib), "error": "" if error is None else f"{error:.0e}"}
            rows.append(line)
    return rows


def _columns(work: str, measured: ScanTime | None) -> dict[str, str]:
    if measured is None:
        texts = ("", "", "")
    elif measured.timing.skipped:
        texts = (f"not timed, about {format_digits(measured.timing.expected_ms)}", "", "")
    else:
        share, mark = measured.share, "~" if measured.timing.noisy else ""
        ratio = "" if measured.ratio is None else f"{'about ' if measured.about else ''}{format_digits(measured.ratio)}×"
        texts = (mark + measured.text, ratio, "" if share is None else f"{100 * share:.2g} %")
    return dict(zip((f"{work} ms [quartiles]", f"{work} faster", f"{work} ceiling"), texts, strict=True))


TIMES_LEGEND = (
    "fwd: forward; f+b: forward and gradients. faster: than the reference (for images: than the same backend by copies). "
    "ceiling: share of the best that bandwidth and exponentials allow. error: the largest, against float64."
)
