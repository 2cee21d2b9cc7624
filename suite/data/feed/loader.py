"""Loader: batches made ahead by worker processes, so that the network does not wait for them.

A batch is a function of its iteration, so that the number of workers cannot change it, and any iteration can be begun at. Torch's
DataLoader moves the batches (through shared memory) and ends its workers with this process, even where it is killed.

    loader = Loader(Patches(sampler, range(batch)), run.iteration, spec.iterations, workers=default_workers(threads, device))
    for iteration, low, high, waited_seconds in loader: ...
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from suite.core.errors import Exit, SuiteError
from suite.data.degrade.deferred import Deferred
from suite.data.feed.sampler import PatchSampler

BATCHES_AHEAD = 2  # batches that each worker makes ahead
MOST_WORKERS = 16  # by default
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - where Linux keeps it

Finish = Callable[[Deferred], tuple[Tensor, Tensor]]
Sides = tuple[np.ndarray, np.ndarray]  # low and high quality, (n, C, side, side): uint8, or float32 around 0..1
Loaded = tuple[int, Tensor, Tensor, float]  # iteration, low quality, high quality, both float32 around 0..1; seconds waited for them


@dataclass(frozen=True)
class Patches:
    """The batch of an iteration from a sampler: of its places in the global batch, those in `places`.

    `at` gives the patch and the size of the global batch where they change with the iteration; places beyond that size are left out then.
    For `range(rank, largest, ranks)` every rank keeps its fair part of any size.
    """

    sampler: PatchSampler
    places: Sequence[int]
    at: Callable[[int], tuple[int, int]] | None = None

    def __call__(self, iteration: int) -> Sides:
        """Return low and high quality, as `PatchSampler.raw` does."""
        if self.at is None:
            return self.sampler.raw(iteration, self.places)
        patch, size = self.at(iteration)
        return self.sampler.at(patch).raw(iteration, [place for place in self.places if place < size])


class Loader(contextlib.AbstractContextManager):
    """The batches of the iterations from `first` to before `last`, in order, with the time that was waited for each.

    `make` gives the batch of an iteration; it must depend on nothing else, and be picklable where processes are not forked (off Linux).
    What it gives in 8 bits is sent so and made float32 here, exactly as by `PatchSampler.take`: a quarter of the bytes to move.
    `workers` processes make the next ones while the last is used; 0: this process makes each when it is asked for. `pin` puts them in
    page-locked memory, from which a GPU takes them without waiting. Where `make` defers the degradation, `finish` carries it out in this
    process, and what it gives is the batch; that counts as waited, but for what is left running on a GPU. SuiteErrors of `make` come out at
    their iteration; a worker that dies is one, too. `close` ends the workers; so does the end of the iterations, an error, and the end of a
    `with`.
    """

    def __init__(
        self,
        make: Callable[[int], Sides | Deferred],
        first: int,
        last: int,
        *,
        workers: int = 0,
        pin: bool = False,
        finish: Finish | None = None,
    ) -> None:
        if workers < 0:
            raise SuiteError(f"batches are made by 0 or more workers, not {workers}.")
        self.first, self.last, self.workers, self.pin, self.finish = first, last, workers, pin, finish
        self._batches = _Batches(make, first, last, shared=workers > 0)
        self._running: Iterator[Received] | None = None

    def __iter__(self) -> Iterator[Loaded]:
        if self.workers and self.last > self.first:
            self._running = self._start()
        try:
            for iteration in range(self.first, self.last):
                begun = time.perf_counter()
                low, high = self._next(iteration)
                yield iteration, low, high, time.perf_counter() - begun
        finally:
            self.close()

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the workers, if there are any; batches that were made ahead are dropped."""
        self._running = None  # the last reference: torch's iterator ends its workers when it goes

    def _start(self) -> Iterator[Received]:
        with warnings.catch_warnings(), _handlers_kept():
            warnings.filterwarnings("ignore", message="This DataLoader will create", category=UserWarning)  # how many is the user's choice
            warnings.filterwarnings("ignore", message=".*use of fork", category=DeprecationWarning)  # of Python 3.12; see below
            loader = DataLoader(
                self._batches,
                batch_size=None,
                num_workers=self.workers,
                prefetch_factor=BATCHES_AHEAD,
                worker_init_fn=_leave_interrupts_to_the_parent,
                generator=torch.Generator(),  # else it would draw from the one that the network trains with
                # Forked workers share the images of this process; they use neither its threads nor its GPU.
                multiprocessing_context="fork" if sys.platform == "linux" else None,
            )
            return iter(loader)

    def _next(self, iteration: int) -> tuple[Tensor, Tensor]:
        found = self._received(iteration) if self.workers else self._batches[iteration - self.first]
        if isinstance(found, _Failure):
            raise SuiteError(found.message, exit=found.exit)
        if isinstance(found, Deferred):
            if self.finish is None:
                raise ValueError("deferred batches need to be finished")
            return self.finish(found)
        low, high = (_as_float(side, self.pin) for side in found)
        return low, high

    def _received(self, iteration: int) -> Received:
        if self._running is None:
            raise SuiteError(f"the loader was closed before iteration {iteration}.", exit=Exit.INCOMPLETE)
        try:
            return next(self._running)
        except (RuntimeError, ConnectionError, EOFError) as error:  # the latter two: it died while a batch was handed over
            if isinstance(error, RuntimeError) and not str(error).startswith("DataLoader worker"):
                raise
            raise SuiteError(
                f"a process that makes batches died before iteration {iteration} was made ({str(error).rstrip('. ')}). "
                "Memory may be short, or a file of the data changed meanwhile. Going on continues from the checkpoint; "
                "fewer workers take less memory, and with 0 this process makes the batches.",
                exit=Exit.INCOMPLETE,
            ) from error


