"""Which data set test images are: told by its card's checksums where it has some, else by number and sizes."""

from __future__ import annotations

import hashlib
from collections import Counter
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
    found: dict[str, list[str]] = {}
    fitting: dict[str, dict[str, str]] = {}
    for side, images in sides.items():
        versions = [version.pixels for version in chosen.version if version.side == side]
        if not versions:
            continue
        found[side] = [_digest(*image) for image in images]
        # A version may hold other splits, too, and one image several times, as Rain100L does.
        fits = next((one for one in versions if Counter(found[side]) <= Counter(one.values())), None)
        if fits is None:
            return "other"
        fitting[side] = fits
    if len(fitting) == 2 and fitting["hq"].keys() == fitting["lq"].keys():  # both sides may be the card's, and their pairs not
        pairs = Counter((fitting["hq"][name], fitting["lq"][name]) for name in fitting["hq"])
        if not Counter(zip(found["hq"], found["lq"], strict=False)) <= pairs:
            return "other"
    return "verified" if len(fitting) == len(sides) else "unverified"


def _digest(image: object, block: int | None) -> str:
    if isinstance(image, Path):
        image = read_image(image) if block is None else read_block(image, block)
    return hashlib.sha256(image.tobytes()).hexdigest()
