"""Restoring image files: which file becomes which, and what is done to modes that a network does not take.

Grey images stay grey: a network of three channels sees the plane three times, and the mean of its outputs is kept. Transparency is kept:
colours are restored as if there were none, and the alpha channel is enlarged bicubically. A palette's colours are looked up. An EXIF
orientation is applied, a colour profile is kept. 16 bits a channel, floating point and CMYK are refused, since a conversion would change
values by a rule of ours. Restored images are PNG files, whatever the source was: nothing is lost again.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

import models
from suite.core.errors import Exit, SuiteError
from suite.core.files import replacing
from suite.core.output import note
from suite.data.colour import quantise
from suite.data.folders import targets_below
from suite.data.images import IMAGE_SUFFIXES, Pixels, is_deep, open_image
from suite.data.mixed import both_sides
from suite.data.pairing import fold_name, shorten
from suite.data.resize import imresize
from suite.data.walk import walk_files
from suite.measure.inference.restorer import Restorer
from suite.study.tasks import Task
from suite.study.tasks import task as task_row

if TYPE_CHECKING:
    from PIL.Image import Image

SHOWN = 5  # files of a list that a message names
RESTORABLE = "8-bit grey, RGB, palette and black-and-white images are restored, with or without transparency"


@dataclass(frozen=True)
class Restoration:
    """A file to be restored, and where the result goes."""

    source: Path
    target: Path


@dataclass(frozen=True)
class ImageParts:
    """An image file's parts: colour `(H, W, 1 or 3)` and, where it has one, alpha `(H, W)`; uint8."""

    colour: Pixels
    alpha: Pixels | None
    profile: bytes | None  # ICC


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


def plan_restorations(source: Path, target: Path, suffix: str, *, overwrite: bool) -> list[Restoration]:
    """Plan what is to be done, all checked before the first image is opened.

    SuiteError where `source` is not there or holds no image, a result would fall upon a source or another result, or upon a file that is
    there and `overwrite` is not given.
    """
    if "/" in suffix or "\\" in suffix:
        raise SuiteError(f"--suffix {suffix!r} is part of a file's name: it holds no slash.")
    if source.is_dir():
        jobs = _of_folder(source, target, suffix)
    elif source.is_file():
        jobs = [Restoration(source, _file_for(source, target, suffix))]
    else:
        raise SuiteError(f"there is no image and no folder {source}.", exit=Exit.NOT_READY)
    sources = {job.source.resolve() for job in jobs}
    by_target: dict[str, Path] = {}  # by what other systems take for one name
    for job in jobs:
        place = job.target.resolve()
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
    return jobs


def _of_folder(source: Path, target: Path, suffix: str) -> list[Restoration]:
    if target.is_file():
        raise SuiteError(f"{source} is a folder, and OUT {target} a file: name a folder.")
    to, origin = target.resolve(), source.resolve()
    if to == origin:
        raise SuiteError(f"IN and OUT are the same folder, {source}. Restored images go elsewhere.")
    if origin in to.parents:
        raise SuiteError(f"OUT {target} lies in IN {source}: the next run would restore what this one has. Choose a folder beside it.")
    found = _without_targets(source, sorted(path for path in walk_files(source) if _is_image(path, source)))
    if linked := next((path.parent for path in found if path.parent.resolve() in (to, *to.parents)), None):
        raise SuiteError(f"OUT {target} lies in IN, which {linked} leads to: choose a folder beside them.")
    if not found:
        known = ", ".join(sorted(IMAGE_SUFFIXES))
        raise SuiteError(f"there are no images in {source} ({known} are looked for).", exit=Exit.NOTHING)
    return [Restoration(path, target / path.relative_to(source).parent / f"{path.stem}{suffix}.png") for path in found]


def _without_targets(source: Path, paths: list[Path]) -> list[Path]:
    """Leave out targets of low-quality files that are there too, and what is called after those; standard error says which."""
    both = both_sides(paths, source) if paths else None
    if both is not None:
        left = (both.high | both.beside) - both.low
        note(f"{both.sentence}: {len(left)} files are not restored ({shorten(sorted(path.name for path in left))}).")
        paths = [path for path in paths if path not in left]
    targets = targets_below(source, paths)
    if targets:
        named = shorten(sorted(path.relative_to(source).as_posix() for path in targets))
        note(f"{source} holds targets and low-quality files in folders: {len(targets)} targets are not restored ({named}).")
    return [path for path in paths if path not in targets]


def _is_image(path: Path, base: Path) -> bool:
    hidden = any(part.startswith(".") for part in path.relative_to(base).parts)
    return not hidden and path.suffix.lower() in IMAGE_SUFFIXES and path.is_file()


def _file_for(source: Path, target: Path, suffix: str) -> Path:
    if target.is_dir() or not target.suffix:
        return target / f"{source.stem}{suffix}.png"
    if target.suffix.lower() != ".png":
        raise SuiteError(f"OUT {target} is not a .png file: restored images are written as PNG, which loses nothing.")
    return target.with_name(f"{target.stem}{suffix}{target.suffix}")


def restore_file(job: Restoration, restore: Restorer, scale: int, *, channels: int) -> None:
    """Read, restore and write one image, whole or not at all; SuiteError names the file where it cannot be done."""
    from PIL import Image  # late: slow to load

    picture = read_picture(job.source)
    if picture.colour.shape[2] > channels:
        raise SuiteError(f"{job.source} is a colour image, and the model restores grey ones.", exit=Exit.NOT_READY)
    planes = [quantise(restore(picture.colour))]
    if picture.alpha is not None:
        planes.append((picture.alpha if scale == 1 else imresize(picture.alpha, scale))[..., None])
    pixels = np.concatenate(planes, axis=2)
    try:
        with replacing(job.target) as file:
            image = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
            image.save(file, format="PNG", icc_profile=picture.profile)
    except OSError as error:
        raise SuiteError(f"{job.target} cannot be written: {error}. Free space or choose another OUT.", exit=Exit.NOT_READY) from error


def read_picture(path: Path) -> ImageParts:
    """Read the parts of the image file `path`, upright; SuiteError where it cannot be read, or its mode is refused."""
    from PIL import ImageOps  # late: slow to load

    with open_image(path) as file:
        if is_deep(file) or file.mode.startswith("I"):
            raise SuiteError(f"{path} has 16 bits a channel; {RESTORABLE}. Convert it to 8 bit first.", exit=Exit.NOT_READY)
        file.load()
        return _parts(ImageOps.exif_transpose(file), path)


def _parts(image: Image, path: Path) -> ImageParts:
    profile = image.info.get("icc_profile")
    if image.mode == "1":
        image = image.convert("L")
    elif image.mode == "P" or (image.mode in ("L", "RGB") and "transparency" in image.info):
        see_through = "transparency" in image.info
        image = image.convert({"L": "LA"}.get(image.mode, "RGBA") if see_through else "RGB")
    if image.mode not in ("L", "LA", "RGB", "RGBA"):
        raise SuiteError(f"{path} has mode {image.mode}; {RESTORABLE}. Convert it first.", exit=Exit.NOT_READY)
    pixels = np.array(image)
    pixels = pixels[..., None] if pixels.ndim == 2 else pixels
    has_alpha = image.mode.endswith("A")
    colour = pixels[..., :-1] if has_alpha else pixels
    return ImageParts(np.ascontiguousarray(colour), np.ascontiguousarray(pixels[..., -1]) if has_alpha else None, profile)
