"""Places of values in a column: best, second, ..."""

from __future__ import annotations

import math
from collections.abc import Sequence

DIRECTIONS = ("higher", "lower", "")


def rank_values(values: Sequence[float | bool | None], direction: str) -> tuple[int | None, ...]:
    """Return the place of each value, 1 = best: one more than how many are better, so that equal values share a place.

    `direction` says which is better, "higher" or "lower"; "" is neither, and then nothing has a place. None and what is not a number have
    none, and take none from others. Raises ValueError for another direction.
    """
    if direction not in DIRECTIONS:
        raise ValueError(f"values are ranked by 'higher' or 'lower', or not at all (''); not by {direction!r}")
    sign = {"higher": 1, "lower": -1, "": 0}[direction]
    held = [sign * value for value in values if _is_placed(value)]
    return tuple(1 + sum(other > sign * value for other in held) if sign and _is_placed(value) else None for value in values)


def _is_placed(value: float | bool | None) -> bool:
    return value is not None and not math.isnan(value)
