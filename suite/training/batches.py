"""Batches of a worker: its places of an iteration's batch, of the stage's size, mixed where the recipe mixes images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from suite.data.degrade.deferred import Deferred
from suite.data.degrade.degradations import image_rng, on_device
from suite.data.feed.loader import Finish, Sides
from suite.data.feed.sampler import PatchSampler
from suite.records.spec import RunSpec
from suite.training.rates import stage_at
from suite.training.share import Share


def make_batches(spec: RunSpec, sampler: PatchSampler, share: Share) -> tuple[Callable[[int], Sides | Deferred], Finish | None]:
    """Return what makes a worker's batches, and what finishes them in the training process, if anything does: `Loader` takes both.

    SuiteError where the spec leaves to the device a degradation that has no version for one.
    """
    if spec.degrade_on == "worker" or not sampler.makes_anew:  # there is nothing to degrade where the user has low-quality images
        return SharedBatches(spec, sampler, share), None
    on_device(sampler.degradation.name)
    return SharedCrops(spec, sampler, share), lambda made: made.carried_out(spec.device)


@dataclass(frozen=True)
class SharedBatches:
    """A worker's part of the batch of an iteration, a function of nothing else; `sampler` has the patch of the largest stage."""

    spec: RunSpec
    sampler: PatchSampler
    share: Share

    def __call__(self, iteration: int) -> Sides:
        """Return low and high quality: uint8, or float32 around 0..1, `(places, C, side, side)`."""
        patch, batch = stage_at(self.spec, iteration)
        return make_mixed_batch(self.spec, self.sampler.at(patch), iteration, batch, self.share.places(batch))


@dataclass(frozen=True)
class SharedCrops:
    """The same part before its degradation, which is left to the device; the partners of mixed images come behind it."""

    spec: RunSpec
    sampler: PatchSampler
    share: Share

    def __call__(self, iteration: int) -> Deferred:
        """Return crops and what is to be done to them."""
        patch, batch = stage_at(self.spec, iteration)
        places, mixture = self.share.places(batch), _mixture(self.spec, iteration, batch)
        sampler = self.sampler.at(patch)
        if mixture is None:
            return sampler.deferred(iteration, places)
        share, partners = mixture
        return replace(sampler.deferred(iteration, [*places, *(int(partners[place]) for place in places)]), mix=float(share))


def make_mixed_batch(spec: RunSpec, sampler: PatchSampler, iteration: int, batch: int, places: range) -> Sides:
    """Make these places of the batch; where the recipe mixes images, half of the batches are mixed, each image with another of its own."""
    mixture = _mixture(spec, iteration, batch)
    if mixture is None:
        return sampler.raw(iteration, places)
    share, partners = mixture
    low, high = sampler.take(iteration, places)
    other_low, other_high = sampler.take(iteration, [int(partners[place]) for place in places])
    return share * low + (1 - share) * other_low, share * high + (1 - share) * other_high


def _mixture(spec: RunSpec, iteration: int, batch: int) -> tuple[np.float32, npt.NDArray[np.intp]] | None:
    """Draw the share of each image in its mixture, and its partner by place; None where this batch is not mixed."""
    random = image_rng(spec.seed, "mixup", iteration)
    if not spec.mixup or random.random() < 0.5:
        return None
    return np.float32(random.beta(spec.mixup, spec.mixup)), random.permutation(batch)
