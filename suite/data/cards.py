"""Cards of data sets: what a set is, whose, how many images it has, and in which folders people keep it. One TOML file a set in datasets/.

A layout names folders below the user's data folder, `{s}` standing for the scale and `{q}` for the JPEG quality. A folder whose low-quality
files are missing still serves the tasks that make their own. Unknown keys are refused.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import Literal

import pydantic
from pydantic import BaseModel, ConfigDict, Field, model_validator

from models.lookup import UnknownName, suggest
from suite.data.photos import Split
from suite.errors import Exit, SuiteError
from suite.paths import project_folder

Kind = Literal["sr", "denoise", "jpeg", "derain", "real-sr", "real-denoise"]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Layout(_Strict):
    """One way in which people keep the set: folders relative to the data folder, whatever their case."""

    of: str = Field(description="whose layout it is")
    split: Split
    kind: Kind
    hq: str = Field("", description="folder of the targets; none = the set has no targets")
    lq: str = Field("", description="folder of the low-quality images; none = they are made by the task")

    @model_validator(mode="after")
    def _inside(self) -> Layout:
        for folder in (self.hq, self.lq):
            path = PurePosixPath(folder)
            if path.is_absolute() or ".." in path.parts or "\\" in folder or ":" in folder:
                raise ValueError(f"{folder!r} leaves the data folder")
        if not self.hq and not self.lq:
            raise ValueError("a layout names at least one folder")
        return self


class Card(_Strict):
    """A data set."""

    schema_version: Literal[1] = Field(alias="schema")
    name: str
    aliases: tuple[str, ...] = ()
    what: str
    origin: str
    licence: str = Field(description="as its authors state it; 'not stated', or 'not verified here', where that is so")
    traps: tuple[str, ...] = Field((), description="what has misled people, with its source")
    splits: dict[Split, int] = Field(min_length=1, description="images, or pairs, of each split")
    layouts: tuple[Layout, ...] = Field(min_length=1, description="in order of preference")

    @model_validator(mode="after")
    def _splits_known(self) -> Card:
        for layout in self.layouts:
            if layout.split not in self.splits:
                raise ValueError(f"a layout is of the split {layout.split!r}, of which no count is given")
        return self


def load(path: Path) -> Card:
    """The card in a TOML file; SuiteError names file and field."""
    try:
        return Card.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except tomllib.TOMLDecodeError as error:
        raise SuiteError(f"the card {path} is not TOML: {error}", exit=Exit.NOT_READY) from None
    except pydantic.ValidationError as error:
        lines = [f"{'.'.join(str(part) for part in e['loc']) or 'card'}: {e['msg']}" for e in error.errors()]
        raise SuiteError(f"the card {path} is faulty: {'; '.join(lines)}", exit=Exit.NOT_READY) from None


@cache
def cards() -> Mapping[str, Card]:
    """Every card of datasets/ by its name, in alphabetical order; SuiteError where two share a name or an alias."""
    found = [load(path) for path in sorted(project_folder("datasets").glob("*.toml"))]
    by_name: dict[str, str] = {}
    for one in found:
        for name in (one.name, *one.aliases):
            other = by_name.setdefault(name.casefold(), one.name)
            if other != one.name:
                raise SuiteError(f"the data sets {other} and {one.name} are both called {name!r}.", exit=Exit.NOT_READY)
    return MappingProxyType({one.name: one for one in found})


def card(name: str) -> Card:
    """The card of this name or alias, whatever its case; raises `UnknownName` with suggestions."""
    for one in cards().values():
        if name.casefold() in {known.casefold() for known in (one.name, *one.aliases)}:
            return one
    raise UnknownName(f"no data set is called {name!r}.{suggest(name, cards())}")
