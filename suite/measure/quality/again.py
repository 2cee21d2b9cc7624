"""Measuring values of records again, drawn at random: whether the same image, network and weights give the same quality here.

A value is measured only where its images have the digest that the record holds, and its weights the sha256; a protocol of another meaning
here measures nothing. A record may come from a stranger: no folder that it names is looked into, only the user's own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePath
from typing import Literal

import numpy as np

from models.lookup import UnknownName
from models.scan.backends import BackendUnavailable, resolve_backend
from suite.core import machine
from suite.core.errors import Exit, SuiteError
from suite.core.files import sha256_of
from suite.data.pairs import PairSource
from suite.data.sets import pair_sources
from suite.measure.inference.weights_files import weights_folder
from suite.measure.quality.evaluate import DETERMINISTIC, SIMPLE_RESTORERS, EvaluationJob, Inference, Model, measure_set
from suite.measure.quality.evaluation import digest_pairs
from suite.records.kinds.evaluation import Evaluation
from suite.records.record import Attempt, Measured, Record
from suite.records.trainings import Trainings
from suite.study.protocols import METRICS, Protocol, protocol
from suite.study.tasks import task

State = Literal["agrees", "differs", "not measured"]


@dataclass(frozen=True)
class Drawn:
    """An image of a record."""

    file: str
    record: Measured
    image: str


@dataclass(frozen=True)
class Again:
    """A drawn image as it was found; `found` is empty where it was not measured, and `why` says why not, or what was otherwise."""

    drawn: Drawn
    state: State
    stored: Mapping[str, float]
    found: Mapping[str, float] = field(default_factory=dict)
    why: str = ""


def draw_images(records: Mapping[str, Attempt], count: int, seed: int) -> list[Drawn]:
    """Draw `count` images: one of each record, in random order, then a second of each, and so on; all where there are not so many."""
    generator = np.random.default_rng(seed)
    turns = []
    for name in sorted(records):
        record = records[name]
        if isinstance(record, Measured) and record.status == "done":
            places = generator.permutation(len(record.scores))
            turns += [(turn, generator.random(), Drawn(name, record, record.scores[place].image)) for turn, place in enumerate(places)]
    return [drawn for _, _, drawn in sorted(turns, key=lambda one: one[:2])[:count]]


def allowed_difference(metric: str) -> float:
    """Return how much two measurements of one image may differ: half a unit of the last digit that is printed of the metric."""
    return 0.5 * 10.0 ** -(METRICS[metric].digits if metric in METRICS else 4)


@dataclass
class Remeasurer:
    """Measures drawn images; images and networks are found once.

    `data`: the folder of the user's data sets, or of one set, for what no card names; `weights`: files, and folders that are searched;
    `kept`: the folder of the ledger's own trainings.
    """

    records: Mapping[str, Attempt]
    data: Path | None
    weights: Sequence[Path]
    kept: Path
    tell: Callable[[str], None]

    def __post_init__(self) -> None:
        self._sources: dict[tuple[str, str, str, str], dict[str, PairSource]] = {}
        self._models: dict[str, tuple[EvaluationJob, Model, str]] = {}

    def measure(self, drawn: Sequence[Drawn]) -> Iterator[Again]:
        """Yield each image as it is found."""
        for one in drawn:
            try:
                yield self._measure(one)
            except (SuiteError, UnknownName, BackendUnavailable) as error:
                yield Again(one, "not measured", self._stored(one), why=" ".join(str(error).split()))

    def _measure(self, one: Drawn) -> Again:
        rule = _same_protocol(one.record)
        sources = self._find_sources(one.record, rule)
        if one.image not in sources:
            raise SuiteError(f"{one.record.spec.test_set} holds no image {one.image!r}.", exit=Exit.NOT_READY)
        job, model, why = self._find_model(one, rule)
        (result,) = measure_set(job, model, [sources[one.image]])
        how = dict(zip((score.image for score in one.record.scores), getattr(one.record, "inference", ()), strict=False)).get(one.image)
        if how is not None and result.inference != how:
            raise SuiteError(f"it was restored {how}, and here {result.inference}: those are other numbers.", exit=Exit.NOT_READY)
        stored, found = self._stored(one), result.score.metrics
        both = [metric for metric in stored if metric in found]
        if not both:
            raise SuiteError(f"none of {', '.join(stored)} can be measured here.", exit=Exit.NOT_READY)
        same = all(abs(stored[metric] - found[metric]) <= allowed_difference(metric) for metric in both)
        left = [metric for metric in stored if metric not in found]
        why = "; ".join([*([why] if why else []), *([f"without {', '.join(left)}, which cannot be measured here"] if left else [])])
        return Again(one, "agrees" if same else "differs", stored, {metric: found[metric] for metric in both}, why)

    @staticmethod
    def _stored(one: Drawn) -> Mapping[str, float]:
        return next(score.metrics for score in one.record.scores if score.image == one.image)

    def _find_sources(self, record: Measured, rule: Protocol) -> dict[str, PairSource]:
        """Return the images of the record's test set by name; SuiteError where they are not here, or not those."""
        spec, wanted, images = record.spec, _digest_of(record), {score.image for score in record.scores}
        key = spec.test_set, spec.task, rule.key, wanted
        if key not in self._sources:
            problems = []
            for name in self._names(spec.test_set):
                sources = [source for source in pair_sources(name, "test", task(spec.task), rule) if source.name in images]
                digest = digest_pairs(sources)
                if digest == wanted:
                    self._sources[key] = {source.name: source for source in sources}
                    break
                problems.append(f"the images of {name} have the digest {digest[:12]} here, and the record's {wanted[:12]}")
            else:
                raise SuiteError(f"{'; '.join(problems)}.", exit=Exit.NOT_READY)
        return self._sources[key]

    def _names(self, test_set: str) -> list[str]:
        """Return what the set may be called here; a folder is looked for by its last part, below the user's own."""
        if "/" not in test_set and "\\" not in test_set:
            return [test_set]
        if self.data is None:
            raise SuiteError("its images lay in a folder of their own: name yours with --data DIR.", exit=Exit.NOT_READY)
        below = self.data / PurePath(test_set.replace("\\", "/")).name
        found = [str(folder.absolute()) for folder in (below, self.data) if folder.is_dir()]
        if not found:
            raise SuiteError(f"{self.data} holds no folder {below.name} with its images.", exit=Exit.NOT_READY)
        return found

    def _find_model(self, one: Drawn, rule: Protocol) -> tuple[EvaluationJob, Model, str]:
        """Return job and network, and what is otherwise than in the record; SuiteError where its weights are not here."""
        if one.file not in self._models:
            spec, why = one.record.spec, ""
            if spec.model in SIMPLE_RESTORERS:
                path, inference = None, Inference(backend="none")
            else:
                path = self._find_weights(one.record)
                device = spec.device if spec.device == "cpu" or machine.list_gpus() else "cpu"
                try:
                    backend, _ = resolve_backend(spec.backend, device)
                except BackendUnavailable:
                    backend, _ = resolve_backend("auto", device)
                inference = _inference_of(one.record, backend, device)
                if (backend, device) != (spec.backend, spec.device):
                    why = f"by {backend} on {device}, the record's by {spec.backend} on {spec.device}"
            job = EvaluationJob(spec.model, task(spec.task), rule, path, inference)
            self._models[one.file] = job, Model(job, self.tell), why
        return self._models[one.file]

    def _find_weights(self, record: Measured) -> Path:
        """Return the file of the weights that the record measured: by its sha256, or a training's of the ledger by its identity."""
        if isinstance(record, Evaluation):
            about = record.weights
            found = (path for path in self._files if about and path.stat().st_size == about.bytes and sha256_of(path) == about.sha256)
            path, what = next(found, None), f"with the sha256 {record.spec.weights[:12]} ({about.file if about else 'of unknown name'})"
        else:
            key = Trainings((one.spec for one in self.records.values()), self.records.values()).key(record.spec)
            path, what = key.find_weights(self.kept), f"of the training {key.fingerprint[:8]} in {self.kept}"
        if path is None:
            raise SuiteError(
                f"there is no file of weights {what}: name it with --weights FILE_OR_DIR, or --ledger DIR.", exit=Exit.NOT_READY
            )
        return path

    @cached_property
    def _files(self) -> list[Path]:
        found: list[Path] = []
        for place in (*self.weights, weights_folder()):
            found += [place] if place.is_file() else [path for path in sorted(place.rglob("*")) if path.is_file()]
        return found


