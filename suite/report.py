"""The report: records in, self-contained HTML files out, without torch or Ray: of models, and of scan backends (suite.scan_page).

The page is made from the table model (suite/tables.py), the figures' geometry (suite/figures.py) and the templates in
reports/templates, with autoescape on everywhere; style sheet and script are inlined, and the page's own content security
policy forbids every request and every script but that one. The same records give the same bytes: the page carries the
times of its records, not of its making.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from suite import comparison, figures, published, scan_page
from suite import html as pages
from suite.layout import Layout, layout
from suite.measured import COMMAND, Status, dataset_name, error_line, holds, latest, regenerate
from suite.protocols import METRICS
from suite.record import Attempt, Record
from suite.scan_record import ScanRecord
from suite.tables import Table, build

FILE = "index.html"
GLYPHS: Mapping[Status, str] = {
    Status.REPRODUCED: "=",
    Status.DEVIATES: "≠",
    Status.RETRAINED: "↻",
    Status.PUBLISHED: "○",
    Status.UNAVAILABLE: "×",
}


@dataclass(frozen=True)
class ImageTable:
    """A metric image by image, averaged over seeds."""

    title: str
    metric: str
    digits: int
    labels: tuple[str, ...]
    rows: tuple[tuple[str, tuple[float | None, ...]], ...]
    means: tuple[float | None, ...]


@dataclass(frozen=True)
class Section:
    """A table with all that stands below it."""

    table: Table
    layout: Layout
    forest: figures.Forest | None
    curves: tuple[figures.CurveSet, ...]
    images: tuple[ImageTable, ...]
    uncounted: tuple[tuple[str, str], ...]  # label, operators without a cost
    missing: tuple[tuple[str, str, str], ...]  # label, why, command


@dataclass(frozen=True)
class Environment:
    """A machine, its software and a state of the code, under which some cells ran."""

    name: str
    machine: tuple[tuple[str, str], ...]
    packages: tuple[tuple[str, str], ...]
    commit: str
    dirty: bool | None
    launchers: tuple[str, ...]
    threads: tuple[int, ...]
    cells: int


@dataclass(frozen=True)
class CellLine:
    """A record in the list of cells."""

    record: Record
    metrics: tuple[tuple[str, str], ...]
    environment: str
    error: str
    command: str


@dataclass(frozen=True)
class Page:
    """All that the templates show."""

    summary: str
    span: str
    command: str
    sections: tuple[Section, ...]
    tally: tuple[tuple[Status, int], ...]
    cells: tuple[CellLine, ...]
    failed: tuple[CellLine, ...]
    environments: tuple[Environment, ...]
    protocols: tuple[tuple[str, str], ...]
    data: tuple[tuple[str, str], ...]
    backends: tuple[tuple[str, str], ...]
    seeds: tuple[int, ...]
    comparison: comparison.Comparison | None


def render(records: Iterable[Attempt], destination: Path, pictures_mib: float = comparison.PICTURES_MIB) -> Path:
    """Writes `destination`/index.html and, where there are scan records, scan.html, and returns the first; no record is needed."""
    held = list(records)
    scans = latest(record for record in held if isinstance(record, ScanRecord))
    if scans:
        pages.write(destination / scan_page.FILE, scan_page.html(scans, moment))
    else:
        (destination / scan_page.FILE).unlink(missing_ok=True)  # of records that are gone
    return pages.write(destination / FILE, html(held, pictures_mib))


def html(records: Iterable[Attempt], pictures_mib: float = comparison.PICTURES_MIB) -> str:
    """The page of trained models as text, with at most `pictures_mib` MiB of pictures."""
    held = list(records)
    current = latest(record for record in held if isinstance(record, Record))
    return pages.page(
        "index.html.j2",
        {"fixed": fixed, "signed": signed, "moment": moment, "dataset": dataset_name, "duration": duration},
        {
            "page": page(build(published.load_all(), current), current, pictures_mib),
            "glyphs": GLYPHS,
            "Status": Status,
            "scans": scan_page.FILE if any(isinstance(record, ScanRecord) for record in held) else "",
        },
    )


def page(tables: Sequence[Table], records: Sequence[Record], pictures_mib: float = comparison.PICTURES_MIB) -> Page:
    """What the page shows of these tables, built from these records (one a cell)."""
    environments = _environments(records)
    grids = {row.model: table.published.grid for table in tables for row in table.rows}
    default = next(iter(grids.values()), "")
    cells = tuple(_cell_line(record, environments, grids.get(record.spec.model, default)) for record in records)
    moments = sorted(
        moment for record in records if record.provenance for moment in (record.provenance.started, record.provenance.finished)
    )
    judged = [
        cell.status
        for table in tables
        for row in table.rows
        for column, cell in zip(table.columns, row.cells, strict=True)
        if column.printed and cell.status and not row.borrowed
    ]
    return Page(
        summary=_summary(records),
        span=_span(moments[0], moments[-1]) if moments else "",
        command=f"{COMMAND} --grid {default}",
        sections=tuple(_section(table) for table in tables),
        tally=tuple((status, judged.count(status)) for status in Status),
        cells=cells,
        failed=tuple(line for line in cells if line.record.status == "failed"),
        environments=tuple(environments.values()),
        protocols=_pairs((f"{r.protocol.name}@{r.protocol.version}", r.protocol.statement) for r in records if r.protocol),
        data=_pairs(pair for r in records if r.provenance for pair in r.provenance.data_checksums.items()),
        backends=_pairs((r.spec.backend, r.provenance.backend_reason) for r in records if r.provenance),
        seeds=tuple(sorted({record.spec.seed for record in records})),
        comparison=comparison.build(records, tables, limit_mib=pictures_mib),
    )


def _section(table: Table) -> Section:
    missing = {}
    for row in table.rows:
        for column, cell in zip(table.columns, row.cells, strict=True):
            if cell.command and cell.measured is None and (column.kind != "cost" or cell.status == Status.UNAVAILABLE):
                missing.setdefault(cell.command, (row.label, cell.reason, cell.command))
    return Section(
        table,
        layout(table),
        figures.forest(table),
        figures.curve_sets(table),
        tuple(found for index in figures.measured_columns(table) for found in _image_tables(table, index)),
        _uncounted(table),
        tuple(missing.values()),
    )


def _uncounted(table: Table) -> tuple[tuple[str, str], ...]:
    found: dict[str, str] = {}
    for row in table.rows:
        for column, cell in zip(table.columns, row.cells, strict=True):
            cost = cell.measured.records[0].cost if cell.measured and column.kind == "cost" else None
            if cost and cost.unsupported:
                found[row.label] = ", ".join(f"{name} ×{count}" for name, count in sorted(cost.unsupported.items()))
    return tuple(found.items())


def _image_tables(table: Table, index: int) -> list[ImageTable]:
    shown = [(row, measured.records) for row in table.rows if (measured := row.cells[index].measured)]
    held = dict.fromkeys(name for _, records in shown for score in records[0].scores for name in score.metrics)
    found = []
    for metric in held:
        usable = [(row, [r for r in records if holds(r, metric)]) for row, records in shown]
        usable = [(row, records) for row, records in usable if records]
        images = dict.fromkeys(score.image for _, records in usable for record in records for score in record.scores)
        rows = tuple((image, tuple(_image_mean(records, image, metric) for _, records in usable)) for image in images)
        means = tuple(sum(record.mean(metric) for record in records) / len(records) for _, records in usable)
        digits = METRICS[metric].digits if metric in METRICS else 4
        unit = f", {METRICS[metric].unit}" if metric in METRICS and METRICS[metric].unit else ""
        title = figures.heading(table.columns[index])
        found.append(ImageTable(title, metric + unit, digits, tuple(row.label for row, _ in usable), rows, means))
    return found


def _image_mean(records: Sequence[Record], image: str, metric: str) -> float | None:
    values = [score.metrics[metric] for record in records for score in record.scores if score.image == image]
    return sum(values) / len(values) if values else None


def _summary(records: Sequence[Record]) -> str:
    """One sentence: how many cells, at which budget, with how many seeds."""
    if not records:
        return "Nothing has been run yet: the tables hold what the papers print."
    done = sum(record.status == "done" for record in records)
    budgets = sorted({record.spec.budget for record in records})
    seeds = len({record.spec.seed for record in records})
    parts = [f"{done} of {len(records)} cells done" if done < len(records) else f"all {done} cells done"]
    parts += [f"{len(records) - done} failed"] if done < len(records) else []
    parts.append(f"{' and '.join(budgets)} budget")
    parts.append("1 seed" if seeds == 1 else f"{seeds} seeds")
    return ", ".join(parts)[0].upper() + ", ".join(parts)[1:] + "."


def _environments(records: Sequence[Record]) -> dict[tuple, Environment]:
    groups: dict[tuple, list[Record]] = {}
    for record in records:
        if record.provenance:
            groups.setdefault(_environment_key(record), []).append(record)
    found = {}
    for number, (key, members) in enumerate(groups.items(), 1):
        made = [record.provenance for record in members if record.provenance]
        found[key] = Environment(
            name=f"E{number}",
            machine=tuple((name.replace("_gib", ", GiB").replace("_", " "), str(value)) for name, value in made[0].machine.items()),
            packages=tuple(sorted(made[0].packages.items())),
            commit=made[0].commit,
            dirty=made[0].dirty,
            launchers=tuple(sorted({p.launcher for p in made})),
            threads=tuple(sorted({p.threads for p in made})),
            cells=len(members),
        )
    return found


def _environment_key(record: Record) -> tuple:
    made = record.provenance
    return (tuple(sorted(made.machine.items())), tuple(sorted(made.packages.items())), made.commit, made.dirty) if made else ()


def _cell_line(record: Record, environments: Mapping[tuple, Environment], grid: str) -> CellLine:
    names = dict.fromkeys(name for score in record.scores for name in score.metrics)
    metrics = [(name, fixed(record.mean(name), METRICS[name].digits if name in METRICS else 4)) for name in names if holds(record, name)]
    environment = environments.get(_environment_key(record))
    error = error_line(record) if record.status == "failed" else ""
    return CellLine(record, tuple(metrics), environment.name if environment else "", error, regenerate(grid, [record]))


def _pairs(pairs: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(set(pairs)))


def fixed(value: float, digits: int) -> str:
    """A number with so many decimals and a true minus sign."""
    return f"{value:,.{digits}f}".replace("-", "−")


def signed(value: float, digits: int) -> str:
    """A difference: with its sign, and zero without one."""
    text = f"{value:+.{digits}f}"
    return (text[1:] if not float(text) else text).replace("-", "−")


def moment(text: str) -> str:
    """An ISO 8601 time as people read it; anything else as it stands."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return text
    return f"{at.day} {at:%B %Y, %H:%M} {at.tzname() or 'UTC'}"


def _span(first: str, last: str) -> str:
    """From when to when, the day once where it is one day."""
    begin, end = moment(first), moment(last)
    day, _, rest = end.partition(", ")
    return f"on {begin.removesuffix(' UTC')} to {rest}" if rest and begin.startswith(day) else f"from {begin} to {end}"


def duration(seconds: float | None) -> str:
    """Seconds as people read them; a dash where nothing was timed."""
    if seconds is None:
        return "–"
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
