"""One cell, from spec to record: the pure function that launchers run.

`run_cell(spec, context)` is a generator: it yields `Progress` while it works and, last, a `Record`. It knows nothing of
Ray, the ledger or the terminal, so that the inline and the Ray launcher give equal records. Where several workers train the
cell, suite.training.workers does that part with them.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

import models
from models.base import count_parameters
from suite.core.stop import StopFlag, Stopped
from suite.data.colour import quantise
from suite.data.digests import check_same_files, make_manifest
from suite.data.feed import loader
from suite.data.feed.training_set import training_sources
from suite.data.pairs import Pair
from suite.data.sets import load_pairs, pair_sources
from suite.measure.costs import count
from suite.measure.inference.restorer import restorer_of
from suite.measure.quality import available, evaluate
from suite.measure.quality.identity import identify_test_data
from suite.measure.quality.receptive_field import receptive_field
from suite.records.cell import CellContext, Progress, now, provenance
from suite.records.record import HistoryPoint, ProtocolUsed, Record, TestData, Trivial
from suite.records.spec import RunSpec
from suite.study.protocols import Protocol, protocol
from suite.study.tasks import Task
from suite.study.tasks import task as task_row
from suite.training import workers
from suite.training.loop import Training, reopen_training, save_weights, train
from suite.training.prepare import (
    CellData,
    describe_files,
    latest_loss_and_psnr,
    load_data,
    prepare_training,
    report_progress,
    typical_seconds,
)
from suite.training.rates import learning_rate
from suite.training.share import Share
from suite.training.tracking import Tracker, make_strip, make_tracker


def run_cell(spec: RunSpec, context: CellContext) -> Iterator[Progress | Record]:
    """Train `spec` (or go on from its checkpoint), measure it on the test set, and count the full-size model's cost."""
    started = now()
    task, rule = task_row(spec.task), protocol(spec.protocol)
    data = load_data(spec, task, rule) if context.workers == 1 else None  # several workers load where they are
    measured = identify_test_data(spec.test_set, pair_sources(spec.test_set, "test", task, rule))
    trained = context.trained.train_data if context.trained else _identify_training_data(spec, task)
    yield Progress(spec.fingerprint, "profiling", 0, spec.iterations)
    full_cost = (context.trained.cost if context.trained else None) or count.count_full_size(spec.model)

    key = context.key_of(spec)
    if context.trained is not None:
        data = data or load_data(spec, task, rule)
        run, test = reopen_training(spec, key, context.trained, context.weights_folder), data.test
        run.files, checksums = {"test": data.files["test"]}, data.checksums | _training_checksums(context.trained)
    elif data is None:
        run, checksums = yield from workers.train_together(spec, context)
        held = {"test": make_manifest(spec.test_set, "test", task, rule).files}
        check_same_files(run.files, held, spec.label, f"remove the folder {context.storage or context.work.parent}/{context.work.name}")
        test = load_pairs(spec.test_set, "test", task, rule)
    else:
        run, checksums, test = (yield from _train_alone(spec, context, data)), data.checksums, data.test
    files = describe_files(spec, run.files)
    if context.trained is not None:  # of the images that it was trained with, whatever is in those folders now
        files = (*(one for one in context.trained.data_files if one.split != "test"), *files)
    loss, psnr = latest_loss_and_psnr(run, rule)

    if context.trained is None:
        save_weights(key.weights_file(context.weights_folder), run)
    yield Progress(spec.fingerprint, "evaluating", spec.iterations, spec.iterations, loss, psnr)
    clock = time.perf_counter()
    scores, outputs = evaluate.evaluate(restorer_of(run.evaluated), test, rule, task.scale, available.measure_quality)
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
        test_data=measured,
        train_data=trained,
        data_files=files,
        training=key.fingerprint,
        trained_by=context.trained.fingerprint if context.trained else "",
        started_from=run.started_from,
        trained_params=count_parameters(run.network),
        train_seconds=sum(run.seconds),
        iteration_seconds=tuple(run.seconds),
        evaluate_seconds=evaluate_seconds,
        crops=tuple(evaluate.crops(test, outputs, task.scale)),
        trivial=_measure_trivial(test, rule, task),
        receptive_field=receptive_field(run.evaluated, test),
        walks=models.describe_walks(run.evaluated),
        provenance=provenance(context, started, checksums, spec.backend),
    )


