"""`python -m suite run`: train and measure the cells of a grid, then write the report."""

from __future__ import annotations

import argparse
import itertools
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from suite.cli import common
from suite.cli.measure import routing, scan
from suite.core.errors import Exit, SuiteError
from suite.core.output import Output, note
from suite.core.text import count_of

if TYPE_CHECKING:
    from suite.records.spec import CellSpec
    from suite.report.results import Results
    from suite.runner.estimate import RunEstimate
    from suite.runner.execute import How
    from suite.study.grids import Grid

SUMMARY = "train and measure the cells of a grid, or models by name, that are not done yet, then write the report"
EXAMPLE = "run --grid ablations --dry-run"
LAUNCHERS = ("ray", "inline")
TRACKERS = ("tensorboard", "mlflow")
PICTURES = {"crops": True, "receptive_field": {"map_png"}, "trivial": {"pictures"}}  # of a record, which --json leaves out
OF_SCANS = ("only", "device", "launcher", "max_hours", "dashboard", "dry_run", "ledger", "report", "json", "wide")  # go with scan's grid
PLAN_FIELDS = ("model", "seed", "task", "budget", "iterations")  # that --dry-run shows


def add_arguments(verb: argparse.ArgumentParser) -> None:
    """Add the options of the verb."""
    what = verb.add_argument_group("what to run")
    what.add_argument("--grid", metavar="NAME|FILE.toml", help="a name of `list grids`, e.g. ablations, or a file with tables [[cells]]")
    what.add_argument("--model", nargs="+", action="extend", default=[], metavar="NAME", help="instead of a grid: names of `list models`")
    what.add_argument(
        "--task", nargs="+", action="extend", default=[], metavar="NAME", help="with --model: names of `list tasks` (default: each model's)"
    )
    what.add_argument("--budget", metavar="NAME", help="a name of `list budgets` (default: quick without a GPU, standard with one)")
    what.add_argument(
        "--recipe",
        default="released",
        metavar="NAME",
        help="which published recipe: its name in `list recipes` after the / (default: %(default)s)",
    )
    what.add_argument("--seeds", type=int, metavar="N", help="run each model with seeds 0 to N-1 (default: the budget's in `list budgets`)")
    what.add_argument("--only", **common.REPEATED, metavar="PATTERN", help="part of a model's name, or a shell pattern; may be repeated")
    what.add_argument(
        "--set",
        **common.REPEATED,
        type=read_change,
        metavar="FIELD=VALUE",
        help="change a field of all cells, e.g. lr=1e-4; may be repeated",
    )
    measured = "train once and measure it "
    what.add_argument("--test-sets", nargs="+", default=[], metavar="NAME", help=f"{measured}on each of these data sets or folders")
    what.add_argument("--protocols", nargs="+", default=[], metavar="NAME", help=f"{measured}by each of these names of `list protocols`")
    common.add_shared(what, "--backend", "--kernel-revision", "--device", "--plugin")
    given = verb.add_argument_group("with --grid routing")
    common.add_shared(given, "--weights")
    given.add_argument("--data", metavar="NAME_OR_FOLDER", help="a name of `list datasets`, or a folder of test images (default: photos)")
    _add_how(verb.add_argument_group("how to run it"))
    several = verb.add_argument_group("several workers for each cell, by Ray Train")
    several.add_argument(
        "--workers-per-trial", type=int, default=1, metavar="N", help="workers that share each batch (default: %(default)s)"
    )
    several.add_argument("--gpus-per-worker", type=int, metavar="G", help="GPUs of each worker (default: 1 with --device cuda, else 0)")
    several.add_argument(
        "--storage", metavar="PATH|URI", help="folder that all machines share, or URI, for their checkpoints (default: the ledger's)"
    )
    out = verb.add_argument_group("what comes out")
    common.add_shared(out, "--ledger", "--report", "--json", "--wide")


