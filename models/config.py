"""Typed configurations of the designs: what a network is, without torch.

Every ablation of the catalogue is one changed field of one of these classes. `narrowed` gives the same design at
a smaller width and depth, for tests and for the quick budget.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

Local = Literal["conv+ca", "ca", "none", "mlp"]
Bottleneck = Literal["classic", "compress6", "depthwise", "dilated"]


def _divided(blocks: int, divisor: int) -> int:
    return max(1, round(blocks / divisor))


@dataclass(frozen=True)
class VmambaIRConfig:
    """VmambaIR (arXiv 2403.11423): a U-Net of omni selective scan (OSS) blocks."""

    scale: int
    blocks: tuple[int, int, int, int]  # per level, from the finest
    refinement: int  # blocks at full resolution after the decoder, on 2 * dim channels
    dim: int = 48
    d_state: int = 16
    ffn_expansion: float = 2.66
    scan: Literal["omni", "planar", "one-way"] = "omni"  # 4 planar + 2 channel directions; 4 planar; 1 planar
    channel_width: int = 1  # features per channel in the channel scan; 1 = the pooled value itself
    channel_fusion: Literal["multiply", "add"] = "multiply"  # y * c + y, or y + c
    ffn: Literal["effn", "none"] = "effn"
    projection: Literal["conv", "linear"] = "conv"  # 1x1 convolutions, or linear layers and reshapes
    channels: int = 3

    def narrowed(self, width: int, depth_divisor: int) -> VmambaIRConfig:
        """The same design with `dim = width` and block counts divided by `depth_divisor`."""
        blocks = tuple(_divided(b, depth_divisor) for b in self.blocks)
        return replace(self, dim=width, blocks=blocks, refinement=_divided(self.refinement, depth_divisor))


@dataclass(frozen=True)
class MambaIRConfig:
    """MambaIR (arXiv 2402.15648): residual groups of residual state-space blocks (RSSB)."""

    scale: int
    depths: tuple[int, ...]  # blocks per residual group
    dim: int
    upsampler: Literal["pixelshuffle", "pixelshuffledirect", "residual"]
    d_state: int = 16
    expand: float = 2.0
    directions: Literal[1, 2, 4] = 4
    local: Local = "conv+ca"  # what follows the scan in a block
    bottleneck: Bottleneck = "classic"  # shape of the convolutions in `local`
    drop_path: float = 0.1  # stochastic depth of the last block, rising linearly from 0
    channels: int = 3

    def narrowed(self, width: int, depth_divisor: int) -> MambaIRConfig:
        """The same design with `dim = width`, and groups and blocks divided by `depth_divisor`."""
        groups = self.depths[: _divided(len(self.depths), depth_divisor)]
        return replace(self, dim=width, depths=tuple(_divided(d, depth_divisor) for d in groups))


@dataclass(frozen=True)
class MambaIRUNetConfig:
    """MambaIR's network for real denoising: the blocks of MambaIR in a four-level U-Net."""

    blocks: tuple[int, int, int, int]
    refinement: int
    dim: int = 48
    d_state: int = 16
    expand: float = 1.5
    directions: Literal[1, 2, 4] = 4
    local: Local = "conv+ca"
    bottleneck: Bottleneck = "classic"
    drop_path: float = 0.0
    scale: int = 1
    channels: int = 3

    def narrowed(self, width: int, depth_divisor: int) -> MambaIRUNetConfig:
        """The same design with `dim = width` and block counts divided by `depth_divisor`."""
        blocks = tuple(_divided(b, depth_divisor) for b in self.blocks)
        return replace(self, dim=width, blocks=blocks, refinement=_divided(self.refinement, depth_divisor))


Config = VmambaIRConfig | MambaIRConfig | MambaIRUNetConfig
