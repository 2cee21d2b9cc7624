"""MambaIR: A Simple Baseline for Image Restoration with State-Space Model (arXiv 2402.15648, ECCV 2024).

The outer network is `models.parts.residual`, its blocks `models.parts.vss`. `MambaIRUNet` is the authors' network for real denoising: the
same blocks in the U-Net of `models.parts.unet`.

Deviations: none in the networks. MambaIR takes any size; the U-Net pads to a multiple of 8 by reflection.
"""

from __future__ import annotations

from itertools import islice

from torch import nn

from models.designs.mambair import MambaIRConfig, MambaIRUNetConfig
from models.parts.layers import ChannelFirst, rising_rates
from models.parts.residual import ResidualNet
from models.parts.unet import ResidualUNet
from models.parts.vss import mambair_block


class MambaIR(ResidualNet):
    """Classic and light super-resolution, colour denoising, JPEG artefact reduction, and all ablations."""

    def __init__(self, config: MambaIRConfig) -> None:
        rates = iter(rising_rates(config.drop_path, sum(config.depths)))
        groups = (list(islice(rates, depth)) for depth in config.depths)
        super().__init__(config, (nn.Sequential(*(mambair_block(config.dim, config, rate) for rate in group)) for group in groups))


class MambaIRUNet(ResidualUNet):
    """The real-denoising network; the output is added to the input."""

    def __init__(self, config: MambaIRUNetConfig) -> None:
        def block(width: int) -> nn.Module:
            return ChannelFirst(mambair_block(width, config, config.drop_path))

        super().__init__(config, block)
