"""A schedule of cells on a cluster, simulated: which runs where, from when to when. It follows `run` (suite.runner.execute, .launch).

As there, cells go in their order to the slot that is free first, and those that begin with another's weights form a wave of their own,
which starts when the whole wave before it has ended.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Job:
    """A cell that takes `seconds` of one slot, after the cells that it names; those that are not among the jobs are done before."""

    name: str
    seconds: float
    after: tuple[str, ...] = ()


@dataclass(frozen=True)
class Placement:
    """When and where a cell runs, in seconds from the start."""

    name: str
    slot: int
    start: float
    end: float


def split_waves(jobs: Sequence[Job]) -> Iterator[list[Job]]:
    """Yield the jobs in the waves in which `run` launches them; ValueError where one waits for itself."""
    waiting = {job.name: job for job in jobs}
    if len(waiting) < len(jobs):
        raise ValueError("two jobs have the same name")
    while waiting:
        ready = [job for job in waiting.values() if not any(name in waiting for name in job.after)]
        if not ready:
            raise ValueError(f"these jobs wait for each other: {', '.join(waiting)}")
        yield ready
        for job in ready:
            del waiting[job.name]


def simulate_schedule(jobs: Sequence[Job], slots: int) -> list[Placement]:
    """Place every job on one of `slots`, in the order in which they start."""
    if slots < 1:
        raise ValueError(f"{slots} slots run nothing")
    placed: list[Placement] = []
    begin = 0.0
    for wave in split_waves(jobs):
        free = [(begin, slot) for slot in range(slots)]
        for job in wave:
            start, slot = heapq.heappop(free)
            placed.append(Placement(job.name, slot, start, start + job.seconds))
            heapq.heappush(free, (start + job.seconds, slot))
        begin = measure_makespan(placed)
    return sorted(placed, key=lambda one: (one.start, one.slot))


def measure_makespan(placed: Sequence[Placement]) -> float:
    """Return when the last job ends, in seconds."""
    return max((one.end for one in placed), default=0.0)
