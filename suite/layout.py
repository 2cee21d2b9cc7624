"""How a table of the model is laid out: header rows, and for each model column its printed and measured parts.

Any rendering in rows and columns can use it. The first column (the network) and the last (the status) are not part of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from suite.tables import Column, Table

Part = Literal["mark", "published", "measured", "verdict"]


@dataclass(frozen=True)
class Head:
    """A header cell of a table."""

    text: str
    detail: str = ""
    colspan: int = 1
    rowspan: int = 1
    direction: str = ""
    marks: tuple[str, ...] = ()
    css: str = ""


@dataclass(frozen=True)
class Slot:
    """One visible column: which part of which model column it shows."""

    kind: Part
    index: int
    first: bool  # of its model column


@dataclass(frozen=True)
class Layout:
    """Header rows, and the visible columns below them."""

    heads: tuple[tuple[Head, ...], ...]
    slots: tuple[Slot, ...]


def layout(table: Table) -> Layout:
    """Header rows and visible columns: groups, then columns, then published, measured and verdict."""
    slots: list[Slot] = []
    groups: list[Head] = []
    labels: list[Head] = []
    parts: list[Head] = []
    before: Column | None = None
    for index, column in enumerate(table.columns):
        kinds = _slot_kinds(table, index)
        slots += [Slot(kind, index, number == 0) for number, kind in enumerate(kinds)]
        retrained = column.kind == "retrained"
        if before is not None and _one_group(before, column):
            groups[-1] = replace(groups[-1], colspan=groups[-1].colspan + len(kinds))
        else:
            detail, css = (_with_seeds(column, column.detail), "first retrained") if retrained else ("", "first")
            groups.append(Head(column.group, detail, len(kinds), css=css))
        before = column
        labels.append(_label(column, kinds))
        parts += [] if len(kinds) == 1 else [Head(kind, css="first" if number == 0 else kind) for number, kind in enumerate(kinds)]
    return Layout((tuple(groups), tuple(labels), tuple(parts)), tuple(slots))


def _one_group(left: Column, right: Column) -> bool:
    return left.kind == right.kind and left.group == right.group and (left.kind != "retrained" or left.detail == right.detail)


def _label(column: Column, kinds: Sequence[str]) -> Head:
    told = [] if column.kind == "retrained" or column.detail in (column.label, column.group) else [column.detail]
    told += [kinds[0]] if len(kinds) == 1 and column.kind in ("quality", "cost") else []
    unit = f",\N{NO-BREAK SPACE}{column.unit}" if column.unit and not column.label.startswith(column.unit) else ""
    detail = "; ".join(part for part in told if part)
    detail = _with_seeds(column, detail) if column.kind == "quality" else detail
    return Head(column.label + unit, detail, len(kinds), 2 if len(kinds) == 1 else 1, column.direction, column.marks, "first")


def _with_seeds(column: Column, detail: str) -> str:
    told = "" if not column.seeds else "1 seed" if column.seeds == 1 else f"{column.seeds} seeds"
    return "; ".join(part for part in (detail, told) if part)


def _slot_kinds(table: Table, index: int) -> tuple[Part, ...]:
    column = table.columns[index]
    if column.kind == "mark":
        return ("mark",)
    if column.kind == "retrained" or not column.printed:
        return ("measured",)
    if column.kind == "cost" or any(row.cells[index].measured for row in table.rows):
        return ("published", "measured", "verdict")
    return ("published",)
