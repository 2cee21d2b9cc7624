"""Which data set test images are: told by its card's checksums where it has some, else by number and sizes."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from suite.data.cards import Card, Split, card
from suite.data.check.traps import warn_of_faulty_copy
from suite.data.images import describe, read_image
from suite.data.mat_files import read_block
from suite.data.pairs import PairSource
from suite.data.sets import card_name
from suite.records.record import DataState, TestData


def identify_test_data(name: str, sources: Sequence[PairSource], split: Split = "test") -> TestData:
    """Return which set the test images (or those of another split) of `name` are, and how far that is known."""
    found = card_name(name)
    if found is None:
        return TestData(card="", expected=0, measured=len(sources), state="other")
    chosen = card(found)
    expected = chosen.splits.get(split, chosen.splits.get("validation", 0) if split == "test" else 0)
    return TestData(card=chosen.name, expected=expected, measured=len(sources), state=_state(chosen, expected, sources))


def _state(chosen: Card, expected: int, sources: Sequence[PairSource]) -> DataState:
    """Compare each side of the pairs with the card's versions of it. Low-quality images that the suite makes need no checksum."""
    files = [source.hq for source in sources if isinstance(source.hq, Path) and source.block is None]
    heads = map(describe, files if chosen.faulty else [])  # a training set may have a hundred thousand
    sizes = [(head.height, head.width) for head in heads]
    if (expected and len(sources) != expected) or warn_of_faulty_copy(chosen, sizes):
        return "other"
    sides = {"hq": [(source.hq, source.block) for source in sources]}
    read = [(source.lq, source.block) for source in sources if source.lq is not None]
    if read:
        sides["lq"] = read
    known = True
    for side, images in sides.items():
        versions = [set(version.pixels.values()) for version in chosen.version if version.side == side]
        if not versions:
            known = False
            continue
        digests = {_digest(*image) for image in images}
        if len(digests) < len(images) or not any(digests <= version for version in versions):  # a version may hold other splits, too
            return "other"
    return "verified" if known else "unverified"


def _digest(image: object, block: int | None) -> str:
    if isinstance(image, Path):
        image = read_image(image) if block is None else read_block(image, block)
    return hashlib.sha256(image.tobytes()).hexdigest()
