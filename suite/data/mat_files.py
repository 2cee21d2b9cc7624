"""MATLAB's .mat files, in which SIDD and DND are shipped: what is in one, one block of it, or one variable.

Files up to version 7 are read by scipy, those of version 7.3 by suite.data.mat73. Blocks are uint8 `(images, blocks, height, width, 3)`,
as SIDD's validation files have them (40, 32, 256, 256, 3).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from suite.core.errors import Exit, SuiteError
from suite.data import mat73
from suite.data.images import Pixels

BLOCK_AXES = 5


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
    """Describe what the file holds, without reading it whole; SuiteError names a file that cannot be read."""
    if mat73.is_mat73(path):
        return MatFacts("7.3 (HDF5)", tuple(mat73.list_variables(path)))
    from scipy.io import whosmat  # late: slow to load

    try:
        held = [(name, tuple(shape), kind) for name, shape, kind in whosmat(path)]
    except Exception as error:  # scipy raises whatever a damaged file leads it to
        raise mat73.unreadable(path, error) from error
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
        return mat73.read_array(path, name) if mat73.is_mat73(path) else np.asarray(_loaded(path)[name])
    except KeyError:
        raise _without(path, name) from None


def read_cells(path: Path, structure: str, field: str) -> list[np.ndarray]:
    """Return the elements of the cell array `structure.field`, in MATLAB's order; SuiteError says what the file holds instead."""
    try:
        if mat73.is_mat73(path):
            return mat73.read_cell_array(path, f"{structure}/{field}")
        return list(_loaded(path)[structure][field][0, 0].ravel(order="F"))
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
        raise mat73.unreadable(path, error) from error


def _without(path: Path, name: str) -> SuiteError:
    return SuiteError(f"{path} should hold {name}, and is {describe_mat(path).statement}.", exit=Exit.NOT_READY)
