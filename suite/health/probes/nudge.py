"""Moving start weights and inputs by a ten-millionth of themselves: on one processor, what the rounding of any other may do.

`check --update` measures so, again and again, and how far a number moves is part of its tolerance: one that moves too far
(suite.health.gate.NUDGED_MOST) is not watched.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import numpy as np
import torch

import models
from models.base import RestorationNet
from models.design import Config

SIZE = 1e-7  # of a value: about a rounding of float32
_seed: int | None = None


@contextlib.contextmanager
def nudged(seed: int | None) -> Iterator[None]:
    """Nudge all that is made meanwhile, by other draws for each `seed`; None: nothing, whatever was begun around it."""
    global _seed
    before, build = _seed, models.build

    def build_nudged(config: Config) -> RestorationNet:
        network = build(config)
        if _seed is not None:
            _nudge_weights(network, _seed)
        return network

    _seed = seed
    if seed is not None:
        models.build = build_nudged
    try:
        yield
    finally:
        _seed, models.build = before, build


def nudge(values: np.ndarray) -> np.ndarray:
    """Return an input in floating point, moved where everything is."""
    if _seed is None:
        return values
    moved = 1 + SIZE * np.random.default_rng(_seed).standard_normal(values.shape)
    return (values * moved).astype(values.dtype)


def _nudge_weights(network: RestorationNet, seed: int) -> None:
    draw = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(1 + SIZE * torch.randn(parameter.shape, generator=draw))
