"""The papers' tables with our numbers in them: published tables and records in, one typed table model out.

Nothing here knows HTML: `build` gives what any rendering needs. A published column keeps its place; a record's number
goes into it only where it may be compared (paper budget, full network, the published test set, a protocol that measures
alike). Every other measurement stands in a column of its own, one for each setting, and is compared with nothing but its
own baseline row. A setting is what the header tells of the conditions: rows of different tasks (x2, x3, x4) share it.
"""

from __future__ import annotations

import json
import shlex
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from suite.core import stats
from suite.core.ranking import ranks
from suite.records.profile import ProfileRecord
from suite.records.record import Record
from suite.records.spec import RunSpec
from suite.report.measured import (
    Cell,
    Count,
    Measured,
    Status,
    command,
    condition,
    count_of,
    delta,
    latest,
    measure,
    obstacle,
    profile_count,
    told,
    unavailable,
)
from suite.study.baselines import BASELINES
from suite.study.published import SCALES, Finding, Paper, PublishedTable, cost_input
from suite.study.published import Column as PublishedColumn
from suite.study.published import Row as PublishedRow


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
    profiles: tuple[ProfileRecord, ...]  # of its network, or of the baseline that it names


def build(papers: Sequence[Paper], records: Iterable[Record], profiles: Iterable[ProfileRecord] = ()) -> tuple[Table, ...]:
    """Every table of `papers`, in order, filled with what `records` measured and `profiles` counted; none is needed."""
    current, counted = latest(records), latest(profiles)
    return tuple(_table(paper, published, current, counted) for paper in papers for published in paper.tables)


def _table(paper: Paper, published: PublishedTable, records: Sequence[Record], profiles: Sequence[ProfileRecord]) -> Table:
    lines = _lines(paper, published, records, profiles)
    marks, footnotes = _footnotes(published)
    columns, cells = [], []
    for column in published.columns:
        size = _common_size(lines) if column.kind == "cost" and column.metric == "macs" else None
        filled = [_published_cell(line, column, size) for line in lines]
        columns.append(_published_column(column, filled, marks))
        cells.append(filled)
    for column, setting in _retrained_columns(published, lines):
        filled = [_retrained_cell(line, column.metric, setting) for line in lines]
        columns.append(replace(column, warning=_data_warning(filled), seeds=_seeds(filled)))
        cells.append(filled)
    start = next((index for index, line in enumerate(lines) if line.baseline), None)
    if start is not None:
        cells = [[_with_delta(cell, filled[start], column) for cell in filled] for column, filled in zip(columns, cells, strict=True)]
    cells = [_ranked(filled, column, lines) for column, filled in zip(columns, cells, strict=True)]
    rows = tuple(_row(published, line, columns, [filled[index] for filled in cells], marks) for index, line in enumerate(lines))
    findings = tuple(note for finding in published.findings for note in _finding(finding, rows, columns))
    return Table(paper, published, tuple(columns), rows, footnotes, findings)


def _lines(paper: Paper, published: PublishedTable, records: Sequence[Record], profiles: Sequence[ProfileRecord]) -> list[_Line]:
    places = [(row, published) for row in published.rows]
    baseline = published.baseline
    if baseline is not None and baseline.table:
        home = paper.table(baseline.table)
        places.insert(0, (home.row(baseline.row), home))
    lines = []
    by_model: dict[str, list[Record]] = {}
    for record in sorted(records, key=lambda record: record.spec.seed):
        by_model.setdefault(record.spec.model, []).append(record)
    for row, home in places:
        tasks = {row.task} if row.task else {column.task or home.task for column in home.columns}
        runs: dict[str, tuple[Record, ...]] = {}
        for record in by_model.get(row.model or "", ()):
            if record.spec.task in tasks:
                key = condition(record.spec)
                runs[key] = (*runs.get(key, ()), record)
        is_baseline = baseline is not None and row.key == baseline.row and home.id == (baseline.table or published.id)
        name = row.model or next((found.name for found in BASELINES.values() if (home.id, row.key) in found.rows), None)
        counted = tuple(profile for profile in profiles if profile.spec.model == name and profile.cost)
        lines.append(_Line(row, home, is_baseline, runs, counted))
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
    sizes = {cell.measured.input_size for cell in cells if cell.measured and cell.measured.input_size}
    size = column.input_size or (next(iter(sizes)) if len(sizes) == 1 else None)
    detail = column.dataset
    if column.kind == "cost":
        detail = f"input {size[0]}×{size[1]}" if size and column.metric != "params" else ""
        detail = f"output {column.output_size[1]}×{column.output_size[0]}" if column.output_size else detail
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


