"""Places of values in a column: best, second, ..."""

from __future__ import annotations

from collections.abc import Sequence


def ranks(values: Sequence[float | bool | None], direction: str) -> tuple[int | None, ...]:
    """Places from 1 (best) on; equal values share one, None has none. `direction` is "higher" or "lower", whichever is better."""
    held = [value for value in values if value is not None]
    return tuple(None if v is None else 1 + sum(o > v if direction == "higher" else o < v for o in held) for v in values)
