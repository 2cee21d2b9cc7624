"""What 95 % intervals of means cover: `python tests/bench/intervals.py images 20000`, `levels 10000`, `alarms 10000`.

images N  over images: each way to make an interval, on N samples of each shape and each count; per cent covered, and the median width in
          units of Student's t (which is 1)
levels N  over seeds and images, for several spreads of the seeds; per cent covered, and the median width in dB
alarms N  how often equal designs are called better or worse, of one comparison and of four in one table by Holm

No test (tests/core/statistics/test_intervals.py is): it takes minutes. Shapes of published differences are used where they are at hand
(tests/support/difference_shapes.py).
"""

import argparse
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from scipy import stats as scipy_stats

sys.path[:0] = [str(Path(__file__).resolve().parents[1] / "support"), str(Path(__file__).resolve().parents[2])]

from difference_shapes import DISTRIBUTIONS, measured  # noqa: E402 - the paths come first
from places import OUTSIDE  # noqa: E402

from suite.core.output import Output  # noqa: E402
from suite.core.statistics import intervals, stats  # noqa: E402

COUNTS = (5, 6, 8, 14, 24, 40, 50, 100)
RESAMPLES = 1999
ENDS = (0.025, 0.975)
PLACES = [round(end * (RESAMPLES + 1)) - 1 for end in ENDS]  # of sorted resamples
NORMAL = float(scipy_stats.norm.ppf(ENDS[1]))
IMAGES = (14, 100)
SEEDS = (2, 3, 5)
SPREADS = ((0.0, 0.0), (0.05, 0.0), (0.0, 0.2), (0.02, 0.2), (0.05, 0.2), (0.2, 0.2))  # of a design's seeds, and of images, dB
REST = 0.1  # dB, of a seed on an image
TOGETHER = 4  # comparisons of one table


@dataclass(frozen=True)
class Samples:
    """Samples (samples, images) and what all ways ask of them, in units of the standard error of the mean."""

    values: np.ndarray

    @property
    def count(self):
        """Images."""
        return self.values.shape[1]

    @cached_property
    def error(self):
        """Standard error of each mean."""
        return self.values.std(axis=1, ddof=1) / np.sqrt(self.count)

    @cached_property
    def scaled(self):
        """Values with mean 0 and standard deviation 1."""
        centred = self.values - self.values.mean(axis=1, keepdims=True)
        return centred / np.maximum(centred.std(axis=1, ddof=1, keepdims=True), 1e-12)

    @cached_property
    def skewness(self):
        """Corrected for the count (G1)."""
        return scipy_stats.skew(self.values, axis=1, bias=False)

    @cached_property
    def resampled(self):
        """Means of resamples (samples, resamples), and each by its own standard error, both sorted; the same resamples for all."""
        often = np.random.default_rng(0).multinomial(self.count, np.full(self.count, 1 / self.count), size=RESAMPLES).T / self.count
        means = self.scaled @ often
        variances = (self.scaled**2 @ often - means**2) * self.count / (self.count - 1)
        means *= np.sqrt(self.count)
        return np.sort(means), np.sort(means / np.sqrt(np.maximum(variances, 1e-18)))

    @cached_property
    def student(self):
        """Quantile of Student's t."""
        return float(scipy_stats.t.ppf(ENDS[1], self.count - 1))


def _student(of):
    limit = np.full(of.values.shape[0], of.student)
    return limit, limit


def _percentile(of):
    low, high = (of.resampled[0][:, place] for place in PLACES)
    return -low, high


def _stretched(of):  # what the suite did before
    below, above = _percentile(of)
    factor = of.student / NORMAL / of.resampled[0].std(axis=1)
    return below * factor, above * factor


def _corrected(of):  # BCa
    means = of.resampled[0]
    shift = scipy_stats.norm.ppf(np.clip((means < 0).mean(axis=1) + (means == 0).mean(axis=1) / 2, 1e-4, 1 - 1e-4))
    pull = scipy_stats.skew(of.values, axis=1) / (6 * np.sqrt(of.count))
    places = [scipy_stats.norm.cdf(shift + (shift + z) / (1 - pull * (shift + z))) for z in (-NORMAL, NORMAL)]
    columns = [np.clip((place * RESAMPLES).astype(int), 0, RESAMPLES - 1) for place in places]
    low, high = (means[np.arange(means.shape[0]), column] for column in columns)
    return -low, high


def _studentised(of):
    low, high = (of.resampled[1][:, place] for place in PLACES)
    return high, -low


def _studentised_both_sides(of):  # of the absolute value, which is Student's t calibrated by a bootstrap
    place = round((ENDS[1] - ENDS[0]) * (RESAMPLES + 1)) - 1
    limit = np.partition(np.abs(of.resampled[1]), place)[:, place]
    return limit, limit


def _hall(of):  # his cubic transformation, of Student's t
    tail = of.skewness / np.sqrt(of.count)
    tail = np.where(np.abs(tail) < 1e-6, 1e-6, tail)
    below, above = (3 / tail * (np.cbrt(1 + tail * (end - tail / 6)) - 1) for end in (of.student, -of.student))
    return below, -above


def _johnson(of):  # his term on both sides: longer here, shorter there
    more = (1 + 2 * of.student**2) / 6 * of.skewness / np.sqrt(of.count)
    return of.student - more, of.student + more


