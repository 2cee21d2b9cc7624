"""The command line: one verb a thing to do.

Results go to standard output, everything else to standard error; with `--json` standard output holds one JSON document.
What a user can mend is one message without a traceback, and the exit code of `suite.core.errors.Exit`. Nothing heavy is
imported before a verb needs it.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from suite.cli import check, claims, compare, data, doctor, evaluate, profile, restore, score
from suite.cli import export as verb_export
from suite.cli import list as verb_list
from suite.cli.arguments import FORMATS, parser
from suite.core.errors import Exit, SuiteError
from suite.core.output import Output, note

if TYPE_CHECKING:
    from suite.records.ledger import Ledger
    from suite.records.spec import CellSpec
    from suite.runner.estimate import Estimate
    from suite.runner.execute import How


PICTURES = {"crops": True, "receptive_field": {"map_png"}}  # of a record, which --json leaves out


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line and returns its exit code."""
    options = parser().parse_args(arguments)
    out = Output(sys.stdout)
    try:
        with contextlib.redirect_stdout(sys.stderr):  # Ray and others print where they like
            return int(VERBS[options.verb](options, out))
    except SuiteError as error:
        return _refuse(str(error), error.exit)
    except KeyboardInterrupt:
        return _refuse("interrupted", Exit.INTERRUPTED)
    except BrokenPipeError:  # `... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.DONE
    except (KeyError, RuntimeError, ValueError) as error:
        code = _users_error(error)
        if code is None:
            raise
        return _refuse(str(error), code)


def _users_error(error: Exception) -> Exit | None:
    """The exit code of an error of `models/` (which knows none) that a user can mend; None for a defect."""
    from models.lookup import UnknownName
    from models.scan.backends import BackendUnavailable

    if isinstance(error, UnknownName):
        return Exit.USAGE
    if isinstance(error, BackendUnavailable):
        return Exit.NOT_READY
    base = sys.modules.get("models.base")  # loads torch: if it is not loaded, nothing of it was raised
    return Exit.NOT_READY if base is not None and isinstance(error, base.ModelInputError) else None


def _refuse(message: str, code: Exit) -> Exit:
    note(f"python -m suite: {message}")
    return code


def _run(options: argparse.Namespace, out: Output) -> Exit:
    from suite.runner.execute import execute, unique
    from suite.runner.plan import degraded_on_device
    from suite.training.share import sentence

    specs, reason = _cells(options)
    specs = unique(specs)
    if not specs:
        raise SuiteError("no cell is selected.", exit=Exit.NOTHING)
    ledger = _ledger(options)
    expected = _estimate(options, specs, ledger)
    if options.dry_run:
        return _dry_run(options, out, specs, ledger, expected)
    how = _how(options, specs, reason, expected)
    left = [spec for spec in specs if not ledger.done(spec.fingerprint)]
    backends = ", ".join(dict.fromkeys(spec.backend for spec in specs))
    note(f"cells: {len(specs)}, done before: {len(specs) - len(left)}; scan backend {backends} ({reason}).")
    if on_device := degraded_on_device(specs):
        note(on_device)
    if left:
        where = f"{how.launcher} at {how.address}" if how.address else how.launcher
        each = "cell" if how.workers == 1 else "worker"
        note(f"launcher {where}, threads per {each}: {how.threads}; {expected.sentence(_slots(how, specs))}")
        if how.workers > 1 or how.micro_batch:
            for line in dict.fromkeys(sentence(spec, how.workers, how.micro_batch) for spec in left):
                note(line)
    outcome = execute(specs, ledger, how)
    page = _render(ledger, options.report)
    if options.json:
        chosen = {spec.fingerprint for spec in specs}
        records = [record.model_dump(mode="json", exclude=PICTURES) for record in ledger.records(_warn) if record.fingerprint in chosen]
        out.document({"outcome": outcome.sentence, "exit": int(outcome.exit), "report": str(page) if page else None, "records": records})
    else:
        out.line(f"{outcome.sentence}; " + (f"report: {page}" if page else "no report, for nothing is recorded"))
    return outcome.exit


