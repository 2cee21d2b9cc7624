"""How a table of the model is laid out: two header rows as the papers print them, and its rows in their groups.

Any rendering in rows and columns can use it. The first column, the network and the statuses of its row, is not part of it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import groupby

from suite.report.tables.model import Table, TableColumn, TableRow


@dataclass(frozen=True)
class Head:
    """A header cell: of a group of columns, or of the one column `key`."""

    text: str
    detail: str = ""
    colspan: int = 1
    direction: str = ""
    marks: tuple[str, ...] = ()
    kind: str = ""
    first: bool = True
    key: str = ""


@dataclass(frozen=True)
class TableLayout:
    """Header rows, for each column whether it begins a group, and the rows by group."""

    groups: tuple[Head, ...]
    labels: tuple[Head, ...]
    firsts: tuple[bool, ...]
    blocks: tuple[tuple[str, tuple[TableRow, ...]], ...]


def lay_out(table: Table) -> TableLayout:
    """Return the header rows and the blocks of rows of `table`."""
    groups: list[Head] = []
    firsts: list[bool] = []
    before: TableColumn | None = None
    for column in table.columns:
        firsts.append(before is None or (before.kind, before.group, before.outline) != (column.kind, column.group, column.outline))
        if firsts[-1]:
            detail = _with_seeds(column, column.detail) if column.kind == "retrained" else ""
            groups.append(Head(column.group, detail, kind=column.kind))
        else:
            groups[-1] = replace(groups[-1], colspan=groups[-1].colspan + 1)
        before = column
    labels = tuple(_label(column, first) for column, first in zip(table.columns, firsts, strict=True))
    blocks = tuple((name, tuple(rows)) for name, rows in groupby(table.rows, key=lambda row: row.group))
    return TableLayout(tuple(groups), labels, tuple(firsts), blocks)


def _label(column: TableColumn, first: bool) -> Head:
    detail = "" if column.kind == "retrained" or column.detail in (column.label, column.group) else column.detail
    detail = _with_seeds(column, detail) if column.kind == "quality" else detail
    detail = "; ".join(part for part in (detail, "" if column.printed or column.kind == "retrained" else "measured only") if part)
    told = column.label.startswith(column.unit) or f"({column.unit})" in column.label
    unit = f", {column.unit}" if column.unit and not told else ""
    return Head(column.label + unit, detail, 1, column.direction, column.marks, column.kind, first, column.key)


def _with_seeds(column: TableColumn, detail: str) -> str:
    told = "" if not column.seeds else "1 seed" if column.seeds == 1 else f"{column.seeds} seeds"
    return "; ".join(part for part in (detail, told) if part)
