"""The records of a ledger and of the evidence, all or those that are named: what `report`, `bundle` and `export` begin with."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from suite.cli import common
from suite.core.errors import Exit, SuiteError

if TYPE_CHECKING:
    from suite.records.record import Attempt

NAME = "a model's name, a part of it or a shell pattern, or a cell's fingerprint"


def add_choice(group: argparse._ActionsContainer) -> None:
    """Add the options that choose records."""
    group.add_argument("--only", **common.REPEATED, metavar="NAME", help=f"{NAME}; may be repeated (default: all records)")
    common.add_shared(group, "--ledger", "--evidence")


def read_held(options: argparse.Namespace) -> list[Attempt]:
    """Return all records, one a cell; SuiteError where there is none."""
    from suite.records.evidence import read_records
    from suite.records.ledger import Ledger

    ledger = Ledger(options.ledger)
    records = read_records(ledger, options.evidence, common.warn_left_out)
    if not records:
        raise SuiteError(
            f"the ledger {ledger.folder} holds no record. `python -m suite run --grid ablations` makes some.", exit=Exit.NOTHING
        )
    return records


def choose_records(records: Sequence[Attempt], names: Sequence[str]) -> list[Attempt]:
    """Return those of `records` that any of `names` means, all where none is given; SuiteError where a name means none."""
    models = sorted({model_of(record) for record in records})
    chosen: set[str] = set()
    for name in names:
        found = {record.fingerprint for record in records if is_meant(name, record, models)}
        if not found:
            from models.lookup import suggest

            raise SuiteError(
                f"{name} matches none of the {len(records)} records.{suggest(name, models)} `python -m suite list records` shows them.",
                exit=Exit.NOTHING,
            )
        chosen |= found
    return [record for record in records if not names or record.fingerprint in chosen]


def is_meant(name: str, record: Attempt, models: Sequence[str]) -> bool:
    """Tell whether `name` means a record, among records of `models`."""
    from suite.study.grids import selects

    return name == record.fingerprint or selects(name, model_of(record), models)


def model_of(record: Attempt) -> str:
    """Return the model's name, or that of a scan backend."""
    return getattr(record.spec, "model", record.spec.backend)
