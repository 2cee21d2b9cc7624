"""Grids that are not in the table: of models and tasks that a command names, or of a TOML file.

summary = "my design and two others"

[[cells]]
models = ["mine-x4", "mambair-sr-x4"]
tasks = ["real-sr-x4"]    # left out: each model on the task of its own card
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from pydantic import Field

import models
from models.lookup import UnknownName
from suite.core.errors import SuiteError
from suite.study.grids import Grid, ModelOnTask, find_misfit, is_published
from suite.study.tasks import task as task_row
from suite.study.toml_data import Strict, load_toml

SUFFIX = ".toml"


class CellsOfFile(Strict):
    """A table `[[cells]]`: each of the models on each of the tasks."""

    models: tuple[str, ...] = Field(min_length=1)
    tasks: tuple[str, ...] = ()


class GridFile(Strict):
    """The file."""

    summary: str = ""
    cells: tuple[CellsOfFile, ...] = Field(min_length=1)


def read_grid(path: Path) -> Grid:
    """Read the grid in the file `path`; SuiteError where it is none, or names what is not known or does not fit."""
    if not path.is_file():
        raise SuiteError(f"--grid {path}: there is no such file.")
    held = load_toml(path, GridFile, "a grid, tables [[cells]] with models and tasks")
    try:
        pairings = [pairing for cells in held.cells for pairing in pair(cells.models, cells.tasks)]
    except (UnknownName, SuiteError) as error:
        raise SuiteError(f"--grid {path}: {error}") from None
    return Grid(path.name, held.summary, tuple(dict.fromkeys(pairings)))


def name_grid(names: Sequence[str], tasks: Sequence[str]) -> Grid:
    """Return the grid of the models `names` on `tasks`; without any, each on the task of its card."""
    return Grid(" ".join(names), "", tuple(dict.fromkeys(pair(names, tasks))))


def pair(names: Iterable[str], tasks: Sequence[str]) -> Iterable[ModelOnTask]:
    """Yield each model on each task, or on that of its card; UnknownName or SuiteError for what is not known or does not fit."""
    for name in names:
        card = models.card(name)
        for task in tasks or (card.task,):
            if misfit := find_misfit(name, card.config, task_row(task)):
                raise SuiteError(f"{misfit} Leave it out, or name other tasks.")
            yield ModelOnTask(name, task, is_published(name, task))
