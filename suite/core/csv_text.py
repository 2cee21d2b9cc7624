"""CSV for spreadsheets: what may stand in a cell, and where the text goes."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from suite.core.errors import SuiteError

if TYPE_CHECKING:
    from suite.core.output import Output

FORMULA = ("=", "+", "-", "@")  # with which a spreadsheet takes a text for a formula
TO_OUTPUT = "-"  # the file's name that means standard output


def safe_cell(value: object) -> object:
    """Return `value` as a spreadsheet may be given it: texts in one line, none a formula; numbers are numbers, whatever their sign."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if not isinstance(value, str):
        return value
    text = " ".join(value.split())
    return f"'{text}" if text.startswith(FORMULA) else text


def csv_of(head: Sequence[str], rows: Iterable[Iterable[object]]) -> str:
    """Return CSV of a head and lines; None is empty."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(head)
    writer.writerows([safe_cell(value) for value in row] for row in rows)
    return buffer.getvalue()


def write_csv(text: str, destination: str, out: Output, what: str) -> None:
    """Write `text` to the file `destination`, or to standard output for TO_OUTPUT; SuiteError where it cannot be written."""
    if destination == TO_OUTPUT:
        out.write(text)
        return
    try:
        Path(destination).write_text(text, encoding="utf-8")
    except OSError as error:
        raise SuiteError(f"--csv {destination} cannot be written: {error.strerror}.") from None
    out.line(f"{what}: {destination}")
