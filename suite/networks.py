"""From a spec to its network, and from a network to something that restores pictures."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from suite.data.images import Pixels

if TYPE_CHECKING:
    from models.base import RestorationNet
    from suite.spec import RunSpec

Restorer = Callable[[Pixels], np.ndarray]  # uint8 (h, w, 3) to floating point or uint8 (H, W, 3); floats in 0..1


def network_of(spec: RunSpec) -> RestorationNet:
    """The network that `spec` trains, initialised from torch's random state, on its device and scan backend."""
    import models

    config = models.card(spec.model).config
    network = models.build(config.narrowed(spec.width, spec.depth_divisor) if spec.width else config)
    models.set_scan_backend(network, spec.backend)
    return network.to(spec.device)


def restorer_of(network: RestorationNet) -> Restorer:
    """`network` in evaluation mode as a function of one picture, on the network's own device."""
    import torch

    device = next(network.parameters()).device

    def restore(picture: Pixels) -> np.ndarray:
        image = torch.from_numpy(np.ascontiguousarray(picture)).to(device)
        x = image.permute(2, 0, 1)[None].float() / 255
        with torch.inference_mode():
            y = network(x)
        return y[0].permute(1, 2, 0).float().cpu().numpy()

    network.eval()
    return restore
