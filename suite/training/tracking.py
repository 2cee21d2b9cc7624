"""The trackers of a training while it runs: lines of JSON always, TensorBoard where it is installed, MLflow where it is asked for.

The lines are `log.jsonl` in the cell's work folder and move to `logs/<fingerprint>.jsonl` of the ledger when the cell is done;
TensorBoard's events are in `logs/tensorboard` from the start. MLflow's server is the one of MLFLOW_TRACKING_URI, else files in
`logs/mlruns`. Nothing here stops a training: a tracker that fails is reported once and not used again.
"""

from __future__ import annotations

import importlib.util
import json
import math
import os
import re
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, Protocol

import numpy as np

from suite.core.errors import Exit, SuiteError
from suite.core.files import replacing
from suite.core.output import note
from suite.core.stop import Stopped
from suite.data.images import three_channels
from suite.records.spec import RunSpec

TENSORBOARD, MLFLOW = "tensorboard", "mlflow"
TRACKERS = (TENSORBOARD, MLFLOW)
LOG_FILE = "log.jsonl"
STRIP_SIDE = 256  # pixels
EXPERIMENT = "ssm-restoration-suite"  # MLflow's name for what belongs together
MLFLOW_SETTINGS: Mapping[str, str] = MappingProxyType(  # for those that the user has not set
    {
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",  # by default a server that is gone holds a training for minutes, at every point
        "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    }
)

Status = Literal["done", "stopped", "failed"]


class Sink(Protocol):
    """A tracker: lines, TensorBoard or MLflow."""

    def begin(self, iteration: int) -> None:
        """Begin, or go on, after `iteration`: take back what was told of later ones."""

    def point(self, iteration: int, scalars: Mapping[str, float]) -> None:
        """Take numbers by name, e.g. loss, loss/pixels, lr, seconds, validation/PSNR-Y."""

    def images(self, iteration: int, name: str, strip: np.ndarray) -> None:
        """Take pictures side by side, uint8 `(H, W, 3)`."""

    def close(self, status: Status) -> None:
        """End with the training, for now or for good."""


class Tracker:
    """Tells all sinks, and survives each of them; as a context, it is closed by what ends the block."""

    def __init__(self, sinks: Mapping[str, Sink], warn: Callable[[str], None] = note) -> None:
        self._sinks = dict(sinks)
        self._warn = warn
        self._begun = False

    def __enter__(self) -> Tracker:
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        broken_off = kind is not None and (issubclass(kind, Stopped) or not issubclass(kind, Exception))  # not: KeyboardInterrupt, ...
        self.close("done" if kind is None else "stopped" if broken_off else "failed")

    def begin(self, iteration: int) -> None:
        """Begin, once, before the first point; `iteration` is 0, or the one of the checkpoint."""
        self._begun = True
        self._each(lambda sink: sink.begin(iteration))

    def point(self, iteration: int, scalars: Mapping[str, float]) -> None:
        """Tell numbers of an iteration by name."""
        self._each(lambda sink: sink.point(iteration, scalars))

    def images(self, iteration: int, name: str, strip: np.ndarray) -> None:
        """Tell pictures side by side, uint8 `(H, W, 3)`."""
        self._each(lambda sink: sink.images(iteration, name, strip))

    def close(self, status: Status) -> None:
        """End: the training is done, was stopped and can go on, or has failed; do nothing where it never began."""
        if self._begun:
            self._each(lambda sink: sink.close(status))

    def _each(self, tell: Callable[[Sink], None]) -> None:
        for name, sink in list(self._sinks.items()):
            try:
                tell(sink)
            except Exception as error:  # a full disk, a server that is gone, a defect of a package: none is worth a training
                del self._sinks[name]
                self._warn(f"tracking by {name} has ended ({type(error).__name__}: {_first_line(error)}); the training goes on.")


def choose_trackers(asked: Sequence[str]) -> tuple[str, ...]:
    """Return the kinds of tracking beside the lines of JSON: TensorBoard where it is installed, and what is asked for.

    SuiteError where something that is asked for is not installed.
    """
    if MLFLOW in asked and importlib.util.find_spec("mlflow") is None:
        raise SuiteError(
            "--track mlflow: MLflow is not installed. `pip install -e '.[mlflow]'` installs it; the rest works without.",
            exit=Exit.NOT_READY,
        )
    if TENSORBOARD in asked and not _has_tensorboard():
        raise SuiteError("--track tensorboard: TensorBoard is not installed. `pip install tensorboard` installs it.", exit=Exit.NOT_READY)
    return tuple(kind for kind in TRACKERS if kind in asked or (kind == TENSORBOARD and _has_tensorboard()))


def make_tracker(work: Path, logs: Path, spec: RunSpec, kinds: Sequence[str], warn: Callable[[str], None] = note) -> Tracker:
    """Return the tracker of one cell; `kinds` are of KINDS, and nothing of them is imported before the training begins."""
    made: dict[str, Sink] = {LOG_FILE: _Lines(work / LOG_FILE, logs / f"{spec.fingerprint}.jsonl", kinds)}
    if TENSORBOARD in kinds:
        made[TENSORBOARD] = _TensorBoard(logs / "tensorboard" / _folder_name(spec), spec)
    if MLFLOW in kinds:
        made[MLFLOW] = _MLflow(logs / "mlruns", spec)
    return Tracker(made, warn)


def make_strip(pictures: Sequence[np.ndarray], side: int = STRIP_SIDE) -> np.ndarray:
    """Return the middles of pictures of one view beside each other, as uint8 `(H, W, 3)`; smaller ones are enlarged by nearest neighbour.

    `pictures` are uint8 `(h, w, 1)` or `(h, w, 3)`; `side` is what is shown of each, in pixels.
    """
    height = max(picture.shape[0] for picture in pictures)
    shown = []
    for picture in pictures:
        factor = height // picture.shape[0]
        whole = picture.repeat(factor, axis=0).repeat(factor, axis=1)
        top, left = (max(0, (length - side) // 2) for length in whole.shape[:2])
        part = whole[top : top + side, left : left + side]
        shown.append(three_channels(part))
    rows = min(part.shape[0] for part in shown)
    return np.ascontiguousarray(np.concatenate([part[:rows] for part in shown], axis=1))


class _Lines:
    """One line of JSON a point and an event: {"iteration": ..., name: number, ...} or {"iteration": ..., "event": ...}."""

    def __init__(self, path: Path, final: Path, kinds: Sequence[str] = ()) -> None:
        self._path, self._final, self._kinds = path, final, kinds
        self._iteration = 0

    def begin(self, iteration: int) -> None:
        """Cut what the training does again, and what a kill left half written."""
        self._iteration = iteration
        source = self._path if self._path.is_file() else self._final  # done once, and run again before its record was written
        lines = source.read_text(encoding="utf-8").splitlines() if iteration and source.is_file() else []
        kept = [line for line in lines if _iteration_of(line) <= iteration]
        with replacing(self._path) as file:
            file.write("".join(f"{line}\n" for line in kept).encode())
        self._add(iteration, {"event": "continued" if iteration else "begun", "tracking": list(self._kinds)})

    def point(self, iteration: int, scalars: Mapping[str, float]) -> None:
        self._iteration = iteration
        self._add(iteration, {name: float(value) if math.isfinite(value) else None for name, value in scalars.items()})

    def images(self, iteration: int, name: str, strip: np.ndarray) -> None:
        self._add(iteration, {"event": "images", "name": name, "size": list(strip.shape[:2])})

    def close(self, status: Status) -> None:
        """Move the lines to the ledger where the cell is done."""
        self._add(self._iteration, {"event": status})
        if status != "done":
            return
        with replacing(self._final) as file, self._path.open("rb") as lines:  # which may be on another disk
            shutil.copyfileobj(lines, file)
        self._path.unlink()

    def _add(self, iteration: int, fields: Mapping[str, Any]) -> None:
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"iteration": iteration, **fields, "time": round(time.time(), 3)}) + "\n")


