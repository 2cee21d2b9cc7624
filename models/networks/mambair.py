"""MambaIR: A Simple Baseline for Image Restoration with State-Space Model (arXiv 2402.15648, ECCV 2024).

    image -> 3x3 convolution -> LN -> residual groups -> LN -> 3x3 convolution -> + shallow features -> tail

(section 3.2, figure 2). A group is its blocks, a 3x3 convolution and a skip connection. Tails: `pixelshuffle`
(classic SR: convolution to 64, LeakyReLU, shuffle stages, convolution), `pixelshuffledirect` (light SR: one convolution
and one shuffle), `residual` (denoising, JPEG: one convolution, added to the input). The mean colour of DIV2K is
subtracted from RGB inputs and added back.

`MambaIRUNet` is the authors' network for real denoising: the same blocks in the U-Net of `models.parts.unet`.

Deviations: none in the networks. MambaIR takes any size; the U-Net pads to a multiple of 8 by reflection.
"""

from __future__ import annotations

from itertools import islice

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.base import RestorationNet, trunc_normal_linears
from models.designs.mambair import MambaIRConfig, MambaIRUNetConfig
from models.parts.layers import PixelShuffleStages
from models.parts.unet import UNetBody
from models.parts.vss import ResidualStateSpaceBlock

DIV2K_MEAN = (0.4488, 0.4371, 0.4040)
TAIL_WIDTH = 64


class ResidualGroup(nn.Module):
    """RSSG: blocks on (B, H, W, C), a convolution, and the skip connection."""

    def __init__(self, config: MambaIRConfig, drop_paths: list[float]) -> None:
        super().__init__()
        self.blocks = nn.Sequential(*(ResidualStateSpaceBlock(config.dim, config, rate) for rate in drop_paths))
        self.conv = nn.Conv2d(config.dim, config.dim, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """`x` (B, H, W, C) to the same shape."""
        return self.conv(self.blocks(x).permute(0, 3, 1, 2)).permute(0, 2, 3, 1) + x


class Tail(nn.Module):
    """From deep features (B, dim, H, W) to the image (B, C, scale*H, scale*W), before the mean is added."""

    def __init__(self, config: MambaIRConfig) -> None:
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
            return self.last(self.upsample(F.leaky_relu(self.before(features), 0.01)))
        if self.kind == "pixelshuffledirect":
            return F.pixel_shuffle(self.last(features), self.scale)
        return image + self.last(features)


class MambaIR(RestorationNet):
    """Classic and light super-resolution, colour denoising, JPEG artefact reduction, and all ablations."""

    mean: Tensor

    def __init__(self, config: MambaIRConfig) -> None:
        super().__init__(config)
        mean = DIV2K_MEAN if config.channels == 3 else (0.0,) * config.channels
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1), persistent=False)
        last = max(1, sum(config.depths) - 1)
        rates = iter([config.drop_path * i / last for i in range(sum(config.depths))])
        self.shallow = nn.Conv2d(config.channels, config.dim, 3, padding=1)
        self.first_norm = nn.LayerNorm(config.dim)
        self.groups = nn.Sequential(*(ResidualGroup(config, list(islice(rates, depth))) for depth in config.depths))
        self.last_norm = nn.LayerNorm(config.dim)
        self.deep = nn.Conv2d(config.dim, config.dim, 3, padding=1)
        self.tail = Tail(config)
        trunc_normal_linears(self)

    def restore(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C, scale*H, scale*W)."""
        image = x - self.mean
        shallow = self.shallow(image)
        tokens = self.groups(self.first_norm(shallow.permute(0, 2, 3, 1)))
        features = self.deep(self.last_norm(tokens).permute(0, 3, 1, 2)) + shallow
        return self.tail(features, image) + self.mean


class ChannelFirst(nn.Module):
    """A block on (B, H, W, C) used on (B, C, H, W)."""

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        self.block = block

    def forward(self, x: Tensor) -> Tensor:
        """`x` (B, C, H, W) to the same shape."""
        return self.block(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class MambaIRUNet(RestorationNet):
    """The real-denoising network; the output is added to the input."""

    def __init__(self, config: MambaIRUNetConfig) -> None:
        super().__init__(config)

        def block(width: int) -> nn.Module:
            return ChannelFirst(ResidualStateSpaceBlock(width, config, config.drop_path))

        self.body = UNetBody(config.channels, config.dim, config.blocks, config.refinement, block)
        self.last = nn.Conv2d(2 * config.dim, config.channels, 3, padding=1, bias=False)

    def restore(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to the same shape."""
        return self.last(self.body(x)) + x
