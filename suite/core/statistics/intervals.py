"""95 % intervals of mean differences: over images, and over seeds and images. Of one sample or of many at once, in closed form.

Over images: Student's t, and on the side of the longer tail TAIL times Johnson's term for the skewness beside it (N. J. Johnson, Modified t
tests and confidence intervals for asymmetrical populations, JASA 73, 1978). A few large gains pull the mean and its spread up together, and
where a sample has missed them nothing shows it: that side needs room, and the other must not lose any. Of the ways that were tried
(`python tests/bench/intervals.py`; the table is in results/LOG.md) this is the narrowest that covers 93 % of every shape at 100 images, and
at 14 as much of normal and heavy-tailed differences and 90 % of lognormal ones.

Over both: what seeds and what images leave are independent parts of the error, and each side of the interval is the root of the sum of
their squares (G. Y. Zou, A. Donner, Statistics in Medicine 27, 2008). Two seeds have one degree of freedom, and that part is as wide as
Student's t of one asks for: a common number of degrees of freedom let equal designs differ in one of ten comparisons.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

LEVEL = 0.95
TAIL = 1.5  # 1 is Johnson's term; the skewness of few values is too small by about as much, since their tail was not drawn
FEWEST_IMAGES = 6  # with five no test of ranks can find anything, and an interval misses one in seven
HELD = 0.93  # an interval that covers less for any of the shapes is called approximate
# images: what the interval covered, of the shapes for which it is least (tests/bench/intervals.py); from the last one on, HELD and more
COVERED = {6: 0.87, 7: 0.88, 8: 0.89, 11: 0.90, 24: 0.91, 40: 0.93}
GOOD_IMAGES = max(COVERED)
LEAST_P = 1e-100


@dataclass(frozen=True)
class ErrorPart:
    """An independent part of the error of a mean: arrays of one shape, an entry a sample."""

    error: np.ndarray  # standard error
    freedom: int  # degrees of freedom
    tail: np.ndarray | float = 0.0  # skewness over the root of the count: above 0 where large values lie above the mean

    def reach(self, missed: float) -> tuple[np.ndarray, np.ndarray]:
        """Return how far an interval that misses with the probability `missed` reaches below and above the mean."""
        limit = _limit(missed, self.freedom)
        more = TAIL * (1 + 2 * limit**2) / 6
        return self.error * (limit + more * np.maximum(-self.tail, 0)), self.error * (limit + more * np.maximum(self.tail, 0))


def measured_cover(images: int) -> float | None:
    """Return the share that an interval over so many images, at least FEWEST_IMAGES, was measured to cover; None for HELD or more."""
    share = next(covered for count, covered in sorted(COVERED.items(), reverse=True) if count <= images)
    return None if share >= HELD else share


def error_parts(values: np.ndarray) -> tuple[ErrorPart, ...]:
    """Return the parts of the error of the means of `values` (..., seeds, images): of the images, and of the seeds where there are several.

    By an analysis of variance with both at random. What neither explains is in the part of the seeds.
    """
    seeds, images = values.shape[-2:]
    by_image = values.mean(axis=-2)
    of_images = seeds * by_image.var(axis=-1, ddof=1)
    tail = _skewness(by_image) / math.sqrt(images)
    if seeds == 1:
        return (ErrorPart(np.sqrt(of_images / images), images - 1, tail),)
    by_seed = values.mean(axis=-1)
    of_seeds = images * by_seed.var(axis=-1, ddof=1)
    rest = values - by_seed[..., :, None] - by_image[..., None, :] + by_seed.mean(axis=-1)[..., None, None]
    of_rest = (rest**2).sum(axis=(-2, -1)) / ((seeds - 1) * (images - 1))
    alone = np.sqrt(np.maximum(of_images - of_rest, 0) / (seeds * images))
    return ErrorPart(alone, images - 1, tail), ErrorPart(np.sqrt(of_seeds / (seeds * images)), seeds - 1)


def interval_ends(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the lower and the upper ends of the intervals of the means of `values` (..., seeds, images), in their unit.

    All finite, at least three images; a mean over images alone is one of one seed. Ends of equal values are their mean.
    """
    mean = values.mean(axis=(-2, -1))
    below, above = _reach(error_parts(values), 1 - LEVEL)
    return mean - below, mean + above


def p_value(values: np.ndarray) -> float:
    """Return the two-sided p that the mean of `values` (seeds, images) is 0.

    It is the probability to miss at which an end of the interval meets 0, so that both always agree.
    """
    from scipy.optimize import brentq

    mean, own = float(values.mean()), error_parts(values)
    side = 0 if mean > 0 else 1

    def beyond(exponent: float) -> float:
        return float(_reach(own, math.exp(exponent))[side]) - abs(mean)

    if beyond(0.0) >= 0:  # the side of the longer tail reaches so far at any level
        return 1.0
    least = math.log(LEAST_P)
    return 0.0 if beyond(least) < 0 else math.exp(brentq(beyond, least, 0.0))


def _reach(own: tuple[ErrorPart, ...], missed: float) -> tuple[np.ndarray, np.ndarray]:
    below, above = zip(*(part.reach(missed) for part in own), strict=True)
    return (below[0], above[0]) if len(own) == 1 else (np.hypot(*below), np.hypot(*above))


def _skewness(values: np.ndarray) -> np.ndarray:
    """Return the skewness of the last axis, corrected for its length (G1); 0 of equal values."""
    count = values.shape[-1]
    away = values - values.mean(axis=-1, keepdims=True)
    deviation = values.std(axis=-1, ddof=1, keepdims=True)
    scaled = np.divide(away, deviation, out=np.zeros_like(away), where=deviation > 0)
    return (scaled**3).sum(axis=-1) * count / ((count - 1) * (count - 2))


@lru_cache
def _limit(missed: float, freedom: int) -> float:
    """Return the limit beyond which, on both sides, Student's t of so many degrees of freedom lies with the probability `missed`."""
    from scipy.special import stdtrit

    return -float(stdtrit(freedom, missed / 2))
