"""How fast training data are made for a task: what `python -m suite data speed` prints."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import count

import torch
from torch import Tensor

from suite.core.errors import SuiteError
from suite.core.machine import check_device, count_cores
from suite.data.degrade.deferred import Deferred
from suite.data.degrade.degradations import degradation
from suite.data.feed.loader import Loader, Patches
from suite.data.feed.sampler import PatchSampler
from suite.data.feed.training_set import load_training
from suite.study.tasks import Task

SAMPLES = 32  # at most, of a batch that is timed: those of the blind degradation would take seconds each
SAMPLES_ON_CPU = 4  # of a batch that a CPU takes for a device, to try it out
ENDLESS = 10**6  # iterations; the clock ends the measurement


@dataclass(frozen=True)
class Speed:
    """Samples a second of one task at its recipe's patch, made by `workers` processes (0: by the training process itself).

    Where `device` is not empty, they leave out the degradation, and the device takes `device_ms` for that of a batch.
    """

    task: str
    patch: int
    batch: int  # the recipe's
    workers: int
    samples_per_second: float
    device: str = ""
    device_ms: float = 0.0

    def as_dict(self) -> dict[str, object]:
        """Return its fields, and what follows from them."""
        return asdict(self) | {"batch_ms": self.batch_ms}

    @property
    def batch_ms(self) -> float:
        """Time between two batches of the recipe's size."""
        return 1000 * self.batch / self.samples_per_second

    def waiting(self, step_ms: float | None) -> float | None:
        """Return the share of a training step, 0..1, that is spent waiting for its batch where the network takes `step_ms` for it.

        Workers make batches while the network and the device's degradation compute; the training process makes one before each step. The
        device's own time for the degradation counts as waiting. None where no time is known.
        """
        if step_ms is None:
            return None
        busy = self.device_ms + step_ms
        whole = max(self.batch_ms, busy) if self.workers else self.batch_ms + busy
        return 1 - step_ms / whole


def measure_tasks(
    tasks: Sequence[Task], data: str, workers: int | None, seconds: float, step_ms: float | None, device: str = ""
) -> Iterator[Speed]:
    """Return `measure` of each task, then of those whose degradation `device` can do; by default one worker for each core but one.

    SuiteError for numbers that make no sense, and for a GPU that is not here.
    """
    if (workers is not None and workers < 0) or not 0 < seconds < math.inf or not (step_ms is None or 0 < step_ms < math.inf):
        raise SuiteError(
            f"--workers {workers}, --seconds {seconds:g} and --step-ms {step_ms}: workers are 0 or more, the others are above 0 and finite."
        )
    used = max(0, count_cores() - 1) if workers is None else workers
    check_device(device)
    done = [(task, "") for task in tasks] + [(task, device) for task in tasks_for_device(tasks) if device]
    return (measure_speed(task, data, used, seconds, where) for task, where in done)


def tasks_for_device(tasks: Sequence[Task]) -> list[Task]:
    """Return those whose degradation a device can do."""
    return [task for task in tasks if degradation(task.degradation).on_device is not None]


def measure_speed(task: Task, data: str, workers: int, seconds: float, device: str = "") -> Speed:
    """Time the data of `task` from the set or folder `data`, for at least `seconds` after the workers have started.

    `device` is where their degradation is left to, and timed; empty: nothing is left.
    """
    recipe, train = task.recipe, load_training(data, task)
    sampler = PatchSampler(train.images, degradation(task.degradation), recipe.patch, 0, rotate=recipe.rotate, low=train.low)
    samples, deferred = min(SAMPLES, recipe.batch), bool(device) and sampler.makes_anew
    make = partial(sampler.deferred, places=range(samples)) if deferred else Patches(sampler, range(samples))
    with Loader(make, 0, ENDLESS, workers=workers, finish=_as_they_are) as loader:
        batches = iter(loader)
        for _ in range(max(1, workers)):  # the first of every worker
            next(batches)
        rate = _rate(batches, seconds, least=max(1, 2 * workers))
        batches.close()
    device_ms = _device_ms(sampler, recipe.batch, seconds, device) if deferred else 0.0
    return Speed(task.name, recipe.patch, recipe.batch, workers, samples * rate, device if deferred else "", device_ms)


def _as_they_are(made: Deferred) -> tuple[Tensor, Tensor]:
    """Return the crops alone: the time of what is done to them is taken apart."""
    return made.crops, made.crops


def _device_ms(sampler: PatchSampler, batch: int, seconds: float, device: str) -> float:
    """Measure in how many milliseconds `device` degrades `batch` crops, the way to it included; on a CPU by the time of fewer."""
    samples = min(batch, SAMPLES_ON_CPU) if device == "cpu" else batch
    made = (sampler.deferred(iteration, range(samples)) for iteration in count())
    made = [next(made) for _ in range(2)]  # other plans, other canvases

    def steps() -> Iterator[None]:
        for number in count():
            made[number % len(made)].carried_out(device)
            if device == "cuda":
                torch.cuda.synchronize()
            yield

    batches = steps()
    for _ in made:  # what is built at the first use
        next(batches)
    return 1000 * batch / samples / _rate(batches, seconds, least=len(made))


def _rate(batches: Iterator[object], seconds: float, least: int) -> float:
    """Measure batches a second, over at least `seconds` and `least` batches."""
    begun, number, passed = time.perf_counter(), 0, 0.0
    while number < least or passed < seconds:
        next(batches)
        number, passed = number + 1, time.perf_counter() - begun
    return number / passed
