"""Estimates of time and memory: a made-up linear machine is recovered, nothing is negative, what is left out is told from the others."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from suite.measure.costs.estimate import COARSE, MEMORY, TIME, Estimator, Measured, Work, describe_work, fit_rates, sum_rates
from suite.records.kinds.profile import ProfileCost

RATES = {"convolutions": 2e-8, "products": 5e-8, "scans": 1e-7, "norms": 0.0, "maps": 3e-7, "calls": 0.02}  # ms
SIZES = {"pixels": 0.0, "map": 3e-5, "output": 1e-5, "weights": 0.0}  # MiB
GROUPS = (*TIME, *MEMORY)


def work(model, seed, size=(64, 64)):
    """A call whose groups are drawn by `seed` for each network, and grow with the pixels, but for `calls` and `weights`."""
    pixels = math.prod(size)
    shares = {name: 1 + (seed * (7 + 3 * at) + at * at) % 97 for at, name in enumerate(GROUPS)}
    return Work(model, size, {name: float(share * (1 if name in ("calls", "weights") else pixels)) for name, share in shares.items()})


def measured(one, factor=1.0):
    return Measured(one, factor * sum_rates(RATES, one), sum_rates(SIZES, one), "ledger")


POINTS = tuple(measured(work(f"net-{seed}", seed)) for seed in range(1, 12))


def test_a_linear_machine_is_recovered():
    found = fit_rates([(point.work, point.ms) for point in POINTS], "ms")
    assert found == pytest.approx(RATES, rel=1e-6, abs=1e-14)
    new = work("new", 50)
    told = Estimator(POINTS).estimate(new, "ms")
    assert (told.basis, told.measured) == ("other networks", False)
    assert told.value == pytest.approx(sum_rates(RATES, new))
    assert Estimator(POINTS).estimate(new, "mib").value == pytest.approx(sum_rates(SIZES, new))


def test_few_networks_share_one_rate_for_all_operations():
    def total(one):
        return sum(one.groups[name] for name in COARSE["ms"])

    points = tuple(Measured(point.work, 3e-6 * total(point.work), 1.0, "ledger") for point in POINTS[:3])
    rates = fit_rates([(point.work, point.ms) for point in points], "ms")
    assert {name: rate for name, rate in rates.items() if rate} == pytest.approx(dict.fromkeys(COARSE["ms"], 3e-6))
    new = work("new", 50)
    assert Estimator(points).estimate(new, "ms").value == pytest.approx(3e-6 * total(new))


def test_one_left_out_of_a_linear_machine_is_met():
    for what in ("ms", "mib"):
        error = Estimator(POINTS).leave_one_out(what, "other networks")
        assert error.points == len(POINTS)
        assert error.largest == pytest.approx(0, abs=1e-6)
        assert Estimator(POINTS).leave_one_out(what, "other sizes") is None


def test_a_measured_value_is_given_as_it_is():
    point = measured(POINTS[0].work, factor=3)
    told = Estimator((point, *POINTS[1:])).estimate(point.work, "ms")
    assert (told.value, told.basis, told.source) == (point.ms, "measured", "ledger")


def test_a_network_that_is_slower_than_its_counts_stays_so_at_another_size():
    slow = measured(work("slow", 20), factor=3)
    large = work("slow", 20, (128, 128))
    told = Estimator((*POINTS, slow)).estimate(large, "ms")
    plain = Estimator((*POINTS, slow)).estimate(work("another", 20, (128, 128)), "ms").value
    assert told.basis == "other sizes"
    assert 2 < told.value / sum_rates(RATES, large) < 4
    assert told.value > plain


def test_other_sizes_are_left_out_one_at_a_time():
    points = (*POINTS, measured(work("net-1", 1, (32, 32))))
    error = Estimator(points).leave_one_out("ms", "other sizes")
    assert (error.points, error.largest) == (2, pytest.approx(0, abs=1e-6))
    error = Estimator(points).leave_one_out("ms", "other networks")
    assert error.points == len(points)


def test_too_little_is_no_estimate():
    assert Estimator(()).estimate(POINTS[0].work, "ms") is None
    assert Estimator(POINTS[:1]).estimate(POINTS[1].work, "ms") is None
    no_memory = Estimator(tuple(Measured(point.work, point.ms, None, "ledger") for point in POINTS))
    assert no_memory.estimate(work("new", 50), "mib") is None
    assert Estimator(()).leave_one_out("ms", "other networks") is None


@settings(max_examples=20, deadline=None)
@given(st.lists(st.floats(1e-3, 1e6), min_size=2, max_size=8))
def test_no_rate_and_no_estimate_is_negative(values):
    points = tuple(Measured(work(f"net-{at}", at + 1), value, value, "ledger") for at, value in enumerate(values))
    for what in ("ms", "mib"):
        assert min(fit_rates([(point.work, point.ms) for point in points], what).values()) >= 0
        told = Estimator(points).estimate(work("new", 50), what)
        assert told is None or told.value > 0


def test_a_call_is_described_by_all_that_was_counted():
    cost = ProfileCost(
        params=10,
        parts=(),
        macs=1000.0,
        by_operator={"conv": 500.0, "linear": 200.0, "selective_scan": 250.0, "layer_norm": 50.0},
        flops=1650.0,
        scan_macs=250.0,
        unsupported={"aten::add": 3, "aten::silu": 1},
        conventions={},
    )
    groups = describe_work("net", (4, 5), cost, 2).groups
    assert set(groups) == set(GROUPS)
    assert (groups["convolutions"], groups["products"], groups["scans"], groups["norms"]) == (500.0, 200.0, 250.0, 50.0)
    assert (groups["calls"], groups["pixels"], groups["output"], groups["weights"]) == (4.0, 20.0, 80.0, 10.0)
