"""One cell, from spec to record: the pure function that launchers run.

`run_cell(spec, context)` is a generator: it yields `Progress` while it works and, last, a `Record`. It knows nothing of
Ray, the ledger or the terminal, so that the inline and the Ray launcher give equal records.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from suite import machine
from suite.data.degradations import degradation
from suite.data.sampler import PatchSampler
from suite.data.sets import Pair, TrainingSet, check_disjoint, checksum, load_pairs, load_training, pair_images
from suite.protocols import Protocol
from suite.recipes import RECIPES
from suite.record import ProtocolUsed, Provenance, Record
from suite.spec import RunSpec
from suite.start import save_weights, starting_weights, weights_file
from suite.tasks import Task


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

    @property
    def weights_folder(self) -> Path:
        """Where the weights of finished cells lie."""
        return self.weights or self.work.parent / "weights"


@dataclass(frozen=True)
class _Data:
    """The images of a cell, checked not to overlap."""

    train: TrainingSet
    validation: list[Pair]
    test: list[Pair]
    checksums: dict[str, str]


def run_cell(spec: RunSpec, context: CellContext) -> Iterator[Progress | Record]:
    """Trains `spec` (or goes on from its checkpoint), measures it on the test set, and counts the full-size model's cost."""
    from models.base import count_parameters
    from suite import cost, evaluate, metrics, train
    from suite.networks import restorer_of
    from suite.protocols import protocol
    from suite.receptive_field import receptive_field
    from suite.tasks import task as task_row

    started = now()
    task, rule = task_row(spec.task), protocol(spec.protocol)
    data = _load(spec, task, rule)
    yield Progress(spec.fingerprint, "profiling", 0, spec.iterations)
    full_cost = cost.full_size_cost(spec.model)

    share = train.Share(micro_batch=context.micro_batch)
    run = train.begin(spec, share, starting_weights(spec, context.weights_folder), recompute=context.recompute)
    sampler = sampler_of(spec, task, data.train)
    loss = psnr = None
    for point in train.train(run, sampler, data.validation, context.work):
        if point is not None:
            loss, psnr = point.loss, point.validation.get(rule.fidelity[0], psnr)
        left = (spec.iterations - run.iteration) * _typical(run.seconds)
        yield Progress(spec.fingerprint, "training", run.iteration, spec.iterations, loss, psnr, left)

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


def sampler_of(spec: RunSpec, task: Task, images: TrainingSet) -> PatchSampler:
    """What draws the batches of `spec`, at its largest patch."""
    largest = max(patch for _, patch, _ in (*spec.stages, (0, spec.patch, 0)))
    rotate = RECIPES[spec.recipe].rotate if spec.recipe in RECIPES else task.recipe.rotate
    return PatchSampler(images.images, degradation(task.degradation), largest, spec.seed, rotate=rotate, low=images.low)


def _load(spec: RunSpec, task: Task, rule: Protocol) -> _Data:
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
    return _Data(train, validation, test, {f"{split} ({source})": checksum(images) for split, (source, images) in splits.items()})


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
