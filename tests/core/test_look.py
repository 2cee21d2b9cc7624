"""What is kept while a look lasts, and that nothing is kept after it."""

import pytest

from suite.core.look import look_once, one_look


def counting():
    calls = []
    return calls, lambda: calls.append(1) or len(calls)


def test_a_look_finds_once_and_forgets():
    calls, find = counting()
    with one_look():
        assert [look_once("a", find), look_once("a", find), look_once("b", find)] == [1, 1, 2]
        with one_look():  # a part of the first
            assert look_once("a", find) == 1
        assert look_once("a", find) == 1
    assert look_once("a", find) == 3
    with one_look():
        assert look_once("a", find) == 4
    assert len(calls) == 4


def test_nothing_is_kept_of_what_raises_nor_of_a_look_that_ends_so():
    _, find = counting()
    with one_look():
        with pytest.raises(KeyError):
            look_once("a", lambda: {}["no"])
        assert look_once("a", find) == 1
    with pytest.raises(KeyError), one_look():
        look_once("b", lambda: {}["no"])
    assert look_once("a", find) == 2
