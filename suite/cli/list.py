"""`python -m suite list KIND`: the visible tables, and the ledger's records."""

from __future__ import annotations

import argparse
import contextlib
import gc
from collections.abc import Iterator

from suite.core.errors import Exit, SuiteError
from suite.core.output import Output, note

RECORDS = "records"  # the kind that is read from a ledger


def run(options: argparse.Namespace, out: Output) -> Exit:
    """Prints the rows of a kind, or all that is known of every record as CSV."""
    from suite.cli import listing
    from suite.records.ledger import Ledger

    if options.csv is not None:
        return _csv(options, out)
    with _uncollected():
        rows = listing.records(Ledger(options.ledger), _warn) if options.kind == RECORDS else listing.KINDS[options.kind]()
        if options.json:
            out.document(rows)
        elif rows:
            out.table(rows)
        else:
            note(f"there are no {options.kind} yet.")
    return Exit.DONE


def _csv(options: argparse.Namespace, out: Output) -> Exit:
    """All that the index holds of every record: more than a table on a screen can show."""
    from suite.core import csv_text
    from suite.records import index
    from suite.records.ledger import Ledger

    if options.kind != RECORDS or options.json:
        raise SuiteError(f"--csv is for `list {RECORDS}`, without --json.")
    with _uncollected():
        found = index.columns(Ledger(options.ledger), _warn)
        text = csv_text.text_of(list(found), zip(*found.values(), strict=True))
        csv_text.deliver(text, options.csv, out, RECORDS)
    return Exit.DONE


@contextlib.contextmanager
def _uncollected() -> Iterator[None]:
    """No search for cycles: among the rows of a hundred thousand records there is none, and it takes a third of the time."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def _warn(error: SuiteError) -> None:
    note(f"left out: {error}")
