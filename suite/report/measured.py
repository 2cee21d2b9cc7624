"""Measured numbers: from the records of a cell to its mean, its interval, where it comes from, and how to get it again.

A number may be compared with a printed one only where `obstacle` finds nothing against it. Means are taken over seeds
of one and the same condition, never across conditions.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import PurePath
from typing import Literal

from suite.core import intervals, stats
from suite.records.profile import ProfileRecord
from suite.records.record import Record, error_line
from suite.records.spec import RunSpec
from suite.study.grids import GRIDS
from suite.study.published import SCALES, Column, PublishedTable

COMMAND = "python -m suite run"


class Status(StrEnum):
    """What a published number's cell amounts to."""

    REPRODUCED = "reproduced"
    DEVIATES = "deviates"
    RETRAINED = "re-trained"
    PUBLISHED = "published only"
    UNAVAILABLE = "unavailable"


@dataclass(frozen=True)
class Origin:
    """Where a measured number comes from: the distinct values over its records, and how to get it again."""

    fingerprints: tuple[str, ...]
    protocol: tuple[str, ...]
    data: tuple[str, ...]
    machine: tuple[str, ...]
    commit: tuple[str, ...]
    backend: tuple[str, ...]
    command: str


@dataclass(frozen=True)
class Delta:
    """A difference from the baseline row, in the column's unit, and what its 95 % interval is taken over."""

    value: float
    interval: tuple[float, float] | None = None
    over: Literal["seeds", "images", ""] = ""
    count: int = 0
    covers: float | None = None  # what share an approximate interval was measured to cover


@dataclass(frozen=True)
class Measured:
    """A measured number in its column's unit."""

    estimate: stats.Estimate
    seeds: tuple[int, ...]  # none for a cost
    condition: str  # what it was measured under; "" for a cost
    records: tuple[Record, ...] | tuple[ProfileRecord, ...]
    origin: Origin
    notes: tuple[str, ...] = ()
    input_size: tuple[int, int] | None = None  # of a cost's multiply-adds


@dataclass(frozen=True)
class Cell:
    """One cell: what the paper prints, what was measured, and what to make of the two."""

    published: float | bool | None = None
    measured: Measured | None = None
    difference: float | None = None  # measured - published, where the two may be compared
    delta_published: float | None = None  # from the baseline row
    delta_measured: Delta | None = None
    status: Status | None = None
    reason: str = ""
    command: str = ""  # what to run to know more
    marks: tuple[str, ...] = ()  # of footnotes
    published_rank: int | None = None  # among the printed values of its column and group of rows, 1 = best
    measured_rank: int | None = None  # among the measured ones


def condition(spec: RunSpec) -> str:
    """Equal for two cells exactly if they differ in nothing but the model and the seed."""
    return json.dumps(spec.model_dump(mode="json", exclude={"model", "seed"}), sort_keys=True)


def dataset_name(name: str) -> str:
    """A data set as a header shows it: a folder by its last part."""
    return PurePath(name).name or name


def told(spec: RunSpec) -> tuple[str, str]:
    """What people are told of a cell's setting: a title, and its conditions."""
    network = "full network" if not spec.width and spec.depth_divisor == 1 else f"width {spec.width or 'full'}, depth ÷{spec.depth_divisor}"
    there = f"; crops degraded on the {spec.device} device" if spec.degrade_on == "device" else ""
    size = f"{network}; {spec.iterations:,} iterations"
    return f"Re-trained at {spec.budget} budget", f"test set {dataset_name(spec.test_set)}; {size}{there}"


def heading(spec: RunSpec) -> str:
    """What the measurements of a condition are called away from their table."""
    title, conditions = told(spec)
    return f"{spec.task}: {title[0].lower()}{title[1:]}; {conditions}"


def by_condition(records: Iterable[Record]) -> tuple[tuple[Record, ...], ...]:
    """The records of each condition, by seed within a model, in the order in which conditions and models first appear."""
    groups: dict[str, list[Record]] = {}
    for record in records:
        groups.setdefault(condition(record.spec), []).append(record)
    found = []
    for members in groups.values():
        models = list(dict.fromkeys(record.spec.model for record in members))
        found.append(tuple(sorted(members, key=lambda record: (models.index(record.spec.model), record.spec.seed))))
    return tuple(found)


def command(grid: str, model: str, task: str, *, budget: str = "", seeds: int = 1, changes: Mapping[str, str] | None = None) -> str:
    """The command line that measures `model` on `task` as a row of `grid`; the task is named where the grid has several for the model."""
    several = grid in GRIDS and sum(pairing.model == model for pairing in GRIDS[grid].pairings) > 1
    words = [COMMAND, "--grid", shlex.quote(grid), "--only", shlex.quote(f"{model}@{task}" if several else model)]
    words += ["--budget", shlex.quote(budget)] if budget else []
    words += ["--seeds", str(seeds)] if seeds > 1 else []
    for field, value in (changes or {}).items():
        words += ["--set", shlex.quote(f"{field}={value}")]
    return " ".join(words)


def regenerate(grid: str, records: Sequence[Record]) -> str:
    """The command line that measures these cells again: one model, one condition, one or more seeds."""
    spec = records[0].spec
    sets = ("train_set", "validation_set", "test_set")
    changes = {field: getattr(spec, field) for field in sets if getattr(spec, field) != RunSpec.model_fields[field].default}
    return command(grid, spec.model, spec.task, budget=spec.budget, seeds=max(r.spec.seed for r in records) + 1, changes=changes)


