"""RunSpec and ScanSpec: everything that decides a cell's numbers, frozen, checked and fingerprinted.

A cell is one spec. Two specs with equal fields are the same cell wherever they run; what does not change the
numbers by intent (threads, launcher, progress) is not a field. `backend` is a field and never "auto": the
choice is made once, before the run, and the reason is kept in the record.
"""

from __future__ import annotations

import hashlib
import json
from typing import Literal

import pydantic
from pydantic import BaseModel, ConfigDict, Field, model_validator

from models import MODELS
from models.lookup import suggest
from suite.core.errors import SuiteError

LATER = frozenset(
    (
        *("recipe", "loss", "optimiser", "weight_decay", "periods", "floors", "stages", "mixup", "discriminator_lr", "start"),
        *("degrade_on", "first_weights", "warm_up", "key", "plugin"),
    )
)
EVALUATION = frozenset(("test_set", "protocol"))  # decide how a finished training is measured, and nothing of the training
PLUGIN = Field("", pattern=r"^([0-9a-f]{64})?$", description="sha256 of the plug-in that declares the network; '' = one of the suite's own")
TRAINING_VERSION = 1  # of what identifies a training


class CellSpec(BaseModel):
    """What is common to all cells: fields that never change, their fingerprint, and what the launchers ask for."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    backend: str = Field(description="scan backend: a name of models.scan.BACKENDS")
    device: Literal["cpu", "cuda"] = "cpu"

    @property
    def fingerprint(self) -> str:
        """16 hexadecimal digits over every field: the cell's key in the ledger."""
        return _digest(self._deciding_fields())

    def _deciding_fields(self) -> dict[str, object]:
        return {name: value for name, value in self.model_dump(mode="json").items() if not self._is_later_default(name)}

    def _is_later_default(self, name: str) -> bool:
        """Return True if a field came after the first records and holds what they were made with: then it is no part of the fingerprint."""
        return name in LATER and getattr(self, name) == type(self).model_fields[name].default

    @property
    def label(self) -> str:
        """Return what a person calls the cell."""
        raise NotImplementedError(f"{type(self).__name__} defines no label")

    @property
    def steps(self) -> int:
        """Return how many steps its progress is told in."""
        raise NotImplementedError(f"{type(self).__name__} defines no steps")


