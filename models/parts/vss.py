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

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.base import Block
from models.designs.mambair import MambaIRConfig, MambaIRUNetConfig
from models.parts.layers import ChannelAttention, Mlp, StochasticDepth
from models.parts.s6 import PlanarS6

MLP_RATIO = 2.0


class VisionStateSpace(nn.Module):
    """VSSM (section 3.4) with the 2D selective scan (section 3.5)."""

    def __init__(self, dim: int, *, expand: float, d_state: int, directions: int) -> None:
        super().__init__()
        width = int(expand * dim)
        self.in_proj = nn.Linear(dim, 2 * width, bias=False)
        self.depthwise = nn.Conv2d(width, width, 3, padding=1, groups=width)
        self.planar = PlanarS6(width, directions=directions, d_state=d_state, dt_rank=math.ceil(dim / 16))
        self.planar_norm = nn.LayerNorm(width)
        self.out_proj = nn.Linear(width, dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """`x` (B, H, W, C) to the same shape."""
        u, v = self.in_proj(x).chunk(2, dim=-1)
        u = F.silu(self.depthwise(u.permute(0, 3, 1, 2)))
        scanned = self.planar(u).permute(0, 2, 3, 1)
        return self.out_proj(self.planar_norm(scanned) * F.silu(v))


def _bottleneck(dim: int, kind: str) -> nn.Sequential:
    """The convolutions of equation 6, by kind: the classic one, and the three published generations of the light model."""
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
    """RSSB (equations 5 and 6); stochastic depth acts on the scan branch alone, as in the authors' code."""

    def __init__(self, dim: int, config: MambaIRConfig | MambaIRUNetConfig, drop_path: float) -> None:
        super().__init__()
        self.scan_norm = nn.LayerNorm(dim)
        self.scan = VisionStateSpace(dim, expand=config.expand, d_state=config.d_state, directions=config.directions)
        self.scan_skip = nn.Parameter(torch.ones(dim))
        self.drop = StochasticDepth(drop_path)
        self.has_local = config.local != "none"
        if self.has_local:
            self.local_norm = nn.LayerNorm(dim)
            self.local = LocalEnhancement(dim, config)
            self.local_skip = nn.Parameter(torch.ones(dim))

    def forward(self, x: Tensor) -> Tensor:
        """`x` (B, H, W, C) to the same shape."""
        x = x * self.scan_skip + self.drop(self.scan(self.scan_norm(x)))
        if self.has_local:
            x = x * self.local_skip + self.local(self.local_norm(x))
        return x
