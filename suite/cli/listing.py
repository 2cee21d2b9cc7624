"""What `python -m suite list` shows: the visible tables, as rows with equal keys."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from suite.core.errors import SuiteError

if TYPE_CHECKING:
    from suite.records.ledger import Ledger

Row = dict[str, object]


def models() -> list[Row]:
    """The catalogue, tiny siblings left out."""
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
    """Named selections of models and tasks, and the one of scan backends."""
    from suite.measure.scans import grid
    from suite.study.grids import GRIDS

    rows: list[Row] = [
        {"name": row.name, "models": len(row.models), "cells": len(row.pairings), "what": row.summary} for row in GRIDS.values()
    ]
    return [*rows, {"name": grid.NAME, "models": None, "cells": None, "what": grid.SUMMARY}]


def tasks() -> list[Row]:
    """What is restored, and by which protocol it is measured."""
    from suite.study.grids import PAIRINGS
    from suite.study.tasks import TASKS

    return [
        {
            "name": row.name,
            "protocol": row.protocol,
            "published in": row.published,
            "test sets": ", ".join(row.test_sets),
            "networks": sum(pairing.task == row.name for pairing in PAIRINGS),
            "what": row.summary,
        }
        for row in TASKS.values()
    ]


def budgets() -> list[Row]:
    """How much of a recipe is run."""
    from suite.study.budgets import BUDGETS

    return [{"name": row.name, "what": row.summary} for row in BUDGETS.values()]


def recipes() -> list[Row]:
    """How the papers train."""
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
    """Scan backends, and whether this machine runs them."""
    from models.scan.backends import BACKENDS, BackendUnavailable, resolve_backend

    rows: list[Row] = []
    for row in BACKENDS.values():
        try:
            resolve_backend(row.name, row.devices[0])
            here = "yes"
        except BackendUnavailable as error:
            here = f"no: {error.reason} {error.remedy}"
        rows.append({"name": row.name, "devices": ", ".join(row.devices), "what": row.summary, "runs here": here})
    return rows


def baselines() -> list[Row]:
    """Networks of others that the papers' tables print: those whose cost is measured here, then those that cannot be had and why."""
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
    return [
        *rows,
        *({"name": None, "label": label, "task": None, "stands in": None, "what": f"not here: {why}"} for label, why in ABSENT.items()),
    ]


def protocols() -> list[Row]:
    """How quality numbers are made."""
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
    """The cards in datasets/: the embedded set, and those that the user brings."""
    from suite.data.cards import cards

    return [{"name": row.name, "images": _counts(row.splits), "what": row.what} for row in cards().values()]


def _counts(splits: Mapping[str, int]) -> str:
    return ", ".join(f"{split} {count}" for split, count in splits.items())


def records(ledger: Ledger, on_unreadable: Callable[[SuiteError], None]) -> list[Row]:
    """The standing record of every cell, with its quality."""
    from suite.records import index

    return index.rows(ledger, on_unreadable)


KINDS: Mapping[str, Callable[[], list[Row]]] = MappingProxyType(
    {
        "models": models,
        "grids": grids,
        "tasks": tasks,
        "budgets": budgets,
        "recipes": recipes,
        "backends": backends,
        "baselines": baselines,
        "protocols": protocols,
        "datasets": datasets,
    }
)
