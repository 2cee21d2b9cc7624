"""Images to be trained on, checksums of images, and whether two splits share one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from suite.core.errors import SuiteError
from suite.core.output import note
from suite.data import digest
from suite.data.cards import PAIRED
from suite.data.feed import cache
from suite.data.feed.mapped import decoded_bytes, map_pairs, map_targets
from suite.data.images import three_channels
from suite.data.layouts.survey import check_images
from suite.data.pairs import Pair, PairSource, read_for
from suite.data.sets import NamedImage, pair_sources
from suite.study.protocols import protocol
from suite.study.tasks import Task


@dataclass(frozen=True)
class TrainingSet:
    """Images to be trained on, in memory or mapped; `low` holds their low-quality versions where the user or the cache has them."""

    images: Sequence[NamedImage]
    low: Sequence[np.ndarray] | None


def training_sources(set_or_folder: str, task: Task) -> list[PairSource]:
    """Return the images that `task` trains on, found but not yet read; without their low-quality files where those are not used."""
    rule = replace(protocol(task.protocol), grey="repeat")  # a network is trained on its task's channels, whatever a grey file is in tests
    sources = pair_sources(set_or_folder, "train", task, rule)
    return sources if task.kind in PAIRED else without_low(sources)


def without_low(sources: Sequence[PairSource]) -> list[PairSource]:
    """Return the sources without their low-quality files."""
    return [source if source.lq is None else replace(source, lq=None) for source in sources]


def load_training(set_or_folder: str, task: Task) -> TrainingSet:
    """Load what `task` trains on. Real pairs are used where the task is about them (rain, cameras): others are made by the task.

    A set of up to `cache.IN_MEMORY` bytes is held in memory; a larger one is decoded once and mapped (suite.data.feed.cache): the same
    pixels, in the same order. Raises SuiteError where data are missing, files are unpaired, sizes do not fit, or the disk has no room.
    """
    sources = training_sources(set_or_folder, task)
    paired = any(source.lq is not None for source in sources)
    sides = [path for source in sources for path in (source.hq, source.lq) if path is not None]
    files = [side for side in sides if isinstance(side, Path)]
    for sentence in check_images(files).left_out:
        note(f"{set_or_folder}: {sentence}.")
    single = len(files) == len(sides) and all(source.block is None for source in sources)  # what else there is, is small
    if single and decoded_bytes(files, task.channels) > cache.IN_MEMORY:
        return TrainingSet(*(map_pairs if paired else map_targets)(sources, task))
    if paired:
        pairs = [source.load() for source in sources]
        return TrainingSet([(pair.name, pair.hq) for pair in pairs], [pair.lq for pair in pairs])
    read = [(source.name, source.hq if isinstance(source.hq, np.ndarray) else read_for(source.hq, task)) for source in sources]
    return TrainingSet(read, None)


def checksum(images: Iterable[tuple[str, np.ndarray]]) -> str:
    """Return sha256, hexadecimal, over names, sizes and pixels, whatever the order; mapped images know theirs."""
    return images.mapped.checksum if isinstance(images, cache.NamedImages) else digest.digest_set(images)


def pair_images(pairs: Iterable[Pair]) -> list[tuple[str, np.ndarray]]:
    """Return both images of every pair, named `hq/...` and `lq/...`, as `checksum` takes them."""
    return [item for pair in pairs for item in ((f"hq/{pair.name}", pair.hq), (f"lq/{pair.name}", pair.lq))]


def check_disjoint(splits: Mapping[str, tuple[str, Sequence[tuple[str, np.ndarray]]]]) -> None:
    """Raise SuiteError where two splits share an image: {"train": (set or folder, images), "test": ...}.

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
    """Return the name of each image, and what its pixels are recognised by; mapped images are not read for it."""
    if isinstance(images, cache.NamedImages):
        return zip(images.mapped.names, images.mapped.pixel_keys, strict=True)
    # Of a grey image also those of the colour image that another split may hold of it.
    return ((name, digest.pixel_key(one)) for name, image in images for one in {image.shape[2]: image, 3: three_channels(image)}.values())
