"""What a cell is given and tells while it runs, and where, when and with what its record is made."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from suite.core import machine
from suite.records.record import Provenance, Record
from suite.records.spec import RunSpec
from suite.records.trainings import TrainingKey, Trainings
from suite.study.outside.plugin_files import PluginCode
from suite.study.outside.plugins import list_code


@dataclass(frozen=True)
class Progress:
    """What one line of the live view shows of a running cell."""

    fingerprint: str
    state: Literal["starting", "profiling", "training", "evaluating", "building", "verifying", "timing"]
    iteration: int = 0
    iterations: int = 0
    loss: float | None = None
    psnr: float | None = None  # dB, on the validation images
    seconds_left: float | None = None
    note: str = ""  # what is done at this step


@dataclass(frozen=True)
class CellContext:
    """What a cell needs beside its spec; none of it changes the numbers by intent."""

    work: Path  # absolute folder for the cell's checkpoint; survives an interrupted run
    threads: int
    launcher: str
    backend_reason: str
    attempt: int = 1
    weights: Path | None = None  # absolute folder for the weights of finished cells; None: beside `work`
    micro_batch: int = 0  # images of a pass through the network; 0: a worker's whole share of the batch
    recompute: bool = False  # activations of blocks: less memory, more time
    workers: int = 1  # that train it together, by Ray Train where there is more than one
    gpus: int = 0  # of each worker
    storage: str = ""  # path or URI under which several workers keep checkpoints; empty: `work`
    stored_as: str = ""  # the folder there; empty: the name of `work`
    rehearse: bool = False  # the largest pass before training; on a GPU always
    logs: Path | None = None  # absolute folder for what is told while cells train; None: beside `work`
    training: TrainingKey | None = None  # None: as the spec alone tells it
    begins_with: TrainingKey | None = None  # the training of the spec's `start`, where that is known
    trained: Record | None = None  # of the cell that trained already what this one measures
    track: tuple[str, ...] = ()  # kinds of suite.training.tracking.TRACKERS that are told, beside lines of JSON
    given: Path | None = None  # the file of weights that an evaluation measures
    plugins: tuple[PluginCode, ...] = field(default_factory=list_code)  # that are loaded here, to be installed where the cell runs

    @property
    def weights_folder(self) -> Path:
        """Return where the weights of finished cells lie."""
        return self.weights or self.work.parent / "weights"

    def key_of(self, spec: RunSpec) -> TrainingKey:
        """Return the names of the training's files."""
        return self.training or Trainings([spec]).key(spec)


def provenance(context: CellContext, started: str, checksums: dict[str, str], backend: str) -> Provenance:
    """Return where, when and with what the record that is being made is made; `started` is ISO 8601, `backend` that of the cell."""
    from models.scan.backends import explain_backend  # loads torch: not for what only reads records

    commit = machine.find_commit()
    return Provenance(
        started=started,
        finished=now(),
        commit=commit.name,
        dirty=commit.dirty,
        no_commit=commit.reason,
        version=machine.find_version(),
        packages=machine.installed_packages(),
        machine=machine.describe_machine(),
        threads=context.threads,
        launcher=context.launcher,
        backend_reason="; ".join(filter(None, (context.backend_reason, explain_backend(backend)))),
        data_checksums=checksums,
        plugins={code.name: code.sha256 for code in context.plugins},
    )


def now() -> str:
    """Return the time as records hold it."""
    return datetime.now(UTC).isoformat(timespec="seconds")


SECONDS_BETWEEN_PROGRESS = 0.5  # a line on a screen; more would cost a message an iteration
