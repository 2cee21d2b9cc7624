"""Which calls are measured so that times of others can be estimated: cheap ones, of every design, within some seconds.

What the ledger has of this machine, with these versions, is not measured again; times of machines alike (results/machines) count too.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import models
from suite.core import machine
from suite.measure.costs.cell import count_cost
from suite.measure.costs.estimate import Estimator, Measured, Size, Work, describe_work, design_of
from suite.measure.costs.grid import TimingOptions, make_spec, smallest_side, software_digest
from suite.measure.costs.kept import count_kept, traffic_kept
from suite.records.kinds.profile import NO_BACKEND, ProfileCost, ProfileRecord, ProfileSpec
from suite.records.machines import MachineFile
from suite.records.record import Attempt
from suite.study.baselines import BASELINES

POINT_SECONDS = 0.3  # that each call is sampled for
SIDES = (32, 64)  # of the pictures of cheap calls: two sizes, so that growth with the size is seen
START_SECONDS = 6.0  # of a process: it loads PyTorch and the scan
CALLS = 8  # of a measurement, about: the first, the warm-up, the samples, the one whose memory is read
SLOW = 1e10  # operations a second before anything was measured: a slow core's, so that a first point is not too dear


@dataclass(frozen=True)
class Plan:
    """What may be measured: networks with their counts, and how times are taken."""

    costs: Mapping[str, ProfileRecord]  # by network, at the size that is asked for
    timing: TimingOptions
    reason: str  # of the backend


def gather(records: Iterable[Attempt], machines: Iterable[MachineFile], plan: Plan) -> Estimator:
    """Return an estimator from the ledger's times of this machine, and those of machines alike for what the ledger lacks."""
    points: dict[tuple[str, Size], Measured] = {}
    for one in machines:
        for held in one.times:
            if held.model in plan.costs and _taken_alike(held.backend, held.device, held.threads, plan.timing):
                work = describe_call(held.model, held.input_size)
                points[held.model, held.input_size] = Measured(work, held.median_ms, held.peak_memory_mib, f"results/machines, {held.date}")
    here, software = machine.machine_digest(), software_digest(timed=True)
    for record in records:
        if not isinstance(record, ProfileRecord) or record.status != "done" or record.latency is None or record.cost is None:
            continue
        spec = record.spec
        known = spec.model in BASELINES or spec.model in models.MODELS
        if (
            known
            and (spec.machine, spec.software) == (here, software)
            and _taken_alike(spec.backend, spec.device, spec.threads, plan.timing)
        ):
            points[spec.model, spec.input_size] = make_point(record)
    return make_estimator(points.values())


def make_estimator(points: Iterable[Measured]) -> Estimator:
    """Return an estimator of the points in one order, so that it answers alike to the last digit however they were come by."""
    return Estimator(tuple(sorted(points, key=lambda point: (point.work.model, point.work.size))))


def _taken_alike(backend: str, device: str, threads: int, timing: TimingOptions) -> bool:
    return backend in (timing.backend, NO_BACKEND) and (device, threads) == (timing.device, timing.threads)


def make_point(record: ProfileRecord) -> Measured:
    """Return the measured call of a record that was timed."""
    spec, found = record.spec, record.latency
    noisy = ", noisy" if found.noisy else ""
    return Measured(describe_call(spec.model, spec.input_size, record.cost), found.median_ms, found.peak_memory_mib, f"ledger{noisy}")


def work_of(record: ProfileRecord, size: Size | None = None) -> Work:
    """Describe the call that a record counts, or the same network at another `size`."""
    spec = record.spec
    same = size is None or size == spec.input_size
    return describe_call(spec.model, spec.input_size if same else size, record.cost if same else None)


def describe_call(model: str, size: Size, cost: ProfileCost | None = None) -> Work:
    """Describe a call of `model` on one image of `size`; `cost` is what it costs there, where that was counted before."""
    return describe_work(model, size, cost or count_cost(model, size), traffic_kept(model).at(size))


