"""How fast training data are made for a task: what `python -m suite data speed` prints."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import count

from suite.data.degradations import degradation
from suite.data.loader import Loader, Patches
from suite.data.sampler import PatchSampler
from suite.data.sets import load_training
from suite.errors import SuiteError
from suite.machine import cores
from suite.tasks import Task

SAMPLES = 32  # at most, of a batch that is timed: those of the blind degradation would take seconds each
MANY = 10**6  # iterations; the clock ends the measurement


@dataclass(frozen=True)
class Speed:
    """Samples a second of one task at its recipe's patch, made by `workers` processes (0: by the training process itself)."""

    task: str
    patch: int
    batch: int  # the recipe's
    workers: int
    samples_per_second: float

    def as_dict(self) -> dict[str, object]:
        """Its fields, and what follows from them."""
        return asdict(self) | {"batch_ms": self.batch_ms}

    @property
    def batch_ms(self) -> float:
        """Time between two batches of the recipe's size."""
        return 1000 * self.batch / self.samples_per_second

    def waiting(self, step_ms: float | None) -> float | None:
        """Share of a training step, 0..1, that is spent waiting for its batch where the network takes `step_ms` for it.

        Workers make batches while the network computes; the training process makes one before each step. None where no time is known.
        """
        if step_ms is None:
            return None
        if not self.workers:
            return self.batch_ms / (self.batch_ms + step_ms)
        return max(0.0, 1 - step_ms / self.batch_ms)


def measured(tasks: Sequence[Task], data: str, workers: int | None, seconds: float, step_ms: float | None) -> Iterator[Speed]:
    """`measure` of each task; by default one worker for each core but one. SuiteError for numbers that make no sense."""
    if (workers is not None and workers < 0) or not 0 < seconds < math.inf or not (step_ms is None or 0 < step_ms < math.inf):
        raise SuiteError(
            f"--workers {workers}, --seconds {seconds:g} and --step-ms {step_ms}: workers are 0 or more, the others are above 0 and finite."
        )
    used = max(0, cores() - 1) if workers is None else workers
    return (measure(task, data, used, seconds) for task in tasks)


def measure(task: Task, data: str, workers: int, seconds: float) -> Speed:
    """Times the data of `task` from the set or folder `data`, for at least `seconds` after the workers have started."""
    recipe, train = task.recipe, load_training(data, task)
    sampler = PatchSampler(train.images, degradation(task.degradation), recipe.patch, 0, rotate=recipe.rotate, low=train.low)
    samples = min(SAMPLES, recipe.batch)
    with Loader(Patches(sampler, range(samples)), 0, MANY, workers=workers) as loader:
        batches = iter(loader)
        for _ in range(max(1, workers)):  # the first of every worker
            next(batches)
        rate = _rate(batches, seconds, least=max(1, 2 * workers))
        batches.close()
    return Speed(task.name, recipe.patch, recipe.batch, workers, samples * rate)


def _rate(batches: Iterator[object], seconds: float, least: int) -> float:
    """Batches a second, over at least `seconds` and `least` batches."""
    begun = time.perf_counter()
    for number in count(1):
        next(batches)
        passed = time.perf_counter() - begun
        if passed >= seconds and number >= least:
            return number / passed
    raise AssertionError("count() has no end")
