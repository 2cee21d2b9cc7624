"""One cell, from spec to record: the pure function that launchers run.

`run_cell(spec, context)` is a generator: it yields `Progress` while it works and, last, a `Record`. It knows nothing of
Ray, the ledger or the terminal, so that the inline and the Ray launcher give equal records. Where several workers train the
cell, suite.workers does that part with them.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from suite import machine
from suite.data.degradations import degradation
from suite.data.sampler import PatchSampler
from suite.data.sets import Pair, TrainingSet, check_disjoint, checksum, load_pairs, load_training, pair_images
from suite.protocols import Protocol
from suite.recipes import RECIPES
from suite.record import HistoryPoint, ProtocolUsed, Provenance, Record
from suite.share import Share
from suite.spec import RunSpec
from suite.start import save_weights, starting_weights, weights_file
from suite.stop import StopFlag, Stopped
from suite.tasks import Task
from suite.tracking import Tracker, strip, tracker

if TYPE_CHECKING:
    import numpy as np

    from suite.data.sampler import PatchSampler
    from suite.train import Training


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
    rehearse: bool = False  # the largest pass before training; on a GPU always
    logs: Path | None = None  # absolute folder for what is told while cells train; None: beside `work`
    track: tuple[str, ...] = ()  # kinds of suite.tracking.KINDS that are told, beside lines of JSON

    @property
    def weights_folder(self) -> Path:
        """Where the weights of finished cells lie."""
        return self.weights or self.work.parent / "weights"


@dataclass(frozen=True)
class Data:
    """The images of a cell, checked not to overlap."""

    train: TrainingSet
    validation: list[Pair]
    test: list[Pair]
    checksums: dict[str, str]


def run_cell(spec: RunSpec, context: CellContext) -> Iterator[Progress | Record]:
    """Trains `spec` (or goes on from its checkpoint), measures it on the test set, and counts the full-size model's cost."""
    from models.base import count_parameters
    from suite import cost, evaluate, metrics
    from suite.networks import restorer_of
    from suite.protocols import protocol
    from suite.receptive_field import receptive_field
    from suite.tasks import task as task_row

    started = now()
    task, rule = task_row(spec.task), protocol(spec.protocol)
    data = _load(spec, task, rule)
    yield Progress(spec.fingerprint, "profiling", 0, spec.iterations)
    full_cost = cost.full_size_cost(spec.model)

    run = yield from (_train_alone(spec, context, data) if context.workers == 1 else _train_together(spec, context, data))
    loss, psnr = _shown(run, rule)

    save_weights(weights_file(context.weights_folder, spec.fingerprint), run)
    yield Progress(spec.fingerprint, "evaluating", spec.iterations, spec.iterations, loss, psnr)
    clock = time.perf_counter()
    scores, outputs = evaluate.evaluate(restorer_of(run.evaluated), data.test, rule, task.scale, metrics.measure)
    evaluate_seconds = time.perf_counter() - clock
    yield Record(
        fingerprint=spec.fingerprint,
        spec=spec,
        status="done",
        attempt=context.attempt,
        protocol=ProtocolUsed(name=rule.name, version=rule.version, statement=rule.statement),
        scores=tuple(scores),
        history=tuple(run.history),
        cost=full_cost,
        started_from=run.started_from,
        trained_params=count_parameters(run.network),
        train_seconds=sum(run.seconds),
        iteration_seconds=tuple(run.seconds),
        evaluate_seconds=evaluate_seconds,
        crops=tuple(evaluate.crops(data.test, outputs, task.scale)),
        receptive_field=receptive_field(run.evaluated, data.test),
        provenance=provenance(context, started, data.checksums),
    )


def _train_alone(spec: RunSpec, context: CellContext, data: Data) -> Generator[Progress, None, Training]:
    from suite import train
    from suite.data.loader import default_workers

    run, sampler = prepared(spec, context, Share(micro_batch=context.micro_batch), data.train)
    flag, said = StopFlag.of(context.work), []  # what is said here is heard by the driver, which may be on another machine
    with tracker(context.work, context.logs or context.work.parent / "logs", spec, context.track, said.append) as told:
        loaders = default_workers(context.threads, spec.device)
        how = {"stop": flag.requested, "loaders": loaders, "tell": said.append}
        begun = partial(_begin_telling, run, told, data.validation)
        steps = train.train(run, sampler, data.validation, context.work, **how, begun=begun)
        for progress in training_progress(run, _told(run, steps, told, data.validation)):
            yield replace(progress, note=" ".join(said)) if said else progress
            said.clear()
        if run.iteration < spec.iterations:
            raise Stopped(f"{spec.label} was asked to stop at iteration {run.iteration}")
    return run


def _told(run: Training, steps: Iterator[HistoryPoint | None], told: Tracker, validation: list[Pair]) -> Iterator[HistoryPoint | None]:
    """The steps as they come, each point of the curve told to the trackers."""
    for point in steps:
        if point is not None:
            _tell(run, told, point, validation)
        yield point