def _dry_run(options: argparse.Namespace, out: Output, specs: list[CellSpec], ledger: Ledger, expected: Estimate) -> Exit:
    from suite.runner.plan import degraded_on_device

    states = {}
    for entry in ledger.entries():
        states[entry.fingerprint] = "done" if "done" in (entry.status, states.get(entry.fingerprint)) else entry.status
    fields = (
        ("backend", "device", "threads", "dtype", "seconds") if _times_scans(options) else ("model", "seed", "task", "budget", "iterations")
    )
    if on_device := degraded_on_device(specs):
        fields += ("degrade_on",)
        note(on_device)
    rows = [
        {field: getattr(spec, field) for field in fields} | {"state": states.get(spec.fingerprint, "new"), "cell": spec.fingerprint}
        for spec in specs
    ]
    how = _how(options, specs, "", expected)
    slots = _slots(how, specs)
    if options.json:
        out.document({"cells": rows, "estimate": expected.as_dict(slots)})
        return Exit.DONE
    out.table(rows)
    done = sum(row["state"] == "done" for row in rows)
    out.line(f"{len(rows)} cells, {done} done, {len(rows) - done} to run; {expected.sentence(slots)}")
    return Exit.DONE


def _times_scans(options: argparse.Namespace) -> bool:
    """Whether the grid is the one of scan backends."""
    from suite.measure.scans import grid

    return options.grid == grid.NAME


def _scan_cells(options: argparse.Namespace) -> tuple[list[CellSpec], str]:
    """The cells of the grid of scan backends; what makes no sense for it is refused."""
    from suite.core import machine
    from suite.measure.scans import grid

    others = {
        "--budget": options.budget is not None,
        "--seeds": options.seeds != 1,
        "--set": bool(options.set),
        "--backend": options.backend != "auto",
        "--address": options.address is not None,
        "--recipe": options.recipe != "released",
        "--micro-batch": options.micro_batch != 0,
        "--recompute": options.recompute,
        "--cpus-per-cell": options.cpus_per_cell is not None,
        "--rehearse": options.rehearse,
        "--workers-per-trial": options.workers_per_trial != 1,
        "--gpus-per-worker": options.gpus_per_worker is not None,
        "--storage": options.storage is not None,
    }
    refused = [name for name, given in others.items() if given]
    if refused:
        raise SuiteError(
            f"{' and '.join(refused)} cannot be given with --grid {grid.NAME}: it times each backend once, with all of this machine. "
            "Choose backends with --only; `python -m suite scan` has the settings of the timing."
        )
    device = machine.default_device() if options.device == "auto" else options.device
    specs, absent = grid.cells(grid.Selection(device, only=options.only))
    for one in absent:
        note(f"not timed: {one.name}: {one.reason} To mend it: {one.remedy}")
    return specs, grid.REASON


def _estimate(options: argparse.Namespace, specs: Sequence[CellSpec], ledger: Ledger) -> Estimate:
    from suite.runner import estimate

    if _times_scans(options):
        return estimate.estimate_scans(specs, ledger)
    return estimate.estimate(specs, ledger, max(1, options.workers_per_trial), options.storage or "")


def _cells(options: argparse.Namespace) -> tuple[list[CellSpec], str]:
    """The selected cells, and why they use their scan backend."""
    if _times_scans(options):
        return _scan_cells(options)
    from models.scan.backends import resolve_backend
    from suite.core import machine
    from suite.runner import plan
    from suite.study import budgets

    changes = dict(options.set)
    if "device" in changes:
        raise SuiteError("the device is not changed by --set; choose it with --device.")
    device = machine.default_device() if options.device == "auto" else options.device
    backend, reason = resolve_backend(options.backend, device)
    specs = plan.cells(
        options.grid,
        budget=options.budget or budgets.default_budget(device),
        seeds=options.seeds,
        only=options.only,
        changes=changes,
        backend=backend,
        device=device,
        account=options.recipe,
    )
    return specs, reason


