"""`python -m suite list KIND`: the visible tables, and the ledger's records."""

from __future__ import annotations

import argparse
import contextlib
import gc
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from suite.cli import common
from suite.core.errors import Exit, SuiteError
from suite.core.output import Output, csv_of, note

if TYPE_CHECKING:
    from suite.records.ledger import Ledger

SUMMARY = "print what there is: models, grids, tasks, ... or the ledger's records"
EXAMPLE = "list models"
RECORDS = "records"  # the kind that is read from a ledger
Row = dict[str, object]


def add_arguments(verb: argparse.ArgumentParser) -> None:
    """Add the options of the verb."""
    kinds = (*LISTS, RECORDS)
    verb.add_argument("kind", choices=kinds, metavar="KIND", help=", ".join(kinds))
    common.add_shared(verb, "--ledger", "--plugin")
    verb.add_argument("--csv", metavar="FILE", help=f"for {RECORDS}: write all their columns as CSV to FILE, or - for standard output")
    common.add_shared(verb, "--json", "--wide")


def run(options: argparse.Namespace, out: Output) -> Exit:
    """Print the rows of a kind, or all that is known of every record as CSV."""
    from suite.records.ledger import Ledger

    if options.csv is not None:
        return _csv(options, out)
    with _uncollected():
        rows = records(Ledger(options.ledger), common.warn_left_out) if options.kind == RECORDS else LISTS[options.kind]()
        if options.json:
            out.document(rows)
        elif rows:
            out.table(rows)
        else:
            note(f"there are no {options.kind} yet.")
    return Exit.DONE


def _csv(options: argparse.Namespace, out: Output) -> Exit:
    """Write all that the index holds of every record: more than a table on a screen can show."""
    from suite.records import index
    from suite.records.ledger import Ledger

    if options.kind != RECORDS or options.json:
        raise SuiteError(f"--csv is for `list {RECORDS}`, without --json.")
    with _uncollected():
        found = index.read_columns(Ledger(options.ledger), common.warn_left_out)
        text = csv_of(list(found), zip(*found.values(), strict=True))
        out.csv(text, options.csv, RECORDS)
    return Exit.DONE


@contextlib.contextmanager
def _uncollected() -> Iterator[None]:
    """Do not search for cycles: the rows of a hundred thousand records have none, and it takes a third of the time."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def models() -> list[Row]:
    """Return the catalogue, tiny siblings left out."""
    import models as catalogue
    from suite.study.recipes import recipe_of

    rows: list[Row] = []
    for name in catalogue.names():
        card = catalogue.card(name)
        params = None if card.params is None else f"{card.params:,}"
        recipe = recipe_of(name, card.task)
        row = {"name": name, "task": card.task, "recipe": recipe and recipe.name, "params": params, "paper": card.paper}
        rows.append({**row, "tests": card.hypothesis})
    return rows


def grids() -> list[Row]:
    """Return the named selections of models and tasks, the grid of scan backends, and that of routing."""
    from suite.cli.measure import routing
    from suite.measure.scans import grid
    from suite.study.grids import GRIDS, ROUTING_GRID

    rows: list[Row] = [
        {"name": row.name, "models": len(row.models), "cells": len(row.pairings), "what": row.summary} for row in GRIDS.values()
    ]
    special = {grid.GRID_NAME: grid.GRID_SUMMARY, ROUTING_GRID: routing.SUMMARY}
    return [*rows, *({"name": name, "models": None, "cells": None, "what": what} for name, what in special.items())]


def tasks() -> list[Row]:
    """Return what is restored, and by which protocol it is measured."""
    from suite.study.grids import list_pairings
    from suite.study.tasks import TASKS

    pairings = list_pairings()
    return [
        {
            "name": row.name,
            "protocol": row.protocol,
            "published in": row.published,
            "test sets": ", ".join(row.test_sets),
            "networks": sum(pairing.task == row.name for pairing in pairings),
            "what": row.summary,
        }
        for row in TASKS.values()
    ]


def budgets() -> list[Row]:
    """Return how much of a recipe is run."""
    from suite.study.budgets import BUDGETS

    return [{"name": row.name, "seeds": row.seeds, "first weights": row.first_weights, "what": row.summary} for row in BUDGETS.values()]


def recipes() -> list[Row]:
    """Return how the papers train."""
    from suite.study.recipes import RECIPES

    return [
        {
            "name": row.name,
            "iterations": row.iterations,
            "batch": row.batch,
            "patch": " ".join(str(stage.patch) for stage in row.stages) or row.patch,
            "lr": row.lr,
            "loss": row.loss,
            "begins with": row.start.recipe if row.start else "",
            "source": row.source,
            "defect": row.defect,
        }
        for row in RECIPES.values()
    ]


def backends() -> list[Row]:
    """Return the scan backends, and whether this machine runs them."""
    from models.scan.backends import BACKENDS, BackendUnavailable, explain_backend, resolve_backend

    rows: list[Row] = []
    for row in BACKENDS.values():
        try:
            resolve_backend(row.name, row.devices[0])
            whose = explain_backend(row.name)
            here = f"yes; {whose}" if whose else "yes"
        except BackendUnavailable as error:
            here = f"no: {error.reason} {error.remedy}"
        rows.append({"name": row.name, "devices": ", ".join(row.devices), "what": row.summary, "runs here": here})
    return rows


def baselines() -> list[Row]:
    """Return the networks of others in the papers' tables: those whose cost is measured here, then those that cannot be had and why."""
    from suite.study.baselines import ABSENT, BASELINES

    rows: list[Row] = [
        {
            "name": row.name,
            "label": row.label,
            "task": row.task,
            "stands in": ", ".join(dict.fromkeys(t for t, _ in row.rows)),
            "what": row.source,
        }
        for row in BASELINES.values()
    ]
    empty = dict.fromkeys(("name", "label", "task", "stands in"))
    return [*rows, *(empty | {"label": label, "what": f"not here: {why}"} for label, why in ABSENT.items())]


def protocols() -> list[Row]:
    """Return how quality numbers are made."""
    from suite.study.protocols import PROTOCOLS, protocol

    return [
        {
            "name": key,
            "replaced by": "" if protocol(row.name) is row else protocol(row.name).key,
            "metrics": ", ".join(row.metrics),
            "what": row.statement,
        }
        for key, row in PROTOCOLS.items()
    ]


def datasets() -> list[Row]:
    """Return the cards in datasets/: the embedded set, and those that the user brings."""
    from suite.data.cards import cards

    return [
        {"name": row.name, "images": ", ".join(f"{split} {count}" for split, count in row.splits.items()), "what": row.what}
        for row in cards().values()
    ]


def records(ledger: Ledger, on_unreadable: Callable[[SuiteError], None]) -> list[Row]:
    """Return the standing record of every cell, with its quality."""
    from suite.records import index

    return index.read_rows(ledger, on_unreadable)


LISTS: Mapping[str, Callable[[], list[Row]]] = MappingProxyType(
    {kind.__name__: kind for kind in (models, grids, tasks, budgets, recipes, backends, baselines, protocols, datasets)}
)
