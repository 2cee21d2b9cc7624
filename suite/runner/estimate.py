"""Estimates of how long cells will take and what they need on disk, and where they come from.

Best first: earlier runs of the same network on this machine; of other networks at the same size on this machine; a rough
rule, measured on narrow networks on one processor, which does not exist for GPUs. A cell's threads are not considered.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from datetime import datetime
from statistics import mean, median

import models
from suite.core import machine
from suite.core.text import format_clock
from suite.records.kinds.scan import ScanRecord
from suite.records.ledger import Ledger
from suite.records.record import Attempt, Record
from suite.records.spec import RunSpec, ScanSpec
from suite.records.trainings import Trainings, choose_trainers

BYTES_PER_PARAMETER = 16.25  # of one checkpoint: float32 weights, moments and average
COPIES = 4  # where one worker trains: the last two checkpoints, the best and a new one
MADE_COPIES = 1  # where several do: what the first of them writes before it goes to the storage
STORED_COPIES = 4  # and in the storage: the last two, a new one, and what a worker that was lost had just brought there
RECORD_MIB = 0.2  # with the crops of three test images

# The rough rule: processor time on one core of an AMD EPYC server, of both designs as the quick budget narrows them.
RULE_FOR = (("cpu", "numba"), ("cpu", "cpp"))
RULE_SECONDS = 1e-6  # an iteration, per low-quality pixel of the batch, feature and block; measured: 5.7e-7 to 1.8e-6, by processor
REST_SECONDS = 20.0  # of a cell outside its training steps; measured: 19 and 22
# What decides the time of an iteration.
SAME_SIZE = ("width", "depth_divisor", "batch", "patch", "backend", "dtype", "device", "degrade_on")

EARLIER = "earlier runs of the same network on this machine"
SIMILAR = "earlier runs of other networks at the same size on this machine"
ROUGH = "a rough rule"
TRAINED, BESIDE = "trained already, evaluate only", "evaluate only"  # states of cells, the second behind the one that trains
LOST = "weights gone"  # of an earlier training, which is made again
UNKNOWN = "no such network has run on this machine, and there is no rule for its device or backend"


@dataclass(frozen=True)
class RunEstimate:
    """The time of the cells that are not done, one after another, and the disk space that they need at once."""

    seconds: float | None  # None where nothing is known of some cell
    disk_mib: float  # below the ledger
    basis: str
    storage_mib: float = 0.0  # in another storage of several workers
    evaluated_only: Mapping[str, str] = field(default_factory=dict)  # cells that are not done and train nothing: their state, in words
    lost: frozenset[str] = frozenset()  # cells that train once more what was trained, for its weights are gone

    def sentence(self, slots: int | None) -> str:
        """Return the estimate in words; `slots` cells run at a time (None: it is not known how many)."""
        disk = f"about {self.disk_mib:.0f} MiB on disk"
        if self.storage_mib:
            disk += f" and {self.storage_mib:.0f} MiB in the storage"
        if self.seconds is None:
            return f"time unknown, {disk} ({self.basis})"
        if self.seconds == 0:
            return "nothing is left to do"
        if slots is None:
            return f"about {format_clock(self.seconds)} of computing, {disk} (by {self.basis})"
        return f"about {format_clock(self.seconds / slots)}, {slots} at a time, {disk} (by {self.basis})"

    def as_dict(self, slots: int | None) -> dict[str, object]:
        """Return the estimate for `--json`."""
        wall = None if self.seconds is None or slots is None else self.seconds / slots
        return {
            "cell_seconds": self.seconds,
            "wall_seconds": wall,
            "cells_at_a_time": slots,
            "disk_mib": self.disk_mib,
            "storage_mib": self.storage_mib,
            "basis": self.basis,
        }


@dataclass(frozen=True)
class Seen:
    """The times of an earlier cell."""

    spec: RunSpec
    iteration: float  # median seconds of a training step
    rest: float  # seconds outside training: loading, validation, evaluation
    params: int | None


def estimate_runs(
    cells: Sequence[RunSpec],
    ledger: Ledger,
    workers: int = 1,
    storage: str = "",
    *,
    done: Set[str] | None = None,
    retrained: Set[str] = frozenset(),
) -> RunEstimate:
    """Estimate what is left of `cells`, from the ledger's records where they tell; `done` are left out (default: those with a record).

    The trainings of cells of `retrained` are made anew, though they are done.

    Where several `workers` train a cell, their checkpoints are in `storage`; empty: below the ledger, too.
    """
    skipped = ledger.find_done([spec.fingerprint for spec in cells]) if done is None else done
    left = [spec for spec in cells if spec.fingerprint not in skipped]
    here = machine.describe_machine()
    seen: list[Seen] = []
    held = watch_times(ledger.records(lambda _error: None), seen, lambda one: one == here)  # run and report name unreadable records
    trainings = Trainings(cells, held, retrained)
    trainers = choose_trainers(left, trainings, ledger.weights)
    guesses = [_seconds(spec, seen, trains=spec.fingerprint in trainers) for spec in left]
    counts = Counter(basis for _, basis in guesses)
    basis = "; ".join(f"{basis} ({count} of {len(left)} cells)" if len(counts) > 1 else basis for basis, count in counts.items())
    known = [seconds for seconds, _ in guesses if seconds is not None]
    checkpoint = _checkpoint_mib([spec for spec in left if spec.fingerprint in trainers], seen, workers)
    copies, stored = (COPIES, 0) if workers == 1 else (MADE_COPIES, STORED_COPIES) if storage else (MADE_COPIES + STORED_COPIES, 0)
    seconds = sum(known) if len(known) == len(guesses) else None
    only = {
        spec.fingerprint: TRAINED if trainings.find_trained(spec, ledger.weights) else BESIDE
        for spec in left
        if spec.fingerprint not in trainers
    }
    lost = frozenset(spec.fingerprint for spec in left if spec.fingerprint in trainers and trainings.is_lost(spec, ledger.weights))
    return RunEstimate(seconds, checkpoint * copies + RECORD_MIB * len(left), basis, checkpoint * stored, only, lost)


def _seconds(spec: RunSpec, seen: Sequence[Seen], *, trains: bool) -> tuple[float | None, str]:
    """Return the seconds of one cell, which `trains` or measures what another trained, and by what."""
    iterations = spec.iterations if trains else 0
    alike = [past for past in seen if all(getattr(past.spec, name) == getattr(spec, name) for name in SAME_SIZE)]
    same = [past for past in alike if past.spec.model == spec.model]
    task = [past for past in alike if past.spec.task == spec.task]
    for known, basis in ((same, EARLIER), (task or alike, SIMILAR)):
        if known:
            return mean(past.iteration * iterations + past.rest for past in known), basis
    rough = _rough_seconds(spec, iterations)
    return (None, UNKNOWN) if rough is None else (rough, ROUGH)


def collect_seen(records: Iterable[Attempt], is_there: Callable[[Mapping[str, object]], bool]) -> list[Seen]:
    """Return the times of the trainings that were done on the machines of which `is_there` is true."""
    seen: list[Seen] = []
    for _ in watch_times(records, seen, is_there):
        pass
    return seen


def watch_times(records: Iterable[Attempt], seen: list[Seen], is_there: Callable[[Mapping[str, object]], bool]) -> Iterator[Attempt]:
    """Pass the records on, and add the times of trainings that were done on the machines of which `is_there` is true to `seen`."""
    for record in records:
        yield record
        made = record.provenance
        if not isinstance(record, Record):
            continue
        if record.status != "done" or made is None or not is_there(made.machine) or not record.iteration_seconds or record.trained_by:
            continue
        wall = (datetime.fromisoformat(made.finished) - datetime.fromisoformat(made.started)).total_seconds()
        outside = wall - sum(record.iteration_seconds)  # negative where an earlier attempt did part of the training
        rest = max(outside, record.evaluate_seconds or 0.0)
        seen.append(Seen(record.spec, median(record.iteration_seconds), rest, record.trained_params))


def estimate_roughly(spec: RunSpec) -> float | None:
    """Estimate the seconds of a cell by the rule alone; None where there is none for its device or backend."""
    return _rough_seconds(spec, spec.iterations)


def _rough_seconds(spec: RunSpec, iterations: int) -> float | None:
    """Apply the rule: training time goes with low-quality pixels, width and number of blocks, as the scans do."""
    if (spec.device, spec.backend) not in RULE_FOR:
        return None
    card = models.card(spec.model)
    config = card.config.narrowed(spec.width, spec.depth_divisor) if spec.width else card.config
    pixels = spec.batch * (spec.patch // card.scale) ** 2
    return REST_SECONDS + iterations * RULE_SECONDS * pixels * config.work


def _checkpoint_mib(left: Sequence[RunSpec], seen: Sequence[Seen], workers: int) -> float:
    """Return the MiB of a checkpoint of each of the largest cells, of as many as can be under way at once."""
    checkpoints = sorted((_params(spec, seen) * BYTES_PER_PARAMETER / 2**20 for spec in left), reverse=True)
    return sum(checkpoints[: max(1, machine.count_cores() // workers)])


def _params(spec: RunSpec, seen: Sequence[Seen]) -> int:
    """Return the parameters of the trained network: as seen, else as published, with the square of the width."""
    for past in seen:
        if past.params and (past.spec.model, past.spec.width, past.spec.depth_divisor) == (spec.model, spec.width, spec.depth_divisor):
            return past.params
    card = models.card(spec.model)
    config = card.config.narrowed(spec.width, spec.depth_divisor) if spec.width else card.config
    while card.params is None and card.parent is not None:
        card = models.card(card.parent)
    if card.params is None:  # a design from outside, which has loaded torch
        import torch

        with torch.device("meta"):
            return sum(value.numel() for value in models.build(config).parameters())
    narrowing = spec.width / card.config.dim if spec.width else 1.0
    return round(card.params * narrowing**2)


SCAN_RECORD_MIB = 0.5  # with every sample
# A rough rule for the time of a cell, measured on two cores: seconds to build and to verify, and how often a time's `seconds` pass.
BUILD_AND_VERIFY_SECONDS, TIMES_SECONDS = 25.0, 2.0


def estimate_scans(specs: Sequence[ScanSpec], ledger: Ledger) -> RunEstimate:
    """Estimate what is left of the cells.

    By earlier ones of the same backend over the same cases on this machine, else by the times asked for.
    """
    done = ledger.find_done([spec.fingerprint for spec in specs])
    left = [spec for spec in specs if spec.fingerprint not in done]
    past = [record for record in ledger.records(lambda _error: None) if isinstance(record, ScanRecord) and record.status == "done"]
    found = [_scan_seconds(spec, past) for spec in left]
    basis = "earlier runs" if found and all(known for _, known in found) else "the time asked for each measurement"
    return RunEstimate(sum(seconds for seconds, _ in found), SCAN_RECORD_MIB * len(left), basis)


def _scan_seconds(spec: ScanSpec, past: Sequence[ScanRecord]) -> tuple[float, bool]:
    """Return the seconds of a cell, and whether they are known from an earlier one."""
    from models.scan.backends import BACKENDS  # late: it loads torch, which a page is made without
    from models.scan.cases import CASES

    same = [
        (datetime.fromisoformat(record.provenance.finished) - datetime.fromisoformat(record.provenance.started)).total_seconds()
        for record in past
        if record.provenance and record.spec.model_copy(update={"software": spec.software}) == spec
    ]
    if same:
        return mean(same), True
    paths = len(spec.cases) + (
        2 * sum(bool(CASES[name].side) for name in spec.cases) if spec.images and BACKENDS[spec.backend].image else 0
    )
    return BUILD_AND_VERIFY_SECONDS + TIMES_SECONDS * spec.seconds * paths * (2 if spec.backward else 1), False
