"""The plan: the cells of a grid at a budget, each behind those whose weights it begins with."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from models.lookup import UnknownName, suggest
from suite.core.errors import Exit, SuiteError
from suite.data.degrade.degradations import DEGRADATIONS, on_device
from suite.data.sets import canonical_name
from suite.records.spec import CellSpec, RunSpec
from suite.study.budgets import budget as budget_row
from suite.study.grids import GRIDS, SCAN_GRID, Grid, ModelOnTask, selects
from suite.study.protocols import protocol
from suite.study.recipes import DEFAULT, Recipe, list_accounts, recipe_of
from suite.study.tasks import Task
from suite.study.tasks import task as task_row

SELECTED_ELSEWHERE = MappingProxyType(
    {"model": "--only", "task": "--grid", "budget": "--budget", "seed": "--seeds", "backend": "--backend", "device": "--device"}
)


def plan_cells(
    grid: str,
    *,
    budget: str,
    seeds: int,
    only: Sequence[str],
    changes: Mapping[str, str],
    backend: str,
    device: str,
    account: str = DEFAULT,
) -> list[RunSpec]:
    """Return the cells of `grid`: every pairing that `only` selects (all, if empty) times seeds 0 ... `seeds` - 1.

    Before a cell stand those whose weights its recipe begins with, selected or not. `account` says whose recipe: released, paper, ...

    `only` holds names of models or tasks, shell patterns or parts of such names, or MODEL@TASK, both parts of which must fit; `changes` the
    fields of `--set`; `backend` is a concrete name.
    Raises `UnknownName` or `SuiteError` for what is not known, and for a selection that is empty.
    """
    if grid not in GRIDS:
        raise UnknownName(f"no grid is called {grid!r}.{suggest(grid, (*GRIDS, SCAN_GRID))}")
    row = GRIDS[grid]
    chosen = [pairing for pairing in row.pairings if not only or any(_fits(pattern, pairing, row) for pattern in only)]
    if not chosen:
        tasks = dict.fromkeys(pairing.task for pairing in row.pairings)
        raise SuiteError(
            f"--only {' '.join(only)} selects none of the {len(row.models)} models of the grid {grid!r}: {', '.join(row.models)}; "
            f"nor of its tasks: {', '.join(tasks)}.",
            exit=Exit.NOTHING,
        )
    if seeds < 1:
        raise SuiteError(f"--seeds {seeds} runs nothing; it must be at least 1.", exit=Exit.NOTHING)
    for field in changes:
        if field in SELECTED_ELSEWHERE:
            raise SuiteError(f"{field} is not changed by --set; choose it with {SELECTED_ELSEWHERE[field]}.")
    choice = _Choice(budget, backend, device, account, changes)
    specs = [spec for pairing in chosen for seed in range(seeds) for spec in _family_of_specs(pairing, seed, choice)]
    return list({spec.fingerprint: spec for spec in specs}.values())


def _fits(pattern: str, pairing: ModelOnTask, grid: Grid) -> bool:
    """Return whether `pattern` selects the pairing by its model or by its task."""
    tasks = [other.task for other in grid.pairings]
    model, at, task = pattern.partition("@")
    if at:
        return selects(model, pairing.model, grid.models) and selects(task, pairing.task, tasks)
    if pattern in grid.models:
        return pattern == pairing.model
    if pattern in tasks:
        return pattern == pairing.task
    return selects(pattern, pairing.model, grid.models) or selects(pattern, pairing.task, tasks)


@dataclass(frozen=True)
class _Choice:
    """The options that are the same for all cells of a selection."""

    budget: str
    backend: str
    device: str
    account: str
    changes: Mapping[str, str]


def _family_of_specs(pairing: ModelOnTask, seed: int, choice: _Choice) -> list[RunSpec]:
    """Return the cell, last, behind those whose weights it begins with."""
    row = _recipe(pairing, choice.account)
    spec = _changed(_spec(pairing, row, seed, choice), row, choice.changes)
    parent = None if "start" in choice.changes else _parent(pairing, row)
    if parent is None:
        return [spec]
    changes = {field: text for field, text in choice.changes.items() if field != "milestones"}
    begun = row.start.recipe.partition("/")[2] if row.start else DEFAULT
    before = _family_of_specs(parent, seed, replace(choice, account=begun, changes=changes))
    return [*before, spec.model_copy(update={"start": before[-1].fingerprint})]


def _recipe(pairing: ModelOnTask, account: str) -> Recipe:
    row = recipe_of(pairing.model, pairing.task, account)
    if row is None:
        known = list_accounts(pairing.task)
        raise SuiteError(f"{pairing.task} has no recipe {account!r}.{suggest(account, known)} `list recipes` describes them.")
    return row


def _parent(pairing: ModelOnTask, row: Recipe) -> ModelOnTask | None:
    """Return the pairing that `row` begins with; None where it begins from scratch, or is another network's."""
    if row.start is None:
        return None
    task = row.start.recipe.partition("/")[0]
    if not row.start.model:
        return replace(pairing, task=task)
    design, star, _ = row.start.model.partition("*")
    if not pairing.model.startswith(design if star else design.partition("-")[0] + "-"):
        return None
    sibling = re.sub(r"-x\d", lambda _: f"-x{task_row(task).scale}", pairing.model)
    return ModelOnTask(sibling if star else row.start.model, task, published=True)


