"""Measuring a model on test sets, image by image, under a named protocol.

`evaluate` measures a restorer on pairs in memory, for training. `measure_set` is what `python -m suite evaluate` does: baselines and
networks with weights, whole or tiled, on sets that are read as they are needed; images are scored while the network is at the next one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

import numpy as np

import models
from models.lookup import suggest
from suite.core.errors import Exit, SuiteError, naming
from suite.core.parallel import map_ordered
from suite.data.colour import luma, quantise
from suite.data.images import Pixels, encode_png, three_channels
from suite.data.pairs import Pair, PairSource
from suite.data.resize import imresize
from suite.measure.inference import ensemble, weights
from suite.measure.inference.restorer import Restorer, as_float, restorer_of
from suite.measure.inference.tiling import Memory, Tile
from suite.measure.inference.weights import Used
from suite.measure.quality import available
from suite.measure.quality.fidelity import score
from suite.measure.quality.saving import SavedImages
from suite.records.pictures import Png
from suite.records.record import Crop, ImageScore
from suite.study.grids import find_misfit
from suite.study.protocols import Protocol
from suite.study.tasks import Task

if TYPE_CHECKING:
    from models.base import RestorationNet

CROP_SIDE = 192  # pixels of the target shown in the report

DETERMINISTIC = "argmax"  # the routing, of models.networks.mambairv2.ROUTINGS, in which nothing is drawn
SIMPLE_RESTORERS: Mapping[str, str] = MappingProxyType(
    {
        "bicubic": "MATLAB-compatible bicubic enlargement: makes the protocols checkable",
        "identity": "the low-quality image itself, where it has the target's size",
    }
)

Measure = Callable[[Protocol, np.ndarray, Pixels, int], dict[str, float]]


def evaluate(
    restore: Restorer, pairs: Sequence[Pair], rule: Protocol, scale: int, measure: Measure = score
) -> tuple[list[ImageScore], list[Pixels]]:
    """Return scores and restored pictures (uint8), in the order of `pairs`.

    `measure` is PSNR and SSIM alone, or `available.measure_quality`.
    """
    scores, outputs = [], []
    for pair in pairs:
        with naming(f"the image {pair.name!r}"):
            output = prepare_output(restore(pair.lq), rule)
            scores.append(ImageScore(image=pair.name, metrics=measure(rule, output, pair.hq, scale)))
            outputs.append(quantise(output))
    return scores, outputs


def prepare_output(output: np.ndarray, rule: Protocol) -> np.ndarray:
    """Return `output` as `rule` compares it: rounded to 8 bit, or as it is."""
    return quantise(output) if rule.quantise == "uint8" else as_float(output)


@dataclass(frozen=True)
class Inference:
    """How a model is run on an image; nothing here is the protocol's."""

    tile: Tile = "whole"
    tile_size: int | None = None
    ensemble: bool = False
    backend: str = "reference"
    device: str = "cpu"
    seed: int = 0  # of networks that draw at random where they restore
    routing: Literal["released", "deterministic"] = "released"  # of a network that sorts pixels by tokens: drawn, or the most likely

    def label(self, model: str) -> str:
        """Return the model's name in results: with a + where it is the mean over the symmetries."""
        return model + ensemble.MARK * self.ensemble


@dataclass(frozen=True)
class ImageResult:
    """One image's result."""

    score: ImageScore
    inference: str  # whole, or which tiles
    tile_cost_db: float | None  # PSNR in tiles minus PSNR of the whole image, where it was asked for
    crop: Crop | None = None  # a detail of it, where pictures were asked for


@dataclass(frozen=True)
class EvaluationJob:
    """What is measured: a model on the pairs of a task, under a protocol."""

    model: str
    task: Task
    rule: Protocol
    weights: Path | None
    inference: Inference
    key: str = ""  # which weights of the file, where it holds several
    pictures: bool = False  # whether results hold details of the images


