"""MODELS: every network of the designs' papers, every ablation, and a tiny sibling of each, in one table.

An ablation is its parent with one changed field and a hypothesis. `matched` fields restate what the paper adjusted so
that the costs stay comparable; they are not the subject of the ablation.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from types import MappingProxyType

from models.design import Config, Design, ModelCard
from models.designs import DESIGNS

TINY_WIDTH, TINY_DEPTH_DIVISOR = 16, 6


def _tiny(card: ModelCard) -> ModelCard:
    """Return the sibling `<network>-tiny[.<ablation>]`: the same design, small."""
    network, dot, suffix = card.name.partition(".")
    config: Config = card.config.narrowed(TINY_WIDTH, TINY_DEPTH_DIVISOR)
    parent = f"{card.parent}-tiny" if card.parent else None
    matched = tuple((name, getattr(config, name)) for name, _ in card.matched)
    return replace(card, name=f"{network}-tiny{dot}{suffix}", config=config, parent=parent, matched=matched, params=None, tiny=True)


def _table(rows: Iterable[ModelCard]) -> Mapping[str, ModelCard]:
    table: dict[str, ModelCard] = {}
    for row in rows:
        if row.name in table:
            raise ValueError(f"two rows of the catalogue are called {row.name!r}.")
        table[row.name] = row
    return MappingProxyType(table)


NETWORKS = tuple(card for design in DESIGNS for card in design.networks)
ABLATIONS = tuple(card for design in DESIGNS for card in design.ablations)
MODELS: Mapping[str, ModelCard] = _table((*NETWORKS, *ABLATIONS, *map(_tiny, (*NETWORKS, *ABLATIONS))))


def design_of(config: Config) -> Design:
    """Return the design that declares configurations of this class."""
    return next(design for design in DESIGNS if type(config) in design.classes)
