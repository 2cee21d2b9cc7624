"""The bicubic resize against MATLAB's own output, Pillow and PyTorch."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from suite.data.images import read_image
from suite.data.resize import imresize, mod_crop, plain_taps, resample

SET5 = ("baby", "bird", "butterfly", "head", "woman")
SIDES = st.integers(1, 40)


def random_image(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


@pytest.mark.outside
@pytest.mark.parametrize(("scale", "between"), [(2, "uint8"), (3, "uint8"), (4, "uint8"), (8, "float")])
@pytest.mark.parametrize("name", SET5)
def test_modern_matlab_is_met_pixel_for_pixel(outside, name, scale, between):
    folder = outside / "Set5_SwinIR"
    hq = mod_crop(read_image(folder / "HR" / f"{name}.png"), scale)
    expected = read_image(folder / "LR_bicubic" / f"X{scale}" / f"{name}x{scale}.png")
    np.testing.assert_array_equal(imresize(hq, 1 / scale, between=between), expected)


def weights_by_hand(length, scale):
    """Weights for shrinking `length` samples `scale` times: Keys' cubic, a = -0.5, stretched; the border mirrored, its edge twice."""

    def cubic(x):
        x = abs(x)
        if x <= 1:
            return 1.5 * x**3 - 2.5 * x**2 + 1
        return -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2 if x <= 2 else 0.0

    made = np.zeros((length // scale, length))
    for row in range(length // scale):
        centre = (row + 0.5) * scale - 0.5
        for place in range(int(centre) - 2 * scale, int(centre) + 2 * scale + 2):
            mirrored = place % (2 * length)
            made[row, min(mirrored, 2 * length - 1 - mirrored)] += cubic((centre - place) / scale)
    return made / made.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_shrinking_by_hand_with_and_without_rounding_between_the_passes(scale):
    image = random_image(24, 36)
    rows, columns = (weights_by_hand(length, scale) for length in image.shape)

    def rounded(values):  # halves away from zero
        return np.floor(values.clip(0, 255) + 0.5)

    tall = rows @ image.astype(float)
    np.testing.assert_allclose(imresize(image / 255, 1 / scale, between="float"), tall @ columns.T / 255, atol=1e-12)
    twice, once = (rounded(values @ columns.T) for values in (rounded(tall), tall))
    assert (twice != once).any()
    np.testing.assert_array_equal(imresize(image, 1 / scale), twice)
    np.testing.assert_array_equal(imresize(image, 1 / scale, between="float"), once)


@pytest.mark.outside
@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("number", range(1, 6))
def test_old_matlab_is_met_pixel_for_pixel(outside, number, scale):
    folder = outside / "Set5" / f"x{scale}"
    hq = read_image(folder / "HR" / f"img_00{number}_SRF_{scale}_HR.png")
    expected = read_image(folder / "LR" / f"img_00{number}_SRF_{scale}_LR.png")
    np.testing.assert_array_equal(imresize(hq, 1 / scale, border="replicate"), expected)


@pytest.mark.outside
def test_the_variants_differ_so_the_exact_ones_mean_something(outside):
    hq = read_image(outside / "Set5_SwinIR" / "HR" / "butterfly.png")
    exact = imresize(hq, 1 / 4)
    assert (imresize(hq, 1 / 4, border="replicate") != exact).any()
    assert (imresize(hq, 1 / 4, between="float") != exact).any()


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_inside_equals_pillow_which_has_the_same_kernel_but_another_border(scale):
    image = random_image(24 * scale, 20 * scale).astype(np.float32)
    pillow = np.asarray(Image.fromarray(image).resize((20, 24), Image.Resampling.BICUBIC))
    ours = imresize(image, 1 / scale, between="float")
    np.testing.assert_allclose(ours[3:-3, 3:-3], pillow[3:-3, 3:-3], atol=1e-3)


def test_the_weights_of_halving_are_the_textbook_ones():
    # Half of Keys' cubic at half the distance from 2 i + 1/2: at 1.75, 0.75, 0.25 and 1.25, by hand.
    impulse = np.zeros((32, 1))
    impulse[16] = 1
    column = imresize(impulse, 0.5, between="float")[:, 0]
    near, far = 0.8671875 / 2, 0.2265625 / 2
    expected = {5: 0, 6: -0.0234375 / 2, 7: far, 8: near, 9: -0.0703125 / 2, 10: 0}
    for position, value in expected.items():
        assert column[position] == pytest.approx(value, abs=1e-12)
    assert imresize(np.ones((32, 1)), 0.5, between="float") == pytest.approx(1)


@given(SIDES, SIDES, st.sampled_from([1 / 4, 1 / 3, 1 / 2, 1, 2, 3, 4, 0.7, 1.3]), st.sampled_from(["mirror", "replicate"]))
def test_size_and_flat_images(height, width, scale, border):
    out = imresize(np.full((height, width, 3), 77, np.uint8), scale, border=border)
    assert out.shape == (np.ceil(round(height * scale, 9)), np.ceil(round(width * scale, 9)), 3)
    assert out.dtype == np.uint8
    assert (out == 77).all()


@given(SIDES, SIDES, st.sampled_from([2, 3, 4]), st.sampled_from(["mirror", "replicate"]))
def test_mirroring_the_image_mirrors_the_result(height, width, scale, border):
    image = np.random.default_rng(height).random((height * scale, width * scale))
    for axis in (0, 1):
        turned = np.flip(imresize(np.flip(image, axis), 1 / scale, border=border, between="float"), axis)
        np.testing.assert_allclose(turned, imresize(image, 1 / scale, border=border, between="float"), atol=1e-12)


def test_scale_one_changes_nothing():
    image = random_image(13, 17, 3)
    np.testing.assert_array_equal(imresize(image, 1), image)


def test_colours_are_resized_each_alone():
    image = random_image(20, 28, 3)
    planes = [imresize(image[..., channel], 0.5) for channel in range(3)]
    np.testing.assert_array_equal(imresize(image, 0.5), np.stack(planes, axis=-1))


def test_halves_are_rounded_away_from_zero_and_overshoot_is_cut():
    step = np.repeat(np.array([0, 255], np.uint8), 8)[None, :].repeat(4, axis=0)
    out = imresize(step, 2)
    assert out.min() == 0
    assert out.max() == 255
    # Two equal columns average to k + 1/2: rounded up for even and odd k alike.
    for k in (4, 5):
        pair = np.array([[k, k + 1]] * 2, np.uint8)
        assert (imresize(pair, 0.5) == k + 1).all()


@pytest.mark.parametrize(
    ("image", "scale", "between"),
    [
        (np.zeros((8, 8), np.int32), 0.5, "uint8"),
        (np.zeros((8, 8)), 0.5, "uint8"),
        (np.zeros((8, 8), np.uint8), 0, "uint8"),
        (np.zeros((0, 8), np.uint8), 0.5, "uint8"),
        (np.zeros(8, np.uint8), 0.5, "uint8"),
    ],
)
def test_what_cannot_be_resized_is_refused(image, scale, between):
    with pytest.raises(ValueError, match=r"imresize takes|between="):
        imresize(image, scale, between=between)


@given(SIDES, SIDES, SIDES, SIDES, st.sampled_from(["area", "bilinear", "bicubic"]))
def test_the_plain_filters_are_pytorch_s(height, width, new_height, new_width, kind):
    import torch

    planes = np.random.default_rng(height).random((3, height, width))
    ours = resample(planes, plain_taps(height, new_height, kind), plain_taps(width, new_width, kind))
    theirs = torch.nn.functional.interpolate(torch.from_numpy(planes)[None], size=(new_height, new_width), mode=kind)[0]
    np.testing.assert_allclose(ours, theirs.numpy(), atol=1e-10)


def test_mod_crop_keeps_the_top_left():
    image = random_image(11, 13, 3)
    np.testing.assert_array_equal(mod_crop(image, 4), image[:8, :12])
    np.testing.assert_array_equal(mod_crop(image, 1), image)
