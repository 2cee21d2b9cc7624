"""Folders that the environment names, and the cache: what is made once for a machine, compiled kernels and what the suite keeps."""

from __future__ import annotations

import contextlib
import logging
import os
import stat
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path

NAME = "suite-restoration"  # of the folder, in the user's cache or among temporary ones


class FolderUnavailable(OSError):
    """A folder that is not to be had: which, why, and what helps."""


def folder_named_by(variable: str) -> Path | None:
    """Return the absolute folder that an environment variable names, `~` as a shell expands it; None where it is unset or empty.

    `.env` files, Dockerfiles and unit files hand a `~` on as it stands. FolderUnavailable where nobody knows what it stands for.
    """
    text = os.environ.get(variable)
    if not text:
        return None
    try:
        return Path(text).expanduser().absolute()
    except RuntimeError:  # this user has no home folder, or there is no user of that name
        raise FolderUnavailable(
            f"${variable} is {text}, and there is no home folder that its ~ stands for. Give the path in full: export {variable}=/path"
        ) from None


def find_cache() -> Path:
    """Return where the cache is: `$SUITE_CACHE`, or `suite-restoration` in the user's cache folder; it need not exist.

    FolderUnavailable where neither is known: of a user without a home, as containers have them.
    """
    chosen = folder_named_by("SUITE_CACHE")
    if chosen is not None:
        return chosen
    try:
        return (folder_named_by("XDG_CACHE_HOME") or Path.home() / ".cache").absolute() / NAME
    except RuntimeError:
        raise FolderUnavailable(
            "this user has no home folder, so there is no cache folder. Name one: export SUITE_CACHE=<a folder you may write to>"
        ) from None


def cache_folder() -> Path:
    """Return `find_cache()`, made if it does not exist; FolderUnavailable where it cannot be made."""
    folder = find_cache()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FolderUnavailable(
            f"the cache folder {folder} cannot be made ({error.strerror or error}). "
            "Name another: export SUITE_CACHE=<a folder you may write to>"
        ) from error
    return folder


def find_in_cache(*names: str) -> Path | None:
    """Return a place in the cache, for what is only a copy there and can be done without; None where there is no cache at all."""
    with contextlib.suppress(FolderUnavailable):
        return find_cache().joinpath(*names)
    return None


def is_file(path: Path) -> bool:
    """Tell whether there is such a file; no, too, where its folder may not be looked into, in which case Path.is_file raises."""
    return os.path.isfile(path)  # noqa: PTH113


def can_write(folder: Path) -> bool:
    """Tell whether files can be made in `folder`, which is made; permissions alone do not tell (read-only disks, other users' folders)."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def private_folder() -> Path:
    """Return a folder of this user's alone among the temporary ones, made if it does not exist; OSError where that cannot be.

    Code that is loaded lies in it, so it must be nobody else's: a folder of this name that others can write is refused.
    """
    folder = _private_place()
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    state = folder.lstat()
    if os.name == "posix" and (not stat.S_ISDIR(state.st_mode) or state.st_uid != os.getuid() or state.st_mode & 0o022):
        raise FolderUnavailable(f"{folder} is no folder of this user's alone. Remove it, or name another in TMPDIR.")
    return folder


def _private_place() -> Path:
    user = os.getuid() if hasattr(os, "getuid") else 0
    return Path(tempfile.gettempdir()).absolute() / f"{NAME}-{user}"


def folders_for_kernels(name: str) -> Iterator[Path]:
    """Yield the folders in which kernels may be kept, best first: `name` in the cache, then among temporary files. They need not exist."""
    for find in (find_cache, private_folder):
        with contextlib.suppress(OSError):
            yield find() / name


@cache
def say_temporary(folder: Path) -> None:
    """Say once, in the log, that kernels are kept where a restart may remove them, if `folder` is such a place."""
    if folder.parent == _private_place():
        logging.getLogger(__name__).warning(
            "no cache folder can be written, so compiled kernels are kept in %s until temporary files are removed. "
            "To keep them: export SUITE_CACHE=<a folder you may write to>",
            folder,
        )
