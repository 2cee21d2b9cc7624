"""Where things lie: the project's folders, and those that a user may move by the environment."""

from __future__ import annotations

import os
from pathlib import Path

from suite.core.errors import Exit, SuiteError

ROOT = Path(__file__).resolve().parents[2]


def project_folder(name: str) -> Path:
    """Return the folder `results`, `reports` or `datasets` of the checkout that the suite was installed from."""
    folder = ROOT / name
    if not folder.is_dir():
        raise SuiteError(
            f"the suite's folder {name}/ is not beside its code (looked in {ROOT}). "
            "It runs from a checkout: clone the repository and `pip install -e .` there.",
            exit=Exit.NOT_READY,
        )
    return folder


def python_path() -> str:
    """Return a PYTHONPATH by which a child process finds the suite whatever its working folder, before what is on this process's."""
    return os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])


def data_folder() -> Path | None:
    """Return `$SUITE_DATA`, the root of the user's own data sets, if it is set."""
    base = os.environ.get("SUITE_DATA")
    return Path(base) if base else None
