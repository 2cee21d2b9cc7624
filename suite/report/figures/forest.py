"""The forest: the difference that each change makes, over all ablation tables, printed beside measured."""

from __future__ import annotations

import math
from collections.abc import Sequence

from suite.report.figures.charts import Axis, Figure, Point, Series, draw_dots
from suite.report.figures.figure_list import describe_change
from suite.report.tables import Table, TableRow


def draw_forest(tables: Sequence[Table]) -> Figure | None:
    """Draw one row for each ablation: the mean printed difference in PSNR, and the measured one with its interval; None without any."""
    rows = [(table, row) for table in tables if _has_baseline(table) for row in table.rows if not row.baseline and not row.borrowed]
    printed = [Point(value, at) for at, (table, row) in enumerate(rows) if (value := _printed(table, row)) is not None]
    measured = [point for at, (table, row) in enumerate(rows) if (point := _measured(table, row, at))]
    if not printed:
        return None
    series = [Series("printed, mean over the table's test sets", "diamond", tuple(printed), 1)]
    series += [Series("measured here", "disc", tuple(measured), 0)] if measured else []
    labels = [row.label if row.label.startswith(table.paper.name) else f"{table.paper.name}, {row.label}" for table, row in rows]
    return Figure(
        key="forest",
        title="What each change costs.",
        caption="PSNR of each ablation less that of the full model, in dB; left of the line the change costs quality. Lines are 95 % "
        "intervals. Measured numbers are of small networks on other images: their signs may be held against the printed ones, "
        "their sizes may not.",
        series=series,
        head=("Change", *(one.name for one in series)),
        rows=tuple((label, *(describe_change(one, at) for one in series)) for at, label in enumerate(labels)),
        plot=draw_dots(labels, series, Axis("difference in PSNR, dB"), zero=True),
    )


def _has_baseline(table: Table) -> bool:
    return table.published.baseline is not None


def _psnr(table: Table, row: TableRow, *kinds: str) -> list[int]:
    """Return the indices of the columns of PSNR of these kinds."""
    return [at for at, column in enumerate(table.columns) if column.kind in kinds and column.metric.startswith("PSNR") and row.cells[at]]


def _printed(table: Table, row: TableRow) -> float | None:
    found = [delta for at in _psnr(table, row, "quality") if (delta := row.cells[at].delta_published) is not None]
    return sum(found) / len(found) if found else None


def _measured(table: Table, row: TableRow, at: int) -> Point | None:
    """Return the first measured difference: under the paper's conditions before re-trained ones."""
    found = (row.cells[index].delta_measured for index in _psnr(table, row, "quality", "retrained"))
    one = next((delta for delta in found if delta and math.isfinite(delta.value)), None)
    return None if one is None else Point(one.value, at, "", *(one.interval or ()))
