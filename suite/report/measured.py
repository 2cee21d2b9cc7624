"""Measured numbers: from the records of a cell to its mean, its interval, where it comes from, and how to get it again.

A number may be compared with a printed one only where `find_differences` of suite.report.comparable finds none. Means are taken over seeds
of one and the same setting, never across settings.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from suite.core.statistics import intervals, stats
from suite.records.kinds.evaluation import Evaluation
from suite.records.kinds.profile import ProfileRecord
from suite.records.record import Measured, Provenance, Record, error_line
from suite.records.spec import RunSpec
from suite.report.commands import evaluate_command, repeat_command
from suite.report.comparable import Difference
from suite.report.settings import Setting
from suite.report.trivial import TRIVIAL
from suite.study.published import UNIT_SCALES, PublishedColumn

NO_FEATURES = "the weights of its network were not there (python -m suite doctor)"


class Status(StrEnum):
    """What a published number's cell amounts to."""

    REPRODUCED = "reproduced"
    DEVIATES = "deviates"
    OTHERS = "other weights"
    RETRAINED = "re-trained"
    PUBLISHED = "published only"
    UNAVAILABLE = "unavailable"


@dataclass(frozen=True)
class Origin:
    """Where a measured number comes from: the distinct values over its records, and how to get it again."""

    fingerprints: tuple[str, ...]
    protocol: tuple[str, ...] = ()
    data: tuple[str, ...] = ()
    machine: tuple[str, ...] = ()
    commit: tuple[str, ...] = ()
    backend: tuple[str, ...] = ()
    command: str = ""
    unlike: tuple[Difference, ...] = ()  # what keeps it from being compared with a printed number


@dataclass(frozen=True)
class Delta:
    """A difference from the baseline row, in the column's unit, and what its 95 % interval is taken over."""

    value: float
    interval: tuple[float, float] | None = None
    over: Literal["seeds", "images", ""] = ""
    count: int = 0
    covers: float | None = None  # what share an approximate interval was measured to cover


@dataclass(frozen=True)
class Measurement:
    """A measured number in its column's unit."""

    estimate: stats.Estimate
    seeds: tuple[int, ...]  # none for a cost
    setting: Setting | None  # None for a cost, and for given weights
    records: tuple[Record, ...] | tuple[Evaluation, ...] | tuple[ProfileRecord, ...]
    origin: Origin
    notes: tuple[str, ...] = ()
    input_size: tuple[int, int] | None = None  # of a cost's multiply-adds

    @property
    def given(self) -> bool:
        """Tell whether it is of given weights, or of a baseline."""
        return isinstance(self.records[0], Evaluation)

    @property
    def label(self) -> str:
        """Return what was measured."""
        spec = self.records[0].spec
        return f"{spec.model} on {spec.task}" if isinstance(spec, RunSpec) else spec.label


@dataclass(frozen=True)
class TableCell:
    """One cell: what the paper prints, what was measured, and what to make of the two."""

    published: float | bool | None = None
    measured: Measurement | None = None
    difference: float | None = None  # measured - published, where the two may be compared
    delta_published: float | None = None  # from the baseline row
    delta_measured: Delta | None = None
    status: Status | None = None
    reason: str = ""
    command: str = ""  # what to run to know more
    trains: tuple[RunSpec, ...] = ()  # the cells that the command makes, where they are new
    marks: tuple[str, ...] = ()  # of footnotes
    published_rank: int | None = None  # among the printed values of its column and group of rows, 1 = best
    measured_rank: int | None = None  # among the measured ones
    shown_rank: int | None = None  # the same, where seeds tell it from the next one and it is better than what needs no training


def make_unavailable_cell(records: Sequence[Record], metric: str, grid: str) -> TableCell:
    """Return the cell of records that hold no number: why, and how to try again."""
    failed = [record for record in records if record.status == "failed"]
    why = f": {NO_FEATURES}" if metric.startswith("LPIPS-") else ""
    reason = f"failed: {error_line(failed[-1])}" if failed else f"its record holds no {metric}{why}"
    trains = tuple(record.spec for record in records if record.spec.model not in TRIVIAL)
    return TableCell(status=Status.UNAVAILABLE, reason=reason, command=repeat_command(grid, records), trains=trains)


def has_metric(record: Measured, metric: str) -> bool:
    """Tell whether every test image of the record has the metric."""
    return bool(record.scores) and all(metric in score.metrics for score in record.scores)


def average_seeds(records: Sequence[Record], metric: str, setting: Setting, grid: str) -> Measurement | None:
    """Average `metric` over the seeds of one `setting`; None where no record holds it."""
    usable = [record for record in records if record.status == "done" and has_metric(record, metric)]
    if not usable:
        return None
    lost = [str(record.spec.seed) for record in records if record.status == "failed"]
    notes = (f"without failed seed {', '.join(lost)}",) if lost else ()
    estimate = stats.estimate_over_seeds([record.mean(metric) for record in usable])
    seeds = tuple(record.spec.seed for record in usable)
    return Measurement(estimate, seeds, setting, tuple(usable), trace_origin(usable, repeat_command(grid, usable)), notes)


