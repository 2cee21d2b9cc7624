"""Files: written whole or not at all, locked by one process, identified by their sha256."""

from __future__ import annotations

import contextlib
import errno
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
TEMPORARY = ".new-"  # begins the name of a file that is being written
NO_HARD_LINKS = (errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EACCES)  # exFAT, some network folders
_LOCKED: weakref.WeakSet[IO[str]] = weakref.WeakSet()  # files that this process holds locked


def take_lock(handle: IO[str]) -> str | None:
    """Lock the open file for this process until it is closed, and return None, or else the number of the process that holds it.

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
    """Close the locked files in a forked process: a lock is held for as long as any process has the file open."""
    for handle in _LOCKED:
        handle.close()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_let_go)


@contextlib.contextmanager
def temporary_file(folder: Path, suffix: str = "") -> Iterator[IO[bytes]]:
    """Open a new file to write in `folder`, which is made; after the block it is gone, unless `put_in_place` has moved it.

    Its name holds this process's number and what nobody can know before: under a fixed name, a link of that name would be followed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(prefix=f"{TEMPORARY}{os.getpid()}-", suffix=suffix, dir=folder, delete=False) as file:
        try:
            yield file
        finally:
            Path(file.name).unlink(missing_ok=True)


def put_in_place(file: IO[bytes], path: Path, *, overwrite: bool = True) -> None:
    """Sync and close the temporary `file` and move it to `path`; FileExistsError where `path` is there and not to be overwritten."""
    file.flush()
    os.fsync(file.fileno())
    file.close()
    temporary = Path(file.name)
    temporary.chmod(0o666 & ~_mask())  # it was made private
    if overwrite:
        temporary.replace(path)
    else:
        try:
            os.link(temporary, path)
        except OSError as error:
            if error.errno not in NO_HARD_LINKS or path.exists():
                raise
            temporary.rename(path)
    if os.name == "posix":
        _sync(path.parent)


@contextlib.contextmanager
def replacing(path: Path, *, overwrite: bool = True) -> Iterator[IO[bytes]]:
    """Open a file to write, which takes the place of `path` when the block ends well; its folder is made. Raises OSError.

    A link at `path` is replaced, and what it points to stays.
    """
    with temporary_file(path.parent, path.suffix) as file:
        yield file.file  # SciPy does not take the wrapper for a file
        put_in_place(file, path, overwrite=overwrite)


def write_whole(path: Path, content: bytes, remedy: str) -> None:
    """Write `content` to `path` by `replacing`, or into the pipe or device that is there; SuiteError says why it cannot, and `remedy`."""
    try:
        if path.exists() and not path.is_file() and not path.is_dir():
            path.write_bytes(content)
            return
        with replacing(path) as file:
            file.write(content)
    except OSError as error:
        raise SuiteError(f"{path} cannot be written: {error.strerror or error}. {remedy}", exit=Exit.NOT_READY) from error


def remove_left(folder: Path) -> None:
    """Remove what processes that have ended left half written in `folder`."""
    import psutil  # not for what only reads

    for left in folder.glob(f"{TEMPORARY}*"):
        process = left.name.removeprefix(TEMPORARY).partition("-")[0]
        if not (process.isdecimal() and psutil.pid_exists(int(process))):
            left.unlink(missing_ok=True)


def _sync(folder: Path) -> None:
    """Make a rename in `folder` outlive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _mask() -> int:
    """Return the process's umask, which can only be read by setting it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def sha256_of(path: Path) -> str:
    """Return the sha256 of the file's bytes, as hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
