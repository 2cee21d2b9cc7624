"""Means, 95 % intervals and tests: over seeds, over images, and over both.

They answer different questions. Over seeds: would another training run give the same? Over images: would other images of this kind? With
one seed only the second can be answered, and it says nothing about training noise. How intervals over images are made, and what those over
few of them cover, is in suite/core/statistics/intervals.py.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Literal

import numpy as np

from suite.core.statistics import intervals
from suite.core.statistics.intervals import FEWEST_IMAGES, LEVEL

POWER = 0.8  # of the smallest difference that is called detectable
FEWEST_RANKS = 6  # values; of fewer, no two ranks hold the median with 95 %
QUANTILES = {1: 2000, 2: 50}  # of each standard error, for the power, by how many there are
ENUMERATED = 13  # values up to which every assignment of signs is tried where Wilcoxon's table does not hold (ties, zeros)

Test = Literal["wilcoxon", "two levels", ""]


@dataclass(frozen=True)
class Estimate:
    """A mean and how sure it is; `interval` is None where the values cannot tell (too few, or not finite)."""

    mean: float
    interval: tuple[float, float] | None
    count: int

    @property
    def half_width(self) -> float | None:
        """Half of the interval's width, for a plus-minus sign; only a symmetric interval is well told by it."""
        return None if self.interval is None else (self.interval[1] - self.interval[0]) / 2


@dataclass(frozen=True)
class Paired:
    """A mean of paired differences over seeds and images, in their unit; None where the values cannot tell."""

    mean: float
    interval: tuple[float, float] | None
    p: float | None  # two-sided, that there is no difference
    test: Test  # that `p` is of
    detectable: float | None  # the smallest difference that is found with POWER, as values spread here
    images: int
    seeds: int
    by_image: tuple[float, ...] = ()  # each image's mean over seeds; none where the values cannot tell

    @cached_property
    def wilcoxon(self) -> float | None:
        """The p of Wilcoxon's signed-rank test over images, each by its mean over seeds; worked out when asked for."""
        return wilcoxon_p(np.asarray(self.by_image)) if self.by_image else None

    @property
    def covers(self) -> float | None:
        """Return what share the interval was measured to cover; None where it is a good one, or there is none."""
        return None if self.interval is None else intervals.measured_cover(self.images)


def estimate_over_seeds(values: Sequence[float]) -> Estimate:
    """Return the mean of one value a seed and its 95 % Student-t interval; no interval for a single seed.

    scipy's ttest_1samp sums in another order: its ends differ in the last bit, and it warns where all values are equal.
    """
    mean = _mean(values)
    count = len(values)
    if count < 2 or not math.isfinite(mean):
        return Estimate(mean, None, count)
    from scipy.special import stdtrit

    deviation = math.sqrt(sum((value - mean) ** 2 for value in values) / (count - 1))
    half = float(stdtrit(count - 1, (1 + LEVEL) / 2)) * deviation / math.sqrt(count)
    return Estimate(mean, (mean - half, mean + half), count)


def estimate_over_images(differences: Sequence[float]) -> Estimate:
    """Return the mean of paired per-image differences and its 95 % interval over images; none for fewer than FEWEST_IMAGES."""
    mean = _mean(differences)
    count = len(differences)
    if count < FEWEST_IMAGES or not math.isfinite(mean):
        return Estimate(mean, None, count)
    low, high = intervals.interval_ends(np.asarray(differences, dtype=np.float64)[None, :])
    return Estimate(mean, (float(low), float(high)), count)


