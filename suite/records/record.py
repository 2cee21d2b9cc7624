"""What a result is. One record is one attempt at one cell: all that the report, the gate and a reader need.

`Record` is of a trained model; suite.records.kinds has `Evaluation`, of given weights or a baseline, `ScanRecord`, of a timed scan backend,
`ProfileRecord`, of a network's cost and latency, and `RoutingRecord`; what all have is in `Attempt`.

Nothing is rounded on the way in. Units are in the field names. `SCHEMA` is raised when a field changes its
meaning, with an upgrade function in `UPGRADES`, so that old records load for ever.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

import pydantic_core
from pydantic import BaseModel, ConfigDict, Field

from models import Walk
from suite.records.pictures import PictureField, Png
from suite.records.spec import CellSpec, RunSpec

RECORD_SCHEMA = 6


class Frozen(BaseModel):
    """Part of a record. A number that is not finite is no result; JSON could not hold it either."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


DataState = Literal["verified", "unverified", "other"]


class TestData(Frozen):
    """The images that were measured, or trained on, held to the data set's card."""

    __test__ = False  # no test of pytest's

    card: str = Field(description="name of the card; empty for a folder")
    expected: int = Field(description="images that the card counts; 0 where it does not know")
    measured: int
    state: DataState = Field(
        description="verified: the checksums are the card's; unverified: it has none, number and sizes agree; other: not the card's"
    )


class DataFiles(Frozen):
    """The files of one split of a cell's data, as they were when it was made."""

    split: Literal["train", "validation", "test"]
    name: str = Field(description="of the set, or its folder")
    files: int
    sha256: str = Field(description="over the names of the files and their sha256 (suite.data.digests)")


class ProtocolUsed(Frozen):
    """The protocol that made the quality numbers, so that a reader needs no code to know it."""

    name: str
    version: int
    statement: str = Field(description="one sentence: channel, crop, rounding, SSIM variant, tiling")


class ImageScore(Frozen):
    """Metrics of one test image, e.g. {"PSNR-Y": 28.4, "SSIM-Y": 0.81}; dB and 0..1."""

    image: str
    metrics: dict[str, float]


class HistoryPoint(Frozen):
    """A point of the training curve."""

    iteration: int
    loss: float = Field(description="mean training loss since the point before")
    parts: dict[str, float] = Field(default_factory=dict, description="terms of the loss, where it has several")
    validation: dict[str, float] = Field(default_factory=dict, description="metrics on the validation images, if taken here")


class Cost(Frozen):
    """Cost of the full-size model of the cell, whatever the budget (suite.measure.costs.count)."""

    params: int
    macs: float = Field(
        description="1 per multiply-add; a scan 9*B*L*D*N + B*L*D; nn.LayerNorm 5 per element (suite.measure.costs.count says more)"
    )
    scan_macs: float = Field(description="the part of `macs` that the selective scans make up")
    input_size: tuple[int, int] = Field(description="height, width in pixels of the low-quality input")
    unsupported: dict[str, int] = Field(default_factory=dict, description="operators that were not counted, with how often each ran")


class Crop(Frozen):
    """A restored detail for the report: PNG pictures, all of one size."""

    image: str
    input_png: PictureField = Field(description="the low-quality input, enlarged by nearest neighbour")
    output_png: PictureField
    target_png: PictureField

    @property
    def pictures(self) -> tuple[Png, ...]:
        """All three."""
        return self.input_png, self.output_png, self.target_png


class Trivial(Frozen):
    """What bicubic enlargement, or the low-quality image itself, is worth on the images of the record."""

    name: Literal["bicubic", "identity"]
    scores: tuple[ImageScore, ...]
    pictures: dict[str, PictureField] = Field(default_factory=dict, description="image: the detail that `crops` shows of it")


class StartedFrom(Frozen):
    """The weights that a run began with."""

    source: str = Field(description="a cell of the ledger, or a file, and which state of it")
    sha256: str = Field(description="of the file")
    tensors: int = Field(description="that were taken")
    left: tuple[str, ...] = Field((), description="parameters that it had no value for, drawn at random instead")


class ReceptiveField(Frozen):
    """Which pixels of the input the output's centre depends on (suite.measure.quality.receptive_field says how it is measured)."""

    side: int = Field(description="pixels of the low-quality crops' sides")
    map_png: PictureField = Field(description="the map, side x side: a grey PNG, logarithmic over four decades below its maximum")
    shares: dict[str, float] = Field(description='"20", "30", "50", "99" (percent): part of the crop in the smallest square that holds it')
    images: int = Field(description="crops, one an image, that it is the mean of")


