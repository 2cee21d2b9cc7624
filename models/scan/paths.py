"""PATHS: the orders in which a sequence can visit the pixels of an image, each a bijection; and image to sequences and back.

A `Path` is an order, and from where the image is looked at: as it is, rotated by 180 degrees, mirrored (left to right), transposed, or two
of these; `reverse` walks it backwards. An order lists the pixels of a map of any size by their raster number, row * W + column:

    rows        row by row, from the left
    columns     column by column, from the top
    diagonal    by row + column; on one diagonal from the top down (EAMamba, arXiv 2506.22246)
    zigzag      the same diagonals, every other one from the bottom up, as JPEG's coefficients; which ones depends on H (EAMamba)
    hilbert     Hilbert's curve of the enclosing power-of-two square, pixels outside left out
    morton      Morton's z-order of the same square. EAMamba's released z-order is another: its codes collide, and an unstable sort decides
    stripes     vertical stripes of `size` pixels, down and up in turn, each row of a stripe in the other sense than the one before it;
                `shift` moves the stripes' edges (MaIR, arXiv 2412.20066)
    windows     windows of `size` x `size` row by row, and the pixels of a window row by row (T-PMambaSR, arXiv 2511.03232)

`models.scan.directions` has those four that the fused scan of images walks by address; the others go through gathered sequences.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from types import MappingProxyType

import numpy as np
import torch
from torch import Tensor

Grid = np.ndarray  # of int64: raster numbers


def _diagonal(height: int, width: int) -> Grid:
    rows, columns = np.indices((height, width)).reshape(2, -1)
    return np.lexsort((rows, rows + columns))


def _zigzag(height: int, width: int) -> Grid:
    rows, columns = np.indices((height, width)).reshape(2, -1)
    upwards = (rows + columns - (height - 1)) % 2 == 1
    return np.lexsort((np.where(upwards, -rows, rows), rows + columns))


def _hilbert(height: int, width: int) -> Grid:
    """Sort by the distance along the curve (Skilling, AIP Conf. Proc. 707, 2004, in two dimensions), rows first."""
    bits = max(1, int(max(height, width) - 1).bit_length())
    x, y = np.indices((height, width)).reshape(2, -1).astype(np.int64)
    bit = 1 << (bits - 1)
    while bit > 1:  # undo what the excess work of each level would do
        for axis in (0, 1):
            chosen = x if axis == 0 else y
            inverted = (chosen & bit) != 0
            low = bit - 1
            swap = np.where(inverted, 0, (x ^ chosen) & low)
            x = np.where(inverted, x ^ low, x ^ swap)
            if axis == 1:
                y = y ^ swap
        bit >>= 1
    y ^= x  # Gray encode
    turn, bit = np.zeros_like(x), 1 << (bits - 1)
    while bit > 1:
        turn ^= np.where((y & bit) != 0, bit - 1, 0)
        bit >>= 1
    return np.argsort(_interleaved(x ^ turn, y ^ turn, bits), kind="stable")


def _morton(height: int, width: int) -> Grid:
    rows, columns = np.indices((height, width)).reshape(2, -1).astype(np.int64)
    return np.argsort(_interleaved(rows, columns, max(1, int(max(height, width) - 1).bit_length())), kind="stable")


def _interleaved(high: Grid, low: Grid, bits: int) -> Grid:
    """Interleave bits, `high`'s before `low`'s at every place."""
    code = np.zeros_like(high)
    for place in range(bits):
        code |= ((high >> place) & 1) << (2 * place + 1) | ((low >> place) & 1) << (2 * place)
    return code


def _stripes(height: int, width: int, size: int, shift: int) -> Grid:
    edges = [0, *range(shift or size, width, size), width]
    visits = []
    for number, (left, right) in enumerate(pairwise(edges)):
        stripe = np.arange(height)[:, None] * width + np.arange(left, right)
        stripe = stripe[::-1] if number % 2 else stripe
        stripe = np.where(np.arange(height)[:, None] % 2 == 1, stripe[:, ::-1], stripe)  # by rows visited, not by rows of the image
        visits.append(stripe.ravel())
    return np.concatenate(visits)


def _windows(height: int, width: int, size: int) -> Grid:
    rows, columns = np.indices((height, width)).reshape(2, -1)
    return np.lexsort((columns, rows, columns // size, rows // size))


ORDERS: Mapping[str, Callable[..., Grid]] = MappingProxyType(
    {
        "rows": lambda height, width: np.arange(height * width),
        "columns": lambda height, width: np.arange(height * width).reshape(height, width).T.ravel(),
        "diagonal": _diagonal,
        "zigzag": _zigzag,
        "hilbert": _hilbert,
        "morton": _morton,
        "stripes": _stripes,
        "windows": _windows,
    }
)


@dataclass(frozen=True)
class Path:
    """An order, and from where the image is looked at. `size` and `shift` are of stripes and windows, in pixels."""

    order: str
    size: int = 0
    shift: int = 0
    transposed: bool = False
    mirrored: bool = False
    rotated: bool = False
    reverse: bool = False

    @property
    def name(self) -> str:
        """Its fields in words, e.g. "stripes 8 shifted 4, transposed, reversed"."""
        order = f"{self.order} {self.size}" * bool(self.size) or self.order
        order += f" shifted {self.shift}" * bool(self.shift)
        turned = {"transposed": self.transposed, "mirrored": self.mirrored, "rotated": self.rotated, "reversed": self.reverse}
        return ", ".join([order, *(word for word, holds in turned.items() if holds)])

    def raster(self, height: int, width: int) -> Grid:
        """List the raster numbers of an image of `height` x `width` pixels in the order of the visit: a permutation of 0 .. L - 1."""
        seen = (width, height) if self.transposed else (height, width)
        given = {"stripes": (self.size, self.shift), "windows": (self.size,)}.get(self.order, ())
        found = ORDERS[self.order](*seen, *given)
        if self.mirrored:
            found = np.arange(height * width).reshape(seen)[:, ::-1].ravel()[found]
        if self.transposed:
            found = found % height * width + found // height
        if self.rotated:
            found = height * width - 1 - found
        return found[::-1] if self.reverse else found


def views(order: str, *, size: int = 0, shift: int = 0) -> tuple[Path, ...]:
    """Return the four paths of an order as EAMamba takes them: as it is, rotated, mirrored, and mirrored and rotated."""
    return tuple(Path(order, size, shift, mirrored=mirrored, rotated=rotated) for mirrored in (False, True) for rotated in (False, True))


def nested_stripes(size: int, shift: int = 0) -> tuple[Path, ...]:
    """Return MaIR's four paths: stripes, those of the rotated map, of the transposed map, and of the transposed map rotated."""
    return tuple(
        Path("stripes", size, shift, transposed=transposed, rotated=rotated) for transposed in (False, True) for rotated in (False, True)
    )


