"""Restoring image files: which file becomes which, and what is done to modes that a network does not take.

Grey images stay grey: a network of three channels sees the plane three times, and the mean of its outputs is kept. Transparency is kept:
the alpha channel is enlarged bicubically, and colours are restored after those of the visible pixels were spread under what cannot be
seen, so that whatever lies there (black, mostly) does not darken the edge. The other rules are those of suite.data.opener (RESTORED).
Very large images are restored in tiles, of which finished rows are kept in 8 bits. Restored images are PNG files, whatever the source
was: nothing is lost again.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import models
from suite.core.errors import Exit, SuiteError, naming
from suite.core.files import replacing
from suite.core.output import note
from suite.core.text import count_of
from suite.data.colour import quantise
from suite.data.images import Pixels
from suite.data.layouts.folders import targets_below
from suite.data.layouts.mixed import both_sides
from suite.data.layouts.pairing import fold_name, shorten
from suite.data.layouts.survey import find_below
from suite.data.opener import LOOKED_FOR, RESTORED, load_image
from suite.data.resize import imresize
from suite.measure.inference.restorer import Restorer
from suite.measure.inference.tiling import FEATHERED_SIZE, Tile, feathered_bands
from suite.study.tasks import Task
from suite.study.tasks import task as task_row

SHOWN = 5  # files of a list that a message names
WHOLE_AT_MOST = 2**24  # pixels of an image; a larger one is restored in tiles at once


@dataclass(frozen=True)
class Restoration:
    """A file to be restored, and where the result goes."""

    source: Path
    target: Path


@dataclass(frozen=True)
class ImageParts:
    """An image file's parts: uint8 `(H, W, C)` of colour or grey, and alpha as the last channel where `has_alpha`."""

    planes: Pixels
    has_alpha: bool
    profile: bytes | None  # ICC

    @property
    def channels(self) -> int:
        """Return how many channels its colours have: 1 or 3."""
        return self.planes.shape[2] - self.has_alpha


def task_of(model: str, name: str | None) -> Task:
    """Return the task that a model restores by; SuiteError where it is neither given nor known."""
    if name is not None:
        return task_row(name)
    if model not in models.MODELS:
        raise SuiteError(f"{model} restores by a task's scale: name one with --task, e.g. sr-x2.")
    return task_row(models.card(model).task)


def channels_of(model: str) -> int:
    """Return how many channels the model takes: 1, or 3 (which takes grey images too)."""
    return models.MODELS[model].config.channels if model in models.MODELS else 3


@dataclass(frozen=True)
class Plan:
    """What is to be done, and what below IN cannot be read: why."""

    jobs: Sequence[Restoration]
    faults: Mapping[Path, SuiteError]


def plan_restorations(source: Path, target: Path, suffix: str, *, overwrite: bool) -> Plan:
    """Plan what is to be done, all checked before the first image is opened; standard error says what of a folder is left out.

    SuiteError where `source` is not there or holds no image, a result would fall upon a source or another result, or upon a file that is
    there and `overwrite` is not given.
    """
    if "/" in suffix or "\\" in suffix:
        raise SuiteError(f"--suffix {suffix!r} is part of a file's name: it holds no slash.")
    faults: Mapping[Path, SuiteError] = {}
    if source.is_dir():
        jobs, faults = _of_folder(source, target, suffix)
    elif source.is_file() or source.is_symlink():  # a link that leads nowhere is an image that cannot be read
        jobs = [Restoration(source, _file_for(source, target, suffix))]
    else:
        raise SuiteError(f"there is no image and no folder {source}.", exit=Exit.NOT_READY)
    sources = {_real(job.source) for job in jobs}
    by_target: dict[str, Path] = {}  # by what other systems take for one name
    for job in jobs:
        place = _real(job.target)
        if place in sources:
            raise SuiteError(f"{job.source} would be replaced by a restored image ({job.target}). Choose another OUT, or a --suffix.")
        other = by_target.setdefault(fold_name(str(place)), job.source)
        if other != job.source:
            as_well = "" if other.stem == job.source.stem else ", where case and the form of accents do not count"
            raise SuiteError(f"{other} and {job.source} would both become {job.target}{as_well}. Rename one of them.")
    there = [job.target for job in jobs if job.target.exists()]
    if there and not overwrite:
        named = ", ".join(str(path) for path in there[:SHOWN]) + (f" and {len(there) - SHOWN} more" if len(there) > SHOWN else "")
        raise SuiteError(f"{len(there)} of {len(jobs)} restored images are there already: {named}. --overwrite replaces them.")
    return Plan(jobs, faults)


def _real(path: Path) -> str:
    return os.path.realpath(path)  # Path.resolve raises RuntimeError for links that lead in a circle


