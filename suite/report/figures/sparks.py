"""What stands beside a network in the table of a run: its parameters, its time and memory, and its validation as a line in the text."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from suite.core.text import format_fixed
from suite.records.kinds.profile import ProfileRecord
from suite.records.record import Record
from suite.report.trivial import TRIVIAL
from suite.study.protocols import METRICS

WIDTH, HEIGHT, EDGE = 96, 24, 3  # pixels of the line's box, and what stays free at its edges


@dataclass(frozen=True)
class Spark:
    """A curve in a line of text, all of one table on the same axes."""

    points: str  # of an SVG polyline in WIDTH x HEIGHT
    told: str


@dataclass(frozen=True)
class Beside:
    """What is known of a row's network beside its quality; "" where nothing is."""

    params: str  # of the network in full size
    time: str
    memory: str
    spark: Spark | None


def gather_beside(members: Mapping[str, Sequence[Record]], profiles: Sequence[ProfileRecord]) -> dict[str, Beside]:
    """Return what stands beside each network of a table, by its model; times are those of the smallest input that was timed."""
    trained = {model: records for model, records in members.items() if model not in TRIVIAL}
    metric = next((name for held in trained.values() for one in held for point in one.history for name in point.validation), "")
    curves = {model: _average(records, metric) for model, records in trained.items()}
    timed = sorted((one for one in profiles if one.latency), key=lambda one: -math.prod(one.spec.input_size))
    times = {one.spec.model: one for one in timed}  # the last one of each, of the smallest input
    sparks = _draw(curves, metric)
    return {model: _describe(trained.get(model, ()), times.get(model), sparks.get(model)) for model in members}


def _describe(records: Sequence[Record], timed: ProfileRecord | None, spark: Spark | None) -> Beside:
    cost = next((record.cost for record in records if record.cost), None)
    params = f"{cost.params / 1e6:.2f} M" if cost else ""
    if timed is None:
        return Beside(params, "", "", spark)
    size = "×".join(map(str, timed.spec.input_size))
    peak = timed.latency.peak_memory_mib
    return Beside(params, f"{timed.latency.median_ms:,.0f} ({size})", "" if peak is None else f"{peak:,.0f}", spark)


def _average(records: Sequence[Record], metric: str) -> list[tuple[int, float]]:
    """Return iteration and mean over the seeds of a validation metric, where all seeds have it."""
    runs = [{point.iteration: point.validation[metric] for point in one.history if metric in point.validation} for one in records]
    shared = sorted(set.intersection(*map(set, runs))) if runs else []
    return [(at, sum(run[at] for run in runs) / len(runs)) for at in shared if all(math.isfinite(run[at]) for run in runs)]


def _draw(curves: Mapping[str, Sequence[tuple[int, float]]], metric: str) -> dict[str, Spark]:
    points = [point for curve in curves.values() if len(curve) > 1 for point in curve]
    if not points:
        return {}
    last = max(at for at, _ in points)
    low, high = min(value for _, value in points), max(value for _, value in points)
    digits = METRICS[metric].digits if metric in METRICS else 4

    def place(at: int, value: float) -> str:
        rise = (value - low) / (high - low) if high > low else 0.5
        return f"{EDGE + (WIDTH - 2 * EDGE) * at / last:.1f},{HEIGHT - EDGE - (HEIGHT - 2 * EDGE) * rise:.1f}"

    return {
        model: Spark(
            " ".join(place(*point) for point in curve),
            f"validation {metric}, from {format_fixed(curve[0][1], digits)} to {format_fixed(curve[-1][1], digits)} in {len(curve)} steps",
        )
        for model, curve in curves.items()
        if len(curve) > 1
    }