def measure_given(records: Sequence[Evaluation], metric: str, notes: Sequence[str]) -> Measurement:
    """Return the mean of `metric` over the images of evaluations of one file of weights, which differ in nothing but the seed.

    With several the interval is over what a network draws where it restores; with one there is none.
    """
    means = [record.mean(metric) for record in records]
    told = (
        [f"mean of {len(means)} seeds of what it draws where it restores, {min(means):.4f} to {max(means):.4f}"] if len(means) > 1 else []
    )
    origin = trace_origin(records, "; ".join(map(evaluate_command, records)))
    return Measurement(stats.estimate_over_seeds(means), (), None, tuple(records), origin, (*notes, *told))


def trace_origin(records: Sequence[Measured], again: str) -> Origin:
    """Return where these records come from; `again` is the command that repeats them."""
    made = [record.provenance for record in records if record.provenance]
    return Origin(
        fingerprints=tuple(record.fingerprint for record in records),
        protocol=_distinct(f"{r.protocol.name}@{r.protocol.version}: {r.protocol.statement}" for r in records if r.protocol),
        data=_distinct(f"{split} {digest}" for p in made for split, digest in p.data_checksums.items()),
        machine=_distinct(", ".join(f"{key} {value}" for key, value in p.machine.items()) for p in made),
        commit=_distinct(map(_commit, made)),
        backend=_distinct(f"{r.spec.backend}: {r.provenance.backend_reason}" for r in records if r.provenance),
        command=again,
    )


@dataclass(frozen=True)
class Count:
    """A counted cost: of a trained network's record or of a profile."""

    record: Record | ProfileRecord
    input_size: tuple[int, int]
    conventions: Mapping[str, float]  # multiply-adds by other ways to count
    origin: Origin

    @property
    def finished(self) -> str:
        """When it was made; a later one counts."""
        return self.record.provenance.finished if self.record.provenance else ""

    def value(self, column: PublishedColumn, printed: float | bool | None) -> tuple[float, str]:
        """Return the cost in the column's unit and a note: which convention it is by where only that one gives the printed number."""
        scale = UNIT_SCALES[column.unit]
        own = float(getattr(self.record.cost, column.metric)) / scale
        if column.metric != "macs" or not isinstance(printed, float) or column.tolerance is None or column.tolerance.covers(printed, own):
            return own, ""
        for name, macs in self.conventions.items():
            if column.tolerance.covers(printed, macs / scale):
                return macs / scale, f"by the convention “{name}”; in full {own:,.{column.digits}f}"
        return own, ""


def get_count(record: Record | ProfileRecord) -> Count:
    """Return the cost that a record or a profile holds; ValueError where it holds none. To count it again takes no training."""
    if record.cost is None:
        raise ValueError(f"the record {record.fingerprint} holds no cost")
    size = record.spec.input_size if isinstance(record, ProfileRecord) else record.cost.input_size
    again = f"python -m suite profile {shlex.quote(record.spec.model)} --size {size[0]}x{size[1]}"
    if isinstance(record, Record):
        return Count(record, size, {}, trace_origin([record], again))
    commit = (_commit(record.provenance),) if record.provenance else ()
    return Count(record, size, record.cost.conventions, Origin((record.fingerprint,), commit=commit, command=again))


def _commit(made: Provenance) -> str:
    return made.commit + (" with uncommitted changes" if made.dirty else "")


def _distinct(values: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(values))


def subtract_baseline(mine: Measurement | None, base: Measurement | None, metric: str) -> Delta | None:
    """Subtract the baseline, paired where possible: by seed with two seeds or more, by image with one; None across settings."""
    if mine is None or base is None or mine.setting != base.setting:
        return None
    if mine.given != base.given:
        return None
    if mine.given and len(mine.records) == len(base.records) == 1:
        return _subtract_images(mine.records[0], base.records[0], metric) or Delta(mine.estimate.mean - base.estimate.mean)
    if not mine.seeds or not base.seeds:  # costs
        return Delta(mine.estimate.mean - base.estimate.mean)
    ours, theirs = ({record.spec.seed: record for record in found.records if isinstance(record, Record)} for found in (mine, base))
    common = sorted(set(mine.seeds) & set(base.seeds))
    if len(common) > 1:
        estimate = stats.estimate_over_seeds([ours[seed].mean(metric) - theirs[seed].mean(metric) for seed in common])
        return Delta(estimate.mean, estimate.interval, "seeds", estimate.count)
    found = _subtract_images(ours[common[0]], theirs[common[0]], metric) if common else None
    return found or Delta(mine.estimate.mean - base.estimate.mean)


def _subtract_images(mine: Measured, base: Measured, metric: str) -> Delta | None:
    """Subtract image by image; None where the images are not the same."""
    left, right = ({score.image: score.metrics[metric] for score in record.scores} for record in (mine, base))
    if left.keys() != right.keys():
        return None
    estimate = stats.estimate_over_images([left[image] - right[image] for image in left])
    covers = intervals.measured_cover(estimate.count) if estimate.interval else None
    return Delta(estimate.mean, estimate.interval, "images", estimate.count, covers)
