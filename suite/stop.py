"""Stopping a run: the first Ctrl-C or SIGTERM ends it in order, the second kills it at once."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)
SHOW_CURSOR = b"\x1b[?25h"  # the live view hides it


class Stop:
    """Remembers the first signal. Only code inside `interruptible` is broken off by it; the rest asks `requested`.

    So a record that is just being written is never lost. Signals reach the main thread alone, so `armed` must be entered there.
    """

    def __init__(self) -> None:
        self.signum: int | None = None
        self._interruptible = False

    @property
    def requested(self) -> bool:
        """Whether a signal has come."""
        return self.signum is not None

    @contextlib.contextmanager
    def armed(self) -> Iterator[None]:
        """Takes the signals over, and gives them back."""
        before = {number: signal.getsignal(number) for number in SIGNALS}
        self.rearm()
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, signal.SIG_DFL if handler is None else handler)  # None: not Python's

    def rearm(self) -> None:
        """Takes the signals over again, after a library has."""
        for number in SIGNALS:
            signal.signal(number, self._handle)

    @contextlib.contextmanager
    def interruptible(self) -> Iterator[None]:
        """A stretch that a signal breaks off with KeyboardInterrupt."""
        if self.requested:
            raise KeyboardInterrupt("stopped by a signal")
        self._interruptible = True
        try:
            yield
        finally:
            self._interruptible = False

    def _handle(self, number: int, frame: FrameType | None) -> None:
        del frame
        if self.requested:
            if sys.stderr.isatty():
                os.write(sys.stderr.fileno(), SHOW_CURSOR)
            os._exit(128 + number)  # Ray's processes die with their parent
        self.signum = number
        if self._interruptible:
            raise KeyboardInterrupt("stopped by a signal")
