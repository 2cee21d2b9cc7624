"""Where Numba keeps compiled kernels: beside their source, else in the suite's cache, else among temporary files, else nowhere."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path

from numba import config

from models.cache import can_write, folder_named_by, folders_for_kernels, say_temporary

BESIDE = Path(__file__).parent / "__pycache__"


@contextlib.contextmanager
def keeping() -> Iterator[bool]:
    """Yield whether kernels can be kept; what is declared in the block with `cache` so is kept where `choose_folder` says.

    Numba would look further by itself: of a user without a home it makes a folder `~` wherever one stands.
    """
    folder, given = choose_folder(), config.CACHE_DIR
    if folder is None:
        logging.getLogger(__name__).warning(
            "no folder for Numba's compiled kernels can be written, so every process compiles them anew, for about half a minute. "
            "To keep them: export NUMBA_CACHE_DIR=<a folder you may write to>"
        )
    config.CACHE_DIR = "" if folder in (None, BESIDE) else str(folder)
    try:
        yield folder is not None
    finally:
        config.CACHE_DIR = given


def choose_folder() -> Path | None:
    """Return `$NUMBA_CACHE_DIR`, the folder beside the source, or one of the suite's, whichever can be written first; else None."""
    given = folder_named_by("NUMBA_CACHE_DIR")
    for folder in (*([given] if given else []), BESIDE):
        if can_write(folder):
            return folder
    for folder in folders_for_kernels("numba"):
        if can_write(folder):
            say_temporary(folder)
            return folder
    return None
