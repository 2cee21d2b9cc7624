"""The view of a run: one line a cell, live on a terminal, and as plain lines elsewhere.

`Board` consumes events and knows the state of every cell; the two views show it. Everything goes to the given stream
(standard error, in the command line), so that standard output holds results alone.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TextIO

from suite.core.text import format_clock
from suite.records.cell import Progress
from suite.records.record import Attempt, Measured, error_line
from suite.records.spec import CellSpec

if TYPE_CHECKING:
    from rich.live import Live
    from rich.table import Table

PLAIN_VIEW_SECONDS = 20.0  # between lines of one cell that stays in its state
HEADER_LINES = 3  # of the live view: counts, column titles, and what does not fit
TOLD = ("starting", "training")  # states whose notes are news; those of others say what is done at a step
COLUMNS = ("cell", "state", "iteration", "loss", "PSNR", "time left")

State = Literal["waiting", "starting", "profiling", "training", "evaluating", "building", "verifying", "timing", "done", "failed"]
STATE_STYLES: Mapping[str, str] = {"waiting": "dim", "done": "green", "failed": "red"}  # the word says it too


@dataclass
class CellLine:
    """The state of one cell; loss is L1 on [0, 1], PSNR in dB."""

    label: str
    state: State = "waiting"
    iteration: int = 0
    iterations: int = 0
    loss: float | None = None
    psnr: float | None = None
    seconds_left: float | None = None
    error: str = ""
    note: str = ""
    news: str = ""  # a note that the last event brought and that must be seen: of a damaged checkpoint, for one

    @property
    def running(self) -> bool:
        """Return whether something is being done on the cell now."""
        return self.state not in ("waiting", "done", "failed")

    def columns(self) -> tuple[str, ...]:
        """Return the texts under COLUMNS."""
        return (
            self.label,
            self.state,
            f"{self.iteration}/{self.iterations}" if self.iterations and self.state in ("training", "timing") else "",
            "" if self.loss is None else f"{self.loss:.4f}",
            "" if self.psnr is None else f"{self.psnr:.2f} dB",
            "" if self.seconds_left is None or not self.running else format_clock(self.seconds_left),
        )


@dataclass
class Board:
    """The state of every cell of a run, from its events."""

    lines: dict[str, CellLine]
    skipped: int = 0  # cells that were done before
    started: float = field(default_factory=time.monotonic)

    @classmethod
    def of(cls, specs: Sequence[CellSpec], skipped: int) -> Board:
        """Return a board on which every cell waits."""
        return cls({spec.fingerprint: CellLine(spec.label, iterations=spec.steps) for spec in specs}, skipped)

    def take(self, event: Progress | Attempt) -> bool:
        """Note an event; return True where it changed its cell's state, or the case that is timed, or brought news."""
        line = self.lines[event.fingerprint]
        before = line.state, line.iteration if line.state == "timing" else 0
        line.news = ""
        if isinstance(event, Attempt):
            line.state, line.seconds_left = event.status, None
            line.error = error_line(event) if event.status == "failed" else ""
            line.psnr = _psnr(event)
        else:
            line.state = event.state
            if event.state in TOLD and event.note != line.note:
                line.news = event.note
            line.iteration, line.iterations = event.iteration, event.iterations or line.iterations
            line.seconds_left, line.note = event.seconds_left, event.note
            line.loss = line.loss if event.loss is None else event.loss
            line.psnr = line.psnr if event.psnr is None else event.psnr
        return bool(line.news) or (line.state, line.iteration if line.state == "timing" else 0) != before

    def header(self) -> str:
        """Return counts, and the time since the start."""
        states = [line.state for line in self.lines.values()]
        done = states.count("done") + self.skipped
        parts = [f"{done}/{len(states) + self.skipped} cells done"]
        if self.skipped:
            parts[0] += f" ({self.skipped} before)"
        if states.count("failed"):
            parts.append(f"{states.count('failed')} failed")
        parts.append(f"{sum(line.running for line in self.lines.values())} running")
        return " · ".join([*parts, format_clock(time.monotonic() - self.started)])


