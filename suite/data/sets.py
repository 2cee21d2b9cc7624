"""Data sets: named ones, and folders of the user's own; images for training, pairs for testing, checksums and leak checks.

A folder holds `HR/` (high-quality images), or the images themselves. Low-quality files are used where they exist, in `LR/` or, for
bicubic tasks, in `LR_bicubic/X{scale}/` (the layout of MambaIR and BasicSR); otherwise they are made by the task's degradation. Files are
paired by name, never by position.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np

from models.lookup import suggest
from suite.data.degradations import Degradation
from suite.data.images import Pixels, list_images, read_image
from suite.data.photos import SPLITS, Split, load_photos
from suite.data.resize import mod_crop
from suite.errors import Exit, SuiteError
from suite.paths import data_folder

NamedImage = tuple[str, Pixels]

# Data sets that need no folder of the user's.
SETS: Mapping[str, Callable[[Split], list[NamedImage]]] = MappingProxyType({"photos": load_photos})

# How file names of one pair differ from the image's name, {s} being the scale: MambaIR, BasicSR and DIV2K, RCAN, SelfExSR.
HR_SUFFIXES = ("", "_HR", "_HR_x{s}", "_SRF_{s}_HR")
LR_SUFFIXES = ("", "x{s}", "_x{s}", "_LR", "_LR_x{s}", "_LRBI_x{s}", "_SRF_{s}_LR")

COMMON_MULTIPLE = 24  # of the scales 2, 3, 4 and 8


@dataclass(frozen=True)
class Pair:
    """A low-quality image `(H / scale, W / scale, 3)` and its target `(H, W, 3)`, both uint8 RGB."""

    name: str
    lq: Pixels
    hq: Pixels


def load_images(set_or_folder: str, split: Split) -> list[NamedImage]:
    """Names and high-quality images, uint8 RGB `(H, W, 3)`, of one split; a folder is one split, whichever is asked for.

    All images are held in memory. Raises SuiteError where the set, the folder or an image in it cannot be had.
    """
    if split not in SPLITS:
        raise SuiteError(f"a data set has no split {split!r}.{suggest(split, SPLITS)}")
    if set_or_folder in SETS:
        return SETS[set_or_folder](split)
    return [(path.stem, read_image(path)) for path in list_images(_hr_folder(resolve_folder(set_or_folder)))]


def load_pairs(set_or_folder: str, split: Split, degradation: Degradation, seed: int = 0) -> list[Pair]:
    """Pairs for validation or testing: targets cropped to a multiple of the scale, low-quality images read or made.

    Those that are made are seeded by `seed` and the image's name, so that neither order nor number of workers matters. `seed` is
    the test set's, not the cell's: cells that differ in their training seed are measured on the same bytes.
    Raises SuiteError where data are missing, files are unpaired, or sizes do not fit.
    """
    if set_or_folder not in SETS:
        folder = resolve_folder(set_or_folder)
        lr_folder = _lr_folder(folder, degradation)
        if lr_folder is not None:
            return _read_pairs(_hr_folder(folder), lr_folder, degradation.scale)
    pairs = []
    for name, image in load_images(set_or_folder, split):
        hq = _cropped(name, image, degradation.scale)
        pairs.append(Pair(name, degradation.for_image(hq, seed, name), hq))
    return pairs


def resolve_folder(name: str) -> Path:
    """The absolute path of the folder `name`: relative names are looked up in the working folder, then in `$SUITE_DATA`."""
    path = Path(name).expanduser()
    base = data_folder()
    places = [path] if path.is_absolute() else [Path.cwd() / path, *([base / path] if base else [])]
    for place in places:
        if place.is_dir():
            return place.resolve()
    looked = " and ".join(str(place) for place in places)
    hint = "" if base or path.is_absolute() else " $SUITE_DATA, the second place to look in, is not set."
    raise SuiteError(
        f"no data set and no folder is called {name!r}; looked for a folder at {looked}.{hint} Data sets: {', '.join(SETS)}.",
        exit=Exit.NOT_READY,
    )


def _hr_folder(folder: Path) -> Path:
    return folder / "HR" if (folder / "HR").is_dir() else folder


def _lr_folder(folder: Path, degradation: Degradation) -> Path | None:
    """Where low-quality files for `degradation` lie, or None where they are to be made."""
    plain, bicubic = folder / "LR", folder / "LR_bicubic"
    use_bicubic = bicubic.is_dir() and not degradation.random
    if plain.is_dir() and use_bicubic:
        raise SuiteError(f"{folder} has both LR/ and LR_bicubic/; keep the one that is meant.", exit=Exit.NOT_READY)
    found = plain if plain.is_dir() else bicubic / f"X{degradation.scale}" if use_bicubic else None
    if found is None:
        return None
    if not found.is_dir():
        there = ", ".join(sorted(path.name for path in bicubic.iterdir() if path.is_dir())) or "no folder"
        raise SuiteError(
            f"{bicubic} has {there}, but no X{degradation.scale}. Add it, or name a folder that holds the HR images alone: "
            f"{degradation.name!r} then makes the low-quality ones.",
            exit=Exit.NOT_READY,
        )
    if not (folder / "HR").is_dir():
        raise SuiteError(f"{folder} has {found.relative_to(folder)}/ but no HR/ with the targets.", exit=Exit.NOT_READY)
    return found


def _read_pairs(hr_folder: Path, lr_folder: Path, scale: int) -> list[Pair]:
    pairs = []
    for name, hr_path, lr_path in match(list_images(hr_folder), list_images(lr_folder), scale):
        lq = read_image(lr_path)
        hq = _cropped(name, read_image(hr_path), scale)
        if hq.shape[:2] != (lq.shape[0] * scale, lq.shape[1] * scale):
            raise SuiteError(
                f"{lr_path} is {lq.shape[1]}x{lq.shape[0]} pixels (width x height), but its target {hr_path}, cropped to a multiple of "
                f"{scale}, is {hq.shape[1]}x{hq.shape[0]}, which is not {scale} times as large.",
                exit=Exit.NOT_READY,
            )
        pairs.append(Pair(name, lq, hq))
    return pairs


def match(hr_paths: Sequence[Path], lr_paths: Sequence[Path], scale: int) -> list[tuple[str, Path, Path]]:
    """(image's name, high-quality file, low-quality file) by HR_SUFFIXES and LR_SUFFIXES; SuiteError lists what is left over."""
    lr_by_stem = {path.stem: path for path in lr_paths}
    matched: list[tuple[str, Path, Path]] = []
    lonely, taken = [], {}
    for hr_path in hr_paths:
        names = {hr_path.stem.removesuffix(suffix.format(s=scale)) for suffix in HR_SUFFIXES}
        options = sorted({name + suffix.format(s=scale) for name in names for suffix in LR_SUFFIXES} & lr_by_stem.keys())
        if len(options) > 1:
            raise SuiteError(f"{hr_path} fits several low-quality files: {', '.join(options)}. Keep one.", exit=Exit.NOT_READY)
        if not options:
            lonely.append(hr_path)
            continue
        stem = options[0]
        if stem in taken:
            raise SuiteError(f"{lr_by_stem[stem]} fits both {taken[stem].name} and {hr_path.name}. Rename one.", exit=Exit.NOT_READY)
        taken[stem] = hr_path
        matched.append((min(names, key=len), hr_path, lr_by_stem[stem]))
    spare = [path for path in lr_paths if path.stem not in taken]
    if lonely or spare:
        sides = [_left_over("high", "low", lonely), _left_over("low", "high", spare)]
        suffixes = ", ".join(repr(suffix.format(s=scale)) for suffix in LR_SUFFIXES)
        raise SuiteError(
            f"files are paired by name, and some have no partner: {'; '.join(side for side in sides if side)}. "
            f"A low-quality file is called like its target, with one of these endings: {suffixes}.",
            exit=Exit.NOT_READY,
        )
    return matched


def _left_over(quality: str, missing: str, paths: Sequence[Path]) -> str:
    if not paths:
        return ""
    examples = ", ".join(path.name for path in paths[:3]) + (" ..." if len(paths) > 3 else "")
    return f"{len(paths)} {quality}-quality without {missing}-quality in {paths[0].parent} ({examples})"


def _cropped(name: str, image: Pixels, scale: int) -> Pixels:
    if min(image.shape[:2]) < scale:
        raise SuiteError(
            f"the image {name!r} is {image.shape[1]}x{image.shape[0]} pixels: too small for scale {scale}.", exit=Exit.NOT_READY
        )
    return np.ascontiguousarray(mod_crop(image, scale))


def checksum(images: Iterable[NamedImage]) -> str:
    """sha256, hexadecimal, over names, sizes and pixels, whatever the order."""
    digest = hashlib.sha256()
    for name, image in sorted(images, key=lambda item: item[0]):
        digest.update(f"{name}\0{image.shape}\0".encode())
        digest.update(np.ascontiguousarray(image))
    return digest.hexdigest()


def pair_images(pairs: Iterable[Pair]) -> list[NamedImage]:
    """Both images of every pair, named `hq/...` and `lq/...`, as `checksum` takes them."""
    return [item for pair in pairs for item in ((f"hq/{pair.name}", pair.hq), (f"lq/{pair.name}", pair.lq))]


def check_disjoint(splits: Mapping[str, tuple[str, Sequence[NamedImage]]]) -> None:
    """Raises SuiteError where two splits share an image: {"train": (set or folder, images), "test": ...}.

    Images are compared by their pixels and, within one set or folder, by their names too (different collections both count from 0001).
    A copy that was only cropped to a multiple of a scale is still recognised.
    """
    seen: dict[tuple[str, ...], tuple[str, str]] = {}
    for split, (origin, images) in splits.items():
        for name, image in images:
            for key in (("pixels", _pixel_key(image)), ("name", origin, name)):
                other_split, other_name = seen.setdefault(key, (split, name))
                if other_split != split:
                    raise SuiteError(
                        f"the image {name!r} of the {split} set {origin!r} is in the {other_split} set too (as {other_name!r}). "
                        "Training, validation and test images must be different: change one of the sets.",
                    )


def _pixel_key(image: Pixels) -> str:
    common = mod_crop(image, COMMON_MULTIPLE)
    return checksum([("", common if common.size else image)])