class Model:
    """A baseline, or a network with weights, checked to fit the job's task; `restore` is run on low-quality images."""

    def __init__(self, job: EvaluationJob, tell: Callable[[str], None]) -> None:
        restore = make_baseline(job.model, job.task.scale) if job.model in SIMPLE_RESTORERS else None
        check_weights(job.model, job.weights)
        self.used: Used | None = None  # of the weights
        self.is_baseline = restore is not None
        routing = find_routing(job.model, job.inference)
        self._seed = job.inference.seed if routing else None
        if restore is None:
            check_fits(job.model, job.task)
            network, self.used = load_network(job.model, job.weights, job.inference.backend, job.inference.device, job.key)
            tell(self.used.sentence(job.weights))
            if job.inference.routing == "deterministic" and routing:
                models.set_routing(network, routing)
            restore = restorer_of(network)
        self._memory = Memory(restore, job.inference.tile, job.inference.tile_size, tell)
        self._whole = Memory(restore, "whole", None, tell)
        self._ensemble = job.inference.ensemble
        self._whose = f"{job.model} with {job.weights}" if job.weights else job.model

    def restore(self, picture: np.ndarray) -> tuple[np.ndarray, str]:
        """Return the restored picture, and by which tiles."""
        return self._run(self._memory, picture)

    def whole(self, picture: np.ndarray) -> np.ndarray | None:
        """Return the picture restored at once; None where that does not fit into memory."""
        output, used = self._run(self._whole, picture)
        return output if used == "whole" else None

    def _run(self, memory: Memory, picture: np.ndarray) -> tuple[np.ndarray, str]:
        if self._seed is not None:  # each image draws the same, whichever were restored before it
            import torch  # late: slow to load

            torch.manual_seed(self._seed)
        output = (ensemble.average_symmetries(memory) if self._ensemble else memory)(picture)
        if output.dtype != np.uint8 and not np.isfinite(output).all():
            raise SuiteError(
                f"{self._whose} gives values that are not finite (NaN or infinity): it cannot restore the image. Its training diverged, or "
                "the file is damaged.",
                exit=Exit.NOT_READY,
            )
        return output, memory.used


def measure_set(
    job: EvaluationJob, model: Model, sources: Sequence[PairSource], *, tile_cost: bool = False, save: SavedImages | None = None
) -> Iterator[ImageResult]:
    """Yield results in the order of `sources`, as they come; restored images are added to `save`.

    A baseline is read, restored and scored in parallel over images. A network restores one image after another; on a GPU, the processor
    scores the images before meanwhile.
    """
    if model.is_baseline and save is None and not (tile_cost or job.inference.ensemble or job.inference.tile != "whole"):
        for found, crop in map_ordered(_baseline_scored, [(job, source) for source in sources]):
            yield ImageResult(found, "whole", None, crop)
        return
    scale, about = job.task.scale, []  # of each image: by which tiles, PSNR of the whole image, and a detail

    def restored() -> Iterator[tuple[PairSource, Protocol, np.ndarray, Pixels, int]]:
        """Yield the arguments of `_scored`, an image after the other."""
        for source in sources:
            pair = source.load()
            with naming(source.title):
                output, how = model.restore(pair.lq)
                whole = model.whole(pair.lq) if tile_cost else None
            whole_psnr = None if whole is None else score(job.rule, prepare_output(whole, job.rule), pair.hq, scale)[job.rule.fidelity[0]]
            about.append((how, whole_psnr, _detail(job, pair, output)))
            if save is not None:
                save.add(pair.name, three_channels(quantise(output)))
            yield source, job.rule, prepare_output(output, job.rule), pair.hq, scale

    workers = None if job.inference.device == "cuda" else 1  # a network on the processor uses all of it
    for number, found in enumerate(map_ordered(_scored, restored(), workers=workers)):
        how, whole_psnr, crop = about[number]
        yield ImageResult(found, how, None if whole_psnr is None else found.metrics[job.rule.fidelity[0]] - whole_psnr, crop)


def _scored(asked: tuple[PairSource, Protocol, np.ndarray, Pixels, int]) -> ImageScore:
    source, rule, output, target, scale = asked
    with naming(source.title):
        return ImageScore(image=source.name, metrics=available.measure_quality(rule, output, target, scale))


