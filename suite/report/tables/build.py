"""The papers' tables with our numbers in them: published tables and records in, one typed table model out.

Nothing here knows HTML: `build_tables` gives what any rendering needs. A published column keeps its place; a record's number
goes into it only where it may be compared (suite.report.comparable: the recipe, the whole published test set, a protocol that
measures alike). Every other measurement stands in a column of its own, one for each setting, and is compared with nothing but its
own baseline row. A setting is what the header tells of the conditions: rows of different tasks (x2, x3, x4) share it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from suite.core.look import look_once_at
from suite.core.statistics import stats
from suite.records.kinds.evaluation import Evaluation
from suite.records.kinds.profile import ProfileRecord
from suite.records.ledger import pick_standing
from suite.records.record import Measured, Record
from suite.report.commands import alike_command, plan_alike, plan_training, profile_command, run_command, train_command
from suite.report.comparable import Difference, find_differences, list_unverified, shorten_differences
from suite.report.measured import (
    Count,
    Measurement,
    Status,
    TableCell,
    average_seeds,
    get_count,
    make_unavailable_cell,
    subtract_baseline,
)
from suite.report.settings import Outline, Setting, describe, group_by_setting
from suite.report.tables.given import fill_given, fits_table, is_authors
from suite.report.tables.model import Table, TableColumn, TableRow
from suite.report.tables.ranks import rank_cells, warn_below
from suite.report.trivial import TRIVIAL, add_trivial
from suite.study.baselines import BASELINES
from suite.study.published import UNIT_SCALES, Paper, PublishedColumn, PublishedFinding, PublishedRow, PublishedTable, cost_input


@dataclass(frozen=True)
class _Line:
    """A row to be filled, with its records by setting."""

    row: PublishedRow
    home: PublishedTable
    baseline: bool
    runs: Mapping[Setting, tuple[Record, ...]]
    given: tuple[Evaluation, ...]  # of its network's weights, or of a baseline
    profiles: tuple[ProfileRecord, ...]  # of its network, or of the baseline that it names


def build_tables(papers: Sequence[Paper], records: Iterable[Measured], profiles: Iterable[ProfileRecord] = ()) -> tuple[Table, ...]:
    """Return every table of `papers`, in order, filled with what `records` measured and `profiles` counted; none is needed."""
    current, counted = add_trivial(pick_standing(records)), pick_standing(profiles)
    return tuple(_table(paper, published, current, counted) for paper in papers for published in paper.tables)


def _table(paper: Paper, published: PublishedTable, records: Sequence[Measured], profiles: Sequence[ProfileRecord]) -> Table:
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
        warning = " ".join(filter(None, (_data_warning(filled), warn_below([line.row for line in lines], filled, column))))
        columns.append(replace(column, warning=warning, seeds=_seeds(filled)))
        cells.append(filled)
    start = next((index for index, line in enumerate(lines) if line.baseline), None)
    if start is not None:
        cells = [[_with_delta(cell, filled[start], column) for cell in filled] for column, filled in zip(columns, cells, strict=True)]
    cells = [rank_cells(filled, column, [line.row for line in lines]) for column, filled in zip(columns, cells, strict=True)]
    rows = tuple(_row(published, line, columns, [filled[index] for filled in cells], marks) for index, line in enumerate(lines))
    findings = tuple(note for finding in published.findings for note in _finding(finding, rows, columns))
    return Table(paper, published, tuple(columns), rows, footnotes, findings)


def _lines(paper: Paper, published: PublishedTable, records: Sequence[Measured], profiles: Sequence[ProfileRecord]) -> list[_Line]:
    given = [record for record in records if isinstance(record, Evaluation) and record.status == "done"]
    places = [(row, published) for row in published.rows]
    baseline = published.baseline
    if baseline is not None and baseline.table:
        home = paper.table(baseline.table)
        places.insert(0, (home.row(baseline.row), home))
    lines = []
    by_model: dict[str, list[Record]] = {}
    for record in sorted((one for one in records if isinstance(one, Record)), key=lambda record: record.spec.seed):
        by_model.setdefault(record.spec.model, []).append(record)
    for row, home in places:
        tasks = {row.task} if row.task else {column.task or home.task for column in home.columns}
        runs = group_by_setting(record for record in by_model.get(row.model or "", ()) if record.spec.task in tasks)
        is_baseline = baseline is not None and row.key == baseline.row and home.id == (baseline.table or published.id)
        name = row.model or next((found.name for found in BASELINES.values() if (home.id, row.key) in found.rows), None)
        counted = tuple(profile for profile in profiles if profile.spec.model == name and profile.cost)
        own = tuple(record for record in given if record.spec.model == row.model and record.spec.task in tasks)
        lines.append(_Line(row, home, is_baseline, runs, own, counted))
    return _with_trivial(lines, by_model, given)


def _with_trivial(lines: Sequence[_Line], by_model: Mapping[str, Sequence[Record]], given: Sequence[Evaluation]) -> list[_Line]:
    """Put a line for each trivial baseline that was measured as a table asks, or beside its networks, before the first row of its task."""
    found: list[_Line] = []
    for place, line in enumerate(lines):
        task, group = line.row.task or line.home.task, line.row.group
        if all((one.row.task or one.home.task, one.row.group) != (task, group) for one in lines[:place]):
            beside = {setting for one in lines if one.row.group == group for setting in one.runs if setting.task == task}
            for model in TRIVIAL:
                runs = {setting: held for setting, held in group_by_setting(by_model.get(model, ())).items() if setting in beside}
                own = tuple(one for one in given if (one.spec.model, one.spec.task) == (model, task) and fits_table(one, line.home))
                if runs or own:
                    what = "measured here, not printed"
                    row = PublishedRow(key=f"{model}-{task}", label=model, what=what, group=group, model=model, task=task, cells={})
                    found.append(_Line(row, line.home, False, runs, own, ()))
        found.append(line)
    return found


def _footnotes(published: PublishedTable) -> tuple[dict[str, tuple[str, ...]], tuple[tuple[str, str, str], ...]]:
    marks: dict[str, tuple[str, ...]] = {}
    listed = []
    for index, footnote in enumerate(published.footnotes):
        mark = chr(ord("a") + index) if index < 26 else str(index + 1)
        listed.append((mark, footnote.text, footnote.source))
        for cell in footnote.cells:
            marks[cell] = (*marks.get(cell, ()), mark)
    return marks, tuple(listed)


def _published_column(column: PublishedColumn, cells: Sequence[TableCell], marks: Mapping[str, tuple[str, ...]]) -> TableColumn:
    sizes = {cell.measured.input_size for cell in cells if cell.measured and cell.measured.input_size}
    size = column.input_size or (next(iter(sizes)) if len(sizes) == 1 else None)
    detail = column.dataset
    if column.kind == "cost":
        detail = f"input {size[0]}×{size[1]}" if size and column.metric != "params" else ""
        detail = f"output {column.output_size[1]}×{column.output_size[0]}" if column.output_size else detail
    same = ("key", "group", "label", "kind", "metric", "unit", "direction", "digits", "printed")
    return TableColumn(
        **{name: getattr(column, name) for name in same},
        detail=detail,
        marks=marks.get(f"*.{column.key}", ()),
        warning=_data_warning(cells) if column.kind == "quality" else "",
        seeds=_seeds(cells),
    )


def _counts(line: _Line, runs: Mapping[Setting, tuple[Record, ...]]) -> list[Count]:
    return [get_count(r) for records in (*runs.values(), line.profiles) for r in records if r.cost]


def _common_size(lines: Sequence[_Line]) -> tuple[int, int] | None:
    """Return the input at which most rows were counted, the smallest of several: rows of a column compare at one size only."""
    rows = [{count.input_size for count in _counts(line, line.runs)} for line in lines]
    have = Counter(size for sizes in rows for size in sizes)
    return min(have, key=lambda size: (-have[size], size), default=None)


def _published_cell(line: _Line, column: PublishedColumn, size: tuple[int, int] | None = None) -> TableCell:
    """Return the cell of a published column; `size` is the input of a cost where the table names none."""
    published = line.row.cells.get(column.key)
    if column.kind == "mark" or (column.kind == "cost" and line.row.model in TRIVIAL):
        return TableCell(published)
    if line.row.model is None and not (column.kind == "cost" and line.profiles):
        return TableCell(published, status=Status.PUBLISHED, reason="a baseline that only the paper measured")
    task = line.row.task or column.task or line.home.task
    runs = {key: records for key, records in line.runs.items() if key.task == task}
    cell = _cost_cell(line, column, runs, size) if column.kind == "cost" else _quality_cell(line, column, runs)
    cell = replace(cell, published=published)
    if cell.measured is None or published is None or column.tolerance is None:
        return cell if published is not None or cell.status == Status.UNAVAILABLE else replace(cell, status=None)
    near = column.tolerance.covers(float(published), cell.measured.estimate.mean)
    difference = cell.measured.estimate.mean - float(published)
    if cell.measured.given and not is_authors(cell.measured.records[0], line.home, line.row):
        return replace(cell, difference=difference, status=Status.OTHERS)
    return replace(cell, difference=difference, status=Status.REPRODUCED if near else Status.DEVIATES)


def _quality_cell(line: _Line, column: PublishedColumn, runs: Mapping[Setting, tuple[Record, ...]]) -> TableCell:
    """Return the cell without its published value: measured where a record may be compared, else why not."""
    row, grid = line.row, line.home.grid
    unlike = {key: _find_unlike(records, column, line.home) for key, records in runs.items()}
    fitting = {key: records for key, records in runs.items() if not unlike[key]}
    measured = [found for key, records in fitting.items() if (found := average_seeds(records, column.metric, key, grid))]
    if measured:
        best = max(measured, key=lambda found: len(found.seeds))
        extra = (f"{len(measured) - 1} more setting(s) qualify; see the list of cells",) if len(measured) > 1 else ()
        extra += tuple(dict.fromkeys(note for record in best.records for note in list_unverified(record)))
        return TableCell(measured=replace(best, notes=best.notes + extra), command=best.origin.command)
    task = row.task or column.task or line.home.task
    given, otherwise = fill_given(line.given, (line.home, line.row, column), task)
    if given is not None or row.model in TRIVIAL:
        return given or TableCell(reason="not measured")
    where = line.home, row.model or "", task
    test_set = "".join(column.test_sets[:1])
    wanted = {"command": train_command(*where, test_set=test_set), "trains": plan_training(*where, test_set=test_set)}
    done = [key for key, records in runs.items() if any(record.status == "done" for record in records)]
    if otherwise and not done:
        return TableCell(status=Status.RETRAINED, reason=f"given weights, measured otherwise: {otherwise}", **wanted)
    if not fitting and done:
        reasons = sorted({shorten_differences(unlike[key]) for key in done})
        return TableCell(status=Status.RETRAINED, reason="; ".join(reasons), **wanted)
    tried = list(fitting.values()) or list(runs.values())
    if tried:
        return make_unavailable_cell(tried[0], column.metric, grid)
    return TableCell(status=Status.PUBLISHED, reason="not run", **wanted)


def _find_unlike(records: Sequence[Record], column: PublishedColumn, table: PublishedTable) -> tuple[Difference, ...]:
    """Return what keeps the records of a setting from being compared with the printed numbers of `column`, each once."""

    def find() -> tuple[Difference, ...]:
        return tuple(dict.fromkeys(found for record in records for found in find_differences(record, column, table)))

    return look_once_at((records, table), (_find_unlike, column.task, column.test_sets), find)


def _cost_cell(
    line: _Line, column: PublishedColumn, runs: Mapping[Setting, tuple[Record, ...]], common: tuple[int, int] | None
) -> TableCell:
    """Return the cell of a cost, without its published value; a failed record may still carry the cost."""
    row, grid = line.row, line.home.grid
    counted = _counts(line, runs)
    wanted = cost_input(line.home, row, column) or common
    fitting = [count for count in counted if wanted in (None, count.input_size)]
    if not fitting:
        missing = profile_command(row.model or "", how=f"--size {wanted[0]}x{wanted[1]}" if wanted else "")
        if counted and wanted:
            (height, width), (tall, wide) = counted[0].input_size, wanted
            return TableCell(status=Status.UNAVAILABLE, reason=f"counted at {height}×{width}, not at {tall}×{wide}", command=missing)
        if runs:
            return make_unavailable_cell(next(iter(runs.values())), column.metric, grid)
        return TableCell(status=Status.PUBLISHED if column.printed else None, reason="not run", command=missing)
    count = max(fitting, key=lambda count: count.finished)
    value, note = count.value(column, row.cells.get(column.key))
    size = count.input_size if column.metric == "macs" else None
    measured = Measurement(stats.Estimate(value, None, 1), (), None, (count.record,), count.origin, (note,) if note else (), size)
    return TableCell(measured=measured, command=count.origin.command)


def _retrained_columns(published: PublishedTable, lines: Sequence[_Line]) -> list[tuple[TableColumn, Mapping[str, Setting]]]:
    """Return a column for each outline of settings that no printed column can take and each metric, with its settings by task."""
    qualities = [column for column in published.columns if column.kind == "quality"]
    runs = [(setting, records) for line in lines for setting, records in line.runs.items()]
    apart = list(dict.fromkeys(key for key, records in runs if all(_find_unlike(records, column, published) for column in qualities)))
    by_task = any(column.task for column in qualities)  # then a row holds several tasks, and a setting but one
    outlines: dict[Outline, dict[str, Setting]] = {}
    for setting in sorted(apart, key=lambda setting: (setting.iterations, setting.test_set, setting.text)):
        outline = setting.outline(apart)
        outlines.setdefault(outline if by_task else replace(outline, task=""), {})[setting.task] = setting
    found = []
    for index, (outline, settings) in enumerate(outlines.items()):
        for metric in dict.fromkeys(column.metric for column in qualities):
            like = next(column for column in qualities if column.metric == metric)
            column = TableColumn(
                key=f"retrained-{index}-{metric}",
                group=f"Re-trained at {outline.budget} budget",
                label=metric,
                kind="retrained",
                metric=metric,
                unit=like.unit,
                direction=like.direction,
                digits=like.digits,
                detail="; ".join(part for part in (outline.task, describe(outline)[1]) if part),
                printed=False,
                outline=outline,
            )
            found.append((column, settings))
    return found


def _retrained_cell(line: _Line, metric: str, settings: Mapping[str, Setting]) -> TableCell:
    grid = line.home.grid
    setting = next((setting for setting in settings.values() if setting in line.runs), None)
    if setting is None:
        if line.row.model is None or line.row.model in TRIVIAL:
            return TableCell(reason="not run by this suite")
        task = line.row.task or line.home.task
        if task in settings:
            alike = line.row.model, settings[task]
            return TableCell(reason="not run", command=alike_command(grid, *alike), trains=(plan_alike(*alike),))
        budget = next(iter(settings.values())).budget
        return TableCell(reason="not run", command=run_command(grid, line.row.model, task, budget=budget))
    measured = average_seeds(line.runs[setting], metric, setting, grid)
    if measured is None:
        return make_unavailable_cell(line.runs[setting], metric, grid)
    columns = [column for column in line.home.columns if column.kind == "quality" and column.metric == metric]
    unlike = min((_find_unlike(measured.records, column, line.home) for column in columns), key=len, default=())
    return TableCell(measured=replace(measured, origin=replace(measured.origin, unlike=unlike)), command=measured.origin.command)


def _data_warning(cells: Sequence[TableCell]) -> str:
    seen: dict[str, set[str]] = {}
    for cell in cells:
        for record in cell.measured.records if cell.measured else ():
            for split, digest in record.provenance.data_checksums.items() if record.provenance else ():
                seen.setdefault(split, set()).add(digest)
    mixed = sorted(split for split, digests in seen.items() if len(digests) > 1)
    return f"The rows were not measured on the same data: {', '.join(mixed)} has more than one checksum." if mixed else ""


def _seeds(cells: Sequence[TableCell]) -> int | None:
    counts = {len(cell.measured.seeds) for cell in cells if cell.measured}
    return counts.pop() if len(counts) == 1 else None


def _with_delta(cell: TableCell, base: TableCell, column: TableColumn) -> TableCell:
    if cell is base or column.kind == "mark":
        return cell
    published = None
    if isinstance(cell.published, float) and isinstance(base.published, float):
        published = cell.published - base.published
    return replace(cell, delta_published=published, delta_measured=subtract_baseline(cell.measured, base.measured, column.metric))


def _row(
    published: PublishedTable, line: _Line, columns: Sequence[TableColumn], cells: Sequence[TableCell], marks: Mapping[str, tuple[str, ...]]
) -> TableRow:
    row, borrowed = line.row, line.home.place if line.home is not published else ""
    if not borrowed:
        cells = [replace(cell, marks=marks.get(f"{row.key}.{column.key}", ())) for cell, column in zip(cells, columns, strict=True)]
    judged = [cell for cell, column in zip(cells, columns, strict=True) if column.kind == "quality" and cell.status]
    counts = tuple((status, sum(cell.status == status for cell in judged)) for status in Status)
    return TableRow(
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


def _finding(finding: PublishedFinding, rows: Sequence[TableRow], columns: Sequence[TableColumn]) -> list[tuple[str, str]]:
    """Return the paragraph with its numbers; none where the measured number agrees with the printed one."""
    if not finding.row:
        return [(finding.title, finding.without)]
    index = next(index for index, column in enumerate(columns) if column.key == finding.column)
    cell = next(row for row in rows if row.key == finding.row).cells[index]
    column = columns[index]
    published = f"{float(cell.published or 0):.{column.digits}f}"
    if cell.status == Status.REPRODUCED:
        return []
    cost = getattr(cell.measured.records[0], "cost", None) if cell.measured else None
    if cell.measured is None or cell.measured.input_size is None or cost is None or cell.difference is None:
        return [(finding.title, finding.without.format(published=published))]
    values = {
        "measured": f"{cell.measured.estimate.mean:.{column.digits}f}",
        "published": published,
        "difference": f"{cell.difference:+.{column.digits}f}".replace("-", "−"),
        "percent": f"{100 * cell.difference / float(cell.published or 1):+.1f}".replace("-", "−"),
        "scan": f"{cost.scan_macs / UNIT_SCALES[column.unit]:.{column.digits}f}",
        "rest": f"{(cost.macs - cost.scan_macs) / UNIT_SCALES[column.unit]:.{column.digits}f}",
        "params": f"{cost.params:,}",
        "size": "{}×{}".format(*cell.measured.input_size),
    }
    return [(finding.title, finding.text.format(**values))]