class PlainView:
    """A line at each change of a cell's state, and one every PLAIN_SECONDS while it stays."""

    def __init__(self, board: Board, stream: TextIO, now: Callable[[], float] = time.monotonic) -> None:
        self.board, self._stream, self._now = board, stream, now
        self._said: dict[str, float] = {}

    def __enter__(self) -> PlainView:
        return self

    def __exit__(self, *error: object) -> None:
        return

    def show(self, event: Progress | Attempt) -> None:
        """Take an event, and write a line if it is due."""
        changed = self.board.take(event)
        if not changed and self._now() - self._said.get(event.fingerprint, 0.0) < PLAIN_VIEW_SECONDS:
            return
        self._said[event.fingerprint] = self._now()
        line = self.board.lines[event.fingerprint]
        _, _, iteration, loss, psnr, left = line.columns()
        shown = [
            iteration if line.note else f"iteration {iteration}" if iteration else "",
            line.note if line.running else "",
            f"loss {loss}" if loss and line.running else "",
            f"PSNR {psnr}" if psnr else "",
            f"{left} left" if left else "",
            line.error,
        ]
        text = ", ".join(part for part in shown if part)
        self._stream.write(f"[{self.board.header()}] {line.label}: {line.state}{', ' + text if text else ''}\n")
        self._stream.flush()


class LiveView:
    """A table that is redrawn in place; rich honours NO_COLOR."""

    def __init__(self, board: Board, stream: TextIO) -> None:
        self.board = board
        from rich.console import Console  # rich is for terminals: a run elsewhere does without it

        self._console = Console(file=stream, force_terminal=True, highlight=False)
        self._live: Live | None = None

    def __enter__(self) -> LiveView:
        from rich.live import Live

        self._live = Live(console=self._console, get_renderable=self.table, refresh_per_second=4)
        self._live.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        if self._live is not None:
            self._live.__exit__(*error)

    def show(self, event: Progress | Attempt) -> None:
        """Take an event; the next redrawing shows it. News stay above the table."""
        self.board.take(event)
        line = self.board.lines[event.fingerprint]
        if line.news and self._live is not None:
            self._live.console.print(f"{line.label}: {line.news}", markup=False)

    def table(self) -> Table:
        """Return the board as it stands, cut to the height of the terminal: running cells first, waiting ones last."""
        from rich.table import Table
        from rich.text import Text

        table = Table(*COLUMNS, title=Text(self.board.header()), title_justify="left", box=None, pad_edge=False)
        lines = sorted(self.board.lines.values(), key=lambda line: (not line.running, line.state == "waiting"))
        room = max(1, self._console.height - HEADER_LINES)
        for line in lines[:room]:
            texts = line.columns()
            if line.error:
                texts = (*texts[:1], f"failed: {line.error}", *texts[2:])
            table.add_row(*(Text(text, overflow="ellipsis", no_wrap=True) for text in texts), style=STATE_STYLES.get(line.state, ""))
        if len(lines) > room:
            table.caption = Text(f"and {len(lines) - room} more cells")
        return table


def make_view(board: Board, stream: TextIO) -> PlainView | LiveView:
    """Return the live view on a terminal; plain lines elsewhere, and where `CI` is set."""
    live = stream.isatty() and not os.environ.get("CI") and os.environ.get("TERM") != "dumb"
    return LiveView(board, stream) if live else PlainView(board, stream)


def _psnr(record: Attempt) -> float | None:
    """Return the mean PSNR of a record, on the channel that its protocol measures; dB."""
    if not isinstance(record, Measured):
        return None
    names = [name for name in record.scores[0].metrics if name.startswith("PSNR")] if record.scores else []
    return record.mean(names[0]) if names else None
