"""The commands that a page prints: what repeats records, and what trains a cell that a printed number may be held against."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence

from suite.core.errors import SuiteError
from suite.records.planned import SCHEDULE, Choice, plan_family
from suite.records.record import Record
from suite.records.spec import RunSpec, write_value
from suite.report.trivial import TRIVIAL
from suite.study.budgets import BUDGETS
from suite.study.grids import GRIDS, ModelOnTask
from suite.study.published import PublishedTable
from suite.study.recipes import DEFAULT, RECIPES, list_accounts
from suite.study.tasks import task

RUN_COMMAND = "python -m suite run"


def run_command(
    grid: str,
    model: str,
    task: str,
    *,
    budget: str = "",
    account: str = DEFAULT,
    seeds: int | None = None,
    changes: Mapping[str, str] | None = None,
) -> str:
    """Return the command line that measures `model` on `task`; it names the task where `grid` has several for the model."""
    several = grid in GRIDS and sum(pairing.model == model for pairing in GRIDS[grid].pairings) > 1
    words = [RUN_COMMAND, "--grid", shlex.quote(grid), "--only", shlex.quote(f"{model}@{task}" if several else model)]
    words += ["--budget", shlex.quote(budget)] if budget else []
    words += ["--recipe", shlex.quote(account)] if account != DEFAULT else []
    words += ["--seeds", str(seeds)] if seeds not in (None, BUDGETS[budget].seeds if budget in BUDGETS else 1) else []
    for field, value in (changes or {}).items():
        words += ["--set", shlex.quote(f"{field}={value}")]
    return " ".join(words)


def train_command(table: PublishedTable, model: str, task_name: str, *, seeds: int = 1, test_set: str = "") -> str:
    """Return the command that trains a network as its paper does; FOLDER is what has to be put together."""
    row = task(task_name)
    changes = {"train_set": row.train_sets[0] if len(row.train_sets) == 1 else "FOLDER"} | ({"test_set": test_set} if test_set else {})
    accounts = list_accounts(task_name)
    fitting = [one for one in accounts if "gan" in RECIPES[f"{task_name}/{one}"].loss] if table.unlike else []
    return run_command(table.grid, model, task_name, budget="paper", account=(*fitting, DEFAULT)[0], seeds=seeds, changes=changes)


def repeat_command(grid: str, records: Sequence[Record]) -> str:
    """Return the command line that repeats these runs, one model, one setting, one or more seeds: it makes the very same specs.

    What the grid, the budget and the recipe do not make of themselves stands behind `--set`.
    """
    spec = records[0].spec
    if spec.model in TRIVIAL:
        return f"python -m suite evaluate {spec.model} --task {spec.task} --data {shlex.quote(spec.test_set)}"
    pairing = ModelOnTask(spec.model, spec.task, published=True)
    grid = next((name for name in (grid, *GRIDS) if name in GRIDS and _has(name, pairing)), grid)
    account = spec.recipe.partition("/")[2] if spec.recipe in RECIPES and spec.recipe.startswith(f"{spec.task}/") else DEFAULT
    budget = spec.budget if spec.budget in BUDGETS else "paper"
    try:
        changes = find_changes(spec, pairing, Choice(budget, spec.backend, spec.device, account, {}))
    except SuiteError:  # a task or a model of another version of the suite
        changes = {}
    words = run_command(
        grid, spec.model, spec.task, budget=spec.budget, account=account, seeds=max(r.spec.seed for r in records) + 1, changes=changes
    )
    return f"{words} --backend {shlex.quote(spec.backend)} --device {spec.device}"


def find_changes(spec: RunSpec, pairing: ModelOnTask, choice: Choice) -> dict[str, str]:
    """Return the changes of `--set` that make a command's spec this one. The schedule follows the others and is named where it does not."""
    never = {"model", "task", "budget", "seed", "backend", "device"}  # they are chosen otherwise
    changes: dict[str, str] = {}
    for fields in ([name for name in RunSpec.model_fields if name not in (*never, *SCHEDULE, "start")], SCHEDULE, ["start"]):
        planned = _plan(pairing, spec.seed, choice, changes)
        changes |= {name: write_value(getattr(spec, name)) for name in fields if getattr(spec, name) != getattr(planned, name)}
    return changes


def _plan(pairing: ModelOnTask, seed: int, choice: Choice, changes: Mapping[str, str]) -> RunSpec:
    return plan_family(pairing, seed, Choice(choice.budget, choice.backend, choice.device, choice.account, changes))[-1]


def _has(grid: str, pairing: ModelOnTask) -> bool:
    return any((one.model, one.task) == (pairing.model, pairing.task) for one in GRIDS[grid].pairings)
