"""Evaluations of given weights as cells: from a job and its images to a spec and a record, in the verb's process or a worker of Ray's."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import models
from models.catalog import design_of
from suite.core.errors import Exit, SuiteError
from suite.core.files import sha256_of
from suite.core.text import readable
from suite.data.cards import card
from suite.data.digest import add_image
from suite.data.pairs import PairSource
from suite.data.sets import canonical_name, card_name, pair_sources
from suite.measure.inference.weights import Used
from suite.measure.inference.weights_files import find_entries
from suite.measure.quality.evaluate import (
    DETERMINISTIC,
    EvaluationJob,
    ImageResult,
    Inference,
    Model,
    check_weights,
    find_routing,
    measure_set,
)
from suite.measure.quality.identity import identify_test_data
from suite.records.cell import CellContext, Progress, now, provenance
from suite.records.kinds.evaluation import Evaluation, EvaluationSpec, GivenWeights
from suite.records.record import ProtocolUsed, TestData
from suite.study import weights_register
from suite.study.outside.plugins import digest_of
from suite.study.protocols import protocol
from suite.study.tasks import task as task_row


@dataclass(frozen=True)
class TestImages:
    """A test set as it is measured: its images, and what they are known to be."""

    __test__ = False  # no test of pytest's

    name: str  # that means the same in any process and folder
    sources: Sequence[PairSource]
    digest: str
    data: TestData


def examine_images(name: str, sources: Sequence[PairSource]) -> TestImages:
    """Read the images of a set once, and say what they are."""
    return TestImages(canonical_name(name), sources, digest_pairs(sources), identify_test_data(name, sources))


def keeps_pictures(name: str) -> bool:
    """Return whether evaluations on the test set `name` hold details of its images: on embedded photographs, which everyone has."""
    known = card_name(name)
    return known is not None and bool(card(known).package)


def digest_pairs(sources: Sequence[PairSource]) -> str:
    """Return the sha256 over both sides of all pairs that `training_set.checksum` gives, without all targets in memory."""
    digest, low = hashlib.sha256(), []
    for source in sorted(sources, key=lambda source: source.name):
        pair = source.load()
        add_image(digest, f"hq/{pair.name}", pair.hq)
        low.append((f"lq/{pair.name}", pair.lq))
    for name, image in low:
        add_image(digest, name, image)
    return digest.hexdigest()


def make_spec(job: EvaluationJob, images: TestImages) -> EvaluationSpec:
    """Return the cell that `job` is on these images; SuiteError where weights are missing, or given to a baseline."""
    check_weights(job.model, job.weights)
    inference = job.inference
    routing = find_routing(job.model, inference)
    return EvaluationSpec(
        model=job.model,
        task=job.task.name,
        weights=sha256_of(job.weights) if job.weights else "",
        key=job.key,
        test_set=readable(images.name),
        data_digest=images.digest,
        protocol=job.rule.key,
        tile=inference.tile,
        tile_size=inference.tile_size or 0,
        ensemble=inference.ensemble,
        routing=routing,
        seed=inference.seed if routing else 0,
        backend=inference.backend,
        device=inference.device,
        plugin=digest_of(job.model),
    )


def make_record(
    spec: EvaluationSpec,
    job: EvaluationJob,
    used: Used | None,
    images: TestImages,
    found: Sequence[ImageResult],
    context: CellContext,
    started: str,
    seconds: float,
) -> Evaluation:
    """Make the record of a set that was measured."""
    return Evaluation(
        fingerprint=spec.fingerprint,
        spec=spec,
        status="done",
        attempt=context.attempt,
        protocol=ProtocolUsed(name=job.rule.name, version=job.rule.version, statement=job.rule.statement),
        scores=tuple(one.score for one in found),
        inference=tuple(one.inference for one in found),
        crops=tuple(one.crop for one in found if one.crop),
        test_data=images.data,
        weights=describe_weights(job.weights, spec, used) if job.weights and used else None,
        evaluate_seconds=seconds,
        provenance=provenance(context, started, {f"test ({spec.test_set})": images.digest}, spec.backend),
    )


def describe_weights(path: Path, spec: EvaluationSpec, used: Used) -> GivenWeights:
    """Say what a file of weights is that a network was given."""
    entries, state = find_entries(path, spec.weights, weights_register.load())
    config = models.card(spec.model).config
    return GivenWeights(
        file=readable(path.name),
        sha256=spec.weights,
        bytes=path.stat().st_size,
        which=used.which,
        names=used.names,
        tensors=used.tensors,
        said=used.said,
        design=design_of(config).name,
        configuration=json.loads(json.dumps(asdict(config))),
        entry=entries[0].name if entries else "",
        state=state,
    )


def run_evaluation(spec: EvaluationSpec, context: CellContext) -> Iterator[Progress | Evaluation]:
    """Measure `spec` and yield its record, last; SuiteError where weights or images are no longer those of the spec."""
    started, clock = now(), time.perf_counter()
    task, rule = task_row(spec.task), protocol(spec.protocol)
    routing = "deterministic" if spec.routing == DETERMINISTIC else "released"
    inference = Inference(spec.tile, spec.tile_size or None, spec.ensemble, spec.backend, spec.device, spec.seed, routing)
    job = EvaluationJob(spec.model, task, rule, context.given, inference, spec.key, keeps_pictures(spec.test_set))
    images = examine_images(spec.test_set, pair_sources(spec.test_set, "test", task, rule))
    if make_spec(job, images) != spec:
        changed = "its images are" if images.digest != spec.data_digest else f"the file {context.given} is"
        raise SuiteError(f"{spec.label}: {changed} no longer what was asked for. The same command begins anew.", exit=Exit.NOT_READY)
    notes: list[str] = []
    model = Model(job, notes.append)
    found, number = [], len(images.sources)
    for one in measure_set(job, model, images.sources):
        found.append(one)
        psnr = one.score.metrics[rule.fidelity[0]]
        yield Progress(spec.fingerprint, "evaluating", len(found), number, psnr=psnr, note="; ".join(notes))
    yield make_record(spec, job, model.used, images, found, context, started, time.perf_counter() - clock)