class _TensorBoard:
    """Scalars and pictures as TensorBoard's events; it hides what was told of iterations that are done again."""

    def __init__(self, folder: Path, spec: RunSpec) -> None:
        self._folder, self._spec = folder, spec

    def begin(self, iteration: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(str(self._folder), purge_step=iteration + 1)
        if not iteration:
            self._writer.add_text("spec", f"```\n{self._spec.model_dump_json(indent=1)}\n```")

    def point(self, iteration: int, scalars: Mapping[str, float]) -> None:
        for name, value in scalars.items():
            self._writer.add_scalar(name, value, iteration)
        self._writer.flush()  # raises what went wrong in the writer's own thread

    def images(self, iteration: int, name: str, strip: np.ndarray) -> None:
        self._writer.add_image(name, strip, iteration, dataformats="HWC")

    def close(self, status: Status) -> None:
        self._writer.add_text("status", status)
        self._writer.close()


class _MLflow:
    """A run of MLflow a cell, with the spec's fields as parameters; a training that goes on goes on in the same run."""

    def __init__(self, local: Path, spec: RunSpec) -> None:
        self._local, self._spec = local, spec
        self._told = -1  # the last iteration that the server knows: MLflow cannot take anything back

    def begin(self, iteration: int) -> None:
        """Find or make the run."""
        for name, value in MLFLOW_SETTINGS.items():
            os.environ.setdefault(name, value)
        uri = os.environ.get("MLFLOW_TRACKING_URI")
        if not uri:
            os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")  # the one store that needs neither a server nor a data base
            uri = self._local.absolute().as_uri()
        from mlflow.tracking import MlflowClient

        self._client = MlflowClient(tracking_uri=uri)
        experiment = self._experiment()
        mine = f"tags.fingerprint = '{self._spec.fingerprint}'"
        before = self._client.search_runs([experiment], mine, order_by=["attributes.start_time DESC"], max_results=1) if iteration else []
        if before:
            self._run = before[0].info.run_id
            self._client.update_run(self._run, status="RUNNING")
            self._told = max((metric.step for metric in self._client.get_metric_history(self._run, "loss")), default=-1)
        else:
            tags = {"fingerprint": self._spec.fingerprint}
            self._run = self._client.create_run(experiment, tags=tags, run_name=self._spec.label).info.run_id
            for name, value in self._spec.model_dump(mode="json").items():
                self._client.log_param(self._run, name, value)

    def point(self, iteration: int, scalars: Mapping[str, float]) -> None:
        if iteration <= self._told:
            return
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        self._client.log_batch(self._run, metrics=[Metric(name, float(value), now, iteration) for name, value in scalars.items()])

    def images(self, iteration: int, name: str, strip: np.ndarray) -> None:
        if iteration > self._told:
            self._client.log_image(self._run, strip, key=name, step=iteration)

    def close(self, status: Status) -> None:
        self._client.set_terminated(self._run, {"done": "FINISHED", "stopped": "KILLED", "failed": "FAILED"}[status])

    def _experiment(self) -> str:
        from mlflow.exceptions import MlflowException

        found = self._client.get_experiment_by_name(EXPERIMENT)
        if found is None:
            try:
                return self._client.create_experiment(EXPERIMENT)
            except MlflowException:  # another cell was faster
                found = self._client.get_experiment_by_name(EXPERIMENT)
        return found.experiment_id


def _has_tensorboard() -> bool:
    return importlib.util.find_spec("tensorboard") is not None


def _folder_name(spec: RunSpec) -> str:
    """Return what TensorBoard shows as the run's name."""
    return re.sub(r"[^\w.-]+", "-", f"{spec.model} {spec.task} seed{spec.seed} {spec.fingerprint[:8]}")


def _iteration_of(line: str) -> float:
    """Return the iteration in a line of JSON; infinite for one that was cut short by a kill."""
    try:
        return json.loads(line)["iteration"]
    except (json.JSONDecodeError, KeyError, TypeError):
        return math.inf


def _first_line(error: Exception) -> str:
    return (f"{error}".strip() or "no reason given").partition("\n")[0].rstrip(".")
