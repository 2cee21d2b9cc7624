"""What can be measured here of what is published: networks whose weights and test sets whose images are at hand, and what is missing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from suite.core.errors import SuiteError
from suite.data.cards import card
from suite.data.sets import pair_sources
from suite.measure.inference.download import kind_of
from suite.measure.inference.weights_files import Local, find_local
from suite.measure.quality.evaluate import EvaluationJob, Inference, check_fits, make_baseline
from suite.measure.quality.evaluation import TestImages, examine_images, make_spec
from suite.records.kinds.evaluation import EvaluationSpec
from suite.study.grids import selects
from suite.study.protocols import protocol
from suite.study.tasks import TASKS, Task
from suite.study.weights_register import Register, WeightsFile, model_of

NO_BACKEND = "none"
NOT_YET = "no command: it cannot be measured yet"


@dataclass(frozen=True)
class Missing:
    """What keeps something published from being measured here, and the command or the address that brings it."""

    what: str
    reason: str
    bring: str


@dataclass(frozen=True)
class PublishedPlan:
    """The cells that can be measured, the files of their weights by sha256, and what is missing."""

    specs: tuple[EvaluationSpec, ...]
    given: dict[str, Path]
    missing: tuple[Missing, ...]


class _Sets:
    """The test sets of the tasks: each is looked for and read once."""

    def __init__(self) -> None:
        self.missing: dict[str, Missing] = {}
        self._found: dict[tuple[str, str], TestImages | None] = {}

    def find(self, task: Task, names: Sequence[str]) -> list[TestImages]:
        """Return those of `names` that are here, for a task; what is missing is noted."""
        for name in names:
            if (name, task.name) not in self._found:
                self._found[name, task.name] = self._examine(name, task)
        return [images for name in names if (images := self._found[name, task.name])]

    def _examine(self, name: str, task: Task) -> TestImages | None:
        try:
            return examine_images(name, pair_sources(name, "test", task, protocol(task.protocol)))
        except SuiteError as error:
            chosen = card(name)
            bring = chosen.scored_by or f"python -m suite data show {name} (its folders below $SUITE_DATA; origin: {chosen.origin})"
            self.missing.setdefault(name, Missing(f"images of {name}", str(error), bring))
            return None


def plan_published(register: Register, folders: Sequence[Path], inference: Inference, only: Sequence[str]) -> PublishedPlan:
    """Return a cell for each published network and each trivial baseline on each test set of its task that are here.

    `only` selects by parts of a model's or a set's name, or shell patterns; `inference` says how networks are run. Reads the images.
    """
    here, sets = find_local(register, folders), _Sets()
    given: dict[str, Path] = {}
    specs: dict[str, EvaluationSpec] = {}
    missing: list[Missing] = []

    def chosen(*names: str) -> bool:
        return not only or any(selects(pattern, name, [name]) for pattern in only for name in names)

    for job in (*_network_jobs(register, here, inference, missing, chosen), *_baseline_jobs(register)):
        for images in sets.find(job.task, [name for name in job.task.test_sets if chosen(job.model, name)]):
            spec = make_spec(job, images)
            specs[spec.fingerprint] = spec
            given |= {spec.weights: job.weights} if job.weights else {}
    return PublishedPlan(tuple(specs.values()), given, (*missing, *sets.missing.values()))


def _network_jobs(
    register: Register, here: dict[str, Local], inference: Inference, missing: list[Missing], chosen: Callable[..., bool]
) -> Iterator[EvaluationJob]:
    """Yield a job for each chosen file of weights that is here; note the others in `missing`."""
    for file in register.files:
        if file.kind != "weights":
            continue
        name, local, task = file.networks[0], here.get(file.name), TASKS.get(file.task)
        model, why = model_of(register.networks[name], file.task)
        if not chosen(file.name, model, *(task.test_sets if task else ())):
            continue
        if model and task:
            why = _explain_misfit(model, task)
        if len(file.networks) > 1:
            missing.append(Missing(f"weights {file.name}", "a folder of several networks, whose file names are not known", _bring(file)))
        elif task is None or why:
            missing.append(Missing(f"network of {file.name}", why or f"this suite has no task {file.task!r}", NOT_YET))
        elif local is None:
            missing.append(Missing(f"weights {file.name}", "not here", _bring(file)))
        elif local.state == "changed":
            why = f"{local.path} is not that file: its sha256 is another"
            missing.append(Missing(f"weights {file.name}", why, f"move it away; {_bring(file)}"))
        else:
            yield EvaluationJob(model, task, protocol(task.protocol), local.path, inference)


def _explain_misfit(model: str, task: Task) -> str:
    """Say why a network does not run on a task; "" where it does."""
    try:
        check_fits(model, task)
    except SuiteError as error:
        return str(error)
    return ""


def _baseline_jobs(register: Register) -> Iterator[EvaluationJob]:
    """Yield bicubic or the image itself on each task that a published network has."""
    for name in dict.fromkeys(file.task for file in register.files if file.task in TASKS):
        task = TASKS[name]
        model = "bicubic" if task.scale > 1 else "identity"
        make_baseline(model, task.scale)  # or SuiteError
        yield EvaluationJob(model, task, protocol(task.protocol), None, Inference(backend=NO_BACKEND))


def _bring(file: WeightsFile) -> str:
    if kind_of(file.addresses[0]) == "page":
        return f"{file.addresses[0]} (by hand; then `python -m suite evaluate --weights FILE`)"
    return f"python -m suite weights get {file.name}"
