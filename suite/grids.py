"""GRIDS: named selections of models; `cells` turns one into the specs to be run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from types import MappingProxyType

import models
from models.lookup import UnknownName, suggest
from suite.budgets import budget as budget_row
from suite.data.degradations import degradation
from suite.data.sets import SETS, resolve_folder
from suite.errors import Exit, SuiteError
from suite.protocols import protocol
from suite.spec import RunSpec
from suite.tasks import task as task_row

SCANS = "backends"  # the grid of scan backends, whose cells suite.scan_grid makes

SELECTED_ELSEWHERE = MappingProxyType(
    {"model": "--only", "task": "--grid", "budget": "--budget", "seed": "--seeds", "backend": "--backend", "device": "--device"}
)


@dataclass(frozen=True)
class Grid:
    """A row of the table: every model runs the task of its card."""

    name: str
    summary: str
    models: tuple[str, ...]


def _family(parent: str) -> tuple[str, ...]:
    """A network and its ablations, in the catalogue's order."""
    return (parent, *(name for name in models.names() if models.card(name).parent == parent))


VMAMBAIR_TABLE_4, MAMBAIR_TABLES_1_2 = _family("vmambair-realsr-x4"), _family("mambair-sr-x2")

GRIDS: Mapping[str, Grid] = MappingProxyType(
    {
        row.name: row
        for row in (
            Grid("ablations", "VmambaIR's table 4, MambaIR's tables 1 and 2", VMAMBAIR_TABLE_4 + MAMBAIR_TABLES_1_2),
            Grid("vmambair-table-4", "VmambaIR's ablations on real-world x4 super-resolution", VMAMBAIR_TABLE_4),
            Grid("mambair-tables-1-2", "MambaIR's ablations on classic x2 super-resolution", MAMBAIR_TABLES_1_2),
        )
    }
)


def cells(
    grid: str, *, budget: str, seeds: int, only: Sequence[str], changes: Mapping[str, str], backend: str, device: str
) -> list[RunSpec]:
    """The cells of `grid`: every model that `only` selects (all, if empty) times seeds 0 ... `seeds` - 1.

    `only` holds model names, shell patterns or parts of names; `changes` the fields of `--set`; `backend` is a concrete name.
    Raises `UnknownName` or `SuiteError` for what is not known, and for a selection that is empty.
    """
    if grid not in GRIDS:
        raise UnknownName(f"no grid is called {grid!r}.{suggest(grid, (*GRIDS, SCANS))}")
    row = GRIDS[grid]
    chosen = [name for name in row.models if not only or any(selects(pattern, name, row.models) for pattern in only)]
    if not chosen:
        raise SuiteError(
            f"--only {' '.join(only)} selects none of the {len(row.models)} models of the grid {grid!r}: {', '.join(row.models)}.",
            exit=Exit.NOTHING,
        )
    if seeds < 1:
        raise SuiteError(f"--seeds {seeds} runs nothing; it must be at least 1.", exit=Exit.NOTHING)
    for field in changes:
        if field in SELECTED_ELSEWHERE:
            raise SuiteError(f"{field} is not changed by --set; choose it with {SELECTED_ELSEWHERE[field]}.")
    return [_checked(_spec(name, budget, seed, backend, device), changes) for name in chosen for seed in range(seeds)]


def selects(pattern: str, name: str, names: Sequence[str]) -> bool:
    """A whole name selects itself alone; anything else is a shell pattern or a part of the name."""
    return name == pattern if pattern in names else pattern in name or fnmatchcase(name, pattern)


def _spec(model: str, budget: str, seed: int, backend: str, device: str) -> RunSpec:
    card, row = models.card(model), budget_row(budget)
    task = task_row(card.task)
    recipe = task.recipe
    iterations = row.iterations or recipe.iterations
    return RunSpec(
        model=model,
        task=task.name,
        budget=budget,
        seed=seed,
        backend=backend,
        device=device,
        width=row.width,
        depth_divisor=row.depth_divisor,
        iterations=iterations,
        batch=row.batch or recipe.batch,
        patch=row.patch or recipe.patch,
        lr=row.lr or recipe.lr,
        milestones=_milestones(recipe.milestones, iterations),
        betas=recipe.betas,
        ema_decay=(row.ema_decay or recipe.ema_decay) if recipe.ema_decay else 0.0,
        clip_norm=row.clip_norm,
        protocol=protocol(task.protocol).key,
    )


def _milestones(fractions: Sequence[float], iterations: int) -> tuple[int, ...]:
    return tuple(round(fraction * iterations) for fraction in fractions)


def _checked(spec: RunSpec, changes: Mapping[str, str]) -> RunSpec:
    """`spec` with the changes of `--set`, names resolved so that it means the same in any process and folder."""
    changed = spec.replaced(dict(changes))
    task = task_row(changed.task)
    fixed: dict[str, object] = {"protocol": protocol(changed.protocol).key}
    if "iterations" in changes and "milestones" not in changes:
        fixed["milestones"] = _milestones(task.recipe.milestones, changed.iterations)
    for field in ("train_set", "validation_set", "test_set"):
        name = getattr(changed, field)
        if name not in SETS:
            fixed[field] = str(resolve_folder(name))
    scale = degradation(task.degradation).scale
    if changed.patch % scale:
        raise SuiteError(f"patch = {changed.patch} is not a multiple of the scale {scale} of {changed.task}.")
    return changed.model_copy(update=fixed)
