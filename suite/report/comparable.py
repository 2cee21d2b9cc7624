"""Whether a measured number may be held against a printed one: field by field, from the record. A budget's name decides nothing.

A training is comparable if every field that its recipe fixes is the recipe's, it used the paper's training set, and the whole published
test set was measured by a protocol that measures as the paper did. Test and training images are told by the checksums of their cards; where
a card has none, by names and numbers, and the number is marked. Which validation set it had is not asked: no weights are chosen by it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from models import MODELS
from suite.core.look import look_once, look_once_at
from suite.records.kinds.evaluation import WHOLE, Evaluation
from suite.records.planned import SETS, Choice, derive_schedule, derive_training, plan_family
from suite.records.record import Measured, Record
from suite.records.spec import CellSpec, RunSpec, write_value
from suite.report.settings import dataset_name
from suite.report.trivial import TRIVIAL
from suite.study.budgets import BUDGETS
from suite.study.grids import ModelOnTask
from suite.study.protocols import PROTOCOLS
from suite.study.published import PublishedColumn, PublishedTable
from suite.study.recipes import DEFAULT, RECIPES, Recipe, list_own_recipes
from suite.study.tasks import TASKS, TEST_IMAGES, Task

NOT_VERIFIED = "data not verified"
SHOWN = 2  # differences that a status names; the card of the cell has all


@dataclass(frozen=True)
class Difference:
    """What a record has otherwise than the paper: a name, its value, and the paper's."""

    name: str
    value: str
    wanted: str
    whose: str = "the recipe has"

    def __str__(self) -> str:
        return f"{self.name} {self.value}, {self.whose} {self.wanted}" if self.wanted else self.whose


def find_differences(record: Measured, column: PublishedColumn, table: PublishedTable) -> tuple[Difference, ...]:
    """Return what keeps a record from being compared with the printed numbers of `column`; nothing where it may be.

    How given weights were trained is not asked: whose they are, suite.report.tables.given says.
    """
    asked = (find_differences, column.task, column.test_sets)
    return look_once_at((record, table), asked, lambda: _differences(record, column, table))


def _differences(record: Measured, column: PublishedColumn, table: PublishedTable) -> tuple[Difference, ...]:
    trained = _look_up_training(record, table) if isinstance(record, Record) else ()
    return (*trained, *find_measuring_differences(record, column, table))


def find_measuring_differences(record: Measured, column: PublishedColumn, table: PublishedTable) -> tuple[Difference, ...]:
    """Return in what a network was not measured as the paper did, however it was trained: task, network, test data and protocol."""
    spec, found = record.spec, []
    tasks = {column.task or table.task, *(row.task for row in table.rows if row.task)}
    if spec.task not in tasks:
        found.append(Difference("task", spec.task, " or ".join(sorted(tasks)), "the table's is"))
    return (
        *found,
        *_network_differences(spec),
        *_inference_differences(record),
        *_data_differences(record, column),
        *_protocol_differences(record, table),
    )


def list_unverified(record: Measured) -> tuple[str, ...]:
    """Return the remark that belongs to a number whose test or training images were not held to checksums; none where they were."""
    held = (record.test_data, record.train_data) if isinstance(record, Record) else (record.test_data,)
    return () if all(data is not None and data.state == "verified" for data in held) else (NOT_VERIFIED,)


def shorten_differences(differences: Sequence[Difference]) -> str:
    """Return the first differences and how many more there are."""
    more = len(differences) - SHOWN
    return "; ".join([*map(str, differences[:SHOWN]), *([f"and {more} more"] if more > 0 else [])])


def _look_up_training(record: Record, table: PublishedTable) -> list[Difference]:
    """Return `_training_differences`, once in a look: they are the same for all tables that ask the same of the loss."""
    held = record.train_data
    asked = (record.spec, record.started_from and record.started_from.source, held and (held.card, held.state), table.unlike)
    return look_once((_training_differences, asked), lambda: _training_differences(record, table))


def _training_differences(record: Record, table: PublishedTable) -> list[Difference]:
    """Compare the fields of training with those that the recipe has when it is run whole."""
    spec = record.spec
    task = TASKS.get(spec.task)
    if task is None:
        return [Difference("task", spec.task, "one that a recipe trains for", "there is no")]
    found = _edited(record)
    recipe = RECIPES.get(spec.recipe or f"{task.name}/{DEFAULT}")
    own = list_own_recipes(spec.model, task.name)
    if recipe is None or recipe.name not in own:
        found.append(Difference("recipe", spec.recipe, " or ".join(own), "the task has"))
        recipe = RECIPES[own[0]]
    if table.unlike and "gan" not in spec.loss:
        found.append(Difference("loss", spec.loss, "", table.unlike))
    paper = BUDGETS["paper"]
    whole = derive_training(recipe, paper, task) | {"dtype": "float32"}
    whole |= derive_schedule(spec.model_copy(update=whole), recipe, paper)
    network = ("width", "depth_divisor")  # those are of the measuring, too
    found += [
        Difference(field, _say(getattr(spec, field)), _say(value))
        for field, value in whole.items()
        if getattr(spec, field) != value and field not in network
    ]
    return [*found, *_start_differences(record, recipe), *_training_set_differences(record, task)]


def _start_differences(record: Record, recipe: Recipe) -> list[Difference]:
    """Compare the starting weights: those of a run that is itself the recipe's, from the same data, or none."""
    spec = record.spec
    if recipe.start is None:
        given = record.started_from.source if record.started_from else ""
        return [Difference("starting weights", spec.start or given, "none")] if spec.start or given else []
    wanted = f"those of {recipe.start.recipe}"
    changes = {field: write_value(getattr(spec, field)) for field in (*SETS, "degrade_on", "protocol")}
    choice = Choice("paper", spec.backend, spec.device, recipe.name.partition("/")[2], changes)
    before = plan_family(ModelOnTask(spec.model, spec.task, published=True), spec.seed, choice)[:-1]
    cells = [before[-1].model_copy(update={"budget": name}).fingerprint for name in ("paper", spec.budget)] if before else []
    return [] if spec.start in cells else [Difference("starting weights", spec.start or "none", " ".join([wanted, *cells[:1]]))]


