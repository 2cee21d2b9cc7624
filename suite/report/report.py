"""The report: records in, self-contained HTML files out, without torch or Ray: of models, and of scan backends (grids.scan_view).

The page is made from the table model (suite/report/tables/build.py), what stands around it (suite/report/page.py) and the templates in
reports/templates, with autoescape on everywhere; style sheet and script are inlined, and the page's own content security
policy forbids every request and every script but that one. The same records give the same bytes: the page carries the
times of its records, not of its making.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from suite.core.errors import SuiteError
from suite.core.look import one_look
from suite.core.statistics import intervals
from suite.core.text import format_duration, format_fixed, format_moment, format_signed
from suite.records.kinds.profile import ProfileRecord
from suite.records.kinds.routing import RoutingRecord
from suite.records.kinds.scan import ScanRecord
from suite.records.ledger import pick_standing
from suite.records.machines import MachineFile, list_times, read_machines
from suite.records.newest import keep_newest
from suite.records.record import Attempt
from suite.report import html as pages
from suite.report import pictures
from suite.report.gather import gather_tables, place_measured
from suite.report.grids import scan_view
from suite.report.grids.routing import tabulate_routing
from suite.report.measured import Status
from suite.report.page import Teller, card_id, gather_page, say_nothing
from suite.report.quoted import list_quoted
from suite.report.settings import dataset_name
from suite.study.published import load_quoted_costs

INDEX_FILE = "index.html"
GLYPHS: Mapping[Status, str] = {
    Status.REPRODUCED: "=",
    Status.DEVIATES: "≠",
    Status.OTHERS: "◇",
    Status.RETRAINED: "↻",
    Status.PUBLISHED: "○",
    Status.UNAVAILABLE: "×",
}


def write_report(
    records: Iterable[Attempt], destination: Path, pictures_mib: float = pictures.PICTURES_MIB, tell: Teller = say_nothing
) -> Path:
    """Write `destination`/index.html and, where there are scan records, scan.html, and return the first; no record is needed.

    `tell` says what cells that are not run yet would take; what it says of this machine is no part of the records.
    """
    held = list(records)
    scans = pick_standing(record for record in held if isinstance(record, ScanRecord))
    page = pages.write_page(destination / INDEX_FILE, page_text(held, pictures_mib, tell))
    if scans:
        pages.write_page(destination / scan_view.SCAN_FILE, scan_view.scan_page_text(scans, format_moment))
    else:
        (destination / scan_view.SCAN_FILE).unlink(missing_ok=True)  # of records that are gone
    return page


def page_text(records: Iterable[Attempt], pictures_mib: float = pictures.PICTURES_MIB, tell: Teller = say_nothing) -> str:
    """Return the page of trained models as text, with at most `pictures_mib` MiB of pictures."""
    with one_look():
        return _page_text(list(records), pictures_mib, tell)


def _page_text(held: Sequence[Attempt], pictures_mib: float, tell: Teller) -> str:
    current = place_measured(held)
    scans = pick_standing(record for record in held if isinstance(record, ScanRecord))
    profiles = keep_newest(pick_standing(record for record in held if isinstance(record, ProfileRecord)))[0]
    routings = pick_standing(record for record in held if isinstance(record, RoutingRecord) and record.status == "done")
    tables = gather_tables(current, profiles)
    machines, problem = _read_machines()
    quoted = load_quoted_costs()
    return pages.fill_template(
        "index.html.j2",
        {
            "fixed": format_fixed,
            "signed": format_signed,
            "moment": format_moment,
            "dataset": dataset_name,
            "duration": format_duration,
            "about_id": card_id,
        },
        {
            "page": gather_page(tables, current, scans, profiles, pictures_mib, tell),
            "glyphs": GLYPHS,
            "images": {"fewest": intervals.FEWEST_IMAGES, "good": intervals.GOOD_IMAGES},
            "scans": scan_view.SCAN_FILE if scans else "",
            "routings": tuple(map(tabulate_routing, routings)),
            "glossary": pages.load_glossary(),
            "times": list_times(machines),
            "times_problem": problem,
            "quoted": quoted,
            "quoted_rows": list_quoted(quoted, profiles, machines),
        },
    )


def _read_machines() -> tuple[list[MachineFile], str]:
    """Return the files of results/machines, or none and what is wrong there: a file of another's is no reason to show nothing."""
    try:
        return read_machines(), ""
    except SuiteError as error:
        return [], str(error)
