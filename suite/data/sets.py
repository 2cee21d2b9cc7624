"""Data sets: named ones, and folders of the user's own; images for training, pairs for testing, checksums and leak checks.

A name is that of an embedded set, of a card (suite.data.cards), or of a folder. A folder holds its high-quality images in `HR/` or
`target/`, or directly. Low-quality files are used where they exist, in `LR/` or `input/` or, for bicubic tasks, in `LR_bicubic/X{scale}/`
(the layouts of MambaIR, BasicSR and Restormer), or beside their targets (suite.data.mixed); otherwise they are made by the task's
degradation. Files are paired by name, never by position.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from models.lookup import UnknownName, suggest
from suite.data import cache, digest, mixed
from suite.data.degradations import degradation
from suite.data.digest import COMMON_MULTIPLE as COMMON_MULTIPLE  # what images are recognised by
from suite.data.images import Pixels, alike, list_images, read_image, read_stored, three_channels
from suite.data.pairing import only_pairs, pair_up
from suite.data.photos import CROPS, NAME, load_crops, load_photos
from suite.data.resize import imresize, mod_crop
from suite.data.splits import SPLITS, Split
from suite.errors import Exit, SuiteError
from suite.metrics.fidelity import grey, in_grey, luma
from suite.paths import data_folder

if TYPE_CHECKING:
    from suite.protocols import Protocol
    from suite.tasks import Task

NamedImage = tuple[str, Pixels]

# Data sets that need no folder of the user's.
SETS: Mapping[str, Callable[[Split], list[NamedImage]]] = MappingProxyType({NAME: load_photos, CROPS: load_crops})

HIGH, LOW = ("HR", "target"), ("LR", "input")  # folders of a pair's two sides


@dataclass(frozen=True)
class Pair:
    """A low-quality image `(H / scale, W / scale, C)`, uint8, or floating point around 0..1, and its target, uint8 `(H, W, C)`.

    C is 3 (RGB), or 1 for the tasks on grey images, and where the target is a grey file that the protocol takes as it is.
    """

    name: str
    lq: np.ndarray
    hq: Pixels


@dataclass(frozen=True)
class PairSource:
    """Where a pair comes from: it is read or made by `load`, in any process, with the same bytes."""

    name: str
    hq: Path | Pixels
    lq: Path | None  # None: made by the task's degradation
    task: Task
    rule: Protocol
    seed: int
    block: int | None = None  # of a .mat file that holds many images

    def load(self) -> Pair:
        """The pair; SuiteError where a file cannot be read, or sizes do not fit."""
        scale = self.task.scale
        hq = self.hq if isinstance(self.hq, np.ndarray) else read_for(self.hq, self.task, self.block, self.rule)
        hq = _cropped(self.name, hq, scale)
        if self.rule.lowres == "float-y" and scale > 1:
            return Pair(self.name, _low_plane(hq, scale), hq)
        if self.lq is None:
            return Pair(self.name, self._made(hq), hq)
        lq = self._read_low(hq)
        if hq.shape[:2] != (lq.shape[0] * scale, lq.shape[1] * scale):
            cropped, wanted = (
                (f", cropped to a multiple of {scale},", f"not {scale} times as large") if scale > 1 else ("", "of another size")
            )
            target = self.hq if isinstance(self.hq, Path) else repr(self.name)
            raise SuiteError(
                f"{self.lq} is {lq.shape[1]}x{lq.shape[0]} pixels (width x height), but its target {target}{cropped} is "
                f"{hq.shape[1]}x{hq.shape[0]}, which is {wanted}.",
                exit=Exit.NOT_READY,
            )
        return Pair(self.name, lq, hq)

    def _made(self, hq: Pixels) -> np.ndarray:
        row = degradation(self.task.degradation)
        if hq.shape[2] < row.channels and not row.takes_grey:
            raise SuiteError(
                f"{self.hq} is a grey file, whose plane {self.rule.key} compares as it is, and {row.name} makes colour images alone. "
                "Choose a protocol that repeats grey files in three channels (`python -m suite list protocols`), or leave the image out.",
                exit=Exit.NOT_READY,
            )
        return row.for_image(hq, self.seed, self.name, self.rule.noise or "bgr")

    def _read_low(self, hq: Pixels) -> Pixels:
        lq = alike(read_for(self.lq, self.task, self.block, self.rule), hq)
        if lq is None:
            raise SuiteError(
                f"{self.lq} is a colour image, and its target {self.hq} a grey file, whose plane {self.rule.key} compares as it is. "
                "Store the low-quality image as a grey file, or choose a protocol that repeats them (`python -m suite list protocols`).",
                exit=Exit.NOT_READY,
            )
        return lq


@dataclass(frozen=True)
class TrainingSet:
    """Images to be trained on, in memory or mapped; `low` holds their low-quality versions where the user or the cache has them."""

    images: Sequence[NamedImage]
    low: Sequence[np.ndarray] | None


def load_images(set_or_folder: str, split: Split) -> list[NamedImage]:
    """Names and high-quality images, uint8 RGB `(H, W, 3)`, of one split; a folder is one split, whichever is asked for.

    All images are held in memory. Raises SuiteError where the set, the folder or an image in it cannot be had.
    """
    if split not in SPLITS:
        raise SuiteError(f"a data set has no split {split!r}.{suggest(split, SPLITS)}")
    own = embedded(set_or_folder)
    if own is not None:
        return SETS[own](split)
    paths = list_images(_hr_folder(resolve_folder(set_or_folder)))
    return [(path.stem, read_image(path)) for path in mixed.targets_of(paths)]


def load_training(set_or_folder: str, task: Task) -> TrainingSet:
    """What `task` trains on. Real pairs are used where the task is about them (rain, cameras): others are made by the task.

    A set of up to `cache.IN_MEMORY` bytes is held in memory; a larger one is decoded once and mapped (suite.data.cache): the same pixels,
    in the same order. Raises SuiteError where data are missing, files are unpaired, sizes do not fit, or the disk has no room.
    """
    from suite.data.training import decoded_bytes, mapped_pairs, mapped_targets
    from suite.protocols import protocol

    rule = replace(protocol(task.protocol), grey="repeat")  # a network is trained on its task's channels, whatever a grey file is in tests
    sources = pair_sources(set_or_folder, "train", task, rule)
    paired = task.kind in ("derain", "real-denoise") and any(source.lq is not None for source in sources)
    sides = [path for source in sources for path in (source.hq, source.lq if paired else None) if path is not None]
    files = [side for side in sides if isinstance(side, Path)]
    single = len(files) == len(sides) and all(source.block is None for source in sources)  # what else there is, is small
    if single and decoded_bytes(files, task.channels) > cache.IN_MEMORY:
        return TrainingSet(*(mapped_pairs if paired else mapped_targets)(sources, task))
    if paired:
        pairs = [source.load() for source in sources]
        return TrainingSet([(pair.name, pair.hq) for pair in pairs], [pair.lq for pair in pairs])
    read = [(source.name, source.hq if isinstance(source.hq, np.ndarray) else read_for(source.hq, task)) for source in sources]
    return TrainingSet(read, None)


def load_pairs(set_or_folder: str, split: Split, task: Task, rule: Protocol, seed: int = 0) -> list[Pair]:
    """Pairs for validation or testing: targets cropped to a multiple of the scale, low-quality images read or made.

    Those that are made are seeded by `seed` and the image's name, so that neither order nor number of workers matters; Gaussian noise is
    seeded by `seed` alone, as its published realisation asks (suite.data.noise). `seed` is the test set's, not the cell's: cells that
    differ in their training seed are measured on the same bytes. `rule` is the protocol, which decides the order of noise and the type of
    the low-quality image. Raises SuiteError where data are missing, files are unpaired, or sizes do not fit.
    """
    return [source.load() for source in pair_sources(set_or_folder, split, task, rule, seed)]


def pair_sources(set_or_folder: str, split: Split, task: Task, rule: Protocol, seed: int = 0) -> list[PairSource]:
    """The pairs of `load_pairs`, found but not yet read or made."""
    if embedded(set_or_folder) is not None:
        images = load_images(set_or_folder, split)
        return [PairSource(name, in_grey(rule, image) if task.channels == 1 else image, None, task, rule, seed) for name, image in images]
    card = card_name(set_or_folder)
    if card is not None:
        return _card_sources(card, split, task, rule, seed)
    folder = resolve_folder(set_or_folder)
    hr_folder, lr_folder = _hr_folder(folder), _lr_folder(folder, task)
    paths = list_images(hr_folder)
    if lr_folder is None:
        both = mixed.both_sides(paths)
        if both is None:
            return [PairSource(path.stem, path, None, task, rule, seed) for path in paths]
        return [PairSource(name, hr_path, lr_path, task, rule, seed) for name, hr_path, lr_path in both.taken(task.scale)]
    matched = only_pairs(mixed.without_mixed(pair_up(paths, list_images(lr_folder), scale=task.scale), paths), task.scale)
    return [PairSource(name, hr_path, lr_path, task, rule, seed) for name, hr_path, lr_path in matched]


def canonical(name: str) -> str:
    """`name` so that it means the same in any process and folder: a set's or card's own name, or a folder's absolute path."""
    return embedded(name) or card_name(name) or str(resolve_folder(name))


