"""Timing a call, one measurement at a time: samples, how sure they are, and how much memory it needs while it runs.

A sample is the wall time of one call, or of as many as last SAMPLE_SECONDS, divided by them. Samples are taken in rounds: around a round
the system's clocks and the process's own tell how much of the machine others used, and a round in which that was more than OTHERS_LIMIT is
repeated. Every sample is kept; median and quartiles are those of the quiet rounds, or of all where too few were quiet, which is "noisy".

A call allocates its results, as it does in a network, so the first touch of their pages is part of it. On a GPU the clock is CUDA's own
events, and what others do there cannot be seen.
"""

from __future__ import annotations

import contextlib
import ctypes
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

from suite.core.errors import Exit, SuiteError
from suite.core.files import take_lock
from suite.records.kinds.scan import ScanRound

Call = Callable[[], object]
Device = Literal["cpu", "cuda"]

LOCK_FILE = "ssm-suite-timing.lock"  # in the folder for temporary files, which is the machine's own also where homes are shared
OTHERS_LIMIT = 0.12  # share of the machine; up to here other processes move a two-core median by less than its spread
SAMPLE_SECONDS = 5e-3  # far above the clock's resolution, and few enough samples to keep them all
ROUND_SECONDS = 0.2  # twenty ticks of the system's clock, so that a share is known to 5 % of one core
FEWEST_SAMPLES = 3
QUIET_SAMPLES = 5  # of quiet rounds, to leave the others out
MOST_REPEATS = 3.0  # times the asked time may pass in repeating rounds that were not quiet
STABLE = 0.1  # warm-up ends when three calls in a row are within this share of one another


@dataclass(frozen=True)
class Samples:
    """All rounds of one measurement, and how many calls went before."""

    rounds: tuple[ScanRound, ...]
    warm_up: int

    @property
    def noisy(self) -> bool:
        """True where too few samples are from quiet rounds, so that the others count too."""
        return len(self._seconds(quiet=True)) < min(QUIET_SAMPLES, len(self._seconds()))

    @property
    def used(self) -> tuple[float, ...]:
        """The samples, in seconds, that the statistics are taken of."""
        return self._seconds(quiet=not self.noisy)

    @property
    def median(self) -> float:
        """Seconds."""
        return statistics.median(self.used)

    @property
    def quartiles(self) -> tuple[float, float]:
        """Return where the middle half of the samples begins and ends, in seconds."""
        return compute_quartiles(self.used)

    def _seconds(self, *, quiet: bool = False) -> tuple[float, ...]:
        return tuple(second for found in self.rounds if _is_quiet(found) or not quiet for second in found.seconds)


def _is_quiet(found: ScanRound) -> bool:
    """Tell whether others did not use the machine much, as far as is known."""
    return found.others is None or found.others <= OTHERS_LIMIT


def compute_quartiles(values: Sequence[float]) -> tuple[float, float]:
    """Return the first and the third quartile, interpolated between samples; of one sample, itself twice."""
    if len(values) < 2:
        return values[0], values[0]
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, high


@contextlib.contextmanager
def hold_machine() -> Iterator[None]:
    """Hold this machine for one timing run; SuiteError where another holds it."""
    path = Path(tempfile.gettempdir()) / LOCK_FILE
    try:
        handle = path.open("a+", encoding="ascii")
    except OSError as error:
        raise SuiteError(
            f"the lock {path}, which keeps two timing runs apart, cannot be opened: {error.strerror or error}. "
            "Give permission, or name another folder for temporary files in TMPDIR.",
            exit=Exit.NOT_READY,
        ) from error
    with handle:
        holder = take_lock(handle)
        if holder is not None:
            raise SuiteError(
                f"process {holder} is timing on this machine, and two timing runs disturb each other. Wait until it ends, or stop it.",
                exit=Exit.NOT_READY,
            )
        yield


def take_samples(call: Call, device: Device, seconds: float) -> Samples:
    """Sample `call` for about `seconds` after a warm-up, longer where others use the machine, at least FEWEST_SAMPLES."""
    typical, warm_up = _warm_up(call, device, seconds / 4)
    calls = max(1, round(SAMPLE_SECONDS / typical)) if typical < SAMPLE_SECONDS else 1
    rounds: list[ScanRound] = []
    begun = time.perf_counter()
    while True:
        rounds.append(_round(call, device, calls, min(seconds, ROUND_SECONDS)))
        found, passed = Samples(tuple(rounds), warm_up), time.perf_counter() - begun
        quiet_time = sum(sum(r.seconds) * r.calls for r in rounds if _is_quiet(r))
        enough = len(found._seconds()) >= FEWEST_SAMPLES
        if enough and (passed >= MOST_REPEATS * seconds or (quiet_time >= seconds and not found.noisy)):
            return found


