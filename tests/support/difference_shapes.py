"""Per-image differences of known shapes, for simulations of intervals: three distributions, and the differences that published methods had.

The published ones are read from a table that lies beside the repository (PSNR of every image, SelfExSR's authors); without it there are
the three distributions alone.
"""

import csv
import math
from dataclasses import dataclass, field

import numpy as np

SETS = {"BSD100": ("BSD100",), "Urban100": ("Urban100",), "both sets": ("BSD100", "Urban100")}
PAIRS = (("SelfExSR", "A+"), ("A+", "SRCNN"))
SCALE = "4"


@dataclass(frozen=True)
class Shape:
    """A distribution of differences with its mean and standard deviation; of `pool`, where there is one, every value is as likely."""

    name: str
    mean: float
    deviation: float
    pool: np.ndarray | None = field(default=None, compare=False)

    def draw(self, generator, shape):
        """Independent differences."""
        if self.pool is not None:
            return self.pool[generator.integers(0, self.pool.size, shape)]
        if self.name == "lognormal":
            return generator.lognormal(size=shape)
        return generator.normal(size=shape) if self.name == "normal" else generator.standard_t(3, size=shape)


DISTRIBUTIONS = (
    Shape("normal", 0.0, 1.0),
    Shape("t, 3 degrees", 0.0, math.sqrt(3)),
    Shape("lognormal", math.exp(0.5), math.sqrt(math.exp(2) - math.exp(1))),
)


def measured(outside):
    """The shapes of two published differences at x4, of each of two data sets and of both; `outside` is the folder of known answers."""
    values = {}
    with (outside / "known_answers" / "selfexsr_per_image.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            if row["scale"] == SCALE:
                values[row["set"], row["image"], row["method"]] = float(row["psnr"])
    found = []
    for ours, theirs in PAIRS:
        for name, sets in SETS.items():
            images = [(held, image) for held, image, method in values if method == ours and held in sets]
            pool = np.array([values[*image, ours] - values[*image, theirs] for image in images])
            found.append(Shape(f"{ours} - {theirs}, {name}", float(pool.mean()), float(pool.std()), pool))
    return tuple(found)
