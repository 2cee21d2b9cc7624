"""The specs that a command makes: of a recipe at a budget with the changes of `--set`, behind those whose weights it begins with.

Nothing is looked up on disk, so that a report can tell which command makes a record's spec, and what a recipe asks for.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from models.lookup import suggest
from suite.core.errors import SuiteError
from suite.records.spec import RunSpec
from suite.study.budgets import Budget
from suite.study.budgets import budget as budget_row
from suite.study.grids import ModelOnTask
from suite.study.outside.plugins import digest_of
from suite.study.protocols import protocol
from suite.study.recipes import DEFAULT, Recipe, list_accounts, recipe_of
from suite.study.tasks import Task
from suite.study.tasks import task as task_row

SETS = ("train_set", "validation_set", "test_set")
SCHEDULE = ("milestones", "periods", "floors", "stages")


@dataclass(frozen=True)
class Choice:
    """The options that are the same for all cells of a selection."""

    budget: str
    backend: str
    device: str
    account: str
    changes: Mapping[str, str]
    canonical: Callable[[str], str] = str  # makes a data set's name mean the same in any process and folder


def plan_family(pairing: ModelOnTask, seed: int, choice: Choice) -> list[RunSpec]:
    """Return the cell, last, behind those whose weights it begins with."""
    row = _recipe(pairing, choice.account)
    spec = _changed(_spec(pairing, row, seed, choice), row, choice)
    parent = None if "start" in choice.changes else _parent(pairing, row)
    if parent is None:
        return [spec]
    changes = {field: text for field, text in choice.changes.items() if field != "milestones"}
    begun = row.start.recipe.partition("/")[2] if row.start else DEFAULT
    before = plan_family(parent, seed, replace(choice, account=begun, changes=changes))
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


def _spec(pairing: ModelOnTask, recipe: Recipe, seed: int, choice: Choice) -> RunSpec:
    row, task = budget_row(choice.budget), task_row(pairing.task)
    return RunSpec(
        model=pairing.model,
        task=task.name,
        budget=choice.budget,
        seed=seed,
        backend=choice.backend,
        device=choice.device,
        degrade_on="device" if choice.device == "cuda" and row.degrade_on_gpu and task.degrades_on_device else "worker",
        protocol=protocol(task.protocol).key,
        recipe=recipe.name,
        plugin=digest_of(pairing.model),
        **derive_training(recipe, row, task),
    )


def derive_training(recipe: Recipe, row: Budget, task: Task) -> dict[str, object]:
    """Return the fields of training that `recipe` fixes at a budget, its schedule apart: see `derive_schedule`."""
    lr = row.lr or recipe.lr
    return {
        "width": row.width,
        "depth_divisor": row.depth_divisor,
        "iterations": row.iterations or recipe.iterations,
        "batch": row.batch or recipe.batch,
        "patch": _patch(max(row.patch or recipe.patch, row.low_patch * task.scale), task),
        "lr": lr,
        "betas": recipe.betas,
        "ema_decay": (row.ema_decay or recipe.ema_decay) if recipe.ema_decay or row.averages else 0.0,
        "clip_norm": recipe.clip_norm or row.clip_norm,
        "loss": recipe.loss,
        "optimiser": recipe.optimiser,
        "weight_decay": recipe.weight_decay,
        "mixup": recipe.mixup,
        "discriminator_lr": recipe.discriminator_lr * lr / recipe.lr,
        "first_weights": row.first_weights,
        "warm_up": row.warm_up,
    }


def _changed(spec: RunSpec, recipe: Recipe, choice: Choice) -> RunSpec:
    """Apply the changes of `--set`; resolve names so that they mean the same in any process and folder."""
    row = budget_row(choice.budget)
    changed = spec.model_copy(update=derive_schedule(spec, recipe, row)).replaced(dict(choice.changes))
    task = task_row(changed.task)
    fixed = {name: values for name, values in derive_schedule(changed, recipe, row).items() if name not in choice.changes}
    fixed |= {field: choice.canonical(getattr(changed, field)) for field in SETS}
    if changed.patch % task.scale:
        raise SuiteError(f"patch = {changed.patch} is not a multiple of the scale {task.scale} of {changed.task}.")
    return changed.model_copy(update={**fixed, "protocol": protocol(changed.protocol).key})


def derive_schedule(spec: RunSpec, recipe: Recipe, row: Budget) -> dict[str, object]:
    """Return the fields that shorten the recipe's schedule with the run, and make its stages smaller with batch and patch.

    Milestones that fall on the beginning or the end of a short run are left out, and every stage is at least one iteration long. A budget
    with a schedule of its own keeps the recipe's stages alone.
    """
    task, iterations = task_row(spec.task), spec.iterations
    batches, patches = spec.batch / recipe.batch, spec.patch / recipe.patch
    sizes = [(_patch(round(stage.patch * patches), task), max(1, round(stage.batch * batches))) for stage in recipe.stages]
    stages = tuple((max(1, round(stage.part * iterations)), *size) for stage, size in zip(recipe.stages, sizes, strict=True))
    if row.schedule == "cosine" and not spec.milestones:  # those of --set
        return {"milestones": (), "periods": (max(1, iterations),), "floors": (0.0,), "stages": stages}
    return {
        "milestones": tuple(at for at in _lengths(recipe.milestones, iterations) if 0 < at < iterations),
        "periods": _lengths(recipe.periods, iterations),
        "floors": tuple(floor * spec.lr / recipe.lr for floor in recipe.floors),
        "stages": stages,
    }


def _patch(patch: int, task: Task) -> int:
    """Make a budget's patch smaller until it is a multiple of the task's scale."""
    return patch - patch % task.scale


def _lengths(fractions: Sequence[float], iterations: int) -> tuple[int, ...]:
    return tuple(round(fraction * iterations) for fraction in fractions)
