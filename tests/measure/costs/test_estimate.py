"""Estimates of time and memory: a made-up linear machine is recovered, nothing is negative, what is left out is told from the others."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from suite.measure.costs.estimate import CALLS_FROM, MEMORY, TIME, Estimator, Measured, Work, describe_work, fit_rates, sum_rates
from suite.measure.costs.traffic import Traffic
from suite.records.kinds.profile import ProfileCost

RATES = {"operations": 2e-8, "written": 3e-7, "calls": 0.02}  # ms
SIZES = {"held": 1.5}  # MiB
GROUPS = (*TIME, *MEMORY)


def work(model, seed, size=(64, 64)):
    """A call whose groups are drawn by `seed` for each network, and grow with the pixels, but for `calls`."""
    pixels = math.prod(size)
    shares = {name: 1 + (seed * (7 + 3 * at) + at * at) % 97 for at, name in enumerate(GROUPS)}
    return Work(model, size, {name: float(share * (1 if name == "calls" else pixels)) for name, share in shares.items()})


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


def test_starting_an_operator_has_no_rate_while_few_networks_were_measured():
    two = {name: rate for name, rate in RATES.items() if name != "calls"}
    points = tuple(Measured(point.work, sum_rates(two | {"calls": 0.0}, point.work), 1.0, "ledger") for point in POINTS[: CALLS_FROM - 1])
    assert fit_rates([(point.work, point.ms) for point in points[:3]], "ms") == pytest.approx(two | {"calls": 0.0}, rel=1e-6)
    with_calls = [(point.work, point.ms) for point in POINTS]
    assert fit_rates(with_calls[: CALLS_FROM - 1], "ms")["calls"] == 0.0
    assert fit_rates(with_calls[:CALLS_FROM], "ms")["calls"] > 0.0


def test_a_design_can_be_left_out_whole():
    """Two networks of one design need ten times the memory of all others, so that either tells of the other."""
    points = [Measured(one, 1.0, sum_rates(SIZES, one), "ledger") for one in (work(f"net{seed}-a", seed) for seed in range(1, 8))]
    points += [Measured(one, 1.0, 10 * sum_rates(SIZES, one), "ledger") for one in (work(f"large-{seed}", seed) for seed in (20, 21))]
    by_network, by_design = (Estimator(tuple(points)).leave_one_out("mib", "other networks", by_design=one) for one in (False, True))
    assert by_design.largest == pytest.approx(0.9)
    assert by_network.largest < 0.9 - 1e-4
    assert by_design.points == 9


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
    groups = describe_work("net", (4, 5), cost, Traffic(written=30.0, held=2.0**21, calls=4.0)).groups
    assert set(groups) == set(GROUPS)
    assert groups == {"operations": 950.0, "written": 30.0, "calls": 4.0, "held": 2.0}
