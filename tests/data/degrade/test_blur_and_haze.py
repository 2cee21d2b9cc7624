"""Motion blur, defocus, haze and enlarged images: what kernels keep, the models by hand, and that a seed fixes every byte."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from suite.data.degrade import blur, enlarged, haze
from suite.data.degrade.degradations import DEGRADATIONS
from suite.data.degrade.depth import smooth_depth
from suite.data.degrade.kernels import bell_kernel
from suite.data.photos import load_crops, load_photos
from suite.measure.quality.fidelity import psnr

# PSNR of inputs, mean over photographs and seeds: of GoPro's and RESIDE's about; the others as they came out.
ROWS = {"motion-blur": 25.7, "defocus": 28.4, "haze-indoor": 11.8, "haze-outdoor": 16.8, "enlarged": 26.9}
rows = pytest.mark.parametrize("name", ROWS)


def noise(height, width, channels=3, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), dtype=np.uint8)


@rows
@settings(max_examples=15)
@given(st.integers(1, 70), st.integers(1, 70), st.integers(0, 10**6))
def test_any_size_stays_and_a_seed_fixes_every_byte(name, height, width, seed):
    hq, row = noise(height, width, seed=seed), DEGRADATIONS[name]
    low = row.apply(hq.copy(), np.random.default_rng(seed))
    assert (low.shape, low.dtype) == (hq.shape, np.uint8)
    np.testing.assert_array_equal(low, row.apply(hq, np.random.default_rng(seed)))


@rows
def test_images_and_seeds_differ_and_neither_order_nor_other_images_matter(name):
    row, hq = DEGRADATIONS[name], load_crops("test")[0][1]
    first = row.for_image(hq, 0, "a")
    assert (row.for_image(hq, 0, "b") != first).any()
    assert (row.for_image(hq, 1, "a") != first).any()
    np.testing.assert_array_equal(row.for_image(hq, 0, "a"), first)


SET_BY = ("astronaut", "chelsea", "coffee", "rocket", "ihc")  # the photographs on which the strengths were chosen


@rows
def test_inputs_are_about_as_bad_as_those_that_are_imitated(name):
    images = [image for photo, image in load_photos("test") if photo in SET_BY]
    scores = [psnr(DEGRADATIONS[name].apply(image, np.random.default_rng(seed)), image) for image in images for seed in range(10)]
    assert len(images) == len(SET_BY)
    assert np.mean(scores) == pytest.approx(ROWS[name], abs=0.6)
    assert min(scores) < np.mean(scores) - 2
    assert max(scores) > np.mean(scores) + 2


# Motion


@settings(max_examples=25)
@given(st.floats(0, 60), st.floats(1e-4, 0.1), st.integers(0, 10**6))
def test_a_motion_kernel_keeps_light_and_does_not_shift(length, anxiety, seed):
    path = blur.camera_path(length, anxiety, np.random.default_rng(seed))
    assert np.abs(np.diff(path)) == pytest.approx(length / (blur.STEPS - 1))  # of constant speed
    kernel = blur.path_kernel(path)
    assert kernel.min() >= 0
    assert kernel.sum() == pytest.approx(1)
    assert kernel.shape[0] == kernel.shape[1]
    offsets = np.arange(len(kernel)) - len(kernel) // 2
    assert kernel.sum(axis=0) @ offsets == pytest.approx(0, abs=1e-9)
    assert kernel.sum(axis=1) @ offsets == pytest.approx(0, abs=1e-9)


def test_a_kernel_is_the_time_in_each_pixel():
    """A path along a row from column -1 to 1, at rest for as many steps at each: a third each; half a pixel is shared by two."""
    np.testing.assert_allclose(blur.path_kernel(np.array([-1, 0, 1], complex))[2], [0, 1 / 3, 1 / 3, 1 / 3, 0])
    np.testing.assert_allclose(blur.path_kernel(np.array([-0.5j, 0.5j]))[:, 1], [0.25, 0.5, 0.25])


def test_a_calm_camera_moves_straight_on_and_a_nervous_one_does_not():
    def way(anxiety):
        paths = (blur.camera_path(30, anxiety, np.random.default_rng(seed)) for seed in range(20))
        return np.mean([abs(path[-1] - path[0]) for path in paths])

    assert way(1e-7) == pytest.approx(30, rel=0.01)
    assert way(0.1) < 12


def test_no_motion_leaves_the_image():
    hq = noise(20, 30)
    kernel = blur.path_kernel(blur.camera_path(0.0, 0.1, np.random.default_rng(0)))
    np.testing.assert_array_equal(blur.rounded(blur.convolve(hq, kernel)), hq)


def test_filters_keep_a_flat_image():
    hq = np.full((40, 30, 3), (10, 100, 250), np.uint8)
    for name in ("motion-blur", "defocus", "enlarged"):
        np.testing.assert_array_equal(DEGRADATIONS[name].apply(hq, np.random.default_rng(0)), hq)


# Defocus


@given(st.floats(0, 15))
def test_a_disc_keeps_light_and_is_round(radius):
    kernel = blur.disc_kernel(radius)
    assert kernel.sum() == pytest.approx(1)
    np.testing.assert_allclose(kernel, np.rot90(kernel), atol=1e-15)
    spread = (kernel * (np.arange(len(kernel)) - len(kernel) // 2) ** 2).sum()
    if radius >= 3:
        assert spread == pytest.approx(radius**2 / 4, rel=0.1)  # the variance of a disc along one axis


def test_what_is_in_focus_stays_and_what_is_not_is_blurred_by_its_distance():
    hq = noise(60, 120)
    depth = np.repeat(np.where(np.arange(120) < 60, 0.5, 1.0)[None], 60, axis=0)
    low = blur.out_of_focus(hq, depth, 0.5, 8.0)  # the right half by a disc of 4 pixels
    np.testing.assert_array_equal(low[:, :60], hq[:, :60])
    np.testing.assert_array_equal(low[:, 60:], blur.rounded(blur.convolve(hq, blur.disc_kernel(4)))[:, 60:])
    half = blur.out_of_focus(hq, depth, 0.5, 7.0).astype(float)[:, 60:]  # half way between discs of 3 and 4
    np.testing.assert_allclose(half, sum(blur.convolve(hq, blur.disc_kernel(r))[:, 60:] for r in (3, 4)) / 2, atol=0.51)
    np.testing.assert_array_equal(blur.out_of_focus(hq, depth, 0.2, 0.0), hq)


# Haze


def test_scattering_by_hand():
    hq = np.array([[[100, 0, 255], [100, 0, 255]]], np.uint8)
    depth = np.array([[0.0, math.log(2)]])  # the second pixel lets half of its light through
    low = haze.scatter(hq, depth, 1.0, np.array([1.0, 0.8, 0.6]))
    np.testing.assert_array_equal(low, [[[100, 0, 255], [178, 102, 204]]])  # 50 + 127.5, 0 + 102, 127.5 + 76.5
    np.testing.assert_array_equal(haze.scatter(hq, depth, 0.0, np.ones(3)), hq)


def test_haze_takes_contrast_and_never_adds_any():
    hq = noise(50, 50)
    for place in (haze.INDOORS, haze.OUTDOORS):
        low = haze.add_haze(hq, np.random.default_rng(3), place)
        assert low.std() < hq.std()
        assert low.mean() > hq.mean()


@given(st.integers(1, 60), st.integers(1, 60), st.integers(0, 10**6), st.sampled_from([0.0, 0.7, 1.0]))
def test_depth_is_smooth_and_from_0_to_1(height, width, seed, ramp):
    depth = smooth_depth(height, width, np.random.default_rng(seed), ramp)
    assert depth.shape == (height, width)
    assert depth.min() == 0
    assert depth.max() in (0, 1)
    if min(height, width) >= 40:
        assert max(np.abs(np.diff(depth, axis=axis)).max() for axis in (0, 1)) < 0.2


def test_outdoors_the_top_is_far():
    depths = [smooth_depth(40, 40, np.random.default_rng(seed), haze.OUTDOORS.ramp) for seed in range(20)]
    assert np.mean([depth[:5].mean() - depth[-5:].mean() for depth in depths]) > 0.4
    indoors = [smooth_depth(40, 40, np.random.default_rng(seed)) for seed in range(60)]
    assert abs(np.mean([depth[:5].mean() - depth[-5:].mean() for depth in indoors])) < 0.15


# Enlarged


def test_a_factor_of_one_and_a_point_as_kernel_leave_the_image():
    hq = noise(21, 34)
    np.testing.assert_array_equal(enlarged.enlarged(hq, 1, np.ones((1, 1))), hq)


@pytest.mark.parametrize("factor", [2, 3, 4])
def test_detail_of_less_than_a_small_pixel_is_lost_and_the_rest_stays_in_place(factor):
    rows, columns = np.mgrid[:61, :62]
    fine = np.repeat((127 + 120 * (-1.0) ** (rows + columns)).astype(np.uint8)[..., None], 3, axis=2)
    coarse = np.repeat((127 + 100 * np.sin(2 * math.pi * columns / 40)).astype(np.uint8)[..., None], 3, axis=2)
    kernel = bell_kernel(7, (0.3, 0.3), 0.0, 1, "gaussian")
    assert enlarged.enlarged(fine, factor, kernel).std() < 6
    assert psnr(enlarged.enlarged(coarse, factor, kernel)[8:-8, 8:-8], coarse[8:-8, 8:-8]) > 38
