"""The commands that a page prints: what repeats records, and what trains a cell that a printed number may be held against."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence

from models.lookup import UnknownName
from suite.core.errors import SuiteError
from suite.core.look import look_once
from suite.records.kinds.evaluation import Evaluation
from suite.records.newest import name_plugin
from suite.records.planned import SCHEDULE, Choice, plan_family
from suite.records.record import Record
from suite.records.spec import RunSpec, write_value
from suite.report.settings import Setting, setting_of
from suite.report.trivial import TRIVIAL
from suite.study.budgets import BUDGETS
from suite.study.grids import GRIDS, ModelOnTask
from suite.study.outside.plugins import plugin_of
from suite.study.published import PublishedTable
from suite.study.recipes import DEFAULT, RECIPES, list_accounts, recipe_of
from suite.study.tasks import task

RUN_COMMAND = "python -m suite run"
CELL = r"[0-9a-f]{16}"  # a fingerprint
PLANNED_BACKEND = "triton"  # of cells that nobody has run: no cost depends on it


def run_command(
    grid: str,
    model: str,
    task: str,
    *,
    budget: str = "",
    account: str = DEFAULT,
    seeds: int | None = None,
    changes: Mapping[str, str] | None = None,
    plugin: str = "",
) -> str:
    """Return the command line that measures `model` on `task`; it names both where `grid` has no such cell, or several of the model.

    `plugin` is given of a record; else it is the one that is loaded and declares the model.
    """
    several = grid in GRIDS and sum(pairing.model == model for pairing in GRIDS[grid].pairings) > 1
    if has_pairing(grid, model, task):
        words = [RUN_COMMAND, "--grid", shlex.quote(grid), "--only", shlex.quote(f"{model}@{task}" if several else model)]
    else:
        words = [RUN_COMMAND, "--model", shlex.quote(model), "--task", shlex.quote(task)]
    words += ["--plugin", shlex.quote(plugin)] if plugin else name_plugins(model)
    words += ["--budget", shlex.quote(budget)] if budget else []
    words += ["--recipe", shlex.quote(account)] if account != DEFAULT else []
    words += ["--seeds", str(seeds)] if seeds not in (None, BUDGETS[budget].seeds if budget in BUDGETS else 1) else []
    for field, value in (changes or {}).items():
        words += ["--set", shlex.quote(f"{field}={value}")]
    return " ".join(words)


def name_plugins(*models: str) -> list[str]:
    """Return the words that give a command the loaded plug-ins that declare some of `models`; none for the suite's own."""
    found = (plugin_of(model) for model in models)
    names = dict.fromkeys(plugin.code.name for plugin in found if plugin)
    return [word for name in names for word in ("--plugin", shlex.quote(name))]


def profile_command(*models: str, how: str = "") -> str:
    """Return the command line that counts networks, with the options `how` behind them."""
    words = ["python -m suite profile", *map(shlex.quote, models), *name_plugins(*models)]
    return " ".join([*words, how] if how else words)


def train_command(table: PublishedTable, model: str, task_name: str, *, seeds: int = 1, test_set: str = "") -> str:
    """Return the command that trains a network as its paper does: on its training set, by the recipe that its table needs."""
    account, changes = _as_published(table, task_name, test_set)
    return run_command(table.grid, model, task_name, budget="paper", account=account, seeds=seeds, changes=changes)


def plan_training(table: PublishedTable, model: str, task_name: str, *, test_set: str = "") -> tuple[RunSpec, ...]:
    """Return the cells that `train_command` makes with one seed on a GPU: the network's, last, behind those that it begins with."""
    account, changes = _as_published(table, task_name, "")
    choice = Choice("paper", PLANNED_BACKEND, "cuda", account, changes)
    pairing = ModelOnTask(model, task_name, published=True)
    family = look_once((plan_training, pairing, account, *changes.items()), lambda: plan_family(pairing, 0, choice))
    return (*family[:-1], family[-1].model_copy(update={"test_set": test_set} if test_set else {}))


def _as_published(table: PublishedTable, task_name: str, test_set: str) -> tuple[str, dict[str, str]]:
    """Return the account of a recipe, and the changes, that make a training of the task comparable with the table."""
    row = task(task_name)
    changes = {"train_set": "+".join(row.train_sets)} | ({"test_set": test_set} if test_set else {})
    if table.protocols and row.protocol.partition("@")[0] not in table.protocols:
        changes["protocol"] = table.protocols[0]
    accounts = list_accounts(task_name)
    fitting = [one for one in accounts if "gan" in RECIPES[f"{task_name}/{one}"].loss] if table.unlike else []
    return (*fitting, DEFAULT)[0], changes


def repeat_command(grid: str, records: Sequence[Record]) -> str:
    """Return the command line that repeats these runs, one model, one setting, one or more seeds: it makes the very same specs."""
    return _command_of(grid, records[0].spec, seeds=max(r.spec.seed for r in records) + 1, plugin=name_plugin(records[0]))


def alike_command(grid: str, model: str, setting: Setting) -> str:
    """Return the command line that measures a network under a setting of others."""
    spec = plan_alike(model, setting)
    return _command_of(grid, spec, begins=bool(spec.start))


