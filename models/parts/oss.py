"""The OSS block of VmambaIR (arXiv 2403.11423, sections 4.2 and 4.3): omni selective scan, then the EFFN.

    x = x + OSS(LN(x));  x = x + EFFN(LN(x))

OSS, on width d = dim (the releases use an expansion of 1):
    u, z = split(in_proj(x));  u = SiLU(DWConv(u))
    y = LN(sum over four planar directions of S6(u)) * SiLU(z)
    c = LN(S6 over the channels of mean(y), in both directions, summed)      one value a channel
    y = y * c + y   (the paper's residual fusion, section 4.3)   or   y + c   (the released deraining network)
    out_proj(y)

Deviations: the paper draws the norm of the planar branch nowhere; it stands where the released networks have it.
The paper speaks of one OSS module; the releases differ in `channel_width` (1, 2 or 4 features a channel), in the
initialisation of the channel scan and in the fusion. All are fields of the configuration.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.base import Block
from models.designs.vmambair import VmambaIRConfig
from models.parts.feedforward import GatedFeedForward
from models.parts.layers import ChannelNorm
from models.parts.s6 import DirectionalS6, PlanarS6

CHANNEL_DT_RANK = 6  # of the releases whose channel scan has its own rank (width 2 or 4)


class LinearProjection(nn.Linear):
    """A linear layer over the channels of (B, C, H, W), by reshaping to tokens and back (VmambaIR-V4)."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C', H, W)."""
        tokens = x.flatten(2).transpose(1, 2)
        return super().forward(tokens).transpose(1, 2).reshape(x.shape[0], -1, *x.shape[2:])


class ChannelScan(nn.Module):
    """The channel directions of OSS: a bidirectional S6 over the d pooled channels (section 4.3).

    With `width` 1 the pooled values are scanned as they are and the rank of delta is that of the planar scan; wider
    sequences are lifted to `width` features by a 1x1 convolution and brought back by another.
    """

    def __init__(self, dim: int, *, width: int, d_state: int) -> None:
        super().__init__()
        lifted = width > 1
        self.lift = nn.Conv2d(1, width, 1) if lifted else nn.Identity()
        self.lower = nn.Conv2d(width, 1, 1) if lifted else nn.Identity()
        rank = CHANNEL_DT_RANK if lifted else math.ceil(dim / 16)
        self.s6 = DirectionalS6(width, directions=2, d_state=d_state, dt_rank=rank, init="normal" if lifted else "s4d")
        self.norm = ChannelNorm(dim)

    def forward(self, y: Tensor) -> Tensor:
        """Make a gate (B, d, 1, 1) from the features `y` (B, d, H, W)."""
        pooled = F.adaptive_avg_pool2d(y, 1).transpose(1, 2)  # (B, 1, d, 1)
        sequence = self.lift(pooled).squeeze(-1)  # (B, width, d)
        forwards, backwards = self.s6(torch.stack([sequence, sequence.flip(-1)], dim=1)).unbind(1)
        scanned = (forwards + backwards.flip(-1))[..., None]  # (B, width, d, 1)
        return self.norm(self.lower(scanned).squeeze(1)[..., None])  # (B, d, 1, 1)


class OmniSelectiveScan(nn.Module):
    """The OSS module: planar selective scan, gate, channel scan, fusion."""

    def __init__(self, dim: int, config: VmambaIRConfig) -> None:
        super().__init__()
        projection = LinearProjection if config.projection == "linear" else lambda i, o: nn.Conv2d(i, o, 1)
        self.fusion = config.channel_fusion
        self.in_proj = projection(dim, 2 * dim)
        self.depthwise = nn.Conv2d(dim, dim, 3, padding=1, groups=dim)
        directions = 1 if config.scan == "one-way" else 4
        self.planar = PlanarS6(dim, directions=directions, d_state=config.d_state, dt_rank=math.ceil(dim / 16))
        self.planar_norm = ChannelNorm(dim)
        self.channel = ChannelScan(dim, width=config.channel_width, d_state=config.d_state) if config.scan == "omni" else None
        self.out_proj = projection(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        """`x` (B, C, H, W) to the same shape."""
        u, z = self.in_proj(x).chunk(2, dim=1)
        u = F.silu(self.depthwise(u))
        y = self.planar_norm(self.planar(u)) * F.silu(z)
        if self.channel is not None:
            c = self.channel(y)
            y = y * c + y if self.fusion == "multiply" else y + c
        return self.out_proj(y)


class OSSBlock(Block):
    """OSS and EFFN, each behind a norm and with a skip connection (figure 2)."""

    def __init__(self, dim: int, config: VmambaIRConfig) -> None:
        super().__init__()
        self.oss_norm = ChannelNorm(dim)
        self.oss = OmniSelectiveScan(dim, config)
        self.ffn_norm = ChannelNorm(dim) if config.ffn == "effn" else None
        self.ffn = GatedFeedForward(dim, config.ffn_expansion) if config.ffn == "effn" else None

    @property
    def ends(self) -> tuple[nn.Module, ...]:
        """The layers whose outputs are added to what the block is given."""
        return (self.oss.out_proj,) if self.ffn is None else (self.oss.out_proj, self.ffn.project_out)

    def forward(self, x: Tensor) -> Tensor:
        """`x` (B, C, H, W) to the same shape."""
        x = x + self.oss(self.oss_norm(x))
        if self.ffn is not None:
            x = x + self.ffn(self.ffn_norm(x))
        return x
