"""The tables that decide what is run: each row as a digest, and each field of the cells that are planned from them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING

from suite.health.probes.number import TRAINED_ON, Number, Part, digest_of

if TYPE_CHECKING:
    from suite.records.spec import RunSpec

PLANNED = (
    ("tasks", "smoke"),
    ("tasks", "quick"),
    ("tasks", "standard"),
    ("tasks", "paper"),
    ("ablations", "quick"),
    ("ablations", "paper"),
)
PROSE = frozenset(
    ("summary", "statement", "what", "title", "why", "reason", "traps", "text", "without", "note", "changes", "wrong", "source")
)
SCHEDULED = 12  # iterations, evenly spread over a run, at which the learning rate is watched


def parts() -> tuple[Part, ...]:
    """Tables, and plans."""
    plans = tuple(Part(f"cells of {grid} at {budget}", partial(_planned, grid, budget), 0.3) for grid, budget in PLANNED)
    return (Part("tables", _tables, 1), *plans)


def _tables() -> Iterator[Number]:
    """A digest a row. Functions are left out: what they do is watched elsewhere."""
    for table, rows in tables().items():
        for name, row in rows.items():
            yield Number(f"definitions/{table}/{name}", "digest", digest_of(_plain(row)))


def tables() -> Mapping[str, Mapping[str, object]]:
    """The tables by name, each with its rows by name."""
    import models
    from models.scan.cases import CASES
    from suite.data.cards import card, cards
    from suite.data.degrade.degradations import DEGRADATIONS
    from suite.measure.costs.conventions import CONVENTIONS
    from suite.study.baselines import BASELINES
    from suite.study.budgets import BUDGETS
    from suite.study.grids import GRIDS, PAIRINGS
    from suite.study.protocols import METRICS, PROTOCOLS
    from suite.study.published import load_all
    from suite.study.recipes import RECIPES
    from suite.study.tasks import TASKS

    return {
        "models": models.MODELS,
        "scan cases": CASES,
        "baselines": BASELINES,
        "budgets": BUDGETS,
        "conventions": CONVENTIONS,
        "data cards": {name: card(name) for name in cards()},
        "degradations": DEGRADATIONS,
        "grids": GRIDS,
        "pairings": {f"{row.model} on {row.task}": row for row in PAIRINGS},
        "metrics": METRICS,
        "protocols": PROTOCOLS,
        "published": {f"{paper.key}, {table.id}": table for paper in load_all() for table in paper.tables},
        "recipes": RECIPES,
        "tasks": TASKS,
    }


def _plain(row: object) -> object:
    """The values of a row; neither functions nor sentences, which change no number."""
    from dataclasses import fields, is_dataclass

    from pydantic import BaseModel

    if isinstance(row, BaseModel):
        return [(name, _plain(getattr(row, name))) for name in type(row).model_fields if name not in PROSE]
    if isinstance(row, Mapping):
        return sorted((str(key), _plain(value)) for key, value in row.items())
    if isinstance(row, (tuple, list)):
        return [_plain(value) for value in row]
    if is_dataclass(row):
        named = [(field.name, getattr(row, field.name)) for field in fields(row) if field.name not in PROSE]
        return type(row).__name__, [(name, _plain(value)) for name, value in named if not callable(value)]
    return row


def _planned(grid: str, budget: str) -> Iterator[Number]:
    """A digest of each field over all cells, and of the learning rates, patches and batches that they go through."""
    from suite.runner import plan
    from suite.training.rates import discriminator_rate, rate, stage

    cells = plan.cells(grid, budget=budget, seeds=2, only=[], changes={}, backend=TRAINED_ON, device="cpu")
    names = {spec.fingerprint: f"{spec.model} on {spec.task}, seed {spec.seed}" for spec in cells}
    key = f"definitions/cells of {grid} at {budget}"
    for field in type(cells[0]).model_fields:
        values = [_by_name(names, spec, field) for spec in cells]
        yield Number(f"{key}/{field}", "digest", digest_of(values))
    schedules = []
    for spec in cells:
        steps = [spec.iterations * place // SCHEDULED for place in range(SCHEDULED)] + [max(0, spec.iterations - 1)]
        schedules.append([(f"{rate(spec, n):.9g}", f"{discriminator_rate(spec, n):.9g}", stage(spec, n)) for n in steps])
    yield Number(f"{key}/schedules", "digest", digest_of(schedules))


def _by_name(names: Mapping[str, str], spec: RunSpec, field: str) -> str:
    """The value of a field; what a cell begins with by that cell's name, since its fingerprint changes with any field."""
    value = getattr(spec, field)
    return names.get(value, repr(value)) if field == "start" else repr(value)
