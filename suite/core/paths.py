"""Where things lie: what comes with the code, where what is made goes, and the folders that a user may move by the environment."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from models.cache import folder_named_by
from suite.core.errors import Exit, SuiteError

ROOT = Path(__file__).resolve().parents[2]  # the checkout, or where packages are installed
WORKING_FOLDER = "SUITE_WORKING_FOLDER"  # the variable that tells processes that begin elsewhere where the user stands
SHIPPED = ROOT / "suite" / "shipped"  # of an installed wheel alone: copies of the checkout's folders (setup.py)


def is_installed() -> bool:
    """Tell whether the suite runs from a wheel, and not from a checkout, in place or by `pip install -e`."""
    return SHIPPED.is_dir()


def shipped_folder(name: str) -> Path:
    """Return a folder that comes with the code, e.g. `datasets` or `results/published`: the checkout's, or the wheel's copy."""
    base = SHIPPED if is_installed() else ROOT
    if not (base / name).is_dir():
        raise SuiteError(
            f"the suite's folder {name}/ is not with its code (looked in {base}). Install the suite as a whole: clone the repository, and "
            "`pip install .` or `pip install -e .` there.",
            exit=Exit.NOT_READY,
        )
    return base / name


def own_folder(name: str) -> Path:
    """Return where what is made goes, `results` or `reports`: in the checkout, or, of an installed suite, below the working folder."""
    return (Path.cwd() if is_installed() else ROOT) / name


def python_path() -> str:
    """Return a PYTHONPATH by which a child process finds the suite whatever its working folder, before what is on this process's.

    What is installed is found anyway, and would hide modules of Python itself if it came first.
    """
    first = [] if is_installed() else [str(ROOT)]
    return os.pathsep.join([*first, *filter(None, [os.environ.get("PYTHONPATH")])])


def go_to_working_folder() -> None:
    """Go to the folder in which the user stands, if this process began elsewhere: relative names are of there."""
    folder = os.environ.get(WORKING_FOLDER)
    if folder:
        with contextlib.suppress(OSError):  # it is gone
            os.chdir(folder)


def data_folder() -> Path | None:
    """Return `$SUITE_DATA`, the root of the user's own data sets, if it is set."""
    return folder_named_by("SUITE_DATA")
