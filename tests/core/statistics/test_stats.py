import itertools
import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from suite.core.statistics import intervals, stats

values = st.lists(st.floats(-50, 50, allow_nan=False), min_size=2, max_size=12)


def test_known_student_interval():
    # t(0.975, 4) = 2.776445, s = sqrt(2.5): 2.776445 * 1.581139 / sqrt(5) = 1.963243
    estimate = stats.estimate_over_seeds([1.0, 2.0, 3.0, 4.0, 5.0])
    assert (estimate.mean, estimate.count) == (3.0, 5)
    assert estimate.half_width == pytest.approx(1.963243, abs=1e-6)
    assert estimate.interval == pytest.approx((1.036757, 4.963243), abs=1e-6)


def test_two_seeds_have_the_wide_interval_of_one_degree_of_freedom():
    assert stats.estimate_over_seeds([27.0, 27.2]).half_width == pytest.approx(12.7062 * 0.1, abs=1e-4)


@given(values)
def test_agrees_with_scipys_one_sample_test(numbers):
    from scipy.stats import ttest_1samp

    estimate = stats.estimate_over_seeds(numbers)
    if max(numbers) - min(numbers) > 1e-6:  # scipy warns of catastrophic cancellation below
        expected = ttest_1samp(numbers, 0.0).confidence_interval(0.95)
        assert estimate.interval == pytest.approx((expected.low, expected.high), abs=1e-8)
    assert estimate.interval[0] <= estimate.mean <= estimate.interval[1]


def test_one_seed_has_no_interval():
    estimate = stats.estimate_over_seeds([28.5])
    assert estimate == stats.Estimate(28.5, None, 1)
    assert estimate.half_width is None


@pytest.mark.parametrize("numbers", [[math.inf, 1.0], [math.nan, 1.0], [math.inf, -math.inf]])
@pytest.mark.parametrize("estimate", [stats.estimate_over_seeds, stats.estimate_over_images])
def test_no_interval_from_numbers_that_are_not_finite(estimate, numbers):
    assert estimate(numbers * 3).interval is None


@pytest.mark.parametrize("estimate", [stats.estimate_over_seeds, stats.estimate_over_images])
def test_nothing_has_no_mean(estimate):
    with pytest.raises(ValueError, match="at least one value"):
        estimate([])


def test_too_few_images_have_no_interval():
    assert stats.estimate_over_images([0.1, 0.2, 0.3, 0.4, 0.5]).interval is None
    assert stats.estimate_over_images([0.1, 0.2, 0.3, 0.4, 0.5, 0.6]).interval is not None


def test_the_interval_over_many_images_is_near_theory():
    # 400 equally likely quantiles of a unit normal: the interval of the mean is 1.96 / 20 to each side

    sample = [float(norm.ppf((index + 0.5) / 400)) + 0.3 for index in range(400)]
    estimate = stats.estimate_over_images(sample)
    assert estimate.mean == pytest.approx(0.3)
    assert estimate.interval == pytest.approx((0.3 - 0.098, 0.3 + 0.098), abs=0.001)


def test_the_interval_of_equal_differences_is_a_point():
    low, high = stats.estimate_over_images([0.25] * 6).interval
    assert (low, high) == (0.25, 0.25)


# Paired differences over seeds and images


def quantiles(count, mean=0.0, deviation=1.0):
    """Values of exactly this mean and standard deviation, spread as a normal distribution."""
    values = norm.ppf((np.arange(count) + 0.5) / count)
    return mean + deviation * (values - values.mean()) / values.std(ddof=1)


def drawn(generator, effect, seeds, images, *, of_seed=0.05, of_image=0.2, rest=0.1):
    """Differences (seeds, images) of a known effect: every seed, every image and every pair of them is off by chance."""
    shape = (seeds, images)
    by_seed, by_image = generator.normal(0, of_seed, (seeds, 1)), generator.normal(0, of_image, (1, images))
    return effect + by_seed + by_image + generator.normal(0, rest, shape)


@pytest.mark.parametrize("images", [6, 40])
def test_one_seed_s_interval_covers_a_known_effect_and_p_keeps_its_level(images, monkeypatch):
    monkeypatch.setattr(stats, "smallest_detectable", lambda *_: None)  # which takes time, and is tested below
    runs, generator = 400, np.random.default_rng(7)
    found = [stats.compare_paired(generator.normal(0.3, 0.2, (1, images))) for _ in range(runs)]
    covered = sum(one.interval[0] <= 0.3 <= one.interval[1] for one in found) / runs
    error = (0.95 * 0.05 / runs) ** 0.5
    assert 0.95 - 3 * error <= covered <= 0.95 + 4 * error
    rejected = sum(stats.compare_paired(generator.normal(0, 0.2, (1, images))).p < 0.05 for _ in range(runs)) / runs
    assert rejected <= 0.05 + 3 * error


def test_one_function_makes_all_intervals_over_images():
    values = np.random.default_rng(3).lognormal(size=(3, 14))
    assert stats.estimate_over_images(values[0].tolist()).interval == stats.compare_paired(values[:1]).interval
    assert stats.compare_paired(values).interval == tuple(map(float, intervals.interval_ends(values)))
    assert stats.compare_paired(values).p == intervals.p_value(values)


def test_two_levels_see_what_one_level_misses():
    """Three seeds of which one trained badly: over images the difference is certain, over seeds it is not."""
    values = np.array([[0.02], [0.03], [0.40]]) + 0.01 * quantiles(50)[None, :]
    found = stats.compare_paired(values)
    assert found.wilcoxon < 1e-6
    assert found.test == "two levels"
    assert found.p > 0.2
    assert found.interval[0] < 0 < found.interval[1]