def _ledger(options: argparse.Namespace) -> Ledger:
    from suite.records.ledger import Ledger

    return Ledger(options.ledger)


def _how(options: argparse.Namespace, specs: Sequence[CellSpec], reason: str, expected: Estimate) -> How:
    """Launcher and threads. The threads depend on what is selected, not on what is left, so that continuing changes no number."""
    from suite.core import machine
    from suite.measure.scans import cell
    from suite.runner.crew import Crew
    from suite.runner.execute import How
    from suite.training import tracking

    seconds = None if options.max_hours is None else options.max_hours * 3600
    shown = _dashboard(options)
    if _times_scans(options):  # nothing runs beside a cell, and nothing of it is kept
        kept = {"grace": 0.0, "seconds": seconds, "dashboard": shown}
        return How(options.launcher, machine.cores(), reason, None, expected.disk_mib, cell.CELL, **kept)
    address = options.address or (os.environ.get("RAY_ADDRESS") or None if options.launcher == "ray" else None)
    if options.address and options.launcher != "ray":
        raise SuiteError(f"--address {options.address} is for --launcher ray, not {options.launcher}.")
    asked = Crew(options.workers_per_trial, options.gpus_per_worker, options.storage or "")
    crew = asked.checked(options.launcher, specs)
    cores = machine.cores()
    threads = options.cpus_per_cell
    if threads is None:
        at_once = len(specs) if specs[0].device == "cpu" else min(len(specs), len(machine.gpus()) or 1)
        threads = 1 if address else max(1, cores // (at_once * crew.workers))
    if threads < 1 or (threads > cores and not address):
        raise SuiteError(f"--cpus-per-cell {threads}: this machine has {cores} cores, so it must be 1 to {cores}.")
    if options.micro_batch < 0:
        raise SuiteError(f"--micro-batch {options.micro_batch}: a pass takes at least 1 image; leave it out for the whole batch at once.")
    more = {"micro_batch": options.micro_batch, "recompute": options.recompute, "rehearse": options.rehearse}
    more |= {"workers": crew.workers, "gpus": crew.gpus or 0, "storage": crew.storage, "track": tracking.chosen(options.track)}
    more["storage_mib"] = expected.storage_mib
    return How(options.launcher, threads, reason, address, expected.disk_mib, seconds=seconds, dashboard=shown, **more)


def _dashboard(options: argparse.Namespace) -> bool:
    """Whether Ray is to show its dashboard; SuiteError where there is no Ray of our own to show it."""
    if options.dashboard and (options.launcher != "ray" or options.address or os.environ.get("RAY_ADDRESS")):
        where = "a cluster has its own" if options.launcher == "ray" else f"--launcher {options.launcher} starts no Ray"
        raise SuiteError(f"--dashboard shows the Ray that a run starts for itself, and {where}. Leave it out, or use --launcher ray alone.")
    return options.dashboard


def _slots(how: How, specs: Sequence[CellSpec]) -> int | None:
    """How many cells run at a time here; None on a cluster, which is not asked before the run."""
    from suite.core import machine

    if how.launcher == "inline":
        return 1
    if how.address:
        return None
    slots = max(1, machine.cores() // (how.threads * how.workers))
    return slots if specs[0].device == "cpu" else min(slots, len(machine.gpus()) // (how.workers * max(1, how.gpus)) or 1)


def _render(ledger: Ledger, destination: Path | None) -> Path | None:
    """The report of the whole ledger, or None where there is no record."""
    from suite.core.paths import project_folder
    from suite.report import report

    records = list(ledger.records(_warn))
    if not records:
        return None
    return report.render(records, destination or project_folder("reports") / "html")


def _warn(error: SuiteError) -> None:
    note(f"left out: {error}")


def _report(options: argparse.Namespace, out: Output) -> Exit:
    from suite.core.paths import project_folder
    from suite.report import export

    ledger = _ledger(options)
    records = list(ledger.records(_warn))
    if not records:
        raise SuiteError(
            f"the ledger {ledger.folder} holds no record. `python -m suite run --grid ablations` makes some.", exit=Exit.NOTHING
        )
    destination = options.out or project_folder("reports") / "html"
    chosen = FORMATS if "all" in options.format else tuple(dict.fromkeys(options.format)) or FORMATS[:1]
    if "html" in chosen:
        from suite.report import report

        bound = () if options.pictures is None else (options.pictures,)
        out.line(f"report: {report.render(records, destination, *bound)}")
    for name, file in export.write(records, destination, [name for name in chosen if name != "html"]):
        out.line(f"{name}: {file}")
    return Exit.DONE


def _scan(options: argparse.Namespace, out: Output) -> Exit:
    if options.ahead_of_time:
        from suite.measure.scans import ahead

        rows, problems = ahead.compiled()
        out.document({"rows": rows, "problems": problems}) if options.json else out.table(rows)
        for problem in problems:
            note(problem)
        return Exit.INCOMPLETE if problems else Exit.DONE
    from suite.core import machine
    from suite.measure.scans import cell, grid
    from suite.records.record import error_line
    from suite.report import scan_view
    from suite.runner.execute import How, execute

    device = machine.default_device() if options.device == "auto" else options.device
    chosen = grid.Selection(
        device,
        backends=options.backend,
        cases=options.case,
        dtype=options.dtype,
        backward=not options.no_backward,
        images=not options.no_image,
        build=not options.no_build,
        seconds=options.seconds,
        threads=options.threads,
    )
    specs, absent = grid.cells(chosen)
    ledger = _ledger(options)
    reason = "asked for by name" if options.backend else grid.REASON
    outcome = execute(specs, ledger, How("inline", specs[0].threads, reason, cell=cell.CELL, grace=0.0), again=True)
    page = _render_if_possible(ledger, options.report)
    if options.json:
        records = [record.model_dump(mode="json") for record in outcome.records]
        unavailable = [one.model_dump() for one in absent]
        out.document({"exit": int(outcome.exit), "report": page and str(page), "records": records, "unavailable": unavailable})
        return outcome.exit
    for bench in scan_view.benches(outcome.records):
        out.line(bench.title)
        out.table(scan_view.table(bench))
        out.line(scan_view.LEGEND)
    for record in outcome.records:
        if record.status == "failed":
            out.line(f"{record.spec.backend}: {error_line(record)}")
    for one in absent:
        out.line(f"{one.name} is not available: {one.reason} To mend it: {one.remedy}")
    parts = [f"{outcome.done} of {len(specs)} backends verified and timed"]
    parts += [f"{outcome.failed} wrong or failed"] if outcome.failed else []
    parts += ["stopped; the same command begins anew"] if outcome.signum is not None else []
    out.line(f"{', '.join(parts)}; " + (f"report: {page}" if page else "no report"))
    return outcome.exit


def _render_if_possible(ledger: Ledger, destination: Path | None) -> Path | None:
    """The page of the scans, or None, with a note, where Jinja is not installed: times are worth having without it."""
    try:
        page = _render(ledger, destination)
    except ModuleNotFoundError as error:
        note(f"the report is not written, for {error.name} is not installed; `python -m suite report` makes it elsewhere.")
        return None
    return page and page.with_name("scan.html")


VERBS: Mapping[str, Callable[[argparse.Namespace, Output], Exit]] = MappingProxyType(
    {
        "run": _run,
        "list": verb_list.run,
        "report": _report,
        "evaluate": evaluate.run,
        "restore": restore.run,
        "score": score.run,
        "export": verb_export.run,
        "compare": compare.run,
        "claims": claims.run,
        "data": data.run,
        "check": check.run,
        "doctor": doctor.run,
        "profile": profile.run,
        "scan": _scan,
    }
)
