"""The forest: the difference that each change makes, over all ablation tables that print any, printed beside measured."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from suite.report.figures.charts import Axis, Figure, Point, Series, draw_dots
from suite.report.figures.figure_list import describe_change
from suite.report.tables.model import Table, TableRow
from suite.report.trivial import TRIVIAL

PRINTED, COMPARABLE, RETRAINED = (
    "printed, mean over the table's test sets",
    "measured under the paper's conditions",
    "re-trained small here",
)


def draw_forest(tables: Sequence[Table]) -> Figure | None:
    """Draw one row for each ablation: the mean printed difference in PSNR, and the measured ones with their intervals; None without any."""
    printed = [table for table in tables if table.published.baseline and any(column.printed for column in table.columns)]
    ablations = [(table, row) for table in printed for row in table.rows]
    rows = [(table, row) for table, row in ablations if not row.baseline and not row.borrowed and row.model not in TRIVIAL]
    series = [
        Series(PRINTED, "diamond", _points(rows, _find_printed), 1),
        Series(COMPARABLE, "block", _points(rows, partial(_find_measured, kind="quality")), 2),
        Series(RETRAINED, "disc", _points(rows, partial(_find_measured, kind="retrained")), 0),
    ]
    if not series[0].points:
        return None
    series = [one for one in series if one.points]
    labels = [row.label if row.label.startswith(table.paper.name) else f"{table.paper.name}, {row.label}" for table, row in rows]
    return Figure(
        key="forest",
        title="What each change costs.",
        caption="PSNR of each ablation less that of the full model, in dB; left of the line the change costs quality. Lines are "
        "95 % intervals over seeds, for these very test images: other images may differ more. A re-trained point without one is of "
        "one seed, which says nothing of another. Sizes of re-trained differences cannot be held against printed ones: the networks are "
        "small and the images others.",
        series=series,
        head=("Change", *(one.name for one in series)),
        rows=tuple((label, *(describe_change(one, at) for one in series)) for at, label in enumerate(labels)),
        plot=draw_dots(labels, series, Axis("difference in PSNR, dB"), zero=True),
    )


def _points(rows: Sequence[tuple[Table, TableRow]], find: Callable[[Table, TableRow], Point | None]) -> tuple[Point, ...]:
    """Return the points of the rows that have one, each at its row's number."""
    return tuple(replace(point, y=at) for at, (table, row) in enumerate(rows) if (point := find(table, row)))


def _list_psnr(table: Table, kind: str) -> list[int]:
    """Return the indices of the columns of PSNR of this kind."""
    return [at for at, column in enumerate(table.columns) if column.kind == kind and column.metric.startswith("PSNR")]


def _find_printed(table: Table, row: TableRow) -> Point | None:
    found = [delta for at in _list_psnr(table, "quality") if (delta := row.cells[at].delta_published) is not None]
    return Point(sum(found) / len(found), 0) if found else None


def _find_measured(table: Table, row: TableRow, *, kind: str) -> Point | None:
    """Return the measured difference in the columns of this kind that rests on most seeds, the first of several.

    What was trained once has no line: its interval over images knows nothing of another training.
    """
    found = [delta for at in _list_psnr(table, kind) if (delta := row.cells[at].delta_measured) and math.isfinite(delta.value)]
    if not found:
        return None
    one = max(found, key=lambda delta: delta.count if delta.over == "seeds" else 0)
    told = one.interval if kind == "quality" or one.over == "seeds" else None
    return Point(one.value, 0, "", *(told or ()))
