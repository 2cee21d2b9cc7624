"""Rain streaks: their bytes, their direction, and what they cost."""

import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from suite.data.degrade import rain
from suite.data.photos import load_photos
from suite.measure.quality.fidelity import psnr


def test_the_bytes_of_version_1():
    """Raise the version of the degradation when this changes: the same on every machine."""
    hq = (np.arange(60 * 80 * 3) % 251).astype(np.uint8).reshape(60, 80, 3)
    digest = hashlib.sha256(b"".join(rain.add_rain(hq, np.random.default_rng(seed)).tobytes() for seed in range(8))).hexdigest()
    assert digest == "0db761cfd5f778dbfca07ec1a686d1a1f3e9c59f629b34a90c6e49f70ff3d278"


@settings(max_examples=30)
@given(st.integers(1, 70), st.integers(1, 70), st.integers(0, 10**6))
def test_rain_only_brightens_and_alike_in_all_channels(height, width, seed):
    hq = np.random.default_rng(seed).integers(0, 100, (height, width, 1), dtype=np.uint8).repeat(3, axis=2)
    wet = rain.add_rain(hq, np.random.default_rng(seed))
    assert wet.shape == hq.shape
    assert (wet >= hq).all()
    np.testing.assert_array_equal(wet[..., 0], wet[..., 2])


def test_streaks_are_longer_than_wide():
    along = across = 0.0
    for seed in range(12):
        light = rain.streaks(160, 160, np.random.default_rng(seed))
        gradients = np.gradient(light)
        tensor = np.array([[np.mean(a * b) for b in gradients] for a in gradients])
        low, high = np.linalg.eigvalsh(tensor)
        along, across = along + low, across + high
    assert across > 4 * along


def test_rain_costs_about_what_published_rain_does():
    images = [image for _, image in load_photos("test")]
    scores = [psnr(rain.add_rain(image, np.random.default_rng(seed)), image) for image in images for seed in range(8)]
    assert np.mean(scores) == pytest.approx(25.5, abs=1.5)
    assert 19 < min(scores) < max(scores) < 40


def test_seeds_give_other_directions():
    lights = [rain.streaks(64, 64, np.random.default_rng(seed)) for seed in range(4)]
    assert len({light.tobytes() for light in lights}) == 4
    np.testing.assert_array_equal(lights[0], rain.streaks(64, 64, np.random.default_rng(0)))
