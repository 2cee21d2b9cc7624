"""MaIR: A Locality- and Continuity-Preserving Mamba for Image Restoration (arXiv 2412.20066, CVPR 2025).

MambaIR's outer network and blocks (`models.parts.residual`, `models.parts.vss`) with two changes: the four sequences go along nested
stripes (`models.scan.paths.nested_stripes`), shifted by half a stripe in every other block, and a gate for each path and channel merges
them; an MLP follows the scan. `MaIRUNet` puts the blocks into the U-Net of `models.parts.unet`, with states that grow with the width.

Deviations: none in the networks. The paper shifts the stripes; the released U-Net does not.
"""

from __future__ import annotations

from itertools import islice

from torch import nn

from models.designs.mair import MaIRConfig, MaIRUNetConfig
from models.parts.feedforward import Mlp
from models.parts.layers import ChannelFirst, rising_rates
from models.parts.residual import ResidualNet
from models.parts.s6 import PathS6
from models.parts.unet import ResidualUNet
from models.parts.vss import ResidualStateSpaceBlock, VisionStateSpace
from models.scan.paths import nested_stripes


def _block(
    dim: int, config: MaIRConfig | MaIRUNetConfig, *, d_state: int, ratio: float, shifted: bool, drop_path: float
) -> ResidualStateSpaceBlock:
    paths = nested_stripes(config.stripe, config.stripe // 2 if shifted else 0)

    def scan(width: int, dt_rank: int) -> PathS6:
        return PathS6(width, paths=paths, merge=config.merge, d_state=d_state, dt_rank=dt_rank)

    return ResidualStateSpaceBlock(dim, VisionStateSpace(dim, expand=config.expand, planar=scan), Mlp(dim, ratio), drop_path)


class MaIR(ResidualNet):
    """Tiny, small and classic super-resolution, and colour denoising."""

    def __init__(self, config: MaIRConfig) -> None:
        rates = iter(rising_rates(config.drop_path, sum(config.depths)))

        def block(number: int, rate: float) -> ResidualStateSpaceBlock:
            shifted = config.shift and number % 2 == 1
            return _block(config.dim, config, d_state=config.d_state, ratio=config.mlp_ratio, shifted=shifted, drop_path=rate)

        groups = (list(islice(rates, depth)) for depth in config.depths)
        super().__init__(config, (nn.Sequential(*(block(*numbered) for numbered in enumerate(group))) for group in groups))


class MaIRUNet(ResidualUNet):
    """Real denoising, motion deblurring and dehazing; the output is added to the input."""

    def __init__(self, config: MaIRUNetConfig) -> None:
        def block(width: int) -> ChannelFirst:
            ratio = config.first_ratio if width == config.dim else config.mlp_ratio
            states = config.d_state * width // config.dim
            return ChannelFirst(_block(width, config, d_state=states, ratio=ratio, shifted=config.shift, drop_path=0.0))

        super().__init__(config, block)
