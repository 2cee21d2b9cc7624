"""A record in brief: one flat row of plain values, the same columns for every kind, for lists, CSV and pandas.

The first columns are those that `list records` shows. After them stand every field of the spec under its own name, the mean of each
metric over the test images, costs, seconds, and where the record was made. Quality and cost keep the units of `suite.records.record`.
"""

from __future__ import annotations

import json
from datetime import datetime

from suite.records.kinds.profile import ProfileRecord
from suite.records.kinds.routing import RoutingRecord
from suite.records.kinds.scan import ScanRecord
from suite.records.ledger import LISTED_COLUMNS
from suite.records.record import Attempt, Measured, Record, error_line

Row = dict[str, object]


def summarise(record: Attempt) -> Row:
    """Return the record's row; a column that its kind lacks is left out."""
    fields = record.spec.model_dump(mode="json")
    means = _means(record) if isinstance(record, Measured) else {}
    listed = (
        record.fingerprint,
        record.spec.label if isinstance(record, ProfileRecord) else fields.get("model", record.spec.label),
        fields.get("seed"),
        fields.get("task", _kind(record)),
        fields.get("budget"),
        fields.get("iterations"),
        record.status,
        record.attempt,
        _quality(record, means),
    )
    spec = {name: value if _plain(value) else json.dumps(value) for name, value in fields.items() if name not in LISTED_COLUMNS}
    row = dict(zip(LISTED_COLUMNS, listed, strict=True)) | {"kind": _kind(record)} | spec | means
    if isinstance(record, Measured):
        row |= {"images": len(record.scores), "evaluate_seconds": record.evaluate_seconds}
    if isinstance(record, Record):
        row |= _costs(record)
    return row | _made(record)


def _kind(record: Attempt) -> str:
    return str(getattr(record, "kind", "run"))


def _plain(value: object) -> bool:
    return value is None or isinstance(value, str | int | float)


def _means(record: Measured) -> dict[str, float]:
    """Return the mean of every metric that all test images have."""
    first = record.scores[0].metrics if record.scores else {}
    return {metric: record.mean(metric) for metric in first if all(metric in score.metrics for score in record.scores)}


def _quality(record: Attempt, means: dict[str, float]) -> str:
    if isinstance(record, ScanRecord) and record.findings is not None:
        timed = sum(timing.skipped is None for timing in record.findings.timings)
        return f"{record.findings.verdict}, {timed} times"
    if isinstance(record, ProfileRecord):
        costs = [f"{record.cost.params:,} parameters", f"{record.cost.macs / 1e9:.2f} GMACs"] if record.cost else []
        return ", ".join([*costs, *([f"{record.latency.median_ms:.0f} ms"] if record.latency else [])])
    if isinstance(record, RoutingRecord):
        return f"{len(record.runs)} runs of {len({run.way for run in record.runs})} ways"
    return ", ".join(f"{metric} {value:.4f}" for metric, value in means.items())


def _costs(record: Record) -> Row:
    cost = record.cost
    row: Row = {} if cost is None else {"params": cost.params, "macs": cost.macs, "scan_macs": cost.scan_macs}
    return row | {"trained_params": record.trained_params, "train_seconds": record.train_seconds}


def _made(record: Attempt) -> Row:
    """Return when, where and from what the record was made; `total_seconds` is from start to end."""
    row: Row = {"error": error_line(record) if (record.error or "").strip() else None}
    made = record.provenance
    if made is None:
        return row
    return row | {
        "started": made.started,
        "finished": made.finished,
        "total_seconds": _seconds(made.started, made.finished),
        "commit": made.commit,
        "dirty": made.dirty,
        "made_on": ", ".join(f"{name} {value}" for name, value in made.machine.items()),
        "launcher": made.launcher,
        "data_checksums": "; ".join(f"{split} {digest}" for split, digest in made.data_checksums.items()),
    }


def _seconds(first: str, last: str) -> float | None:
    try:
        return (datetime.fromisoformat(last) - datetime.fromisoformat(first)).total_seconds()
    except (ValueError, TypeError):  # not a time, or one with a zone and one without
        return None
