"""MATLAB's .mat files, in which SIDD and DND are shipped: what is in one, one block of it, or one variable.

Files up to version 7 are read by scipy. Those of version 7.3 are HDF5 with a head of MATLAB's, read by h5py, which the suite does not
require: HDF5 holds an array's axes in reverse order, a cell array as references to its elements, and MATLAB's class as an attribute.
Blocks are uint8 `(images, blocks, height, width, 3)`, as SIDD's validation files have them (40, 32, 256, 256, 3).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from suite.core.errors import Exit, SuiteError
from suite.data.images import Pixels

if TYPE_CHECKING:
    import h5py

BLOCK_AXES = 5
HDF5 = b"\x89HDF\r\n\x1a\n"
USER_BLOCK = 512  # bytes of MATLAB's own head before it
H5PY_REMEDY = "pip install 'h5py>=3.10'"


@dataclass(frozen=True)
class MatFacts:
    """Version and variables, (name, shape, MATLAB's class)."""

    version: str
    variables: tuple[tuple[str, tuple[int, ...], str], ...]

    @property
    def statement(self) -> str:
        """In words."""
        held = ", ".join(f"{name} {'x'.join(map(str, shape))} {kind}" for name, shape, kind in self.variables)
        return f"MATLAB {self.version}: {held or 'no variables'}"


def describe_mat(path: Path) -> MatFacts:
    """Describe what the file holds, without reading it whole, a structure as 1x1; SuiteError names a file that cannot be read."""
    if _is_mat73(path):
        with _opened(path) as file:
            named = [(name, item) for name, item in file.items() if not name.startswith("#")]  # where MATLAB keeps what is referred to
            return MatFacts("7.3 (HDF5)", tuple((name, getattr(item, "shape", (1, 1))[::-1], _class(item)) for name, item in named))
    from scipy.io import whosmat  # late: slow to load

    try:
        held = [(name, tuple(shape), kind) for name, shape, kind in whosmat(path)]
    except Exception as error:  # scipy raises whatever a damaged file leads it to
        raise _unreadable(path, error) from error
    return MatFacts("up to 7", tuple(held))


def block_names(path: Path) -> list[str]:
    """Return names of the blocks of a .mat file, in their order: image and block, both counted from 1."""
    images, blocks = _blocks_of(path)[1][:2]
    return [f"{image:02d}-{block:02d}" for image in range(1, images + 1) for block in range(1, blocks + 1)]


def read_block(path: Path, number: int) -> Pixels:
    """Read the block `number`, from 0 in the order of `block_names`, as uint8 RGB `(H, W, 3)`; the last two files are kept in memory."""
    held = _blocks(path, path.stat().st_mtime_ns)
    return np.array(held[divmod(number, held.shape[1])])


def read_variable(path: Path, name: str) -> np.ndarray:
    """Return the array `name`, with the shape that it has in MATLAB; SuiteError says what the file holds instead."""
    try:
        if not _is_mat73(path):
            return np.asarray(_loaded(path)[name])
        with _opened(path) as file:
            return _numbers(path, file[name])
    except KeyError:
        raise _without(path, name) from None


def read_cells(path: Path, structure: str, field: str) -> list[np.ndarray]:
    """Return the elements of the cell array `structure.field`, in MATLAB's order; SuiteError says what the file holds instead."""
    try:
        if not _is_mat73(path):
            return list(_loaded(path)[structure][field][0, 0].ravel(order="F"))
        with _opened(path) as file:  # its axes are reversed, so that references lie by columns
            return [_numbers(path, file[reference]) for reference in np.asarray(file[f"{structure}/{field}"]).flat]
    except (KeyError, ValueError):  # numpy's error for a field that a structure lacks is a ValueError
        raise _without(path, f"{structure}.{field}") from None


def _blocks_of(path: Path) -> tuple[str, tuple[int, ...]]:
    """Return name and shape of the one variable that holds blocks."""
    facts = describe_mat(path)
    found = [(name, shape) for name, shape, kind in facts.variables if len(shape) == BLOCK_AXES and shape[-1] == 3 and kind == "uint8"]
    if len(found) != 1:
        raise SuiteError(
            f"{path} should hold one variable of uint8 blocks (images, blocks, height, width, 3), and is {facts.statement}.",
            exit=Exit.NOT_READY,
        )
    return found[0]


@lru_cache(maxsize=2)
def _blocks(path: Path, _changed: int) -> np.ndarray:
    return read_variable(path, _blocks_of(path)[0])


def _loaded(path: Path) -> Mapping[str, np.ndarray]:
    from scipy.io import loadmat  # late: slow to load

    try:
        return loadmat(path)
    except Exception as error:  # as above: a file may be cut within its data
        raise _unreadable(path, error) from error


def _is_mat73(path: Path) -> bool:
    """Return whether the file is HDF5, with MATLAB's head or without; SuiteError where it cannot be read."""
    try:
        with path.open("rb") as file:
            head = file.read(USER_BLOCK + len(HDF5))
    except OSError as error:
        raise _unreadable(path, error) from error
    return head.startswith(HDF5) or head[USER_BLOCK:] == HDF5


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
        raise _unreadable(path, error, " of version 7.3") from error


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


def _unreadable(path: Path, error: Exception, version: str = "") -> SuiteError:
    """Return the error for a file that is damaged or of another kind."""
    return SuiteError(f"{path} cannot be read as a .mat file{version}: {error}. Replace the file.", exit=Exit.NOT_READY)


def _without(path: Path, name: str) -> SuiteError:
    return SuiteError(f"{path} should hold {name}, and is {describe_mat(path).statement}.", exit=Exit.NOT_READY)
