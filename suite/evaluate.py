"""Measuring a model on a test set, image by image, under a named protocol."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from models.lookup import suggest
from suite import checkpoint
from suite.data.degradations import degradation
from suite.data.images import Pixels, encode_png
from suite.data.resize import imresize
from suite.data.sets import Pair, load_pairs
from suite.errors import Exit, SuiteError
from suite.metrics.fidelity import luma, quantise, score
from suite.networks import Restorer, restorer_of
from suite.protocols import Protocol, protocol
from suite.record import Crop, ImageScore
from suite.tasks import task as task_row

if TYPE_CHECKING:
    from models.base import RestorationNet

CROP_SIDE = 96  # pixels of the target shown in the report


def _bicubic(scale: int) -> Restorer:
    return lambda picture: imresize(picture, scale)


BASELINES: Mapping[str, str] = MappingProxyType({"bicubic": "MATLAB-compatible bicubic enlargement: makes the protocols checkable"})


def evaluate(restore: Restorer, pairs: Sequence[Pair], rule: Protocol, scale: int) -> tuple[list[ImageScore], list[Pixels]]:
    """Scores and restored pictures (uint8), in the order of `pairs`."""
    scores, outputs = [], []
    for pair in pairs:
        output = quantise(restore(pair.lq))
        scores.append(ImageScore(image=pair.name, metrics=score(rule, output, pair.hq, scale)))
        outputs.append(output)
    return scores, outputs


def evaluate_model(model: str, task: str, data: str, weights: Path | None, protocol_key: str | None, backend: str) -> list[ImageScore]:
    """`python -m suite evaluate`: a baseline, or a network with weights, on the test split of `data`."""
    row = task_row(task)
    rule = protocol(protocol_key or row.protocol)
    degrade = degradation(row.degradation)
    restore = _restorer(model, degrade.scale, weights, backend)
    scores, _ = evaluate(restore, load_pairs(data, "test", degrade), rule, degrade.scale)
    return scores


def _restorer(model: str, scale: int, weights: Path | None, backend: str) -> Restorer:
    import models

    if model in BASELINES:
        if weights is not None:
            raise SuiteError(f"{model} has no weights; leave out --weights {weights}.")
        return _bicubic(scale)
    if model not in models.MODELS:
        raise SuiteError(f"no model is called {model!r}.{suggest(model, [*BASELINES, *models.names()])}")
    if models.card(model).scale != scale:
        raise SuiteError(f"{model} enlarges {models.card(model).scale} times, the task {scale} times.")
    if weights is None:
        raise SuiteError(f"{model} needs --weights FILE: an untrained network measures nothing.")
    return restorer_of(load_network(model, weights, backend))


def load_network(model: str, weights: Path, backend: str) -> RestorationNet:
    """The catalogue's network with the authors' or our weights from `weights`, strictly; SuiteError says what does not fit."""
    import models
    from models.official import OfficialMismatch, load_weights

    if not weights.is_file():
        raise SuiteError(f"there is no weights file {weights}.", exit=Exit.NOT_READY)
    loaded = checkpoint.read(weights)
    network = models.create(model)
    models.set_scan_backend(network, backend)
    try:
        load_weights(network, loaded)
    except OfficialMismatch as error:
        raise SuiteError(f"{weights} does not fit {model}: {error}", exit=Exit.NOT_READY) from error
    return network


def crops(pairs: Sequence[Pair], outputs: Sequence[Pixels], scale: int) -> list[Crop]:
    """The most detailed window of each test image: input enlarged by nearest neighbour, output, target."""
    made = []
    for pair, output in zip(pairs, outputs, strict=True):
        window = _most_detailed_window(pair.hq, scale)
        enlarged = pair.lq.repeat(scale, axis=0).repeat(scale, axis=1)
        shown = (enlarged[window], output[window], pair.hq[window])
        low, restored, target = (base64.b64encode(encode_png(np.ascontiguousarray(part))).decode("ascii") for part in shown)
        made.append(Crop(image=pair.name, input_png=low, output_png=restored, target_png=target))
    return made


def _most_detailed_window(target: Pixels, scale: int) -> tuple[slice, slice]:
    """The CROP_SIDE window, on a grid of its half, whose luma varies most; the same for every model."""
    y = luma(target)
    side = [min(CROP_SIDE, length // scale * scale) for length in y.shape]
    step = [max(scale, length // 2 // scale * scale) for length in side]
    corners = [(top, left) for top in range(0, y.shape[0] - side[0] + 1, step[0]) for left in range(0, y.shape[1] - side[1] + 1, step[1])]
    top, left = max(corners, key=lambda corner: float(y[corner[0] : corner[0] + side[0], corner[1] : corner[1] + side[1]].var()))
    return slice(top, top + side[0]), slice(left, left + side[1])
