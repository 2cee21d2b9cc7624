"""T-PMambaSR (arXiv 2511.03232, IEEE TIP 2026): light super-resolution.

The outer network is `models.parts.residual`, its layers `models.parts.windows`: MambaIRv2-light with its routed scan replaced by two scans
of windows of 16 and 32 pixels, each on half of the channels. A group ends in a scan of the whole map along four paths, one for each quarter
of the channels, and a branch of convolutions carries the high frequencies of what entered the group around it.

Within a block the first layer scans the windows row by row and the second column by column, in every other block the other way round; one
of the two paths is reversed, by turns, too.

Deviations: none. As released, the global scan joins its quarters in another order than it cut them, and the gate of the high frequencies
has no sigmoid.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.base import Block, mirror_to_multiple
from models.designs.tpmambasr import SCAN_WINDOWS, TPMambaSRConfig
from models.parts.feedforward import GatedConvFeedForward
from models.parts.residual import ResidualNet
from models.parts.s6 import PathS6
from models.parts.windows import FIRST_SCALE, AttentionScanLayer, GatedProjection, position_index
from models.scan.paths import RASTER, Path

JOINED = (0, 2, 1, 3)  # the order in which the global scan's quarters are joined
SQUEEZE = 6  # of the gate of the high frequencies


class GroupedScan(nn.Module):
    """Scans of equal parts of the channels, each along a path of its own."""

    def __init__(
        self, config: TPMambaSRConfig, paths: tuple[Path, ...], *, rank_divisor: int, multiple: int, joined: tuple[int, ...]
    ) -> None:
        super().__init__()
        width = int(config.dim * config.expand)
        rank = math.ceil(width // len(paths) / rank_divisor)
        self.enter = GatedProjection(config.dim, width)
        self.s6 = PathS6(width, paths=paths, merge="groups", d_state=config.d_state, dt_rank=rank)
        self.norm = nn.LayerNorm(width)
        self.leave = nn.Linear(width, config.dim)
        self.multiple, self.joined = multiple, joined

    def forward(self, x: Tensor) -> Tensor:
        """`x` (B, H, W, C) to the same shape."""
        height, width = x.shape[1:3]
        scanned = self.s6(mirror_to_multiple(self.enter(x), self.multiple))[..., :height, :width]
        parts = scanned.chunk(len(self.joined), dim=1)
        together = torch.cat([parts[part] for part in self.joined], dim=1) if self.joined != tuple(sorted(self.joined)) else scanned
        return self.leave(self.norm(together.permute(0, 2, 3, 1)))


def window_paths(block: int, *, second: bool) -> tuple[Path, Path]:
    """Return the two paths of a layer: by rows or by columns, and which of the two is reversed."""
    by_columns, odd = (block % 2 == 0) == second, block % 2 == 1
    small, large = SCAN_WINDOWS
    return (
        Path("windows", small, transposed=by_columns, reverse=odd),
        Path("windows", large, transposed=by_columns, reverse=not odd),
    )


def raster_paths(block: int, *, second: bool) -> tuple[Path, Path]:
    """Return the same without windows: rows or columns of the whole map."""
    return tuple(Path("rows", transposed=path.transposed, reverse=path.reverse) for path in window_paths(block, second=second))


class TwoLayers(nn.Module):
    """A block: a layer, and another with shifted windows of the attention."""

    def __init__(self, config: TPMambaSRConfig, heads: int, number: int) -> None:
        super().__init__()
        find, multiple = (window_paths, SCAN_WINDOWS[-1]) if config.scan == "windows" else (raster_paths, 1)

        def layer(*, second: bool) -> AttentionScanLayer:
            """Make one of the two layers; the second one shifts its windows."""
            paths = find(number, second=second)
            return AttentionScanLayer(
                config.dim,
                heads=heads,
                side=config.window,
                shifted=second,
                scan=lambda: GroupedScan(config, paths, rank_divisor=8, multiple=multiple, joined=(0, 1)),
                feed_forward=lambda: GatedConvFeedForward(config.dim, int(config.dim * config.expand)),
            )

        self.first, self.second = layer(second=False), layer(second=True)

    def forward(self, x: Tensor) -> Tensor:
        """`x` (B, H, W, C) to the same shape."""
        return self.second(self.first(x))


class GlobalLayer(Block):
    """The scan of the whole map at the end of a group, and a feed-forward."""

    def __init__(self, config: TPMambaSRConfig) -> None:
        super().__init__()
        self.norm, self.feed_norm = nn.LayerNorm(config.dim), nn.LayerNorm(config.dim)
        self.scan = GroupedScan(config, (RASTER[0], RASTER[2], RASTER[1], RASTER[3]), rank_divisor=16, multiple=1, joined=JOINED)
        self.feed_forward = GatedConvFeedForward(config.dim, int(config.dim * config.expand))
        self.scale = nn.Parameter(torch.full((config.dim,), FIRST_SCALE))

    def forward(self, x: Tensor) -> Tensor:
        """`x` (B, H, W, C) to the same shape."""
        y = x + self.scan(self.norm(x))
        return y + self.feed_forward(self.feed_norm(y)) + x * self.scale


class SideBranch(nn.Module):
    """Convolutions around a group, one gated by the other; on (B, C, H, W)."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.enter = nn.Conv2d(dim, dim, 1)
        self.near = nn.Conv2d(dim, dim, 3, padding=1, groups=dim)
        self.far = nn.Conv2d(dim, dim, 5, padding=2, groups=dim)
        self.leave = nn.Conv2d(dim, dim, 1)

    def forward(self, x: Tensor) -> Tensor:
        """`x` (B, C, H, W) to the same shape."""
        entered = self.enter(x)
        return self.leave(self.near(entered) * F.gelu(self.far(entered)))


