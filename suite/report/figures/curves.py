"""Figures as geometry: what the page's SVG draws, computed from the table model; the template only writes it out.

Nothing depends on hue: lines differ by weight and dash, markers by shape, and every figure's numbers stand in text beside
it. Coordinates are SVG user units with the origin at the top left.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from models import MODELS
from suite.core.text import signed
from suite.records.record import Record
from suite.report.figures.axes import Tick, log_ticks, ticks, widened
from suite.report.figures.charts import Axis, Figure, Point, Series, dots, legend
from suite.report.settings import Setting, by_setting, heading
from suite.report.tables import Column, Row, Table
from suite.study.protocols import METRICS

HOLLOW = ("circle", "square", "triangle", "cross")  # published data sets, in column order
FILLED = ("diamond", "disc", "block")  # measured, by conditions
PANEL = (228.0, 116.0, 38.0, 6.0, 18.0)  # width, height, left, top, bottom margin of a curve


@dataclass(frozen=True)
class Curve:
    """A polyline: `points` is the attribute of the same name."""

    points: str
    kind: Literal["own", "baseline"]


@dataclass(frozen=True)
class Chart:
    """A small line chart."""

    title: str
    summary: str  # what it ends in, in words
    width: float
    height: float
    left: float
    bottom: float  # y of the horizontal axis
    xticks: tuple[Tick, ...]
    yticks: tuple[Tick, ...]
    curves: tuple[Curve, ...]


@dataclass(frozen=True)
class Panel:
    """The charts of one row of a table."""

    label: str
    model: str
    baseline: bool
    charts: tuple[Chart, ...]


@dataclass(frozen=True)
class CurveSet:
    """Training curves of one condition."""

    title: str
    panels: tuple[Panel, ...]


def measured_columns(table: Table) -> tuple[int, ...]:
    """Indices of the columns with measured quality, one for each set of conditions."""
    found: dict[Setting, int] = {}
    for index, column in enumerate(table.columns):
        for row in table.rows:
            measured = row.cells[index].measured
            if column.kind in ("quality", "retrained") and measured and measured.setting:
                found.setdefault(measured.setting, index)
    return tuple(found.values())


def column_heading(column: Column) -> str:
    """What a column's measurements are called away from their table."""
    return f"{column.group}: {column.detail}" if column.kind == "retrained" else f"Paper budget: test set {column.detail}"


def curve_sets(records: Sequence[Record]) -> tuple[CurveSet, ...]:
    """Training loss and validation quality of every trained network, on axes shared by the networks of a condition."""
    sets = []
    for setting, alike in by_setting(records).items():
        runs: dict[str, list[Record]] = {}
        for record in alike:
            if len(record.history) > 1:
                runs.setdefault(record.spec.model, []).append(record)
        metric = next((name for found in runs.values() for r in found for p in r.history for name in p.validation), "")
        losses = {model: [[(p.iteration, p.loss) for p in r.history] for r in found] for model, found in runs.items()}
        scores = {
            model: [[(p.iteration, p.validation[metric]) for p in r.history if metric in p.validation] for r in found]
            for model, found in runs.items()
        }
        behind = next((model for model in runs if any(parent(other) == model for other in runs)), "")
        unit = METRICS[metric].unit if metric in METRICS else ""
        loss_charts = _charts("Training loss", losses, behind, log=True)
        score_charts = _charts(f"Validation {metric}" + (f", {unit}" if unit else ""), scores, behind, log=False)
        panels = [
            Panel(model, model, model == behind, tuple(c[model] for c in (loss_charts, score_charts) if model in c)) for model in runs
        ]
        sets.append(CurveSet(heading(setting), tuple(p for p in panels if p.charts)))
    return tuple(found for found in sets if found.panels)


def parent(model: str) -> str | None:
    """The network that an ablation changes; None for any other."""
    return MODELS[model].parent if model in MODELS else None


def _records(row: Row, index: int) -> tuple[Record, ...]:
    measured = row.cells[index].measured
    return measured.records if measured else ()


Points = list[tuple[int, float]]


