"""How this process holds freed memory: blocks as large as a scan's results stay in it, and are not mapped anew for the next call.

glibc gives every block above 32 MiB pages of its own, and gives them back when it is freed. The system fills each page with zeros at its
first use: for eight images of MambaIR-light's block that takes a third of the scan's own time, at every call. The price: up to `KEPT` bytes
that nothing uses stay with the process (more, where a block still in use lies above them); `malloc_trim` gives them back at any time.
"""

from __future__ import annotations

import ctypes
import functools
import os

KEPT = 256 * 2**20  # bytes: a block up to this size is used again, and as much may lie free
TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # M_TRIM_THRESHOLD and M_MMAP_THRESHOLD of malloc.h
OWN_SETTINGS = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "MALLOC_MMAP_MAX_", "MALLOC_TOP_PAD_", "GLIBC_TUNABLES", "LD_PRELOAD")


@functools.cache
def keep_freed_memory() -> bool:
    """Tell glibc once to keep freed blocks of up to `KEPT` bytes; returns whether it does.

    Another C library has no such setting, and a setting of the user's own (`OWN_SETTINGS`, in the environment) is left alone.
    """
    if any(name in os.environ for name in OWN_SETTINGS):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and all(mallopt(option, KEPT) == 1 for option in (TRIM_THRESHOLD, MMAP_THRESHOLD))
