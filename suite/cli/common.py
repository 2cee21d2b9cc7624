"""What several verbs share: options, and what they do with a ledger. Imports nothing heavy."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from suite.core.errors import Exit, SuiteError
from suite.core.output import Output, note

if TYPE_CHECKING:
    from suite.records.ledger import Ledger
    from suite.records.record import Attempt
    from suite.records.spec import CellSpec
    from suite.runner.estimate import RunEstimate
    from suite.runner.execute import How, Outcome

LONGEST_HOURS = 10_000  # more than a year; a timer takes no infinity
WEIGHTS = "checkpoint: of the authors or of this suite, torch's format or safetensors"
REPEATED = {"action": "append", "default": []}  # of an option that may be repeated; argparse copies the list before it appends


def read_positive(text: str, what: str = "a number above 0") -> float:
    """Read a finite number above 0; `what` is asked for, in words."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not {what}")
    return value


OPTIONS: dict[str, dict[str, object]] = {
    "--backend": {
        "default": "auto",
        "metavar": "NAME",
        "help": "scan backend, a name of `list backends` (default: the fastest that runs here)",
    },
    "--kernel-revision": {
        "metavar": "REVISION",
        "help": "branch, tag or commit of the built kernel that the package kernels serves to the backend cuda (default: the newest of its "
        "version, or $SUITE_KERNELS_REVISION)",
    },
    "--device": {"choices": ("auto", "cpu", "cuda"), "default": "auto", "help": "where to run (default: a GPU if this machine has one)"},
    "--weights": {"type": Path, "metavar": "FILE", "help": WEIGHTS},
    "--key": {
        "metavar": "NAME",
        "default": "",
        "help": "which weights of the file, where it holds several: keys joined by dots, e.g. params",
    },
    "--threads": {"type": int, "metavar": "N", "help": "processor threads (default: this machine's cores)"},
    "--ledger": {"type": Path, "metavar": "DIR", "help": "folder of the records (default: results/runs)"},
    "--evidence": {"type": Path, "metavar": "DIR", "help": "folder of the records that are kept with the code (default: results/evidence)"},
    "--report": {"type": Path, "metavar": "DIR", "help": "folder of the report (default: reports/html)"},
    "--max-megapixels": {
        "type": partial(read_positive, what="a number of millions of pixels above 0, e.g. 400"),
        "metavar": "N",
        "help": "read images of up to N million pixels (default: 179, as Pillow, or $SUITE_MAX_MEGAPIXELS)",
    },
    "--plugin": {
        **REPEATED,
        "metavar": "FILE_OR_MODULE",
        "help": "Python file or module that declares a design from outside, and whose code is run; may be repeated (also: $SUITE_PLUGINS)",
    },
    "--json": {"action": "store_true", "help": "print one JSON document on standard output, and nothing else there"},
    "--wide": {"action": "store_true", "help": "do not fold tables to the width of the terminal"},
}


class Parser(argparse.ArgumentParser):
    """A parser that suggests the nearest names where a verb, a kind or another choice is mistyped."""

    def _check_value(self, action: argparse.Action, value: object) -> None:
        from models.lookup import suggest

        if action.choices is not None and value not in action.choices:
            raise argparse.ArgumentError(action, f"invalid choice: {value!r}.{suggest(str(value), map(str, action.choices))}")


def add_shared(group: argparse._ActionsContainer, *names: str) -> None:
    """Add options that mean the same in several verbs."""
    for name in names:
        group.add_argument(name, **OPTIONS[name])


def add_actions(verb: argparse.ArgumentParser, what: Mapping[str, str]) -> dict[str, argparse.ArgumentParser]:
    """Add a verb's actions, by name with their help, one of which must be given; return their parsers."""
    actions = verb.add_subparsers(dest="action", required=True, metavar="ACTION")
    describe = {name: text[0].upper() + text[1:] + "." for name, text in what.items()}
    return {name: actions.add_parser(name, help=what[name], description=describe[name], allow_abbrev=False) for name in what}


