"""Batches whose degradation is left to the device that the network trains on: crops and plans, and what the device makes of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from suite.core.torch_state import exact_arithmetic
from suite.data.degrade.blind import Plan
from suite.data.degrade.degradations import on_device

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class CropPlan:
    """What chance decided of one crop."""

    plan: Plan
    seed: int  # of the noise
    height: int  # of the crop, pixels
    width: int
    top: int  # where the patch begins in the degraded crop, low-quality pixels
    left: int


@dataclass(frozen=True)
class Deferred:
    """Crops with all that is to be done to them, as a worker process makes and sends them."""

    crops: npt.NDArray[np.uint8] | Tensor  # uint8 (N, C, H, W); each is the top left of it
    jobs: tuple[CropPlan, ...]
    degradation: str
    scale: int
    patch: int  # high-quality pixels
    mix: float | None = None  # the share of the first half of the crops in the mixture with the second, where a recipe mixes images

    def carried_out(self, device: str) -> tuple[Tensor, Tensor]:
        """Return low and high quality on `device`: float32 in 0..1, `(N, C, patch / scale, patch / scale)` and `(N, C, patch, patch)`.

        N is the number of crops, or half of it where they are mixed. The patch is cut out of the degraded crop, as suite.data.feed.sampler
        does.
        """
        import torch  # late: slow to load

        crops, side = torch.as_tensor(self.crops).to(device, non_blocking=True), self.patch // self.scale
        with torch.no_grad(), exact_arithmetic():
            sizes, seeds = [(job.height, job.width) for job in self.jobs], [job.seed for job in self.jobs]
            made = on_device(self.degradation).carry_out([job.plan for job in self.jobs], crops, sizes, seeds)
            lows = [low[:, job.top : job.top + side, job.left : job.left + side] for low, job in zip(made, self.jobs, strict=True)]
            corners = [(job.top * self.scale, job.left * self.scale) for job in self.jobs]
            highs = [crop[:, y : y + self.patch, x : x + self.patch] for crop, (y, x) in zip(crops, corners, strict=True)]
            low, high = (torch.stack(side).float().div_(255) for side in (lows, highs))
            return (low, high) if self.mix is None else (_mixed(low, self.mix), _mixed(high, self.mix))


def _mixed(images: Tensor, share: float) -> Tensor:
    first, second = images.chunk(2)
    return share * first + (1 - share) * second
