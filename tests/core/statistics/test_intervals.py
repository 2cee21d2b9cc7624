"""Intervals of means: known answers, what they cover in simulations, and that p and interval say the same."""

import difference_shapes
import intervals as bench_intervals
import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from suite.core.statistics import intervals

RUNS = 12_000
ERROR = 3 * (0.93 * 0.07 / RUNS) ** 0.5  # of a share, by chance
NORMAL, HEAVY, SKEWED = difference_shapes.DISTRIBUTIONS
LEAST = {(NORMAL, 14): 0.93, (HEAVY, 14): 0.93, (SKEWED, 14): 0.90, (NORMAL, 100): 0.93, (HEAVY, 100): 0.93, (SKEWED, 100): 0.93}

samples = st.lists(st.floats(-50, 50).map(lambda value: round(value, 3)), min_size=intervals.FEWEST_IMAGES, max_size=30)
tables = st.tuples(st.integers(1, 4), st.integers(intervals.FEWEST_IMAGES, 9), st.integers(0, 10_000)).map(
    lambda of: np.random.default_rng(of[2]).normal(0.3, 1, of[:2]) ** 3 * (-1) ** of[2]
)


def ends(values):
    """Of one sample over images."""
    low, high = intervals.interval_ends(np.asarray(values, dtype=float)[None, :])
    return float(low), float(high)


def covered(shape, count, runs=RUNS):
    """Which share of the intervals over `count` images hold the mean of the shape."""
    values = shape.draw(np.random.default_rng([count, len(shape.name)]), (runs, 1, count))
    low, high = intervals.interval_ends(values)
    return float(((low <= shape.mean) & (shape.mean <= high)).mean())


def test_a_known_interval_of_skewed_values():
    # mean 1, s^2 = (5 + 25) / 5, so that the standard error is 1; G1 = 6 / (5 * 4) * (125 - 5) / 6^1.5 = 6^0.5, over the root of 6: 1
    # t(0.975, 5) = 2.570582; beside it, above the mean, 1.5 * (1 + 2 * 2.570582^2) / 6
    assert ends([0, 0, 0, 0, 0, 6]) == pytest.approx((1 - 2.570582, 1 + 2.570582 + 3.553946), abs=1e-5)
    assert ends([0, 0, 0, 0, 0, -6]) == pytest.approx((-1 - 2.570582 - 3.553946, -1 + 2.570582), abs=1e-5)


def test_values_without_skew_have_student_s_interval():
    values = [-3.0, -1.0, -0.5, 0.5, 1.0, 3.0]
    expected = scipy.stats.ttest_1samp(values, 0.0).confidence_interval(0.95)
    assert ends(values) == pytest.approx((expected.low, expected.high))


@given(samples, st.floats(0.1, 10), st.floats(-5, 5))
def test_sides_units_and_order_do_not_matter_and_no_side_is_shorter_than_student_s(values, factor, shift):
    low, high = ends(values)
    assert ends([-value for value in values]) == pytest.approx((-high, -low), abs=1e-6)
    assert ends([factor * value + shift for value in values]) == pytest.approx((factor * low + shift, factor * high + shift), abs=1e-5)
    assert ends(sorted(values)) == pytest.approx((low, high), abs=1e-6)
    half = scipy.stats.t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / len(values) ** 0.5
    assert low <= np.mean(values) - half + 1e-9
    assert high >= np.mean(values) + half - 1e-9


def test_many_samples_at_once_are_as_each_alone():
    values = np.random.default_rng(0).lognormal(size=(5, 3, 12))
    assert np.stack([intervals.interval_ends(one) for one in values], axis=1) == pytest.approx(np.stack(intervals.interval_ends(values)))


# What they cover


@pytest.mark.parametrize(("shape", "count"), LEAST, ids=lambda of: getattr(of, "name", of))
def test_intervals_over_images_of_three_distributions_cover_what_they_should(shape, count):
    assert covered(shape, count) >= LEAST[shape, count]


@pytest.mark.outside
def test_intervals_over_images_of_published_differences_cover_what_they_should(outside):
    for shape in difference_shapes.measured(outside):
        assert covered(shape, 100) >= 0.93, shape.name
        assert covered(shape, 14) >= intervals.measured_cover(14) - ERROR, shape.name


def worse(shape, count):
    """By how much the intervals cover less than those of the percentile bootstrap stretched to Student's t, on the same samples."""
    drawn = bench_intervals.Samples(shape.draw(np.random.default_rng(count), (2000, count)))
    off = (shape.mean - drawn.values.mean(axis=1)) / drawn.error
    ways = (bench_intervals.WAYS[name] for name in ("percentile, stretched to Student's t", bench_intervals.SUITE))
    before, now = (float(((-below <= off) & (off <= above)).mean()) for below, above in (way(drawn) for way in ways))
    return before - now


@pytest.mark.parametrize("count", [14, 100])
def test_none_covers_less_than_a_stretched_bootstrap(count):
    assert all(worse(shape, count) <= 0 for shape in difference_shapes.DISTRIBUTIONS)


