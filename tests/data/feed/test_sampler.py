"""The training sampler: batches that depend on nothing but their number, aligned, turned as the recipe says."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from suite.core.errors import SuiteError
from suite.data.degrade.degradations import DEGRADATIONS
from suite.data.feed.sampler import PatchSampler
from suite.data.resize import imresize, mod_crop
from suite.data.sets import load_images

X4, BLIND = (DEGRADATIONS[name] for name in ("bicubic-x4", "blind-x4"))


def random_image(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def ramp(height, width):
    """Brightness that grows downwards, with marked columns: shows how a patch was turned."""
    image = np.zeros((height, width, 3), np.uint8)
    image[..., 0] = np.linspace(0, 255, height, dtype=np.uint8)[:, None]
    image[..., 1] = np.linspace(0, 120, width, dtype=np.uint8)[None, :]
    return image


@pytest.mark.parametrize("degradation", [X4, BLIND], ids=lambda row: row.name)
def test_a_batch_depends_on_seed_iteration_and_index_alone(degradation):
    images = load_images("photos", "validation")
    sampler, again = (PatchSampler(images, degradation, 32, 7, rotate=True) for _ in range(2))
    first = sampler.batch(5, 4)
    sampler.batch(6, 4)
    for low, high in (again.batch(5, 4), sampler.batch(5, 4)):
        np.testing.assert_array_equal(low, first[0])
        np.testing.assert_array_equal(high, first[1])
    np.testing.assert_array_equal(sampler.batch(5, 2)[0], first[0][:2])
    assert first[0].shape == (4, 3, 8, 8)
    assert first[1].shape == (4, 3, 32, 32)
    assert all(side.dtype == np.float32 and side.min() >= 0 and 0.1 < side.max() <= 1 and side.flags.c_contiguous for side in first)
    others = [sampler.batch(6, 4), PatchSampler(images, degradation, 32, 8, rotate=True).batch(5, 4)]
    assert all((other[1] != first[1]).any() for other in others)
    assert len({item.tobytes() for item in first[1]}) == 4


@settings(max_examples=30)
@given(st.integers(16, 70), st.integers(16, 70), st.booleans(), st.integers(0, 100))
def test_patches_of_a_deterministic_pair_are_aligned_cuts(height, width, rotate, iteration):
    image = random_image(height, width, 3, seed=height)
    sampler = PatchSampler([("a", image)], X4, 16, 0, rotate=rotate)
    low, high = sampler.pair(iteration, 0)
    low_whole = imresize(mod_crop(image, 4), 1 / 4)
    places = [
        (top, left)
        for top in range(low_whole.shape[0] - 3)
        for left in range(low_whole.shape[1] - 3)
        if sorted(low_whole[top : top + 4, left : left + 4].ravel()) == sorted(low.ravel())
    ]
    assert places
    turns = [(low, high)]
    if rotate:
        turns += [(a.swapaxes(0, 1), b.swapaxes(0, 1)) for a, b in turns]
        turns += [(a[::-1], b[::-1]) for a, b in turns]
    turns += [(a[:, ::-1], b[:, ::-1]) for a, b in turns]
    assert any(
        np.array_equal(a, low_whole[top : top + 4, left : left + 4])
        and np.array_equal(b, image[4 * top : 4 * top + 16, 4 * left : 4 * left + 16])
        for top, left in places
        for a, b in turns
    )


def test_patches_of_the_blind_degradation_lie_over_each_other():
    sampler = PatchSampler(load_images("photos", "test"), BLIND, 64, 0, rotate=True)
    errors = {(0, 0): [], (0, 1): [], (1, 0): [], (0, -1): [], (-1, 0): []}
    for iteration in range(8):
        low, high = sampler.batch(iteration, 4)
        means = high.reshape(4, 3, 16, 4, 16, 4).mean(axis=(3, 5))
        for (down, right), found in errors.items():
            shifted = np.roll(low, (down, right), axis=(2, 3))
            found.append(np.square(shifted - means)[:, :, 1:-1, 1:-1].mean(axis=(1, 2, 3)))
    totals = {shift: float(np.median(np.concatenate(found))) for shift, found in errors.items()}
    assert min(totals, key=totals.get) == (0, 0)


@pytest.mark.parametrize("degradation", [X4, BLIND], ids=lambda row: row.name)
@pytest.mark.parametrize("rotate", [True, False])
def test_flips_and_rotations_are_the_recipe_s(degradation, rotate):
    sampler = PatchSampler([("ramp", ramp(80, 80))], degradation, 32, 0, rotate=rotate)
    seen = set()
    for iteration in range(60):
        _, high = sampler.pair(iteration, 0)
        red, green = high[..., 0].astype(int), high[..., 1].astype(int)
        upright = bool((np.diff(red, axis=1) == 0).all())
        down = red[-1, 0] > red[0, 0] if upright else red[0, -1] > red[0, 0]
        right = green[0, -1] > green[0, 0] if upright else green[-1, 0] > green[0, 0]
        seen.add((upright, bool(down), bool(right)))
    assert len(seen) == (8 if rotate else 2)
    if not rotate:
        assert seen == {(True, True, True), (True, True, False)}


def test_a_random_degradation_sees_more_than_the_patch():
    seen = []

    def note(hq, _rng):
        seen.append(hq.shape)
        return hq[::4, ::4]

    spy = replace(BLIND, apply=note)
    PatchSampler([("a", random_image(300, 300, 3))], spy, 128, 0, rotate=False).pair(0, 0)
    PatchSampler([("a", random_image(150, 300, 3))], spy, 128, 0, rotate=False).pair(0, 0)
    PatchSampler([("a", random_image(500, 500, 3))], spy, 256, 0, rotate=False).pair(0, 0)
    assert seen == [(200, 200, 3), (148, 200, 3), (400, 400, 3)]


@pytest.mark.parametrize("name", ["noise-50", "jpeg-10", "rain", "camera-noise"])
def test_tasks_of_one_size_are_sampled(name):
    row = DEGRADATIONS[name]
    sampler = PatchSampler([("a", random_image(40, 44, row.channels))], row, 16, 0, rotate=True)
    low, high = sampler.batch(3, 2)
    assert low.shape == high.shape == (2, row.channels, 16, 16)
    assert low.dtype == high.dtype == np.float32
    assert (low != high).any()
    outside = (low < 0).any() or (low > 1).any()
    assert outside == (name == "noise-50")  # which is not clipped
    np.testing.assert_array_equal(low, sampler.batch(3, 2)[0])


def test_what_cannot_be_sampled_is_said():
    with pytest.raises(SuiteError, match="patch of 30 pixels is not a multiple of the scale 4"):
        PatchSampler([("a", random_image(64, 64, 3))], X4, 30, 0, rotate=True)
    with pytest.raises(SuiteError, match="there is no training image"):
        PatchSampler([], X4, 32, 0, rotate=True)
    with pytest.raises(SuiteError, match="'a' is 64x31 pixels, smaller than the patch of 32"):
        PatchSampler([("a", random_image(31, 64, 3))], X4, 32, 0, rotate=True)