def embedded(name: str) -> str | None:
    """The name of the set that needs no folder and is called `name`, whatever its case; None where none is."""
    return next((known for known in SETS if known.casefold() == name.casefold()), None)


def card_name(name: str) -> str | None:
    """The name of the card that `name` (or an alias) means; None where no card is called so. A folder of that name is written ./name."""
    from suite.data.cards import card

    if os.sep in name or name in (os.curdir, os.pardir):
        return None
    try:
        return card(name).name
    except UnknownName:
        return None


def _card_sources(name: str, split: Split, task: Task, rule: Protocol, seed: int) -> list[PairSource]:
    """A card's pairs; where a set is tested on its validation images (SIDD), those are the test."""
    from suite.data.cards import card
    from suite.data.locate import file_pairs

    chosen = card(name)
    if chosen.scored_by:
        raise SuiteError(f"{name} cannot be measured here: {chosen.scored_by}.", exit=Exit.NOT_READY)
    splits = chosen.splits
    wanted = "validation" if split == "test" and "test" not in splits and "validation" in splits else split
    found = file_pairs(name, split=wanted, kind=task.kind, scale=task.scale, level=task.level)
    without = [pair.name for pair in found if pair.hq is None]
    if without:
        raise SuiteError(
            f"{name} has no targets ({len(without)} images, e.g. {without[0]}): nothing can be measured on it. "
            "`python -m suite restore` restores such images.",
            exit=Exit.NOT_READY,
        )
    return [PairSource(pair.name, pair.hq, pair.lq, task, rule, seed, pair.block) for pair in found if pair.hq is not None]


