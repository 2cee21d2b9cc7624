"""What is seen of a run: the state of every cell, as lines and as a table."""

import io
import re

import pytest
from fake_cells import record, spec
from rich.console import Console

from suite.core.text import format_clock
from suite.records.cell import Progress
from suite.runner import progress
from suite.runner.progress import Board, LiveView, PlainView

SPECS = [spec("first"), spec("second"), spec("third")]
FIRST, SECOND, THIRD = (of.fingerprint for of in SPECS)
TRAINING = Progress(FIRST, "training", 120, 300, loss=0.04321, psnr=27.126, seconds_left=95)
FAILED = record(SPECS[1], status="failed", error="Traceback (most recent call last):\n  ...\nValueError: broken")


class Clock:
    def __init__(self):
        self.seconds = 1000.0

    def __call__(self):
        return self.seconds


@pytest.fixture
def board():
    return Board.of(SPECS, skipped=2)


def test_the_board_counts_what_is_done_failed_and_running(board):
    assert board.header().startswith("2/5 cells done (2 before) · 0 running · ")
    assert board.take(TRAINING)
    assert not board.take(TRAINING)
    assert board.take(record(SPECS[2], score=31.5))
    assert board.take(FAILED)
    assert board.header().startswith("3/5 cells done (2 before) · 1 failed · 1 running · ")
    assert board.lines[FIRST].columns() == ("first · seed 0", "training", "120/300", "0.0432", "27.13 dB", "1 min 35 s")
    assert board.lines[THIRD].psnr == 31.5
    assert board.lines[SECOND].error == "ValueError: broken"


def test_what_an_event_does_not_say_stays(board):
    board.take(TRAINING)
    board.take(Progress(FIRST, "training", 121, 300))
    assert board.lines[FIRST].columns()[2:5] == ("121/300", "0.0432", "27.13 dB")


def test_plain_lines_come_at_changes_and_now_and_then(board):
    stream, now = io.StringIO(), Clock()
    with PlainView(board, stream, now) as view:
        for _ in range(50):  # 25 s in all
            view.show(TRAINING)
            now.seconds += 0.5
        view.show(FAILED)
        view.show(record(SPECS[0], score=30.0))
    lines = [re.sub(r"^\[.*?\] ", "", line) for line in stream.getvalue().splitlines()]
    training = "first · seed 0: training, iteration 120/300, loss 0.0432, PSNR 27.13 dB, 1 min 35 s left"
    assert lines == [training, training, "second · seed 0: failed, ValueError: broken", "first · seed 0: done, PSNR 30.00 dB"]
    assert "\x1b" not in stream.getvalue()


def drawn(view, width=120):
    console = Console(file=io.StringIO(), width=width, force_terminal=False)
    console.print(view.table())
    return console.file.getvalue()


def test_news_are_seen_at_once_and_once(board):
    stream, now = io.StringIO(), Clock()
    waits = Progress(FIRST, "starting", 0, 300, note="waiting for process 7")
    with PlainView(board, stream, now) as view:
        for event in (Progress(FIRST, "starting", 0, 300), waits, waits, Progress(FIRST, "starting", 0, 300), TRAINING):
            view.show(event)
    assert [line.partition("first · seed 0: ")[2].partition(", iteration")[0] for line in stream.getvalue().splitlines()] == [
        "starting",
        "starting, waiting for process 7",
        "training",
    ]
    stream = io.StringIO()
    with LiveView(board, stream) as view:
        view.show(waits)
        assert "first · seed 0: waiting for process 7" in stream.getvalue()


def test_the_table_shows_running_cells_first_and_names_errors(board):
    view = LiveView(board, io.StringIO())
    view.show(FAILED)
    view.show(Progress(THIRD, "evaluating"))
    rows = drawn(view).splitlines()
    assert rows[0].startswith("2/5 cells done")
    assert [row.split(" ")[0] for row in rows[2:]] == ["third", "second", "first"]
    assert "failed: ValueError: broken" in rows[3]


def test_a_table_higher_than_the_terminal_is_cut(monkeypatch):
    monkeypatch.setenv("LINES", "10")
    monkeypatch.setenv("COLUMNS", "80")
    view = LiveView(Board.of([spec("m", seed=seed) for seed in range(30)], 0), io.StringIO())
    text = drawn(view, 80)
    assert len(text.splitlines()) == 10
    assert "and 23 more cells" in text


def test_the_live_view_redraws_and_colours_only_if_it_may(board, monkeypatch):
    monkeypatch.setenv("TERM", "xterm-256color")
    texts = []
    for forbidden in (False, True):
        if forbidden:
            monkeypatch.setenv("NO_COLOR", "1")
        else:
            monkeypatch.delenv("NO_COLOR", raising=False)
        stream = io.StringIO()
        with LiveView(board, stream) as view:
            view.show(FAILED)
        assert "ValueError: broken" in stream.getvalue()
        texts.append(stream.getvalue())
    coloured = re.compile(r"\x1b\[[0-9;]*3[0-9]")
    assert coloured.search(texts[0])
    assert not coloured.search(texts[1])


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(
    ("stream", "ci", "kind"), [(Terminal(), "", LiveView), (Terminal(), "true", PlainView), (io.StringIO(), "", PlainView)]
)
def test_the_live_view_is_for_terminals_of_people(board, monkeypatch, stream, ci, kind):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("CI", ci)
    assert type(progress.make_view(board, stream)) is kind


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0 s"), (-1, "0 s"), (59.4, "59 s"), (59.6, "1 min 00 s"), (3599, "59 min 59 s"), (7384, "2 h 03 min")]
)
def test_durations(seconds, text):
    assert format_clock(seconds) == text
