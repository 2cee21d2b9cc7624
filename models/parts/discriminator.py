"""The discriminator of the GAN recipes: a U-Net with spectral normalisation that judges every pixel (arXiv 2107.10833, section 3.3).

Three strided convolutions down, three bilinear steps up, sums for skips, two convolutions at full size; leaky ReLU of 0.2. With 64
features and 3 channels it has 4,376,897 parameters.
"""

from __future__ import annotations

from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

SLOPE = 0.2
SIZE_MULTIPLE = 8  # three halvings


class Discriminator(nn.Module):
    """From images (B, channels, H, W), H and W multiples of 8, to logits (B, 1, H, W)."""

    def __init__(self, channels: int = 3, features: int = 64) -> None:
        super().__init__()
        widths = [features * factor for factor in (1, 2, 4, 8)]
        self.first = nn.Conv2d(channels, features, 3, padding=1)
        self.down = nn.ModuleList(spectral_norm(nn.Conv2d(a, b, 4, 2, 1, bias=False)) for a, b in pairwise(widths))
        backwards = widths[::-1]
        self.up = nn.ModuleList(spectral_norm(nn.Conv2d(a, b, 3, padding=1, bias=False)) for a, b in pairwise(backwards))
        self.flat = nn.ModuleList(spectral_norm(nn.Conv2d(features, features, 3, padding=1, bias=False)) for _ in range(2))
        self.last = nn.Conv2d(features, 1, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Logits of every pixel of `x` being from a real image."""
        x = F.leaky_relu(self.first(x), SLOPE)
        skips = []
        for conv in self.down:
            skips.append(x)
            x = F.leaky_relu(conv(x), SLOPE)
        for conv in self.up:
            x = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
            x = F.leaky_relu(conv(x), SLOPE) + skips.pop()
        for conv in self.flat:
            x = F.leaky_relu(conv(x), SLOPE)
        return self.last(x)
