"""Learning rate, patch and batch of a run as functions of the iteration alone: nothing to keep, nothing to restore."""

from __future__ import annotations

import math
from collections.abc import Sequence

from suite.records.spec import RunSpec


def learning_rate(spec: RunSpec, iteration: int) -> float:
    """Return the generator's learning rate at `iteration`, counted from 0."""
    rise = min(1.0, (iteration + 1) / spec.warm_up) if spec.warm_up else 1.0
    if spec.periods:
        return rise * spec.lr * _cosine(spec, iteration)
    return rise * spec.lr * _halved(spec.milestones, iteration)


def discriminator_learning_rate(spec: RunSpec, iteration: int) -> float:
    """Return the discriminator's learning rate; milestones are the generator's."""
    return spec.discriminator_lr * _halved(spec.milestones, iteration)


def _halved(milestones: Sequence[int], iteration: int) -> float:
    return 0.5 ** sum(milestone <= iteration for milestone in milestones)


def _cosine(spec: RunSpec, iteration: int) -> float:
    """Go down half a cosine from the learning rate to the period's floor, over and over; the last value stays."""
    begin = 0
    for period, floor in zip(spec.periods, spec.floors, strict=True):
        if iteration < begin + period:
            least = floor / spec.lr
            return least + (1 - least) * (1 + math.cos(math.pi * (iteration - begin) / period)) / 2
        begin += period
    return spec.floors[-1] / spec.lr


def stage_at(spec: RunSpec, iteration: int) -> tuple[int, int]:
    """Return patch and global batch at `iteration`; the last stage goes on to the end."""
    if not spec.stages:
        return spec.patch, spec.batch
    begin = 0
    for length, patch, batch in spec.stages:
        begin += length
        if iteration < begin:
            return patch, batch
    return spec.stages[-1][1:]