def _spec(pairing: ModelOnTask, recipe: Recipe, seed: int, choice: _Choice) -> RunSpec:
    row, task = budget_row(choice.budget), task_row(pairing.task)
    batch, patch, lr = row.batch or recipe.batch, row.patch or recipe.patch, row.lr or recipe.lr
    return RunSpec(
        model=pairing.model,
        task=task.name,
        budget=choice.budget,
        seed=seed,
        backend=choice.backend,
        device=choice.device,
        width=row.width,
        depth_divisor=row.depth_divisor,
        iterations=row.iterations or recipe.iterations,
        batch=batch,
        patch=_patch(patch, task),
        lr=lr,
        betas=recipe.betas,
        ema_decay=(row.ema_decay or recipe.ema_decay) if recipe.ema_decay else 0.0,
        clip_norm=recipe.clip_norm or row.clip_norm,
        recipe=recipe.name,
        loss=recipe.loss,
        optimiser=recipe.optimiser,
        weight_decay=recipe.weight_decay,
        mixup=recipe.mixup,
        discriminator_lr=recipe.discriminator_lr * lr / recipe.lr,
        degrade_on="device" if choice.device == "cuda" and row.degrade_on_gpu and _has_device_version(task) else "worker",
        protocol=protocol(task.protocol).key,
    )


def _has_device_version(task: Task) -> bool:
    return DEGRADATIONS[task.degradation].on_device is not None


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


def _changed(spec: RunSpec, recipe: Recipe, changes: Mapping[str, str]) -> RunSpec:
    """Apply the changes of `--set`; resolve names so that they mean the same in any process and folder."""
    changed = spec.model_copy(update=_schedule(spec, recipe)).replaced(dict(changes))
    task = task_row(changed.task)
    fixed = {name: values for name, values in _schedule(changed, recipe).items() if name not in changes}
    fixed |= {field: canonical_name(getattr(changed, field)) for field in ("train_set", "validation_set", "test_set")}
    if changed.patch % task.scale:
        raise SuiteError(f"patch = {changed.patch} is not a multiple of the scale {task.scale} of {changed.task}.")
    if changed.degrade_on == "device":
        on_device(task.degradation)  # or SuiteError
    return changed.model_copy(update={**fixed, "protocol": protocol(changed.protocol).key})


def _schedule(spec: RunSpec, recipe: Recipe) -> dict[str, object]:
    """Return the fields that shorten the recipe's schedule with the run, and make its stages smaller with batch and patch.

    Milestones that fall on the end of a short run are left out, and every stage is at least one iteration long.
    """
    task, iterations = task_row(spec.task), spec.iterations
    batches, patches = spec.batch / recipe.batch, spec.patch / recipe.patch
    sizes = [(_patch(round(stage.patch * patches), task), max(1, round(stage.batch * batches))) for stage in recipe.stages]
    return {
        "milestones": tuple(at for at in _lengths(recipe.milestones, iterations) if at < iterations),
        "periods": _lengths(recipe.periods, iterations),
        "floors": tuple(floor * spec.lr / recipe.lr for floor in recipe.floors),
        "stages": tuple((max(1, round(stage.part * iterations)), *size) for stage, size in zip(recipe.stages, sizes, strict=True)),
    }


def _patch(patch: int, task: Task) -> int:
    """Make a budget's patch smaller until it is a multiple of the task's scale."""
    return patch - patch % task.scale


def _lengths(fractions: Sequence[float], iterations: int) -> tuple[int, ...]:
    return tuple(round(fraction * iterations) for fraction in fractions)
