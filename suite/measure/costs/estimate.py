"""Estimates of time and memory from counted operators and a few measured calls.

The time of a call is a sum of what its operations take and what it takes to write their results (TIME), the memory at its peak is in
proportion to the results that are there at once (MEMORY). Few rates, for few calls are measured where a user waits: more, by
kind of operator, told sixteen networks no better, and four of them far worse. No rate is negative: non-negative least squares, of relative
residuals, so that a small network counts as much as a large one. Where the network itself was measured at another size, the sum is scaled
to what was measured there: the measured value carries what the groups do not know, the sum how it grows with the size.

How far such estimates lie off is told by leaving one out: each measured point is estimated from the others alone, once without any point
of its network ("other networks"), once with the points of its network at other sizes ("other sizes"); and, for networks of one design are
alike, once without any point of its design.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from suite.measure.costs.count import PRODUCTS, SCAN_COUNT
from suite.measure.costs.traffic import Traffic
from suite.records.kinds.profile import ProfileCost

FEWEST_NETWORKS = 2  # below, rates are one network's, and nothing can be left out
CALLS_FROM = 7  # networks from which on starting an operator has a rate of its own: it is most of the time of small pictures on a GPU
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


# group: what of it is in proportion to the time, or to the memory
TIME: Mapping[str, str] = {
    "operations": "multiply-adds of convolutions, linear layers and matrix products, and operations of scans",
    "written": "values that operators write",
    "calls": "operators that run, whatever the size",
}
MEMORY: Mapping[str, str] = {"held": "MiB of results at once, at the peak"}


def describe_work(model: str, size: Size, cost: ProfileCost, traffic: Traffic) -> Work:
    """Describe a call by what was counted of it."""
    products = sum(cost.by_operator.get(name, 0.0) for name in PRODUCTS)
    groups = {
        "operations": products + cost.by_operator.get(SCAN_COUNT, 0.0),
        "written": traffic.written,
        "calls": traffic.calls,
        "held": traffic.held / 2**20,
    }
    return Work(model, size, groups)


def design_of(model: str) -> str:
    """Return the first word of a network's name, which those of one design share."""
    return model.partition("-")[0]


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

    def leave_one_out(self, what: What, basis: Basis, *, by_design: bool = False) -> Error | None:
        """Estimate each measured value without it, by `basis`, and return how far off that is; None where none can be estimated so.

        "other networks" leaves out all of the value's network, and with `by_design` all of its design.
        """
        alike = design_of if by_design else str
        found = []
        for point, value in _known(self.points, what):
            own = alike(point.work.model)
            others = (one for one in self.points if one is not point and (basis == "other sizes" or alike(one.work.model) != own))
            told = Estimator(tuple(others)).estimate(point.work, what)
            if told is not None and told.basis == basis:
                found.append(abs(told.value / value - 1))
        return Error(statistics.median(found), max(found), len(found)) if found else None


def fit_rates(points: Sequence[tuple[Work, float]], what: What) -> dict[str, float]:
    """Return what one of each group takes, none negative, by least squares of the relative residuals; 0 of calls before CALLS_FROM."""
    from scipy.optimize import nnls  # late: slow to load

    every = list(TIME if what == "ms" else MEMORY)
    enough = len({work.model for work, _ in points}) >= CALLS_FROM
    names = [name for name in every if name != "calls" or enough]
    rows = np.array([[work.groups[name] for name in names] for work, _ in points])
    scale = np.where(rows.max(axis=0) > 0, rows.max(axis=0), 1.0)  # of each group, so that no column dwarfs another
    values = np.array([value for _, value in points])
    rates, _ = nnls(rows / scale / values[:, None], np.ones(len(points)))
    return dict.fromkeys(every, 0.0) | dict(zip(names, (rates / scale).tolist(), strict=True))


def sum_rates(rates: Mapping[str, float], work: Work) -> float:
    """Return the sum over the groups."""
    return sum(rate * work.groups[name] for name, rate in rates.items())


def _known(points: Sequence[Measured], what: What) -> list[tuple[Measured, float]]:
    """Return the points whose value is known and above zero, which a relative residual needs."""
    values = [(point, point.ms if what == "ms" else point.mib) for point in points]
    return [(point, value) for point, value in values if value is not None and value > 0]
