"""The plan: the cells of a grid at a budget, each behind those whose weights it begins with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from models.lookup import UnknownName, suggest
from suite.core.errors import Exit, SuiteError
from suite.data.degrade.degradations import on_device
from suite.data.sets import canonical_name
from suite.records.planned import Choice, plan_family
from suite.records.spec import CellSpec, RunSpec
from suite.study.budgets import budget as budget_row
from suite.study.grids import GRIDS, ROUTING_GRID, SCAN_GRID, Grid, ModelOnTask, selects
from suite.study.recipes import DEFAULT
from suite.study.tasks import task

SELECTED_ELSEWHERE = MappingProxyType(
    {
        "model": "--only",
        "task": "--grid",
        "budget": "--budget",
        "seed": "--seeds",
        "backend": "--backend",
        "device": "--device",
        "plugin": "--plugin",
    }
)


def plan_cells(
    grid: str | Grid,
    *,
    budget: str,
    seeds: int | None,
    only: Sequence[str],
    changes: Mapping[str, str],
    backend: str,
    device: str,
    account: str = DEFAULT,
) -> list[RunSpec]:
    """Return the cells of `grid`: every pairing that `only` selects (all, if empty) times seeds 0 ... `seeds` - 1 (None: the budget's).

    Before a cell stand those whose weights its recipe begins with, selected or not. `account` says whose recipe: released, paper, ...

    `only` holds names of models or tasks, shell patterns or parts of such names, or MODEL@TASK, both parts of which must fit; `changes` the
    fields of `--set`; `backend` is a concrete name.
    Raises `UnknownName` or `SuiteError` for what is not known, and for a selection that is empty.
    """
    row = grid if isinstance(grid, Grid) else _find_grid(grid)
    chosen = [pairing for pairing in row.pairings if not only or any(_fits(pattern, pairing, row) for pattern in only)]
    if not chosen:
        tasks = dict.fromkeys(pairing.task for pairing in row.pairings)
        raise SuiteError(
            f"--only {' '.join(only)} selects none of the {len(row.models)} models of the grid {row.name!r}: {', '.join(row.models)}; "
            f"nor of its tasks: {', '.join(tasks)}.",
            exit=Exit.NOTHING,
        )
    seeds = budget_row(budget).seeds if seeds is None else seeds
    if seeds < 1:
        raise SuiteError(f"--seeds {seeds} runs nothing; it must be at least 1.", exit=Exit.NOTHING)
    for field in changes:
        if field in SELECTED_ELSEWHERE:
            raise SuiteError(f"{field} is not changed by --set; choose it with {SELECTED_ELSEWHERE[field]}.")
    choice = Choice(budget, backend, device, account, changes, canonical_name)
    specs = [spec for pairing in chosen for seed in range(seeds) for spec in plan_family(pairing, seed, choice)]
    for spec in specs:
        if spec.degrade_on == "device":
            on_device(task(spec.task).degradation)  # or SuiteError
    return list({spec.fingerprint: spec for spec in specs}.values())


def _find_grid(name: str) -> Grid:
    if name not in GRIDS:
        raise UnknownName(f"no grid is called {name!r}.{suggest(name, (*GRIDS, SCAN_GRID, ROUTING_GRID))}")
    return GRIDS[name]


def _fits(pattern: str, pairing: ModelOnTask, grid: Grid) -> bool:
    """Return whether `pattern` selects the pairing by its model or by its task."""
    tasks = [other.task for other in grid.pairings]
    model, at, on_task = pattern.partition("@")
    if at:
        return selects(model, pairing.model, grid.models) and selects(on_task, pairing.task, tasks)
    if pattern in grid.models:
        return pattern == pairing.model
    if pattern in tasks:
        return pattern == pairing.task
    return selects(pattern, pairing.model, grid.models) or selects(pattern, pairing.task, tasks)


def degraded_on_device(specs: Sequence[CellSpec]) -> str:
    """Return a sentence on the cells whose crops are degraded on the device that trains them; empty where there is none."""
    chosen = [spec for spec in specs if isinstance(spec, RunSpec) and spec.degrade_on == "device"]
    if not chosen:
        return ""
    tasks = ", ".join(dict.fromkeys(spec.task for spec in chosen))
    return (
        f"{len(chosen)} of {len(specs)} cells ({tasks}) degrade their training crops on the {chosen[0].device} device, with other random "
        "numbers than worker processes draw; --set degrade_on=worker leaves it to those. Validation and test images are made on the CPU."
    )
