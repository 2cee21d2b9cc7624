"""What the report of trained models shows, as data: tables with what stands below them, curves, images, cells, provenance.

Tables are built from the papers' (suite/report/tables/build.py), everything that a record has but once (curves, image by image, costs) from
the records themselves, by setting: a record may stand in several tables.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from suite.core.text import format_fixed, format_span, range_of
from suite.records.kinds.evaluation import Evaluation
from suite.records.kinds.profile import ProfileRecord
from suite.records.kinds.scan import ScanRecord
from suite.records.record import Measured, Provenance, Record, error_line
from suite.records.spec import RunSpec
from suite.report import pictures
from suite.report.commands import RUN_COMMAND, evaluate_command, repeat_command
from suite.report.figures.charts import Figure
from suite.report.figures.curves import draw_curves
from suite.report.figures.figure_list import (
    draw_ablations,
    draw_growth,
    draw_network_times,
    draw_receptive_fields,
    draw_scan_times,
    draw_tradeoffs,
)
from suite.report.measured import Measurement, Origin, Status, has_metric
from suite.report.overview import gather_overview
from suite.report.settings import group_by_setting, setting_heading
from suite.report.tables.given import tell_origin
from suite.report.tables.layout import TableLayout, lay_out
from suite.report.tables.model import Table, TableRow
from suite.report.trivial import add_trivial
from suite.study.protocols import METRICS
from suite.study.published import PublishedTable


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
    layout: TableLayout
    forest: Figure | None
    tolerances: tuple[str, ...]  # within what a number is called reproduced, and why
    missing: tuple[tuple[str, str, str, str], ...]  # label, why, command, and what that takes
    measured: int  # rows with a measured number


@dataclass(frozen=True)
class Environment:
    """A machine, its software and a state of the code, under which some cells ran."""

    name: str
    made: Provenance  # of one of the runs: machine, packages and commit are those of all
    launchers: tuple[str, ...]
    threads: tuple[int, ...]
    cells: int


@dataclass(frozen=True)
class RunLine:
    """A record in the list of cells."""

    record: Record
    metrics: tuple[tuple[str, str], ...]
    environment: str
    error: str
    command: str


@dataclass(frozen=True)
class GivenLine:
    """A record in the list of evaluations."""

    record: Evaluation
    origin: str  # of the weights
    inference: str
    metrics: tuple[tuple[str, str], ...]
    environment: str
    error: str
    command: str


Teller = Callable[[Sequence[RunSpec]], str]  # what cells would take, in a few words


def say_nothing(_cells: Sequence[RunSpec]) -> str:
    """Stand in for a teller where nobody knows of machines and times."""
    return ""


def gather_page(
    tables: Sequence[Table],
    measured: Sequence[Measured],
    scans: Sequence[ScanRecord] = (),
    profiles: Sequence[ProfileRecord] = (),
    pictures_mib: float = pictures.PICTURES_MIB,
    tell: Teller = say_nothing,
) -> dict[str, object]:
    """Return all that the templates show of these tables, built from these records (one for each run), and of scans and profiles.

    `tell` says what cells that are not run yet would take.
    """
    records = [record for record in measured if isinstance(record, Record)]
    given = [record for record in measured if isinstance(record, Evaluation)]
    environments = _environments(measured)
    ablations_last = sorted(tables, key=lambda table: table.published.baseline is not None)  # whose grid is the smaller one
    grids = {key: table.published.grid for table in ablations_last for row in table.rows for key in _places(table, row)}
    default = next((table.published.grid for table in tables if table.published.baseline), "tasks")
    cells = tuple(_cell_line(r, environments, grids.get((r.spec.model, r.spec.task), "tasks")) for r in records)
    moments = sorted(moment for r in records or measured if r.provenance for moment in (r.provenance.started, r.provenance.finished))
    judged = [cell.status for table in tables for row in table.rows if not row.borrowed for cell in row.cells if cell.status]
    done = [record for record in records if record.status == "done"]
    overview = gather_overview([*measured, *scans, *profiles], tables, default)
    return {
        "summary": _summary(records),
        "evaluated": f"{len(given)} {'evaluation' if len(given) == 1 else 'evaluations'}" if given else "",
        "span": format_span(moments[0], moments[-1]) if moments else "",
        "command": f"{RUN_COMMAND} --grid {default}",
        "overview": overview,
        "sections": tuple(_section(table, tell) for table in tables),
        "abouts": _origins(tables),
        "figures": (
            *draw_tradeoffs(tables),
            *draw_growth(profiles),
            *draw_receptive_fields(done, overview.names),
            *draw_scan_times(scans),
            *draw_network_times(profiles),
        ),
        "profiles": tuple(sorted(profiles, key=lambda profile: (profile.spec.model, profile.spec.input_size, profile.spec.backend))),
        "comparison": pictures.compare_pictures(measured, tables, limit_mib=pictures_mib),
        "curves": draw_curves(done),
        "images": _image_tables(done),
        "uncounted": _uncounted([*records, *profiles]),
        "tally": tuple((status, judged.count(status)) for status in Status),
        "rows": {status: sum(status in row.all_statuses for table in tables for row in table.rows) for status in Status},
        "cells": cells,
        "given": tuple(_given_line(record, environments) for record in given),
        "failed": tuple(line for line in cells if line.record.status == "failed"),
        "environments": tuple(environments.values()),
        "protocols": _pairs((f"{r.protocol.name}@{r.protocol.version}", r.protocol.statement) for r in measured if r.protocol),
        "data": _pairs(pair for r in measured if r.provenance for pair in r.provenance.data_checksums.items()),
        "backends": _pairs((r.spec.backend, r.provenance.backend_reason) for r in measured if r.provenance),
        "seeds": tuple(sorted({record.spec.seed for record in records})),
    }


def _places(table: Table, row: TableRow) -> list[tuple[str, str]]:
    """Return the (model, task) pairs whose records fill a row."""
    published = next((found for found in table.published.rows if found.key == row.key), None)
    if row.model is None or published is None:  # a borrowed row is its own table's
        return []
    tasks = {published.task} if published.task else {column.task or table.published.task for column in table.published.columns}
    return [(row.model, task) for task in tasks]


def _section(table: Table, tell: Teller) -> Section:
    missing = {}
    measured = sum(any(cell.measured for cell in row.cells) for row in table.rows)
    for row in table.rows:
        for column, cell in zip(table.columns, row.cells, strict=True):
            wanted = cell.command and cell.measured is None and (column.kind != "cost" or cell.status != Status.PUBLISHED)
            if wanted and cell.command not in missing:
                missing[cell.command] = (row.label, cell.reason, cell.command, tell(cell.trains) if cell.trains else "")
    return Section(table, lay_out(table), draw_ablations(table), _tolerances(table.published), tuple(missing.values()), measured)


def _tolerances(table: PublishedTable) -> tuple[str, ...]:
    """Say within what a number is called reproduced, and why; columns with one reason share a sentence."""
    shared: dict[str, dict[str, None]] = {}
    for column in table.columns:
        if column.tolerance:
            absolute = column.tolerance.absolute
            within = f"{100 * (column.tolerance.relative or 0):.2g} %" if absolute is None else f"{absolute:g} {column.unit}".strip()
            name = column.label if column.kind == "cost" else column.metric
            shared.setdefault(column.tolerance.reason, {})[f"{within} of the printed {name}"] = None
    return tuple(f"{' and '.join(parts)}: {reason}" for reason, parts in shared.items())


def card_id(origin: Origin) -> str:
    """Return the identifier of the card of a number from `origin`."""
    text = " ".join([*origin.fingerprints, origin.command])
    return "about-" + hashlib.sha256(text.encode()).hexdigest()[:12]


def _origins(tables: Sequence[Table]) -> tuple[tuple[str, Measurement], ...]:
    """Return the measured numbers of the tables, one of each origin, by the identifiers of their cards."""
    found: dict[str, Measurement] = {}
    for table in tables:
        for row in table.rows:
            for cell in row.cells:
                if cell.measured:
                    found.setdefault(card_id(cell.measured.origin), cell.measured)
    return tuple(found.items())


def _uncounted(records: Sequence[Record | ProfileRecord]) -> tuple[tuple[str, str], ...]:
    found: dict[str, str] = {}
    for record in records:
        if record.cost and record.cost.unsupported:
            found[record.spec.model] = ", ".join(f"{name} ×{count}" for name, count in sorted(record.cost.unsupported.items()))
    return tuple(found.items())


def _image_tables(records: Sequence[Record]) -> tuple[ImageTable, ...]:
    """Return a table for each setting and each metric that its records hold."""
    found, groups = [], group_by_setting(add_trivial(records))
    for setting, alike in groups.items():
        by_model: dict[str, list[Record]] = {}
        for record in alike:
            by_model.setdefault(record.spec.model, []).append(record)
        for metric in dict.fromkeys(name for record in alike for score in record.scores for name in score.metrics):
            usable = {model: [r for r in members if has_metric(r, metric)] for model, members in by_model.items()}
            usable = {model: members for model, members in usable.items() if members}
            if not usable:
                continue
            values = [_image_means(members, metric) for members in usable.values()]
            rows = tuple(
                (image, tuple(means.get(image) for means in values)) for image in dict.fromkeys(i for means in values for i in means)
            )
            means = tuple(sum(record.mean(metric) for record in members) / len(members) for members in usable.values())
            known = METRICS.get(metric)
            unit = f", {known.unit}" if known and known.unit else ""
            title = setting_heading(setting, groups)
            found.append(ImageTable(title, metric + unit, known.digits if known else 4, tuple(usable), rows, means))
    return tuple(found)


def _image_means(records: Sequence[Record], metric: str) -> dict[str, float]:
    """Average the metric of each image over the records."""
    values: dict[str, list[float]] = {}
    for record in records:
        for score in record.scores:
            values.setdefault(score.image, []).append(score.metrics[metric])
    return {image: sum(held) / len(held) for image, held in values.items()}


def _summary(records: Sequence[Record]) -> str:
    """Say in one sentence how many runs there are, at which budget, with how many seeds."""
    if not records:
        return "No network has been trained here: the tables hold what the papers print."
    done = sum(record.status == "done" for record in records)
    budgets = sorted({record.spec.budget for record in records})
    seeds = Counter((setting, record.spec.model) for setting, alike in group_by_setting(records).items() for record in alike)
    all_done = f"all {done} cells done" if done > 1 else "the one cell is done"
    parts = [f"{done} of {len(records)} cells done" if done < len(records) else all_done]
    parts += [f"{len(records) - done} failed"] if done < len(records) else []
    parts.append(f"{' and '.join(budgets)} {'budget' if len(budgets) == 1 else 'budgets'}")
    parts.append(range_of(seeds.values(), "seed"))
    return ", ".join(parts)[0].upper() + ", ".join(parts)[1:] + "."


def _environments(records: Sequence[Measured]) -> dict[tuple, Environment]:
    groups: dict[tuple, list[Measured]] = {}
    for record in records:
        if record.provenance:
            groups.setdefault(_environment_key(record), []).append(record)
    found = {}
    for number, (key, members) in enumerate(groups.items(), 1):
        made = [record.provenance for record in members if record.provenance]
        found[key] = Environment(
            name=f"E{number}",
            made=made[0],
            launchers=tuple(sorted({p.launcher for p in made})),
            threads=tuple(sorted({p.threads for p in made})),
            cells=len(members),
        )
    return found


def _environment_key(record: Measured) -> tuple:
    made = record.provenance
    return (tuple(sorted(made.machine.items())), tuple(sorted(made.packages.items())), made.commit, made.dirty) if made else ()


def _cell_line(record: Record, environments: Mapping[tuple, Environment], grid: str) -> RunLine:
    return RunLine(record, *_told(record, environments), repeat_command(grid, [record]))


def _given_line(record: Evaluation, environments: Mapping[tuple, Environment]) -> GivenLine:
    ensemble = ["self-ensemble of 8"] if record.spec.ensemble else []
    how = ", ".join([*dict.fromkeys(record.inference), *ensemble])
    return GivenLine(record, tell_origin(record), how, *_told(record, environments), evaluate_command(record))


def _told(record: Measured, environments: Mapping[tuple, Environment]) -> tuple[tuple[tuple[str, str], ...], str, str]:
    """Return a record's means, the name of its environment and its error, as lists of records show them."""
    names = dict.fromkeys(name for score in record.scores for name in score.metrics)
    metrics = tuple(
        (name, format_fixed(record.mean(name), METRICS[name].digits if name in METRICS else 4))
        for name in names
        if has_metric(record, name)
    )
    environment = environments.get(_environment_key(record))
    return metrics, environment.name if environment else "", error_line(record) if record.status == "failed" else ""


def _pairs(pairs: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(set(pairs)))
