"""Where what is made once for a machine is kept: compiled kernels here, and what the suite keeps."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """`$SUITE_CACHE`, or `suite-restoration` in the user's cache folder; made if it does not exist."""
    base = os.environ.get("SUITE_CACHE")
    folder = Path(base) if base else Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "suite-restoration"
    folder.mkdir(parents=True, exist_ok=True)
    return folder