def _of_folder(source: Path, target: Path, suffix: str) -> tuple[list[Restoration], Mapping[Path, SuiteError]]:
    if target.is_file():
        raise SuiteError(f"{source} is a folder, and OUT {target} a file: name a folder.")
    to, origin = target.resolve(), source.resolve()
    if to == origin:
        raise SuiteError(f"IN and OUT are the same folder, {source}. Restored images go elsewhere.")
    if origin in to.parents:
        raise SuiteError(f"OUT {target} lies in IN {source}: the next run would restore what this one has. Choose a folder beside it.")
    below = find_below(source)
    for sentence in below.left_out:
        note(f"{sentence}.")
    found = _without_targets(source, list(below.images))
    if linked := next((path.parent for path in found if path.parent.resolve() in (to, *to.parents)), None):
        raise SuiteError(f"OUT {target} lies in IN, which {linked} leads to: choose a folder beside them.")
    if not found:
        unread = "".join(f" {error}" for error in below.faults.values())
        raise SuiteError(f"there are no images in {source} ({LOOKED_FOR}).{unread}", exit=Exit.NOT_READY if unread else Exit.NOTHING)
    jobs = [Restoration(path, target / path.relative_to(source).parent / f"{path.stem}{suffix}.png") for path in found]
    return jobs, below.faults


def _without_targets(source: Path, paths: list[Path]) -> list[Path]:
    """Leave out targets of low-quality files that are there too, and what is called after those; standard error says which."""
    both = both_sides(paths, source) if paths else None
    if both is not None:
        left = (both.high | both.beside) - both.low
        note(
            f"{both.sentence}: {count_of(len(left), 'file is', 'files are')} not restored ({shorten(sorted(path.name for path in left))})."
        )
        paths = [path for path in paths if path not in left]
    targets = targets_below(source, paths)
    if targets:
        named = shorten(sorted(path.relative_to(source).as_posix() for path in targets))
        note(f"{source} holds targets and low-quality files in folders: {len(targets)} targets are not restored ({named}).")
    return [path for path in paths if path not in targets]


def _file_for(source: Path, target: Path, suffix: str) -> Path:
    if target.is_dir() or not target.suffix:
        return target / f"{source.stem}{suffix}.png"
    if target.suffix.lower() != ".png":
        raise SuiteError(f"OUT {target} is not a .png file: restored images are written as PNG, which loses nothing.")
    return target.with_name(f"{target.stem}{suffix}{target.suffix}")


def tile_of_large(kind: Tile, size: int | None) -> int | None:
    """Return the side of the feathered tiles of a very large image where tiles of `kind` and `size` are asked for; None: as asked for."""
    return None if kind == "authors" else size or FEATHERED_SIZE


def restore_file(job: Restoration, restore: Restorer, scale: int, *, channels: int, tile: int | None = FEATHERED_SIZE) -> None:
    """Read, restore and write one image, whole or not at all; SuiteError names the file where it cannot be done.

    An image of more than WHOLE_AT_MOST pixels is restored in feathered tiles of `tile` pixels; None: as `restore` does it.
    """
    from PIL import Image  # late: slow to load

    picture = read_picture(job.source)
    if picture.channels > channels:
        raise SuiteError(f"{job.source} is a colour image, and the model restores grey ones.", exit=Exit.NOT_READY)
    with naming(job.source):
        pixels = _restored(picture, restore, scale, tile)
    try:
        with replacing(job.target) as file:
            image = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
            image.save(file, format="PNG", icc_profile=picture.profile)
    except OSError as error:
        raise SuiteError(f"{job.target} cannot be written: {error}. Free space or choose another OUT.", exit=Exit.NOT_READY) from error


def _restored(picture: ImageParts, restore: Restorer, scale: int, tile: int | None) -> Pixels:
    """Return the restored picture, uint8 `(H, W, C)`, its alpha the last channel."""
    height, width, channels = picture.planes.shape

    def whole(planes: np.ndarray) -> np.ndarray:
        return _restored_planes(planes, picture.has_alpha, restore, scale)

    if tile is None or height * width <= WHOLE_AT_MOST:
        return whole(picture.planes)
    note(f"an image of {width}x{height} pixels is restored in feathered tiles of {tile} pixels: whole, it may not fit into memory.")
    made, row = np.empty((height * scale, width * scale, channels), np.uint8), 0
    for band in feathered_bands(whole, picture.planes, tile):
        made[row : row + len(band)] = quantise(band)
        row += len(band)
    return made


def _restored_planes(planes: Pixels, has_alpha: bool, restore: Restorer, scale: int) -> Pixels:
    if not has_alpha:
        return quantise(restore(planes))
    colour, alpha = planes[..., :-1], planes[..., -1]
    enlarged = alpha if scale == 1 else imresize(alpha, scale)
    return np.concatenate([quantise(restore(bleed(colour, alpha))), enlarged[..., None]], axis=2)


def bleed(colour: Pixels, alpha: Pixels) -> Pixels:
    """Return `colour` `(H, W, C)` with every pixel that `alpha` `(H, W)` hides wholly like the nearest one that it shows."""
    hidden = alpha == 0
    if not hidden.any() or hidden.all():
        return np.ascontiguousarray(colour)
    from scipy.ndimage import distance_transform_edt  # late: slow to load

    rows, columns = distance_transform_edt(hidden, return_distances=False, return_indices=True)
    return np.ascontiguousarray(colour[rows, columns])


def read_picture(path: Path) -> ImageParts:
    """Read the parts of the image file `path`, upright; SuiteError where it cannot be read, or its mode is refused."""
    image = load_image(path, RESTORED)
    pixels = np.array(image)
    return ImageParts(pixels[..., None] if pixels.ndim == 2 else pixels, image.mode.endswith("A"), image.info.get("icc_profile"))
