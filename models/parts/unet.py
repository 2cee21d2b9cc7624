"""The four-level U-Net that VmambaIR (section 4.1) and MambaIR's real-denoising network share.

The layout is Restormer's (arXiv 2111.09881, figure 2): widths dim, 2 dim, 4 dim, 8 dim; strided down- and
up-sampling by pixel (un)shuffle; skip connections by concatenation, reduced by a 1x1 convolution at levels 3 and 2
and left at 2 dim channels at level 1; refinement blocks at full resolution. Convolutions have no bias.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.base import RestorationNet
from models.colours import ColourPath
from models.design import Config

BlockFactory = Callable[[int], nn.Module]  # from a width to a block on (B, width, H, W)


class Down(nn.Module):
    """Halves the resolution and doubles the channels: 3x3 convolution to C/2, pixel unshuffle."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(dim, dim // 2, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, 2C, H/2, W/2)."""
        return F.pixel_unshuffle(self.conv(x), 2)


class Up(nn.Module):
    """Doubles the resolution and halves the channels: 3x3 convolution to 2C, pixel shuffle."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(dim, dim * 2, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C/2, 2H, 2W)."""
        return F.pixel_shuffle(self.conv(x), 2)


class UNetBody(nn.Module):
    """Features of an image: (B, channels, H, W) to (B, 2 dim, H, W); H and W are multiples of 8.

    Lists run from the finest level to the coarsest in `encoder` and `down`, and back in `up`, `reduce`, `decoder`.
    """

    def __init__(self, channels: int, dim: int, blocks: Sequence[int], refinement: int, block: BlockFactory) -> None:
        super().__init__()
        widths = [dim, 2 * dim, 4 * dim, 8 * dim]

        def stage(width: int, count: int) -> nn.Sequential:
            return nn.Sequential(*(block(width) for _ in range(count)))

        self.stem = nn.Conv2d(channels, dim, 3, padding=1, bias=False)
        self.encoder = nn.ModuleList(stage(width, count) for width, count in zip(widths[:3], blocks[:3], strict=True))
        self.down = nn.ModuleList(Down(width) for width in widths[:3])
        self.latent = stage(widths[3], blocks[3])
        self.up = nn.ModuleList(Up(width) for width in reversed(widths[1:]))
        self.reduce = nn.ModuleList(nn.Conv2d(2 * width, width, 1, bias=False) for width in (widths[2], widths[1]))
        self.decoder = nn.ModuleList(
            stage(width, count) for width, count in zip((widths[2], widths[1], widths[1]), reversed(blocks[:3]), strict=True)
        )
        self.refinement = stage(widths[1], refinement)

    def forward(self, image: Tensor) -> Tensor:
        """Features (B, 2 dim, H, W) of `image` (B, channels, H, W)."""
        x, skips = self.stem(image), []
        for stage, down in zip(self.encoder, self.down, strict=True):
            x = stage(x)
            skips.append(x)
            x = down(x)
        x = self.latent(x)
        for level, (up, stage) in enumerate(zip(self.up, self.decoder, strict=True)):
            x = torch.cat([up(x), skips.pop()], dim=1)
            if level < len(self.reduce):  # level 1 keeps its 2 dim channels
                x = self.reduce[level](x)
            x = stage(x)
        return self.refinement(x)


class ResidualUNet(RestorationNet):
    """A U-Net whose output is added to its input, for targets of the input's size."""

    def __init__(self, config: Config, block: BlockFactory) -> None:
        super().__init__(config)
        self.body = UNetBody(config.channels, config.dim, config.blocks, config.refinement, block)
        self.last = nn.Conv2d(2 * config.dim, config.channels, 3, padding=1, bias=False)

    def colour_path(self) -> ColourPath:
        """Return the layers that the input's colours pass: none, for the output has the input added."""
        return ColourPath(self.last, adds="input")

    def restore(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to the same shape."""
        return self.last(self.body(x)) + x
