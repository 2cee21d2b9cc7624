"""MODELS: every network of the designs' papers, every ablation, and a tiny sibling of each, in one table.

An ablation is its parent with one changed field and a hypothesis. `matched` fields restate what the paper adjusted so
that the costs stay comparable; they are not the subject of the ablation.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from models.design import Config, Design, ModelCard
from models.designs import DESIGNS, Live

TINY_WIDTH, TINY_DEPTH_DIVISOR = 16, 6


def _tiny(card: ModelCard) -> ModelCard:
    """Return the sibling `<network>-tiny[.<ablation>]`: the same design, small."""
    network, dot, suffix = card.name.partition(".")
    config: Config = card.config.narrowed(TINY_WIDTH, TINY_DEPTH_DIVISOR)
    parent = f"{card.parent}-tiny" if card.parent else None
    matched = tuple((name, getattr(config, name)) for name, _ in card.matched)
    return replace(card, name=f"{network}-tiny{dot}{suffix}", config=config, parent=parent, matched=matched, params=None, tiny=True)


def list_rows(design: Design) -> tuple[ModelCard, ...]:
    """Return a design's rows: its networks, their ablations, and a tiny sibling of each."""
    rows = (*design.networks, *design.ablations)
    return (*rows, *map(_tiny, rows))


def _table() -> Mapping[str, ModelCard]:
    published = [card for design in DESIGNS for card in design.networks]
    ablations = [card for design in DESIGNS for card in design.ablations]
    table: dict[str, ModelCard] = {}
    for row in (*published, *ablations, *map(_tiny, (*published, *ablations))):
        if row.name in table:
            raise ValueError(f"two rows of the catalogue are called {row.name!r}.")
        table[row.name] = row
    return table


MODELS: Mapping[str, ModelCard] = Live(_table)


def design_of(config: Config) -> Design:
    """Return the design that declares configurations of this class."""
    return next(design for design in DESIGNS if type(config) in design.classes)


def register(design: Design) -> None:
    """Add a design from outside, behind all others; ValueError where it has a name that is taken."""
    taken, own = {named for one in DESIGNS for named in _names(one)}, list(_names(design))
    clashes = [f"{what} is called {name!r} already" for what, name in own if (what, name) in taken]
    clashes += [f"{what} is called {name!r} twice" for what, name in dict.fromkeys(own) if own.count((what, name)) > 1]
    if clashes:
        raise ValueError("; ".join(clashes) + ". Names are unique: choose others.")
    DESIGNS.append(design)


def _names(design: Design) -> Iterator[tuple[str, str]]:
    """Yield every name that a design brings, behind what it is the name of."""
    yield "a design", design.name
    yield from (("a network", row.name) for row in list_rows(design))
    yield from (("an official class", row.name) for row in design.official)
    yield from (("a grid", row.grid) for row in design.tables)


def withdraw(design: Design) -> None:
    """Take away a design that was registered."""
    DESIGNS[:] = [one for one in DESIGNS if one is not design]
