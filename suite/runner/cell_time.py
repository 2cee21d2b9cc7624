"""How long a cell takes on a kind of GPU: measured where the ledger has a training on one, else a range, which is never one figure.

Best first: trainings of the same network at the same size on that kind; the operations a second of other trainings there, least to most;
the kind's peak rate by its data sheet, at 5 to 40 % use, marked "not measured".
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from suite.core import machine
from suite.core.errors import SuiteError
from suite.records.record import Attempt
from suite.records.spec import RunSpec
from suite.runner.estimate import SAME_SIZE, Seen, collect_seen
from suite.runner.operations import training_operations
from suite.study.accelerators import ACCELERATORS, DEFAULT_KIND, LEAST_USE, MOST_USE, accelerator, is_kind

NOT_MEASURED = "not measured"


@dataclass(frozen=True)
class TimeRange:
    """Seconds from least to most, and what they rest on."""

    low: float
    high: float
    basis: str

    @property
    def measured(self) -> bool:
        """Tell whether trainings on this kind of GPU are behind it."""
        return not self.basis.startswith(NOT_MEASURED)


def choose_kind(asked: str | None = None) -> tuple[str, str]:
    """Return the kind of GPU that is asked for, else this machine's, else a usual one, and then why."""
    if asked:
        return next((name for name in ACCELERATORS if name.casefold() == asked.casefold()), asked), ""
    here = [kind for kind in ACCELERATORS for gpu in machine.list_gpus() if is_kind(gpu, kind)]
    return (here[0], "") if here else (DEFAULT_KIND, f"of this machine no kind of GPU is known, so times are of one {DEFAULT_KIND}")


class GpuClock:
    """What is known of the speed of one kind of GPU."""

    def __init__(self, kind: str, records: Iterable[Attempt]) -> None:
        self.kind = kind
        self.seen = collect_seen(records, lambda one: is_kind(str(one.get("gpu", "")), kind))
        whole = [past for past in self.seen if not past.spec.width and past.spec.depth_divisor == 1 and past.spec.device == "cuda"]
        self.rates = sorted(training_operations(past.spec) / (past.spec.iterations * past.iteration) for past in whole)
        if not self.rates:
            self.row = accelerator(kind)

    def estimate_training(self, spec: RunSpec) -> TimeRange:
        """Estimate the seconds of a cell that trains."""
        alike = [past for past in self.seen if _is_alike(past, spec)]
        if alike:
            times = [past.iteration * spec.iterations + past.rest for past in alike]
            return TimeRange(min(times), max(times), f"measured: {len(times)} training(s) of the same network and size on {self.kind}")
        return self.estimate_operations(training_operations(spec), spec.dtype)

    def estimate_operations(self, operations: float, dtype: str = "float32", most: float | None = None) -> TimeRange:
        """Estimate the seconds of so many operations, or of `operations` to `most`."""
        most = operations if most is None else most
        if self.rates:
            basis = f"measured: the operations a second of {len(self.rates)} training(s) of other networks or sizes on {self.kind}"
            return TimeRange(operations / self.rates[-1], most / self.rates[0], basis)
        peak = self.row.peak(dtype)
        if peak is None:
            raise SuiteError(f"{self.kind} does not compute in {dtype}.")
        basis = f"{NOT_MEASURED}: {LEAST_USE * 100:g} to {MOST_USE * 100:g} % of {peak / 1e12:g} TFLOP/s in {dtype} ({self.row.source})"
        return TimeRange(operations / (MOST_USE * peak), most / (LEAST_USE * peak), basis)


def _is_alike(past: Seen, spec: RunSpec) -> bool:
    names = ("model", *(name for name in SAME_SIZE if name != "backend"))
    return all(getattr(past.spec, name) == getattr(spec, name) for name in names)
