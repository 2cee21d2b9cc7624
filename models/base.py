"""What all restoration networks share: checking the input, padding it to the network's multiple, cropping back."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.colours import ColourPath
from models.design import Config


class ModelInputError(ValueError):
    """An input that a network cannot take: says its shape and what is allowed."""


def pad_to_multiple(x: Tensor, multiple: int) -> Tensor:
    """Reflect `x` (B, C, H, W) at the bottom and the right until H and W are multiples of `multiple`."""
    bottom, right = -x.shape[-2] % multiple, -x.shape[-1] % multiple
    return F.pad(x, (0, right, 0, bottom), mode="reflect") if bottom or right else x


def mirror_to_multiple(x: Tensor, multiple: int) -> Tensor:
    """Mirror `x` (B, C, H, W) at the bottom and the right, the last row and column first, until H and W are multiples of `multiple`."""
    bottom, right = -x.shape[-2] % multiple, -x.shape[-1] % multiple
    x = torch.cat([x, x[..., x.shape[-2] - bottom :, :].flip(-2)], dim=-2) if bottom else x
    return torch.cat([x, x[..., x.shape[-1] - right :].flip(-1)], dim=-1) if right else x


class Block(nn.Module):
    """A block that a network repeats: what `recompute_blocks` computes again for the gradient."""


class RestorationNet(nn.Module):
    """A network from a degraded image (B, C, H, W) to a restored one (B, C, scale*H, scale*W), both in 0..1.

    Subclasses define `restore`, which may rely on H and W being multiples of `size_multiple`.
    """

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.channels, self.scale, self.size_multiple = config.channels, config.scale, config.size_multiple

    def restore(self, x: Tensor) -> Tensor:
        """Run the network proper on an input whose sides are multiples of `size_multiple`."""
        raise NotImplementedError(f"{type(self).__name__} defines no restore()")

    def colour_path(self) -> ColourPath:
        """Return the layers that the input's colours pass."""
        raise NotImplementedError(f"{type(self).__name__} defines no colour_path()")

    def pad(self, x: Tensor) -> Tensor:
        """Pad `x` to multiples of `size_multiple`; at the bottom and the right, where the output is cropped."""
        return pad_to_multiple(x, self.size_multiple)

    def forward(self, x: Tensor) -> Tensor:
        """Restore `x` (B, C, H, W) of any size; raises `ModelInputError` for a wrong channel count or a too small image."""
        shape = tuple(x.shape)
        if x.dim() != 4 or shape[1] != self.channels:
            wanted = f"(B, {self.channels}, H, W)"
            raise ModelInputError(f"the network takes images of {self.channels} channels, {wanted}; it was given {shape}.")
        least = self.config.smallest_side
        if min(shape[2:]) < least:
            raise ModelInputError(f"the network takes images of at least {least} x {least} pixels; it was given {shape[2]} x {shape[3]}.")
        restored = self.restore(self.pad(x))
        return restored[..., : shape[2] * self.scale, : shape[3] * self.scale]


def count_parameters(net: nn.Module) -> int:
    """Count the trainable values, each counted once."""
    return sum(p.numel() for p in net.parameters())


def trunc_normal_linears(net: nn.Module) -> None:
    """Initialise every `nn.Linear` of `net` as the MambaIR family does: truncated normal of 0.02, zero bias."""
    for module in net.modules():
        if isinstance(module, nn.Linear):
            nn.init.trunc_normal_(module.weight, std=0.02)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