def _baseline_scored(asked: tuple[EvaluationJob, PairSource]) -> tuple[ImageScore, Crop | None]:
    job, source = asked
    pair = source.load()
    output = make_baseline(job.model, job.task.scale)(pair.lq)
    found = _scored((source, job.rule, prepare_output(output, job.rule), pair.hq, job.task.scale))
    return found, _detail(job, pair, output)


def _detail(job: EvaluationJob, pair: Pair, output: np.ndarray) -> Crop | None:
    return crops([pair], [quantise(output)], job.task.scale)[0] if job.pictures else None


def make_baseline(model: str, scale: int) -> Restorer:
    """Return `bicubic` or `identity`; SuiteError where it does not fit the scale."""
    if model == "identity":
        if scale > 1:
            raise SuiteError(f"identity leaves an image as large as it is, and the task enlarges it {scale} times: take bicubic.")
        return lambda picture: picture
    if scale == 1:
        raise SuiteError("bicubic enlarges, and the task leaves an image as large as it is: take identity, the low-quality image itself.")
    return lambda picture: imresize(picture, scale, between="uint8" if picture.dtype == np.uint8 else "float")


def check_fits(model: str, task: Task) -> None:
    """Raise SuiteError where the catalogue has no such model, or it has another scale or fewer channels than the task."""
    if model not in models.MODELS:
        raise SuiteError(f"no model is called {model!r}.{suggest(model, [*SIMPLE_RESTORERS, *models.names()])}")
    if misfit := find_misfit(model, models.card(model).config, task):
        raise SuiteError(misfit)


def check_weights(model: str, path: Path | None) -> None:
    """Raise SuiteError where a network has no file of weights, or a baseline has one."""
    if model in SIMPLE_RESTORERS:
        if path is not None:
            raise SuiteError(f"{model} has no weights; leave out --weights {path}.")
    elif path is None:
        raise SuiteError(f"{model} needs --weights FILE: an untrained network measures nothing.")
    else:
        weights.check_file(path)


def find_routing(model: str, inference: Inference) -> str:
    """Return how a network's attentive scans choose their tokens, a name of models.networks.mambairv2.ROUTINGS; "" where it has none."""
    own = "" if model in SIMPLE_RESTORERS else getattr(models.card(model).config, "routing", "")
    return DETERMINISTIC if own and inference.routing == "deterministic" else own


def load_network(model: str, path: Path | None, backend: str, device: str = "cpu", key: str = "") -> tuple[RestorationNet, Used]:
    """Return the catalogue's network with the authors' or our weights from the file `path`, strictly, and which of them they are.

    SuiteError says what is missing or does not fit.
    """
    check_weights(model, path)
    found = weights.read_weights(path, key, model)
    network = weights.build_network(model, found)
    models.set_scan_backend(network, backend)
    used = weights.give_weights(network, found, model)
    return network.to(device), used


def crops(pairs: Sequence[Pair], outputs: Sequence[Pixels], scale: int) -> list[Crop]:
    """Return the most detailed window of each test image: input enlarged by nearest neighbour, output, target."""
    made = []
    for pair, output in zip(pairs, outputs, strict=True):
        window = _most_detailed_window(pair.hq, scale)
        enlarged = quantise(pair.lq).repeat(scale, axis=0).repeat(scale, axis=1)
        shown = (enlarged[window], output[window], pair.hq[window])
        low, restored, target = (Png.of(encode_png(np.ascontiguousarray(three_channels(part)))) for part in shown)
        made.append(Crop(image=pair.name, input_png=low, output_png=restored, target_png=target))
    return made


def _most_detailed_window(target: Pixels, scale: int) -> tuple[slice, slice]:
    """Return the CROP_SIDE window, on a grid of its half, whose luma varies most; the same for every model."""
    y = luma(three_channels(target))
    side = [min(CROP_SIDE, length // scale * scale) for length in y.shape]
    step = [max(scale, length // 2 // scale * scale) for length in side]
    corners = [(top, left) for top in range(0, y.shape[0] - side[0] + 1, step[0]) for left in range(0, y.shape[1] - side[1] + 1, step[1])]
    top, left = max(corners, key=lambda corner: float(y[corner[0] : corner[0] + side[0], corner[1] : corner[1] + side[1]].var()))
    return slice(top, top + side[0]), slice(left, left + side[1])
