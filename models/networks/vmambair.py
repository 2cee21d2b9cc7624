"""VmambaIR: Visual State Space Model for Image Restoration (arXiv 2403.11423).

    image -> U-Net of OSS blocks (section 4.1, figure 2) -> tail

Tails: for x4 super-resolution two stages of convolution and pixel shuffle and a last convolution, added to the
nearest-neighbour enlarged input; for deraining one convolution, added to the input.

Shapes at x4: (B, 3, H, W) -> features (B, 2 dim, H, W) -> (B, 3, 4H, 4W), all values in 0..1.

Deviations: none in the networks. The input is padded to a multiple of 8 by reflection and the output is cropped back.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from models.base import RestorationNet
from models.colours import ColourPath
from models.designs.vmambair import VmambaIRConfig
from models.parts.layers import PixelShuffleStages
from models.parts.oss import OSSBlock
from models.parts.unet import UNetBody


class VmambaIR(RestorationNet):
    """The three releases and all ablations, by configuration."""

    def __init__(self, config: VmambaIRConfig) -> None:
        super().__init__(config)
        self.body = UNetBody(config.channels, config.dim, config.blocks, config.refinement, lambda width: OSSBlock(width, config))
        self.upsample = PixelShuffleStages(2 * config.dim, config.scale) if config.scale > 1 else nn.Identity()
        self.last = nn.Conv2d(2 * config.dim, config.channels, 3, padding=1, bias=config.scale > 1)

    def colour_path(self) -> ColourPath:
        """Return the layers that the input's colours pass: those at full resolution, by the skip connection to the last decoder."""
        if self.scale == 1:
            return ColourPath(self.last, adds="input")
        body = self.body
        ends = tuple(end for blocks in (body.encoder[0], body.decoder[-1], body.refinement) for block in blocks for end in block.ends)
        # The decoder is given what comes from below on its first `dim` channels, and the skip connection behind them.
        below, place = body.up[-1].conv, self.config.dim
        return ColourPath(self.last, adds="nearest", first=body.stem, silenced=(below, *ends), place=place, enlarging=self.upsample.stages)

    def restore(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C, scale*H, scale*W)."""
        skip = F.interpolate(x, scale_factor=self.scale, mode="nearest") if self.scale > 1 else x
        return self.last(self.upsample(self.body(x))) + skip
