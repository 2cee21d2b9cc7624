"""Which data set test images are: by checksum, else by number; anything else is no published set."""

from dataclasses import replace

import numpy as np
import pytest

from suite.data.pairs import PairSource
from suite.data.sets import pair_sources
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