RASTER = (Path("rows"), Path("rows", reverse=True), Path("columns"), Path("columns", reverse=True))

# By name: four paths over the same map, which an ablation can put in the place of one another.
PATHS: Mapping[str, tuple[Path, ...]] = MappingProxyType(
    {
        "raster": RASTER,
        "diagonal": views("diagonal"),
        "zigzag": views("zigzag"),
        "hilbert": views("hilbert"),
        "morton": views("morton"),
        "stripes-4": nested_stripes(4),
        "stripes-8": nested_stripes(8),
        "stripes-8-shifted": nested_stripes(8, 4),
        "windows-16": tuple(Path("windows", 16, transposed=turned, reverse=back) for turned in (False, True) for back in (False, True)),
        "windows-32": tuple(Path("windows", 32, transposed=turned, reverse=back) for turned in (False, True) for back in (False, True)),
    }
)


@cache
@torch.inference_mode(False)  # first asked for in a validation, they serve training, too
def _indices(paths: tuple[Path, ...], height: int, width: int, device: str) -> tuple[Tensor, Tensor]:
    """Return the raster numbers (K, L) of each path, and the inverse: the place of each pixel in each sequence."""
    raster = np.stack([path.raster(height, width) for path in paths])
    return torch.from_numpy(raster).to(device), torch.from_numpy(np.argsort(raster, axis=1)).to(device)


def gather(maps: Tensor, paths: Sequence[Path]) -> Tensor:
    """Read sequences (B, K, C, H*W) along K paths from `maps`: (B, C, H, W), the same for all, or (B, K, C, H, W), one a path."""
    height, width = map(int, maps.shape[-2:])  # numbers, in a trace too
    index, _ = _indices(tuple(paths), height, width, str(maps.device))
    flat = maps.flatten(-2)
    if flat.dim() == 3:
        return torch.stack([flat.index_select(-1, one) for one in index.unbind(0)], dim=1)
    return torch.stack([one.index_select(-1, order) for one, order in zip(flat.unbind(1), index.unbind(0), strict=True)], dim=1)


def scatter(sequences: Tensor, paths: Sequence[Path], *, height: int, width: int) -> Tensor:
    """Put `sequences` (B, K, C, H*W) along K paths back: (B, K, C, H, W)."""
    _, inverse = _indices(tuple(paths), int(height), int(width), str(sequences.device))
    back = [one.index_select(-1, order) for one, order in zip(sequences.unbind(1), inverse.unbind(0), strict=True)]
    return torch.stack(back, dim=1).unflatten(-1, (height, width))