def _add_how(how: argparse._ActionsContainer) -> None:
    how.add_argument(
        "--launcher",
        choices=LAUNCHERS,
        default=LAUNCHERS[0],
        help="ray: cells side by side; inline: one after another (default: %(default)s)",
    )
    how.add_argument("--address", metavar="HOST:PORT", help="join this Ray cluster (default: $RAY_ADDRESS, else start Ray here)")
    how.add_argument(
        "--cpus-per-cell",
        type=int,
        metavar="N",
        help="threads per cell or worker (default: this machine's cores divided among them; 1 on a cluster)",
    )
    how.add_argument(
        "--micro-batch", type=int, default=0, metavar="N", help="images per forward pass; gradients are summed over the whole batch"
    )
    how.add_argument(
        "--recompute", action="store_true", help="recompute activations for the gradient: less memory, more time, the same numbers"
    )
    how.add_argument(
        "--max-hours",
        type=common.read_hours,
        metavar="H",
        help="after H hours cells save and stop, exit code 4; the same command continues",
    )
    how.add_argument(
        "--track", **common.REPEATED, choices=TRACKERS, help="also log to this (default: TensorBoard if it is installed); may be repeated"
    )
    how.add_argument(
        "--dashboard", action="store_true", help="show Ray's web page of this run, on this machine only (pip install 'ray[default]')"
    )
    how.add_argument(
        "--rehearse", action="store_true", help="try the largest pass before training, and say what fits if it does not (on a GPU: always)"
    )
    how.add_argument("--again", action="store_true", help="also run cells that are done, but whose data have changed since")
    how.add_argument("--dry-run", action="store_true", help="print the cells, which are done, and an estimate; run nothing")


def read_change(text: str) -> tuple[str, str]:
    """Split `field=value` into its two parts."""
    field, equals, value = text.partition("=")
    if not equals or not field:
        raise argparse.ArgumentTypeError(f"{text!r} is not FIELD=VALUE, e.g. iterations=100")
    return field, value


def prepare(options: argparse.Namespace) -> None:
    """Have threads sleep while they wait, before torch is loaded here, for --launcher inline; scans are timed as threads are."""
    from suite.core.torch_state import let_threads_sleep
    from suite.study.grids import ROUTING_GRID, SCAN_GRID

    if options.grid not in (SCAN_GRID, ROUTING_GRID):
        let_threads_sleep()


def run(options: argparse.Namespace, out: Output) -> Exit:
    """Run what is not done, write the report, and print the outcome; two grids are run elsewhere: of scan backends, and of routing."""
    from suite.records.ledger import Ledger
    from suite.records.record import Record, as_document
    from suite.report.results import summarise_run
    from suite.runner import estimate, needs
    from suite.runner.execute import execute, unique_specs
    from suite.runner.standing import look_up
    from suite.study.grids import ROUTING_GRID, SCAN_GRID

    if options.grid == SCAN_GRID:
        return scan.run(_scan_options(options), out)
    if options.grid == ROUTING_GRID:
        _refuse_others(options, routing.OPTIONS, "it measures given weights in one process, and trains nothing.")
        return routing.run(options, out)
    if options.weights or options.data:
        raise SuiteError(
            "--weights and --data go with --grid routing; to measure a model with weights there is `python -m suite evaluate`."
        )
    specs, reason = _cells(options)
    specs = unique_specs(specs)
    ledger = Ledger(options.ledger)
    standing = look_up(specs, ledger)
    done = standing.done if options.again else standing.done | standing.changed.keys()
    retrained = standing.retrained if options.again else frozenset()
    expected = estimate.estimate_runs(
        specs, ledger, max(1, options.workers_per_trial), options.storage or "", done=done, retrained=retrained
    )
    how = _how(options, specs, reason, expected)
    standing.note_changes(specs, options.again)
    if expected.lost:
        cells = count_of(len(expected.lost), "cell")
        note(f"trained again, because the weights of an earlier training are gone from {ledger.weights}: {cells}.")
    if options.dry_run:
        if options.backend == "auto":
            common.note_slower(specs[0].backend, reason, specs[0].device)
        on_device = _note_devices(options, specs)
        for line in needs.describe_needs([spec for spec in specs if spec.fingerprint not in done], ledger.records(lambda _: None)):
            note(line)
        common.print_plan(options, out, specs, PLAN_FIELDS + on_device, standing.states, expected, _slots(how, specs))
        return Exit.DONE
    _note_start(how, specs, [spec for spec in specs if spec.fingerprint not in done], expected)
    outcome = execute(specs, ledger, how, changed=standing.changed.keys(), retrained=retrained, renew=options.again)
    page, unwritten = common.render_last(ledger, options.report)
    held = {record.fingerprint: record for record in ledger.records(common.warn_left_out)}
    found = [held[spec.fingerprint] for spec in specs if spec.fingerprint in held]
    results = summarise_run([record for record in found if isinstance(record, Record)])
    if options.json:
        records = [as_document(record, PICTURES) for record in found]
        told = {"outcome": outcome.sentence, "exit": int(outcome.exit), "report": page and str(page), "verdict": results.verdict}
        out.document(told | {"records": records})
        return common.end(outcome.exit, unwritten)
    why = "it cannot be written" if unwritten else "the ledger is empty"
    out.line(f"{outcome.sentence}; " + (f"report: {page}" if page else f"no report: {why}"))
    if results.tables:
        out.line()
        _print_results(out, results)
    if page:
        out.write(f"{page.resolve().as_uri()}\n")  # never folded: terminals make a link of it
    return common.end(outcome.exit, unwritten)


