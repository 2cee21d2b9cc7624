"""Means, 95 % intervals and tests: over seeds, over images, and over both.

They answer different questions. Over seeds: would another training run give the same? Over images: would other images of this kind? With
one seed only the second can be answered, and it says nothing about training noise.

Intervals are of a bootstrap; their widths are set for few values, where a bootstrap alone is too narrow: its deviations from the mean are
stretched to what Student's t asks for, which leaves their shape and covers 95 % of normal data (tests/test_stats.py). Seeded, so that the
same records give the same interval.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import numpy as np

LEVEL = 0.95
POWER = 0.8  # of the smallest difference that is called detectable
RESAMPLES = 9999
FEWEST_IMAGES = 5  # a bootstrap of fewer has too few distinct resamples to carry a 95 % interval
FEWEST_RANKS = 6  # values; of fewer, no two ranks hold the median with 95 %
QUANTILES = 2000  # of the standard error, for the power
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
    wilcoxon: float | None  # its p over images, each by its mean over seeds
    detectable: float | None  # the smallest difference that is found with POWER, as values spread here
    images: int
    seeds: int


def over_seeds(values: Sequence[float]) -> Estimate:
    """Mean of one value a seed and its 95 % Student-t interval; no interval for a single seed."""
    mean = _mean(values)
    count = len(values)
    if count < 2 or not math.isfinite(mean):
        return Estimate(mean, None, count)
    from scipy.stats import t

    deviation = math.sqrt(sum((value - mean) ** 2 for value in values) / (count - 1))
    half = float(t.ppf((1 + LEVEL) / 2, count - 1)) * deviation / math.sqrt(count)
    return Estimate(mean, (mean - half, mean + half), count)


def over_images(differences: Sequence[float]) -> Estimate:
    """Mean of paired per-image differences and its 95 % bootstrap interval over images; none for fewer than FEWEST_IMAGES."""
    mean = _mean(differences)
    count = len(differences)
    if count < FEWEST_IMAGES or not math.isfinite(mean):
        return Estimate(mean, None, count)
    import numpy as np
    from scipy.stats import bootstrap

    values = np.asarray(differences, dtype=np.float64)
    drawn = bootstrap(
        (values,), np.mean, n_resamples=RESAMPLES, confidence_level=LEVEL, method="percentile", random_state=np.random.default_rng(0)
    )
    interval = drawn.confidence_interval
    error = float(values.std(ddof=1)) / math.sqrt(count)
    return Estimate(mean, _stretched(mean, (interval.low, interval.high), float(drawn.standard_error), error, count - 1), count)


def over_both(differences: np.ndarray) -> Paired:
    """All that is said of `differences` (seeds, images): every seed was measured on every image.

    With two seeds or more the interval is of a bootstrap at two levels, which draws seeds, and images for all of the drawn seeds alike,
    and `p` of Student's t with the variance that seeds, images and their interplay leave in the mean (Satterthwaite's degrees of
    freedom). With one seed both are over images alone, `p` of Wilcoxon's signed-rank test.
    """
    import numpy as np

    values = np.asarray(differences, dtype=np.float64)
    seeds, images = values.shape
    by_image = values.mean(axis=0)
    if images < FEWEST_IMAGES or not np.isfinite(values).all():
        return Paired(_mean(by_image.tolist()), None, None, "", None, None, images, seeds)
    ranks = wilcoxon(by_image)
    if seeds == 1:
        found = over_images(by_image.tolist())
        error, freedom = float(by_image.std(ddof=1)) / math.sqrt(images), float(images - 1)
        return Paired(found.mean, found.interval, ranks, "wilcoxon", ranks, detectable(error, freedom), images, seeds)
    error, freedom = error_of_mean(values)
    mean = float(values.mean())
    interval = _two_level_interval(values, mean, error, freedom)
    return Paired(mean, interval, _student(mean, error, freedom), "two levels", ranks, detectable(error, freedom), images, seeds)


def error_of_mean(values: np.ndarray) -> tuple[float, float]:
    """Standard error of the mean of `values` (seeds, images), at least two of each, and its degrees of freedom (Satterthwaite).

    Of an analysis of variance with both at random: what seeds leave, what images leave, less what both have counted of the rest. It is
    at least what either leaves alone, which the difference may fall below by chance.
    """
    seeds, images = values.shape
    by_seed, by_image = values.mean(axis=1), values.mean(axis=0)
    rest = values - by_seed[:, None] - by_image[None, :] + values.mean()
    of_seeds = images * float(by_seed.var(ddof=1))
    of_images = seeds * float(by_image.var(ddof=1))
    of_rest = float((rest**2).sum()) / ((seeds - 1) * (images - 1))
    both = of_seeds + of_images - of_rest
    most, alone = max((of_seeds, seeds - 1), (of_images, images - 1))
    if both <= most:
        return math.sqrt(most / (seeds * images)), float(alone)
    parts = of_seeds**2 / (seeds - 1) + of_images**2 / (images - 1) + of_rest**2 / ((seeds - 1) * (images - 1))
    return math.sqrt(both / (seeds * images)), both**2 / parts


def wilcoxon(differences: np.ndarray) -> float:
    """Two-sided p of the signed-rank test; 1 where no value differs from zero."""
    import numpy as np
    from scipy import stats

    values = np.asarray(differences, dtype=np.float64)
    values = values[values != 0]
    if not values.size:
        return 1.0
    tied = np.unique(np.abs(values)).size < values.size
    if tied and values.size <= ENUMERATED:
        return float(stats.wilcoxon(values, method=stats.PermutationMethod(n_resamples=2**ENUMERATED)).pvalue)
    return float(stats.wilcoxon(values, method="approx" if tied or values.size > 50 else "exact").pvalue)


def detectable(error: float, freedom: float) -> float:
    """The smallest difference that a two-sided test at 5 % finds with POWER, given the standard error of the mean and its freedom.

    By Student's t, of one comparison: Wilcoxon's test needs about 2 % more on normal data, a corrected one of several more yet.
    """
    import numpy as np
    from scipy.optimize import brentq
    from scipy.stats import chi2, norm, t

    limit = float(t.ppf((1 + LEVEL) / 2, freedom))
    # Power is that of a normal mean, averaged over what its standard error may come out as: scipy's nct gives NaN for little freedom.
    errors = np.sqrt(chi2.ppf((np.arange(QUANTILES) + 0.5) / QUANTILES, freedom) / freedom)

    def lacking(shift: float) -> float:
        return float(norm.sf(limit * errors - shift).mean()) - POWER

    return error * float(brentq(lacking, 0.0, 10 * limit))


def holm(p_values: Sequence[float]) -> list[float]:
    """The p values corrected for their number by Holm's step-down method, in the same order."""
    corrected = [0.0] * len(p_values)
    highest = 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=lambda place: p_values[place])):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[place]))
        corrected[place] = highest
    return corrected


