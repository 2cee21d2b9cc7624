"""Image to sequences and back: the planar scan directions, each a bijection with its inverse.

The order is VMamba's (arXiv 2401.10166), which both designs use: by rows, by columns, and both reversed. Two directions
are the rows forwards and backwards, one is the rows forwards (MambaIR, section 4.2).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import torch
from torch import Tensor

DIRECTIONS: Mapping[int, tuple[str, ...]] = MappingProxyType(
    {1: ("rows",), 2: ("rows", "rows-reversed"), 4: ("rows", "columns", "rows-reversed", "columns-reversed")}
)


def unfold(image: Tensor, count: int) -> Tensor:
    """Return the sequences (B, K, C, H*W) of `image` (B, C, H, W) along the K = `count` directions of `DIRECTIONS`."""
    rows = image.flatten(2)
    if count == 1:
        return rows[:, None]
    if count == 2:
        return torch.stack([rows, rows.flip(-1)], dim=1)
    columns = image.transpose(2, 3).flatten(2)
    forwards = torch.stack([rows, columns], dim=1)
    return torch.cat([forwards, forwards.flip(-1)], dim=1)


def merge(sequences: Tensor, *, height: int, width: int) -> Tensor:
    """Return the sum (B, C, H, W) of `sequences` (B, K, C, H*W), each brought back to image order."""
    batch, count, channels, _ = sequences.shape
    if count == 1:
        return sequences[:, 0].reshape(batch, channels, height, width)
    half = count // 2
    both = sequences[:, :half] + sequences[:, half:].flip(-1)  # a direction and its reverse share an order
    image = both[:, 0].reshape(batch, channels, height, width)
    if count == 2:
        return image
    return image + both[:, 1].reshape(batch, channels, width, height).transpose(2, 3)
