"""BUDGETS: how much of a recipe is run. `paper` is the recipe itself; numbers of the others are never compared as equal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from models.lookup import lookup


@dataclass(frozen=True)
class Budget:
    """A row of the table; None leaves the recipe's value, width 0 the published network."""

    name: str
    summary: str
    iterations: int | None = None
    batch: int | None = None
    patch: int | None = None
    low_patch: int = 0  # pixels of the low-quality crop, at least: so that a U-Net at x4 sees more than its halvings leave of it
    lr: float | None = None
    ema_decay: float | None = None  # of the moving average
    averages: bool = False  # measures the moving average where the recipe has none, too
    schedule: Literal["recipe", "cosine"] = "recipe"  # cosine: the learning rate falls to 0 by half a cosine
    warm_up: int = 0  # iterations in which the learning rate rises
    first_weights: Literal["drawn", "interpolation"] = "drawn"  # interpolation: a start that no paper has
    clip_norm: float = 0.0
    width: int = 0
    depth_divisor: int = 1
    seeds: int = 1  # of a run that names no number
    degrade_on_gpu: bool = False  # of a run on a GPU: crops whose degradation has a version for it are degraded there


# What trains a small network in some hundred iterations: measured (results/LOG.md), and in no paper.
_SHORT = {
    "lr": 5e-4,
    "ema_decay": 0.99,
    "averages": True,
    "schedule": "cosine",
    "warm_up": 20,
    "clip_norm": 1.0,
    "first_weights": "interpolation",
}

BUDGETS: Mapping[str, Budget] = MappingProxyType(
    {
        row.name: row
        for row in (
            Budget(
                "smoke",
                "narrow networks, four iterations: what `check` watches",
                iterations=4,
                batch=2,
                patch=32,
                lr=1e-5,  # so that rounding stays rounding: suite/health/probes/training.py
                ema_decay=0.9,
                clip_norm=1.0,
                width=16,
                depth_divisor=6,
            ),
            Budget(
                "quick",
                "narrow networks that begin as an interpolation, 400 iterations: minutes on two CPU cores",
                iterations=400,
                batch=8,
                patch=32,
                low_patch=16,
                **_SHORT,
                width=16,
                depth_divisor=6,
            ),
            Budget(
                "evening",
                "networks wider and twice as deep as quick's, three seeds of 600 iterations: one to two hours on two CPU cores",
                iterations=600,
                batch=8,
                patch=32,
                low_patch=16,
                **_SHORT | {"lr": 3e-4},  # of those tried, the rate after which seeds and images differ least (results/LOG.md)
                width=24,
                depth_divisor=3,
                seeds=3,
            ),
            Budget(
                "standard",
                "published networks, small batches: hours on one GPU",
                iterations=40_000,
                batch=8,
                clip_norm=1.0,
                degrade_on_gpu=True,
            ),
            Budget("paper", "the recipe as released: days on eight GPUs", degrade_on_gpu=True),
        )
    }
)


def budget(name: str) -> Budget:
    """Return the row `name`; raises `UnknownName` with suggestions."""
    return lookup("budget", name, BUDGETS)


def default_budget(device: str) -> str:
    """Return the budget that a run uses when none is named: `standard` on a GPU, `quick` without."""
    return "standard" if device == "cuda" else "quick"
