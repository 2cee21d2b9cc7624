"""What is known of a scan backend on a device: whether it is right, how long it takes to start, and how long over each case.

A backend that is not right has no times: the record has failed, says where it is off, and holds what was compared. Units are in the field
names; nothing is rounded, and every sample is kept.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from suite.records.record import Attempt, Frozen
from suite.records.spec import ScanSpec

Work = Literal["forward", "forward+backward"]
Caches = Literal["empty", "filled", "found", "none"]
Path = Literal["sequences", "image", "image-copied"]


class Verified(Frozen):
    """One comparison with float64. Errors by tensor: "y", or the argument whose gradient it is; None where not finite."""

    name: str
    errors: dict[str, float | None]
    allowed: dict[str, float]

    @property
    def wrong(self) -> tuple[str, ...]:
        """The tensors that are off."""
        return tuple(name for name, error in self.errors.items() if error is None or error > self.allowed[name])

    @property
    def worst(self) -> str:
        """The tensor whose error is the largest share of what it may be."""
        return max(self.errors, key=self.share)

    def share(self, name: str) -> float:
        """Return the error of a tensor as a share of what it may be; infinite where it is not finite."""
        error = self.errors[name]
        return float("inf") if error is None else error / self.allowed[name]


class ScanStart(Frozen):
    """The first calls in a new process that has loaded PyTorch and nothing of the backend, on a short scan."""

    caches: Caches = Field(description="of what it builds: empty, filled by the start before, as found; none, where it builds nothing")
    case: str
    length: int
    forward_seconds: float = Field(description="import, build or load, and the first forward pass")
    backward_seconds: float | None = Field(None, description="of the first forward and backward pass, right after it")


class CeilingsUsed(Frozen):
    """What the machine could do at most, as measured for this record (suite.measure.scans.ceilings)."""

    bandwidth_bytes_per_second: float  # of a streaming copy, read and written
    exponentials_per_second: float
    exponentials_method: str  # how the exponentials were counted


class ScanRound(Frozen):
    """Samples without a pause: seconds a call, averaged over `calls` calls each."""

    seconds: tuple[float, ...]
    calls: int
    others: float | None = Field(None, description="share of the machine's processors that other processes used; None where unknown")


class ScanTiming(Frozen):
    """One time: of a case, by one path, of one kind of work. Skipped where it would have taken too long."""

    case: str
    layer: str = Field(description="of which network the case is; empty for an edge")
    shape: str = Field(description="batch, channels, states and steps, in words")
    path: Path = Field(description="sequences; an image walked by address; the same image through copies of it")
    work: Work
    elements: int = Field(description="batch * channels * states * length")
    rounds: tuple[ScanRound, ...] = ()
    warm_up_calls: int = 0
    first_ms: float | None = Field(None, description="the first call on this case, after other cases")
    median_ms: float | None = None
    quartiles_ms: tuple[float, float] | None = None
    noisy: bool = Field(False, description="others used the machine for too much of the time")
    moved_bytes: int | None = Field(
        None, description="that must pass through memory (suite.measure.scans.ceilings); None for images, with projections"
    )
    exponentials: int | None = Field(None, description="that must be computed; None for images")
    peak_memory_mib: float | None = Field(None, description="beyond the inputs, results included; None where it cannot be measured")
    skipped: str | None = Field(None, description="why it was not timed")
    expected_ms: float | None = Field(None, description="of what was not timed: by a shorter scan, or a single call")

    @property
    def best_ms(self) -> float | None:
        """The median, or what is expected where nothing was timed."""
        return self.median_ms if self.median_ms is not None else self.expected_ms


class Absent(Frozen):
    """A backend that could not run there, and what would help."""

    name: str
    reason: str
    remedy: str


class ScanFindings(Frozen):
    """All that a cell finds out; `timings` and `ceilings` are empty where the backend is wrong."""

    verdict: Literal["correct", "incorrect"]
    verified: tuple[Verified, ...]
    starts: tuple[ScanStart, ...]
    ceilings: CeilingsUsed | None = None
    timings: tuple[ScanTiming, ...] = ()
    absent: tuple[Absent, ...] = ()


class ScanRecord(Attempt):
    """One attempt at verifying and timing a scan backend."""

    kind: Literal["scan"] = "scan"
    spec: ScanSpec
    findings: ScanFindings | None = None