def _identify_training_data(spec: RunSpec, task: Task) -> TestData:
    return identify_test_data(spec.train_set, training_sources(spec.train_set, task), "train")


def _training_checksums(trained: Record) -> dict[str, str]:
    """Return those of the images that were trained with and validated by, whatever is in those folders now."""
    held = trained.provenance.data_checksums if trained.provenance else {}
    return {split: digest for split, digest in held.items() if not split.startswith("test ")}


def _measure_trivial(test: Sequence[Pair], rule: Protocol, task: Task) -> Trivial:
    """Measure what needs no training on the same images, by the same protocol: nothing can be said of a network that is not better."""
    name = "bicubic" if task.scale > 1 else "identity"
    scores, outputs = evaluate.evaluate(evaluate.make_baseline(name, task.scale), test, rule, task.scale, available.measure_quality)
    pictures = {crop.image: crop.output_png for crop in evaluate.crops(test, outputs, task.scale)}
    return Trivial(name=name, scores=tuple(scores), pictures=pictures)


def _train_alone(spec: RunSpec, context: CellContext, data: CellData) -> Generator[Progress, None, Training]:
    run, sampler = prepare_training(spec, context, Share(micro_batch=context.micro_batch), data.train, data.files)
    flag, said = StopFlag.of(context.work), []  # what is said here is heard by the driver, which may be on another machine
    with make_tracker(context.work, context.logs or context.work.parent / "logs", spec, context.track, said.append) as told:
        how = {"stop": flag.requested, "loaders": loader.default_workers(context.threads, spec.device), "tell": said.append}
        begun = partial(_begin_telling, run, told, data.validation)
        steps = train(run, sampler, data.validation, context.work, **how, begun=begun)
        for progress in report_progress(run, _tell_points(run, steps, told, data.validation)):
            yield replace(progress, note=" ".join(said)) if said else progress
            said.clear()
        if run.iteration < spec.iterations:
            raise Stopped(f"{spec.label} was asked to stop at iteration {run.iteration}")
    return run


def _tell_points(
    run: Training, steps: Iterator[HistoryPoint | None], told: Tracker, validation: list[Pair]
) -> Iterator[HistoryPoint | None]:
    """Pass the steps on, and tell the trackers each point of the curve."""
    for point in steps:
        if point is not None:
            _tell(run, told, point, validation)
        yield point


def _begin_telling(run: Training, told: Tracker, validation: list[Pair]) -> None:
    """Begin where the training goes on. A point at the very step of the checkpoint is told again: a kill may have come between the two."""
    last = run.history[-1] if run.history and run.history[-1].iteration == run.iteration else None
    told.begin(run.iteration if last is None else run.iteration - 1)
    if last is not None:
        _tell(run, told, last, validation)


def _tell(run: Training, told: Tracker, point: HistoryPoint, validation: list[Pair]) -> None:
    """Tell the trackers the point of the curve at which `run` is, with a picture where it was validated."""
    seconds = {"seconds of an iteration": typical_seconds(run.seconds), "learning rate": learning_rate(run.spec, point.iteration - 1)}
    told.point(point.iteration, {"loss": point.loss, **point.parts, **point.validation, **seconds})
    if point.validation and validation:
        told.images(point.iteration, f"{validation[0].name}: input, output, target", _strip(run, validation[0]))


def _strip(run: Training, pair: Pair) -> np.ndarray:
    restored = restorer_of(run.evaluated)(pair.lq)
    run.network.train()
    return make_strip([quantise(picture) for picture in (pair.lq, restored, pair.hq)])
