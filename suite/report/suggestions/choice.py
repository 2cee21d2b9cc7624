"""Choosing among candidates: which fit a budget, which no other beats, by how much the nearest miss, and what would fit."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from suite.report.figures.charts import Axis, Budget, Figure, Point, Series, draw_plane, find_frontier
from suite.report.suggestions.candidates import Quality, Yardstick

NEAREST = 3  # networks that are named where none fits
NAMED = {"measured": "measured", "other sizes": "about, from other sizes", "other networks": "about, from other networks"}


@dataclass(frozen=True)
class Limits:
    """The budget of a call; None: not limited."""

    ms: float | None = None
    mib: float | None = None

    def __str__(self) -> str:
        parts = [f"{value:g} {unit}" for value, unit in ((self.ms, "ms"), (self.mib, "MiB")) if value is not None]
        return " and ".join(parts) or "no limit"


@dataclass(frozen=True)
class Amount:
    """A time or a memory, and what it rests on: a key of NAMED."""

    value: float
    basis: str
    source: str = ""

    @property
    def measured(self) -> bool:
        """Tell whether it was measured."""
        return self.basis == "measured"


@dataclass(frozen=True)
class Candidate:
    """A network with what is known of it; what is not known is None."""

    model: str
    params: int
    macs: float
    ms: Amount | None
    mib: Amount | None
    quality: Quality | None

    def over(self, limits: Limits) -> float | None:
        """Return by what factor it misses the budget, 1 or less where it fits; None where what is limited is not known."""
        shares = []
        for limit, amount in ((limits.ms, self.ms), (limits.mib, self.mib)):
            if limit is not None:
                if amount is None:
                    return None
                shares.append(amount.value / limit)
        return max(shares, default=0.0)


@dataclass(frozen=True)
class Choice:
    """The candidates in the order of the answer: those that fit, then those that do not, then those of which that is not known."""

    fitting: tuple[Candidate, ...]
    missing: tuple[Candidate, ...]  # the nearest first
    unknown: tuple[Candidate, ...]
    frontier: frozenset[str]  # networks that no other beats in time and quality

    @property
    def ordered(self) -> tuple[Candidate, ...]:
        """All of them."""
        return (*self.fitting, *self.missing, *self.unknown)

    @property
    def nearest(self) -> tuple[Candidate, ...]:
        """The nearest where none fits."""
        return () if self.fitting else self.missing[:NEAREST]


def choose(candidates: Sequence[Candidate], limits: Limits, by: Yardstick | None) -> Choice:
    """Order the candidates by the budget; those that fit by quality, the best first, and then by time."""
    over = {one.model: one.over(limits) for one in candidates}
    higher = by is None or by.higher

    def rank(one: Candidate) -> tuple[bool, float, float]:
        quality = one.quality.value * (-1 if higher else 1) if one.quality else 0.0
        return one.quality is None, quality, one.ms.value if one.ms else float("inf")

    fitting = sorted((one for one in candidates if over[one.model] is not None and over[one.model] <= 1), key=rank)
    missing = sorted((one for one in candidates if over[one.model] is not None and over[one.model] > 1), key=lambda one: over[one.model])
    unknown = sorted((one for one in candidates if over[one.model] is None), key=rank)
    points = [Point(one.ms.value, one.quality.value, one.model) for one in candidates if one.ms and one.quality]
    frontier = frozenset(point.label for point in find_frontier(points, higher))
    return Choice(tuple(fitting), tuple(missing), tuple(unknown), frontier)


def describe_amount(amount: Amount | None) -> str:
    """Write a time or memory: "~" and two digits where it is estimated, "–" where nothing is known."""
    if amount is None:
        return "–"
    return format_amount(amount.value) if amount.measured else f"~{format_amount(round_about(amount.value))}"


def round_about(value: float) -> float:
    """Return a positive value to two digits: an estimate has no more."""
    return round(value, 1 - math.floor(math.log10(value)))


def format_amount(value: float) -> str:
    """Write a positive value: whole from ten on, else two digits."""
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"


def describe_quality(quality: Quality | None, by: Yardstick | None) -> str:
    """Write a quality with its kind."""
    return "none" if quality is None or by is None else f"{quality.value:.{by.digits}f} {quality.kind}"


def _shown(amount: Amount) -> float:
    """Return the value with the digits that it has, for a chart."""
    return round(amount.value, 1) if amount.measured else round_about(amount.value)


def draw_choice(choice: Choice, by: Yardstick, size: str) -> Figure | None:
    """Draw quality against time, with the slider for a budget; None where fewer than two networks have both."""
    known = [one for one in choice.ordered if one.ms and one.quality]
    if len(known) < 2:
        return None
    groups = {
        "time measured": [one for one in known if one.ms.measured],
        "time estimated": [one for one in known if not one.ms.measured],
    }
    shapes = {"time measured": "diamond", "time estimated": "ring"}
    series = [
        Series(name, shapes[name], tuple(Point(_shown(one.ms), one.quality.value, one.model) for one in held), number)
        for number, (name, held) in enumerate(groups.items())
        if held
    ]
    points = [point for one in series for point in one.points]
    frontier = Series("", "", tuple(replace(point, label="") for point in find_frontier(points, by.higher)), 1, joined=True)
    rows = tuple(
        (one.model, describe_amount(one.ms), NAMED[one.ms.basis], describe_quality(one.quality, by), one.quality.source) for one in known
    )
    return Figure(
        key="figure-choice",
        title=f"{by.metric} on {by.test_set} against time at {size}.",
        caption="The time of one picture on this machine, on a logarithmic scale. The line joins what no other network beats in both.",
        series=series,
        head=("Network", "ms", "time", by.metric, "quality from"),
        rows=rows,
        plot=draw_plane([*series, frontier], Axis("ms a picture, logarithmic", log=True), Axis(by.metric)),
        budget=Budget("ms", by.metric, by.digits, by.higher),
    )