def read_hours(text: str) -> float:
    """Read a number of hours above 0."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < LONGEST_HOURS:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of hours above 0 and below {LONGEST_HOURS}, e.g. 11.5")
    return value


def default_options(add_arguments: Callable[[argparse.ArgumentParser], None]) -> dict[str, object]:
    """Return the options of a verb as they are where none is given."""
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return vars(parser.parse_args([]))


def check_target(options: argparse.Namespace) -> None:
    """Refuse the file OUT of a verb, its `target`, where it is a folder, or is there and not to be overwritten."""
    target = options.target
    if target.is_dir():
        raise SuiteError(f"{target} is a folder; name the file to write.")
    if target.exists() and not options.overwrite:
        raise SuiteError(f"{target} exists and is not overwritten. Choose another file, or give --overwrite.")


def allow_size(options: argparse.Namespace) -> None:
    """Let this process, and those that it starts, read images of the size that `--max-megapixels` gives."""
    from suite.data.opener import LIMIT

    if options.max_megapixels is not None:
        os.environ[LIMIT] = str(options.max_megapixels)


def resolve_device(options: argparse.Namespace) -> str:
    """Return the device of `--device`, with `auto` resolved."""
    from suite.core import machine

    return machine.default_device() if options.device == "auto" else options.device


def choose_backend(asked: str, device: str) -> tuple[str, str]:
    """Return the scan backend of `--backend` on `device`, and why; a slower one than `auto` would like is said on standard error."""
    from models.scan.backends import resolve_backend

    name, reason = resolve_backend(asked, device)
    if asked == "auto":
        note_slower(name, reason, device)
    return name, reason


def note_slower(backend: str, reason: str, device: str) -> None:
    """Say where a backend that `auto` took on `device` is not its first choice."""
    from models.scan.backends import AUTO_ORDER

    if backend != AUTO_ORDER[device][0]:
        note(f"scan backend {backend} ({reason}). `python -m suite doctor` says how to get the faster ones.")


def note_lost_commit() -> None:
    """Say on standard error where records will not name the suite's commit, and why."""
    from suite.core import machine

    commit = machine.find_commit()
    if commit.reason:
        note(f"the records will not name the suite's commit: {commit.reason}.")


def resolve_metric(name: str) -> str:
    """Return the name of a metric of `suite.study.protocols`, given in any case; raise UnknownName with suggestions."""
    from models.lookup import lookup
    from suite.study.protocols import METRICS

    known = {metric.lower(): metric for metric in METRICS}
    return lookup("metric", known.get(name.lower(), name), METRICS).name


def warn_left_out(error: SuiteError) -> None:
    """Say that a record is left out, and why."""
    note(f"left out: {error}")


def render(ledger: Ledger, destination: Path | None) -> Path | None:
    """Write the report of the whole ledger and the evidence; return its page, or None where there is no record."""
    from suite.records.evidence import read_records

    records = read_records(ledger, None, warn_left_out)
    return write_page(records, report_folder(destination)) if records else None


def render_last(ledger: Ledger, destination: Path | None) -> tuple[Path | None, SuiteError | None]:
    """Write the report as `render` does; return the page, or why it cannot be written, to be said after the results."""
    try:
        return render(ledger, destination), None
    except SuiteError as error:
        return None, error


def end(code: Exit, unwritten: SuiteError | None) -> Exit:
    """Return the exit code of what was measured, and say why there is no report; SuiteError where that alone went wrong."""
    if unwritten is None:
        return code
    if code == Exit.DONE:
        raise unwritten
    note(str(unwritten))
    return code


def write_page(records: Sequence[Attempt], folder: Path, pictures_mib: float | None = None) -> Path:
    """Write the report of `records`; name on standard error the pictures that cannot be read."""
    from suite.records.newest import describe_older, keep_newest
    from suite.records.pictures import check_pictures
    from suite.report import report
    from suite.report.pictures import PICTURES_MIB
    from suite.runner.needs import make_teller

    if older := describe_older(keep_newest(records)[1]):
        note(older)
    check_pictures((picture for record in records for picture in record.pictures), warn_left_out)
    return report.write_report(records, folder, PICTURES_MIB if pictures_mib is None else pictures_mib, make_teller(records))


def report_folder(destination: Path | None) -> Path:
    """Return the folder of the report."""
    from suite.core.paths import own_folder

    return destination or own_folder("reports") / "html"


def execute_cells(specs: Sequence[CellSpec], ledger: Ledger, how: How, *, again: bool) -> Outcome:
    """Run the cells, those that are done only with `again`; what was recorded of them before is among the outcome's records."""
    from suite.runner.execute import execute

    note_lost_commit()
    before = {} if again else ledger.find_done([spec.fingerprint for spec in specs], warn_left_out)
    outcome = execute(specs, ledger, how, again=again)
    return replace(outcome, records=(*outcome.records, *before.values()))


def print_plan(
    options: argparse.Namespace,
    out: Output,
    specs: Sequence[CellSpec],
    fields: Sequence[str],
    states: Mapping[str, str],
    expected: RunEstimate,
    slots: int | None,
) -> None:
    """Print what `--dry-run` shows: the cells with these fields, how they stand by fingerprint, and what the others will take."""
    from suite.runner.estimate import LOST

    told = {**expected.evaluated_only, **dict.fromkeys(expected.lost, LOST)}
    states = {**states, **{one: said for one, said in told.items() if states.get(one) in ("new", "failed")}}
    rows = [
        {field: getattr(spec, field) for field in fields} | {"state": states[spec.fingerprint], "cell": spec.fingerprint} for spec in specs
    ]
    from suite.runner.standing import CHANGED

    if options.json:
        out.document({"cells": rows, "estimate": expected.as_dict(slots)})
        return
    out.table(rows)
    done = sum(row["state"] == "done" for row in rows)
    changed = 0 if options.again else sum(row["state"] == CHANGED for row in rows)
    cells = "1 cell" if len(rows) == 1 else f"{len(rows)} cells"
    apart = f", {changed} done with other data" if changed else ""
    out.line(f"{cells}, {done} done{apart}, {len(rows) - done - changed} to run; {expected.sentence(slots)}")
