"""GRIDS: named selections of models and tasks; `cells` turns one into the specs to be run. PAIRINGS: which network runs which task."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from types import MappingProxyType

import models
from models.designs import DESIGNS

SCAN_GRID = "backends"  # the grid of scan backends, whose cells suite.measure.scans.grid makes
ROUTING_GRID = "routing"  # of MambaIRv2's router in given weights, whose cell suite.cli.measure.routing makes


@dataclass(frozen=True)
class ModelOnTask:
    """A network on a task; `published` says whether a table of its paper prints a value for it."""

    model: str
    task: str
    published: bool


def _pairings() -> Iterable[ModelOnTask]:
    for runs in (runs for design in DESIGNS for runs in design.runs):
        yield from (ModelOnTask(runs.model, task, published=True) for task in runs.printed)
        yield from (ModelOnTask(runs.model, task, published=False) for task in runs.others)


PAIRINGS: tuple[ModelOnTask, ...] = tuple(_pairings())


def is_published(model: str, task: str) -> bool:
    """Return True if a paper prints a value of `model` on `task`; ablations stand in the table of their parent's task."""
    card = models.MODELS.get(model)
    if card is not None and card.parent is not None:
        return card.task == task and not (card.tiny or card.own)
    return ModelOnTask(model, task, published=True) in PAIRINGS


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


_TABLES = tuple(Grid(table.grid, table.summary, _family(table.parent)) for design in DESIGNS for table in design.tables)

SEEDS = ("vmambair-table-4", "mambair-tables-1-2")  # of the two designs that the suite began with


def _of(names: Sequence[str]) -> tuple[ModelOnTask, ...]:
    return tuple(pairing for grid in _TABLES if grid.name in names for pairing in grid.pairings)


GRIDS: Mapping[str, Grid] = MappingProxyType(
    {
        row.name: row
        for row in (
            Grid("ablations", "VmambaIR's table 4, MambaIR's tables 1 and 2", _of(SEEDS)),
            *_TABLES,
            Grid("tasks", "every network on every task that it can run, published or not", PAIRINGS),
        )
    }
)


def selects(pattern: str, name: str, names: Sequence[str]) -> bool:
    """Select by a name or a pattern: a whole name selects itself alone; anything else is a shell pattern or a part of the name."""
    return name == pattern if pattern in names else pattern in name or fnmatchcase(name, pattern)
