"""What a user can fix: one exception type, carrying the exit code of the command line.

Anything else that escapes is a defect of the suite and shows its traceback.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from enum import IntEnum


class Exit(IntEnum):
    """Exit codes of every verb (documented in the README, tested in test_main.py)."""

    DONE = 0
    UNEXPECTED = 1
    USAGE = 2  # an option, a name or a field is wrong
    DRIFT = 3  # a metric moved outside its tolerance, or a bundle is not what it says
    INCOMPLETE = 4  # some cells failed or are missing
    NOTHING = 5  # nothing was selected or measured
    NOT_READY = 6  # data, a package or the machine is not ready
    INTERRUPTED = 130
    PREEMPTED = 138  # SIGUSR1, by which a batch system warns
    TERMINATED = 143


class SuiteError(Exception):
    """Says what was asked, what was found, what is allowed and what to do; no traceback is shown."""

    def __init__(self, message: str, *, exit: Exit = Exit.USAGE) -> None:
        super().__init__(message)
        self.exit = exit


@contextlib.contextmanager
def naming(what: object) -> Iterator[None]:
    """Let a SuiteError raised inside say which file or image it is about, if it does not yet; that is then a fault of the data."""
    try:
        yield
    except SuiteError as error:
        if str(what) in str(error):
            raise
        raise SuiteError(f"{what}: {error}", exit=Exit.NOT_READY) from error
