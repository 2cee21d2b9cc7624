"""GRIDS: named selections of models and tasks, from which suite.runner.plan makes cells; `list_pairings`: which network runs which task."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

import models
from models.design import Config, Design
from models.designs import DESIGNS, Live
from suite.study.tasks import Task

SCAN_GRID = "backends"  # the grid of scan backends, whose cells suite.measure.scans.grid makes
ROUTING_GRID = "routing"  # of MambaIRv2's router in given weights, whose cell suite.cli.measure.routing makes
RESERVED = ("ablations", "tasks", SCAN_GRID, ROUTING_GRID, "published")  # names that no table of a design may have


@dataclass(frozen=True)
class ModelOnTask:
    """A network on a task; `published` says whether a table of its paper prints a value for it."""

    model: str
    task: str
    published: bool


def list_pairings() -> tuple[ModelOnTask, ...]:
    """Return every network with every task that its design says it runs."""
    return tuple(_pairings(DESIGNS))


def _pairings(designs: Iterable[Design]) -> Iterable[ModelOnTask]:
    for runs in (runs for design in designs for runs in design.all_runs):
        yield from (ModelOnTask(runs.model, task, published=True) for task in runs.printed)
        yield from (ModelOnTask(runs.model, task, published=False) for task in runs.others)


def is_published(model: str, task: str) -> bool:
    """Return True if a paper prints a value of `model` on `task`; ablations stand in the table of their parent's task."""
    card = models.MODELS.get(model)
    if card is not None and card.parent is not None:
        return card.task == task and not (card.tiny or card.own)
    return ModelOnTask(model, task, published=True) in list_pairings()


def find_misfit(model: str, config: Config, task: Task) -> str:
    """Say why a network of this configuration cannot run a task; "" where it can."""
    if config.scale != task.scale:
        return f"{model} enlarges {config.scale} times, the task {task.scale} times."
    if config.channels < task.channels:
        return f"{model} restores grey images, and {task.name} is a task on colour images."
    return ""


@dataclass(frozen=True)
class Grid:
    """A row of the table."""

    name: str
    summary: str
    pairings: tuple[ModelOnTask, ...]

    @property
    def models(self) -> tuple[str, ...]:
        """The models, each once."""
        return tuple(dict.fromkeys(pairing.model for pairing in self.pairings))


def _family(parent: str) -> tuple[ModelOnTask, ...]:
    """Return a network and its ablations, in the catalogue's order, each on the task of its card."""
    names = (parent, *(name for name in models.names() if models.card(name).parent == parent))
    return tuple(ModelOnTask(name, models.card(name).task, published=not models.card(name).own) for name in names)


SEEDS = ("vmambair-table-4", "mambair-tables-1-2")  # of the two designs that the suite began with


def list_tables(design: Design) -> tuple[Grid, ...]:
    """Return a design's grids: its tables of ablations; where it names none, its networks with theirs under its own name."""
    if design.tables:
        return tuple(Grid(table.grid, table.summary, _family(table.parent)) for table in design.tables)
    cells = tuple(pairing for card in design.networks for pairing in _family(card.name))
    return (Grid(grid_name(design), f"{design.name}'s networks and ablations", cells),)


def grid_name(design: Design) -> str:
    """Return the name of the grid that a design without tables has."""
    return design.name.lower().replace(" ", "-")


def _make_grids() -> Mapping[str, Grid]:
    tables = [grid for design in DESIGNS for grid in list_tables(design)]
    first = tuple(pairing for grid in tables if grid.name in SEEDS for pairing in grid.pairings)
    rows = (
        Grid("ablations", "VmambaIR's table 4, MambaIR's tables 1 and 2", first),
        *tables,
        Grid("tasks", "every network on every task that it can run, published or not", list_pairings()),
    )
    return {row.name: row for row in rows}


GRIDS: Mapping[str, Grid] = Live(_make_grids)


def selects(pattern: str, name: str, names: Sequence[str]) -> bool:
    """Select by a name or a pattern: a whole name selects itself alone; anything else is a shell pattern or a part of the name."""
    return name == pattern if pattern in names else pattern in name or fnmatchcase(name, pattern)
