"""Figures as geometry: what the page's SVG draws, computed from the table model; the template only writes it out.

Nothing depends on hue: lines differ by weight and dash, markers by shape, and every figure's numbers stand in text beside
it. Coordinates are SVG user units with the origin at the top left.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from suite.record import Record
from suite.tables import Column, Row, Table

HOLLOW = ("circle", "square", "triangle", "cross")  # published data sets, in column order
FILLED = ("diamond", "disc", "block")  # measured, by conditions
PANEL = (228.0, 116.0, 38.0, 6.0, 18.0)  # width, height, left, top, bottom margin of a curve
FOREST = (620.0, 34.0, 150.0, 24.0, 30.0)  # width, row height, left, right, bottom margin of a difference plot


@dataclass(frozen=True)
class Tick:
    """A labelled place on an axis."""

    at: float
    text: str


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
    """Training curves of one table under one set of conditions."""

    title: str
    detail: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True)
class Mark:
    """A value in a difference plot, with its interval's ends where it has one."""

    x: float
    y: float
    shape: str
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Forest:
    """Differences from the baseline row, published and measured, on one axis."""

    unit: str
    summary: str
    width: float
    height: float
    left: float
    zero: float
    ticks: tuple[Tick, ...]
    labels: tuple[Tick, ...]  # `at` is the row's y
    marks: tuple[Mark, ...]
    legend: tuple[tuple[str, str], ...]  # shape, what it stands for


def measured_columns(table: Table) -> tuple[int, ...]:
    """Indices of the columns with measured quality, one for each set of conditions."""
    found: dict[str, int] = {}
    for index, column in enumerate(table.columns):
        for row in table.rows:
            measured = row.cells[index].measured
            if column.kind in ("quality", "retrained") and measured:
                found.setdefault(measured.condition, index)
    return tuple(found.values())


def heading(column: Column) -> str:
    """What a column's measurements are called away from their table."""
    return f"{column.group}: {column.detail}" if column.kind == "retrained" else f"Paper budget: test set {column.detail}"


def curve_sets(table: Table) -> tuple[CurveSet, ...]:
    """Training loss and validation quality of every row that was trained, on axes shared by the set."""
    sets = []
    for index in measured_columns(table):
        metric = table.columns[index].metric
        rows = [row for row in table.rows if _histories(row, index)]
        if not rows:
            continue
        base = next((row for row in rows if row.baseline), None)
        losses = {row.key: [[(p.iteration, p.loss) for p in run] for run in _histories(row, index)] for row in rows}
        scores = {
            row.key: [[(p.iteration, p.validation[metric]) for p in run if metric in p.validation] for run in _histories(row, index)]
            for row in rows
        }
        behind = base.key if base else ""
        loss_charts = _charts("Training loss", losses, behind, log=True)
        score_charts = _charts(f"Validation {metric}, {table.columns[index].unit}", scores, behind, log=False)
        panels = [
            Panel(row.label, row.model or "", row.baseline, tuple(c[row.key] for c in (loss_charts, score_charts) if row.key in c))
            for row in rows
        ]
        sets.append(CurveSet(table.published.title, heading(table.columns[index]), tuple(p for p in panels if p.charts)))
    return tuple(found for found in sets if found.panels)


def _records(row: Row, index: int) -> tuple[Record, ...]:
    measured = row.cells[index].measured
    return measured.records if measured else ()


def _histories(row: Row, index: int) -> list[Sequence]:
    return [record.history for record in _records(row, index) if len(record.history) > 1]


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
    low, high = _widened(min(values), max(values))
    width, height, left, top, margin = PANEL
    bottom = height - margin

    def place(line: Points) -> str:
        across, up = (width - left - 6) / max(last, 1), (bottom - top) / (high - low)
        return " ".join(f"{left + x * across:.1f},{bottom - (y - low) * up:.1f}" for x, y in line)

    scale = (bottom - top) / (high - low)
    yticks = tuple(Tick(bottom - (at - low) * scale, text) for at, text in (_log_ticks(low, high) if log else _ticks(low, high, 4)))
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


