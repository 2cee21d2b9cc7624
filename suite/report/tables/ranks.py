"""Places of a column's values: which stand first, which of those places may be shown, and what is to be said where none may."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from suite.core.statistics.ranking import rank_values
from suite.report.measured import TableCell, subtract_baseline
from suite.report.tables.model import TableColumn
from suite.report.trivial import TRIVIAL, find_floor, is_above
from suite.study.published import PublishedRow


def rank_cells(cells: Sequence[TableCell], column: TableColumn, rows: Sequence[PublishedRow]) -> list[TableCell]:
    """Rank the cells of a column among the rows of their group: printed among printed, measured among measured."""
    if column.kind not in ("quality", "retrained"):
        return list(cells)
    ranked = list(cells)
    for group in dict.fromkeys(row.group for row in rows):
        places = [index for index, row in enumerate(rows) if row.group == group]
        values = [cells[i].published for i in places]
        printed = rank_values(values if sum(value is not None for value in values) > 1 else [None] * len(values), column.direction)
        means = [found.estimate.mean if (found := cells[i].measured) else None for i in places]
        for i, place, own in zip(places, printed, rank_values(means, column.direction), strict=True):
            ranked[i] = replace(cells[i], published_rank=place, measured_rank=own if sum(m is not None for m in means) > 1 else None)
        floor = find_floor([(rows[i].model or "", mean) for i, mean in zip(places, means, strict=True) if mean is not None], column.metric)
        _show_ranks(ranked, [i for i in places if ranked[i].measured_rank], floor, column.metric)
    return ranked


def _show_ranks(cells: list[TableCell], places: Sequence[int], floor: tuple[str, float] | None, metric: str) -> None:
    """Show the places of measured values, in `cells`, from the first on, as far as seeds tell each from the next one.

    Nothing is shown of what is not better than a trivial baseline.
    """
    order = sorted(places, key=lambda i: cells[i].measured_rank or 0)
    for this, following in pairwise(order):
        mine, other = cells[this].measured, cells[following].measured
        if mine is None or other is None or not is_above(mine.estimate.mean, floor, metric):
            return
        delta = subtract_baseline(mine, other, metric)
        if delta is None or delta.over != "seeds" or delta.interval is None or delta.interval[0] <= 0 <= delta.interval[1]:
            return  # the next one may be the first as well
        cells[this] = replace(cells[this], shown_rank=cells[this].measured_rank)


def warn_below(rows: Sequence[PublishedRow], cells: Sequence[TableCell], column: TableColumn) -> str:
    """Say that networks are not better than what needs no training, of the same group of rows; "" where all are."""
    below, count, named = 0, 0, {}
    for group in dict.fromkeys(row.group for row in rows):
        means = [
            (row.model or "", cell.measured.estimate.mean)
            for row, cell in zip(rows, cells, strict=True)
            if row.group == group and cell.measured
        ]
        floor = find_floor(means, column.metric)
        for model, mean in means:
            if floor and model not in TRIVIAL:
                count += 1
                if not is_above(mean, floor, column.metric):
                    below += 1
                    named[f"{floor[0]} ({floor[1]:.{column.digits}f}{' ' + column.unit if column.unit else ''})"] = None
    if not below:
        return ""
    return f"{below} of {count} networks are not better than {' or '.join(named)}: nothing can be concluded from this column."
