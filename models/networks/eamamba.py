"""EAMamba: Efficient All-Around Vision State Space Model for Image Restoration (arXiv 2506.22246, ICCV 2025).

    x = x + scan(LN(x));  x = x + feed-forward(LN(x))

The scan is MambaIR's (`models.parts.vss.VisionStateSpace`) with its channels in K groups, each along a path of its own: the four diagonal
paths, then rows and columns and their reverses. The blocks stand in the U-Net of `models.parts.unet`, or for super-resolution in groups.

Deviations: none in the networks. `morton` is Morton's order, which the released z-order is not.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.base import Block, RestorationNet
from models.colours import ColourPath
from models.designs.eamamba import EAMambaConfig, EAMambaSRConfig
from models.parts.feedforward import ConvChannelAttention, GatedFeedForward, PlainFeedForward, SimpleGate
from models.parts.layers import ChannelNorm, PixelShuffleStages
from models.parts.s6 import PathS6
from models.parts.unet import ResidualUNet
from models.parts.vss import VisionStateSpace
from models.scan.paths import RASTER, Path, views

SLOPE = 0.01  # of the LeakyReLU before the shuffle stages
FEED_FORWARDS = {"simple": SimpleGate, "gated": GatedFeedForward, "plain": PlainFeedForward, "attention": ConvChannelAttention}


class BiasFreeNorm(nn.Module):
    """Division by the deviation of the channels of (B, C, H, W), which keeps their mean; a weight and no bias."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(dim))

    def forward(self, x: Tensor) -> Tensor:
        """`x` (B, C, H, W) to the same shape."""
        return x * torch.rsqrt(x.var(1, keepdim=True, correction=0) + 1e-5) * self.weight[:, None, None]


def paths_of(config: EAMambaConfig | EAMambaSRConfig) -> tuple[Path, ...]:
    """Return the K paths of a configuration, in the order of its groups of channels."""
    if config.order == "all-around":
        return (*views("diagonal"), *RASTER)
    return (RASTER if config.order == "raster" else views(config.order))[: config.paths]


class EAMambaBlock(Block):
    """The block, on (B, C, H, W)."""

    def __init__(self, dim: int, config: EAMambaConfig | EAMambaSRConfig) -> None:
        super().__init__()
        norm = ChannelNorm if config.norm == "with-bias" else BiasFreeNorm

        def planar(width: int, dt_rank: int) -> PathS6:
            return PathS6(width, paths=paths_of(config), merge=config.merge, d_state=config.d_state, dt_rank=dt_rank)

        self.norm1 = norm(dim)
        self.scan = VisionStateSpace(dim, expand=config.expand, planar=planar)
        self.norm2 = norm(dim)
        self.ffn = FEED_FORWARDS[config.feed_forward](dim, config.ratio, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """`x` (B, C, H, W) to the same shape."""
        x = x + self.scan(self.norm1(x).permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        return x + self.ffn(self.norm2(x))


class EAMamba(ResidualUNet):
    """The U-Net; the output is added to the input."""

    def __init__(self, config: EAMambaConfig) -> None:
        super().__init__(config, lambda width: EAMambaBlock(width, config))


class Group(nn.Module):
    """Blocks, a convolution, and the skip connection; on (B, C, H, W)."""

    def __init__(self, config: EAMambaSRConfig, depth: int) -> None:
        super().__init__()
        self.blocks = nn.Sequential(*(EAMambaBlock(config.dim, config) for _ in range(depth)))
        self.conv = nn.Conv2d(config.dim, config.dim, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """`x` (B, C, H, W) to the same shape."""
        return self.conv(self.blocks(x)) + x


class EAMambaSR(RestorationNet):
    """Light super-resolution."""

    def __init__(self, config: EAMambaSRConfig) -> None:
        super().__init__(config)
        dim = config.dim
        self.shallow = nn.Conv2d(config.channels, dim, 3, padding=1, bias=False)
        self.groups = nn.Sequential(*(Group(config, depth) for depth in config.depths))
        self.last_norm = ChannelNorm(dim) if config.norm == "with-bias" else BiasFreeNorm(dim)
        self.deep = nn.Conv2d(dim, dim, 3, padding=1, bias=False)
        self.before = nn.Conv2d(dim, dim, 3, padding=1)
        self.upsample = PixelShuffleStages(dim, config.scale)
        self.last = nn.Conv2d(dim, config.channels, 3, padding=1, bias=False)

    def colour_path(self) -> ColourPath:
        """Return the layers that the input's colours pass: past the groups, by the skip connection around them."""
        first, stages = self.shallow, self.upsample.stages
        return ColourPath(self.last, first=first, silenced=(self.deep,), before=self.before, slope=SLOPE, enlarging=stages)

    def restore(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C, scale*H, scale*W)."""
        shallow = self.shallow(x)
        features = self.deep(self.last_norm(self.groups(shallow))) + shallow
        return self.last(self.upsample(F.leaky_relu(self.before(features), SLOPE)))