def _begin_telling(run: Training, told: Tracker, validation: list[Pair]) -> None:
    """Begins where the training goes on. A point at the very step of the checkpoint is told again: a kill may have come between the two."""
    last = run.history[-1] if run.history and run.history[-1].iteration == run.iteration else None
    told.begin(run.iteration if last is None else run.iteration - 1)
    if last is not None:
        _tell(run, told, last, validation)


def _tell(run: Training, told: Tracker, point: HistoryPoint, validation: list[Pair]) -> None:
    """A point of the curve, at which `run` is, with a picture where it was validated."""
    from suite.rates import rate

    seconds = {"seconds of an iteration": _typical(run.seconds), "learning rate": rate(run.spec, point.iteration - 1)}
    told.point(point.iteration, {"loss": point.loss, **point.parts, **point.validation, **seconds})
    if point.validation and validation:
        told.images(point.iteration, f"{validation[0].name}: input, output, target", _strip(run, validation[0]))


def _strip(run: Training, pair: Pair) -> np.ndarray:
    from suite.metrics.fidelity import quantise
    from suite.networks import restorer_of

    restored = restorer_of(run.evaluated)(pair.lq)
    run.network.train()
    return strip([quantise(picture) for picture in (pair.lq, restored, pair.hq)])


def _train_together(spec: RunSpec, context: CellContext, data: Data) -> Generator[Progress, None, Training]:
    from suite import workers

    return (yield from workers.train_together(spec, context, data))


def prepared(spec: RunSpec, context: CellContext, share: Share, images: TrainingSet) -> tuple[Training, PatchSampler]:
    """The training at its start, rehearsed where that is due, and what draws its patches from `images`."""
    from suite import rehearsal, train
    from suite.tasks import task as task_row

    sampler = sampler_of(spec, task_row(spec.task), images)
    run = train.begin(spec, share, starting_weights(spec, context.weights_folder), recompute=context.recompute)
    if context.rehearse or spec.device == "cuda":
        rehearsal.rehearse(run, recompute=context.recompute)
    return run, sampler


def training_progress(run: Training, steps: Iterator[HistoryPoint | None]) -> Iterator[Progress]:
    """One event for each of the `steps` of `run`."""
    from suite.protocols import protocol

    spec, rule = run.spec, protocol(run.spec.protocol)
    for _ in steps:
        left = (spec.iterations - run.iteration) * _typical(run.seconds)
        yield Progress(spec.fingerprint, "training", run.iteration, spec.iterations, *_shown(run, rule), left)


def _shown(run: Training, rule: Protocol) -> tuple[float | None, float | None]:
    """The latest loss and PSNR of the curve; None where there is none yet."""
    loss = run.history[-1].loss if run.history else None
    psnr = (point.validation[rule.fidelity[0]] for point in reversed(run.history) if rule.fidelity[0] in point.validation)
    return loss, next(psnr, None)


def sampler_of(spec: RunSpec, task: Task, images: TrainingSet) -> PatchSampler:
    """What draws the batches of `spec`, at its largest patch."""
    largest = max(patch for _, patch, _ in (*spec.stages, (0, spec.patch, 0)))
    rotate = RECIPES[spec.recipe].rotate if spec.recipe in RECIPES else task.recipe.rotate
    return PatchSampler(images.images, degradation(task.degradation), largest, spec.seed, rotate=rotate, low=images.low)


def _load(spec: RunSpec, task: Task, rule: Protocol) -> Data:
    """All images of the cell; SuiteError where some cannot be had, or one is in two splits."""
    train = load_training(spec.train_set, task)
    validation = load_pairs(spec.validation_set, "validation", task, rule)
    test = load_pairs(spec.test_set, "test", task, rule)
    splits = {
        "train": (spec.train_set, train.images),
        "validation": (spec.validation_set, pair_images(validation)),
        "test": (spec.test_set, pair_images(test)),
    }
    check_disjoint(splits)
    return Data(train, validation, test, {f"{split} ({source})": checksum(images) for split, (source, images) in splits.items()})


def provenance(context: CellContext, started: str, checksums: dict[str, str]) -> Provenance:
    """Where, when and with what the record that is being made is made; `started` is ISO 8601."""
    commit, dirty = machine.commit()
    return Provenance(
        started=started,
        finished=now(),
        commit=commit,
        dirty=dirty,
        packages=machine.packages(),
        machine=machine.machine(),
        threads=context.threads,
        launcher=context.launcher,
        backend_reason=context.backend_reason,
        data_checksums=checksums,
    )


def _typical(seconds: list[float]) -> float:
    """Median of the latest iterations: one slow step must not move the estimate."""
    recent = sorted(seconds[-20:])
    return recent[len(recent) // 2]


def now() -> str:
    """The time as records hold it."""
    return datetime.now(UTC).isoformat(timespec="seconds")
