"""`python -m suite evaluate --grid published`: every published network and test set that are here, as cells of one run."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from suite.cli import common
from suite.core.errors import Exit, SuiteError
from suite.core.output import Output, note
from suite.core.text import count_of

if TYPE_CHECKING:
    from suite.records.kinds.evaluation import EvaluationSpec
    from suite.records.ledger import Ledger
    from suite.records.record import Attempt
    from suite.runner.execute import How
    from suite.runner.published import Missing, PublishedPlan

ALONE = ("model", "task", "data", "weights", "key", "protocol", "limit", "tile_size", "self_ensemble", "tile_cost", "save", "no_record")


def run(options: argparse.Namespace, out: Output) -> Exit:
    """Measure what is not done, print the numbers of all, and what is missing with what brings it."""
    from suite.records.ledger import Ledger
    from suite.records.record import as_document

    refused = ["MODEL" if name == "model" else f"--{name.replace('_', '-')}" for name in ALONE if getattr(options, name)]
    if refused:
        raise SuiteError(f"{' and '.join(refused)} cannot be given with --grid {options.grid}: the register says what is measured.")
    plan, reason = _plan(options)
    ledger = Ledger(options.ledger)
    if not plan.specs and not options.dry_run:
        _print_missing(plan.missing, out)
        raise SuiteError("nothing that was asked for is here: see what is missing.", exit=Exit.NOTHING)
    if options.dry_run:
        rows = [_planned(spec, plan, ledger) for spec in plan.specs]
        if options.json:
            out.document({"cells": rows, "missing": [vars(one) for one in plan.missing]})
        else:
            out.table(rows)
            out.line(f"{count_of(len(rows), 'cell')}, {sum(row['state'] == 'done' for row in rows)} done")
            _print_missing(plan.missing, out)
        return Exit.DONE
    outcome = common.execute_cells(plan.specs, ledger, _how(options, plan, reason), again=options.again)
    rows = [_measured(record) for record in outcome.records]
    if options.json:
        records = [as_document(record) for record in outcome.records]
        out.document(
            {"outcome": outcome.sentence, "exit": int(outcome.exit), "records": records, "missing": [vars(one) for one in plan.missing]}
        )
    else:
        out.table(rows)
        _print_missing(plan.missing, out)
        out.line(f"{outcome.sentence}; ledger: {ledger.folder}")
    return outcome.exit


def _plan(options: argparse.Namespace) -> tuple[PublishedPlan, str]:
    from suite.cli.measure.inference import choose_inference
    from suite.measure.inference.weights_files import folders_to_search
    from suite.runner.published import plan_published
    from suite.study import weights_register

    if missing := [folder for folder in options.folders if not folder.is_dir()]:
        raise SuiteError(f"--in {missing[0]}: there is no such folder.", exit=Exit.NOT_READY)
    inference, reason = choose_inference(options)
    note("looking for published weights and test sets ...")
    return plan_published(weights_register.load(), folders_to_search(options.folders), inference, options.only), reason


def _how(options: argparse.Namespace, plan: PublishedPlan, reason: str) -> How:
    from suite.core import machine
    from suite.runner.execute import How

    cuda = any(spec.device == "cuda" for spec in plan.specs)
    at_once = (len(machine.list_gpus()) or 1) if cuda else len(plan.specs)
    threads = max(1, machine.count_cores() // min(at_once, len(plan.specs)))
    return How(options.launcher, threads, reason, given=plan.given)


def _planned(spec: EvaluationSpec, plan: PublishedPlan, ledger: Ledger) -> dict[str, object]:
    file = plan.given.get(spec.weights)
    state = "done" if ledger.done(spec.fingerprint) else "new"
    about = {"model": spec.model, "task": spec.task, "test set": spec.test_set, "weights": file.name if file else "none"}
    return about | {"state": state, "cell": spec.fingerprint}


def _measured(record: Attempt) -> dict[str, object]:
    from suite.records.summary import summarise

    held = summarise(record)
    return {
        "model": held["model"],
        "task": held["task"],
        "test set": held["test_set"],
        "status": held["status"],
        "quality": held["quality"],
    }


def _print_missing(missing: tuple[Missing, ...], out: Output) -> None:
    if missing:
        out.line(f"Missing ({len(missing)}):")
        out.table([{"what": one.what, "why": one.reason, "brought by": one.bring} for one in missing])