def _wider(one, other):
    def way(of):
        return tuple(np.maximum(*sides) for sides in zip(one(of), other(of), strict=True))

    return way


def _tail(factor):  # the suite's way where the factor is intervals.TAIL
    def way(of):
        more = factor * (1 + 2 * of.student**2) / 6 * of.skewness / np.sqrt(of.count)
        return of.student + np.maximum(-more, 0), of.student + np.maximum(more, 0)

    return way


def _suite(of):
    low, high = intervals.interval_ends(of.values[:, None, :])
    mean, error = of.values.mean(axis=1), np.maximum(of.error, 1e-300)
    return (mean - low) / error, (high - mean) / error


SUITE = f"the suite: longer tail, factor {intervals.TAIL:g}"
WAYS = {
    "percentile bootstrap": _percentile,
    "percentile, stretched to Student's t": _stretched,
    "Student's t": _student,
    "BCa": _corrected,
    "Johnson's t": _johnson,
    "studentised bootstrap": _studentised,
    "studentised, symmetric": _studentised_both_sides,
    "studentised or Student's t, the wider": _wider(_studentised, _student),
    "Hall's transformation": _hall,
    "Hall's or Student's t, the wider": _wider(_hall, _student),
    "longer tail, factor 1": _tail(1.0),
    "longer tail, factor 2": _tail(2.0),
    SUITE: _suite,
}


def shapes():
    """All that can be drawn here."""
    return (*DISTRIBUTIONS, *(measured(OUTSIDE) if OUTSIDE.is_dir() else ()))


def images(runs, out):
    """Prints a table for each count."""
    for count in COUNTS:
        rows = {name: {"way": name} for name in WAYS}
        for place, shape in enumerate(shapes()):
            drawn = Samples(shape.draw(np.random.default_rng([place, count]), (runs, count)))
            off = (shape.mean - drawn.values.mean(axis=1)) / np.maximum(drawn.error, 1e-300)
            for name, way in WAYS.items():
                below, above = way(drawn)
                covered = 100 * ((-below <= off) & (off <= above)).mean()
                rows[name][shape.name] = f"{covered:.1f} {np.median(below + above) / (2 * drawn.student):.2f}"
        out.line(f"\n{count} images")
        out.table(list(rows.values()))


def differences(generator, shape, runs, seeds, count, *, of_seeds, of_images):
    """Differences (runs, seeds, images) of two designs of equal quality, each of whose trainings is off by `of_seeds`, dB."""
    by_seed = generator.normal(0, np.sqrt(2) * of_seeds, (runs, seeds, 1))
    by_image = of_images * (shape.draw(generator, (runs, 1, count)) - shape.mean) / shape.deviation
    return by_seed + by_image + generator.normal(0, REST, (runs, seeds, count))


def levels(runs, out):
    """Prints what intervals over both cover, a row for each spread."""
    for seeds in SEEDS:
        for count in IMAGES:
            rows = []
            for spread in SPREADS:
                row = {"seeds": seeds, "images": count, "of seeds": spread[0], "of images": spread[1]}
                for place, shape in enumerate(shapes()):
                    if spread[1] or shape.name == "normal":
                        generator = np.random.default_rng([place, seeds, count])
                        values = differences(generator, shape, runs, seeds, count, of_seeds=spread[0], of_images=spread[1])
                        low, high = intervals.interval_ends(values)
                        row[shape.name] = f"{100 * ((low <= 0) & (high >= 0)).mean():.1f} {np.median(high - low):.3f}"
                rows.append({**dict.fromkeys(("seeds", "images", "of seeds", "of images", *(shape.name for shape in shapes()))), **row})
            out.table(rows)


def alarms(runs, out):
    """Prints how often two equal designs, and one of TOGETHER, get a verdict."""
    rows = []
    for seeds in (1, *SEEDS):
        for count in IMAGES:
            for of_seeds in (0.0, 0.05) if seeds > 1 else (0.0,):
                for of_images in (0.0, 0.2):
                    generator = np.random.default_rng([seeds, count])
                    values = differences(generator, DISTRIBUTIONS[0], runs, seeds, count, of_seeds=of_seeds, of_images=of_images)
                    found = [stats.wilcoxon_p(one[0]) if seeds == 1 else intervals.p_value(one) for one in values]
                    low, high = intervals.interval_ends(values)
                    apart = (low > 0) | (high < 0)
                    tables = np.array([stats.correct_by_holm(p) for p in np.reshape(found, (-1, TOGETHER))]).ravel()
                    of_tables = ((tables < 0.05) & apart).reshape(-1, TOGETHER).any(axis=1)
                    row = {"seeds": seeds, "images": count, "of seeds": of_seeds, "of images": of_images}
                    row["of one, %"] = f"{100 * ((np.array(found) < 0.05) & apart).mean():.1f}"
                    row[f"of {TOGETHER}, %"] = f"{100 * of_tables.mean():.1f}"
                    row["by the interval alone, %"] = f"{100 * apart.mean():.1f}"
                    rows.append(row)
    out.table(rows)


if __name__ == "__main__":
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("what", choices=("images", "levels", "alarms"))
    asked.add_argument("samples", type=int)
    options = asked.parse_args()
    {"images": images, "levels": levels, "alarms": alarms}[options.what](options.samples, Output(sys.stdout))
