"""The page of the scan benchmark, from the same ledger as the report: every backend over every case, with what makes a time believable."""

from __future__ import annotations

from collections.abc import Iterable

from suite.records.record import error_line
from suite.records.scan import ScanRecord
from suite.report import html as pages
from suite.report.scan_view import PATHS, find_worst, format_digits, gather_benches

SCAN_FILE = "scan.html"
SCAN_COMMAND = "python -m suite scan"


def scan_page_text(records: Iterable[ScanRecord], moment: object) -> str:
    """Return the page as text; `moment` formats an ISO time for people."""
    found = gather_benches(records)
    return pages.fill_template(
        "scan.html.j2",
        {"digits": format_digits, "moment": moment, "scientific": format_scientific, "percent": format_percent},
        {"benches": found, "command": SCAN_COMMAND, "paths": PATHS, "worst": find_worst, "error_line": error_line},
    )


def format_scientific(value: float | None) -> str:
    """Format a small error as 1.2e−7; what is not finite in words."""
    return "not finite" if value is None else f"{value:.1e}".replace("e-0", "e-").replace("e-", "e−")


def format_percent(share: float | None) -> str:
    """Format a share as a percentage with two digits that count."""
    if share is None:
        return "–"
    return f"{100 * share:.0f} %" if share >= 0.095 else f"{100 * share:.1f} %" if share >= 0.001 else "< 0.1 %"