def median_interval(values: Sequence[float]) -> tuple[float, float] | None:
    """Two of the values between which the median lies with at least LEVEL, by their ranks; None for fewer than FEWEST_RANKS."""
    ordered, count = sorted(values), len(values)
    if count < FEWEST_RANKS:
        return None
    rank = _median_rank(count)
    return ordered[rank - 1], ordered[count - rank]


@cache
def _median_rank(count: int) -> int:
    """The lower of the two ranks: the chance that fewer values than this lie below the median is less than (1 - LEVEL) / 2."""
    from scipy.stats import binom

    return int(binom.ppf((1 - LEVEL) / 2, count, 0.5))


def smallest_wilcoxon(images: int) -> float:
    """The smallest p that the signed-rank test can give for so many images: all differ to one side."""
    return min(1.0, 2.0 ** (1 - images))


def _two_level_interval(values: np.ndarray, mean: float, error: float, freedom: float) -> tuple[float, float]:
    import numpy as np

    seeds, images = values.shape
    draw = np.random.default_rng(0)
    of_seeds = draw.multinomial(seeds, np.full(seeds, 1 / seeds), size=RESAMPLES) / seeds  # how often each is drawn
    of_images = draw.multinomial(images, np.full(images, 1 / images), size=RESAMPLES) / images
    means = ((of_seeds @ values) * of_images).sum(axis=1)
    low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return _stretched(mean, (float(low), float(high)), float(means.std()), error, freedom)


def _stretched(mean: float, drawn: tuple[float, float], spread: float, error: float, freedom: float) -> tuple[float, float]:
    """A bootstrap's interval, whose means have the standard deviation `spread`, as wide as Student's t with `error` asks for."""
    from scipy.stats import norm, t

    level = (1 + LEVEL) / 2
    factor = float(t.ppf(level, freedom) / norm.ppf(level)) * error / spread if spread > 0 else 1.0
    low, high = (mean + factor * (float(end) - mean) for end in drawn)
    return low, high


def _student(mean: float, error: float, freedom: float) -> float:
    from scipy.stats import t

    if error == 0:
        return 0.0 if mean else 1.0
    return float(2 * t.sf(abs(mean) / error, freedom))


def _mean(values: Sequence[float]) -> float:
    if not values:
        raise ValueError("a mean needs at least one value")
    return sum(values) / len(values)