def default_workers(threads: int, device: str) -> int:
    """Return how many workers feed a network that has `threads` threads: one a thread beside the training's own, on a GPU.

    None on a CPU: there the network itself uses every thread.
    """
    return 0 if device == "cpu" else min(max(1, threads - 1), MOST_WORKERS)


@dataclass(frozen=True)
class _Failure:
    """What a worker says instead of a batch: an error's own text crosses to this process without the worker's traceback."""

    message: str
    exit: Exit


Received = "tuple[Tensor, Tensor] | Deferred | _Failure"


@dataclass(frozen=True)
class _Batches:
    """The data set as torch's DataLoader wants it: item n is the batch of iteration first + n."""

    make: Callable[[int], Sides | Deferred]
    first: int
    last: int
    shared: bool  # whether batches go through shared memory

    def __len__(self) -> int:
        return self.last - self.first

    def __getitem__(self, number: int) -> Received:
        try:
            made = self.make(self.first + number)
        except SuiteError as error:
            return _Failure(str(error), error.exit)
        arrays = (made.crops,) if isinstance(made, Deferred) else made
        if self.shared and (short := _shortage(sum(array.nbytes for array in arrays))):
            return _Failure(short, Exit.NOT_READY)
        tensors = [torch.from_numpy(array) for array in arrays]
        return replace(made, crops=tensors[0]) if isinstance(made, Deferred) else (tensors[0], tensors[1])


def _shortage(needed: int) -> str:
    """Say why a batch of `needed` bytes cannot be sent; empty where it can. The system would kill the worker that tries."""
    if not SHARED_MEMORY.is_dir():
        return ""
    state = os.statvfs(SHARED_MEMORY)
    free = state.f_bavail * state.f_frsize
    if free >= needed:
        return ""
    return (
        f"a batch of {needed / 2**20:.0f} MiB does not fit in the shared memory {SHARED_MEMORY}, of which {free / 2**20:.0f} MiB are free. "
        f"Every worker keeps {BATCHES_AHEAD} batches there: take fewer workers, or give the container more (docker run --shm-size=8g)."
    )


def _as_float(side: Tensor, pin: bool) -> Tensor:
    """Do as suite.data.feed.sampler.as_float: the same division, rounded alike."""
    if side.dtype != torch.uint8:
        return side.pin_memory() if pin else side
    return torch.empty(side.shape, dtype=torch.float32, pin_memory=pin).copy_(side).div_(255)


def _leave_interrupts_to_the_parent(worker: int) -> None:
    del worker  # which one it is changes nothing
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent ends its workers


@contextlib.contextmanager
def _handlers_kept() -> Iterator[None]:
    """Take back torch's handler for ended children.

    It would raise wherever this process is at that time; without it, asking for the next batch raises, a few seconds later.
    """
    kept = signal.getsignal(signal.SIGCHLD) if hasattr(signal, "SIGCHLD") else None
    try:
        yield
    finally:
        if kept is not None and signal.getsignal(signal.SIGCHLD) is not kept:
            signal.signal(signal.SIGCHLD, kept)
