"""Files that processes share: locks that say who holds them."""

from __future__ import annotations

import os
import weakref
from typing import IO

from suite.errors import Exit, SuiteError

LOCK = ".lock"  # the file's name
_LOCKED: weakref.WeakSet[IO[str]] = weakref.WeakSet()  # files that this process holds locked


def take_lock(handle: IO[str]) -> str | None:
    """Locks the open file for this process until it is closed; None, or the number of the process that holds it.

    Processes that it forks (those that make batches) do not hold it: they may live for some seconds after their parent is killed, and would
    keep the same command from going on.
    """
    try:
        import fcntl
    except ImportError as error:
        raise SuiteError("runs need a POSIX system (file locks); reading and reporting work elsewhere.", exit=Exit.NOT_READY) from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        handle.seek(0)
        return handle.read().strip() or "unknown"
    handle.seek(0)
    handle.truncate()
    handle.write(str(os.getpid()))
    handle.flush()
    _LOCKED.add(handle)
    return None


def _let_go() -> None:
    """In a forked process: a lock is held for as long as any process has the file open."""
    for handle in _LOCKED:
        handle.close()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_let_go)