def _print_results(out: Output, results: Results) -> None:
    """Print a table for each setting, and the sentence below."""
    for table in results.tables:
        out.line(f"{table.title}, {table.conditions}")
        out.table(list(table.rows))
        out.line()
    out.line(results.verdict)


def _scan_options(options: argparse.Namespace) -> argparse.Namespace:
    """Return the options of `scan` that mean what `run --grid backends` was asked for; SuiteError for those that it does not have."""
    _refuse_others(
        options,
        OF_SCANS,
        "it times each backend once, with all of this machine. "
        "Choose backends with --only; `python -m suite scan` has the settings of the timing.",
    )
    _check_dashboard(options)
    asked = {name: getattr(options, name) for name in OF_SCANS}
    return argparse.Namespace(**common.default_options(scan.add_arguments) | asked | {"again": False})


def _refuse_others(options: argparse.Namespace, allowed: Sequence[str], why: str) -> None:
    """Raise SuiteError where an option is given that the grid does not have."""
    defaults = common.default_options(add_arguments)
    others = [name for name in defaults if name not in (*allowed, "grid", "track")]
    refused = [f"--{name.replace('_', '-')}" for name in others if getattr(options, name) != defaults[name]]
    if refused:
        raise SuiteError(f"{' and '.join(refused)} cannot be given with --grid {options.grid}: {why}")


def _cells(options: argparse.Namespace) -> tuple[list[CellSpec], str]:
    """Return the selected cells, and why they use their scan backend."""
    from models.scan.backends import resolve_backend
    from suite.runner import plan
    from suite.study import budgets
    from suite.study.grids import GRIDS, ROUTING_GRID, SCAN_GRID

    if options.grid is None and not options.model:
        special = [(SCAN_GRID, scan.SUMMARY), (ROUTING_GRID, routing.SUMMARY)]
        names = "\n".join(f"  {name}: {what}" for name, what in [*((row.name, row.summary) for row in GRIDS.values()), *special])
        more = "--task says where models run, and no --model is given. " if options.task else ""
        raise SuiteError(
            f"{more}no --grid is given. Name models (`python -m suite run --model A B --task T`), or choose one, e.g. "
            f"`python -m suite run --grid ablations`:\n{names}"
        )
    changes = dict(options.set)
    if "device" in changes:
        raise SuiteError("the device is not changed by --set; choose it with --device.")
    device = common.resolve_device(options)
    backend, reason = resolve_backend(options.backend, device)
    specs = [
        spec
        for evaluation in _evaluations(options, changes)
        for spec in plan.plan_cells(
            _choose_grid(options),
            budget=options.budget or budgets.default_budget(device),
            seeds=options.seeds,
            only=options.only,
            changes=changes | evaluation,
            backend=backend,
            device=device,
            account=options.recipe,
        )
    ]
    return specs, reason


def _choose_grid(options: argparse.Namespace) -> str | Grid:
    """Return the grid that is named, read from a file, or made of the models that are named."""
    from pathlib import Path

    from suite.study.outside import grid_files

    if options.grid and (options.model or options.task):
        raise SuiteError("--grid says which models run which tasks: give it, or --model and --task; --only chooses among a grid's.")
    if options.model:
        return grid_files.name_grid(options.model, options.task)
    return grid_files.read_grid(Path(options.grid)) if options.grid.endswith(grid_files.SUFFIX) else options.grid


def _evaluations(options: argparse.Namespace, changes: Mapping[str, str]) -> list[dict[str, str]]:
    """Return the fields of each evaluation that a training is asked for; one without fields where none is named."""
    named = {"test_set": ("--test-sets", options.test_sets), "protocol": ("--protocols", options.protocols)}
    for field, (option, values) in named.items():
        if values and field in changes:
            raise SuiteError(f"{field} is given by {option} and by --set. Name all of them with {option}.")
    pairs = ([(field, value) for value in values] for field, (_, values) in named.items() if values)
    return [dict(chosen) for chosen in itertools.product(*pairs)]


