"""The losses that training minimises: L1, Charbonnier's loss, a perceptual loss on VGG19, and a GAN's two sides.

`l1` is the mean absolute difference (VmambaIR; MambaIR, equation 8), `charbonnier` the mean of sqrt(difference^2 + 1e-6) (MambaIR,
equation 9, epsilon = 1e-3), `l1+fft` the mean absolute difference and FFT_WEIGHT times that of the Fourier transforms, not normalised, of
which real and imaginary parts are compared apart (EVSSM), `l1+perceptual+gan` the sum of three terms of equal weight (VmambaIR, section
7.1): L1, the weighted L1 distances of VGG19's features before activation, and the binary cross entropy of a U-Net discriminator's logits.

VGG19's weights are torchvision's, from torch's cache; without them such a recipe does not start. Nothing is downloaded here.
"""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.cache import is_file
from suite.core.errors import Exit, SuiteError
from suite.core.files import sha256_of

CHARBONNIER_EPSILON = 1e-3
FFT_WEIGHT = 0.1
VGG19_FILE = "vgg19-dcbb9e9d.pth"  # torchvision's; its name ends in the start of its sha256
# Convolutions of VGG19 by their position in torchvision's `features`, with the weight of their term: conv1_2, 2_2, 3_4, 4_4, 5_4.
VGG19_LAYERS = ((2, 0.1), (7, 0.1), (16, 1.0), (25, 1.0), (34, 1.0))
IMAGENET_MEAN, IMAGENET_DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def pixel_loss(name: str, output: Tensor, target: Tensor) -> Tensor:
    """Return the pixel term of the loss `name`: a mean over `output` and `target` (B, C, H, W)."""
    if name == "charbonnier":
        return torch.sqrt((output - target) ** 2 + CHARBONNIER_EPSILON**2).mean()
    if name == "l1+fft":
        apart = torch.view_as_real(torch.fft.fft2(output - target))  # the transform is linear
        return F.l1_loss(output, target) + FFT_WEIGHT * apart.abs().mean()
    return F.l1_loss(output, target)


def adversarial_loss(logits: Tensor, *, real: bool) -> Tensor:
    """Return the binary cross entropy of a discriminator's `logits` with being real, or not."""
    return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, float(real)))


class Perceptual(nn.Module):
    """Distance of two images in VGG19's features; `backbone` is torchvision's `features`, frozen."""

    def __init__(self, backbone: nn.Sequential) -> None:
        super().__init__()
        last = VGG19_LAYERS[-1][0]
        self.features = backbone[: last + 1].eval().requires_grad_(False)
        for module in self.features:
            if isinstance(module, nn.ReLU):
                module.inplace = False  # what is kept before it must stay as it is
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("deviation", torch.tensor(IMAGENET_DEVIATION).view(1, 3, 1, 1), persistent=False)

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        """Return the weighted mean absolute differences of the features of `output` and `target` (B, 3, H, W), 0..1."""
        with torch.no_grad():
            wanted = self._features(target)
        return sum(weight * F.l1_loss(a, b) for (_, weight), a, b in zip(VGG19_LAYERS, self._features(output), wanted, strict=True))

    def _features(self, image: Tensor) -> list[Tensor]:
        x, found = (image - self.mean) / self.deviation, []
        kept = {position for position, _ in VGG19_LAYERS}
        for position, module in enumerate(self.features):
            x = module(x)
            if position in kept:
                found.append(x)
        return found


def vgg19_file() -> Path:
    """Return where torch's cache keeps VGG19's weights, whether or not they are there."""
    return Path(torch.hub.get_dir()) / "checkpoints" / VGG19_FILE


def load_perceptual_loss() -> Perceptual:
    """Return the perceptual loss with ImageNet's weights; SuiteError with the command that fetches them where they lack or are damaged."""
    from torchvision.models import vgg19

    path = vgg19_file()
    code = "from torchvision.models import vgg19; vgg19(weights='IMAGENET1K_V1')"
    fix = f'With a network connection, `python -c "{code}"` fetches them.'
    if not is_file(path):
        raise SuiteError(f"the perceptual loss needs VGG19's weights, and {path} is not there. {fix}", exit=Exit.NOT_READY)
    digest = sha256_of(path)
    expected = path.stem.rpartition("-")[2]
    if not digest.startswith(expected):
        raise SuiteError(
            f"{path} is damaged: its sha256 begins with {digest[:8]}, not with {expected}. Remove it. {fix}", exit=Exit.NOT_READY
        )
    network = vgg19(weights=None)
    network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    return Perceptual(network.features)
