"""Data sets: named ones, and folders of the user's own; images for training, pairs for testing, checksums and leak checks.

A name is that of an embedded set, of a card (suite.data.cards), or of a folder (suite.data.layouts.folders). Low-quality files are used
where they exist; otherwise they are made by the task's degradation. Files are paired by name, never by position.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from models.lookup import UnknownName, suggest
from suite.core.errors import Exit, SuiteError
from suite.core.look import one_look
from suite.core.paths import data_folder
from suite.core.text import count_of
from suite.data.cards import SPLITS, Split, card, cards
from suite.data.colour import in_grey
from suite.data.images import Pixels, read_image
from suite.data.layouts.folders import pairs_in, targets_in
from suite.data.layouts.locate import FilePair, file_pairs
from suite.data.pairs import Pair, PairSource
from suite.data.photos import CROPS_NAME, PHOTOS_NAME, load_crops, load_photos
from suite.study.protocols import Protocol
from suite.study.tasks import Task

NamedImage = tuple[str, Pixels]

# Data sets that need no folder of the user's.
SETS: Mapping[str, Callable[[Split], list[NamedImage]]] = MappingProxyType({PHOTOS_NAME: load_photos, CROPS_NAME: load_crops})


def load_images(set_or_folder: str, split: Split) -> list[NamedImage]:
    """Return names and high-quality images, uint8 RGB `(H, W, 3)`, of one split; a folder is one split, whichever is asked for.

    All images are held in memory. Raises SuiteError where the set, the folder or an image in it cannot be had.
    """
    if split not in SPLITS:
        raise SuiteError(f"a data set has no split {split!r}.{suggest(split, SPLITS)}")
    own = embedded_name(set_or_folder)
    if own is not None:
        return SETS[own](split)
    return [(name, read_image(path)) for name, path in targets_in(resolve_folder(set_or_folder), split)]


def load_pairs(set_or_folder: str, split: Split, task: Task, rule: Protocol, seed: int = 0) -> list[Pair]:
    """Return pairs for validation or testing: targets cropped to a multiple of the scale, low-quality images read or made.

    Those that are made are seeded by `seed` and the image's name, so that neither order nor number of workers matters; Gaussian noise is
    seeded by `seed` alone, as its published realisation asks (suite.data.degrade.noise). `seed` is the test set's, not the cell's: cells
    that differ in their training seed are measured on the same bytes. `rule` is the protocol, which decides the order of noise and the
    type of the low-quality image. Raises SuiteError where data are missing, files are unpaired, or sizes do not fit.
    """
    return [source.load() for source in pair_sources(set_or_folder, split, task, rule, seed)]


def pair_sources(set_or_folder: str, split: Split, task: Task, rule: Protocol, seed: int = 0) -> list[PairSource]:
    """Return the pairs of `load_pairs`, found but not yet read or made."""
    with one_look():
        return _find_sources(set_or_folder, split, task, rule, seed)


def _find_sources(set_or_folder: str, split: Split, task: Task, rule: Protocol, seed: int) -> list[PairSource]:
    if embedded_name(set_or_folder) is not None:
        images = load_images(set_or_folder, split)
        return [PairSource(name, in_grey(rule, image) if task.channels == 1 else image, None, task, rule, seed) for name, image in images]
    carded = card_name(set_or_folder)
    if carded is not None:
        return _card_sources(carded, split, task, rule, seed)
    found = pairs_in(resolve_folder(set_or_folder), split=split, kind=task.kind, scale=task.scale, level=task.level)
    return _sources(set_or_folder, found, task, rule, seed)


def canonical_name(name: str) -> str:
    """Return `name` so that it means the same in any process and folder: a set's or card's own name, or a folder's absolute path."""
    return embedded_name(name) or card_name(name) or str(resolve_folder(name))


def embedded_name(name: str) -> str | None:
    """Return the name of the set that needs no folder and is called `name`, whatever its case; None where none is."""
    return next((known for known in SETS if known.casefold() == name.casefold()), None)


def card_name(name: str) -> str | None:
    """Return the name of the card that `name` (or an alias) means; None where there is none. A folder of that name is written ./name."""
    if os.sep in name or name in (os.curdir, os.pardir):
        return None
    try:
        return card(name).name
    except UnknownName:
        return None


def _card_sources(name: str, split: Split, task: Task, rule: Protocol, seed: int) -> list[PairSource]:
    """Return a card's pairs; where a set is tested on its validation images (SIDD), those are the test."""
    chosen = card(name)
    if chosen.scored_by:
        raise SuiteError(f"{name} cannot be measured here: {chosen.scored_by}.", exit=Exit.NOT_READY)
    splits = chosen.splits
    wanted = "validation" if split == "test" and "test" not in splits and "validation" in splits else split
    return _sources(name, file_pairs(name, split=wanted, kind=task.kind, scale=task.scale, level=task.level), task, rule, seed)


def _sources(name: str, found: Sequence[FilePair], task: Task, rule: Protocol, seed: int) -> list[PairSource]:
    """Return the pairs of the set or folder `name`; SuiteError where it has no targets."""
    without = [pair.name for pair in found if pair.hq is None]
    if without:
        raise SuiteError(
            f"{name} has no targets ({count_of(len(without), 'image')}, e.g. {without[0]}): nothing can be measured on it. "
            "`python -m suite restore` restores such images.",
            exit=Exit.NOT_READY,
        )
    return [PairSource(pair.name, pair.hq, pair.lq, task, rule, seed, pair.block) for pair in found if pair.hq is not None]


def resolve_folder(name: str) -> Path:
    """Return the absolute path of the folder `name`: relative names are looked up in the working folder, then in `$SUITE_DATA`."""
    path = Path(name)
    with contextlib.suppress(RuntimeError):  # nobody knows what its ~ stands for
        path = path.expanduser()
    base = data_folder()
    places = [path] if path.is_absolute() else [Path.cwd() / path, *([base / path] if base else [])]
    for place in places:
        if place.is_dir():
            return place.resolve()
    looked = " and ".join(str(place) for place in places)
    hint = "" if base or path.is_absolute() else " $SUITE_DATA, the second place to look in, is not set."
    raise SuiteError(
        f"no data set and no folder is called {name!r}; looked for a folder at {looked}.{hint} Data sets: {', '.join(cards())}.",
        exit=Exit.NOT_READY,
    )