def plan_alike(model: str, setting: Setting) -> RunSpec:
    """Return the cell of a network under a setting of others; what it begins with is its own recipe's, and not told, if a cell."""
    begun = "" if setting.fields["start"] and re.fullmatch(CELL, str(setting.fields["start"])) else setting.fields["start"]
    return RunSpec(**setting.fields | {"model": model, "start": begun})


def _command_of(grid: str, spec: RunSpec, *, seeds: int = 1, begins: bool = True, plugin: str = "") -> str:
    """Return the command line that makes a spec. What grid, budget and recipe do not make of themselves stands behind `--set`."""
    if spec.model in TRIVIAL:
        words = ["python -m suite evaluate", spec.model, "--task", shlex.quote(spec.task), "--data", shlex.quote(spec.test_set)]
        return " ".join([*words, "--protocol", shlex.quote(spec.protocol)])
    pairing = ModelOnTask(spec.model, spec.task, published=True)
    grid = next((name for name in (grid, *GRIDS) if has_pairing(name, spec.model, spec.task)), grid)
    account = spec.recipe.partition("/")[2] if spec.recipe in RECIPES and spec.recipe.startswith(f"{spec.task}/") else DEFAULT
    usual = recipe_of(spec.model, spec.task) if spec.recipe in RECIPES else None
    account = DEFAULT if usual is not None and usual.name == spec.recipe else account
    budget = spec.budget if spec.budget in BUDGETS else "paper"
    try:
        changes = _look_up_changes(spec, pairing, Choice(budget, spec.backend, spec.device, account, {}))
    except (SuiteError, UnknownName):  # a task or a model of another version of the suite, or of a plug-in that is not loaded
        changes = {}
    if not begins:
        changes.pop("start", None)
    words = run_command(grid, spec.model, spec.task, budget=spec.budget, account=account, seeds=seeds, changes=changes, plugin=plugin)
    return f"{words} --backend {shlex.quote(spec.backend)} --device {spec.device}"


def restore_command(record: Evaluation) -> str:
    """Return the command line that restores a picture of one's own with the weights of an evaluation; ValueError where it has none."""
    if record.weights is None:
        raise ValueError(f"the evaluation {record.fingerprint} is of a baseline: no weights restore anything")
    words = [
        "python -m suite restore PHOTO.png OUT.png --model",
        shlex.quote(record.spec.model),
        "--weights",
        shlex.quote(record.weights.file),
    ]
    return " ".join([*words, *(["--key", shlex.quote(record.spec.key)] if record.spec.key else [])])


def evaluate_command(record: Evaluation) -> str:
    """Return the command line that repeats an evaluation; of the file of weights it knows the name alone."""
    spec = record.spec
    words = ["python -m suite evaluate", shlex.quote(spec.model), "--task", shlex.quote(spec.task)]
    words += ["--weights", shlex.quote(record.weights.file)] if record.weights else []
    words += ["--plugin", shlex.quote(name_plugin(record))] if spec.plugin else []
    words += ["--data", shlex.quote(spec.test_set), "--protocol", shlex.quote(spec.protocol)]
    words += ["--tile", spec.tile] if spec.tile != "whole" else []
    words += ["--tile-size", str(spec.tile_size)] if spec.tile_size else []
    words += ["--self-ensemble 8"] if spec.ensemble else []
    words += ["--seed", str(spec.seed)] if spec.seed else []
    words += [] if spec.backend == "none" else ["--backend", shlex.quote(spec.backend), "--device", spec.device]
    return " ".join([*words, "--again"])


def find_changes(spec: RunSpec, pairing: ModelOnTask, choice: Choice) -> dict[str, str]:
    """Return the changes of `--set` that make a command's spec this one. The schedule follows the others and is named where it does not."""
    never = {"model", "task", "budget", "seed", "backend", "device", "plugin"}  # they are chosen otherwise
    changes: dict[str, str] = {}
    for fields in ([name for name in RunSpec.model_fields if name not in (*never, *SCHEDULE, "start")], SCHEDULE, ["start"]):
        planned = _plan(pairing, spec.seed, choice, changes)
        changes |= {name: write_value(getattr(spec, name)) for name in fields if getattr(spec, name) != getattr(planned, name)}
    return changes


def _look_up_changes(spec: RunSpec, pairing: ModelOnTask, choice: Choice) -> dict[str, str]:
    """Return `find_changes`, once in a look for cells that differ in the seed alone; where they begin with a cell, that differs, too."""
    if spec.start:
        return find_changes(spec, pairing, choice)
    asked = (find_changes, setting_of(spec), pairing, choice.budget, choice.account)
    return dict(look_once(asked, lambda: find_changes(spec, pairing, choice)))


def _plan(pairing: ModelOnTask, seed: int, choice: Choice, changes: Mapping[str, str]) -> RunSpec:
    return plan_family(pairing, seed, Choice(choice.budget, choice.backend, choice.device, choice.account, changes))[-1]


def has_pairing(grid: str, model: str, task: str) -> bool:
    """Tell whether a grid trains this model on this task."""
    return grid in GRIDS and any((one.model, one.task) == (model, task) for one in GRIDS[grid].pairings)