def _counts(line: _Line, runs: Mapping[str, tuple[Record, ...]]) -> list[Count]:
    return [*(count_of(r) for records in runs.values() for r in records if r.cost), *map(profile_count, line.profiles)]


def _common_size(lines: Sequence[_Line]) -> tuple[int, int] | None:
    """The input at which most rows were counted, of such the smallest: rows of a column compare at one size alone."""
    rows = [{count.input_size for count in _counts(line, line.runs)} for line in lines]
    have = Counter(size for sizes in rows for size in sizes)
    return min(have, key=lambda size: (-have[size], size), default=None)


def _published_cell(line: _Line, column: PublishedColumn, size: tuple[int, int] | None = None) -> Cell:
    """The cell of a published column; `size` is the input of a cost where the table names none."""
    published = line.row.cells.get(column.key)
    if column.kind == "mark":
        return Cell(published)
    if line.row.model is None and not (column.kind == "cost" and line.profiles):
        return Cell(published, status=Status.PUBLISHED, reason="a baseline that only the paper measured")
    task = line.row.task or column.task or line.home.task
    runs = {key: records for key, records in line.runs.items() if records[0].spec.task == task}
    cell = _cost_cell(line, column, runs, size) if column.kind == "cost" else _quality_cell(line, column, runs)
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
    task = row.task or column.task or line.home.task
    wanted = command(grid, row.model or "", task, budget="paper", changes=changes)
    done = [records for records in runs.values() if any(record.status == "done" for record in records)]
    if not fitting and done:
        reasons = sorted({obstacle(records[0].spec, column, line.home) for records in done})
        return Cell(status=Status.RETRAINED, reason="; ".join(reasons), command=wanted)
    tried = list(fitting.values()) or list(runs.values())
    if tried:
        return unavailable(tried[0], column.metric, grid)
    return Cell(status=Status.PUBLISHED, reason="not run", command=command(grid, row.model or "", task))


def _cost_cell(line: _Line, column: PublishedColumn, runs: Mapping[str, tuple[Record, ...]], common: tuple[int, int] | None) -> Cell:
    """The cell of a cost, without its published value; a failed record may still carry the cost."""
    row, grid = line.row, line.home.grid
    counted = _counts(line, runs)
    wanted = cost_input(line.home, row, column) or common
    fitting = [count for count in counted if wanted in (None, count.input_size)]
    if not fitting:
        size = f" --size {wanted[0]}x{wanted[1]}" if wanted else ""
        missing = f"python -m suite profile {shlex.quote(row.model or '')}{size}"
        if counted and wanted:
            (height, width), (tall, wide) = counted[0].input_size, wanted
            return Cell(status=Status.UNAVAILABLE, reason=f"counted at {height}×{width}, not at {tall}×{wide}", command=missing)
        if runs:
            return unavailable(next(iter(runs.values())), column.metric, grid)
        return Cell(status=Status.PUBLISHED if column.printed else None, reason="not run", command=missing)
    count = max(fitting, key=lambda count: count.finished)
    value, note = count.value(column, row.cells.get(column.key))
    size = count.input_size if column.metric == "macs" else None
    measured = Measured(stats.Estimate(value, None, 1), (), "", (count.record,), count.origin, (note,) if note else (), size)
    return Cell(measured=measured, command=count.origin.command)


