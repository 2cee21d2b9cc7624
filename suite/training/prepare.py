"""Preparation of a cell for its first step: images that do not overlap, a network, what draws its patches; and its progress in events."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from suite.data.degrade.degradations import degradation
from suite.data.digests import Files, Manifest, make_manifest
from suite.data.feed.sampler import PatchSampler
from suite.data.feed.training_set import TrainingSet, check_disjoint, checksum, load_training, pair_images
from suite.data.pairs import Pair
from suite.data.sets import load_pairs
from suite.records.cell import CellContext, Progress
from suite.records.record import DataFiles, HistoryPoint
from suite.records.spec import RunSpec
from suite.study.protocols import Protocol, protocol
from suite.study.recipes import RECIPES
from suite.study.tasks import Task
from suite.study.tasks import task as task_row
from suite.training import loop
from suite.training.loop import Training
from suite.training.rehearsal import rehearse
from suite.training.share import Share
from suite.training.start import read_starting_weights


@dataclass(frozen=True)
class CellData:
    """The images of a cell, checked not to overlap."""

    train: TrainingSet
    validation: list[Pair]
    test: list[Pair]
    checksums: dict[str, str]
    files: dict[str, Files]  # of each split


def prepare_training(
    spec: RunSpec, context: CellContext, share: Share, images: TrainingSet, files: Mapping[str, Files] | None = None
) -> tuple[Training, PatchSampler]:
    """Return the training at its start, rehearsed where that is due, and what draws its patches from `images`.

    `files` are those of each split that this worker loads: checkpoints hold them.
    """
    sampler = make_sampler(spec, task_row(spec.task), images)
    start = read_starting_weights(spec, context.weights_folder, context.begins_with)
    run = loop.begin(spec, share, start, recompute=context.recompute, key=context.key_of(spec))
    run.files = dict(files or {})
    if context.rehearse or spec.device == "cuda":
        rehearse(run, recompute=context.recompute)
    return run, sampler


def report_progress(run: Training, steps: Iterator[HistoryPoint | None]) -> Iterator[Progress]:
    """Yield one event for each of the `steps` of `run`."""
    spec, rule = run.spec, protocol(run.spec.protocol)
    for _ in steps:
        left = (spec.iterations - run.iteration) * typical_seconds(run.seconds)
        yield Progress(spec.fingerprint, "training", run.iteration, spec.iterations, *latest_loss_and_psnr(run, rule), left)


def latest_loss_and_psnr(run: Training, rule: Protocol) -> tuple[float | None, float | None]:
    """Return the latest loss and PSNR of the curve; None where there is none yet."""
    loss = run.history[-1].loss if run.history else None
    psnr = (point.validation[rule.fidelity[0]] for point in reversed(run.history) if rule.fidelity[0] in point.validation)
    return loss, next(psnr, None)


def make_sampler(spec: RunSpec, task: Task, images: TrainingSet) -> PatchSampler:
    """Return what draws the batches of `spec`, at its largest patch."""
    largest = max(patch for _, patch, _ in (*spec.stages, (0, spec.patch, 0)))
    rotate = RECIPES[spec.recipe].rotate if spec.recipe in RECIPES else task.recipe.rotate
    return PatchSampler(images.images, degradation(task.degradation), largest, spec.seed, rotate=rotate, low=images.low)


def load_data(spec: RunSpec, task: Task, rule: Protocol) -> CellData:
    """Load all images of the cell; SuiteError where some cannot be had, or one is in two splits."""
    files = {split: make_manifest(source, split, task, rule).files for split, source in spec.sets.items()}  # before they are read
    train = load_training(spec.train_set, task)
    validation = load_pairs(spec.validation_set, "validation", task, rule)
    test = load_pairs(spec.test_set, "test", task, rule)
    images = {"train": train.images, "validation": pair_images(validation), "test": pair_images(test)}
    splits = {split: (source, images[split]) for split, source in spec.sets.items()}
    check_disjoint(splits)
    checksums = {f"{split} ({source})": checksum(images) for split, (source, images) in splits.items()}
    return CellData(train, validation, test, checksums, files)


def describe_files(spec: RunSpec, files: Mapping[str, Files]) -> tuple[DataFiles, ...]:
    """Return what a record holds of the files of each split."""
    return tuple(
        DataFiles(split=split, name=name, files=len(files[split]), sha256=Manifest(files[split]).sha256)
        for split, name in spec.sets.items()
        if split in files
    )


def typical_seconds(seconds: list[float]) -> float:
    """Return the median of the latest iterations: one slow step must not move the estimate."""
    recent = sorted(seconds[-20:])
    return recent[len(recent) // 2]