def _how(options: argparse.Namespace, specs: Sequence[CellSpec], reason: str, expected: RunEstimate) -> How:
    """Return launcher and threads. The threads depend on what is selected, not on what is left, so that continuing changes no number."""
    from suite.core import machine
    from suite.records.trainings import Trainings
    from suite.runner.crew import Crew
    from suite.runner.execute import How
    from suite.training import tracking

    if options.address and options.launcher != "ray":
        raise SuiteError(f"--address {options.address} is for --launcher ray, not {options.launcher}.")
    _check_dashboard(options)
    address = _address(options) if options.launcher == "ray" else None
    crew = Crew(options.workers_per_trial, options.gpus_per_worker, options.storage or "").checked(options.launcher, specs)
    cores = machine.count_cores()
    threads = options.cpus_per_cell
    if threads is None:
        trainings = Trainings(specs)
        at_once = len({trainings.identify(spec) for spec in specs})  # evaluations of one training follow each other
        at_once = at_once if specs[0].device == "cpu" else min(at_once, len(machine.list_gpus()) or 1)
        threads = 1 if address else max(1, cores // (at_once * crew.workers))
    if threads < 1 or (threads > cores and not address):
        raise SuiteError(f"--cpus-per-cell {threads}: this machine has {cores} cores, so it must be 1 to {cores}.")
    if options.micro_batch < 0:
        raise SuiteError(f"--micro-batch {options.micro_batch}: a pass takes at least 1 image; leave it out for the whole batch at once.")
    return How(
        options.launcher,
        threads,
        reason,
        address,
        expected.disk_mib,
        micro_batch=options.micro_batch,
        recompute=options.recompute,
        seconds=options.max_hours and options.max_hours * 3600,
        dashboard=options.dashboard,
        workers=crew.workers,
        gpus=crew.gpus or 0,
        storage=crew.storage,
        storage_mib=expected.storage_mib,
        rehearse=options.rehearse,
        track=tracking.choose_trackers(options.track),
    )


def _address(options: argparse.Namespace) -> str | None:
    """Return the address of the cluster to be joined; None where Ray is started here, which Ray's own name for it says, too."""
    address = options.address or os.environ.get("RAY_ADDRESS")
    return None if address in (None, "", "local") else address


def _check_dashboard(options: argparse.Namespace) -> None:
    """Raise SuiteError where a dashboard is asked for and no Ray is started here to show it."""
    if options.dashboard and (options.launcher != "ray" or _address(options)):
        where = "a cluster has its own" if options.launcher == "ray" else f"--launcher {options.launcher} starts no Ray"
        raise SuiteError(f"--dashboard shows the Ray that a run starts for itself, and {where}. Leave it out, or use --launcher ray alone.")


def _slots(how: How, specs: Sequence[CellSpec]) -> int | None:
    """Return how many cells run at a time here; None on a cluster, which is not asked before the run."""
    from suite.core import machine

    if how.launcher == "inline":
        return 1
    if how.address:
        return None
    slots = max(1, machine.count_cores() // (how.threads * how.workers))
    return slots if specs[0].device == "cpu" else min(slots, len(machine.list_gpus()) // (how.workers * max(1, how.gpus)) or 1)


def _note_devices(options: argparse.Namespace, specs: Sequence[CellSpec]) -> tuple[str, ...]:
    """Note what a dry run should say of devices; return the field that it should show for it."""
    from suite.core import machine
    from suite.runner.plan import degraded_on_device

    if specs[0].device == "cuda" and not _address(options) and not machine.list_gpus():
        note("--device cuda: this machine has no GPU that nvidia-smi lists, so these cells cannot run here.")
    said = degraded_on_device(specs)
    if said:
        note(said)
    return ("degrade_on",) if said else ()


def _note_start(how: How, specs: Sequence[CellSpec], left: Sequence[CellSpec], expected: RunEstimate) -> None:
    """Note what is run, of which `left` is not done, where, and how long it takes."""
    from suite.runner.plan import degraded_on_device
    from suite.training.share import describe_share

    backends = ", ".join(dict.fromkeys(spec.backend for spec in specs))
    common.note_lost_commit()
    only = f", evaluated only: {len(expected.evaluated_only)}" if expected.evaluated_only else ""
    note(f"cells: {len(specs)}, done before: {len(specs) - len(left)}{only}; scan backend {backends} ({how.backend_reason}).")
    if on_device := degraded_on_device(specs):
        note(on_device)
    if not left:
        return
    where = f"{how.launcher} at {how.address}" if how.address else how.launcher
    each = "cell" if how.workers == 1 else "worker"
    note(f"launcher {where}, threads per {each}: {how.threads}; {expected.sentence(_slots(how, specs))}")
    if how.workers > 1 or how.micro_batch:
        for line in dict.fromkeys(describe_share(spec, how.workers, how.micro_batch) for spec in left):
            note(line)
