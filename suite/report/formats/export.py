"""The report's tables for other programs: LaTeX, Markdown, CSV and JSON, from the table model of the page (suite/report/tables/model.py).

Everything is computed once, in the model: these are renderings. LaTeX and Markdown show what a reader sees, rounded as the paper prints;
CSV (one line a cell) and JSON hold every number unrounded, with where it comes from. The same records give the same bytes. Neither torch
nor Ray nor Jinja is needed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from types import MappingProxyType

from suite.core.files import write_whole
from suite.core.output import csv_of
from suite.records.ledger import pick_standing
from suite.records.record import Attempt, Measured
from suite.report.formats.export_text import render_latex, render_markdown
from suite.report.measured import Measurement, TableCell
from suite.report.tables.build import build_tables
from suite.report.tables.model import Table, TableColumn, TableRow
from suite.study import published

EXPORT_SCHEMA = 1  # of the JSON document; raised when a field changes its meaning


def render_csv(tables: Sequence[Table]) -> str:
    """Return a head and one line for each cell, in the units of the columns; a text that looks like a formula gets an apostrophe."""
    lines = [
        _line(table, row, column, cell)
        for table in tables
        for row in table.rows
        for column, cell in zip(table.columns, row.cells, strict=True)
    ]
    return csv_of(tuple(lines[0]) if lines else (), (line.values() for line in lines))


def _line(table: Table, row: TableRow, column: TableColumn, cell: TableCell) -> dict[str, object]:
    """Return a cell with all that tells it apart, by the names of the columns of the file."""
    found = cell.measured
    low, high = (found.estimate.interval if found else None) or (None, None)
    return {
        "paper": table.paper.name,
        "table": table.published.id,
        "row_group": row.group,
        "row": row.label,
        "model": row.model,
        "row_of": row.borrowed,
        "column_group": column.group,
        "column": column.label,
        "detail": column.detail,
        "kind": column.kind,
        "metric": column.metric,
        "unit": column.unit,
        "direction": column.direction,
        "published": cell.published,
        "published_rank": cell.published_rank,
        "measured": found.estimate.mean if found else None,
        "interval_low": low,
        "interval_high": high,
        "measured_rank": cell.measured_rank,
        "difference": cell.difference,
        "status": cell.status.value if cell.status else None,
        "reason": cell.reason,
        "seeds": " ".join(map(str, found.seeds)) if found else None,
        "protocol": "; ".join(text.partition(":")[0] for text in found.origin.protocol) if found else None,
        "command": cell.command,
    }


def render_json(tables: Sequence[Table]) -> str:
    """Return one document: `schema_version`, and `tables` with their columns, rows, cells, footnotes and findings."""
    return json.dumps(
        {"schema_version": EXPORT_SCHEMA, "tables": [_table(table) for table in tables]}, indent=1, ensure_ascii=False, allow_nan=False
    )


def _table(table: Table) -> dict[str, object]:
    printed = table.published
    return {
        "id": printed.id,
        "paper": {"key": table.paper.key, "name": table.paper.name, "title": table.paper.title, "arxiv": table.paper.arxiv},
        "number": printed.number,
        "version": printed.version,
        "title": printed.title,
        "caption": printed.caption,
        "task": printed.task,
        "protocols": printed.protocols,
        "columns": [_column(column) for column in table.columns],
        "rows": [_row(table, row) for row in table.rows],
        "footnotes": [dict(zip(("mark", "text", "source"), footnote, strict=True)) for footnote in table.footnotes],
        "findings": [dict(zip(("title", "text"), finding, strict=True)) for finding in table.findings],
    }


def _column(column: TableColumn) -> dict[str, object]:
    return {name: value for name, value in vars(column).items() if name != "outline"}  # which `detail` says in words


def _row(table: Table, row: TableRow) -> dict[str, object]:
    cells = {column.key: describe_cell(cell) for column, cell in zip(table.columns, row.cells, strict=True)}
    about = {"key": row.key, "label": row.label, "what": row.what, "group": row.group, "model": row.model, "baseline": row.baseline}
    return {**about, "borrowed": row.borrowed, "marks": row.marks, "cells": cells}


def describe_cell(cell: TableCell) -> dict[str, object]:
    """Return all that a cell holds, unrounded."""
    return {
        "published": cell.published,
        "published_rank": cell.published_rank,
        "measured": _measured(cell.measured) if cell.measured else None,
        "measured_rank": cell.measured_rank,
        "difference": cell.difference,
        "from_baseline": {"published": cell.delta_published, "measured": asdict(cell.delta_measured) if cell.delta_measured else None},
        "status": cell.status.value if cell.status else None,
        "reason": cell.reason,
        "command": cell.command,
        "marks": cell.marks,
    }


def _measured(found: Measurement) -> dict[str, object]:
    estimate = found.estimate
    about = {"mean": estimate.mean, "interval": estimate.interval, "seeds": found.seeds, "notes": found.notes}
    return {**about, "origin": asdict(found.origin)}


# name of a format: its file, and what makes its text
EXPORT_FORMATS: Mapping[str, tuple[str, Callable[[Sequence[Table]], str]]] = MappingProxyType(
    {
        "latex": ("tables.tex", render_latex),
        "markdown": ("tables.md", render_markdown),
        "csv": ("tables.csv", render_csv),
        "json": ("tables.json", render_json),
    }
)


def write_tables(records: Iterable[Attempt], destination: Path, formats: Sequence[str]) -> Iterator[tuple[str, Path]]:
    """Write the tables to `destination` in each of `formats`, names of FORMATS, and yield (format, file) as each is written.

    SuiteError where a file cannot be written.
    """
    if not formats:
        return
    tables = build_tables(published.load_all(), pick_standing(record for record in records if isinstance(record, Measured)))
    for name in formats:
        file, render = EXPORT_FORMATS[name]
        text = render(tables)
        whole = text if text.endswith("\n") else text + "\n"
        write_whole(destination / file, whole.encode("utf-8", "backslashreplace"), "Give it space or permission, or choose another --out.")
        yield name, destination / file
