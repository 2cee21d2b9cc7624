"""A published table with our numbers in it: what `suite.report.tables.build` builds, and every rendering reads."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from suite.report.measured import Status, TableCell
from suite.report.settings import Outline
from suite.study.published import Paper, PublishedTable


@dataclass(frozen=True)
class TableColumn:
    """A column; a "retrained" one holds measurements that no published number may be compared with."""

    key: str
    group: str
    label: str
    kind: Literal["quality", "cost", "mark", "retrained"]
    metric: str = ""
    unit: str = ""
    direction: str = ""
    digits: int = 0
    detail: str = ""  # conditions, convention or data set, for the header
    printed: bool = True
    marks: tuple[str, ...] = ()
    warning: str = ""
    seeds: int | None = None  # of every measured cell, where all have as many
    outline: Outline | None = None  # of a "retrained" column's settings


@dataclass(frozen=True)
class TableRow:
    """A row; `borrowed` names the table that a baseline was taken from."""

    key: str
    label: str
    what: str
    group: str
    model: str | None
    baseline: bool
    borrowed: str
    cells: tuple[TableCell, ...]
    statuses: tuple[tuple[Status, int], ...]  # of its published qualities: how many cells have which
    reason: str = ""  # why a quality has no number
    marks: tuple[str, ...] = ()

    @property
    def all_statuses(self) -> tuple[Status, ...]:
        """Every status that one of its cells has, costs among them: what a filter looks for."""
        found = {cell.status for cell in self.cells}
        return () if self.borrowed else tuple(status for status in Status if status in found)


@dataclass(frozen=True)
class Table:
    """A published table with our numbers."""

    paper: Paper
    published: PublishedTable
    columns: tuple[TableColumn, ...]
    rows: tuple[TableRow, ...]
    footnotes: tuple[tuple[str, str, str], ...]  # mark, text, source
    findings: tuple[tuple[str, str], ...]  # title, paragraph


def drop_unmeasured(table: Table) -> Table:
    """Return a table that no paper prints without the columns of quality in which no row was measured."""
    kept = [at for at, column in enumerate(table.columns) if column.kind != "quality" or any(row.cells[at].measured for row in table.rows)]
    rows = tuple(replace(row, cells=tuple(row.cells[at] for at in kept)) for row in table.rows)
    return replace(table, columns=tuple(table.columns[at] for at in kept), rows=rows)
