"""GRIDS: named selections of models and tasks; `cells` turns one into the specs to be run. PAIRINGS: which network runs which task."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from types import MappingProxyType

import models
from models.lookup import UnknownName, suggest
from suite.budgets import budget as budget_row
from suite.data.sets import canonical
from suite.errors import Exit, SuiteError
from suite.protocols import protocol
from suite.spec import RunSpec
from suite.tasks import Task
from suite.tasks import task as task_row

SCANS = "backends"  # the grid of scan backends, whose cells suite.scan_grid makes

SELECTED_ELSEWHERE = MappingProxyType(
    {"model": "--only", "task": "--grid", "budget": "--budget", "seed": "--seeds", "backend": "--backend", "device": "--device"}
)


@dataclass(frozen=True)
class Pairing:
    """A network on a task; `published` says whether a table of its paper prints a value for it."""

    model: str
    task: str
    published: bool


DENOISING = ("denoise-15", "denoise-25", "denoise-50")
COMPRESSED, UNPUBLISHED_JPEG = ("jpeg-10", "jpeg-30", "jpeg-40"), ("jpeg-20",)

# Network, the tasks on which its paper prints it, and the other tasks that it can run. Light networks stay among themselves, and a
# network of one channel on grey images; mambair-realsr-x4 stands in its paper's figure 6 alone, without a number.
RUNS: tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...] = (
    ("vmambair-sisr-x4", ("gan-sr-x4",), ("real-sr-x4", "sr-x4")),
    ("vmambair-realsr-x4", ("real-sr-x4",), ("gan-sr-x4", "sr-x4")),
    ("vmambair-derain", ("derain",), (*DENOISING, "real-denoise", *COMPRESSED, *UNPUBLISHED_JPEG)),
    ("vmambair-derain.released", ("derain",), ()),
    ("mambair-sr-x2", ("sr-x2",), ()),
    ("mambair-sr-x3", ("sr-x3",), ()),
    ("mambair-sr-x4", ("sr-x4",), ("gan-sr-x4", "real-sr-x4")),
    ("mambair-light-x2", ("light-sr-x2",), ()),
    ("mambair-light-x2.generation-1", ("light-sr-x2",), ()),
    ("mambair-light-x2.generation-2", ("light-sr-x2",), ()),
    ("mambair-light-x3", ("light-sr-x3",), ()),
    ("mambair-light-x4", ("light-sr-x4",), ()),
    ("mambair-realsr-x4", (), ("real-sr-x4",)),
    ("mambair-denoise", DENOISING, ("derain", "real-denoise")),
    ("mambair-jpeg", COMPRESSED, UNPUBLISHED_JPEG),
    ("mambair-realdn", ("real-denoise",), ("derain", *DENOISING)),
)


def _pairings() -> Iterable[Pairing]:
    for model, published, others in RUNS:
        yield from (Pairing(model, task, published=True) for task in published)
        yield from (Pairing(model, task, published=False) for task in others)


PAIRINGS: tuple[Pairing, ...] = tuple(_pairings())


def is_published(model: str, task: str) -> bool:
    """Whether a paper prints a value of `model` on `task`; ablations stand in the table of their parent's task."""
    card = models.MODELS.get(model)
    if card is not None and card.parent is not None:
        return card.task == task and not card.tiny
    return Pairing(model, task, published=True) in PAIRINGS


@dataclass(frozen=True)
class Grid:
    """A row of the table."""

    name: str
    summary: str
    pairings: tuple[Pairing, ...]

    @property
    def models(self) -> tuple[str, ...]:
        """The models, each once."""
        return tuple(dict.fromkeys(pairing.model for pairing in self.pairings))


def _family(parent: str) -> tuple[Pairing, ...]:
    """A network and its ablations, in the catalogue's order, each on the task of its card."""
    names = (parent, *(name for name in models.names() if models.card(name).parent == parent))
    return tuple(Pairing(name, models.card(name).task, published=True) for name in names)


