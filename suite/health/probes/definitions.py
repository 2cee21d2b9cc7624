"""The tables that decide what is run: each row as a digest, and each field of the cells that are planned from them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from functools import partial

from pydantic import BaseModel

import models
from models.scan import cases
from suite.data.cards import card, cards
from suite.data.degrade import degradations
from suite.health.probes.number import TRAINED_ON, Number, ProbePart, digest_of
from suite.measure.costs import conventions
from suite.records.spec import RunSpec
from suite.runner import plan
from suite.study import baselines, budgets, grids, protocols, recipes, tasks
from suite.study.published import load_all
from suite.training.rates import discriminator_learning_rate, learning_rate, stage_at

PLANNED = {"tasks": ("smoke", "quick", "standard", "paper"), "ablations": ("quick", "paper")}  # budgets by grid
WATCHED_BUDGETS = PLANNED["ablations"]  # for which the cells of designs from outside are planned
PROSE = frozenset(
    ["summary", "statement", "what", "title", "why", "reason", "traps", "text", "without", "note", "changes", "wrong", "source"]
)
SCHEDULED = 12  # iterations, evenly spread over a run, at which the learning rate is watched


def parts() -> tuple[ProbePart, ...]:
    """Return the parts: tables, and plans."""
    plans = [(grid, budget) for grid, some in PLANNED.items() for budget in some]
    return ProbePart("tables", _tables, 1), *(
        ProbePart(f"cells of {grid} at {budget}", partial(_planned, grid, budget), 0.3) for grid, budget in plans
    )


def _tables() -> Iterator[Number]:
    """Digest each row. Functions are left out: what they do is watched elsewhere."""
    for table, rows in collect_tables().items():
        for name, row in rows.items():
            yield Number(f"definitions/{table}/{name}", "digest", digest_row(row))


def digest_row(row: object) -> str:
    """Return the digest of a row of a table, without functions and sentences."""
    return digest_of(_plain(row))


def collect_tables() -> Mapping[str, Mapping[str, object]]:
    """Return the tables by name, each with its rows by name."""
    return {
        "models": models.MODELS,
        "scan cases": cases.CASES,
        "baselines": baselines.BASELINES,
        "budgets": budgets.BUDGETS,
        "conventions": conventions.CONVENTIONS,
        "data cards": {name: card(name) for name in cards()},
        "degradations": degradations.DEGRADATIONS,
        "grids": grids.GRIDS,
        "pairings": {f"{row.model} on {row.task}": row for row in grids.list_pairings()},
        "metrics": protocols.METRICS,
        "protocols": protocols.PROTOCOLS,
        "published": {f"{paper.key}, {table.id}": table for paper in load_all() for table in paper.tables},
        "recipes": recipes.RECIPES,
        "tasks": tasks.TASKS,
    }


def _plain(row: object) -> object:
    """Return the values of a row; neither functions nor sentences, which change no number."""
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
    cells = plan.plan_cells(grid, budget=budget, seeds=2, only=[], changes={}, backend=TRAINED_ON, device="cpu")
    yield from digest_plans(f"definitions/cells of {grid} at {budget}", cells)


def digest_plans(key: str, cells: Sequence[RunSpec]) -> Iterator[Number]:
    """Digest each field over all cells, and the learning rates, patches and batches that they go through."""
    names = {spec.fingerprint: f"{spec.model} on {spec.task}, seed {spec.seed}" for spec in cells}
    for field in (name for name in type(cells[0]).model_fields if name != "plugin"):  # the code's digest, which no number rests on
        values = [_by_name(names, spec, field) for spec in cells]
        yield Number(f"{key}/{field}", "digest", digest_of(values))
    schedules = []
    for spec in cells:
        steps = [spec.iterations * place // SCHEDULED for place in range(SCHEDULED)] + [max(0, spec.iterations - 1)]
        schedules.append(
            [(f"{learning_rate(spec, n):.9g}", f"{discriminator_learning_rate(spec, n):.9g}", stage_at(spec, n)) for n in steps]
        )
    yield Number(f"{key}/schedules", "digest", digest_of(schedules))


def _by_name(names: Mapping[str, str], spec: RunSpec, field: str) -> str:
    """Return the value of a field; what a cell begins with by that cell's name, since its fingerprint changes with any field."""
    value = getattr(spec, field)
    return names.get(value, repr(value)) if field == "start" else repr(value)
