"""Window attention, and the layer of a window attention and a scan that MambaIRv2 and T-PMambaSR share.

Attention in windows with relative positions and shifted windows is Swin's (arXiv 2103.14030), as SwinIR uses it (arXiv 2108.10257).
Features are (B, H, W, C); H and W are multiples of the window.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor, nn

from models.base import Block

APART = -100.0  # added to the score of pixels that are no neighbours but for the shift
FIRST_SCALE = 1e-4  # of the scales on a layer's shortcuts


def position_index(side: int) -> Tensor:
    """Return which row of the bias table belongs to each pair of pixels of a window: (side**2, side**2)."""
    row, column = torch.arange(side**2) // side, torch.arange(side**2) % side
    down, right = row[:, None] - row, column[:, None] - column
    return (down + side - 1) * (2 * side - 1) + right + side - 1


@cache
def shift_mask(height: int, width: int, side: int, device: str) -> Tensor:
    """Return what is added to the scores of each window where the map was rolled by half a window: (windows, side**2, side**2)."""

    def zones(length: int) -> Tensor:
        place = torch.arange(length, device=device)
        return (place >= length - side).int() + (place >= length - side // 2).int()

    zone = 3 * zones(height)[:, None] + zones(width)
    windows = cut_windows(zone[None, ..., None], side).squeeze(-1)
    return torch.where(windows[:, None] == windows[..., None], 0.0, APART)


def cut_windows(x: Tensor, side: int) -> Tensor:
    """Cut `x` (B, H, W, C) into windows row by row: (B * windows, side**2, C)."""
    return x.unflatten(2, (-1, side)).unflatten(1, (-1, side)).transpose(2, 3).flatten(3, 4).flatten(0, 2)


def join_windows(windows: Tensor, side: int, height: int, width: int) -> Tensor:
    """Put `windows` (B * windows, side**2, C) back: (B, H, W, C)."""
    x = windows.unflatten(1, (side, side)).unflatten(0, (-1, height // side, width // side))
    return x.transpose(2, 3).flatten(3, 4).flatten(1, 2)


class WindowAttention(nn.Module):
    """Attention in windows of `side` x `side` pixels, which are shifted by half a side if asked for."""

    index: Tensor

    def __init__(self, dim: int, *, heads: int, side: int, shifted: bool) -> None:
        super().__init__()
        self.heads, self.side, self.shift = heads, side, side // 2 if shifted else 0
        self.qkv = nn.Linear(dim, 3 * dim)
        self.bias_table = nn.Parameter(torch.empty((2 * side - 1) ** 2, heads))
        self.project = nn.Linear(dim, dim)
        self.register_buffer("index", position_index(side), persistent=False)
        nn.init.trunc_normal_(self.bias_table, std=0.02)

    def forward(self, x: Tensor) -> Tensor:
        """`x` (B, H, W, C) to the same shape."""
        height, width = x.shape[1:3]
        qkv = self.qkv(x)
        if self.shift:
            qkv = qkv.roll((-self.shift, -self.shift), dims=(1, 2))
        windows = cut_windows(qkv, self.side).unflatten(-1, (3, self.heads, -1))
        q, k, v = windows.permute(2, 0, 3, 1, 4).unbind(0)  # each (windows, heads, side**2, C / heads)
        scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-2, -1) + self.bias_table[self.index].permute(2, 0, 1)
        if self.shift:
            mask = shift_mask(height, width, self.side, str(x.device))
            scores = (scores.unflatten(0, (-1, len(mask))) + mask[:, None]).flatten(0, 1)
        mixed = self.project((scores.softmax(-1) @ v).transpose(1, 2).flatten(2))
        joined = join_windows(mixed, self.side, height, width)
        return joined.roll((self.shift, self.shift), dims=(1, 2)) if self.shift else joined


class AttentionScanLayer(Block):
    """Window attention and a scan, each with a feed-forward, residuals and a scaled shortcut around both.

    x = x + attention(LN(x));  x = x + feed-forward(LN(x));  x = x + scale * what came in; then the same with the scan.
    """

    def __init__(
        self, dim: int, *, heads: int, side: int, shifted: bool, scan: Callable[[], nn.Module], feed_forward: Callable[[], nn.Module]
    ) -> None:
        super().__init__()
        self.norm1, self.norm2, self.norm3, self.norm4 = (nn.LayerNorm(dim) for _ in range(4))
        self.attention = WindowAttention(dim, heads=heads, side=side, shifted=shifted)
        self.scan = scan()
        self.feed_forward1, self.feed_forward2 = feed_forward(), feed_forward()
        self.scale1, self.scale2 = (nn.Parameter(torch.full((dim,), FIRST_SCALE)) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        """`x` (B, H, W, C) to the same shape."""
        shortcut = x
        x = x + self.attention(self.norm1(x))
        x = x + self.feed_forward1(self.norm2(x))
        x = shortcut = x + shortcut * self.scale1
        x = x + self.scan(self.norm3(x))
        x = x + self.feed_forward2(self.norm4(x))
        return x + shortcut * self.scale2


class GatedProjection(nn.Module):
    """A 1x1 convolution, times the sigmoid of a 3x3 depthwise convolution of it: what enters the scans of both designs."""

    def __init__(self, dim: int, width: int) -> None:
        super().__init__()
        self.project = nn.Conv2d(dim, width, 1)
        self.position = nn.Conv2d(width, width, 3, padding=1, groups=width)

    def forward(self, x: Tensor) -> Tensor:
        """`x` (B, H, W, C) to (B, width, H, W)."""
        u = self.project(x.permute(0, 3, 1, 2))
        return u * torch.sigmoid(self.position(u))