def read_for(path: Path, task: Task, block: int | None = None, rule: Protocol | None = None) -> Pixels:
    """The image as `task` takes it, uint8 `(H, W, 3)` or `(H, W, 1)`: for training, or for a test by `rule`, which may leave grey so."""
    if block is not None:
        from suite.data.inspect_mat import read_block

        image = read_block(path, block)
    else:
        image = read_stored(path) if rule is not None and rule.grey == "plane" else read_image(path)
    if task.channels == 3:
        return image
    return grey(image)[..., None] if rule is None else in_grey(rule, image)


def _low_plane(hq: Pixels, scale: int) -> np.ndarray:
    """The 8-bit Y plane of `hq`, or a grey file's own, shrunk in floating point: `(H / scale, W / scale, 1)`, 0..1 for 0..255."""
    plane = hq[..., 0].astype(np.float64) if hq.shape[2] == 1 else np.floor(luma(hq) + 0.5)
    return imresize(plane / 255, 1 / scale, between="float")[..., None]


def resolve_folder(name: str) -> Path:
    """The absolute path of the folder `name`: relative names are looked up in the working folder, then in `$SUITE_DATA`."""
    path = Path(name).expanduser()
    base = data_folder()
    places = [path] if path.is_absolute() else [Path.cwd() / path, *([base / path] if base else [])]
    for place in places:
        if place.is_dir():
            return place.resolve()
    from suite.data.cards import cards

    looked = " and ".join(str(place) for place in places)
    hint = "" if base or path.is_absolute() else " $SUITE_DATA, the second place to look in, is not set."
    raise SuiteError(
        f"no data set and no folder is called {name!r}; looked for a folder at {looked}.{hint} Data sets: {', '.join(cards())}.",
        exit=Exit.NOT_READY,
    )