def high_frequencies(x: Tensor) -> Tensor:
    """Take from `x` (B, C, H, W) what is left of it at half the resolution."""
    low = F.interpolate(F.avg_pool2d(x, 2), size=x.shape[2:], mode="bilinear", align_corners=True)
    return x - low


class HighFrequencyMerge(nn.Module):
    """Adds the high frequencies of the side branch and of the group's end to the latter, gated by channel; on (B, C, H, W)."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.enter = nn.Conv2d(dim, dim, 1)
        self.sharpen = nn.Conv2d(dim, dim, 3, padding=1, groups=dim)
        self.fuse = nn.Conv2d(2 * dim, dim, 1)
        self.leave = nn.Conv2d(dim, dim, 1)
        hidden = dim // SQUEEZE
        self.gate = nn.Sequential(nn.Conv2d(dim, hidden, 1), nn.BatchNorm2d(hidden), nn.GELU(), nn.Conv2d(hidden, dim, 1))

    def forward(self, side: Tensor, end: Tensor) -> Tensor:
        """Merge `side` and `end`, both (B, C, H, W)."""
        both = torch.cat([self.sharpen(high_frequencies(side)), high_frequencies(self.enter(end))], dim=1)
        return self.leave(end + self.gate(F.adaptive_avg_pool2d(end, 1)) * self.fuse(both))


class GroupBody(nn.Module):
    """The blocks of a group, its global layer, and the branch around them; on (B, H, W, C)."""

    def __init__(self, config: TPMambaSRConfig, depth: int, heads: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(*(TwoLayers(config, heads, number) for number in range(depth)), GlobalLayer(config))
        self.side, self.merge = (SideBranch(config.dim), HighFrequencyMerge(config.dim)) if config.high_frequencies else (None, None)

    def forward(self, x: Tensor) -> Tensor:
        """`x` (B, H, W, C) to the same shape."""
        end = self.layers(x)
        if self.side is None:
            return end
        return self.merge(self.side(x.permute(0, 3, 1, 2)), end.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)


class TPMambaSR(ResidualNet):
    """Light super-resolution, and the ablations."""

    window_index: Tensor

    def __init__(self, config: TPMambaSRConfig) -> None:
        super().__init__(config, (GroupBody(config, depth, heads) for depth, heads in zip(config.depths, config.heads, strict=True)))
        self.register_buffer("window_index", position_index(config.window))  # the authors' files hold it

    def pad(self, x: Tensor) -> Tensor:
        """Mirror `x` to multiples of the attention's window."""
        return mirror_to_multiple(x, self.size_multiple)