class Provenance(Frozen):
    """Where, when and with what a record was made."""

    started: str = Field(description="ISO 8601, UTC")
    finished: str
    commit: str = Field(description="git commit of the suite, or 'unknown'")
    no_commit: str = Field("", description="why the commit is unknown")
    version: str = Field("", description="of the suite; empty in records of before schema 5")
    dirty: bool | None = Field(description="uncommitted changes in the checkout; None where unknown")
    packages: dict[str, str]
    machine: dict[str, str | int | float]
    threads: int
    launcher: str
    backend_reason: str = Field(description="why this scan backend was chosen")
    data_checksums: dict[str, str] = Field(default_factory=dict, description="data set split: sha256 over names and pixels")
    plugins: dict[str, str] = Field(default_factory=dict, description="plug-ins that were loaded, file or module: sha256")


class Attempt(Frozen):
    """What every record holds."""

    schema_version: int = RECORD_SCHEMA
    fingerprint: str = Field(pattern=r"^[0-9a-f]{16}$")  # part of file names
    spec: CellSpec
    status: Literal["done", "failed"]
    attempt: int = 1
    provenance: Provenance | None = None
    error: str | None = Field(None, description="type, message and traceback of a failed attempt")

    @property
    def pictures(self) -> tuple[Png, ...]:
        """Every picture that the record names."""
        return ()


class Measured(Attempt):
    """One attempt at measuring a model on test images."""

    protocol: ProtocolUsed | None = None
    scores: tuple[ImageScore, ...] = ()
    test_data: TestData | None = Field(None, description="None in records of before schema 4")
    evaluate_seconds: float | None = None

    def mean(self, metric: str) -> float:
        """Return the mean of a metric over the test images (each image counts once)."""
        values = [score.metrics[metric] for score in self.scores]
        return sum(values) / len(values)


class Record(Measured):
    """One attempt at training and measuring a model."""

    kind: Literal["run"] = "run"
    spec: RunSpec
    history: tuple[HistoryPoint, ...] = ()
    cost: Cost | None = None
    train_data: TestData | None = Field(None, description="the images that it was trained on; None in records of before schema 5")
    data_files: tuple[DataFiles, ...] = Field((), description="of each split; none in records of before schema 5")
    training: str = Field("", description="identity of the training (suite.records.trainings); empty in records of before it was kept")
    trained_by: str = Field("", description="fingerprint of the cell that trained the weights, where another did: this one measured them")
    started_from: StartedFrom | None = None
    trained_params: int | None = Field(None, description="parameters of the network that was trained (narrowed or not)")
    train_seconds: float | None = None
    iteration_seconds: tuple[float, ...] = Field((), description="wall time of every training step, data loading included")
    crops: tuple[Crop, ...] = ()
    trivial: Trivial | None = Field(None, description="None in records that were made before it was measured")
    receptive_field: ReceptiveField | None = Field(None, description="of the trained network; None where it was not or cannot be told")
    walks: dict[str, Walk] = Field(
        default_factory=dict, description="by scan path over the image: read by the fused scan of images, or through gathered sequences"
    )

    @property
    def pictures(self) -> tuple[Png, ...]:
        """Every picture that the record names."""
        maps = (self.receptive_field.map_png,) if self.receptive_field else ()
        trivial = self.trivial.pictures.values() if self.trivial else ()
        return (*(png for crop in self.crops for png in crop.pictures), *trivial, *maps)


def dump(record: Attempt) -> str:
    """Return the record as JSON text, its pictures by their names."""
    try:
        return record.model_dump_json(indent=1, exclude=_not_said(record))
    except pydantic_core.PydanticSerializationError:  # the name of a folder that is no UTF-8
        return json.dumps(as_document(record), indent=1)


def as_document(record: Attempt, left_out: Mapping[str, object] = MappingProxyType({})) -> dict[str, object]:
    """Return the record as plain values, as its file holds them, without the fields `left_out` (pydantic's `exclude`)."""
    return record.model_dump(mode="json", exclude={**_not_said(record), **left_out})


def _not_said(record: Attempt) -> dict[str, object]:
    """Return what a record of the suite's own networks does not say, so that older suites read it: that no plug-in was there."""
    outside = getattr(record.spec, "plugin", "") or (record.provenance and record.provenance.plugins)
    return {} if outside else {"spec": {"plugin"}, "provenance": {"plugins"}}


def error_line(record: Attempt) -> str:
    """Return the line of a failed record's error that says what went wrong."""
    lines = [line.strip() for line in (record.error or "").splitlines() if line.strip()]
    if not lines:
        return "failed without a message"
    return lines[-1] if lines[0].startswith("Traceback") else lines[0]
