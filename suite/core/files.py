"""Files: written whole or not at all, locked by one process, told by their sha256."""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
import time
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from suite.core.errors import Exit, SuiteError

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


def wait_for_lock(handle: IO[str], seconds: float) -> Iterator[str]:
    """Lock the open file as `take_lock` does; until that is done, yield the number of the process that holds it, every `seconds`."""
    while (holder := take_lock(handle)) is not None:
        yield holder
        time.sleep(seconds)


def _let_go() -> None:
    """In a forked process: a lock is held for as long as any process has the file open."""
    for handle in _LOCKED:
        handle.close()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_let_go)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """A file to write, which takes the place of `path` when the block ends well; its folder is made. Raises OSError.

    It is written under a name that nobody can know before: under a fixed one, a link of that name would be followed. A link at `path`
    is replaced, and what it points to stays.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=".new-", suffix=path.suffix, dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(0o666 & ~_mask())  # mkstemp makes it private
        Path(name).replace(path)
    finally:
        Path(name).unlink(missing_ok=True)


def _mask() -> int:
    """The process's umask, which can only be read by setting it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def sha256_of(path: Path) -> str:
    """Of the file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