VMAMBAIR_TABLE_4, MAMBAIR_TABLES_1_2 = _family("vmambair-realsr-x4"), _family("mambair-sr-x2")

GRIDS: Mapping[str, Grid] = MappingProxyType(
    {
        row.name: row
        for row in (
            Grid("ablations", "VmambaIR's table 4, MambaIR's tables 1 and 2", VMAMBAIR_TABLE_4 + MAMBAIR_TABLES_1_2),
            Grid("vmambair-table-4", "VmambaIR's ablations on real-world x4 super-resolution", VMAMBAIR_TABLE_4),
            Grid("mambair-tables-1-2", "MambaIR's ablations on classic x2 super-resolution", MAMBAIR_TABLES_1_2),
            Grid("tasks", "every network on every task that it can run, published or not", PAIRINGS),
        )
    }
)


def cells(
    grid: str, *, budget: str, seeds: int, only: Sequence[str], changes: Mapping[str, str], backend: str, device: str
) -> list[RunSpec]:
    """The cells of `grid`: every pairing that `only` selects (all, if empty) times seeds 0 ... `seeds` - 1.

    `only` holds names of models or tasks, shell patterns or parts of such names, or MODEL@TASK, both parts of which must fit; `changes` the
    fields of `--set`; `backend` is a concrete name.
    Raises `UnknownName` or `SuiteError` for what is not known, and for a selection that is empty.
    """
    if grid not in GRIDS:
        raise UnknownName(f"no grid is called {grid!r}.{suggest(grid, (*GRIDS, SCANS))}")
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
    return [_checked(_spec(pairing, budget, seed, backend, device), changes) for pairing in chosen for seed in range(seeds)]


def _fits(pattern: str, pairing: Pairing, grid: Grid) -> bool:
    """Whether `pattern` selects the pairing by its model or by its task."""
    tasks = [other.task for other in grid.pairings]
    model, at, task = pattern.partition("@")
    if at:
        return selects(model, pairing.model, grid.models) and selects(task, pairing.task, tasks)
    if pattern in grid.models:
        return pattern == pairing.model
    if pattern in tasks:
        return pattern == pairing.task
    return selects(pattern, pairing.model, grid.models) or selects(pattern, pairing.task, tasks)


def selects(pattern: str, name: str, names: Sequence[str]) -> bool:
    """A whole name selects itself alone; anything else is a shell pattern or a part of the name."""
    return name == pattern if pattern in names else pattern in name or fnmatchcase(name, pattern)


def _spec(pairing: Pairing, budget: str, seed: int, backend: str, device: str) -> RunSpec:
    row, task = budget_row(budget), task_row(pairing.task)
    recipe = task.recipe
    iterations = row.iterations or recipe.iterations
    return RunSpec(
        model=pairing.model,
        task=task.name,
        budget=budget,
        seed=seed,
        backend=backend,
        device=device,
        width=row.width,
        depth_divisor=row.depth_divisor,
        iterations=iterations,
        batch=row.batch or recipe.batch,
        patch=_patch(row.patch or recipe.patch, task),
        lr=row.lr or recipe.lr,
        milestones=_milestones(recipe.milestones, iterations),
        betas=recipe.betas,
        ema_decay=(row.ema_decay or recipe.ema_decay) if recipe.ema_decay else 0.0,
        clip_norm=row.clip_norm,
        protocol=protocol(task.protocol).key,
    )


def _patch(patch: int, task: Task) -> int:
    """A budget's patch, made smaller until it is a multiple of the task's scale."""
    return patch - patch % task.scale


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
        fixed[field] = canonical(getattr(changed, field))
    if changed.patch % task.scale:
        raise SuiteError(f"patch = {changed.patch} is not a multiple of the scale {task.scale} of {changed.task}.")
    return changed.model_copy(update=fixed)