def _widened(low: float, high: float) -> tuple[float, float]:
    margin = 0.05 * (high - low) or 0.05 * abs(high) or 1.0
    return low - margin, high + margin


def _step(span: float, count: int) -> float:
    rough = span / count
    power = 10.0 ** math.floor(math.log10(rough))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= rough * 0.999)


def _ticks(low: float, high: float, count: int) -> list[tuple[float, str]]:
    """Round places between two values, about `count` of them."""
    step = _step(high - low, count)
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    first = math.ceil(low / step - 1e-9)
    places = [number * step for number in range(first, math.floor(high / step + 1e-9) + 1)]
    return [(place, f"{place:.{digits}f}".replace("-", "−")) for place in places]


def _log_ticks(low: float, high: float) -> list[tuple[float, str]]:
    """1, 2 and 5 times powers of ten between two decimal logarithms; where they are fewer than two, round places."""
    values = [factor * 10.0**power for power in range(math.floor(low), math.ceil(high) + 1) for factor in (1, 2, 5)]
    inside = [(math.log10(value), f"{value:g}") for value in values if low <= math.log10(value) <= high]
    if len(inside) >= 2:
        return inside
    return [(math.log10(value), text) for value, text in _ticks(10**low, 10**high, 3) if value > 0]


def forest(table: Table) -> Forest | None:
    """Quality differences from the baseline row, published beside measured; None where the table has no baseline."""
    rows = [row for row in table.rows if not row.baseline]
    qualities = [index for index, column in enumerate(table.columns) if column.kind == "quality" and column.printed]
    if len(rows) == len(table.rows) or not qualities:
        return None
    first = table.columns[qualities[0]]
    shown = list(zip(HOLLOW, (index for index in qualities if table.columns[index].metric == first.metric), strict=False))
    taken = [index for index in measured_columns(table) if table.columns[index].metric == first.metric]
    filled = list(zip(FILLED, taken, strict=False))
    spots = _spots(rows, shown, filled)
    if not spots:
        return None
    width, step, left, right, bottom = FOREST
    ends = [0.0, *(spot.value for spot in spots), *(end for spot in spots for end in spot.interval or ())]
    low, high = _widened(min(ends), max(ends))

    def across(value: float) -> float:
        return round(left + (value - low) * (width - left - right) / (high - low), 1)

    lanes = {shape: lane for lane, shape in enumerate(dict.fromkeys(spot.shape for spot in spots))}
    marks = []
    for spot in spots:
        y = round(step * (spot.row + (lanes[spot.shape] + 1) / (len(lanes) + 1)), 1)
        whisker = (across(spot.interval[0]), across(spot.interval[1])) if spot.interval else (None, None)
        marks.append(Mark(across(spot.value), y, spot.shape, *whisker))
    legend = [(shape, f"published, {table.columns[index].detail}") for shape, index in shown]
    legend += [(shape, f"measured, {heading(table.columns[index])}") for shape, index in filled]
    return Forest(
        unit=first.unit,
        summary=f"{table.published.title}: differences from the baseline row in {first.unit}, as listed in the table above",
        width=width,
        height=step * len(rows) + bottom,
        left=left,
        zero=across(0.0),
        ticks=tuple(Tick(across(at), text) for at, text in _ticks(low, high, 6)),
        labels=tuple(Tick(step * number + step / 2, row.label) for number, row in enumerate(rows)),
        marks=tuple(marks),
        legend=tuple(legend),
    )


@dataclass(frozen=True)
class _Spot:
    """A difference before it has a place."""

    row: int
    value: float
    shape: str
    interval: tuple[float, float] | None = None


def _spots(rows: Sequence[Row], shown: Sequence[tuple[str, int]], filled: Sequence[tuple[str, int]]) -> list[_Spot]:
    spots = []
    for number, row in enumerate(rows):
        printed = [(shape, row.cells[index].delta_published) for shape, index in shown]
        spots += [_Spot(number, value, shape) for shape, value in printed if value is not None]
        deltas = [(shape, row.cells[index].delta_measured) for shape, index in filled]
        spots += [_Spot(number, d.value, shape, d.interval) for shape, d in deltas if d is not None and math.isfinite(d.value)]
    return spots
