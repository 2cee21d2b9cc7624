"""Samples for the page of `suggest`: the middle of a few of the user's photographs, restored with the given weights."""

from __future__ import annotations

import argparse
import base64
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
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

PHOTOS = 3  # that are shown, the first by name
SIDES = (96, 192)  # pixels of the middle that is restored: the larger where all samples of it take no longer than
SAMPLE_SECONDS = 40.0


Restorer = tuple[str, evaluate.Model, str]  # what its weights are called, what restores with them, the network's name


@dataclass(frozen=True)
class _Restored:
    """A middle as a network restores it, and the seconds that took."""

    model: str
    weights: str
    pixels: np.ndarray
    seconds: float


def prepare(options: argparse.Namespace, task: Task, names: Sequence[str]) -> Callable[[], list[Figure]]:
    """Read photographs and weights, and return what restores the samples; SuiteError says which of them cannot be used."""
    if not options.photos.is_dir():
        raise SuiteError(f"--photos {options.photos}: there is no such folder.", exit=Exit.NOT_READY)
    paths = list_images(options.photos)
    if len(paths) > PHOTOS:
        note(f"samples: the first {PHOTOS} of {len(paths)} photographs, by name")
    photos = {path.name: _middle(_read(path, task), max(SIDES)) for path in paths[:PHOTOS]}
    found = {path: _model_of(path, task, names) for path in options.weights}
    timing, _ = choose_timing(argparse.Namespace(**vars(options) | {"seconds": 1.0}))
    inference = evaluate.Inference(backend=timing.backend, device=timing.device)
    simple, rule = ["bicubic" if task.scale > 1 else "identity"], protocol(task.protocol)
    jobs = [(model, None) for model in simple] + [(model, path) for path, model in found.items()]
    restorers = [
        (path.name if path else "no network", evaluate.Model(evaluate.EvaluationJob(model, task, rule, path, inference), note), model)
        for model, path in jobs
    ]
    return lambda: _draw_all(photos, restorers, task)


def _draw_all(photos: Mapping[str, np.ndarray], restorers: Sequence[Restorer], task: Task) -> list[Figure]:
    """Restore the middles of the photographs; a small one of the first tells how long larger ones of all would take."""
    if not photos:
        return []
    small, large = SIDES
    first = next(iter(photos))
    tried = _restore_all(first, _middle(photos[first], small), restorers)
    each = sum(one.seconds for one in tried[1]) / tried[0][..., 0].size
    side = large if each * sum(photo[..., 0].size for photo in photos.values()) <= SAMPLE_SECONDS else small
    done = {first: tried} if side == small or tried[0].shape == photos[first].shape else {}
    done |= {name: _restore_all(name, _middle(photo, side), restorers) for name, photo in photos.items() if name not in done}
    return [_draw(number, name, *done[name], task) for number, name in enumerate(photos)]


def _model_of(path: Path, task: Task, names: Sequence[str]) -> str:
    """Return the network that a file of weights says it is of, or, of those in `names`, that it fits; SuiteError where there is none."""
    held = read_weights(path)
    known = [name for name in names if name in models.MODELS]
    found = held.said or find_fitting_model(held.state, known[0], known) if known else held.said
    if found not in known:
        what = f"is of {held.said}, which does not fit {task.name}" if held.said else f"fits no network for {task.name}"
        raise SuiteError(f"--weights {path} {what}. Those of {', '.join(known) or 'no network'} do; `weights check FILE` tries all.")
    return found


def _read(path: Path, task: Task) -> np.ndarray:
    """Return a photograph, of as many channels as the task's."""
    parts = read_picture(path)
    colour = parts.planes[..., : parts.channels]
    if colour.shape[2] > task.channels:
        raise SuiteError(f"{path} is a colour image, and {task.name} is a task on grey ones.", exit=Exit.NOT_READY)
    return colour


def _middle(photo: np.ndarray, most: int) -> np.ndarray:
    """Return the middle of a photograph, at most `most` pixels a side."""
    top, left = (max(0, (side - most) // 2) for side in photo.shape[:2])
    return photo[top : top + most, left : left + most]


def _restore_all(name: str, middle: np.ndarray, restorers: Sequence[Restorer]) -> tuple[np.ndarray, list[_Restored]]:
    """Return a middle, and it as each restores it."""
    found = []
    for weights, one, model in restorers:
        note(f"sample: {name}, {middle.shape[0]}x{middle.shape[1]}, {model} ...")
        begun = time.perf_counter()
        pixels = quantise(one.restore(middle)[0])
        found.append(_Restored(model, weights, pixels, time.perf_counter() - begun))
    return middle, found


def _draw(number: int, name: str, middle: np.ndarray, restored: Sequence[_Restored], task: Task) -> Figure:
    height, width = middle.shape[:2]
    pictures = [
        Thumbnail(one.model, f"{one.weights}; {one.seconds:.1f} s", _png(one.pixels), one.pixels.shape[1], one.pixels.shape[0])
        for one in restored
    ]
    grows = f", enlarged {task.scale} times" if task.scale > 1 else ""
    return Figure(
        key=f"figure-sample-{number}",
        title=f"Your photograph {name}.",
        caption=(
            f"Its middle, {height}x{width} pixels{grows}. There is no original to compare with: judge by eye. "
            "The times are of one call each."
        ),
        head=("Restored by", "with"),
        rows=tuple((picture.label, picture.note) for picture in pictures),
        pictures=tuple(pictures),
    )


def _png(pixels: np.ndarray) -> str:
    return base64.b64encode(encode_png(pixels[..., 0] if pixels.shape[2] == 1 else pixels)).decode()
