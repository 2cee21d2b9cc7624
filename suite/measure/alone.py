"""One timing run at a time: a lock file of the machine."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

from suite.core.errors import Exit, SuiteError
from suite.core.files import take_lock

LOCK_FILE = "ssm-suite-timing.lock"  # in the folder for temporary files, which is the machine's own also where homes are shared


@contextlib.contextmanager
def hold_machine() -> Iterator[None]:
    """Hold this machine for one timing run; SuiteError where another holds it."""
    path = Path(tempfile.gettempdir()) / LOCK_FILE
    try:
        handle = path.open("a+", encoding="ascii")
    except OSError as error:
        raise SuiteError(
            f"the lock {path}, which keeps two timing runs apart, cannot be opened: {error.strerror or error}. "
            "Give permission, or name another folder for temporary files in TMPDIR.",
            exit=Exit.NOT_READY,
        ) from error
    with handle:
        holder = take_lock(handle)
        if holder is not None:
            raise SuiteError(
                f"process {holder} is timing on this machine, and two timing runs disturb each other. Wait until it ends, or stop it.",
                exit=Exit.NOT_READY,
            )
        yield
