"""Evaluations of given weights: whose file it is, by the register of published weights, and what that means for a printed number.

A number made by the authors' own file of a row is held against the number that the row prints. Another's weights of the same network are
shown and named, and no verdict on the authors' file.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from suite.records.kinds.evaluation import Evaluation
from suite.records.record import Measured, Record
from suite.report.comparable import find_differences, list_unverified, shorten_differences
from suite.report.measured import TableCell, has_metric, measure_given
from suite.study import weights_register
from suite.study.published import PublishedColumn, PublishedRow, PublishedTable
from suite.study.weights_register import Register, WeightsFile


@cache
def load_register() -> Register:
    """Return the register of published weights, read once."""
    return weights_register.load()


def find_entry(record: Measured) -> WeightsFile | None:
    """Return the published file whose weights a record measured, by its sha256 or as it was first downloaded; None where none is known."""
    sha256 = _sha256(record)
    known = next((file for file in load_register().files if sha256 and file.sha256 == sha256), None)
    held = record.weights if isinstance(record, Evaluation) else None
    if known is not None or held is None or held.state != "seen first here":
        return known
    return next((file for file in load_register().files if file.name == held.entry and not file.sha256), None)


def is_authors(record: Measured, table: PublishedTable, row: PublishedRow) -> bool:
    """Tell whether a record may be judged as the row's own: a baseline without weights, or the file that the register gives for it."""
    if isinstance(record, Evaluation) and not record.spec.weights:
        return True
    entry = find_entry(record)
    return entry is not None and f"{table.id}/{row.key}" in entry.rows


def tell_origin(record: Measured) -> str:
    """Say whose weights a record measured, in a few words."""
    if isinstance(record, Evaluation) and not record.spec.weights:
        return "no weights"
    held = record.weights if isinstance(record, Evaluation) else None
    file = f"{held.file}, " if held else ""
    digest = f"{file}sha256 {_sha256(record)[:8]}"
    entry = find_entry(record)
    if entry is not None:
        how = "verified" if entry.sha256 else "as first downloaded"
        return f"{entry.name} of the register, {how} ({digest})"
    named = f"; its name is that of {held.entry}" if held and held.entry else ""
    return f"origin unknown{named} ({digest})"


def choose_given(records: Sequence[Evaluation], table: PublishedTable, row: PublishedRow) -> Evaluation:
    """Return the evaluation that stands for a row: of the authors' file before another's, then the latest."""
    return max(records, key=lambda one: (is_authors(one, table, row), one.provenance.finished if one.provenance else ""))


def fits_table(record: Evaluation, table: PublishedTable) -> bool:
    """Tell whether an evaluation was made as one of a table's columns asks."""
    return any(column.kind == "quality" and not find_differences(record, column, table) for column in table.columns)


def fill_given(
    records: Sequence[Evaluation], place: tuple[PublishedTable, PublishedRow, PublishedColumn], task: str
) -> tuple[TableCell | None, str]:
    """Return the cell that given weights fill, or None and what keeps those of the column's test set from being compared."""
    table, row, column = place
    own = [record for record in records if record.spec.task == task and has_metric(record, column.metric)]
    unlike = {record.fingerprint: find_differences(record, column, table) for record in own}
    fitting = [record for record in own if not unlike[record.fingerprint]]
    if not fitting:
        there = [found for found in unlike.values() if all(one.name != "test set" for one in found)]
        return None, shorten_differences(min(there, key=len, default=()))
    best = choose_given(fitting, table, row)
    trivial = not best.spec.weights
    notes = [] if trivial else [f"measured with given weights: {tell_origin(best)}"]
    if not is_authors(best, table, row):
        notes.append("another's weights of this network, or of unknown origin: no verdict on the authors' file")
    notes += list_unverified(best)
    measured = measure_given(best, column.metric, notes)
    return TableCell(measured=measured, command=measured.origin.command), ""


def _sha256(record: Measured) -> str:
    if isinstance(record, Evaluation):
        return record.spec.weights
    return record.started_from.sha256 if isinstance(record, Record) and record.started_from else ""
