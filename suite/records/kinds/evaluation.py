"""What was measured of given weights, or of a baseline without weights, on one test set: spec and record. Nothing is trained for it."""

from __future__ import annotations

from pathlib import PurePath
from typing import Any, Literal

from pydantic import Field

from suite.records.pictures import Png
from suite.records.record import Crop, Frozen, Measured
from suite.records.spec import PLUGIN, CellSpec

WHOLE = "whole"  # how an image is restored: at once
NO_WEIGHTS = "none"  # what stands for the weights of a baseline
SHA256 = r"^[0-9a-f]{64}$"
OriginState = Literal["verified", "seen first here", "not verified", "changed", "unknown"]  # of suite.measure.inference.weights_files


class EvaluationSpec(CellSpec):
    """One cell: these weights on these images by this protocol, restored in this way."""

    model: str = Field(description="a name of models.names(), or a baseline: bicubic, identity")
    task: str = Field(description="a name of suite.study.tasks.TASKS")
    weights: str = Field("", pattern=r"^([0-9a-f]{64})?$", description="sha256 of the file; '' = a baseline, which has none")
    key: str = Field("", description="which weights of the file, where that was said; '' = the one network's in it")
    test_set: str = Field(description="a data set's name, or a folder")
    data_digest: str = Field(pattern=SHA256, description="sha256 over the names and pixels of both sides of the pairs")
    protocol: str = Field(description="name@version of suite.study.protocols.PROTOCOLS")
    tile: Literal["whole", "authors", "feathered"] = "whole"
    tile_size: int = Field(0, ge=0, description="pixels of the low-quality image; 0 = the default of that way")
    ensemble: bool = Field(False, description="the mean over the 8 symmetries of the image")
    routing: str = Field("", description="how an attentive scan chooses its tokens; '' = the network has none")
    seed: int = Field(0, ge=0, description="of networks that draw at random where they restore; 0 for all others")
    plugin: str = PLUGIN

    @property
    def label(self) -> str:
        """Model, weights and test set."""
        weights = f" · weights {self.weights[:8]}" if self.weights else ""
        return f"{self.model} on {self.task}{weights} · {PurePath(self.test_set).name}"

    @property
    def steps(self) -> int:
        """One: it goes on from nowhere."""
        return 1


class GivenWeights(Frozen):
    """A file of weights, as it was found; of its path the name alone."""

    file: str
    sha256: str = Field(pattern=SHA256)
    bytes: int
    which: str = Field(description="of the file's: params_ema, params, ... or bare")
    names: Literal["suite", "authors"] = Field(description="whose names its tensors have")
    tensors: int
    said: str = Field("", description="the model that the file says it is of")
    design: str
    configuration: dict[str, Any] = Field(description="fields of the network's configuration")
    entry: str = Field("", description="of the register of published weights, by sha256, or by name where that knows no sha256")
    state: OriginState = Field("unknown", description="what was known of the file as a copy of `entry`")


class Evaluation(Measured):
    """One attempt at measuring given weights, or a baseline."""

    kind: Literal["evaluation"] = "evaluation"
    spec: EvaluationSpec
    weights: GivenWeights | None = Field(None, description="None of a baseline")
    inference: tuple[str, ...] = Field((), description="whole, or by which tiles; one an image: what memory did not hold was tiled")
    crops: tuple[Crop, ...] = Field((), description="a detail of each image of an embedded set; none in records of before schema 6")

    @property
    def pictures(self) -> tuple[Png, ...]:
        """Every picture that the record names."""
        return tuple(png for crop in self.crops for png in crop.pictures)


def given_weights(record: Measured) -> str:
    """Return the sha256 of the weights that a record measured and did not train; "none" of a baseline, "" where it trained its own."""
    if isinstance(record, Evaluation):
        return record.spec.weights or NO_WEIGHTS
    started = getattr(record, "started_from", None)
    return started.sha256 if started and not record.spec.iterations else ""