def _digest_of(record: Measured) -> str:
    """Return the digest of the images that a record measured; SuiteError where it holds none."""
    if isinstance(record, Evaluation):
        return record.spec.data_digest
    held = record.provenance.data_checksums if record.provenance else {}
    digest = next((digest for split, digest in held.items() if split.startswith("test (")), None)
    if digest is None:
        raise SuiteError("the record holds no digest of its test images.", exit=Exit.NOT_READY)
    return digest


def _same_protocol(record: Measured) -> Protocol:
    """Return the protocol of the record; SuiteError where that name means another here."""
    rule = protocol(record.spec.protocol)
    if record.protocol is None or record.protocol.statement != rule.statement:
        raise SuiteError(f"the record says of its protocol {rule.key} what this checkout does not say.", exit=Exit.NOT_READY)
    return rule


def _inference_of(record: Measured, backend: str, device: Literal["cpu", "cuda"]) -> Inference:
    """Return how the record's network restored; one that was trained here restored whole images."""
    if isinstance(record, Record) or not isinstance(record, Evaluation):
        return Inference(backend=backend, device=device)
    spec = record.spec
    routing = "deterministic" if spec.routing == DETERMINISTIC else "released"
    return Inference(spec.tile, spec.tile_size or None, spec.ensemble, backend, device, spec.seed, routing)
