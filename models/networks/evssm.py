"""EVSSM: Efficient Visual State Space Model for Image Deblurring (arXiv 2405.14343, CVPR 2025).

A U-Net of three levels with added skips. A block turns the map - the first transposes it, the next rotates it by 180 degrees, and so on by
turns - and never turns it back; encoder and decoder of a level turn alike, so frames agree at every skip. Then

    x = x + scan(norm(x));  x = x + feed-forward(norm(x))

with one scan of the rows, whose inputs (delta, B, C) pass a 1D convolution first, and a feed-forward that ends in a learnt spectrum.

The authors have two classes with the same parameters. For training, sizes are multiples of 32. For testing, patches of the spectrum are
padded by reflection, and norm and scan run in overlapping tiles that are averaged: 384, 192 and 96 pixels on the three levels. Up to 384
pixels the two agree but for the padding.

Deviations: in the testing form inputs are padded to multiples of 4 by reflection, where the released class fails.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import product

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.base import Block, RestorationNet
from models.colours import ColourPath
from models.designs.evssm import TILES, EVSSMConfig
from models.parts.feedforward import GatedFeedForward, SpectralFeedForward
from models.parts.s6 import DirectionalS6

CONV_LENGTH = 7  # of the 1D convolution along the sequence


class RootMeanSquareNorm(nn.Module):
    """Division by the root mean square of the channels of (B, C, H, W); a weight and a bias."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(dim)), nn.Parameter(torch.zeros(dim))

    def forward(self, x: Tensor) -> Tensor:
        """`x` (B, C, H, W) to the same shape."""
        scaled = x * torch.rsqrt(x.square().mean(1, keepdim=True) + 1e-6)
        return scaled * self.weight[:, None, None] + self.bias[:, None, None]


class EfficientScan(nn.Module):
    """One scan of the rows, between GELUs."""

    def __init__(self, dim: int, config: EVSSMConfig) -> None:
        super().__init__()
        width, rank = int(dim * config.expand), math.ceil(dim / 16)
        inputs = rank + 2 * config.d_state
        self.in_proj = nn.Linear(dim, 2 * width, bias=False)
        self.depthwise = nn.Conv2d(width, width, 3, padding=1, groups=width)
        self.s6 = DirectionalS6(width, directions=1, d_state=config.d_state, dt_rank=rank)
        self.along = nn.Conv1d(inputs, inputs, CONV_LENGTH, padding=CONV_LENGTH // 2, groups=inputs)
        self.norm = nn.LayerNorm(width)
        self.out_proj = nn.Linear(width, dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """`x` (B, C, H, W) to the same shape."""
        u, z = self.in_proj(x.permute(0, 2, 3, 1)).chunk(2, dim=-1)
        u = F.gelu(self.depthwise(u.permute(0, 3, 1, 2)))
        y = self.s6(u.flatten(2)[:, None], lambda projected: self.along(projected[:, 0])[:, None])[:, 0]
        y = self.norm(y.transpose(1, 2)).unflatten(1, x.shape[2:])
        return self.out_proj(y * F.gelu(z)).permute(0, 3, 1, 2)


def _starts(length: int, side: int) -> list[int]:
    """Return where tiles of `side` begin along an axis, evenly spread and overlapping; the last one ends with it."""
    tile = min(length, side)
    count = (length - 1) // side + 1
    step = tile if count == 1 else math.ceil((length - tile) / (count - 1) - 1e-8)
    return [min(number * step, length - tile) for number in range(count)]


def in_tiles(function: Callable[[Tensor], Tensor], x: Tensor, side: int) -> Tensor:
    """Apply `function` to overlapping tiles of `x` (B, C, H, W) of at most `side` pixels a side, and average where they overlap."""
    height, width = x.shape[2:]
    if max(height, width) <= side:
        return function(x)
    total, times = torch.zeros_like(x), torch.zeros_like(x[:1, :1])
    for top, left in product(_starts(height, side), _starts(width, side)):
        place = (..., slice(top, top + min(height, side)), slice(left, left + min(width, side)))
        total[place] += function(x[place])
        times[place] += 1
    return total / times


class EVSSMBlock(Block):
    """Turns the map, then scan and feed-forward; `side` of the tiles in the testing form, else None."""

    def __init__(self, dim: int, number: int, side: int | None, config: EVSSMConfig) -> None:
        super().__init__()
        self.side, self.turn = side, ("transposed", "rotated")[number % 2] if config.turns == "alternating" else "none"
        self.norm1, self.norm2 = RootMeanSquareNorm(dim), RootMeanSquareNorm(dim)
        self.scan = EfficientScan(dim, config)
        if config.spectrum:
            self.ffn = SpectralFeedForward(dim, config.ffn_expansion, padded=config.form == "testing")
        else:
            self.ffn = GatedFeedForward(dim, config.ffn_expansion)

    def forward(self, x: Tensor) -> Tensor:
        """`x` (B, C, H, W) to the same shape, or transposed."""
        if self.turn != "none":
            x = x.flip((2, 3)) if self.turn == "rotated" else x.transpose(2, 3)
        x = x + (self._scan(x) if self.side is None else in_tiles(self._scan, x, self.side))
        return x + self.ffn(self.norm2(x))

    def _scan(self, x: Tensor) -> Tensor:
        return self.scan(self.norm1(x))


class EVSSM(RestorationNet):
    """Motion deblurring; the output is added to the input."""

    def __init__(self, config: EVSSMConfig) -> None:
        super().__init__(config)
        widths = [config.dim, 2 * config.dim, 4 * config.dim]

        def stage(level: int) -> nn.Sequential:
            side = TILES[level] if config.form == "testing" else None
            return nn.Sequential(*(EVSSMBlock(widths[level], number, side, config) for number in range(config.blocks[level])))

        self.stem = nn.Conv2d(config.channels, config.dim, 3, padding=1, bias=False)
        self.encoder = nn.ModuleList(stage(level) for level in range(3))
        self.down = nn.ModuleList(nn.Conv2d(width, 2 * width, 3, padding=1, bias=False) for width in widths[:2])
        self.decoder = nn.ModuleList(stage(level) for level in (2, 1, 0))
        self.up = nn.ModuleList(nn.Conv2d(width, width // 2, 3, padding=1, bias=False) for width in (widths[2], widths[1]))
        self.last = nn.Conv2d(config.dim, config.channels, 3, padding=1, bias=False)

    def set_tiles(self, sides: Sequence[int]) -> None:
        """Set the sides of the tiles of the three levels, in pixels of the level."""
        for level, side in enumerate(sides):
            for block in (*self.encoder[level], *self.decoder[2 - level]):
                block.side = side

    def colour_path(self) -> ColourPath:
        """Return the layers that the input's colours pass: none, for the output has the input added."""
        return ColourPath(self.last, adds="input")

    def restore(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to the same shape."""
        features, skips = self.stem(x), []
        for level, stage in enumerate(self.encoder):
            features = stage(features)
            if level < len(self.down):
                skips.append(features)
                features = self.down[level](F.interpolate(features, scale_factor=0.5, mode="bilinear", align_corners=False))
        for level, stage in enumerate(self.decoder):
            if level:
                enlarged = F.interpolate(features, scale_factor=2, mode="bilinear", align_corners=False)
                features = self.up[level - 1](enlarged) + skips.pop()
            features = stage(features)
        return self.last(features) + x
