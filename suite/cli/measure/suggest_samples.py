"""Samples for the page of `suggest`: the middle of a few of the user's photographs, restored with the given weights."""

from __future__ import annotations

import argparse
import base64
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import models
from suite.cli.measure.profile import choose_timing
from suite.core.errors import Exit, SuiteError
from suite.core.output import note
from suite.data.colour import quantise
from suite.data.images import encode_png, list_images
from suite.measure.inference.restore import read_picture
from suite.measure.inference.weights import find_fitting_model, read_weights
from suite.measure.quality import evaluate
from suite.report.figures.charts import Figure, Thumbnail
from suite.study.protocols import protocol
from suite.study.tasks import Task

if TYPE_CHECKING:
    import numpy as np

PHOTOS, SIDE = 3, 96  # that are shown, the first by name; pixels of the middle that is restored


def prepare(options: argparse.Namespace, task: Task, names: Sequence[str]) -> Callable[[], list[Figure]]:
    """Read photographs and weights, and return what restores the samples; SuiteError says which of them cannot be used."""
    if not options.photos.is_dir():
        raise SuiteError(f"--photos {options.photos}: there is no such folder.", exit=Exit.NOT_READY)
    paths = list_images(options.photos)
    if len(paths) > PHOTOS:
        note(f"samples: the first {PHOTOS} of {len(paths)} photographs, by name")
    photos = {path.name: _middle(path, task) for path in paths[:PHOTOS]}
    found = {path: _model_of(path, task, names) for path in options.weights}
    timing, _ = choose_timing(argparse.Namespace(**vars(options) | {"seconds": 1.0}))
    inference = evaluate.Inference(backend=timing.backend, device=timing.device)
    simple, rule = ["bicubic" if task.scale > 1 else "identity"], protocol(task.protocol)
    jobs = [(model, None) for model in simple] + [(model, path) for path, model in found.items()]
    restorers = [
        (path.name if path else "no network", evaluate.Model(evaluate.EvaluationJob(model, task, rule, path, inference), note), model)
        for model, path in jobs
    ]
    return lambda: [_draw(number, name, photo, restorers, task) for number, (name, photo) in enumerate(photos.items())]


def _model_of(path: Path, task: Task, names: Sequence[str]) -> str:
    """Return the network that a file of weights says it is of, or, of those in `names`, that it fits; SuiteError where there is none."""
    held = read_weights(path)
    known = [name for name in names if name in models.MODELS]
    found = held.said or find_fitting_model(held.state, known[0], known) if known else held.said
    if found not in known:
        what = f"is of {held.said}, which does not fit {task.name}" if held.said else f"fits no network for {task.name}"
        raise SuiteError(f"--weights {path} {what}. Those of {', '.join(known) or 'no network'} do; `weights check FILE` tries all.")
    return found


def _middle(path: Path, task: Task) -> np.ndarray:
    """Return the middle of a photograph, at most SIDE a side, of as many channels as the task's."""
    parts = read_picture(path)
    colour = parts.planes[..., : parts.channels]
    if colour.shape[2] > task.channels:
        raise SuiteError(f"{path} is a colour image, and {task.name} is a task on grey ones.", exit=Exit.NOT_READY)
    top, left = (max(0, (side - SIDE) // 2) for side in colour.shape[:2])
    return colour[top : top + SIDE, left : left + SIDE]


def _draw(number: int, name: str, photo: np.ndarray, restorers: Sequence[tuple[str, evaluate.Model, str]], task: Task) -> Figure:
    height, width = photo.shape[:2]
    pictures = []
    for weights, one, model in restorers:
        note(f"sample: {name}, {model} ...")
        restored = quantise(one.restore(photo)[0])
        pictures.append(Thumbnail(model, weights, _png(restored), restored.shape[1], restored.shape[0]))
    grows = f", enlarged {task.scale} times" if task.scale > 1 else ""
    return Figure(
        key=f"figure-sample-{number}",
        title=f"Your photograph {name}.",
        caption=f"Its middle, {height}x{width} pixels{grows}. There is no original to compare with: judge by eye.",
        head=("Restored by", "with"),
        rows=tuple((picture.label, picture.note) for picture in pictures),
        pictures=tuple(pictures),
    )


def _png(pixels: np.ndarray) -> str:
    return base64.b64encode(encode_png(pixels[..., 0] if pixels.shape[2] == 1 else pixels)).decode()