def compare_paired(differences: np.ndarray) -> Paired:
    """Return all that is said of `differences` (seeds, images): every seed was measured on every image.

    With two seeds or more the interval is over both, as if seeds and images had been drawn anew, and `p` is of the same errors: below 5 %
    exactly where the interval is on one side of 0. With one seed both are over images alone, `p` of Wilcoxon's signed-rank test.
    """
    values = np.asarray(differences, dtype=np.float64)
    seeds, images = values.shape
    by_image = values.mean(axis=0)
    if images < FEWEST_IMAGES or not np.isfinite(values).all():
        return Paired(_mean(by_image.tolist()), None, None, "", None, images, seeds)
    low, high = intervals.interval_ends(values)
    found = float(values.mean()), (float(low), float(high))
    p, test = (wilcoxon_p(by_image), "wilcoxon") if seeds == 1 else (intervals.p_value(values), "two levels")
    least = smallest_detectable(*((float(part.error), part.freedom) for part in intervals.error_parts(values)))
    return Paired(*found, p, test, least, images, seeds, tuple(by_image.tolist()))


def wilcoxon_p(differences: np.ndarray) -> float:
    """Return the two-sided p of the signed-rank test; 1 where no value differs from zero."""
    from scipy import stats

    values = np.asarray(differences, dtype=np.float64)
    values = values[values != 0]
    if not values.size:
        return 1.0
    tied = np.unique(np.abs(values)).size < values.size
    if tied and values.size <= ENUMERATED:
        return float(stats.wilcoxon(values, method=stats.PermutationMethod(n_resamples=2**ENUMERATED)).pvalue)
    return float(stats.wilcoxon(values, method="approx" if tied or values.size > 50 else "exact").pvalue)


def smallest_detectable(*parts: tuple[float, float]) -> float:
    """Return the smallest difference that a two-sided test at 5 % finds with POWER: of one or two independent parts of the mean's error.

    Each part is a standard error and its degrees of freedom. By Student's t, of one comparison: Wilcoxon's test needs about 2 % more on
    normal data, skewed data and a p corrected for several comparisons need more yet.
    """
    from scipy.optimize import brentq
    from scipy.special import gammaincinv, ndtr, stdtrit  # not scipy.stats, which takes half a second to load

    total = math.sqrt(sum(error**2 for error, _ in parts))
    if total == 0:
        return 0.0
    # Power is that of a normal mean, averaged over what its standard errors may come out as: scipy's nct gives NaN for little freedom.
    ranks = (np.arange(QUANTILES[len(parts)]) + 0.5) / QUANTILES[len(parts)]
    limits = [float(stdtrit(freedom, (1 + LEVEL) / 2)) for _, freedom in parts]
    squares = [
        (limit * error) ** 2 * 2 * gammaincinv(freedom / 2, ranks) / freedom for limit, (error, freedom) in zip(limits, parts, strict=True)
    ]
    reach = np.sqrt(sum(np.ix_(*squares)))

    def lacking(shift: float) -> float:
        return float(ndtr((shift - reach) / total).mean()) - POWER

    return float(brentq(lacking, 0.0, 10 * max(limits) * total))


def correct_by_holm(p_values: Sequence[float]) -> list[float]:
    """Return the p values corrected for their number by Holm's step-down method, in the same order."""
    corrected = [0.0] * len(p_values)
    highest = 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=lambda place: p_values[place])):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[place]))
        corrected[place] = highest
    return corrected


def median_interval(values: Sequence[float]) -> tuple[float, float] | None:
    """Return two of the values between which the median lies with at least LEVEL, by their ranks; None for fewer than FEWEST_RANKS."""
    ordered, count = sorted(values), len(values)
    if count < FEWEST_RANKS:
        return None
    rank = _median_rank(count)
    return ordered[rank - 1], ordered[count - rank]


@cache
def _median_rank(count: int) -> int:
    """Return the lower of the two ranks: the chance that fewer values than this lie below the median is less than (1 - LEVEL) / 2."""
    from scipy.stats import binom

    return int(binom.ppf((1 - LEVEL) / 2, count, 0.5))


def smallest_wilcoxon(images: int) -> float:
    """Return the smallest p that the signed-rank test can give for so many images: all differ to one side."""
    return min(1.0, 2.0 ** (1 - images))


def _mean(values: Sequence[float]) -> float:
    if not values:
        raise ValueError("a mean needs at least one value")
    return sum(values) / len(values)
