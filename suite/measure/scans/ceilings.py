"""Ceilings of this machine, measured: bytes a second through memory, exponentials a second; and what they mean for a scan.

A scan of E = batch * channels * states * length elements needs one exponential an element forward, and a second one backward, where the
decays are needed again and storing them would cost more. It moves u, delta, B, C and y once, and with its backward pass the gradients of
these five once. So no scan can take less than

    max(bytes / bandwidth, exponentials / throughput)

and the fraction of the ceiling is that time divided by the measured one. Neither bound counts the multiply-adds, of which a scan needs at
least three an element, nor A, D and their gradients, which are small.
"""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable

import torch

from models.scan.backends import BackendUnavailable, module_of
from models.scan.cases import Case
from suite.measure.timing import Device, time_once
from suite.records.kinds.scan import CeilingsUsed, Work

COPY_BYTES = {"cpu": 128 * 2**20, "cuda": 2**30}  # far beyond any cache
CEILING_SECONDS = 1.0  # that each is looked for: the machine may be shared, and the best counts
FEWEST_REPEATS = 7  # at least
TORCH_VALUES = 2**18  # 1 MiB: resident in a second-level cache
TORCH_PASSES = 50


def measure_ceilings(device: Device) -> CeilingsUsed:
    """Measure both ceilings of the device with the threads that torch has; two or three seconds."""
    throughput, method = _exponentials(device)
    source = torch.ones(COPY_BYTES[device] // 4, dtype=torch.float32, device=device)
    target = torch.zeros_like(source)
    bandwidth = 2 * COPY_BYTES[device] / _best(lambda: target.copy_(source), device)
    return CeilingsUsed(bandwidth_bytes_per_second=bandwidth, exponentials_per_second=throughput, exponentials_method=method)


def count_moved_bytes(case: Case, work: Work) -> int:
    """Count the bytes of u, delta, B, C and y once; with the backward pass those of their gradients too."""
    size = getattr(torch, case.dtype).itemsize
    rows, streams = case.batch * case.channels * case.length, case.batch * case.groups * case.states * case.length
    return (3 * rows + 2 * streams) * size * (1 if work == "forward" else 2)


def count_exponentials(case: Case, work: Work) -> int:
    """Count one an element forward, two with the backward pass."""
    return case.elements * (1 if work == "forward" else 2)


def _exponentials(device: Device) -> tuple[float, str]:
    """Measure values a second, and name the method: in registers where a backend of this suite can, else by torch in a cache."""
    if device == "cuda":
        return _exponentials_on_gpu()
    try:
        throughput = module_of("cpp").exp2_throughput
        return max(_repeated(throughput)), "2^x of the cpp backend, in registers"
    except (BackendUnavailable, AttributeError):  # no compiler here
        values = torch.zeros(TORCH_VALUES)

        def passes() -> None:
            for _ in range(TORCH_PASSES):
                torch.exp2_(values)

        return TORCH_VALUES * TORCH_PASSES / _best(passes, device), "torch.exp2, in a cache (the cpp backend is not available)"


def _exponentials_on_gpu() -> tuple[float, str]:
    try:
        chain = importlib.import_module("suite.measure.scans.ceilings_triton").make_exp2_chain
    except ImportError:  # no Triton: what is written and read passes through memory, so this is low
        values = torch.zeros(2**22, device="cuda")
        return values.numel() / _best(lambda: torch.exp2_(values), "cuda"), "torch.exp2, in a cache (Triton is not installed: low)"
    work: Callable[[], int] = chain(2**22)
    return work() / _best(work, "cuda"), "2^x of the special function units, in registers"


def _best(call: Callable[[], object], device: Device) -> float:
    """Time the shortest call, in seconds: a ceiling is what can be reached."""
    time_once(call, device)
    return min(_repeated(lambda: time_once(call, device)))


def _repeated(value: Callable[[], float]) -> list[float]:
    """Take values for CEILING_SECONDS, at least FEWEST_REPEATS of them."""
    found: list[float] = []
    begun = time.perf_counter()
    while len(found) < FEWEST_REPEATS or time.perf_counter() - begun < CEILING_SECONDS:
        found.append(value())
    return found
