"""Axes of the report's figures: round places on linear and logarithmic scales.

Coordinates are SVG user units, with the origin at the top left.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Tick:
    """A labelled place on an axis."""

    at: float
    text: str


@dataclass(frozen=True)
class Scale:
    """Where values lie between two ends, `begin` and `end`, in user units (`end` < `begin` for an axis that goes up)."""

    low: float  # of the values, or of their decimal logarithms
    high: float
    begin: float
    end: float
    log: bool

    def at(self, value: float) -> float:
        """The place of `value`, to a tenth of a unit."""
        return self._place(math.log10(value) if self.log else value)

    def ticks(self, count: int) -> tuple[Tick, ...]:
        """Round places, about `count` of them on a linear scale."""
        found = log_ticks(self.low, self.high) if self.log else ticks(self.low, self.high, count)
        return tuple(Tick(self._place(place), text) for place, text in found)

    def _place(self, place: float) -> float:
        return round(self.begin + (place - self.low) * (self.end - self.begin) / (self.high - self.low), 1)


def scale(values: Sequence[float], begin: float, end: float, *, log: bool = False) -> Scale:
    """The scale that holds `values` (positive on a logarithmic one) with a margin."""
    places = [math.log10(value) if log else value for value in values]
    return Scale(*widened(min(places), max(places)), begin, end, log)


def widened(low: float, high: float) -> tuple[float, float]:
    """The ends of an axis that holds both values with a margin."""
    margin = 0.05 * (high - low) or 0.05 * abs(high) or 1.0
    return low - margin, high + margin


def ticks(low: float, high: float, count: int) -> list[tuple[float, str]]:
    """Round places between two values, about `count` of them."""
    step = _step(high - low, count)
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    first = math.ceil(low / step - 1e-9)
    places = [number * step for number in range(first, math.floor(high / step + 1e-9) + 1)]
    return [(place, f"{place:,.{digits}f}".replace("-", "−")) for place in places]


def log_ticks(low: float, high: float) -> list[tuple[float, str]]:
    """Round factors of powers of ten between two decimal logarithms, the fewer the more decades; else round places."""
    dense = (1, 1.5, 2, 2.5, 3, 4, 5, 6, 7, 8, 9) if high - low < 0.6 else (1, 1.5, 2, 3, 5, 7)
    factors = dense if high - low < 1.2 else (1, 2, 5) if high - low < 3 else (1,)
    values = [factor * 10.0**power for power in range(math.floor(low), math.ceil(high) + 1) for factor in factors]
    inside = [(math.log10(value), _short(value)) for value in values if low <= math.log10(value) <= high]
    if len(inside) >= 2:
        return inside
    return [(math.log10(value), text) for value, text in ticks(10**low, 10**high, 3) if value > 0]


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 1 else f"{value:g}"


def _step(span: float, count: int) -> float:
    rough = span / count
    power = 10.0 ** math.floor(math.log10(rough))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= rough * 0.999)
