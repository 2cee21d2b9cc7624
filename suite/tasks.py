"""TASKS: what is to be restored, how training is done, and by which protocol the result is measured.

A task fixes degradation, loss, recipe and protocol; a run cannot override the first two. The recipes are those of the
released options (learning rate, milestones as fractions of the run, patch, global batch, moving average).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from models.lookup import lookup


@dataclass(frozen=True)
class Recipe:
    """How the papers train, for one task; sizes in pixels of the high-quality image."""

    iterations: int
    batch: int  # global
    patch: int
    lr: float
    milestones: tuple[float, ...]  # fractions of the iterations at which the learning rate is halved
    betas: tuple[float, float]
    ema_decay: float
    rotate: bool  # 8 symmetries of the square; False: horizontal flips alone
    source: str


@dataclass(frozen=True)
class Task:
    """A row of the table."""

    name: str
    summary: str
    degradation: str  # a name of suite.data.degradations.DEGRADATIONS
    protocol: str  # a key of suite.protocols.PROTOCOLS
    recipe: Recipe
    published: str  # the table that its numbers stand in


TASKS: Mapping[str, Task] = MappingProxyType(
    {
        row.name: row
        for row in (
            Task(
                "real-sr-x4",
                "blind real-world x4 super-resolution, two-order degradation, L1 loss",
                "blind-x4",
                "sr-y@1",
                Recipe(
                    500_000,
                    72,
                    256,
                    2e-4,
                    (0.5, 0.7),
                    (0.9, 0.99),
                    0.999,
                    False,
                    "VmambaIR's released options, stage 1 (table 4 trains with L1 alone)",
                ),
                "VmambaIR, table 4",
            ),
            Task(
                "sr-x2",
                "classic x2 super-resolution from MATLAB-compatible bicubic images, L1 loss",
                "bicubic-x2",
                "sr-y@1",
                Recipe(
                    500_000,
                    32,
                    128,
                    2e-4,
                    (0.5, 0.8, 0.9, 0.95),
                    (0.9, 0.99),
                    0.0,
                    True,
                    "MambaIR's released options (the paper prints beta2 = 0.999)",
                ),
                "MambaIR, tables 1 and 2",
            ),
        )
    }
)


def task(name: str) -> Task:
    """The row `name`; raises `UnknownName` with suggestions."""
    return lookup("task", name, TASKS)
