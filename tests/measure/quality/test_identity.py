"""Which data set test images are: by checksum, else by number; anything else is no published set."""

import hashlib
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from suite.data.cards import Version, card
from suite.data.pairs import PairSource
from suite.data.sets import pair_sources
from suite.measure.quality import identity
from suite.measure.quality.identity import identify_test_data
from suite.study.protocols import protocol
from suite.study.tasks import task

SR, RULE = task("sr-x2"), protocol("sr-y@1")


def made_up(count):
    images = np.random.default_rng(0).integers(0, 256, (count, 12, 12, 3), dtype=np.uint8)
    return [PairSource(f"{place}", image, None, SR, RULE, 0) for place, image in enumerate(images)]


def test_images_with_the_card_s_checksums_are_verified():
    sources = pair_sources("photos", "test", SR, RULE)
    found = identify_test_data("photos", sources)
    assert (found.card, found.expected, found.measured, found.state) == ("photos", len(sources), len(sources), "verified")
    assert identify_test_data("photos", sources[1:]).state == "other"
    swapped = [replace(sources[0], hq=255 - sources[0].hq), *sources[1:]]
    assert identify_test_data("photos", swapped).state == "other"


@pytest.mark.parametrize(
    ("name", "count", "state"),
    [("Set5", 5, "other"), ("Set14", 14, "unverified"), ("Set14", 13, "other"), ("Set14", 15, "other"), ("/data/Set14", 14, "other")],
)
def test_images_without_known_checksums_are_held_to_their_number(name, count, state):
    found = identify_test_data(name, made_up(count))
    assert (found.state, found.measured) == (state, count)


@pytest.mark.parametrize(("names", "state"), [("ab", "verified"), ("ba", "other")])
def test_two_sides_of_the_card_in_other_pairs_are_not_the_card_s(names, state, tmp_path, monkeypatch):
    """Low-quality images that changed places: every image of both sides is the card's."""
    pixels = np.random.default_rng(0).integers(0, 256, (4, 12, 12, 3), dtype=np.uint8)
    files = dict(zip(("hq/a", "hq/b", "lq/a", "lq/b"), pixels, strict=True))
    versions = []
    for side in ("hq", "lq"):
        (tmp_path / side).mkdir()
        held = {name: files[f"{side}/{name}"] for name in "ab"}
        versions.append(
            Version(of="a test", side=side, pixels={name: hashlib.sha256(one.tobytes()).hexdigest() for name, one in held.items()})
        )
        for name, one in held.items():
            Image.fromarray(one).save(tmp_path / side / f"{name}.png")
    chosen = card("Set14").model_copy(update={"version": tuple(versions), "splits": {"test": 2}})
    monkeypatch.setattr(identity, "card", lambda _: chosen)
    of, rule = task("derain"), protocol("derain-matlab")
    sources = [
        PairSource(hq, tmp_path / "hq" / f"{hq}.png", tmp_path / "lq" / f"{lq}.png", of, rule, 0)
        for hq, lq in zip("ab", names, strict=True)
    ]
    assert identify_test_data("Set14", sources).state == state


def test_a_set_that_holds_an_image_twice_is_itself_and_one_that_repeats_another_is_not(monkeypatch):
    """Rain100L shows some of its targets under two rains."""
    images = made_up(3)
    twice = [*images, replace(images[0], name="again")]
    digests = {one.name: hashlib.sha256(one.hq.tobytes()).hexdigest() for one in twice}
    chosen = card("Set14").model_copy(update={"version": (Version(of="a test", pixels=digests),), "splits": {"test": 4}})
    monkeypatch.setattr(identity, "card", lambda _: chosen)
    assert identify_test_data("Set14", twice).state == "verified"
    assert identify_test_data("Set14", [*images, replace(images[1], name="again")]).state == "other"
