"""Means and 95 % intervals: Student's t over seeds, and a bootstrap over images for paired differences.

The two answer different questions. Over seeds: would another training run give the same? Over images: would other
images of this kind? With one seed only the second can be answered, and it says nothing about training noise.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

LEVEL = 0.95
RESAMPLES = 9999
FEWEST_IMAGES = 5  # a bootstrap of fewer has too few distinct resamples to carry a 95 % interval


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
    """Mean of paired per-image differences and its 95 % percentile bootstrap interval over images.

    Seeded, so that the same records give the same interval. No interval for fewer than FEWEST_IMAGES images.
    """
    mean = _mean(differences)
    count = len(differences)
    if count < FEWEST_IMAGES or not math.isfinite(mean):
        return Estimate(mean, None, count)
    import numpy as np
    from scipy.stats import bootstrap

    low, high = bootstrap(
        (np.asarray(differences, dtype=np.float64),),
        np.mean,
        n_resamples=RESAMPLES,
        confidence_level=LEVEL,
        method="percentile",
        random_state=np.random.default_rng(0),
    ).confidence_interval
    return Estimate(mean, (float(low), float(high)), count)


def _mean(values: Sequence[float]) -> float:
    if not values:
        raise ValueError("a mean needs at least one value")
    return sum(values) / len(values)
