"""Work on all cores: order, read-ahead, errors, torch's threads, and what is shown of it."""

import io
import threading

import pytest

from suite.core import parallel
from suite.core.errors import SuiteError
from suite.core.parallel import map_ordered, show_progress


@pytest.mark.parametrize("workers", [1, 2, 7, None])
def test_results_are_in_order_and_read_ahead_is_bounded(workers):
    read = []

    def items():
        for number in range(60):
            read.append(number)
            yield number

    found = []
    for result in map_ordered(lambda number: number**2, items(), workers=workers):
        found.append(result)
        if workers is not None:
            assert len(read) <= len(found) + parallel.RESULTS_AHEAD * workers
    assert found == [number**2 for number in range(60)]


def test_workers_work_at_the_same_time():
    meeting = threading.Barrier(2, timeout=20)
    assert list(map_ordered(lambda number: (meeting.wait(), number)[1], range(4), workers=2)) == [0, 1, 2, 3]


def test_an_error_comes_out_at_its_place_and_stops_the_work():
    begun = []

    def fail(number):
        begun.append(number)
        if number == 3:
            raise SuiteError("three")
        return number

    results = map_ordered(fail, range(1000), workers=2)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(SuiteError, match="three"):
        next(results)
    assert max(begun) < 20
    with pytest.raises(ValueError, match="at least 1 worker"):
        map_ordered(fail, [], workers=0)


def test_torch_is_never_given_more_threads_than_it_had():
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(4)
    try:
        assert list(map_ordered(lambda _: torch.get_num_threads(), range(8), workers=2)) == [2] * 8
        assert torch.get_num_threads() == 4
        unfinished = map_ordered(lambda _: torch.get_num_threads(), range(8), workers=3)
        assert next(unfinished) == 1
        unfinished.close()
        assert torch.get_num_threads() == 4
    finally:
        torch.set_num_threads(before)


def test_progress_is_silent_when_quick_and_a_line_now_and_then_otherwise(monkeypatch):
    stream = io.StringIO()
    assert list(show_progress(range(5), 5, "images scored", stream)) == list(range(5))
    assert stream.getvalue() == ""
    monkeypatch.setattr(parallel, "SECONDS_BETWEEN_LINES", 0)
    list(show_progress(range(3), 3, "images scored", stream))
    assert stream.getvalue() == "1/3 images scored, 0 s left\n2/3 images scored, 0 s left\n"


def test_progress_is_a_bar_on_a_terminal(monkeypatch):
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    stream = io.StringIO()
    stream.isatty = lambda: True
    assert list(show_progress(range(5), 5, "images scored", stream)) == list(range(5))
    assert "images scored" in stream.getvalue()
