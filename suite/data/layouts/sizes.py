"""Whether the sizes of pairs fit: how many times as large each target is as its low-quality image, and whether all pairs say the same."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

EXAMPLES = 3  # pairs of a longer list that are said
LARGEST = 16  # scale that is tried

Size = tuple[int, int]  # height, width


@dataclass(frozen=True)
class SizedPair:
    """A pair's name, and the sizes of its target and of its low-quality image."""

    name: str
    high: Size
    low: Size

    @property
    def scales(self) -> frozenset[int]:
        """Return the scales by which the target, cut to a multiple of it as every protocol does, is as many times as large."""
        return frozenset(scale for scale in range(1, LARGEST + 1) if self.fits(scale))

    @property
    def scale(self) -> int | None:
        """The one of its scales that is meant: that divides the target, else the smallest; None where it has none."""
        return min(self.scales, key=lambda scale: (not self.divides(scale), scale), default=None)

    def divides(self, scale: int) -> bool:
        """Return whether the target is a multiple of `scale`."""
        return not any(side % scale for side in self.high)

    def fits(self, scale: int) -> bool:
        """Return whether the sizes fit `scale`; targets of the same size are never cut."""
        return all(full // scale == part for full, part in zip(self.high, self.low, strict=True))

    @property
    def said(self) -> str:
        """The sizes in words, and why they are no scale's where that can be seen."""
        text = f"{self.name}: {show(self.low)} is"
        if self.high[::-1] == self.low != self.high:
            return f"{text} its target, {show(self.high)}, turned by 90 degrees"
        if min(self.low) == 0 or any(part > full for full, part in zip(self.high, self.low, strict=True)):
            return f"{text} larger than its target, {show(self.high)}"
        if self.scales:
            return f"{text} 1/{self.scale} of {show(self.high)}" if self.scale > 1 else f"{text} as large as its target"
        rounded = next((scale for scale in range(2, LARGEST + 1) if self._is_rounded_up(scale)), None)
        why = f": 1/{rounded} rounded up, of a target that was not cut to a multiple of {rounded} before" if rounded else ""
        return f"{text} no whole part of {show(self.high)}{why}"

    def _is_rounded_up(self, scale: int) -> bool:
        return all(-(-full // scale) == part for full, part in zip(self.high, self.low, strict=True))


def show(size: Size) -> str:
    """Return a size as people say it, width first."""
    return f"{size[1]}x{size[0]}"


def judge(pairs: Sequence[SizedPair], scale: int | None) -> tuple[int, list[str]]:
    """Return the scale of the pairs, `scale` where it is known, and a sentence on those that do not fit it.

    Where it is not known, it is that of all the pairs, or of the most of them; 1 where no pair has any.
    """
    counts = Counter(one for pair in pairs for one in pair.scales)
    whole = Counter(one for pair in pairs for one in pair.scales if pair.divides(one))
    taken = scale if scale is not None else min(counts, key=lambda one: (-counts[one], -whole[one], one), default=1)
    bad = [pair for pair in pairs if not pair.fits(taken)]
    if not bad:
        return taken, []
    size = say_scale(taken)
    rest = ""
    if scale is not None or counts:
        rest = f"; their folder is one of {size}" if scale is not None else f"; the other {len(pairs) - len(bad)} are of {size}"
    said = "; ".join(pair.said for pair in bad[:EXAMPLES]) + (" ..." if len(bad) > EXAMPLES else "")
    return taken, [f"{len(bad)} of {len(pairs)} pairs do not fit by their sizes, width x height ({said}){rest}"]


def say_scale(scale: int) -> str:
    """Return a scale in words."""
    return f"x{scale}" if scale > 1 else "one size"
