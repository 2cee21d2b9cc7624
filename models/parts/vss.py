"""The residual state-space block (RSSB) of MambaIR (arXiv 2402.15648, sections 3.3 to 3.5).

    z = s * x + VSSM(LN(x))                (equation 5)
    x = s' * z + CA(Conv(LN(z)))           (equation 6)

VSSM, on width d = int(expand * dim):
    u, v = split(Linear(x));  u = SiLU(DWConv(u))
    Linear(LN(sum over directions of S6(u)) * SiLU(v))      (equation 7)

Features are (B, H, W, C), so that the linear layers and norms need no permutation.

Ablations (Table 1): "remove Conv" keeps the channel attention alone in equation 6; "remove Conv+CA" drops equation 6;
"replace with MLP" puts an MLP there. Table 2: one, two or four directions.
Deviations: the paper gives no ratio for the MLP; 2 is taken, that of SwinIR, whose settings the paper follows.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.base import Block
from models.designs.mambair import MambaIRConfig, MambaIRUNetConfig
from models.parts.around import find_around
from models.parts.feedforward import Mlp
from models.parts.layers import ChannelAttention, StochasticDepth
from models.parts.s6 import PathS6, PlanarS6
from models.scan.paths import PATHS, RASTER

MLP_RATIO = 2.0


class VisionStateSpace(nn.Module):
    """VSSM (section 3.4) with the 2D selective scan (section 3.5); `planar` makes the scan of a width and a rank of delta."""

    def __init__(self, dim: int, *, expand: float, planar: Callable[[int, int], nn.Module]) -> None:
        super().__init__()
        width = int(expand * dim)
        self.in_proj = nn.Linear(dim, 2 * width, bias=False)
        self.depthwise = nn.Conv2d(width, width, 3, padding=1, groups=width)
        self.planar = planar(width, math.ceil(dim / 16))
        self.planar_norm = nn.LayerNorm(width)
        self.out_proj = nn.Linear(width, dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """`x` (B, H, W, C) to the same shape."""
        projected = self.in_proj(x)
        u, v = projected.chunk(2, dim=-1)
        around = find_around(projected, self.planar, (self.depthwise, self.planar_norm))
        if around is not None:
            u = around.depthwise_silu(u, self.depthwise.weight, self.depthwise.bias).permute(0, 3, 1, 2)
            scanned = self.planar(u).permute(0, 2, 3, 1).contiguous()
            norm = self.planar_norm
            return self.out_proj(around.gated_norm(scanned, v, norm.weight, norm.bias, norm.eps))
        u = F.silu(self.depthwise(u.permute(0, 3, 1, 2)))
        scanned = self.planar(u).permute(0, 2, 3, 1)
        return self.out_proj(self.planar_norm(scanned) * F.silu(v))


def _bottleneck(dim: int, kind: str) -> nn.Sequential:
    """Make the convolutions of equation 6, by kind: the classic one, and the three published generations of the light model."""
    third, half, sixth = max(1, dim // 3), max(1, dim // 2), max(1, dim // 6)
    if kind == "classic":
        return nn.Sequential(nn.Conv2d(dim, third, 3, padding=1), nn.GELU(), nn.Conv2d(third, dim, 3, padding=1))
    if kind == "compress6":  # light, generation 2
        return nn.Sequential(nn.Conv2d(dim, sixth, 3, padding=1), nn.GELU(), nn.Conv2d(sixth, dim, 3, padding=1))
    if kind == "depthwise":  # light, generation 1
        return nn.Sequential(nn.Conv2d(dim, dim, 3, padding=1, groups=dim))
    if kind == "dilated":  # light, generation 3: the current one
        return nn.Sequential(
            nn.Conv2d(dim, half, 1),
            nn.Conv2d(half, half, 3, padding=1, groups=half),
            nn.GELU(),
            nn.Conv2d(half, dim, 1),
            nn.Conv2d(dim, dim, 3, padding=2, dilation=2, groups=dim),
        )
    raise ValueError(f"no bottleneck is called {kind!r}; known: classic, compress6, depthwise, dilated.")


class LocalEnhancement(nn.Module):
    """What follows the scan in a block: convolution and channel attention, or what an ablation puts there."""

    def __init__(self, dim: int, config: MambaIRConfig | MambaIRUNetConfig) -> None:
        super().__init__()
        self.convs = _bottleneck(dim, config.bottleneck) if config.local == "conv+ca" else nn.Identity()
        self.attention = ChannelAttention(dim) if config.local in ("conv+ca", "ca") else nn.Identity()
        self.mlp = Mlp(dim, MLP_RATIO) if config.local == "mlp" else None

    def forward(self, x: Tensor) -> Tensor:
        """`x` (B, H, W, C) to the same shape."""
        if self.mlp is not None:
            return self.mlp(x)
        return self.attention(self.convs(x.permute(0, 3, 1, 2))).permute(0, 2, 3, 1)


class ResidualStateSpaceBlock(Block):
    """RSSB (equations 5 and 6): `scan`, then `local` if there is one.

    Stochastic depth acts on the scan branch alone, as in the authors' code.
    """

    def __init__(self, dim: int, scan: nn.Module, local: nn.Module | None, drop_path: float) -> None:
        super().__init__()
        self.scan_norm = nn.LayerNorm(dim)
        self.scan = scan
        self.scan_skip = nn.Parameter(torch.ones(dim))
        self.drop = StochasticDepth(drop_path)
        self.has_local = local is not None
        if local is not None:
            self.local_norm = nn.LayerNorm(dim)
            self.local = local
            self.local_skip = nn.Parameter(torch.ones(dim))

    def forward(self, x: Tensor) -> Tensor:
        """`x` (B, H, W, C) to the same shape."""
        x = torch.addcmul(self.drop(self.scan(self.scan_norm(x))), x, self.scan_skip)
        if self.has_local:
            x = torch.addcmul(self.local(self.local_norm(x)), x, self.local_skip)
        return x


def mambair_block(dim: int, config: MambaIRConfig | MambaIRUNetConfig, drop_path: float) -> ResidualStateSpaceBlock:
    """Make the block that a configuration of MambaIR describes, of `dim` channels."""

    def planar(width: int, dt_rank: int) -> nn.Module:
        if config.paths is None and config.merge == "sum":
            return PlanarS6(width, directions=config.directions, d_state=config.d_state, dt_rank=dt_rank)
        paths = RASTER[: config.directions] if config.paths is None else PATHS[config.paths]
        return PathS6(width, paths=paths, merge=config.merge, d_state=config.d_state, dt_rank=dt_rank)

    scan = VisionStateSpace(dim, expand=config.expand, planar=planar)
    return ResidualStateSpaceBlock(dim, scan, LocalEnhancement(dim, config) if config.local != "none" else None, drop_path)
