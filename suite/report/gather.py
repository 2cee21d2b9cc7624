"""Every table that records fill: those of the papers, and those of scan paths and of designs from outside, which none prints."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from models import MODELS
from suite.records.kinds.profile import ProfileRecord
from suite.records.ledger import pick_standing
from suite.records.newest import keep_newest
from suite.records.record import Attempt, Measured
from suite.report.grids.outside import build_outside
from suite.report.grids.scan_paths import build_scan_paths
from suite.report.tables.build import build_tables
from suite.report.tables.model import Table
from suite.study import published


def place_measured(records: Iterable[Attempt]) -> list[Measured]:
    """Return the measured record that stands for each cell, by the catalogue, then by seed; of equals the order given stays."""
    held = keep_newest(pick_standing(record for record in records if isinstance(record, Measured)))[0]
    places = {name: at for at, name in enumerate(MODELS)}
    return sorted(held, key=lambda record: (places.get(record.spec.model, len(places)), record.spec.seed))


def gather_tables(measured: Sequence[Measured], profiles: Sequence[ProfileRecord]) -> tuple[Table, ...]:
    """Return all tables, filled from these records, one a cell: the papers', that of scan paths, those of designs from outside."""
    return (
        *build_tables(published.load_all(), measured, profiles),
        *build_scan_paths(measured, profiles),
        *build_outside(measured, profiles),
    )