def order_points(costs: Mapping[str, ProfileRecord], asked: Size) -> list[tuple[str, Size]]:
    """Return the calls worth measuring, the most telling first: the cheapest network of each design, the others, then a second size.

    No call is on a larger picture than was asked for.
    """
    cheap = sorted(costs, key=lambda name: costs[name].cost.macs)
    first: dict[str, str] = {}
    for name in cheap:
        first.setdefault(design_of(name), name)
    order = [*first.values(), *(name for name in cheap if name not in first.values())]
    sizes = [min((side, side), asked, key=math.prod) for side in reversed(SIDES)]
    return list(dict.fromkeys((name, size) for size in sizes for name in order if min(size) >= smallest_side(name)))


def measure_points(
    order: Sequence[tuple[str, Size]],
    estimator: Estimator,
    plan: Plan,
    seconds: float,
    measure: Callable[[ProfileSpec], ProfileRecord | None],
) -> tuple[Estimator, int]:
    """Measure the calls of `order` that are not known and will fit into `seconds`; return the estimator, and how many were left.

    `measure` returns None, or a record without a time, where a call could not be measured.
    """
    begun, start, left = time.perf_counter(), START_SECONDS, 0
    for name, size in order:
        if any((point.work.model, point.work.size) == (name, size) for point in estimator.points):
            continue
        told = estimator.estimate(work_of(plan.costs[name], size), "ms")
        passed = time.perf_counter() - begun
        if passed + start + (_calls_seconds(told.value) if told else _guess(plan.costs[name], size)) > seconds:
            left += 1
            continue
        record = measure(make_spec(name, size, dataclasses.replace(plan.timing, seconds=POINT_SECONDS)))
        if record is not None and record.latency is not None and record.cost is not None:
            start = max(0.0, time.perf_counter() - begun - passed - _calls_seconds(record.latency.median_ms))
            estimator = make_estimator((*estimator.points, make_point(record)))
    return estimator, left


def _calls_seconds(ms: float) -> float:
    return max(POINT_SECONDS, CALLS * ms / 1e3)


def _guess(record: ProfileRecord, size: Size) -> float:
    return _calls_seconds(record.cost.macs * math.prod(size) / math.prod(record.spec.input_size) / SLOW * 1e3)


def describe_here() -> MachineFile:
    """Describe this machine as its file does, without times."""
    import torch

    facts = machine.describe_machine()
    return MachineFile(
        schema=1,
        cpu=str(facts["cpu"]),
        cores=int(facts["cores"]),
        memory_gib=float(facts["memory_gib"]),
        instructions=torch.backends.cpu.get_cpu_capability(),
        gpu=str(facts.get("gpu", "")),
        times=(),
    )


@dataclass(frozen=True)
class Fitting:
    """What of a network would fit a budget: the largest picture of the same shape, and the side of the largest square tile in memory."""

    size: Size | None  # None: not even the smallest
    tile: int | None  # None: tiles do not help, or not even the smallest fits


def find_fitting(record: ProfileRecord, estimator: Estimator, ms: float | None, mib: float | None) -> Fitting:
    """Find what of the record's network would fit, by the estimates; a tile where memory alone is short, for tiles take no less time."""
    least, (height, width) = least_side(record.spec.model), record.spec.input_size

    def fits(size: Size, ms: float | None) -> bool:
        told = ((limit, estimator.estimate(work_of(record, size), what)) for limit, what in ((ms, "ms"), (mib, "mib")) if limit is not None)
        return all(value is not None and value.value <= limit for limit, value in told)

    def shaped(short: int) -> Size:
        long = round(short * max(height, width) / min(height, width))
        return (short, long) if height <= width else (long, short)

    short = _largest(lambda side: fits(shaped(side), ms), least, min(height, width))
    told = estimator.estimate(work_of(record), "ms") if ms is not None else None
    in_time = ms is None or (told is not None and told.value <= ms)
    tile = _largest(lambda side: fits((side, side), None), least, min(height, width)) if in_time and mib is not None else None
    return Fitting(shaped(short) if short else None, tile)


def least_side(model: str) -> int:
    """Return the smallest side at which a network runs and its cost is defined: one that is padded from less has no line of its own."""
    return max(smallest_side(model), count_kept(model).multiple)


def _largest(fits: Callable[[int], bool], low: int, high: int) -> int | None:
    """Return the largest side in low..high that fits, by halving; None where `low` does not."""
    if low > high or not fits(low):
        return None
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(middle) else (low, middle - 1)
    return low
