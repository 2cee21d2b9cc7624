"""DESIGNS: the table of designs, in the order in which they are listed. A design is a file here and its class in models/networks.

Designs from outside stand behind those of the project while they are registered (`models.catalog.register`); what is made of the table,
a `Live` one, follows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TypeVar

from models.design import Design
from models.designs import eamamba, evssm, mair, mambair, mambairv2, tpmambasr, vmambair

_FILES = (vmambair, mambair, mambairv2, mair, eamamba, evssm, tpmambasr)
DESIGNS: list[Design] = [file.DESIGN for file in _FILES]

Row = TypeVar("Row")


class Live(Mapping[str, Row]):
    """A table that `make` makes of DESIGNS: made when it is first read, and again where a design has come or gone since."""

    def __init__(self, make: Callable[[], Mapping[str, Row]]) -> None:
        self._make = make
        self._made_of: list[Design] | None = None
        self._held: Mapping[str, Row] = {}

    def _rows(self) -> Mapping[str, Row]:
        if self._made_of != DESIGNS:  # the same designs, in place: a few comparisons of identity
            self._held, self._made_of = self._make(), list(DESIGNS)
        return self._held

    def __getitem__(self, name: str) -> Row:
        return self._rows()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows())

    def __len__(self) -> int:
        return len(self._rows())
