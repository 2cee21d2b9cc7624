"""MATLAB's .mat files, in which SIDD and DND are shipped: what is in one, and one block of it.

Files up to version 7 are read by scipy; version 7.3 is HDF5 and needs h5py, which the suite does not require. Blocks are uint8
`(images, blocks, height, width, 3)`, as SIDD's validation files have them (40, 32, 256, 256, 3).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from suite.data.images import Pixels
from suite.errors import Exit, SuiteError

HDF5 = b"\x89HDF\r\n\x1a\n"
BLOCK_AXES = 5


@dataclass(frozen=True)
class MatFacts:
    """Version and variables, (name, shape, MATLAB's class)."""

    path: Path
    version: str
    variables: tuple[tuple[str, tuple[int, ...], str], ...]

    @property
    def statement(self) -> str:
        """In words."""
        held = ", ".join(f"{name} {'x'.join(map(str, shape))} {kind}" for name, shape, kind in self.variables)
        return f"MATLAB {self.version}: {held or 'no variables'}"


def describe_mat(path: Path) -> MatFacts:
    """What the file holds, without reading it whole; SuiteError names a file that cannot be read."""
    if _is_hdf5(path):
        with _hdf5(path) as file:
            held = [(name, tuple(reversed(file[name].shape)), str(file[name].dtype)) for name in file if hasattr(file[name], "shape")]
        return MatFacts(path, "7.3 (HDF5)", tuple(held))
    from scipy.io import whosmat

    try:
        held = [(name, tuple(shape), kind) for name, shape, kind in whosmat(path)]
    except Exception as error:  # scipy raises whatever a damaged file leads it to
        raise _unreadable(path, error) from error
    return MatFacts(path, "up to 7", tuple(held))


def block_names(path: Path) -> list[str]:
    """Names of the blocks of a .mat file, in their order: image and block, both counted from 1."""
    images, blocks = _blocks_shape(path)[:2]
    return [f"{image:02d}-{block:02d}" for image in range(1, images + 1) for block in range(1, blocks + 1)]


def read_block(path: Path, number: int) -> Pixels:
    """The block `number`, counted from 0 as `block_names` counts them, as uint8 RGB `(H, W, 3)`; the last two files are kept in memory."""
    held = _blocks(path, path.stat().st_mtime_ns)
    return np.array(held[divmod(number, held.shape[1])])


def _blocks_shape(path: Path) -> tuple[int, ...]:
    facts = describe_mat(path)
    shapes = [shape for _, shape, kind in facts.variables if len(shape) == BLOCK_AXES and shape[-1] == 3 and kind == "uint8"]
    if len(shapes) != 1:
        raise SuiteError(
            f"{path} should hold one variable of uint8 blocks (images, blocks, height, width, 3), and is {facts.statement}.",
            exit=Exit.NOT_READY,
        )
    return shapes[0]


@lru_cache(maxsize=2)
def _blocks(path: Path, _changed: int) -> np.ndarray:
    shape = _blocks_shape(path)
    if _is_hdf5(path):
        with _hdf5(path) as file:
            (held,) = (np.asarray(file[name]).T for name in file if tuple(reversed(getattr(file[name], "shape", ()))) == shape)
        return held
    from scipy.io import loadmat

    try:
        (held,) = (value for value in loadmat(path).values() if isinstance(value, np.ndarray) and value.shape == shape)
    except Exception as error:  # as above: a file may be cut within its data
        raise _unreadable(path, error) from error
    return held


def _is_hdf5(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            head = file.read(520)
    except OSError as error:
        raise _unreadable(path, error) from error
    return head.startswith(HDF5) or head[512:520] == HDF5


def _hdf5(path: Path):  # noqa: ANN202 - h5py.File, of a package that may be missing
    try:
        import h5py
    except ImportError:
        raise SuiteError(
            f"{path} is a .mat file of version 7.3, which is read by h5py, and that is not installed: `pip install h5py`, "
            "or save the file again in MATLAB with '-v7'.",
            exit=Exit.NOT_READY,
        ) from None
    return h5py.File(path, "r")


def _unreadable(path: Path, error: Exception) -> SuiteError:
    return SuiteError(f"{path} cannot be read as a .mat file: {error}. Replace the file.", exit=Exit.NOT_READY)
