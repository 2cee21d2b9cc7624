"""`python -m suite scan`, also called `run --grid backends`: scan backends, verified and then timed."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from suite.cli import common
from suite.core.errors import Exit, SuiteError
from suite.core.output import Output, note

if TYPE_CHECKING:
    from suite.measure.scans.grid import Selection
    from suite.records.ledger import Ledger
    from suite.records.record import Attempt

SUMMARY = "verify scan backends against float64 and time those that are right"
EXAMPLE = "scan --backend numba --case light"
PLAN_FIELDS = ("backend", "device", "threads", "dtype", "seconds")  # that --dry-run shows


def add_arguments(verb: argparse.ArgumentParser) -> None:
    """Add the options of the verb."""
    what = verb.add_argument_group("what to time")
    what.add_argument(
        "--backend", **common.REPEATED, metavar="NAME", help="a name of `list backends`; may be repeated (default: all that run here)"
    )
    what.add_argument(
        "--case",
        **common.REPEATED,
        metavar="PATTERN",
        help="name or shell pattern of a case; may be repeated (default: layers of real networks)",
    )
    what.add_argument("--peers", action="store_true", help="also other packages' compiled scans, where they are installed")
    common.add_shared(what, "--kernel-revision", "--device")
    what.add_argument(
        "--dtype", choices=("float32", "bfloat16", "float16"), default="float32", help="data type of the inputs (default: %(default)s)"
    )
    what.add_argument("--no-backward", action="store_true", help="time forward passes only")
    what.add_argument("--no-image", action="store_true", help="do not time scans of images")
    what.add_argument("--no-build", action="store_true", help="do not time the first start, which builds backends with empty caches")
    how = verb.add_argument_group("how to time it")
    how.add_argument("--seconds", type=float, default=1.0, metavar="N", help="how long each time is measured (default: %(default)s)")
    common.add_shared(how, "--threads")
    how.add_argument(
        "--ahead-of-time", action="store_true", help="only compile the Triton kernels for GPUs that need not be here, and report resources"
    )
    out = verb.add_argument_group("what comes out")
    common.add_shared(out, "--ledger", "--report", "--json", "--wide")
    # What `run --grid backends` can ask for beside that; it also leaves alone what is done.
    verb.set_defaults(only=[], launcher="inline", max_hours=None, dashboard=False, dry_run=False, again=True)


def run(options: argparse.Namespace, out: Output) -> Exit:
    """Verify and time the chosen backends, write the report, and print tables or one document."""
    from suite.measure.scans import grid
    from suite.records.ledger import Ledger
    from suite.records.record import as_document
    from suite.runner import estimate
    from suite.runner.execute import How
    from suite.runner.standing import look_up

    if options.ahead_of_time:
        return _compile(options, out)
    specs, absent = grid.plan_scans(_selection(options))
    ledger = Ledger(options.ledger)
    expected = estimate.estimate_scans(specs, ledger)
    if options.dry_run:
        common.print_plan(options, out, specs, PLAN_FIELDS, look_up(specs, ledger).states, expected, 1)
        return Exit.DONE
    reason = "asked for by name" if options.backend else grid.REASON
    seconds = options.max_hours and options.max_hours * 3600
    how = How(  # nothing runs beside a cell, and nothing of a broken one is kept
        options.launcher,
        specs[0].threads,
        reason,
        disk_mib=expected.disk_mib,
        grace=0.0,
        seconds=seconds,
        dashboard=options.dashboard,
    )
    outcome = common.execute_cells(specs, ledger, how, again=options.again)
    page, unwritten = _render_if_possible(ledger, options.report)
    parts = [f"{outcome.skipped + outcome.done} of {len(specs)} backends verified and timed"]
    parts[0] += f" ({outcome.skipped} before)" if outcome.skipped else ""
    parts += [f"{outcome.failed} wrong or failed"] if outcome.failed else []
    if outcome.signum is not None or outcome.time_up:
        what = "time limit reached" if outcome.signum is None else "stopped"
        parts.append(f"{what}; the same command {'begins anew' if options.again else 'continues'}")
    sentence = ", ".join(parts)
    if options.json:
        records = [as_document(record) for record in outcome.records]
        unavailable = [one.model_dump() for one in absent]
        found = {"outcome": sentence, "exit": int(outcome.exit), "report": page and str(page)}
        out.document(found | {"records": records, "unavailable": unavailable})
        return common.end(outcome.exit, unwritten)
    _print(outcome.records, out)
    for one in absent:
        out.line(f"{one.name} is not available: {one.reason} To fix it: {one.remedy}")
    out.line(f"{sentence}; " + (f"report: {page}" if page else "no report"))
    return common.end(outcome.exit, unwritten)


def _print(records: Sequence[Attempt], out: Output) -> None:
    """Print the tables of what was timed, and what failed."""
    from suite.records.record import error_line
    from suite.report.grids import scan_view

    for bench in scan_view.gather_benches(records):
        out.line(bench.title)
        out.table(scan_view.table_lines(bench))
        out.line(scan_view.TIMES_LEGEND)
    for record in records:
        if record.status == "failed":
            out.line(f"{record.spec.backend}: {error_line(record)}")


def _selection(options: argparse.Namespace) -> Selection:
    """Return what is timed; where the device is left open, on one that a backend asked for by name can use."""
    from models.scan.backends import BACKENDS
    from suite.measure.scans import grid

    device = common.resolve_device(options)
    devices = [BACKENDS[name].devices for name in options.backend if name in BACKENDS]
    if options.device == "auto" and devices and not any(device in those for those in devices):
        device = devices[0][0]
    return grid.Selection(
        device,
        backends=options.backend,
        only=options.only,
        cases=options.case,
        dtype=options.dtype,
        backward=not options.no_backward,
        images=not options.no_image,
        build=not options.no_build,
        seconds=options.seconds,
        threads=options.threads,
        peers=options.peers,
    )


def _compile(options: argparse.Namespace, out: Output) -> Exit:
    """Compile the Triton kernels ahead of time, and print their resources; exit code 4 where one has a problem."""
    from suite.measure.scans import ahead

    rows, problems = ahead.compile_kernels()
    out.document({"rows": rows, "problems": problems}) if options.json else out.table(rows)
    for problem in problems:
        note(problem)
    return Exit.INCOMPLETE if problems else Exit.DONE


def _render_if_possible(ledger: Ledger, destination: Path | None) -> tuple[Path | None, SuiteError | None]:
    """Return the page of the scans, and why it cannot be written; neither, with a note, where a package for pages is not installed."""
    try:
        page, unwritten = common.render_last(ledger, destination)
    except ModuleNotFoundError as error:
        missing = (error.name or "a package").partition(".")[0]  # of scipy.stats: scipy, which is what one installs
        note(f"the report is not written: {missing} is not installed. `python -m suite report` can write it elsewhere.")
        return None, None
    return page and page.with_name("scan.html"), unwritten
