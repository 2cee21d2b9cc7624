"""What a worker trains on at an iteration: its places of the batch, of the stage's size, mixed where the recipe mixes images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from suite.data.degradations import image_rng
from suite.data.loader import Sides
from suite.data.sampler import PatchSampler
from suite.rates import stage
from suite.share import Share
from suite.spec import RunSpec


@dataclass(frozen=True)
class SharedBatches:
    """A worker's part of the batch of an iteration, a function of nothing else; `sampler` has the patch of the largest stage."""

    spec: RunSpec
    sampler: PatchSampler
    share: Share

    def __call__(self, iteration: int) -> Sides:
        """Low and high quality: uint8, or float32 around 0..1, `(places, C, side, side)`."""
        patch, batch = stage(self.spec, iteration)
        return mixed(self.spec, self.sampler.at(patch), iteration, batch, self.share.places(batch))


def mixed(spec: RunSpec, sampler: PatchSampler, iteration: int, batch: int, places: range) -> Sides:
    """These places of the batch; where the recipe mixes images, half of the batches are mixed, each image with another of the batch."""
    random = image_rng(spec.seed, "mixup", iteration)
    if not spec.mixup or random.random() < 0.5:
        return sampler.raw(iteration, places)
    share = np.float32(random.beta(spec.mixup, spec.mixup))
    partners = random.permutation(batch)
    low, high = sampler.take(iteration, places)
    other_low, other_high = sampler.take(iteration, [int(partners[place]) for place in places])
    return share * low + (1 - share) * other_low, share * high + (1 - share) * other_high
