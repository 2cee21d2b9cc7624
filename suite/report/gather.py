"""Every table that records fill: those of the papers, and that of scan paths, which none prints."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from models import MODELS
from suite.records.ledger import pick_standing
from suite.records.profile import ProfileRecord
from suite.records.record import Attempt, Measured
from suite.report.grids.scan_paths import build_scan_paths
from suite.report.tables.build import build_tables
from suite.report.tables.model import Table
from suite.study import published

PLACES = {name: at for at, name in enumerate(MODELS)}


def place_measured(records: Iterable[Attempt]) -> list[Measured]:
    """Return the measured record that stands for each cell, by the catalogue, then by seed; of equals the order given stays."""
    return sorted(pick_standing(record for record in records if isinstance(record, Measured)), key=_place)


def gather_tables(measured: Sequence[Measured], profiles: Sequence[ProfileRecord]) -> tuple[Table, ...]:
    """Return all tables, filled from these records, one a cell."""
    return (*build_tables(published.load_all(), measured, profiles), *build_scan_paths(measured, profiles))


def _place(record: Measured) -> tuple[int, int]:
    return PLACES.get(record.spec.model, len(PLACES)), record.spec.seed
