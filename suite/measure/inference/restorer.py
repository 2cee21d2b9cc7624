"""From a spec to its network, and from a network to something that restores pictures.

A network of three channels runs a task on grey images too: it is given the plane three times, and the mean of its three outputs is
taken, in training as in testing. A network of one channel is refused colour images.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

import models
from suite.core.errors import SuiteError
from suite.core.torch_state import exact_arithmetic

if TYPE_CHECKING:
    from torch import Tensor, nn

    from models.base import RestorationNet
    from suite.records.spec import RunSpec

# (h, w, C), uint8 or floating point around 0..1, to floating point around 0..1 or uint8, (H, W, C)
Restorer = Callable[[np.ndarray], np.ndarray]


def network_of(spec: RunSpec) -> RestorationNet:
    """Return the network that `spec` trains, initialised from torch's random state, on its device and scan backend."""
    config = models.card(spec.model).config
    network = models.build(config.narrowed(spec.width, spec.depth_divisor) if spec.width else config)
    models.set_scan_backend(network, spec.backend)
    return network.to(spec.device)


def forward(network: nn.Module, x: Tensor, channels: int) -> Tensor:
    """Run `network`, which takes `channels`, on `x` (B, C, h, w), C being as many, or 1: (B, C, H, W)."""
    if x.shape[1] == 1 and channels == 3:
        return network(x.expand(-1, 3, -1, -1)).mean(dim=1, keepdim=True)
    return network(x)


def restorer_of(network: RestorationNet) -> Restorer:
    """Return `network` in evaluation mode as a function of one picture of any size, on the network's own device.

    A side shorter than the network takes is lengthened by repeating its last pixels, and the result cut back.
    """
    import torch  # late: slow to load

    device = next(network.parameters()).device
    least = network.config.smallest_side

    def restore(picture: np.ndarray) -> np.ndarray:
        """Restore `(h, w, C)` to `(H, W, C)`."""
        if picture.shape[2] == 3 and network.channels == 1:
            raise SuiteError("this network restores grey images; it was given a colour image. Choose a network of three channels.")
        height, width = picture.shape[:2]
        lengthened = np.pad(picture, ((0, max(0, least - height)), (0, max(0, least - width)), (0, 0)), mode="edge")
        image = torch.from_numpy(np.ascontiguousarray(lengthened)).to(device)
        x = image.permute(2, 0, 1)[None].float()
        x = x / 255 if picture.dtype == np.uint8 else x
        with torch.inference_mode(), exact_arithmetic():
            y = forward(network, x, network.channels)[0, :, : height * network.scale, : width * network.scale]
        return y.permute(1, 2, 0).float().cpu().numpy()

    network.eval()
    return restore


def as_float(image: np.ndarray) -> np.ndarray:
    """Return `image`, uint8 or floating point in 0..1, as floating point in 0..1."""
    return image.astype(np.float32) / np.float32(255) if image.dtype == np.uint8 else image
