"""Places of values."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from suite.core.statistics.ranking import rank_values

VALUES = st.lists(st.none() | st.integers(-5, 5).map(float), max_size=12)  # few distinct values: ties are common
DIRECTION = st.sampled_from(["higher", "lower"])


@pytest.mark.parametrize(
    ("values", "direction", "expected"),
    [
        ([28.5, 28.1, None, 28.4], "higher", (1, 3, None, 2)),
        ([0.2, 0.1, 0.3], "lower", (2, 1, 3)),
        ([2.0, 2.0, 1.0], "higher", (1, 1, 3)),
        ([2.0, 1.0, 1.0], "higher", (1, 2, 2)),
        ([True, False], "higher", (1, 2)),
        ([2.0, math.nan, 1.0], "higher", (1, None, 2)),
        ([2.0, 1.0], "", (None, None)),
        ([], "higher", ()),
        ([None], "lower", (None,)),
    ],
)
def test_known_places(values, direction, expected):
    assert rank_values(values, direction) == expected


@given(VALUES, DIRECTION)
def test_a_place_is_one_more_than_how_many_are_better(values, direction):
    found = rank_values(values, direction)
    assert len(found) == len(values)
    for value, place in zip(values, found, strict=True):
        assert (place is None) == (value is None)
        if value is not None:
            better = [v for v in values if v is not None and (v > value if direction == "higher" else v < value)]
            assert place == 1 + len(better)


@given(VALUES, DIRECTION)
def test_equal_values_share_a_place_and_the_best_is_first(values, direction):
    found = rank_values(values, direction)
    places = {}
    for value, place in zip(values, found, strict=True):
        assert places.setdefault(value, place) == place
    held = [value for value in values if value is not None]
    if held:
        assert places[max(held) if direction == "higher" else min(held)] == 1


@given(VALUES)
def test_the_directions_mirror_each_other(values):
    assert rank_values(values, "lower") == rank_values([None if value is None else -value for value in values], "higher")


@given(VALUES, DIRECTION, st.randoms(use_true_random=False))
def test_places_do_not_depend_on_the_order(values, direction, random):
    order = list(range(len(values)))
    random.shuffle(order)
    found = rank_values(values, direction)
    assert rank_values([values[i] for i in order], direction) == tuple(found[i] for i in order)


def test_another_direction_is_refused():
    with pytest.raises(ValueError, match=r"'higher' or 'lower'.*not by 'up'"):
        rank_values([1.0], "up")
