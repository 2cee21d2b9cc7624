"""Finding a name in a table, with an answer that helps when it is not there."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import TypeVar

Value = TypeVar("Value")
LISTED = 60  # names: a longer list buries what stands beside it


class UnknownName(KeyError):
    """A name that no row of a table carries; the message lists near misses, and all the names where they are few."""

    def __str__(self) -> str:  # KeyError would print the quoted repr
        return str(self.args[0])


def suggest(name: str, known: Iterable[str]) -> str:
    """Return `Did you mean "x"?` and the sorted names, or how many there are of a long list; "" where there is no name."""
    names = sorted(known)
    if not names:
        return ""
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    hint = f" Did you mean {' or '.join(repr(n) for n in near)}?" if near else ""
    return f"{hint} Known: {', '.join(names)}." if len(names) <= LISTED else f"{hint} {len(names)} names are known."


def lookup(kind: str, name: str, table: Mapping[str, Value]) -> Value:
    """Return the row `name` of `table`; raises `UnknownName` with suggestions if there is none."""
    if name not in table:
        raise UnknownName(f"no {kind} is called {name!r}.{suggest(name, table)}")
    return table[name]