@pytest.mark.outside
@pytest.mark.parametrize("count", [14, 100])
def test_none_of_published_differences_covers_less_than_a_stretched_bootstrap(outside, count):
    assert all(worse(shape, count) <= 0 for shape in difference_shapes.measured(outside))


def test_what_is_said_to_be_covered_is():
    for count, share in intervals.COVERED.items():
        assert min(covered(shape, count) for shape in difference_shapes.DISTRIBUTIONS) >= share - ERROR


@pytest.mark.outside
def test_what_is_said_to_be_covered_is_what_is_covered_at_least(outside):
    every = (*difference_shapes.DISTRIBUTIONS, *difference_shapes.measured(outside))
    for count, share in intervals.COVERED.items():
        least = min(covered(shape, count) for shape in every)
        assert share - ERROR <= least < share + 0.01 + ERROR, count


def test_what_is_covered_is_said_of_every_count():
    assert [intervals.measured_cover(count) for count in (6, 10, 14, 39, 40, 5000)] == [0.87, 0.89, 0.90, 0.91, None, None]
    assert min(intervals.COVERED) == intervals.FEWEST_IMAGES


# Over seeds and images


def test_the_parts_of_an_error_are_those_of_an_analysis_of_variance():
    # two seeds, three images: mean squares 3 * 2 of seeds, 2 * 1 of images, 0 of the rest
    of_images, of_seeds = intervals.error_parts(np.array([[0.0, 1.0, 2.0], [2.0, 3.0, 4.0]]))
    assert (float(of_images.error), of_images.freedom) == (pytest.approx((2 / 6) ** 0.5), 2)
    assert (float(of_seeds.error), of_seeds.freedom) == (pytest.approx((6 / 6) ** 0.5), 1)


def test_what_neither_seeds_nor_images_explain_counts_once():
    values = np.random.default_rng(4).normal(0, 1, (20_000, 6, 10))
    of_images, of_seeds = intervals.error_parts(values)
    assert (of_seeds.error**2).mean() == pytest.approx(1 / 60, rel=0.02)
    assert np.median(of_images.error) < 0.4 * np.median(of_seeds.error)


def test_the_ends_over_both_are_roots_of_sums_of_squares():
    values = np.array([[0.0, 1.0, 2.0], [2.0, 3.0, 4.0]])
    images, seeds = 4.302653 * (2 / 6) ** 0.5, 12.706205  # t(0.975, 2) and t(0.975, 1)
    half = (images**2 + seeds**2) ** 0.5
    assert tuple(map(float, intervals.interval_ends(values))) == pytest.approx((2 - half, 2 + half), abs=1e-4)


@pytest.mark.parametrize("seeds", [2, 3, 5])
@pytest.mark.parametrize("count", [14, 100])
def test_equal_designs_get_a_verdict_in_one_of_twenty_comparisons_at_most(seeds, count):
    for of_seeds, of_images in bench_intervals.SPREADS:
        generator = np.random.default_rng([seeds, count])
        values = bench_intervals.differences(generator, NORMAL, 4000, seeds, count, of_seeds=of_seeds, of_images=of_images)
        low, high = intervals.interval_ends(values)
        assert ((low > 0) | (high < 0)).mean() <= 0.05 + 3 * (0.05 * 0.95 / 4000) ** 0.5


def test_many_seeds_do_not_make_it_too_wide():
    values = bench_intervals.differences(np.random.default_rng(2), NORMAL, 4000, 12, 40, of_seeds=0.05, of_images=0.2)
    low, high = intervals.interval_ends(values)
    assert 0.94 <= ((low <= 0) & (high >= 0)).mean() <= 0.98


# p


@given(tables)
def test_p_and_the_interval_never_contradict_each_other(values):
    low, high = intervals.interval_ends(values)
    p = intervals.p_value(values)
    assert 0 <= p <= 1
    assert (p < 0.05) == (not low <= 0 <= high)
    for end in (low, high):  # at an end of the interval
        assert intervals.p_value(values - end) == pytest.approx(0.05, rel=1e-3)
    assert intervals.p_value(-values) == pytest.approx(p)


def test_p_of_values_without_skew_is_student_s():
    values = np.array([-3.0, -1.0, -0.5, 0.5, 1.0, 3.0]) + 0.9
    assert intervals.p_value(values[None, :]) == pytest.approx(scipy.stats.ttest_1samp(values, 0.0).pvalue)


def test_p_of_a_mean_that_is_next_to_0_on_the_side_of_the_tail_is_1():
    values = np.array([[0.0, 0, 0, 0, 0, -6]]) + 1.1  # mean 0.1; its interval reaches 0.25 below at any level
    assert intervals.p_value(values) == 1.0
    assert intervals.p_value(values + 0.2) < 1


def test_p_of_what_does_not_vary_and_of_what_is_far_away():
    assert intervals.p_value(np.zeros((3, 8))) == 1.0
    assert intervals.p_value(np.full((3, 8), 0.25)) == 0.0
    values = np.random.default_rng(1).normal(1, 1e-4, (4, 50))
    assert 0 < intervals.p_value(values) < 1e-9
