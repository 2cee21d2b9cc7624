"""What is kept while a look lasts, and that nothing is kept after it."""

import contextlib
import gc
import weakref

import pytest

from suite.core.look import look_once, look_once_at, one_look


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


@pytest.mark.parametrize("collects", [True, False])
def test_no_garbage_is_collected_while_a_look_lasts_and_then_as_before(collects):
    before = gc.isenabled()
    (gc.enable if collects else gc.disable)()
    try:
        with contextlib.suppress(KeyError), one_look(), one_look():
            assert not gc.isenabled()
            raise KeyError
        assert gc.isenabled() == collects
    finally:
        (gc.enable if before else gc.disable)()


def test_things_are_told_apart_by_identity():
    first, equal = [1], [1]
    calls = []
    with one_look():
        for thing in (first, first, equal):
            look_once_at((thing,), "key", lambda: calls.append(1))
        look_once_at((first,), "another", lambda: calls.append(1))
    assert len(calls) == 3


def test_what_was_asked_about_is_kept_so_that_nothing_else_takes_its_identity():
    class Thing:
        pass

    with one_look():
        thing = Thing()
        gone = weakref.ref(thing)
        look_once_at((thing,), "key", int)
        del thing
        assert gone() is not None
    assert gone() is None
