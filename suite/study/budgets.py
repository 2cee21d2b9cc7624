"""BUDGETS: how much of a recipe is run. `paper` is the recipe itself; numbers of the others are never compared as equal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from models.lookup import lookup


@dataclass(frozen=True)
class Budget:
    """A row of the table; None leaves the recipe's value, width 0 the published network."""

    name: str
    summary: str
    iterations: int | None = None
    batch: int | None = None
    patch: int | None = None
    lr: float | None = None
    ema_decay: float | None = None  # where the recipe has a moving average
    clip_norm: float = 0.0
    width: int = 0
    depth_divisor: int = 1
    degrade_on_gpu: bool = False  # of a run on a GPU: crops whose degradation has a version for it are degraded there


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
                "narrow networks, a few hundred iterations: minutes on two CPU cores",
                iterations=400,
                batch=4,
                patch=64,
                lr=1e-3,
                ema_decay=0.98,
                clip_norm=1.0,
                width=16,
                depth_divisor=6,
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
