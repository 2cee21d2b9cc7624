"""The outer network that MambaIR, MambaIRv2, MaIR and T-PMambaSR share: groups of blocks between two convolutions, and a tail.

    image -> 3x3 convolution -> LN -> residual groups -> LN -> 3x3 convolution -> + shallow features -> tail

(MambaIR, arXiv 2402.15648, section 3.2, figure 2; after SwinIR, arXiv 2108.10257.) A group is its blocks, a 3x3 convolution and a skip
connection. Tails: `pixelshuffle` (classic SR: convolution to 64, LeakyReLU, shuffle stages, convolution), `pixelshuffledirect` (light SR:
one convolution and one shuffle), `residual` (denoising, JPEG: one convolution, added to the input). The mean colour of DIV2K is subtracted
from RGB inputs and added back.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.base import RestorationNet, trunc_normal_linears
from models.colours import ColourPath
from models.design import Config
from models.parts.layers import PixelShuffleStages

DIV2K_MEAN = (0.4488, 0.4371, 0.4040)
TAIL_WIDTH = 64
SLOPE = 0.01  # of the tail's LeakyReLU
Upsampler = Literal["pixelshuffle", "pixelshuffledirect", "residual"]


class ResidualConfig(Config, Protocol):
    """What the outer network asks of a configuration."""

    @property
    def upsampler(self) -> Upsampler:
        """Return which tail."""


class ResidualGroup(nn.Module):
    """Blocks on (B, H, W, C), a convolution, and the skip connection."""

    def __init__(self, dim: int, blocks: nn.Module) -> None:
        super().__init__()
        self.blocks = blocks
        self.conv = nn.Conv2d(dim, dim, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """`x` (B, H, W, C) to the same shape."""
        return self.conv(self.blocks(x).permute(0, 3, 1, 2)).permute(0, 2, 3, 1) + x


class Tail(nn.Module):
    """From deep features (B, dim, H, W) to the image (B, C, scale*H, scale*W), before the mean is added."""

    def __init__(self, config: ResidualConfig) -> None:
        super().__init__()
        self.kind, self.scale = config.upsampler, config.scale
        if self.kind == "pixelshuffle":
            self.before = nn.Conv2d(config.dim, TAIL_WIDTH, 3, padding=1)
            self.upsample = PixelShuffleStages(TAIL_WIDTH, config.scale)
        width = TAIL_WIDTH if self.kind == "pixelshuffle" else config.dim
        out = config.channels * config.scale**2 if self.kind == "pixelshuffledirect" else config.channels
        self.last = nn.Conv2d(width, out, 3, padding=1)

    def forward(self, features: Tensor, image: Tensor) -> Tensor:
        """`features` (B, dim, H, W) and the mean-free input `image` (B, C, H, W) to the output."""
        if self.kind == "pixelshuffle":
            return self.last(self.upsample(F.leaky_relu(self.before(features), SLOPE)))
        if self.kind == "pixelshuffledirect":
            return F.pixel_shuffle(self.last(features), self.scale)
        return image + self.last(features)


class ResidualNet(RestorationNet):
    """The outer network; `bodies` yields what is inside each group, a module on (B, H, W, C), made as it is asked for."""

    mean: Tensor

    def __init__(self, config: ResidualConfig, bodies: Iterable[nn.Module]) -> None:
        super().__init__(config)
        mean = DIV2K_MEAN if config.channels == 3 else (0.0,) * config.channels
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1), persistent=False)
        self.shallow = nn.Conv2d(config.channels, config.dim, 3, padding=1)
        self.first_norm = nn.LayerNorm(config.dim)
        self.groups = nn.Sequential(*(ResidualGroup(config.dim, body) for body in bodies))
        self.last_norm = nn.LayerNorm(config.dim)
        self.deep = nn.Conv2d(config.dim, config.dim, 3, padding=1)
        self.tail = Tail(config)
        trunc_normal_linears(self)

    def colour_path(self) -> ColourPath:
        """Return the layers that the input's colours pass: past the groups, by the skip connection around them."""
        tail = self.tail
        if tail.kind == "residual":
            return ColourPath(tail.last, adds="input")
        if tail.kind == "pixelshuffledirect":
            return ColourPath(tail.last, tail.scale, first=self.shallow, silenced=(self.deep,))
        return ColourPath(
            tail.last, first=self.shallow, silenced=(self.deep,), before=tail.before, slope=SLOPE, enlarging=tail.upsample.stages
        )

    def restore(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C, scale*H, scale*W)."""
        image = x - self.mean
        shallow = self.shallow(image)
        tokens = self.groups(self.first_norm(shallow.permute(0, 2, 3, 1)))
        features = self.deep(self.last_norm(tokens).permute(0, 3, 1, 2)) + shallow
        return self.tail(features, image) + self.mean
