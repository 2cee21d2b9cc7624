"""The papers' tables with our numbers in them: published tables and records in, one typed table model out.

Nothing here knows HTML: `build` gives what any rendering needs. A published column keeps its place; a record's number
goes into it only where it may be compared (paper budget, full network, the published test set, a protocol that measures
alike). Every other measurement stands in a column of its own, one for each set of conditions, and is compared with
nothing but its own baseline row.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from suite import stats
from suite.measured import (
    Cell,
    Measured,
    Status,
    command,
    condition,
    dataset_name,
    delta,
    latest,
    measure,
    obstacle,
    origin_of,
    regenerate,
    unavailable,
)
from suite.published import SCALES, Finding, Paper, PublishedTable
from suite.published import Column as PublishedColumn
from suite.published import Row as PublishedRow
from suite.record import Record
from suite.spec import RunSpec


@dataclass(frozen=True)
class Column:
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


@dataclass(frozen=True)
class Row:
    """A row; `borrowed` names the table that a baseline was taken from."""

    key: str
    label: str
    what: str
    group: str
    model: str | None
    baseline: bool
    borrowed: str
    cells: tuple[Cell, ...]
    statuses: tuple[tuple[Status, int], ...]  # of its published qualities: how many cells have which
    reason: str = ""  # why a quality has no number
    marks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Table:
    """A published table with our numbers."""

    paper: Paper
    published: PublishedTable
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    footnotes: tuple[tuple[str, str, str], ...]  # mark, text, source
    findings: tuple[tuple[str, str], ...]  # title, paragraph


@dataclass(frozen=True)
class _Line:
    """A row to be filled, with its records by condition."""

    row: PublishedRow
    home: PublishedTable
    baseline: bool
    runs: Mapping[str, tuple[Record, ...]]


def build(papers: Sequence[Paper], records: Iterable[Record]) -> tuple[Table, ...]:
    """Every table of `papers` that is shown, in order, filled with what `records` measured; no record is needed."""
    current = latest(records)
    return tuple(_table(paper, published, current) for paper in papers for published in paper.tables if published.shown)


def _table(paper: Paper, published: PublishedTable, records: Sequence[Record]) -> Table:
    lines = _lines(paper, published, records)
    marks, footnotes = _footnotes(published)
    columns, cells = [], []
    for column in published.columns:
        filled = [_published_cell(line, column) for line in lines]
        columns.append(_published_column(column, filled, marks))
        cells.append(filled)
    for column, spec in _retrained_columns(published, lines):
        filled = [_retrained_cell(line, column.metric, condition(spec)) for line in lines]
        columns.append(replace(column, warning=_data_warning(filled), seeds=_seeds(filled)))
        cells.append(filled)
    start = next((index for index, line in enumerate(lines) if line.baseline), None)
    if start is not None:
        cells = [[_with_delta(cell, filled[start], column) for cell in filled] for column, filled in zip(columns, cells, strict=True)]
    rows = tuple(_row(published, line, columns, [filled[index] for filled in cells], marks) for index, line in enumerate(lines))
    findings = tuple(note for finding in published.findings for note in _finding(finding, rows, columns))
    return Table(paper, published, tuple(columns), rows, footnotes, findings)


def _lines(paper: Paper, published: PublishedTable, records: Sequence[Record]) -> list[_Line]:
    places = [(row, published) for row in published.rows]
    baseline = published.baseline
    if baseline is not None and baseline.table:
        home = paper.table(baseline.table)
        places.insert(0, (home.row(baseline.row), home))
    lines = []
    for row, home in places:
        runs: dict[str, tuple[Record, ...]] = {}
        for record in sorted(records, key=lambda record: record.spec.seed):
            if row.model == record.spec.model and (row.task or home.task) == record.spec.task:
                key = condition(record.spec)
                runs[key] = (*runs.get(key, ()), record)
        is_baseline = baseline is not None and row.key == baseline.row and home.id == (baseline.table or published.id)
        lines.append(_Line(row, home, is_baseline, runs))
    return lines


def _footnotes(published: PublishedTable) -> tuple[dict[str, tuple[str, ...]], tuple[tuple[str, str, str], ...]]:
    marks: dict[str, tuple[str, ...]] = {}
    listed = []
    for index, footnote in enumerate(published.footnotes):
        mark = chr(ord("a") + index) if index < 26 else str(index + 1)
        listed.append((mark, footnote.text, footnote.source))
        for cell in footnote.cells:
            marks[cell] = (*marks.get(cell, ()), mark)
    return marks, tuple(listed)


def _published_column(column: PublishedColumn, cells: Sequence[Cell], marks: Mapping[str, tuple[str, ...]]) -> Column:
    sizes = {record.cost.input_size for cell in cells if cell.measured for record in cell.measured.records if record.cost}
    size = column.input_size or (next(iter(sizes)) if len(sizes) == 1 else None)
    detail = column.dataset
    if column.kind == "cost":
        detail = "; ".join(part for part in (f"input {size[0]}×{size[1]}" if size else "", column.convention) if part)
    return Column(
        key=column.key,
        group=column.group,
        label=column.label,
        kind=column.kind,
        metric=column.metric,
        unit=column.unit,
        direction=column.direction,
        digits=column.digits,
        detail=detail,
        printed=column.printed,
        marks=marks.get(f"*.{column.key}", ()),
        warning=_data_warning(cells) if column.kind == "quality" else "",
        seeds=_seeds(cells),
    )


def _published_cell(line: _Line, column: PublishedColumn) -> Cell:
    published = line.row.cells.get(column.key)
    if column.kind == "mark":
        return Cell(published)
    if line.row.model is None:
        return Cell(published, status=Status.PUBLISHED, reason="a baseline that only the paper measured")
    task = line.row.task or column.task or line.home.task
    runs = {key: records for key, records in line.runs.items() if records[0].spec.task == task}
    cell = _cost_cell(line, column, runs) if column.kind == "cost" else _quality_cell(line, column, runs)
    cell = replace(cell, published=published)
    if cell.measured is None or published is None or column.tolerance is None:
        return cell if published is not None or cell.status == Status.UNAVAILABLE else replace(cell, status=None)
    near = column.tolerance.covers(float(published), cell.measured.estimate.mean)
    difference = cell.measured.estimate.mean - float(published)
    return replace(cell, difference=difference, status=Status.REPRODUCED if near else Status.DEVIATES)


def _quality_cell(line: _Line, column: PublishedColumn, runs: Mapping[str, tuple[Record, ...]]) -> Cell:
    """The cell without its published value: measured where a record may be compared, else why not."""
    row, grid = line.row, line.home.grid
    fitting = {key: records for key, records in runs.items() if not obstacle(records[0].spec, column, line.home)}
    measured = [found for key, records in fitting.items() if (found := measure(records, column.metric, key, grid))]
    if measured:
        best = max(measured, key=lambda found: len(found.seeds))
        extra = (f"{len(measured) - 1} more setting(s) qualify; see the list of cells",) if len(measured) > 1 else ()
        return Cell(measured=replace(best, notes=best.notes + extra), command=best.origin.command)
    changes = {"test_set": column.test_sets[0]} if column.test_sets else {}
    wanted = command(grid, row.model or "", budget="paper", changes=changes)
    done = [records for records in runs.values() if any(record.status == "done" for record in records)]
    if not fitting and done:
        reasons = sorted({obstacle(records[0].spec, column, line.home) for records in done})
        return Cell(status=Status.RETRAINED, reason="; ".join(reasons), command=wanted)
    tried = list(fitting.values()) or list(runs.values())
    if tried:
        return unavailable(tried[0], column.metric, grid)
    return Cell(status=Status.PUBLISHED, reason="not run", command=command(grid, row.model or ""))


def _cost_cell(line: _Line, column: PublishedColumn, runs: Mapping[str, tuple[Record, ...]]) -> Cell:
    """The cell of a cost, without its published value; a failed record may still carry the cost."""
    row, grid = line.row, line.home.grid
    counted = [record for records in runs.values() for record in records if record.cost is not None]
    wanted = row.input_size or column.input_size
    fitting = [record for record in counted if record.cost and wanted in (None, record.cost.input_size)]
    if not fitting:
        missing = command(grid, row.model or "")
        if counted and counted[0].cost and wanted:
            height, width = counted[0].cost.input_size
            reason = f"counted at {height}×{width}, not at {wanted[0]}×{wanted[1]}"
            return Cell(status=Status.UNAVAILABLE, reason=reason, command=missing)
        if runs:
            return unavailable(next(iter(runs.values())), column.metric, grid)
        return Cell(status=Status.PUBLISHED if column.printed else Status.UNAVAILABLE, reason="not run", command=missing)
    record = max(fitting, key=lambda record: record.provenance.finished if record.provenance else "")
    value = float(getattr(record.cost, column.metric)) / SCALES[column.unit]
    origin = origin_of([record], regenerate(grid, [record]))
    measured = Measured(stats.Estimate(value, None, 1), (), "", (record,), origin)
    return Cell(measured=measured, command=origin.command)


def _retrained_columns(published: PublishedTable, lines: Sequence[_Line]) -> list[tuple[Column, RunSpec]]:
    """One column for each set of conditions that no printed column can take, and for each metric of the table."""
    qualities = [column for column in published.columns if column.kind == "quality"]
    specs = {key: records[0].spec for line in lines for key, records in line.runs.items()}
    apart = {key: spec for key, spec in specs.items() if all(obstacle(spec, column, published) for column in qualities)}
    ordered = sorted(apart.values(), key=lambda spec: (spec.iterations, spec.test_set, condition(spec)))
    found = []
    for index, spec in enumerate(ordered):
        alike = [other for other in ordered if _told(other) == _told(spec)]
        differing = [
            field for field in RunSpec.model_fields if field not in ("model", "seed") and len({getattr(o, field) for o in alike}) > 1
        ]
        detail = "; ".join([_told(spec)[1], *(f"{field} {getattr(spec, field)}" for field in differing)])
        for metric in dict.fromkeys(column.metric for column in qualities):
            like = next(column for column in qualities if column.metric == metric)
            column = Column(
                key=f"retrained-{index}-{metric}",
                group=_told(spec)[0],
                label=metric,
                kind="retrained",
                metric=metric,
                unit=like.unit,
                direction=like.direction,
                digits=like.digits,
                detail=detail,
                printed=False,
            )
            found.append((column, spec))
    return found


def _told(spec: RunSpec) -> tuple[str, str]:
    """What a header says of a re-trained column: its title, and its conditions."""
    network = "full network" if not spec.width and spec.depth_divisor == 1 else f"width {spec.width or 'full'}, depth ÷{spec.depth_divisor}"
    return f"Re-trained at {spec.budget} budget", f"test set {dataset_name(spec.test_set)}; {network}; {spec.iterations:,} iterations"


def _retrained_cell(line: _Line, metric: str, key: str) -> Cell:
    grid = line.home.grid
    records = line.runs.get(key)
    if records is None:
        if line.row.model is None:
            return Cell(reason="not ours to run")
        budget = json.loads(key)["budget"]
        return Cell(status=Status.UNAVAILABLE, reason="not run", command=command(grid, line.row.model, budget=budget))
    measured = measure(records, metric, key, grid)
    return Cell(measured=measured, command=measured.origin.command) if measured else unavailable(records, metric, grid)


def _data_warning(cells: Sequence[Cell]) -> str:
    seen: dict[str, set[str]] = {}
    for cell in cells:
        for record in cell.measured.records if cell.measured else ():
            for split, digest in record.provenance.data_checksums.items() if record.provenance else ():
                seen.setdefault(split, set()).add(digest)
    mixed = sorted(split for split, digests in seen.items() if len(digests) > 1)
    return f"The rows were not measured on the same data: {', '.join(mixed)} has more than one checksum." if mixed else ""


def _seeds(cells: Sequence[Cell]) -> int | None:
    counts = {len(cell.measured.seeds) for cell in cells if cell.measured}
    return counts.pop() if len(counts) == 1 else None


def _with_delta(cell: Cell, base: Cell, column: Column) -> Cell:
    if cell is base or column.kind == "mark":
        return cell
    published = None
    if isinstance(cell.published, float) and isinstance(base.published, float):
        published = cell.published - base.published
    return replace(cell, delta_published=published, delta_measured=delta(cell.measured, base.measured, column.metric))


def _row(
    published: PublishedTable, line: _Line, columns: Sequence[Column], cells: Sequence[Cell], marks: Mapping[str, tuple[str, ...]]
) -> Row:
    row, borrowed = line.row, f"Table {line.home.number}" if line.home is not published else ""
    if not borrowed:
        cells = [replace(cell, marks=marks.get(f"{row.key}.{column.key}", ())) for cell, column in zip(cells, columns, strict=True)]
    judged = [cell for cell, column in zip(cells, columns, strict=True) if column.kind == "quality" and cell.status]
    counts = tuple((status, sum(cell.status == status for cell in judged)) for status in Status)
    return Row(
        key=row.key,
        label=row.label,
        what=row.what,
        group=row.group,
        model=row.model,
        baseline=line.baseline,
        borrowed=borrowed,
        cells=tuple(cells),
        statuses=tuple(pair for pair in counts if pair[1]),
        reason="; ".join(dict.fromkeys(cell.reason for cell in judged if cell.reason and cell.status != Status.RETRAINED)),
        marks=() if borrowed else marks.get(row.key, ()),
    )


def _finding(finding: Finding, rows: Sequence[Row], columns: Sequence[Column]) -> list[tuple[str, str]]:
    """The paragraph with its numbers; none where the measured number agrees with the printed one."""
    index = next(index for index, column in enumerate(columns) if column.key == finding.column)
    cell = next(row for row in rows if row.key == finding.row).cells[index]
    column = columns[index]
    published = f"{float(cell.published or 0):.{column.digits}f}"
    if cell.status == Status.REPRODUCED:
        return []
    cost = cell.measured.records[0].cost if cell.measured else None
    if cell.measured is None or cost is None or cell.difference is None:
        return [(finding.title, finding.without.format(published=published))]
    values = {
        "measured": f"{cell.measured.estimate.mean:.{column.digits}f}",
        "published": published,
        "difference": f"{cell.difference:+.{column.digits}f}".replace("-", "−"),
        "percent": f"{100 * cell.difference / float(cell.published or 1):+.1f}".replace("-", "−"),
        "scan": f"{cost.scan_macs / SCALES[column.unit]:.{column.digits}f}",
        "rest": f"{(cost.macs - cost.scan_macs) / SCALES[column.unit]:.{column.digits}f}",
        "params": f"{cost.params:,}",
        "size": "{}×{}".format(*cost.input_size),
    }
    return [(finding.title, finding.text.format(**values))]
