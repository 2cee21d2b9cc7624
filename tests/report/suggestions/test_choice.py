"""Choosing by a budget: the order, the frontier and the nearest; and where a network's quality comes from."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from suite.core.errors import SuiteError
from suite.report.suggestions.candidates import Quality, Yardstick, choose_yardstick, find_qualities, list_candidates, quality_of
from suite.report.suggestions.choice import Amount, Candidate, Limits, choose, describe_amount, draw_choice
from suite.study.tasks import TASKS, task

PSNR = Yardstick("Set5", "PSNR-Y")


def candidate(name, ms, mib, quality, basis="measured"):
    amounts = (None if value is None else Amount(value, basis) for value in (ms, mib))
    return Candidate(name, 1, 1.0, *amounts, None if quality is None else Quality(name, "Set5", "PSNR-Y", quality, "printed", "a table"))


FOUR = (
    candidate("fast", 10, 100, 30.0),
    candidate("good", 50, 100, 32.0),
    candidate("worse and slower", 60, 100, 31.0),
    candidate("unprinted", 5, 100, None),
)


def names(members):
    return [one.model for one in members]


def test_those_that_fit_are_the_best_first_and_the_others_the_nearest_first():
    found = choose(FOUR, Limits(ms=55), PSNR)
    assert names(found.fitting) == ["good", "fast", "unprinted"]
    assert names(found.missing) == ["worse and slower"]
    assert found.nearest == ()
    assert found.frontier == {"fast", "good"}
    found = choose(FOUR, Limits(ms=1), PSNR)
    assert names(found.missing) == ["unprinted", "fast", "good", "worse and slower"]
    assert names(found.nearest) == ["unprinted", "fast", "good"]


def test_both_limits_count_and_what_is_not_known_is_apart():
    held = (candidate("a", 10, 200, 30.0), candidate("b", 40, 10, 30.0), candidate("c", 10, None, 30.0))
    found = choose(held, Limits(ms=20, mib=100), PSNR)
    assert (names(found.fitting), names(found.missing), names(found.unknown)) == ([], ["a", "b"], ["c"])
    assert [one.over(Limits(ms=20, mib=100)) for one in held] == [2.0, 2.0, None]
    assert names(choose(held, Limits(ms=20), PSNR).fitting) == ["a", "c"]


def test_where_less_is_better_the_order_turns():
    found = choose(FOUR, Limits(), Yardstick("Set5", "LPIPS-alex"))
    assert names(found.fitting)[:2] == ["fast", "worse and slower"]
    assert found.frontier == {"fast"}


@given(st.lists(st.tuples(st.none() | st.floats(0.1, 1e6), st.none() | st.floats(20, 40)), max_size=8), st.floats(0.1, 1e6))
@settings(max_examples=40, deadline=None)
def test_every_candidate_is_answered_once_and_none_of_the_frontier_is_beaten(values, limit):
    held = [candidate(str(at), ms, ms, quality) for at, (ms, quality) in enumerate(values)]
    found = choose(held, Limits(ms=limit), PSNR)
    assert sorted(names(found.ordered)) == sorted(names(held))
    assert all(one.ms.value <= limit for one in found.fitting)
    known = [one for one in held if one.ms and one.quality]
    for one in (one for one in known if one.model in found.frontier):
        assert not any(other.ms.value < one.ms.value and other.quality.value > one.quality.value for other in known)


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (None, "–"),
        (Amount(1234.5, "measured"), "1,234"),
        (Amount(1234.5, "other sizes"), "~1,200"),
        (Amount(0.123, "other networks"), "~0.12"),
        (Amount(99.6, "other networks"), "~100"),
    ],
)
def test_an_amount_is_written_with_the_digits_that_it_has(amount, text):
    assert describe_amount(amount) == text


def test_a_chart_needs_two_networks_with_both_values():
    assert draw_choice(choose(FOUR[:1], Limits(), PSNR), PSNR, "64x64") is None
    figure = draw_choice(choose((*FOUR, candidate("about", 20, 1, 31.5, "other sizes")), Limits(), PSNR), PSNR, "64x64")
    assert [one.name for one in figure.series] == ["time measured", "time estimated"]
    labels = [label.text for label in figure.plot.labels]
    assert len(labels) == len(set(labels))
    assert ("about", "~20", "about, from other sizes", "31.50 printed", "a table") in figure.rows


def test_every_task_has_candidates_and_a_yardstick_that_is_its_own():
    for row in TASKS.values():
        held = list_candidates(row)
        by = choose_yardstick(find_qualities(row, held, ()), row)
        assert held
        assert by is None or by.test_set


def test_printed_numbers_are_of_the_task_s_own_scale_and_level():
    found = find_qualities(task("sr-x4"), ["mambair-sr-x4", "swinir-x4"], ())
    assert quality_of("mambair-sr-x4", found, PSNR).value == 33.03
    assert quality_of("swinir-x4", found, PSNR).value == 32.92
    levels = [quality_of("mambair-denoise", find_qualities(task(f"denoise-{sigma}"), ["mambair-denoise"], ()), by) for sigma, by in (
        (15, Yardstick("CBSD68", "PSNR-RGB")), (50, Yardstick("CBSD68", "PSNR-RGB"))
    )]  # fmt: skip
    assert levels[0].value > levels[1].value + 4


def test_a_measured_number_goes_before_a_printed_one():
    printed, measured = (Quality("net", "Set5", "PSNR-Y", value, kind, "") for value, kind in ((33.0, "printed"), (32.0, "measured")))
    assert quality_of("net", [printed, measured], PSNR) is measured
    assert quality_of("net", [printed], Yardstick("Set14", "PSNR-Y")) is None


def test_a_network_that_several_trainings_share_has_the_best_of_their_numbers():
    found = find_qualities(task("real-sr-x4"), ["esrgan"], ())
    by = Yardstick("NTIRE2020-T1", "PSNR-Y")
    assert quality_of("esrgan", found, by).value == max(
        one.value for one in found if (one.test_set, one.metric) == (by.test_set, by.metric)
    )
    assert "VmambaIR, Table 2, " in quality_of("esrgan", found, by).source


def test_a_yardstick_that_no_network_has_is_refused():
    found = [Quality("net", "Set5", "PSNR-Y", 33.0, "printed", ""), Quality("net", "Set14", "SSIM-Y", 0.9, "printed", "")]
    with pytest.raises(SuiteError, match="no network for sr-x4 has both"):
        choose_yardstick(found, task("sr-x4"), "Set5", "SSIM-Y")
    with pytest.raises(SuiteError, match="leave out --test-set"):
        choose_yardstick([], task("sr-x4"), "Set5")
    assert choose_yardstick([], task("sr-x4")) is None
