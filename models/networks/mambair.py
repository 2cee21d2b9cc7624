"""MambaIR: A Simple Baseline for Image Restoration with State-Space Model (arXiv 2402.15648, ECCV 2024).

The outer network is `models.parts.residual`, its blocks `models.parts.vss`. `MambaIRUNet` is the authors' network for real denoising: the
same blocks in the U-Net of `models.parts.unet`.

Deviations: none in the networks. MambaIR takes any size; the U-Net pads to a multiple of 8 by reflection.
"""

from __future__ import annotations

from itertools import islice

from torch import Tensor, nn

from models.base import RestorationNet
from models.colours import ColourPath
from models.designs.mambair import MambaIRConfig, MambaIRUNetConfig
from models.parts.layers import ChannelFirst, rising_rates
from models.parts.residual import ResidualNet
from models.parts.unet import UNetBody
from models.parts.vss import mambair_block


class MambaIR(ResidualNet):
    """Classic and light super-resolution, colour denoising, JPEG artefact reduction, and all ablations."""

    def __init__(self, config: MambaIRConfig) -> None:
        rates = iter(rising_rates(config.drop_path, sum(config.depths)))
        groups = (list(islice(rates, depth)) for depth in config.depths)
        super().__init__(config, (nn.Sequential(*(mambair_block(config.dim, config, rate) for rate in group)) for group in groups))


class MambaIRUNet(RestorationNet):
    """The real-denoising network; the output is added to the input."""

    def __init__(self, config: MambaIRUNetConfig) -> None:
        super().__init__(config)

        def block(width: int) -> nn.Module:
            return ChannelFirst(mambair_block(width, config, config.drop_path))

        self.body = UNetBody(config.channels, config.dim, config.blocks, config.refinement, block)
        self.last = nn.Conv2d(2 * config.dim, config.channels, 3, padding=1, bias=False)

    def colour_path(self) -> ColourPath:
        """Return the layers that the input's colours pass: none, for the output has the input added."""
        return ColourPath(self.last, adds="input")

    def restore(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to the same shape."""
        return self.last(self.body(x)) + x
