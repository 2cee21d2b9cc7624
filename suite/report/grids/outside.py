"""Designs from outside as tables of the page, one a task: their networks beside all others that were trained under the same setting.

The tables are made as those of the papers (suite.report.tables.build), of records alone: a plug-in need not be loaded. They have no printed
numbers.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from suite.records.kinds.profile import ProfileRecord
from suite.records.record import Measured, Record
from suite.report.settings import group_by_setting
from suite.report.tables.build import build_tables
from suite.report.tables.model import Table, drop_unmeasured
from suite.report.trivial import TRIVIAL
from suite.study.protocols import METRICS
from suite.study.published import Paper, PublishedColumn, PublishedRow, PublishedTable


def build_outside(records: Iterable[Measured], profiles: Iterable[ProfileRecord] = ()) -> tuple[Table, ...]:
    """Return a table for each task on which a network of a plug-in was trained; the records of others are of the same settings."""
    held = [record for record in records if isinstance(record, Record) and record.status == "done" and record.scores]
    beside = [members for members in group_by_setting(held).values() if any(record.spec.plugin for record in members)]
    tasks = dict.fromkeys(members[0].spec.task for members in beside)
    found = []
    for task in tasks:
        own = [record for members in beside for record in members if record.spec.task == task]
        found += map(drop_unmeasured, build_tables([_describe(task, own)], own, profiles))
    return tuple(found)


def _describe(task: str, records: Sequence[Record]) -> Paper:
    """Return the table without numbers: designs from outside, then the suite's own."""
    networks = dict.fromkeys(record.spec.model for record in records if record.spec.model not in TRIVIAL)
    outside = {record.spec.model for record in records if record.spec.plugin}
    metrics = dict.fromkeys(metric for record in records for metric in record.scores[0].metrics if metric in METRICS)
    table = PublishedTable(
        id=f"outside-{task}",
        source=f"task {task}",
        title=f"Designs from outside on {task}",
        caption="Networks of plug-ins, and the suite's own that were trained and measured under the same setting. No paper prints this.",
        task=task,
        grid="tasks",
        stated="Whoever made the plug-in answers for its code: a record holds its sha256.",
        columns=(
            *map(_column, metrics),
            PublishedColumn(key="params", label="Parameters", kind="cost", metric="params", unit="K", printed=False, digits=1),
            PublishedColumn(key="macs", label="Multiply-adds", kind="cost", metric="macs", unit="G", printed=False, digits=3),
        ),
        rows=tuple(
            PublishedRow(key=name, label=name, what="of a plug-in" if name in outside else "", group="", model=name, cells={})
            for name in sorted(networks, key=lambda name: name not in outside)
        ),
    )
    return Paper(schema=1, key="outside", name="Designs from outside", title="Designs from outside", arxiv="", venue="", tables=(table,))


def _column(metric: str) -> PublishedColumn:
    row = METRICS[metric]
    about = {"unit": "dB" if metric.startswith("PSNR") else "", "direction": row.better, "digits": row.digits}
    return PublishedColumn(key=metric.lower(), label=metric, kind="quality", metric=metric, printed=False, **about)