def _charts(title: str, runs: dict[str, list[Points]], baseline: str, *, log: bool) -> dict[str, Chart]:
    """A chart for each row of `runs` on shared axes, with the first seed of the row `baseline` behind the others."""

    def usable(run: Points) -> Points:
        return [(x, math.log10(y) if log else y) for x, y in run if math.isfinite(y) and (y > 0 or not log)]

    clean = {key: [line for run in lines if len(line := usable(run)) > 1] for key, lines in runs.items()}
    values = [y for lines in clean.values() for line in lines for _, y in line]
    if not values:
        return {}
    last = max(x for lines in clean.values() for line in lines for x, _ in line)
    low, high = widened(min(values), max(values))
    width, height, left, top, margin = PANEL
    bottom = height - margin

    def place(line: Points) -> str:
        across, up = (width - left - 6) / max(last, 1), (bottom - top) / (high - low)
        return " ".join(f"{left + x * across:.1f},{bottom - (y - low) * up:.1f}" for x, y in line)

    scale = (bottom - top) / (high - low)
    yticks = tuple(Tick(bottom - (at - low) * scale, text) for at, text in (log_ticks(low, high) if log else ticks(low, high, 4)))
    xticks = (Tick(left, "0"), Tick(width - 6, f"{last:,}"))
    charts = {}
    for key, lines in clean.items():
        if not lines:
            continue
        own = tuple(Curve(place(line), "own") for line in lines)
        behind = (Curve(place(clean[baseline][0]), "baseline"),) if key != baseline and clean.get(baseline) else ()
        final = sum(10 ** line[-1][1] if log else line[-1][1] for line in lines) / len(lines)
        told = f"{title}, at the end {final:.3g}" if log else f"{title}, at the end {final:.2f}"
        told += f" (mean of {len(lines)} seeds)" if len(lines) > 1 else ""
        charts[key] = Chart(title, told, width, height, left, bottom, xticks, yticks, behind + own)
    return charts


def forest(table: Table) -> Figure | None:
    """Quality differences from the baseline row, published beside measured; None where the table has no baseline."""
    rows = [row for row in table.rows if not row.baseline]
    qualities = [index for index, column in enumerate(table.columns) if column.kind == "quality" and column.printed]
    if len(rows) == len(table.rows) or not qualities:
        return None
    metric, unit = table.columns[qualities[0]].metric, table.columns[qualities[0]].unit
    shown = [index for index in qualities if table.columns[index].metric == metric]
    taken = [index for index in measured_columns(table) if table.columns[index].metric == metric]
    series = [
        Series(f"published, {table.columns[index].detail}", shape, _deltas(rows, index, measured=False), 1)
        for shape, index in zip(HOLLOW, shown, strict=False)
    ]
    series += [
        Series(f"measured, {column_heading(table.columns[index])}", shape, _deltas(rows, index, measured=True), 0)
        for shape, index in zip(FILLED, taken, strict=False)
    ]
    series = [one for one in series if one.points]
    if not series:
        return None
    labels = [row.label for row in rows]
    few = any(found and found.covers for row in rows for index in taken if (found := row.cells[index].delta_measured))
    approximate = ", approximate: the table says what it covers" if few else ""
    return Figure(
        key=f"differences-{table.published.id}",
        title="What each change costs or gains,",
        caption=f"as a difference from the baseline row in {unit}; right of the line is better. Hollow: published. Filled: measured "
        f"here, with its 95 % interval where there is one (over seeds, or with one seed over images alone{approximate}). Measured at "
        "another budget, the sizes are not comparable with the published ones; the order of the rows may be.",
        legend=legend(series),
        head=("Change", *(one.name for one in series)),
        rows=tuple((label, *(_delta_text(one, number) for one in series)) for number, label in enumerate(labels)),
        plot=dots(labels, series, Axis(f"difference in {unit}"), zero=True),
    )


def _deltas(rows: Sequence[Row], index: int, *, measured: bool) -> tuple[Point, ...]:
    points = []
    for number, row in enumerate(rows):
        printed, found = row.cells[index].delta_published, row.cells[index].delta_measured
        if measured and found is not None and math.isfinite(found.value):
            points.append(Point(found.value, number, "", *(found.interval or (None, None))))
        elif not measured and printed is not None:
            points.append(Point(printed, number))
    return tuple(points)


def _delta_text(series: Series, number: int) -> str:
    point = next((point for point in series.points if point.y == number), None)
    if point is None:
        return "–"
    interval = "" if point.low is None or point.high is None else f" [{signed(point.low, 2)}, {signed(point.high, 2)}]"
    return signed(point.x, 2) + interval
