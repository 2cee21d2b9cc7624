"""`python -m suite report`: the report of a ledger, as a page or as tables for other programs."""

from __future__ import annotations

import argparse

from suite.cli import common
from suite.cli.choose import read_held
from suite.core.errors import Exit
from suite.core.output import Output

SUMMARY = "write the report of a ledger: HTML, or its tables for other programs"
EXAMPLE = "report --format latex --out tables"
REPORT_FORMATS = ("html", "latex", "markdown", "csv", "json")


def add_arguments(verb: argparse.ArgumentParser) -> None:
    """Add the options of the verb."""
    common.add_shared(verb, "--ledger", "--evidence", "--plugin")
    verb.add_argument(
        "--format",
        **common.REPEATED,
        choices=(*REPORT_FORMATS, "all"),
        metavar="NAME",
        help=f"{', '.join(REPORT_FORMATS)} or all; may be repeated (default: {REPORT_FORMATS[0]})",
    )
    verb.add_argument("--out", **common.OPTIONS["--report"])
    verb.add_argument(
        "--pictures",
        type=read_mebibytes,
        metavar="MIB",
        help="limit for the pictures on the page (default: 8); the page names what is left out",
    )


def read_mebibytes(text: str) -> float:
    """Read a size in MiB, zero or more."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a size in MiB, zero or more, e.g. 32")
    return value


def run(options: argparse.Namespace, out: Output) -> Exit:
    """Write the report in the chosen formats, and print where it is."""
    from suite.report.formats import export

    records = read_held(options)
    folder = common.report_folder(options.out)
    chosen = REPORT_FORMATS if "all" in options.format else tuple(dict.fromkeys(options.format)) or REPORT_FORMATS[:1]
    if "html" in chosen:
        out.line(f"report: {common.write_page(records, folder, options.pictures)}")
    for name, file in export.write_tables(records, folder, [name for name in chosen if name != "html"]):
        out.line(f"{name}: {file}")
    return Exit.DONE
