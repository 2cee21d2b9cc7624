"""GRIDS: named selections of models and tasks; `cells` turns one into the specs to be run. PAIRINGS: which network runs which task."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from types import MappingProxyType

import models

SCANS = "backends"  # the grid of scan backends, whose cells suite.measure.scans.grid makes


@dataclass(frozen=True)
class Pairing:
    """A network on a task; `published` says whether a table of its paper prints a value for it."""

    model: str
    task: str
    published: bool


DENOISING = ("denoise-15", "denoise-25", "denoise-50")
COMPRESSED, UNPUBLISHED_JPEG = ("jpeg-10", "jpeg-30", "jpeg-40"), ("jpeg-20",)

# Network, the tasks on which its paper prints it, and the other tasks that it can run. Light networks stay among themselves, and a
# network of one channel on grey images; mambair-realsr-x4 stands in its paper's figure 6 alone, without a number.
RUNS: tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...] = (
    ("vmambair-sisr-x4", ("gan-sr-x4",), ("real-sr-x4", "sr-x4")),
    ("vmambair-realsr-x4", ("real-sr-x4",), ("gan-sr-x4", "sr-x4")),
    ("vmambair-derain", ("derain",), (*DENOISING, "real-denoise", *COMPRESSED, *UNPUBLISHED_JPEG)),
    ("vmambair-derain.released", ("derain",), ()),
    ("mambair-sr-x2", ("sr-x2",), ()),
    ("mambair-sr-x3", ("sr-x3",), ()),
    ("mambair-sr-x4", ("sr-x4",), ("gan-sr-x4", "real-sr-x4")),
    ("mambair-light-x2", ("light-sr-x2",), ()),
    ("mambair-light-x2.generation-1", ("light-sr-x2",), ()),
    ("mambair-light-x2.generation-2", ("light-sr-x2",), ()),
    ("mambair-light-x3", ("light-sr-x3",), ()),
    ("mambair-light-x4", ("light-sr-x4",), ()),
    ("mambair-realsr-x4", (), ("real-sr-x4",)),
    ("mambair-denoise", DENOISING, ("derain", "real-denoise")),
    ("mambair-jpeg", COMPRESSED, UNPUBLISHED_JPEG),
    ("mambair-realdn", ("real-denoise",), ("derain", *DENOISING)),
)


def _pairings() -> Iterable[Pairing]:
    for model, published, others in RUNS:
        yield from (Pairing(model, task, published=True) for task in published)
        yield from (Pairing(model, task, published=False) for task in others)


PAIRINGS: tuple[Pairing, ...] = tuple(_pairings())


def is_published(model: str, task: str) -> bool:
    """Return True if a paper prints a value of `model` on `task`; ablations stand in the table of their parent's task."""
    card = models.MODELS.get(model)
    if card is not None and card.parent is not None:
        return card.task == task and not card.tiny
    return Pairing(model, task, published=True) in PAIRINGS


@dataclass(frozen=True)
class Grid:
    """A row of the table."""

    name: str
    summary: str
    pairings: tuple[Pairing, ...]

    @property
    def models(self) -> tuple[str, ...]:
        """The models, each once."""
        return tuple(dict.fromkeys(pairing.model for pairing in self.pairings))


def _family(parent: str) -> tuple[Pairing, ...]:
    """Return a network and its ablations, in the catalogue's order, each on the task of its card."""
    names = (parent, *(name for name in models.names() if models.card(name).parent == parent))
    return tuple(Pairing(name, models.card(name).task, published=True) for name in names)


VMAMBAIR_TABLE_4, MAMBAIR_TABLES_1_2 = _family("vmambair-realsr-x4"), _family("mambair-sr-x2")

GRIDS: Mapping[str, Grid] = MappingProxyType(
    {
        row.name: row
        for row in (
            Grid("ablations", "VmambaIR's table 4, MambaIR's tables 1 and 2", VMAMBAIR_TABLE_4 + MAMBAIR_TABLES_1_2),
            Grid("vmambair-table-4", "VmambaIR's ablations on real-world x4 super-resolution", VMAMBAIR_TABLE_4),
            Grid("mambair-tables-1-2", "MambaIR's ablations on classic x2 super-resolution", MAMBAIR_TABLES_1_2),
            Grid("tasks", "every network on every task that it can run, published or not", PAIRINGS),
        )
    }
)


def selects(pattern: str, name: str, names: Sequence[str]) -> bool:
    """Select by a name or a pattern: a whole name selects itself alone; anything else is a shell pattern or a part of the name."""
    return name == pattern if pattern in names else pattern in name or fnmatchcase(name, pattern)
