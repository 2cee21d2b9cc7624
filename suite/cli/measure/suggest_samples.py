"""Samples for the page of `suggest`: the middle of a few of the user's photographs, restored with the given weights."""

from __future__ import annotations

import argparse
import base64
import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from suite.core.errors import Exit, SuiteError
from suite.core.output import note
from suite.data.colour import quantise
from suite.data.images import IMAGE_SUFFIXES
from suite.measure.inference.restore import read_picture
from suite.measure.inference.weights import read_model
from suite.measure.quality import evaluate
from suite.report.figures.charts import Figure, Thumbnail
from suite.study.protocols import protocol
from suite.study.tasks import Task

if TYPE_CHECKING:
    import numpy as np

PHOTOS, SIDE = 3, 96  # that are shown, the first by name; pixels of the middle that is restored


def prepare(options: argparse.Namespace, task: Task, names: Sequence[str]) -> Callable[[], list[Figure]]:
    """Read photographs and weights, and return what restores the samples; SuiteError says which of them cannot be used."""
    from suite.cli.measure.profile import choose_timing

    if not options.photos.is_dir():
        raise SuiteError(f"--photos {options.photos}: there is no such folder.", exit=Exit.NOT_READY)
    paths = sorted(path for path in options.photos.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file())
    if not paths:
        raise SuiteError(f"--photos {options.photos}: there are no images in it.", exit=Exit.NOTHING)
    if len(paths) > PHOTOS:
        note(f"samples: the first {PHOTOS} of {len(paths)} photographs, by name")
    photos = {path.name: _middle(path, task) for path in paths[:PHOTOS]}
    found = {path: read_model(path) for path in options.weights}
    for path, model in found.items():
        if model not in names:
            raise SuiteError(f"--weights {path} is of {model}, which does not fit {task.name}: {', '.join(names)} do.")
    timing, _ = choose_timing(argparse.Namespace(**vars(options) | {"seconds": 1.0}))
    inference = evaluate.Inference(backend=timing.backend, device=timing.device)
    simple = {"bicubic" if task.scale > 1 else "identity": None}
    jobs = simple | {model: path for path, model in found.items()}
    models = {
        model: evaluate.Model(evaluate.EvaluationJob(model, task, protocol(task.protocol), path, inference), note)
        for model, path in jobs.items()
    }
    return lambda: [_draw(number, name, photo, models, task) for number, (name, photo) in enumerate(photos.items())]


def _middle(path: Path, task: Task) -> np.ndarray:
    """Return the middle of a photograph, at most SIDE a side, of as many channels as the task's."""
    colour = read_picture(path).colour
    if colour.shape[2] > task.channels:
        raise SuiteError(f"{path} is a colour image, and {task.name} is a task on grey ones.", exit=Exit.NOT_READY)
    top, left = (max(0, (side - SIDE) // 2) for side in colour.shape[:2])
    return colour[top : top + SIDE, left : left + SIDE]


def _draw(number: int, name: str, photo: np.ndarray, models: dict[str, evaluate.Model], task: Task) -> Figure:
    height, width = photo.shape[:2]
    pictures = []
    for model, one in models.items():
        note(f"sample: {name}, {model} ...")
        restored = quantise(one.restore(photo)[0])
        word = "no network" if one.is_baseline else "given weights"
        pictures.append(Thumbnail(model, word, _png(restored), restored.shape[1], restored.shape[0]))
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
    from PIL import Image  # late: slow to load

    buffer = io.BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels).save(buffer, format="PNG")
    return base64.b64encode(buffer.getvalue()).decode()