def _training_set_differences(record: Record, task: Task) -> list[Difference]:
    """Compare the training set by its name, and by its card's checksums where the record says what its images were held to.

    One folder is no union of several sets: those have a card of their own, e.g. DF2K+OST.
    """
    name, held = record.spec.train_set, record.train_data
    if not _is_called(name, ["+".join(task.train_sets)]):
        return [Difference("training set", _say_set(name), " and ".join(task.train_sets), "the paper's is")]
    if held is not None and (_plain(held.card) != _plain(name) or held.state == "other"):
        return [Difference("training images of", name, "of its card", "they are not those")]
    return []


def _edited(record: Measured) -> list[Difference]:
    """Tell of a record whose fields are not those that its fingerprint is of: somebody changed its file.

    What a training's record says of a trivial baseline keeps the training's fingerprint, which leads to it.
    """
    cell = record.spec.fingerprint
    if cell == record.fingerprint or (isinstance(record, Record) and record.spec.model in TRIVIAL):
        return []
    return [Difference("fields of the record", f"those of {cell}", record.fingerprint, "it is called")]


def _network_differences(spec: CellSpec) -> list[Difference]:
    full = {"width": 0, "depth_divisor": 1} if isinstance(spec, RunSpec) else {}
    found = [
        Difference(field, str(getattr(spec, field)), "whole", "the network is") for field in full if getattr(spec, field) != full[field]
    ]
    outside = getattr(spec, "plugin", "")
    return [*found, *([Difference("network", f"of a plug-in ({outside[:8]})", "the suite's own", "the row's is")] if outside else [])]


def _inference_differences(record: Measured) -> list[Difference]:
    """Compare how given weights were run: whole images, once each, and tokens chosen as the network does."""
    if not isinstance(record, Evaluation):
        return []
    edited = _edited(record)
    card = MODELS.get(record.spec.model)
    own = getattr(card.config, "routing", "") if card else ""
    drawn = [Difference("routing", record.spec.routing, own, "the released one is")] if record.spec.routing != own else []
    tiled = next((how for how in record.inference or (record.spec.tile,) if how != WHOLE), "")
    found = edited + ([Difference("images", f"restored in tiles ({tiled})", "whole ones", "the paper's are")] if tiled else [])
    found += [Difference("weights of the file", record.spec.key, "those taken without --key", "compared are")] if record.spec.key else []
    return found + drawn + ([Difference("self-ensemble", "of 8 symmetries", "none", "the row has")] if record.spec.ensemble else [])


def _data_differences(record: Measured, column: PublishedColumn) -> list[Difference]:
    """Compare test set and number of images; checksums, where the record says what they were held to."""
    name, held = record.spec.test_set, record.test_data
    if not _is_called(name, column.test_sets):
        return [Difference("test set", _say_set(name), " or ".join(column.test_sets) or "not one of the suite's", "the published one is")]
    if record.status == "failed":
        return []
    images = {_plain(one): count for one, count in TEST_IMAGES.items()}
    wanted = next((images[_plain(one)] for one in column.test_sets if _plain(one) in images), 0)
    count = len({score.image for score in record.scores})
    if not wanted:
        return [Difference("test set", f"{name} of {count} images", "not known", "how many the published one has is")]
    if not count or count != wanted or len(record.scores) != count or (held is not None and held.measured != count):
        return [Difference("test set", f"{name} of {count} images", str(wanted), "the published one has")]
    if held is not None and (_plain(held.card) not in set(map(_plain, column.test_sets)) or held.state == "other"):
        return [Difference("test images of", name, "of its card", "they are not those")]
    return []


def _protocol_differences(record: Measured, table: PublishedTable) -> list[Difference]:
    """Compare the protocol by name, and by what the record says of itself: version, and whole images."""
    spec, used = record.spec, record.protocol
    name = spec.protocol.partition("@")[0]
    if table.protocols and name not in table.protocols:
        return [Difference("protocol", spec.protocol, " or ".join(table.protocols), "the table's is")]
    newest = max((row for row in PROTOCOLS.values() if row.name == name), key=lambda row: row.version, default=None)
    if newest is None or newest.key != spec.protocol:
        return [Difference("protocol", spec.protocol, newest.key if newest else "a known one", "the newest version is")]
    if used is not None and f"{used.name}@{used.version}" != spec.protocol:
        return [Difference("protocol", f"{used.name}@{used.version}", spec.protocol, "the cell's is")]
    if used is not None and "tile" in used.statement.replace("without tiling", ""):
        return [Difference("images", "restored in tiles", "whole ones", "the paper's are")]
    return []


def _say(value: object) -> str:
    """Return a field's value as a reader takes it."""
    if isinstance(value, tuple):
        return f"({', '.join(map(_say, value))})" if value else "none"
    return f"{value:,}" if isinstance(value, int) else str(value) or "none"


def _say_set(name: str) -> str:
    folder = "the folder " if "/" in name or "\\" in name else ""
    return folder + dataset_name(name)


def _is_called(name: str, sets: Sequence[str]) -> bool:
    """Return whether `name` is one of these sets', and no folder's: /Set5 is a folder."""
    return "/" not in name and "\\" not in name and _plain(name) in set(map(_plain, sets))


@cache
def _plain(name: str) -> str:
    return "".join(letter for letter in name.casefold() if letter.isalnum())
