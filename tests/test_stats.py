import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from suite import stats

values = st.lists(st.floats(-50, 50, allow_nan=False), min_size=2, max_size=12)


def test_known_student_interval():
    # t(0.975, 4) = 2.776445, s = sqrt(2.5): 2.776445 * 1.581139 / sqrt(5) = 1.963243
    estimate = stats.over_seeds([1.0, 2.0, 3.0, 4.0, 5.0])
    assert (estimate.mean, estimate.count) == (3.0, 5)
    assert estimate.half_width == pytest.approx(1.963243, abs=1e-6)
    assert estimate.interval == pytest.approx((1.036757, 4.963243), abs=1e-6)


def test_two_seeds_have_the_wide_interval_of_one_degree_of_freedom():
    assert stats.over_seeds([27.0, 27.2]).half_width == pytest.approx(12.7062 * 0.1, abs=1e-4)


@given(values)
def test_agrees_with_scipys_one_sample_test(numbers):
    from scipy.stats import ttest_1samp

    estimate = stats.over_seeds(numbers)
    if max(numbers) - min(numbers) > 1e-6:  # scipy warns of catastrophic cancellation below
        expected = ttest_1samp(numbers, 0.0).confidence_interval(0.95)
        assert estimate.interval == pytest.approx((expected.low, expected.high), abs=1e-8)
    assert estimate.interval[0] <= estimate.mean <= estimate.interval[1]


def test_one_seed_has_no_interval():
    estimate = stats.over_seeds([28.5])
    assert estimate == stats.Estimate(28.5, None, 1)
    assert estimate.half_width is None


@pytest.mark.parametrize("numbers", [[math.inf, 1.0], [math.nan, 1.0], [math.inf, -math.inf]])
@pytest.mark.parametrize("estimate", [stats.over_seeds, stats.over_images])
def test_no_interval_from_numbers_that_are_not_finite(estimate, numbers):
    assert estimate(numbers * 3).interval is None


@pytest.mark.parametrize("estimate", [stats.over_seeds, stats.over_images])
def test_nothing_has_no_mean(estimate):
    with pytest.raises(ValueError, match="at least one value"):
        estimate([])


def test_too_few_images_have_no_interval():
    assert stats.over_images([0.1, 0.2, 0.3, 0.4]).interval is None
    assert stats.over_images([0.1, 0.2, 0.3, 0.4, 0.5]).interval is not None


def test_bootstrap_is_repeatable_and_near_theory():
    # 400 equally likely quantiles of a unit normal: the interval of the mean is 1.96 / 20 to each side
    from scipy.stats import norm

    sample = [float(norm.ppf((index + 0.5) / 400)) + 0.3 for index in range(400)]
    estimate = stats.over_images(sample)
    assert estimate == stats.over_images(sample)
    assert estimate.mean == pytest.approx(0.3)
    assert estimate.interval == pytest.approx((0.3 - 0.098, 0.3 + 0.098), abs=0.006)


def test_bootstrap_of_equal_differences_is_a_point():
    low, high = stats.over_images([0.25] * 6).interval
    assert (low, high) == (0.25, 0.25)
