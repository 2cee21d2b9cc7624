"""MATLAB's .mat files of version 7.3, which are HDF5 with a head of MATLAB's: read by h5py, which the suite does not require.

HDF5 holds an array's axes in reverse order, a cell array as references to its elements, and MATLAB's class as an attribute.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from suite.core.errors import Exit, SuiteError

if TYPE_CHECKING:
    import h5py

HDF5 = b"\x89HDF\r\n\x1a\n"
USER_BLOCK = 512  # bytes of MATLAB's own head before it
H5PY_REMEDY = "pip install 'h5py>=3.10'"


def is_mat73(path: Path) -> bool:
    """Return whether the file is HDF5, with MATLAB's head or without; SuiteError where it cannot be read."""
    try:
        with path.open("rb") as file:
            head = file.read(USER_BLOCK + len(HDF5))
    except OSError as error:
        raise unreadable(path, error) from error
    return head.startswith(HDF5) or head[USER_BLOCK:] == HDF5


def list_variables(path: Path) -> list[tuple[str, tuple[int, ...], str]]:
    """Return (name, shape, class) of every variable, both as MATLAB has them; a structure is 1x1."""
    with _opened(path) as file:
        return [
            (name, tuple(reversed(getattr(item, "shape", (1, 1)))), _class(item))
            for name, item in file.items()
            if not name.startswith("#")  # where MATLAB keeps what is referred to
        ]


def read_array(path: Path, name: str) -> np.ndarray:
    """Return the numbers of one variable, with the shape that they have in MATLAB; raises KeyError where there is none."""
    with _opened(path) as file:
        return _numbers(path, file[name])


def read_cell_array(path: Path, name: str) -> list[np.ndarray]:
    """Return the elements of a cell array of numbers in MATLAB's order, each with its shape there; `name` may be "structure/field"."""
    with _opened(path) as file:
        return [_numbers(path, file[reference]) for reference in np.asarray(file[name]).flat]  # reversed axes: by columns


def _numbers(path: Path, item: h5py.Dataset | h5py.Group) -> np.ndarray:
    """Read an array, axes in MATLAB's order; SuiteError where HDF5 would read it from another file, which MATLAB never writes."""
    import h5py  # late: an optional package

    inside = isinstance(item, h5py.Dataset) and not item.external and not item.is_virtual and Path(item.file.filename) == path
    if not inside:
        raise SuiteError(
            f"{path} does not hold the numbers of {item.name} itself, but names other files, or is not an array. Replace the file.",
            exit=Exit.NOT_READY,
        )
    return np.asarray(item).T


def _class(item: h5py.Dataset | h5py.Group) -> str:
    """Return `double`, `uint8`, `cell`, `struct` ...; HDF5's type where the file was not written by MATLAB."""
    held = item.attrs.get("MATLAB_class")
    if held is not None:
        return held.decode() if isinstance(held, bytes) else str(held)
    return str(getattr(item, "dtype", "struct"))


def unreadable(path: Path, error: Exception) -> SuiteError:
    """Return the error for a file that is damaged or of another kind."""
    return SuiteError(f"{path} cannot be read as a .mat file: {error}. Replace the file.", exit=Exit.NOT_READY)


def _opened(path: Path) -> h5py.File:
    try:
        import h5py  # late: an optional package
    except ImportError:
        raise SuiteError(
            f"{path} is a .mat file of version 7.3 (HDF5), which is read by h5py, and that is not installed: `{H5PY_REMEDY}`.",
            exit=Exit.NOT_READY,
        ) from None
    try:
        return h5py.File(path, "r")
    except OSError as error:
        raise SuiteError(f"{path} cannot be read as a .mat file of version 7.3: {error}. Replace the file.", exit=Exit.NOT_READY) from error
