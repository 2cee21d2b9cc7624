"""The numbers that the gate watches of designs from outside: of each network what it watches of the suite's own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from types import MappingProxyType

import models
from models.catalog import list_rows
from suite.health.probes import networks, training
from suite.health.probes.definitions import WATCHED_BUDGETS, digest_plans, digest_row
from suite.health.probes.number import BUDGET, DATA, TRAINED_ON, Number, Probe, ProbePart
from suite.records.spec import RunSpec
from suite.runner import plan
from suite.study.grids import Grid, ModelOnTask
from suite.study.outside.plugins import list_loaded


def _names(*, tiny: bool = False) -> list[str]:
    return [row.name for plugin in list_loaded() for row in list_rows(plugin.design) if row.tiny == tiny]


def _network_parts() -> tuple[ProbePart, ...]:
    return (
        ProbePart("parameters", partial(networks.list_parameters, _names()), 1),
        ProbePart("costs", partial(networks.list_costs, _names(tiny=True)), 2),
    )


def _output_parts() -> tuple[ProbePart, ...]:
    return tuple(ProbePart(name, partial(networks.list_outputs, name), 1) for name in _names(tiny=True))


def _training_parts() -> tuple[ProbePart, ...]:
    sets = dict.fromkeys(("train_set", "validation_set", "test_set"), DATA)
    return tuple(ProbePart(name, partial(training.train_family, plan_own_task(name, BUDGET, sets)), 2) for name in _names())


def _definition_parts() -> tuple[ProbePart, ...]:
    return (ProbePart("rows and plans", _definitions, 1),)


def _definitions() -> Iterator[Number]:
    for plugin in list_loaded():
        for row in list_rows(plugin.design):
            yield Number(f"definitions/models/{row.name}", "digest", digest_row(models.card(row.name)))
    for budget in WATCHED_BUDGETS:
        yield from digest_plans(f"definitions/cells at {budget}", [spec for name in _names() for spec in plan_own_task(name, budget)])


def plan_own_task(name: str, budget: str, changes: Mapping[str, str] = MappingProxyType({})) -> list[RunSpec]:
    """Plan a network's cell on the task of its card, behind those that it begins with."""
    grid = Grid(name, "", (ModelOnTask(name, models.card(name).task, published=False),))
    return plan.plan_cells(grid, budget=budget, seeds=1, only=[], changes=changes, backend=TRAINED_ON, device="cpu")


OUTSIDE: Mapping[str, Probe] = MappingProxyType(
    {
        row.name: row
        for row in (
            Probe("networks", "parameters, layers and official names, and multiply-adds of the tiny siblings", _network_parts),
            Probe("outputs", "what the tiny siblings make of fixed inputs", _output_parts),
            Probe("training", "losses and quality after a few steps of each network on its task", _training_parts),
            Probe("definitions", "rows of the networks, and the cells planned from them", _definition_parts),
        )
    }
)