def time_once(call: Call, device: Device) -> float:
    """Time a single call, its work on the device included; seconds."""
    _finish(device)
    begun = time.perf_counter()
    call()
    _finish(device)
    return time.perf_counter() - begun


def call_in_turn(one: Callable[[], float], other: Callable[[], float]) -> tuple[tuple[float, float], tuple[float, float]]:
    """Take two values of each in the order A B B A, so that what drifts in a machine meets both alike; return those of A and those of B."""
    first, second, third, fourth = one(), other(), other(), one()
    return (first, fourth), (second, third)


def _warm_up(call: Call, device: Device, seconds: float) -> tuple[float, int]:
    """Call until three in a row are alike, or `seconds` have passed; return the seconds of a call and how many calls that took."""
    last: list[float] = []
    begun = time.perf_counter()
    while True:
        last.append(time_once(call, device))
        recent = last[-3:]
        alike = len(recent) == 3 and max(recent) <= (1 + STABLE) * min(recent)
        if alike or time.perf_counter() - begun >= seconds:
            return min(recent), len(last)


def _round(call: Call, device: Device, calls: int, seconds: float) -> ScanRound:
    found: list[float] = []
    sample = _sample_on_gpu if device == "cuda" else _sample
    before = _processor_seconds() if device == "cpu" else None
    begun = time.perf_counter()
    while not found or time.perf_counter() - begun < seconds:
        found.append(sample(call, calls))
    return ScanRound(seconds=tuple(found), calls=calls, others=_others(before, _processor_seconds() if before else None))


def _sample(call: Call, calls: int) -> float:
    begun = time.perf_counter()
    for _ in range(calls):
        call()
    return (time.perf_counter() - begun) / calls


def _sample_on_gpu(call: Call, calls: int) -> float:
    first, last = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    first.record()
    for _ in range(calls):
        call()
    last.record()
    last.synchronize()
    return first.elapsed_time(last) / 1e3 / calls


def _finish(device: Device) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def _processor_seconds() -> tuple[float, float, float] | None:
    """Return the seconds that all processors were busy, all seconds of theirs, and this process's own; None where the system tells none."""
    import psutil

    try:
        times = psutil.cpu_times()._asdict()
    except OSError:
        return None
    idle = times["idle"] + times.get("iowait", 0.0)
    total = sum(seconds for name, seconds in times.items() if not name.startswith("guest"))  # guests are part of user and nice
    return total - idle, total, time.process_time()


def _others(before: tuple[float, float, float] | None, after: tuple[float, float, float] | None) -> float | None:
    """Return the share of the machine's processors that other processes used between the two; None where it is not known."""
    if before is None or after is None:
        return None
    busy, total, own = (later - earlier for earlier, later in zip(before, after, strict=True))
    return max(0.0, min(1.0, (busy - own) / total)) if total > 0 else None  # no tick passed: too short to know


def measure_peak_memory(call: Call, device: Device) -> int | None:
    """Measure the memory that a call needs beyond what is held before it, results included; None where it cannot be measured.

    On a GPU: of PyTorch's allocator. On a CPU: growth of the resident set to its peak, which the kernel keeps (Linux; to about 0.1 MiB a
    thread), after memory that earlier calls left free was given back.
    """
    if device == "cuda":
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        held = torch.cuda.memory_allocated()
        call()
        torch.cuda.synchronize()
        return torch.cuda.max_memory_allocated() - held
    try:
        _give_back_free_memory()
        return measure_growth(call)
    except OSError:
        return None


def _give_back_free_memory() -> None:
    """Let glibc return free memory to the system; elsewhere nothing happens."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def measure_growth(call: Call) -> int:
    """Measure by how much the resident set is larger at its peak in the call than before (Linux); OSError where that is not known."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    held = _status_bytes("VmRSS")
    call()
    return max(0, _status_bytes("VmHWM") - held)


def _status_bytes(field: str) -> int:
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        name, _, value = line.partition(":")
        if name == field:
            return int(value.split()[0]) * 1024
    raise OSError(f"/proc/self/status has no {field}")