def obstacle(spec: RunSpec, column: Column, table: PublishedTable) -> str:
    """Why a cell of this spec may not be compared with a printed number of `column`; "" where it may."""
    reasons = [table.unlike] if table.unlike and "gan" not in spec.loss else []
    if spec.budget != "paper":
        reasons.append(f"{spec.budget} budget")
    if spec.width or spec.depth_divisor != 1:
        reasons.append("narrowed network")
    if _plain(spec.test_set) not in {_plain(name) for name in column.test_sets}:
        folder = "the folder " if "/" in spec.test_set or "\\" in spec.test_set else ""
        reasons.append(f"on {folder}{dataset_name(spec.test_set)}")
    if table.protocols and spec.protocol.partition("@")[0] not in table.protocols:
        reasons.append(f"protocol {spec.protocol}")
    return ", ".join(reasons)


def _plain(name: str) -> str:
    return "".join(letter for letter in name.casefold() if letter.isalnum())


def unavailable(records: Sequence[Record], metric: str, grid: str) -> Cell:
    """The cell of records that hold no number: why, and how to try again."""
    failed = [record for record in records if record.status == "failed"]
    reason = f"failed: {error_line(failed[-1])}" if failed else f"its record holds no {metric}"
    return Cell(status=Status.UNAVAILABLE, reason=reason, command=regenerate(grid, records))


def holds(record: Record, metric: str) -> bool:
    """True where every test image of the record has the metric."""
    return bool(record.scores) and all(metric in score.metrics for score in record.scores)


def measure(records: Sequence[Record], metric: str, key: str, grid: str) -> Measured | None:
    """The mean of `metric` over the seeds of one condition `key`; None where no record holds it."""
    usable = [record for record in records if record.status == "done" and holds(record, metric)]
    if not usable:
        return None
    lost = [str(record.spec.seed) for record in records if record.status == "failed"]
    notes = (f"without failed seed {', '.join(lost)}",) if lost else ()
    estimate = stats.over_seeds([record.mean(metric) for record in usable])
    seeds = tuple(record.spec.seed for record in usable)
    return Measured(estimate, seeds, key, tuple(usable), origin_of(usable, regenerate(grid, usable)), notes)


def origin_of(records: Sequence[Record], again: str) -> Origin:
    """Where these records come from; `again` is the command that makes them anew."""
    made = [record.provenance for record in records if record.provenance]
    return Origin(
        fingerprints=tuple(record.fingerprint for record in records),
        protocol=_distinct(f"{r.protocol.name}@{r.protocol.version}: {r.protocol.statement}" for r in records if r.protocol),
        data=_distinct(f"{split} {digest}" for p in made for split, digest in p.data_checksums.items()),
        machine=_distinct(", ".join(f"{key} {value}" for key, value in p.machine.items()) for p in made),
        commit=_distinct(p.commit + (" with uncommitted changes" if p.dirty else "") for p in made),
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

    def value(self, column: Column, printed: float | bool | None) -> tuple[float, str]:
        """In the column's unit; where a named convention alone gives the printed number, by that, and a note that says so."""
        scale = SCALES[column.unit]
        own = float(getattr(self.record.cost, column.metric)) / scale
        if column.metric != "macs" or not isinstance(printed, float) or column.tolerance is None or column.tolerance.covers(printed, own):
            return own, ""
        for name, macs in self.conventions.items():
            if column.tolerance.covers(printed, macs / scale):
                return macs / scale, f"by the convention “{name}”; in full {own:,.{column.digits}f}"
        return own, ""


def count_of(record: Record) -> Count:
    """The cost that the record of a trained network holds; to count it again takes no training."""
    if record.cost is None:
        raise ValueError(f"the record {record.fingerprint} holds no cost")
    return Count(record, record.cost.input_size, {}, origin_of([record], _count_again(record.spec.model, record.cost.input_size)))


def _count_again(model: str, size: tuple[int, int]) -> str:
    return f"python -m suite profile {shlex.quote(model)} --size {size[0]}x{size[1]}"


def profile_count(profile: ProfileRecord) -> Count:
    """The cost that a profile holds."""
    if profile.cost is None:
        raise ValueError(f"the profile {profile.fingerprint} holds no cost")
    made = [profile.provenance] if profile.provenance else []
    origin = Origin(
        fingerprints=(profile.fingerprint,),
        protocol=(),
        data=(),
        machine=(),  # a cost depends on none
        commit=_distinct(p.commit + (" with uncommitted changes" if p.dirty else "") for p in made),
        backend=(),
        command=_count_again(profile.spec.model, profile.spec.input_size),
    )
    return Count(profile, profile.spec.input_size, profile.cost.conventions, origin)


def _distinct(values: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(values))


def delta(mine: Measured | None, base: Measured | None, metric: str) -> Delta | None:
    """Paired where it can be: by seed with two seeds or more, by image with one; None across conditions."""
    if mine is None or base is None or mine.condition != base.condition:
        return None
    if not mine.seeds or not base.seeds:  # costs
        return Delta(mine.estimate.mean - base.estimate.mean)
    ours, theirs = ({record.spec.seed: record for record in found.records if isinstance(record, Record)} for found in (mine, base))
    common = sorted(set(mine.seeds) & set(base.seeds))
    if len(common) > 1:
        estimate = stats.over_seeds([ours[seed].mean(metric) - theirs[seed].mean(metric) for seed in common])
        return Delta(estimate.mean, estimate.interval, "seeds", estimate.count)
    if common:
        left, right = ({score.image: score.metrics[metric] for score in found[common[0]].scores} for found in (ours, theirs))
        if left.keys() == right.keys():
            estimate = stats.over_images([left[image] - right[image] for image in left])
            covers = intervals.covers(estimate.count) if estimate.interval else None
            return Delta(estimate.mean, estimate.interval, "images", estimate.count, covers)
    return Delta(mine.estimate.mean - base.estimate.mean)
