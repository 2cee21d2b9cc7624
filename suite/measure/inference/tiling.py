"""TILINGS: how an image is restored in parts, where it does not fit into memory, or as the authors measured.

`authors` is the rule that MambaIR's released test code applies to every image, whatever memory there is, and so the rule behind its
published numbers: each axis of `n = length // 200 + 1` equal parts, the image mirrored at the bottom and right up to a multiple of n,
each part extended by 10 % of its length where another one follows, and the extension cut off the result. An axis shorter than 200 pixels
is run whole. `feathered` is ours: tiles of one size that overlap by an eighth of it and are blended by a smooth window.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import numpy as np
import numpy.typing as npt

from suite.core.errors import Exit, SuiteError
from suite.core.torch_state import is_out_of_memory
from suite.measure.inference.restorer import Restorer, as_float

Tile = Literal["whole", "authors", "feathered"]

TILINGS: Mapping[str, str] = MappingProxyType(
    {
        "whole": "the whole image at once",
        "authors": "MambaIR's rule: length // size + 1 parts an axis, 10 % overlap, cut off",
        "feathered": "tiles of one size, an eighth of it overlapping, blended by a smooth window",
    }
)
AUTHORS_SIZE, FEATHERED_SIZE = 200, 256  # pixels of the low-quality image
LEAST_SIZE = 32  # below this, less memory is not what an image needs
OVERLAP = 1 / 8


@dataclass(frozen=True)
class Span:
    """One part of an axis, in pixels of the low-quality image: what is read, and which of it is kept."""

    start: int
    stop: int
    keep_start: int
    keep_stop: int


def default_size(kind: Tile) -> int:
    """Return the pixels a side of the tiles of `kind`, where none are asked for."""
    return AUTHORS_SIZE if kind == "authors" else FEATHERED_SIZE


def restore_in_tiles(restore: Restorer, kind: Tile, size: int | None = None) -> Restorer:
    """Return `restore` applied in parts; `size` is in pixels of the low-quality image. SuiteError where it is too small to make sense."""
    size = size or default_size(kind)
    if kind == "whole":
        return restore
    if size < LEAST_SIZE:
        raise SuiteError(f"tiles of {size} pixels are too small: --tile-size is at least {LEAST_SIZE}.")
    return (lambda picture: _authors(restore, picture, size)) if kind == "authors" else (lambda picture: _feathered(restore, picture, size))


def authors_spans(length: int, size: int = AUTHORS_SIZE) -> list[Span]:
    """Cut an axis of `length` pixels by the authors' rule; the parts lie in the length rounded up to a multiple of their number."""
    count = length // size + 1
    part = -(-length // count)
    shave = part // 10
    spans = []
    for number in range(count):
        start, stop = number * part, (number + 1) * part
        spans.append(Span(start - shave * (number > 0), stop + shave * (number < count - 1), start, stop))
    return spans


def _authors(restore: Restorer, picture: np.ndarray, size: int) -> np.ndarray:
    height, width = picture.shape[:2]
    rows, columns = authors_spans(height, size), authors_spans(width, size)
    bottom, right = rows[-1].stop - height, columns[-1].stop - width
    padded = np.pad(picture, ((0, bottom), (0, right), (0, 0)), mode="reflect")
    lines = []
    for row in rows:
        parts = []
        for column in columns:
            tile = as_float(restore(padded[row.start : row.stop, column.start : column.stop]))
            scale = tile.shape[0] // (row.stop - row.start)
            kept = [slice((span.keep_start - span.start) * scale, (span.keep_stop - span.start) * scale) for span in (row, column)]
            parts.append(tile[kept[0], kept[1]])
        lines.append(np.concatenate(parts, axis=1))
    return np.concatenate(lines, axis=0)[: height * scale, : width * scale]


def _starts(length: int, size: int) -> list[int]:
    """Return where tiles of `size` begin: evenly spread, at least `OVERLAP` of them shared."""
    if length <= size:
        return [0]
    count = 1 + -(-(length - size) // int(size * (1 - OVERLAP)))
    return [round(number * (length - size) / (count - 1)) for number in range(count)]


def _window(start: int, side: int, length: int, overlap: int) -> npt.NDArray[np.float64]:
    """Return weights along a tile: 1 inside, falling smoothly (raised cosine) over `overlap` pixels towards each neighbour."""
    ramp = 0.5 - 0.5 * np.cos(np.pi * (np.arange(overlap) + 0.5) / overlap)
    weights = np.ones(side)
    if start > 0:
        weights[:overlap] = ramp
    if start + side < length:
        weights[-overlap:] *= ramp[::-1]
    return weights


def feathered_bands(restore: Restorer, picture: np.ndarray, size: int = FEATHERED_SIZE) -> Iterator[np.ndarray]:
    """Yield the restored picture from top to bottom, in bands of whole rows (float32), each as soon as no further tile reaches it.

    Of the result no more than two rows of tiles are held at a time.
    """
    height, width = picture.shape[:2]
    tops = _starts(height, size)
    total = weight = None  # of the rows that are not yet given, from `begin` on
    begin = 0
    for top, below in zip(tops, [*tops[1:], height], strict=True):
        for left in _starts(width, size):
            source = picture[top : top + size, left : left + size]
            tile = as_float(restore(source))
            scale = tile.shape[0] // source.shape[0]
            if left == 0:
                rows = (top + source.shape[0]) * scale - begin
                total = _lengthened(total, (rows, width * scale, tile.shape[2]))
                weight = _lengthened(weight, (rows, width * scale, 1))
            overlap = int(size * OVERLAP) * scale
            window = np.outer(
                _window(top * scale, tile.shape[0], height * scale, overlap), _window(left * scale, tile.shape[1], width * scale, overlap)
            )[..., None]
            at = top * scale - begin
            place = slice(at, at + tile.shape[0]), slice(left * scale, left * scale + tile.shape[1])
            total[place] += window * tile
            weight[place] += window
        done = below * scale - begin
        yield (total[:done] / weight[:done]).astype(np.float32)
        total, weight, begin = total[done:], weight[done:], below * scale


def _lengthened(rows: np.ndarray | None, shape: tuple[int, int, int]) -> np.ndarray:
    """Return an array of `shape` that begins with `rows`, and goes on with zeros."""
    made = np.zeros(shape)
    if rows is not None:
        made[: len(rows)] = rows
    return made


def _feathered(restore: Restorer, picture: np.ndarray, size: int) -> np.ndarray:
    return np.concatenate(list(feathered_bands(restore, picture, size)))


class Memory:
    """`restore`, falling back to feathered tiles of shrinking size where memory runs out, and saying so through `tell`.

    `used` names what the last image was restored by. An image as large as one that did not fit is tiled at once.
    """

    def __init__(self, restore: Restorer, kind: Tile, size: int | None, tell: Callable[[str], None]) -> None:
        self._restore, self._tell = restore, tell
        self._planned, self._size = restore_in_tiles(restore, kind, size), size or default_size(kind)
        self.planned = "whole" if kind == "whole" else f"{kind} tiles of {self._size}"
        self._too_large: int | None = None  # pixels
        self._fallback = FEATHERED_SIZE if kind == "whole" else max(LEAST_SIZE, self._size // 2)
        self.used = self.planned

    def __call__(self, picture: np.ndarray) -> np.ndarray:
        """Return the restored picture; SuiteError where even the smallest tiles do not fit."""
        pixels = picture.shape[0] * picture.shape[1]
        if self._too_large is None or pixels < self._too_large:
            try:
                self.used = self.planned
                return self._planned(picture)
            except (MemoryError, RuntimeError) as error:
                if not is_out_of_memory(error):
                    raise
                self._too_large = pixels
                self._say(picture, self.planned)
        while True:
            try:
                self.used = f"feathered tiles of {self._fallback}, memory ran out"
                return restore_in_tiles(self._restore, "feathered", self._fallback)(picture)
            except (MemoryError, RuntimeError) as error:
                if not is_out_of_memory(error):
                    raise
                if self._fallback <= LEAST_SIZE:
                    raise SuiteError(
                        f"memory runs out even with tiles of {LEAST_SIZE} pixels: use a machine or a GPU with more, or --device cpu.",
                        exit=Exit.NOT_READY,
                    ) from error
                tried, self._fallback = self._fallback, max(LEAST_SIZE, self._fallback // 2)
                self._say(picture, f"tiles of {tried}")

    def _say(self, picture: np.ndarray, tried: str) -> None:
        _give_back_memory()
        self._tell(
            f"memory ran out on an image of {picture.shape[1]}x{picture.shape[0]} pixels ({tried}): it is restored in feathered tiles of "
            f"{self._fallback} pixels instead, and its result is marked so."
        )


def _give_back_memory() -> None:
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()