def _hr_folder(folder: Path) -> Path:
    found = [folder / name for name in HIGH if (folder / name).is_dir()]
    if len(found) > 1:
        raise SuiteError(f"{folder} has both {found[0].name}/ and {found[1].name}/; keep the one that is meant.", exit=Exit.NOT_READY)
    return found[0] if found else folder


def _lr_folder(folder: Path, task: Task) -> Path | None:
    """Where low-quality files for `task` lie, or None where they are to be made."""
    scale, bicubic = task.scale, folder / "LR_bicubic"
    found = [folder / name for name in LOW if (folder / name).is_dir()]
    if bicubic.is_dir() and task.kind == "sr":
        found.append(bicubic / f"X{scale}")
    if len(found) > 1:
        first, second = (path.relative_to(folder).parts[0] for path in found[:2])
        raise SuiteError(f"{folder} has both {first}/ and {second}/; keep the one that is meant.", exit=Exit.NOT_READY)
    if not found:
        return None
    if not found[0].is_dir():
        there = ", ".join(sorted(path.name for path in bicubic.iterdir() if path.is_dir())) or "no folder"
        raise SuiteError(
            f"{bicubic} has {there}, but no X{scale}. Add it, or name a folder that holds the HR images alone: "
            f"{task.degradation!r} then makes the low-quality ones.",
            exit=Exit.NOT_READY,
        )
    if _hr_folder(folder) == folder:
        names = " or ".join(f"{name}/" for name in HIGH)
        raise SuiteError(f"{folder} has {found[0].relative_to(folder)}/ but no {names} with the targets.", exit=Exit.NOT_READY)
    return found[0]


def _cropped(name: str, image: Pixels, scale: int) -> Pixels:
    if min(image.shape[:2]) < scale:
        raise SuiteError(
            f"the image {name!r} is {image.shape[1]}x{image.shape[0]} pixels: too small for scale {scale}.", exit=Exit.NOT_READY
        )
    return np.ascontiguousarray(mod_crop(image, scale))


def checksum(images: Iterable[tuple[str, np.ndarray]]) -> str:
    """sha256, hexadecimal, over names, sizes and pixels, whatever the order; mapped images know theirs."""
    return images.mapped.checksum if isinstance(images, cache.Named) else digest.of_set(images)


def pair_images(pairs: Iterable[Pair]) -> list[tuple[str, np.ndarray]]:
    """Both images of every pair, named `hq/...` and `lq/...`, as `checksum` takes them."""
    return [item for pair in pairs for item in ((f"hq/{pair.name}", pair.hq), (f"lq/{pair.name}", pair.lq))]


def check_disjoint(splits: Mapping[str, tuple[str, Sequence[tuple[str, np.ndarray]]]]) -> None:
    """Raises SuiteError where two splits share an image: {"train": (set or folder, images), "test": ...}.

    Images are compared by their pixels and, within one set or folder, by their names too (different collections both count from 0001).
    A copy that was only cropped to a multiple of a scale is still recognised.
    """
    seen: dict[tuple[str, ...], tuple[str, str]] = {}
    for split, (origin, images) in splits.items():
        for name, pixels in _recognised(images):
            for key in (("pixels", pixels), ("name", origin, name)):
                other_split, other_name = seen.setdefault(key, (split, name))
                if other_split != split:
                    raise SuiteError(
                        f"the image {name!r} of the {split} set {origin!r} is in the {other_split} set too (as {other_name!r}). "
                        "Training, validation and test images must be different: change one of the sets.",
                    )


def _recognised(images: Sequence[tuple[str, np.ndarray]]) -> Iterable[tuple[str, str]]:
    """The name of each image, and what its pixels are recognised by; mapped images are not read for it."""
    if isinstance(images, cache.Named):
        return zip(images.mapped.names, images.mapped.pixel_keys, strict=True)
    return ((name, digest.pixel_key(shown)) for name, image in images for shown in _as_stored(image))


def _as_stored(image: np.ndarray) -> list[np.ndarray]:
    """A grey image also as the colour image that another split may hold of it."""
    return [image, three_channels(image)] if image.shape[2] == 1 else [image]
