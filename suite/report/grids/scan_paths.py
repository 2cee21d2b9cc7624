"""The grid `scan-paths` as a table of the page: scan paths in one body at equal cost, then merges of paths; and what its seeds tell.

The table is made as those of the papers (suite.report.tables.build). It has no printed number, so it stands on the page only where the grid
has run.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import models
from suite.core.statistics.intervals import LEVEL
from suite.core.text import format_fixed, range_of
from suite.records.kinds.profile import ProfileRecord
from suite.records.record import Measured, Record
from suite.records.spec import RunSpec
from suite.report.measured import Delta
from suite.report.tables.build import build_tables
from suite.report.tables.model import Table, TableColumn, TableRow, drop_unmeasured
from suite.report.trivial import TRIVIAL
from suite.study.grids import GRIDS
from suite.study.published import BaselineRow, Paper, PublishedColumn, PublishedRow, PublishedTable
from suite.study.tasks import TASKS

GRID = "scan-paths"
BODY = "mambair-light-x2"
TITLE = "Does the path of a scan matter?"
METRIC, DIGITS = "PSNR-Y", 3
BY_SUM, MERGES = "Four paths, added up: equal parameters and multiply-adds", "Rows and columns, merged otherwise: each at its own cost"
# Side in pixels: an image no larger is walked by rows and columns (a test asks models.scan.paths, which would load PyTorch here).
WINDOWS = {"windows-16": 16, "windows-32": 32}
WALKS = {"fused": "read by the fused scan of images", "gathered": "read through gathered sequences"}


def build_scan_paths(records: Iterable[Measured], profiles: Iterable[ProfileRecord] = ()) -> tuple[Table, ...]:
    """Return the grid's table, filled with `records`, with a computed sentence for each setting; none where only its body has run."""
    records = [record for record in records if isinstance(record, Record)]
    if not any(record.spec.model in GRIDS[GRID].models and record.spec.model != BODY for record in records):
        return ()
    (table,) = build_tables([_describe(records)], records, profiles)
    table = drop_unmeasured(table)
    qualities = [index for index, column in enumerate(table.columns) if column.metric == METRIC]
    return (
        replace(table, findings=tuple((TITLE, f"{judge_paths(table, index)} {_conditions(table.columns[index])}") for index in qualities)),
    )


def _conditions(column: TableColumn) -> str:
    return f"({column.group}: {column.detail}.)" if column.detail else f"({column.group}.)"


def judge_paths(table: Table, index: int) -> str:
    """Say by how much paths at equal cost differ from rows and columns in the column `index`, and what its number of seeds allows."""
    rows = [row for row in table.rows if row.group == BY_SUM and not row.baseline and row.model not in TRIVIAL]
    found = {row.label: delta for row in rows if (delta := row.cells[index].delta_measured)}
    if not found:
        return "The body with rows and columns, or every other path, has not been measured: nothing can be told."
    missing = len(rows) - len(found)
    label, largest = max(found.items(), key=lambda pair: abs(pair[1].value))
    size = format_fixed(abs(largest.value), DIGITS)
    ending = f" {missing} of {len(rows)} paths have not been measured." if missing else ""
    ending += _tell_alike(rows, index)
    paired = [delta for delta in found.values() if delta.over == "seeds" and delta.interval]
    if len(paired) < len(found):
        return (
            f"No path differs from rows and columns by more than {size} dB ({METRIC}; {label}), "
            "with one seed for some or all of them: how far another draw of weights moves these numbers is not known, so "
            f"nothing can be told of the paths.{ending}"
        )
    return f"{_judge_seeds(found, label, size)}{ending}"


def _tell_alike(rows: Sequence[TableRow], index: int) -> str:
    """Say which paths are rows and columns on crops of the training's size: such a network was trained as the body was."""
    specs = {row.label: measured.records[0].spec for row in rows if (measured := row.cells[index].measured)}
    sides = {label: spec.patch // TASKS[spec.task].scale for label, spec in specs.items() if isinstance(spec, RunSpec)}
    alike = [label for label, side in sides.items() if WINDOWS.get(label, 0) >= side]
    if not alike:
        return ""
    side = sides[alike[0]]
    return (
        f" On the low-quality crops of {side} × {side} pixels that all were trained on, {' and '.join(alike)} are rows and columns: "
        "they differ from them on the larger test images alone."
    )


def _judge_seeds(found: dict[str, Delta], label: str, size: str) -> str:
    """Say which paths' intervals over seeds leave out zero, and how often one would by chance."""
    seeds = range_of((delta.count for delta in found.values()), "seed")
    apart = [name for name, delta in found.items() if delta.interval and (delta.interval[0] > 0 or delta.interval[1] < 0)]
    widest = max((delta.interval[1] - delta.interval[0]) / 2 for delta in found.values() if delta.interval)
    chance = round(100 * min(1.0, (1 - LEVEL) * len(found)))
    told = f"the {100 * LEVEL:.0f} % interval over seeds leaves out zero for {', '.join(apart)}" if apart else "every interval holds zero"
    return (
        f"With {seeds}, no path differs from rows and columns by more than {size} dB ({METRIC}; {label}); {told}. A difference below the "
        f"widest half interval, {format_fixed(widest, DIGITS)} dB, may be missed; and were all {len(found)} paths equal, one or more "
        f"intervals would leave out zero by chance in up to {chance} of 100 such tables."
    )


def _describe(records: Sequence[Record]) -> Paper:
    """Return the table without numbers: its rows in the order of the catalogue."""
    card = models.card(BODY)
    grid = GRIDS[GRID]
    table = PublishedTable(
        id=GRID,
        source=f"grid {GRID}",
        title="Which path should a scan take through the image?",
        caption="One body, MambaIR's light network at ×2. In the first block one thing changes, the four paths along which it scans; in "
        "the second, how what the paths give is merged. No paper makes this comparison.",
        task=card.task,
        grid=GRID,
        stated=grid.summary + ". A narrowed network's scan in groups is widened to a multiple of four channels.",
        baseline=BaselineRow(row=BODY),
        columns=(
            *(_column(key, metric, unit) for key, metric, unit in (("psnr", METRIC, "dB"), ("ssim", "SSIM-Y", ""))),
            PublishedColumn(key="params", label="Parameters", kind="cost", metric="params", unit="K", printed=False, digits=1),
            PublishedColumn(key="macs", label="Multiply-adds", kind="cost", metric="macs", unit="G", printed=False, digits=3),
        ),
        rows=tuple(_row(name, records) for name in grid.models),
    )
    own = {"title": "Comparisons that no paper makes", "arxiv": "", "venue": ""}
    return Paper(schema=1, key="own", name="This suite", tables=(table,), **own)


def _column(key: str, metric: str, unit: str) -> PublishedColumn:
    digits = DIGITS if unit else 4
    return PublishedColumn(
        key=key, label=metric, kind="quality", metric=metric, unit=unit, direction="higher", printed=False, digits=digits
    )


def _row(name: str, records: Sequence[Record]) -> PublishedRow:
    """Return the row of a network, which says how its paths were walked, as far as `records` know."""
    change = models.card(name).change
    walks = {walk for record in records if record.spec.model == name for walk in record.walks.values()}
    return PublishedRow(
        key=name,
        label=str(change[1]) if change else "raster: rows, columns, both reversed",
        what="; ".join(text for walk, text in WALKS.items() if walk in walks),
        group=MERGES if change and change[0] == "merge" else BY_SUM,
        model=name,
        cells={},
    )