def _retrained_columns(published: PublishedTable, lines: Sequence[_Line]) -> list[tuple[Column, Mapping[str, str]]]:
    """One column for each setting that no printed column can take and each metric, with the setting's condition by task."""
    qualities = [column for column in published.columns if column.kind == "quality"]
    specs = {key: records[0].spec for line in lines for key, records in line.runs.items()}
    apart = [spec for spec in specs.values() if all(obstacle(spec, column, published) for column in qualities)]
    by_task = any(column.task for column in qualities)  # then a row holds several tasks, and a setting but one
    settings: dict[tuple[str, str], dict[str, str]] = {}
    for spec in sorted(apart, key=lambda spec: (spec.iterations, spec.test_set, condition(spec))):
        title, conditions = told(spec)
        alike = [other for other in apart if other.task == spec.task and told(other) == (title, conditions)]
        differing = [f for f in RunSpec.model_fields if f not in ("model", "seed") and len({getattr(other, f) for other in alike}) > 1]
        detail = "; ".join([*([spec.task] if by_task else []), conditions, *(f"{field} {getattr(spec, field)}" for field in differing)])
        settings.setdefault((title, detail), {})[spec.task] = condition(spec)
    found = []
    for index, ((title, detail), setting) in enumerate(settings.items()):
        for metric in dict.fromkeys(column.metric for column in qualities):
            like = next(column for column in qualities if column.metric == metric)
            column = Column(
                key=f"retrained-{index}-{metric}",
                group=title,
                label=metric,
                kind="retrained",
                metric=metric,
                unit=like.unit,
                direction=like.direction,
                digits=like.digits,
                detail=detail,
                printed=False,
            )
            found.append((column, setting))
    return found


def _retrained_cell(line: _Line, metric: str, setting: Mapping[str, str]) -> Cell:
    grid = line.home.grid
    key = next((key for key in setting.values() if key in line.runs), "")
    if not key:
        if line.row.model is None:
            return Cell(reason="not ours to run")
        budget = json.loads(next(iter(setting.values())))["budget"]
        again = command(grid, line.row.model, line.row.task or line.home.task, budget=budget)
        return Cell(reason="not run", command=again)
    records = line.runs[key]
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


def _ranked(cells: Sequence[Cell], column: Column, lines: Sequence[_Line]) -> list[Cell]:
    """The cells of a column with their places among the rows of their group: printed among printed, measured among measured."""
    if column.kind not in ("quality", "retrained"):
        return list(cells)
    ranked = list(cells)
    for group in dict.fromkeys(line.row.group for line in lines):
        places = [index for index, line in enumerate(lines) if line.row.group == group]
        values = [cells[i].published for i in places]
        printed = ranks(values if sum(value is not None for value in values) > 1 else [None] * len(values), column.direction)
        means = [found.estimate.mean if (found := cells[i].measured) else None for i in places]
        for i, place, own in zip(places, printed, ranks(means, column.direction), strict=True):
            ranked[i] = replace(cells[i], published_rank=place, measured_rank=own if sum(m is not None for m in means) > 1 else None)
    return ranked


def _row(
    published: PublishedTable, line: _Line, columns: Sequence[Column], cells: Sequence[Cell], marks: Mapping[str, tuple[str, ...]]
) -> Row:
    row, borrowed = line.row, line.home.place if line.home is not published else ""
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
    if not finding.row:
        return [(finding.title, finding.without)]
    index = next(index for index, column in enumerate(columns) if column.key == finding.column)
    cell = next(row for row in rows if row.key == finding.row).cells[index]
    column = columns[index]
    published = f"{float(cell.published or 0):.{column.digits}f}"
    if cell.status == Status.REPRODUCED:
        return []
    cost = cell.measured.records[0].cost if cell.measured else None
    if cell.measured is None or cell.measured.input_size is None or cost is None or cell.difference is None:
        return [(finding.title, finding.without.format(published=published))]
    values = {
        "measured": f"{cell.measured.estimate.mean:.{column.digits}f}",
        "published": published,
        "difference": f"{cell.difference:+.{column.digits}f}".replace("-", "−"),
        "percent": f"{100 * cell.difference / float(cell.published or 1):+.1f}".replace("-", "−"),
        "scan": f"{cost.scan_macs / SCALES[column.unit]:.{column.digits}f}",
        "rest": f"{(cost.macs - cost.scan_macs) / SCALES[column.unit]:.{column.digits}f}",
        "params": f"{cost.params:,}",
        "size": "{}×{}".format(*cell.measured.input_size),
    }
    return [(finding.title, finding.text.format(**values))]
