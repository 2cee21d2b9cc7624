"""Stopping a run: Ctrl-C, SIGTERM, SIGUSR1 (Slurm's warning) or the end of its time; the second signal kills it at once.

The driver asks each running cell by a file in the cell's work folder. A cell that polls it finishes its step, saves its state and raises
`Stopped`; one that has not ended after the grace period is broken off.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FrameType, MappingProxyType

from suite.core.errors import Exit

EXITS: Mapping[int, Exit] = MappingProxyType(  # the signals that stop a run, and its exit codes
    {signal.SIGINT: Exit.INTERRUPTED, signal.SIGTERM: Exit.TERMINATED, signal.SIGUSR1: Exit.PREEMPTED}
)
GRACE_SECONDS = 30.0  # for a step, a checkpoint of hundreds of MiB, and slow storage; Slurm's own wait before SIGKILL is as long
STOP_FILE = "stop"  # in a cell's work folder
SHOW_CURSOR = "\x1b[?25h"  # the live view hides it


class Stopped(Exception):
    """Raised by a cell that was asked to stop and has saved its state: the cell is unfinished, and has no record."""


@dataclass(frozen=True)
class StopFlag:
    """A request to stop that a cell polls after each step: it is made where the file `path` is there."""

    path: Path

    @classmethod
    def of(cls, work: Path) -> StopFlag:
        """Return the flag of the cell whose work folder is `work`."""
        return cls(work / STOP_FILE)

    def requested(self) -> bool:
        """Return True if the cell is to stop; a look at one file name."""
        return self.path.exists()

    def set(self) -> None:
        """Ask the cell to stop."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.touch()

    def clear(self) -> None:
        """Take back what was asked, now or by an earlier run."""
        self.path.unlink(missing_ok=True)


class Stop:
    """Remembers the first signal, or that the time limit is reached, and asks the running cells to stop.

    Only code inside `interruptible` is ever broken off, so that a record that is just being written is never lost. Signals and the
    timer (SIGALRM) reach the main thread alone, so `armed` must be entered there.
    """

    def __init__(self, *, grace: float = GRACE_SECONDS, seconds: float | None = None) -> None:
        """`grace`: seconds that cells have to end by themselves; `seconds`: the time of the whole run, None without end."""
        self.signum: int | None = None
        self.time_up = False
        self.overdue = False  # the grace period is over
        self._grace, self._seconds = grace, seconds
        self._flags: set[StopFlag] = set()
        self._interruptible = False

    @property
    def requested(self) -> bool:
        """Tell whether a signal has come or the time limit is reached."""
        return self.signum is not None or self.time_up

    @contextlib.contextmanager
    def armed(self) -> Iterator[None]:
        """Take the signals and the timer over, and give them back."""
        before = {number: signal.getsignal(number) for number in (*EXITS, signal.SIGALRM)}
        self.rearm()
        if self._seconds is not None:
            signal.setitimer(signal.ITIMER_REAL, max(self._seconds, 1e-3))  # 0 would mean: never
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            for number, handler in before.items():
                signal.signal(number, signal.SIG_DFL if handler is None else handler)  # None: not Python's

    def rearm(self) -> None:
        """Take the signals over again, after a library has."""
        for number in (*EXITS, signal.SIGALRM):
            signal.signal(number, self._handle)

    @contextlib.contextmanager
    def interruptible(self) -> Iterator[None]:
        """Let the end of the grace period break the block off with KeyboardInterrupt."""
        if self.overdue:
            raise KeyboardInterrupt("not ended in time")
        self._interruptible = True
        try:
            yield
        finally:
            self._interruptible = False

    def watch(self, flag: StopFlag) -> None:
        """Set `flag`, from now on, when the run is to stop: at once, if it is already; what an earlier run left is cleared."""
        flag.clear()
        self._flags.add(flag)
        if self.requested:
            flag.set()

    def forget(self, flag: StopFlag) -> None:
        """Take note that the cell of `flag` has ended."""
        self._flags.discard(flag)
        with contextlib.suppress(OSError):  # the next run clears it
            flag.clear()

    def _handle(self, number: int, frame: FrameType | None) -> None:
        del frame
        if number == signal.SIGALRM:
            if self.requested:
                self._break_off()
            else:
                self.time_up = True
                self._ask("the time limit is reached")
        elif self.signum is not None:
            _end_now(EXITS[number])
        else:
            asked_before, self.signum = self.requested, number
            if not asked_before:
                self._ask(signal.Signals(number).name)

    def _ask(self, why: str) -> None:
        if self._grace > 0:
            _say(f"{why}: running cells finish their step and save, {self._grace:.0f} s at most; a second signal ends at once.")
        try:
            for flag in list(self._flags):
                flag.set()
        except OSError as error:  # a full disk: nobody could be asked, and nothing be saved
            _say(f"the cells cannot be asked to stop ({error.strerror}) and are broken off.")
            self._break_off()
        if self._grace > 0:
            signal.setitimer(signal.ITIMER_REAL, self._grace)
        else:
            self._break_off()

    def _break_off(self) -> None:
        """End what is interruptible by KeyboardInterrupt; where that was of no use for another grace period, the process ends."""
        if self.overdue and self._interruptible:
            _end_now(EXITS[self.signum] if self.signum is not None else Exit.INCOMPLETE)
        self.overdue = True
        if self._grace > 0:
            signal.setitimer(signal.ITIMER_REAL, self._grace)
        if self._interruptible:
            raise KeyboardInterrupt("not ended in time")


def _say(text: str) -> None:
    """Write a line to standard error from a signal handler, where Python's own streams may be in use."""
    with contextlib.suppress(OSError):
        os.write(2, f"\n{text}\n".encode())


def _end_now(code: Exit) -> None:
    if sys.stderr.isatty():
        os.write(2, SHOW_CURSOR.encode())
    os._exit(code)  # Ray's processes die with their parent
