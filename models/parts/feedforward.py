"""Feed-forwards: what mixes channels in a block.

| class | layout | used by |
|---|---|---|
| Mlp | channels last | MambaIR's ablation, MaIR |
| ConvFeedForward | channels last | MambaIRv2 |
| GatedConvFeedForward | channels last | MambaIRv2-light, T-PMambaSR |
| GatedFeedForward | channels first | VmambaIR, EAMamba's option, EVSSM |
| SimpleGate, PlainFeedForward, ConvChannelAttention | channels first | EAMamba |
| SpectralFeedForward | channels first | EVSSM |
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class GatedFeedForward(nn.Module):
    """EFFN of VmambaIR (section 4.2), after Restormer's gated depth-wise feed-forward (arXiv 2111.09881, section 3.2)."""

    def __init__(self, dim: int, expansion: float, *, bias: bool = False) -> None:
        super().__init__()
        hidden = int(dim * expansion)
        self.project_in = nn.Conv2d(dim, 2 * hidden, 1, bias=bias)
        self.depthwise = nn.Conv2d(2 * hidden, 2 * hidden, 3, padding=1, groups=2 * hidden, bias=bias)
        self.project_out = nn.Conv2d(hidden, dim, 1, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """`x` (B, C, H, W) to the same shape."""
        gate, value = self.depthwise(self.project_in(x)).chunk(2, dim=1)
        return self.project_out(F.gelu(gate) * value)


class Mlp(nn.Module):
    """Two linear layers with GELU, on the last dimension."""

    def __init__(self, dim: int, ratio: float) -> None:
        super().__init__()
        self.expand = nn.Linear(dim, int(dim * ratio))
        self.project = nn.Linear(int(dim * ratio), dim)

    def forward(self, x: Tensor) -> Tensor:
        """`x` (..., C) to the same shape."""
        return self.project(F.gelu(self.expand(x)))


class ConvFeedForward(nn.Module):
    """Two linear layers, and between them a 5x5 depthwise convolution as a residual (MambaIRv2, arXiv 2411.15269)."""

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.expand = nn.Linear(dim, hidden)
        self.depthwise = nn.Conv2d(hidden, hidden, 5, padding=2, groups=hidden)
        self.project = nn.Linear(hidden, dim)

    def forward(self, x: Tensor) -> Tensor:
        """`x` (B, H, W, C) to the same shape."""
        h = F.gelu(self.expand(x))
        return self.project(h + F.gelu(self.depthwise(h.permute(0, 3, 1, 2))).permute(0, 2, 3, 1))


class GatedConvFeedForward(nn.Module):
    """Two linear layers, between them one half times a normalised 5x5 depthwise convolution of the other (MambaIRv2-light)."""

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        if hidden % 2:
            raise ValueError(f"the gated feed-forward halves its hidden width, which must be even; it is {hidden}.")
        self.expand = nn.Linear(dim, hidden)
        self.norm = nn.LayerNorm(hidden // 2)
        self.depthwise = nn.Conv2d(hidden // 2, hidden // 2, 5, padding=2, groups=hidden // 2)
        self.project = nn.Linear(hidden // 2, dim)

    def forward(self, x: Tensor) -> Tensor:
        """`x` (B, H, W, C) to the same shape."""
        value, gate = F.gelu(self.expand(x)).chunk(2, dim=-1)
        gate = self.depthwise(self.norm(gate).permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        return self.project(value * gate)


class SimpleGate(nn.Module):
    """1x1 convolutions, between them the product of two halves (EAMamba, arXiv 2506.22246; the gate of NAFNet, arXiv 2204.04676)."""

    def __init__(self, dim: int, expansion: float, *, bias: bool) -> None:
        super().__init__()
        hidden = int(dim * expansion)
        self.project_in = nn.Conv2d(dim, hidden, 1, bias=bias)
        self.project_out = nn.Conv2d(hidden // 2, dim, 1, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """`x` (B, C, H, W) to the same shape."""
        one, other = self.project_in(x).chunk(2, dim=1)
        return self.project_out(one * other)


class PlainFeedForward(nn.Module):
    """1x1 convolutions with GELU between them."""

    def __init__(self, dim: int, expansion: float, *, bias: bool) -> None:
        super().__init__()
        hidden = int(dim * expansion)
        self.project_in = nn.Conv2d(dim, hidden, 1, bias=bias)
        self.project_out = nn.Conv2d(hidden, dim, 1, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """`x` (B, C, H, W) to the same shape."""
        return self.project_out(F.gelu(self.project_in(x)))


class ConvChannelAttention(nn.Module):
    """A 1x1, a 3x3 depthwise convolution, channel attention and a 1x1 convolution: one of EAMamba's options."""

    def __init__(self, dim: int, expansion: float, *, bias: bool) -> None:
        super().__init__()
        hidden = int(dim * expansion)
        self.project_in = nn.Conv2d(dim, hidden, 1, bias=bias)
        self.depthwise = nn.Conv2d(hidden, hidden, 3, padding=1, groups=hidden, bias=bias)
        self.down = nn.Conv2d(hidden, hidden, 1, bias=bias)
        self.up = nn.Conv2d(hidden, hidden, 1, bias=bias)
        self.project_out = nn.Conv2d(hidden, dim, 1, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """`x` (B, C, H, W) to the same shape."""
        x = self.depthwise(self.project_in(x))
        gate = torch.sigmoid(self.up(F.relu(self.down(F.adaptive_avg_pool2d(x, 1)))))
        return self.project_out(x * gate)


class SpectralFeedForward(GatedFeedForward):
    """`GatedFeedForward`, then a learnt spectrum for patches of 8x8 pixels (EVSSM, arXiv 2405.14343)."""

    PATCH = 8

    def __init__(self, dim: int, expansion: float, *, padded: bool) -> None:
        super().__init__(dim, expansion)
        self.padded = padded  # the testing form takes any size
        self.spectrum = nn.Parameter(torch.ones(dim, 1, 1, self.PATCH, self.PATCH // 2 + 1))

    def forward(self, x: Tensor) -> Tensor:
        """`x` (B, C, H, W) to the same shape; H and W are multiples of 8 unless `padded`."""
        x = super().forward(x)
        height, width, side = *x.shape[2:], self.PATCH
        if self.padded:
            x = F.pad(x, (0, -width % side, 0, -height % side), mode="reflect")
        patches = x.unflatten(3, (-1, side)).unflatten(2, (-1, side)).transpose(3, 4)  # (B, C, rows, columns, 8, 8)
        spectrum = torch.fft.rfft2(patches.float()) * self.spectrum
        # The spectrum's freedom breaks the symmetry of a real signal's: the inverse is defined as complex along columns, then to real.
        patches = torch.fft.irfft(torch.fft.ifft(spectrum, dim=-2), n=side, dim=-1).to(x.dtype)
        return patches.transpose(3, 4).flatten(4, 5).flatten(2, 3)[..., :height, :width]
