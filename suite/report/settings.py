"""Settings: how a run was trained and measured, as keys that group runs, and in words.

Runs are put together by these keys alone. Words are made of them and never compared: a sentence may change, and no column with it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import PurePath

from suite.core.look import look_once_at
from suite.records.record import Record
from suite.records.spec import RunSpec

NETWORK = ("model", "plugin", "seed")  # fields of what is compared under a setting: a network, by whose plug-in, and its draw


@dataclass(frozen=True)
class Outline:
    """What a header says of a setting; settings of several tasks with one outline share a column, and `task` is then empty."""

    task: str
    budget: str
    test_set: str  # by its last part
    width: int
    depth_divisor: int
    iterations: int
    degraded_on: str  # the device, where that is not left to the processes that make batches
    first_weights: str  # where they are not as drawn
    differing: tuple[tuple[str, object], ...] = ()  # fields that tell it from settings with the same outline, and their values


@dataclass(frozen=True)
class Setting:
    """All of a run but its model and seed: numbers of equal settings, and of no others, are averaged over seeds and compared."""

    task: str
    budget: str
    test_set: str
    protocol: str
    width: int
    depth_divisor: int
    iterations: int
    device: str
    degrade_on: str
    first_weights: str
    others: tuple[tuple[str, object], ...]  # every other field of the run, by name

    @property
    def fields(self) -> dict[str, object]:
        """Every field of the run by its name, in the order of RunSpec."""
        held = {**vars(self), **dict(self.others)}
        return {name: held[name] for name in RunSpec.model_fields if name in held}

    @property
    def text(self) -> str:
        """The fields as JSON, of which orders and identifiers are made."""
        return json.dumps(self.fields, sort_keys=True)

    def outline(self, among: Iterable[Setting] = ()) -> Outline:
        """Return what a header says of the setting; fields are added that tell it from settings `among` which would have the same."""
        degraded_on = self.device if self.degrade_on == "device" else ""
        weights = "" if self.first_weights == "drawn" else self.first_weights
        network = self.width, self.depth_divisor, self.iterations
        bare = Outline(self.task, self.budget, dataset_name(self.test_set), *network, degraded_on, weights)
        alike = [other.fields for other in among if other.outline() == bare]
        differing = ((name, value) for name, value in self.fields.items() if any(fields[name] != value for fields in alike))
        return replace(bare, differing=tuple(differing))


def setting_of(spec: RunSpec) -> Setting:
    """Return the key that is equal for two runs exactly if they differ in nothing but the network and the seed."""
    fields = {name: getattr(spec, name) for name in RunSpec.model_fields if name not in NETWORK}
    named = {name: fields.pop(name) for name in Setting.__dataclass_fields__ if name != "others"}
    return Setting(**named, others=tuple(fields.items()))


def describe(outline: Outline) -> tuple[str, str]:
    """Return what people call a setting (task and budget) and its conditions."""
    full = not outline.width and outline.depth_divisor == 1
    network = "full network" if full else f"width {outline.width or 'full'}, depth ÷{outline.depth_divisor}"
    conditions = [f"test set {outline.test_set}", network, f"{outline.iterations:,} iterations"]
    conditions += [f"crops degraded on the {outline.degraded_on} device"] if outline.degraded_on else []
    conditions += [f"begins as an {outline.first_weights}, which no paper does"] if outline.first_weights else []
    conditions += [f"{name} {value}" for name, value in outline.differing]
    return f"{outline.task}, {outline.budget} budget", "; ".join(conditions)


def setting_heading(setting: Setting, among: Iterable[Setting] = ()) -> str:
    """Return what the measurements of a setting are called away from their table, and apart from those of settings `among`."""
    return "; ".join(describe(setting.outline(among)))


def dataset_name(name: str) -> str:
    """Return a data set as a header shows it: a folder by its last part."""
    return PurePath(name).name or name


def group_by_setting(records: Iterable[Record]) -> dict[Setting, tuple[Record, ...]]:
    """Return the records of each setting, by seed within a model, in the order in which settings and models first appear."""
    groups: dict[Setting, dict[str, list[Record]]] = {}
    for record in records:
        setting = look_once_at((record,), setting_of, partial(setting_of, record.spec))
        groups.setdefault(setting, {}).setdefault(record.spec.model, []).append(record)
    return {
        setting: tuple(record for members in models.values() for record in sorted(members, key=lambda record: record.spec.seed))
        for setting, models in groups.items()
    }
