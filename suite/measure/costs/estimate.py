"""Estimates of time and memory from counted operators and a few measured calls.

The time of a call is a sum of what each group of operators takes, in proportion to its counts (TIME), the memory at its peak a sum in
proportion to the sizes of maps (MEMORY). No rate is negative: non-negative least squares, of relative residuals, so that a small network
counts as much as a large one. Where the network itself was measured at another size, the sum is scaled to what was measured there: the
measured value carries what the groups do not know, the sum how it grows with the size.

How far such estimates lie off is told by leaving one out: each measured point is estimated from the others alone, once without any point
of its network ("other networks"), once with the points of its network at other sizes ("other sizes").
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from suite.measure.costs.count import PRODUCTS, SCAN_COUNT
from suite.records.kinds.profile import ProfileCost

FEWEST_NETWORKS = 2  # below, rates are one network's, and nothing can be left out
Size = tuple[int, int]
Basis = Literal["measured", "other sizes", "other networks"]
What = Literal["ms", "mib"]


@dataclass(frozen=True)
class Work:
    """What a call of a network on one image has to do, by group; the groups of a sum are in TIME and MEMORY."""

    model: str
    size: Size  # of the input, height and width
    groups: Mapping[str, float]


@dataclass(frozen=True)
class Measured:
    """A measured call: milliseconds, and MiB at its peak where the system tells them."""

    work: Work
    ms: float
    mib: float | None
    source: str  # where the value is kept, in words


@dataclass(frozen=True)
class Value:
    """A time or a memory: `basis` says whether it was measured, or what it was estimated from."""

    value: float
    basis: Basis
    source: str = ""  # of a measured one

    @property
    def measured(self) -> bool:
        """Tell whether it was measured, and not estimated."""
        return self.basis == "measured"


@dataclass(frozen=True)
class Error:
    """How far estimates lie off where one is left out: the median and the largest of the relative differences, over `points`."""

    median: float
    largest: float
    points: int


# group: what of it is in proportion to the time
TIME: Mapping[str, str] = {
    "convolutions": "multiply-adds of convolutions",
    "products": "multiply-adds of linear layers and matrix products",
    "scans": "operations of selective scans",
    "norms": "operations of norms, pooling and resizing",
    "maps": "values of the other operators: how often they run, times pixels and the mean width",
    "calls": "operators that run, whatever the size",
}
MEMORY: Mapping[str, str] = {
    "pixels": "pixels of the input",
    "map": "values of one map of mean width",
    "output": "values of the output",
    "weights": "parameters",
}
# what shares one rate while few networks are measured
COARSE: Mapping[What, tuple[str, ...]] = {"ms": ("convolutions", "products", "scans", "norms"), "mib": ("map",)}


def describe_work(model: str, size: Size, cost: ProfileCost, scale: int) -> Work:
    """Describe a call by what was counted of it; a network's mean width is told by its multiply-adds a pixel and parameters."""
    counts = cost.by_operator
    pixels = math.prod(size)
    products = sum(counts.get(name, 0.0) for name in PRODUCTS)
    calls = float(sum(cost.unsupported.values()))
    width = math.sqrt(products / pixels / max(1.0, math.sqrt(calls)))
    return Work(
        model,
        size,
        {
            "convolutions": counts.get("conv", 0.0),
            "products": products - counts.get("conv", 0.0),
            "scans": counts.get(SCAN_COUNT, 0.0),
            "norms": cost.macs - products - counts.get(SCAN_COUNT, 0.0),
            "maps": calls * pixels * width,
            "calls": calls,
            "pixels": float(pixels),
            "map": pixels * width,
            "output": float(pixels * scale**2),
            "weights": float(cost.params),
        },
    )


@dataclass(frozen=True)
class Estimator:
    """Estimates from measured calls; `points` hold no network twice at one size."""

    points: tuple[Measured, ...]

    def estimate(self, work: Work, what: What) -> Value | None:
        """Return the time in ms or the memory in MiB of a call; None where too little was measured to tell.

        The measured value where there is one, else the sum, scaled to the network's own nearest measured size.
        """
        known = _known(self.points, what)
        own = [(point, value) for point, value in known if point.work.model == work.model]
        for point, value in own:
            if point.work.size == work.size:
                return Value(value, "measured", point.source)
        if not own and len({point.work.model for point, _ in known}) < FEWEST_NETWORKS:
            return None
        rates = fit_rates([(point.work, value) for point, value in known], what)
        total = sum_rates(rates, work)
        if not own:
            return Value(total, "other networks") if total > 0 else None
        nearest, value = min(own, key=lambda one: abs(math.log(math.prod(one[0].work.size) / math.prod(work.size))))
        there = sum_rates(rates, nearest.work)
        grows = total / there if there > 0 and total > 0 else math.prod(work.size) / math.prod(nearest.work.size)
        return Value(value * grows, "other sizes")

    def leave_one_out(self, what: What, basis: Basis) -> Error | None:
        """Estimate each measured value without it, by `basis`, and return how far off that is; None where none can be estimated so."""
        found = []
        for point, value in _known(self.points, what):
            others = tuple(
                one for one in self.points if one is not point and (basis == "other sizes" or one.work.model != point.work.model)
            )
            told = Estimator(others).estimate(point.work, what)
            if told is not None and told.basis == basis:
                found.append(abs(told.value / value - 1))
        return Error(statistics.median(found), max(found), len(found)) if found else None


def fit_rates(points: Sequence[tuple[Work, float]], what: What) -> dict[str, float]:
    """Return what one of each group takes, none negative, by least squares of the relative residuals.

    Where no more networks than groups were measured, groups cannot be told apart: those of COARSE share one rate, and the others have none.
    """
    from scipy.optimize import nnls  # late: slow to load

    names = list(TIME if what == "ms" else MEMORY)
    if not tells_groups([work.model for work, _ in points], what):
        shares = np.array([sum(work.groups[name] for name in COARSE[what]) / value for work, value in points])
        rate = float(shares.sum() / (shares**2).sum()) if shares.any() else 0.0
        return {name: rate if name in COARSE[what] else 0.0 for name in names}
    rows = np.array([[work.groups[name] for name in names] for work, _ in points])
    scale = np.where(rows.max(axis=0) > 0, rows.max(axis=0), 1.0)  # of each group, so that no column dwarfs another
    values = np.array([value for _, value in points])
    rates, _ = nnls(rows / scale / values[:, None], np.ones(len(points)))
    return dict(zip(names, (rates / scale).tolist(), strict=True))


def tells_groups(models: Iterable[str], what: What) -> bool:
    """Tell whether enough networks were measured to tell the groups apart."""
    return len(set(models)) > len(TIME if what == "ms" else MEMORY)


def sum_rates(rates: Mapping[str, float], work: Work) -> float:
    """Return the sum over the groups."""
    return sum(rate * work.groups[name] for name, rate in rates.items())


def _known(points: Sequence[Measured], what: What) -> list[tuple[Measured, float]]:
    """Return the points whose value is known and above zero, which a relative residual needs."""
    values = [(point, point.ms if what == "ms" else point.mib) for point in points]
    return [(point, value) for point, value in values if value is not None and value > 0]
