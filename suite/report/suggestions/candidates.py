"""Which networks fit a task, and how good they are: measured with given weights, as printed, or unknown; always said which.

A network fits a task where kind, enlargement, channels and protocol are the task's: light networks among others, and those of another
noise level or quality, whose design is the same. Numbers of different networks are compared only on one test set, by one metric.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import models
from models.lookup import suggest
from suite.core.errors import SuiteError
from suite.records.kinds.evaluation import Evaluation
from suite.records.record import Attempt
from suite.study.baselines import BASELINES
from suite.study.protocols import METRICS
from suite.study.published import Footnote, PublishedColumn, PublishedRow, PublishedTable, load_all
from suite.study.tasks import TASKS, Task

NOT_ITS_OWN = ("misprint", "other network")  # footnotes of printed numbers that say nothing of the network


@dataclass(frozen=True)
class Quality:
    """One number of a network: `source` names the table, or the weights and the images that it was measured with."""

    model: str
    test_set: str
    metric: str
    value: float
    kind: Literal["printed", "measured"]
    source: str


@dataclass(frozen=True)
class Yardstick:
    """What candidates are compared by."""

    test_set: str
    metric: str

    @property
    def higher(self) -> bool:
        """Tell whether more is better."""
        return METRICS[self.metric].better == "higher"

    @property
    def digits(self) -> int:
        """Decimals that are shown."""
        return METRICS[self.metric].digits


def list_candidates(task: Task) -> list[str]:
    """Return the published networks and the baselines that fit `task`; no ablation, no tiny sibling. SuiteError where none does."""
    networks = [name for name in models.names() if models.card(name).parent is None and _fits(models.card(name).task, task)]
    found = [*networks, *(name for name, row in BASELINES.items() if _fits(row.task, task))]
    if not found:
        raise SuiteError(f"no network of the catalogue and no baseline fits {task.name}. `python -m suite list tasks` lists the tasks.")
    return found


def _fits(name: str, task: Task) -> bool:
    other = TASKS[name]
    return (other.kind, other.scale, other.channels, other.protocol) == (task.kind, task.scale, task.channels, task.protocol)


def find_qualities(task: Task, candidates: Sequence[str], records: Iterable[Attempt]) -> list[Quality]:
    """Return every number that is known of the candidates on `task`: printed in the papers, and measured with given weights."""
    return [*_printed(task, set(candidates)), *_measured(task, set(candidates), records)]


def _printed(task: Task, candidates: set[str]) -> Iterable[Quality]:
    rows = {place: name for name, one in BASELINES.items() for place in one.rows}
    for paper in load_all():
        for table in paper.tables:
            for row in table.rows:
                model = row.model or rows.get((table.id, row.key))
                if model not in candidates:
                    continue
                for column in table.columns:
                    value = row.cells.get(column.key)
                    if column.kind == "quality" and value is not None and _is_of(task, table, row, column):
                        place = f"{paper.name}, {table.place}" + (f", {row.label}" if model in BASELINES else "")
                        yield Quality(model, column.test_sets[0], column.metric, float(value), "printed", place)


def _is_of(task: Task, table: PublishedTable, row: PublishedRow, column: PublishedColumn) -> bool:
    """Tell whether a printed number is of this task, or of its light sibling, which is measured alike."""
    of = TASKS[row.task or column.task or table.task]
    if any(note.why in NOT_ITS_OWN and _covers(note, row.key, column.key) for note in table.footnotes):
        return False
    return bool(column.test_sets) and column.metric in METRICS and _fits(of.name, task) and of.level == task.level


def _covers(note: Footnote, row: str, column: str) -> bool:
    return any(cell in (row, f"{row}.{column}", f"*.{column}") for cell in note.cells)


def _measured(task: Task, candidates: set[str], records: Iterable[Attempt]) -> Iterable[Quality]:
    for record in records:
        if not isinstance(record, Evaluation) or record.status != "done" or not record.spec.weights or not record.scores:
            continue
        spec, data = record.spec, record.test_data
        whole = data is not None and data.state != "other" and data.expected in (0, data.measured)
        of = TASKS.get(spec.task)
        alike = of is not None and _fits(of.name, task) and of.level == task.level and spec.protocol == task.protocol
        if spec.model not in candidates or not alike or spec.ensemble or not whole:
            continue
        for metric in record.scores[0].metrics:
            if metric in METRICS:
                source = f"weights {spec.weights[:8]}, {len(record.scores)} images, data {data.state}"
                yield Quality(spec.model, data.card or spec.test_set, metric, record.mean(metric), "measured", source)


def choose_yardstick(found: Sequence[Quality], task: Task, test_set: str = "", metric: str = "") -> Yardstick | None:
    """Return the test set and metric that most candidates have a number for; of several, the first by the task's own order.

    `test_set` and `metric` narrow it; SuiteError where no number is left, None where there is none at all.
    """
    if not found:
        if test_set or metric:
            raise SuiteError(f"no quality is printed or measured for {task.name}; leave out --test-set and --metric.")
        return None
    for asked, known, option in (
        (test_set, {one.test_set for one in found}, "test-set"),
        (metric, {one.metric for one in found}, "metric"),
    ):
        if asked and asked not in known:
            names = ", ".join(sorted(known))
            raise SuiteError(
                f"--{option} {asked}: no network for {task.name} has a number for it; there are {names}.{suggest(asked, sorted(known))}"
            )
    left = [one for one in found if test_set in ("", one.test_set) and metric in ("", one.metric)]
    if not left:
        raise SuiteError(f"--test-set {test_set} --metric {metric}: no network for {task.name} has both. Leave out one of them.")
    models_of = Counter((set_, name) for _, set_, name in {(one.model, one.test_set, one.metric) for one in left})
    sets, metrics = list(task.test_sets), list(METRICS)

    def rank(key: tuple[str, str]) -> tuple[int, int, int]:
        return -models_of[key], metrics.index(key[1]), sets.index(key[0]) if key[0] in sets else len(sets)

    return Yardstick(*min(models_of, key=rank))


def quality_of(model: str, found: Iterable[Quality], by: Yardstick | None) -> Quality | None:
    """Return the network's number by the yardstick; None where there is none.

    A measured one before a printed one. Of several the first, which is its own paper's; of a baseline, which several trainings share, the
    best.
    """
    own = [one for one in found if by and (one.model, one.test_set, one.metric) == (model, by.test_set, by.metric)]

    def rank(one: Quality) -> tuple[bool, float]:
        shared = one.value * (-1 if by and by.higher else 1) if model in BASELINES else 0.0
        return one.kind != "measured", shared

    return min(own, key=rank, default=None)
