"""Images that two sets have in common: identical, also where one copy was cropped to a multiple of a scale, or near-identical.

Near-identical are images whose 16x16 thumbnails differ by less than NEAR_DB and by less than NEAR_PART of their contrast: copies that were
compressed again or resized. Patches of an image, mirrored or strongly cropped copies are not found.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np

from suite.data.check.checks import Report
from suite.data.check.inspection import Facts

NEAR_DB = 32.0  # PSNR of two thumbnails from which on they are called near-identical
NEAR_PART = 0.02  # of the thumbnail's variance, so that flat images do not all resemble each other
ROWS = 512  # compared at once


@dataclass(frozen=True)
class Leak:
    """What two sets share; serious where one is for training and the other is not, and no card says so."""

    first: str
    second: str
    identical: int
    near: int
    examples: tuple[tuple[str, str], ...]
    known: str
    serious: bool

    @property
    def statement(self) -> str:
        """In words."""
        kinds = [f"{count} {kind}" for count, kind in ((self.identical, "identical"), (self.near, "near-identical")) if count]
        example = f"{self.examples[0][0]} and {self.examples[0][1]}"
        known = f"; known: {self.known}" if self.known else ""
        return f"{' and '.join(kinds)} images in {self.first} and {self.second} (such as {example}){known}"


def find_leaks(reports: Sequence[Report]) -> list[Leak]:
    """Find which targets every two share. Training images in a test or validation set are serious whether a card knows of them or not."""
    found = []
    for first, second in combinations(reports, 2):
        if pairs := list(_common(first.targets, second.targets)):
            same = sum(identical for identical, _, _ in pairs)
            known = first.known.get(second.name) or second.known.get(first.name) or ""
            serious = (first.split == "train") != (second.split == "train")
            names = tuple((one.name, other.name) for _, one, other in pairs)
            titles = (f"{report.name} ({report.split})" for report in (first, second))
            found.append(Leak(*titles, same, len(pairs) - same, names, known, serious))
    return found


def _common(first: dict[Path, Facts], second: dict[Path, Facts]) -> Iterator[tuple[bool, Path, Path]]:
    """Yield (identical?, a file of the first, a file of the second), for every file of the second that has its like in the first."""
    by_pixels = {facts.cropped: path for path, facts in first.items() if facts.cropped}
    rest = []
    for path, facts in second.items():
        if facts.cropped and facts.cropped in by_pixels:
            yield True, by_pixels[facts.cropped], path
        elif facts.thumb:
            rest.append(path)
    thumbed = [path for path, facts in first.items() if facts.thumb]
    if not rest or not thumbed:
        return
    left = _thumbs([first[path] for path in thumbed])
    for start in range(0, len(rest), ROWS):
        part = rest[start : start + ROWS]
        right = _thumbs([second[path] for path in part])
        errors = _errors(right, left)
        limit = np.minimum(255.0**2 / 10 ** (NEAR_DB / 10), NEAR_PART * right.var(axis=1))
        for row, nearest in enumerate(errors.argmin(axis=1)):
            if errors[row, nearest] < limit[row]:
                yield False, thumbed[nearest], part[row]


def _thumbs(facts: Sequence[Facts]) -> np.ndarray:
    return np.stack([np.frombuffer(bytes.fromhex(one.thumb), np.uint8) for one in facts]).astype(np.float64)


def _errors(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the mean squared differences of every two rows; exact, since all numbers are whole."""
    squares = np.square(first).sum(axis=1)[:, None] + np.square(second).sum(axis=1)[None, :]
    return (squares - 2 * first @ second.T) / first.shape[1]