class RunSpec(CellSpec):
    """One cell of a grid: which model is trained how, on what, and measured by which protocol."""

    model: str = Field(description="a name of models.names(), e.g. vmambair-realsr-x4.no-effn")
    task: str = Field(description="a name of suite.study.tasks.TASKS, e.g. real-sr-x4")
    budget: str = Field(description="the row of suite.study.budgets.BUDGETS that filled in the fields below")
    seed: int = Field(0, ge=0, description="seeds the weights, the crops and the training degradations")
    dtype: Literal["float32", "bfloat16"] = Field("float32", description="autocast type; the scan's state stays float32")
    width: int = Field(0, ge=0, description="width of a narrowed network; 0 = as published")
    depth_divisor: int = Field(1, ge=1, description="block counts are divided by this, rounded, at least 1")
    iterations: int = Field(ge=0)
    batch: int = Field(ge=1, description="global batch")
    patch: int = Field(ge=16, description="side of the high-quality training crop, pixels")
    lr: float = Field(gt=0, description="initial learning rate of Adam")
    milestones: tuple[int, ...] = Field((), description="iterations at which the learning rate is halved")
    betas: tuple[float, float] = (0.9, 0.99)
    ema_decay: float = Field(0.0, ge=0, lt=1, description="0 = no moving average; the raw weights are evaluated")
    clip_norm: float = Field(0.0, ge=0, description="gradient clipping by global norm; 0 = off")
    recipe: str = Field("", description="the row of suite.study.recipes.RECIPES that filled in the fields of training")
    loss: Literal["l1", "charbonnier", "l1+fft", "l1+perceptual+gan"] = "l1"
    optimiser: Literal["adam", "adamw"] = "adam"
    weight_decay: float = Field(0.0, ge=0)
    periods: tuple[int, ...] = Field((), description="iterations of each period of a cosine with restarts; then no milestone counts")
    floors: tuple[float, ...] = Field((), description="the learning rate at the end of each period")
    stages: tuple[tuple[int, int, int], ...] = Field((), description="iterations, patch and batch of each stage; () = one stage")
    mixup: float = Field(0.0, ge=0, description="parameter of the Beta distribution of the share by which two images are mixed; 0 = off")
    discriminator_lr: float = Field(0.0, ge=0)
    first_weights: Literal["drawn", "interpolation"] = Field(
        "drawn", description="drawn as the design says; interpolation: then set so that it interpolates (suite.training.interpolation)"
    )
    warm_up: int = Field(0, ge=0, description="iterations in which the learning rate rises in equal steps to what the schedule says")
    start: str = Field("", description="fingerprint of the cell whose weights it begins with, or a file of weights; '' = from scratch")
    degrade_on: Literal["worker", "device"] = Field(
        "worker", description="where training crops are degraded at random: by the processes that make batches, or where the network trains"
    )
    train_set: str = Field("photos", description="a data set's name, or a folder of high-quality images")
    validation_set: str = Field("photos", description="never one of the test sets")
    test_set: str = Field("photos", description="a data set's name, or a folder: HR/ (and LR/), or images")
    protocol: str = Field(description="name@version of suite.study.protocols.PROTOCOLS")
    plugin: str = PLUGIN

    @property
    def label(self) -> str:
        """Model, the task where it is not the one of the model's card, and the seed."""
        card = MODELS.get(self.model)
        task = f" on {self.task}" if card is not None and card.task != self.task else ""
        return f"{self.model}{task} · seed {self.seed}"

    @property
    def steps(self) -> int:
        """Training iterations."""
        return self.iterations

    @property
    def sets(self) -> dict[Literal["train", "validation", "test"], str]:
        """The data sets by split."""
        return {"train": self.train_set, "validation": self.validation_set, "test": self.test_set}

    @model_validator(mode="after")
    def _consistent(self) -> RunSpec:
        if len(self.periods) != len(self.floors):
            raise ValueError(f"{len(self.periods)} periods of the cosine and {len(self.floors)} floors: each period goes down to one")
        if min((*self.periods, 1)) < 1 or any(min(stage) < 1 for stage in self.stages):
            raise ValueError("periods and stages are at least one iteration long, patches and batches at least 1")
        if (self.loss == "l1+perceptual+gan") != (self.discriminator_lr > 0):
            raise ValueError("discriminator_lr belongs to the loss l1+perceptual+gan, and that loss needs one")
        return self

    def identify_training(self, start: str) -> str:
        """Return 16 hexadecimal digits over every field but test set and protocol: the same for all evaluations of one training.

        `start` stands for the field of that name: the identity of the training whose weights it begins with, or a file of weights.
        """
        fields = {name: value for name, value in self._deciding_fields().items() if name not in EVALUATION}
        return _digest(fields | {"start": start, "training": TRAINING_VERSION})

    def replaced(self, changes: dict[str, str]) -> RunSpec:
        """Return the spec with `--set field=value` changes, parsed and checked; SuiteError names what is wrong."""
        for field in changes:
            if field not in RunSpec.model_fields:
                raise SuiteError(f"a run has no field {field!r}.{suggest(field, RunSpec.model_fields)}")
        values = self.model_dump() | {name: _parse(text) for name, text in changes.items()}
        try:
            return RunSpec.model_validate(values)
        except pydantic.ValidationError as error:
            lines = [f"{e['loc'][0] if e['loc'] else 'spec'} = {e.get('input')!r}: {e['msg']}" for e in error.errors()]
            raise SuiteError("--set cannot be applied: " + "; ".join(lines)) from None


class ScanSpec(CellSpec):
    """One cell of the scan benchmark: a backend on a device of one machine, verified and then timed over the cases.

    Times belong to a machine and to the software that was timed, so both are fields: another machine's times, or a changed kernel's,
    are another cell.
    """

    cases: tuple[str, ...] = Field(min_length=1, description="names of models.scan.cases.CASES")
    dtype: Literal["float32", "bfloat16", "float16"] = Field("float32", description="of u, delta, B and C")
    threads: int = Field(ge=1, description="processor threads that torch and the backend have")
    backward: bool = Field(True, description="whether forward and backward together are timed too")
    images: bool = Field(True, description="whether scans of an image are timed too, with and without copies, if the backend has both")
    build: bool = Field(True, description="whether the start with empty caches is measured too")
    seconds: float = Field(1.0, gt=0, description="how long each time is measured")
    machine: str = Field(description="digest of suite.core.machine.describe_machine(): processor, cores, memory, system, Python, GPUs")
    software: str = Field(description="digest of the files in models/scan and of the versions of the packages that they use")

    @property
    def label(self) -> str:
        """Backend and device."""
        return f"scan {self.backend} · {self.device}"

    @property
    def steps(self) -> int:
        """Timed cases."""
        return len(self.cases)


def _digest(fields: dict[str, object]) -> str:
    text = json.dumps(fields, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def write_value(value: object) -> str:
    """Return the text of `--set` that is read as `value`."""
    return value if isinstance(value, str) and _parse(value) == value else json.dumps(value)


def _parse(text: str) -> object:
    """Parse a command-line value: JSON where it is JSON (numbers, lists), else the text itself."""
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text
