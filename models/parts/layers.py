"""Layers that designs share: normalisation over channels, stochastic depth, channel attention, tails.

Images are (B, C, H, W) unless a docstring says (B, H, W, C).
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class ChannelNorm(nn.LayerNorm):
    """Layer normalisation over the channels of (B, C, ...), per position (eps 1e-5)."""

    def forward(self, x: Tensor) -> Tensor:
        """Normalises `x` (B, C, ...) over C."""
        return super().forward(x.movedim(1, -1)).movedim(-1, 1)


class StochasticDepth(nn.Module):
    """Drops a residual branch of a whole sample with probability `rate` while training (arXiv 1603.09382).

    Which samples are kept is drawn from torch's generator, or told by `draws` (B,), uniform in 0..1: so training draws for a whole batch
    once, however many devices and passes share it (`depth_draws`).
    """

    draws: Tensor | None

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate
        self.draws = None

    def forward(self, x: Tensor) -> Tensor:
        """`x` (B, ...), each sample either zero or divided by the probability of being kept."""
        if self.rate == 0.0 or not self.training:
            return x
        keep = 1.0 - self.rate
        draws = torch.rand(x.shape[0], device=x.device) if self.draws is None else self.draws
        return x * (draws < keep).to(x.dtype).view(-1, *(1,) * (x.dim() - 1)) / keep


def rising_rates(last: float, blocks: int) -> list[float]:
    """Return the rates of stochastic depth of `blocks` blocks, rising linearly from 0 to `last`."""
    return [last * i / max(1, blocks - 1) for i in range(blocks)]


def depth_draws(network: nn.Module, draws: Tensor | None) -> int:
    """Tells each StochasticDepth of `network` its row of `draws` (layers, B), or none; returns how many layers there are."""
    layers = [module for module in network.modules() if isinstance(module, StochasticDepth) and module.rate > 0.0]
    for number, layer in enumerate(layers):
        layer.draws = None if draws is None else draws[number]
    return len(layers)


class ChannelAttention(nn.Module):
    """Channel attention of RCAN (arXiv 1807.02758, section 3.3): a gate in 0..1 per channel from its mean."""

    def __init__(self, dim: int, squeeze: int = 30) -> None:
        super().__init__()
        hidden = max(1, dim // squeeze)
        self.down = nn.Conv2d(dim, hidden, 1)
        self.up = nn.Conv2d(hidden, dim, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Gates `x` (B, C, H, W)."""
        mean = F.adaptive_avg_pool2d(x, 1)
        return x * torch.sigmoid(self.up(F.relu(self.down(mean))))


class ChannelFirst(nn.Module):
    """A block on (B, H, W, C) used on (B, C, H, W)."""

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        self.block = block

    def forward(self, x: Tensor) -> Tensor:
        """`x` (B, C, H, W) to the same shape."""
        return self.block(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class PixelShuffleStages(nn.Module):
    """Convolution and pixel shuffle until the scale is reached: x2 stages for powers of two, one x3 stage."""

    def __init__(self, dim: int, scale: int) -> None:
        super().__init__()
        factors = [3] if scale == 3 else [2] * int(math.log2(scale))
        if math.prod(factors) != scale:
            raise ValueError(f"pixel shuffle stages exist for the scales 1, 2, 3, 4 and 8, not for {scale}.")
        self.factors = factors
        self.convs = nn.ModuleList(nn.Conv2d(dim, dim * factor**2, 3, padding=1) for factor in factors)

    @property
    def stages(self) -> tuple[tuple[nn.Conv2d, int], ...]:
        """Each convolution with the factor of its shuffle."""
        return tuple(zip(self.convs, self.factors, strict=True))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C, scale*H, scale*W)."""
        for conv, factor in self.stages:
            x = F.pixel_shuffle(conv(x), factor)
        return x