def test_seeds_that_do_not_differ_leave_the_interval_of_images():
    by_image = quantiles(30, 0.2, 0.3)
    found = stats.compare_paired(np.tile(by_image, (4, 1)))
    one = stats.compare_paired(by_image[None, :])
    assert found.interval == pytest.approx(one.interval)
    assert found.detectable == pytest.approx(one.detectable, rel=1e-3)  # integrated on two grids


def test_wilcoxon_is_scipy_s():
    generator = np.random.default_rng(3)
    for count in (6, 20, 50, 80):
        values = generator.normal(0.3, 1, count)
        assert stats.wilcoxon_p(values) == scipy.stats.wilcoxon(values).pvalue


def test_wilcoxon_against_every_assignment_of_signs():
    """Ties and zeros, where the tables do not hold: the share of sign assignments that are at least as extreme."""
    values = np.array([1.0, 1.0, 2.0, -1.0, 3.0, 0.0, 2.0])
    held = values[values != 0]
    ranks = scipy.stats.rankdata(np.abs(held))
    sums = [sum(ranks[list(chosen)]) for size in range(len(held) + 1) for chosen in itertools.combinations(range(len(held)), size)]
    centre, seen = ranks.sum() / 2, ranks[held > 0].sum()
    exact = sum(abs(one - centre) >= abs(seen - centre) - 1e-9 for one in sums) / len(sums)
    assert stats.wilcoxon_p(values) == pytest.approx(exact)
    assert stats.wilcoxon_p(np.zeros(7)) == 1.0


@pytest.mark.parametrize("images", [5, 6, 9])
def test_the_smallest_p_of_wilcoxon_s_test(images):
    assert stats.wilcoxon_p(np.arange(1, images + 1)) == pytest.approx(stats.smallest_wilcoxon(images))


def test_holm_s_worked_example():
    # 0.005 * 4, 0.01 * 3, 0.03 * 2, and 0.04 * 1, which may not be below the one before it
    assert stats.correct_by_holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert stats.correct_by_holm([0.6, 0.7]) == [1.0, 1.0]
    assert stats.correct_by_holm([0.02]) == [0.02]
    assert stats.correct_by_holm([]) == []


@pytest.mark.parametrize("images", [6, 15, 60])
def test_the_detectable_difference_is_found_in_four_of_five_simulations(images):
    deviation, runs = 0.4, 40_000
    smallest = stats.compare_paired(quantiles(images, 0.1, deviation)[None, :]).detectable
    values = np.random.default_rng(11).normal(smallest, deviation, (runs, images))
    power = (scipy.stats.ttest_1samp(values, 0.0, axis=1).pvalue < 0.05).mean()
    assert power == pytest.approx(stats.POWER, abs=4 * (0.16 / runs) ** 0.5)


@pytest.mark.parametrize(("seeds", "images", "of_seed"), [(2, 25, 0.05), (3, 14, 0.1), (5, 100, 0.05)])
def test_the_detectable_difference_of_two_levels_in_simulation(seeds, images, of_seed):
    generator, runs = np.random.default_rng(5), 4000
    squares = of_seed**2 + 0.1**2 / images, 0.2**2  # of a seed's mean, of an image's effect; the rest is in the first
    smallest = stats.smallest_detectable(((squares[1] / images) ** 0.5, images - 1), ((squares[0] / seeds) ** 0.5, seeds - 1))
    shape = (runs, seeds, images)
    by_seed, by_image = generator.normal(0, of_seed, (runs, seeds, 1)), generator.normal(0, 0.2, (runs, 1, images))
    low, high = intervals.interval_ends(smallest + by_seed + by_image + generator.normal(0, 0.1, shape))
    assert ((low > 0) | (high < 0)).mean() == pytest.approx(stats.POWER, abs=0.03)


def test_the_detectable_difference_is_that_of_the_parts_of_the_error(monkeypatch):
    seen = []
    monkeypatch.setattr(stats, "smallest_detectable", lambda *parts: seen.append(parts))
    values = drawn(np.random.default_rng(1), 0.1, 3, 20)
    stats.compare_paired(values)
    assert seen == [tuple((float(part.error), part.freedom) for part in intervals.error_parts(values))]


def test_few_images_and_values_that_are_not_finite_tell_nothing():
    for values in (np.ones((3, 4)), np.array([[1.0, 2.0, 3.0, 4.0, math.inf]])):
        found = stats.compare_paired(values)
        assert (found.interval, found.p, found.detectable, found.test) == (None, None, None, "")


def test_equal_differences_are_certain():
    found = stats.compare_paired(np.full((3, 8), 0.25))
    assert (found.mean, found.interval, found.p, found.detectable) == (0.25, (0.25, 0.25), 0.0, 0.0)
    assert stats.compare_paired(np.zeros((3, 8))).p == 1.0


def test_the_interval_of_a_median_covers_it_and_needs_six_values():
    assert stats.median_interval([1.0] * (stats.FEWEST_RANKS - 1)) is None
    assert stats.median_interval([3.0, 1.0, 6.0, 2.0, 5.0, 4.0]) == (1.0, 6.0)
    random = np.random.default_rng(0)
    for count in (6, 11, 24, 50):
        ends = [stats.median_interval(values) for values in random.standard_cauchy((2000, count)).tolist()]
        assert np.mean([low <= 0 <= high for low, high in ends]) >= 0.94
