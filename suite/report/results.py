"""What a run found, for its end in the terminal: a line a network, and one sentence on what can be concluded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import models
from suite.core.statistics import stats
from suite.core.text import format_duration, format_fixed, format_signed, range_of
from suite.records.record import Record
from suite.report.measured import Delta, Measurement, average_seeds, subtract_baseline
from suite.report.settings import describe, group_by_setting
from suite.report.trivial import TRIVIAL, add_trivial, find_floor, is_above
from suite.study.protocols import METRICS

Row = dict[str, object]


@dataclass(frozen=True)
class ResultTable:
    """What was trained and measured alike: rows with equal keys."""

    title: str
    conditions: str
    rows: tuple[Row, ...]
    members: Mapping[str, tuple[Record, ...]]  # the records of each row, by its network


@dataclass(frozen=True)
class Results:
    """A table for each setting, and the sentence below them."""

    tables: tuple[ResultTable, ...]
    verdict: str


@dataclass
class _Counts:
    """What the sentence is made of."""

    networks: set[str] = field(default_factory=set)
    below: set[str] = field(default_factory=set)  # under one setting or more
    floors: tuple[str, ...] = ()
    variants: int = 0  # whose difference from the full model is one of several seeds
    once: int = 0  # variants that share fewer than two seeds with it
    told: int = 0  # variants whose difference has an interval over seeds that leaves out 0
    seeds: list[int] = field(default_factory=list)  # that each such variant shares with it


def summarise_run(records: Sequence[Record]) -> Results:
    """Return the results of `records`, one a cell, networks in their order."""
    done = [record for record in records if record.status == "done" and record.scores]
    parts, counts = [], _Counts()
    settings = group_by_setting(add_trivial(done))
    for setting, members in settings.items():
        metric = next(iter(members[0].scores[0].metrics))
        named = dict.fromkeys(record.spec.model for record in members)
        means = {
            model: found
            for model in sorted(named, key=lambda model: model in TRIVIAL)
            if (found := average_seeds([r for r in members if r.spec.model == model], metric, setting, "ablations"))
        }
        title, conditions = describe(setting.outline(list(settings)))
        held = {model: tuple(record for record in members if record.spec.model == model) for model in means}
        parts.append(ResultTable(title, conditions, tuple(_row(model, means, metric, counts) for model in means), held))
        _count(means, metric, counts)
    return Results(tuple(parts), _say(counts))


def _row(model: str, means: Mapping[str, Measurement], metric: str, counts: _Counts) -> Row:
    found, digits = means[model], METRICS[metric].digits if metric in METRICS else 4
    delta = None if model in TRIVIAL else _difference(model, means, metric)
    if delta is not None:
        counts.variants += delta.over == "seeds"
        counts.seeds += [delta.count] if delta.over == "seeds" else []
        counts.once += delta.over != "seeds"
        counts.told += delta.over == "seeds" and delta.interval is not None and not delta.interval[0] <= 0 <= delta.interval[1]
    record = found.records[0]
    seconds = sum(r.train_seconds or 0.0 for r in found.records if isinstance(r, Record)) / len(found.records)
    half = found.estimate.half_width
    return {
        "network": model,
        metric: format_fixed(found.estimate.mean, digits) + (f" ± {format_fixed(half, digits)}" if half is not None else ""),
        "from full model": _say_difference(delta, digits),
        "GMACs, full size": f"{record.cost.macs / 1e9:.1f}" if record.cost else "",
        "training": "" if model in TRIVIAL else format_duration(seconds),
    }


def _difference(model: str, means: Mapping[str, Measurement], metric: str) -> Delta | None:
    """Subtract the full model; None where `model` is no ablation, or its full model was not run."""
    parent = models.MODELS[model].parent if model in models.MODELS else None
    return subtract_baseline(means[model], means.get(parent or ""), metric)


def _say_difference(delta: Delta | None, digits: int) -> str:
    if delta is None:
        return ""
    text = format_signed(delta.value, digits)
    if delta.interval is None or delta.over != "seeds":  # an interval over the images of one seed says nothing of designs
        return text
    low, high = (format_signed(end, digits) for end in delta.interval)
    return f"{text} ({low} to {high}, over {delta.count} {delta.over})"


def _count(means: Mapping[str, Measurement], metric: str, counts: _Counts) -> None:
    floor = find_floor([(model, found.estimate.mean) for model, found in means.items()], metric)
    networks = {model: found for model, found in means.items() if model not in TRIVIAL}
    counts.networks |= networks.keys()
    counts.below |= {model for model, found in networks.items() if not is_above(found.estimate.mean, floor, metric)}
    counts.floors = tuple(dict.fromkeys((*counts.floors, *([floor[0]] if floor else []))))


def _say(counts: _Counts) -> str:
    if not counts.networks:
        return "No network was measured: nothing can be concluded."
    floors = " or ".join(counts.floors)
    if counts.below:
        return f"{len(counts.below)} of {len(counts.networks)} networks are not better than {floors}: nothing can be concluded on quality."
    many = len(counts.networks) > 1
    better = f"All {len(counts.networks)} networks are better than {floors}" if many else f"The network is better than {floors}"
    first = f"{better}." if floors else "No baseline was measured with these networks."
    if not counts.variants and not counts.once:
        return first
    if not counts.variants:
        return f"{first} One seed cannot tell differences between networks from the noise of training: --seeds 3 can."
    share = f"{counts.told} of {counts.variants} differences from the full model"
    told = f"{first} {share} have an interval over {range_of(counts.seeds, 'seed')} that leaves out 0 ({stats.LEVEL:.0%}, each by itself)"
    rest = "rests" if counts.once == 1 else "rest"
    single = f"; {counts.once} more {rest} on fewer than two seeds and cannot tell" if counts.once else ""
    return f"{told}{single}."
