"""PSNR and SSIM against their own definition and scikit-image; of files with known numbers: test_published_fidelity.py."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from suite.core.errors import SuiteError
from suite.data.colour import grey, luma, quantise
from suite.data.resize import imresize
from suite.measure.quality.fidelity import as_compared, psnr, score, ssim, ssim_volume
from suite.study.protocols import PROTOCOLS, PSNR_CAP, protocol

FLOAT_Y, ROUNDED_Y = protocol("sr-y"), protocol("sr-y-rounded")

SIDES = st.integers(11, 40)


def random_image(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


@given(SIDES, SIDES, st.integers(0, 1000))
def test_psnr_and_ssim_are_symmetric_and_bounded(height, width, seed):
    x, y = random_image(height, width, seed=seed), random_image(height, width, seed=seed + 1)
    assert psnr(x, y) == psnr(y, x)
    assert ssim(x, y) == pytest.approx(ssim(y, x), abs=1e-12)
    assert -1 <= ssim(x, y) <= 1
    assert ssim(x, x) == pytest.approx(1, abs=1e-12)
    assert psnr(x, x) == math.inf


def test_more_noise_scores_lower():
    rng = np.random.default_rng(0)
    target = imresize(random_image(20, 20, 3), 4)
    noise = rng.standard_normal(target.shape)
    scores = [score(FLOAT_Y, (target / 255 + sigma / 255 * noise), target, 2) for sigma in (0, 2, 5, 10, 20, 40)]
    for metric in FLOAT_Y.metrics:
        values = [found[metric] for found in scores]
        assert values == sorted(values, reverse=True)
        assert len(set(values)) == len(values)


def test_psnr_of_a_known_error():
    x = np.full((16, 16), 100, np.uint8)
    assert psnr(x, x + 1) == pytest.approx(20 * math.log10(255), abs=1e-12)
    assert psnr(x, x + 5) == pytest.approx(20 * math.log10(51), abs=1e-12)


def test_ssim_of_flat_images_is_its_luminance_term():
    c1 = (0.01 * 255) ** 2
    expected = (2 * 100 * 120 + c1) / (100**2 + 120**2 + c1)
    assert ssim(np.full((12, 12), 100.0), np.full((12, 12), 120.0)) == pytest.approx(expected, abs=1e-12)


def test_ssim_is_the_definition_window_by_window():
    x, y = random_image(14, 13).astype(float), random_image(14, 13, seed=1).astype(float)
    line = np.exp(-(np.arange(-5, 6) ** 2) / 4.5)
    window = np.outer(line, line) / np.outer(line, line).sum()
    c1, c2 = 2.55**2, 7.65**2
    values = []
    for top in range(4):
        for left in range(3):
            a, b = x[top : top + 11, left : left + 11], y[top : top + 11, left : left + 11]
            ma, mb = (window * a).sum(), (window * b).sum()
            va, vb = (window * (a - ma) ** 2).sum(), (window * (b - mb) ** 2).sum()
            cov = (window * (a - ma) * (b - mb)).sum()
            values.append((2 * ma * mb + c1) * (2 * cov + c2) / ((ma**2 + mb**2 + c1) * (va + vb + c2)))
    assert ssim(x, y) == pytest.approx(np.mean(values), abs=1e-12)


def test_scikit_image_agrees_where_its_definition_does():
    from skimage.metrics import peak_signal_noise_ratio, structural_similarity

    x, y = random_image(40, 50, 3), random_image(40, 50, 3, seed=1)
    assert psnr(x, y) == pytest.approx(peak_signal_noise_ratio(x, y), abs=1e-12)
    theirs = structural_similarity(
        x.astype(float), y.astype(float), gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=255, channel_axis=2
    )
    assert ssim(x, y) == pytest.approx(theirs, abs=1e-10)


@pytest.mark.parametrize(
    ("rgb", "expected"),
    [((0, 0, 0), 16), ((255, 255, 255), 235), ((255, 0, 0), 81.481), ((0, 255, 0), 144.553), ((0, 0, 255), 40.966)],
)
def test_luma_of_the_primaries(rgb, expected):
    assert luma(np.array([[rgb]], np.uint8))[0, 0] == pytest.approx(expected, abs=1e-12)


def test_only_y_counts_and_the_border_does_not():
    target = random_image(30, 30, 3)
    worse = target.copy()
    worse[:3], worse[-3:], worse[:, :3], worse[:, -3:] = 0, 0, 0, 0
    assert score(FLOAT_Y, worse, target, 3) == {"PSNR-Y": PSNR_CAP, "SSIM-Y": pytest.approx(1)}
    assert score(FLOAT_Y, worse, target, 2)["PSNR-Y"] < 30


def test_identical_images_give_a_number_that_json_holds():
    target = random_image(24, 24, 3)
    found = score(FLOAT_Y, target, target, 2)
    assert found["PSNR-Y"] == PSNR_CAP
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert f"at most {PSNR_CAP:g} dB" in FLOAT_Y.statement


def test_rounding_y_changes_the_score():
    target = random_image(24, 24, 3)
    output = random_image(24, 24, 3, seed=1)
    assert score(FLOAT_Y, output, target, 2) != score(ROUNDED_Y, output, target, 2)


def test_float_outputs_are_clamped_and_rounded_first():
    values = np.array([-0.5, 0, 0.4 / 255, 0.6 / 255, 254.4 / 255, 1, 7])
    assert quantise(values).tolist() == [0, 0, 0, 1, 254, 255, 255]
    target = random_image(24, 24, 3)
    output = random_image(24, 24, 3, seed=1)
    as_float = (output / 255).astype(np.float32)
    assert score(FLOAT_Y, as_float, target, 2) == score(FLOAT_Y, output, target, 2)


def test_what_cannot_be_scored_is_said():
    target = random_image(24, 24, 3)
    with pytest.raises(SuiteError, match=r"24x23x3.*24x24x3"):
        score(FLOAT_Y, target[:23], target, 2)
    with pytest.raises(SuiteError, match="too small for sr-y@1"):
        score(FLOAT_Y, target[:14], target[:14], 2)
    with pytest.raises(SuiteError, match="not finite"):
        score(FLOAT_Y, np.full(target.shape, np.nan), target, 2)
    with pytest.raises(ValueError, match="uint8 or floating point"):
        score(FLOAT_Y, target.astype(int), target, 2)
    with pytest.raises(ValueError, match="luma takes"):
        luma(target[..., 0])
    with pytest.raises(ValueError, match="one shape"):
        psnr(target, target[:5])
    with pytest.raises(ValueError, match="at least 11"):
        ssim(target[:10], target[:10])


# What protocols of RGB, grey and floating point add


def test_scikit_image_differs_where_its_definition_does():
    from skimage.metrics import structural_similarity

    x, y = random_image(40, 50), random_image(40, 50, seed=1)
    assert abs(ssim(x, y) - structural_similarity(x, y, data_range=255)) > 1e-3  # 7x7, uniform, sample covariance


def test_ssim_of_a_volume_is_the_definition_window_by_window():
    x, y = random_image(6, 7, 3).astype(float), random_image(6, 7, 3, seed=1).astype(float)
    line = np.exp(-(np.arange(-5, 6) ** 2) / 4.5)
    window = line[:, None, None] * line[None, :, None] * line[None, None, :]
    window /= window.sum()
    c1, c2 = 2.55**2, 7.65**2
    wide = [np.pad(image, 5, mode="edge") for image in (x, y)]
    values = []
    for corner in np.ndindex(x.shape):
        a, b = (image[tuple(slice(start, start + 11) for start in corner)] for image in wide)
        ma, mb = (window * a).sum(), (window * b).sum()
        va, vb = (window * (a - ma) ** 2).sum(), (window * (b - mb) ** 2).sum()
        cov = (window * (a - ma) * (b - mb)).sum()
        values.append((2 * ma * mb + c1) * (2 * cov + c2) / ((ma**2 + mb**2 + c1) * (va + vb + c2)))
    assert ssim_volume(x, y) == pytest.approx(np.mean(values), abs=1e-12)
    assert ssim_volume(x, x) == pytest.approx(1, abs=1e-12)


def test_ssim_of_a_volume_of_grey_is_that_of_its_plane_with_replicated_edges():
    from skimage.metrics import structural_similarity

    x, y = (random_image(30, 26, seed=seed).astype(float) for seed in (0, 1))
    volumes = [np.repeat(image[..., None], 3, axis=2) for image in (x, y)]
    wide = [np.pad(image, 5, mode="edge") for image in (x, y)]
    _, whole = structural_similarity(*wide, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=255, full=True)
    assert ssim_volume(*volumes) == pytest.approx(whole[5:-5, 5:-5].mean(), abs=1e-10)


def test_ssim_of_colour_is_the_mean_over_its_channels():
    x, y = random_image(20, 22, 3), random_image(20, 22, 3, seed=1)
    assert ssim(x, y) == pytest.approx(np.mean([ssim(x[..., channel], y[..., channel]) for channel in range(3)]), abs=1e-12)


def test_psnr_of_rgb_is_over_all_values_not_the_mean_of_channels():
    target = np.full((16, 16, 3), 100, np.uint8)
    output = target.copy()
    output[..., 0] += 9
    found = score(protocol("color-dn-rgb"), output, target, 1)
    assert found["PSNR-RGB"] == pytest.approx(10 * math.log10(255**2 / 27), abs=1e-12)


@pytest.mark.parametrize(
    ("rgb", "expected"),
    [
        ((255, 0, 0), 76),
        ((0, 255, 0), 150),
        ((0, 0, 255), 29),
        ((10, 20, 30), 18),
        ((7, 7, 7), 7),
        ((255, 228, 34), 214),  # 213 of a PNG file
        ((164, 231, 36), 189),  # 188 of a PNG file
        ((138, 167, 72), 147),  # 148 by cvtColor
        ((48, 17, 212), 49),  # 48 by both
    ],
)
def test_grey_is_what_opencv_reads_of_bmp_files(rgb, expected):
    """Levels read by OpenCV 4.5.5, 4.8.1, 4.10, 4.14 and 5.0."""
    assert grey(np.array([[rgb]], np.uint8))[0, 0] == expected


@given(st.tuples(*[st.integers(0, 255)] * 3))
def test_grey_is_the_nearest_level(rgb):
    exact = 0.299 * rgb[0] + 0.587 * rgb[1] + 0.114 * rgb[2]
    assert abs(int(grey(np.array([[rgb]], np.uint8))[0, 0]) - exact) <= 0.5 + 255 * 2**-14


@given(st.integers(0, 1000))
def test_a_grey_image_is_one_whether_it_has_one_channel_or_three(seed):
    planes = [random_image(20, 21, 1, seed=seed + offset) for offset in (0, 1)]
    colours = [plane.repeat(3, axis=2) for plane in planes]
    for row in PROTOCOLS.values():
        if row.grey == "repeat" and row.lowres != "float-y":  # elsewhere one channel is the plane itself: tests/data/test_grey.py
            assert score(row, *planes, 2) == pytest.approx(score(row, *colours, 2), abs=1e-12)


@given(st.sampled_from(sorted(PROTOCOLS)), st.integers(0, 1000))
def test_every_protocol_is_symmetric_bounded_and_does_not_depend_on_the_type(key, seed):
    row = PROTOCOLS[key]
    output, target = random_image(30, 27, 3, seed=seed), random_image(30, 27, 3, seed=seed + 1)
    found = score(row, output, target, 3)
    assert tuple(found) == row.fidelity
    assert found == pytest.approx(score(row, target, output, 3), abs=1e-12)
    assert 0 < found[row.fidelity[0]] < 20
    assert -1 <= found[row.fidelity[1]] < 0.5
    assert score(row, output / 255, target, 3) == pytest.approx(found, abs=1e-9)
    assert score(row, target, target, 3) == {row.fidelity[0]: PSNR_CAP, row.fidelity[1]: pytest.approx(1)}


def test_blocks_of_sidd_are_clamped_but_not_rounded():
    target = random_image(24, 24, 3)
    output = target / 255 + 0.4 / 255
    outputs = [score(protocol(name), output.clip(0, 1), target, 1)["PSNR-RGB"] for name in ("sidd-blocks", "sidd-uint8")]
    assert outputs[0] == pytest.approx(20 * math.log10(255 / 0.4), abs=0.1)
    assert outputs[1] == PSNR_CAP
    beyond = output + 3 * (target == 255)
    assert score(protocol("sidd-blocks"), beyond, target, 1) == score(protocol("sidd-blocks"), beyond.clip(0, 1), target, 1)
    assert as_compared(protocol("sidd-blocks"), target) is target


def test_floating_point_protocols_neither_round_nor_leave_a_border_out():
    target = random_image(24, 26, 3)
    output = (target / 255 + 0.3 / 255).clip(0, 1)
    error = np.square(output * 255 - target)
    found = score(protocol("float-rgb"), output.astype(np.float32), target, 1)
    assert found["PSNR-RGB"] == pytest.approx(20 * math.log10(255) - 10 * math.log10(error.mean()), abs=1e-4)
    assert score(protocol("sidd-uint8"), output, target, 1)["PSNR-RGB"] == PSNR_CAP  # rounded, nothing is left of it
    weights = np.array([65.481, 128.553, 24.966]) / 255
    plane = np.square((output * 255 - target) @ weights).mean()
    found = score(protocol("float-y"), output, target, 1)["PSNR-Y"]
    assert found == pytest.approx(20 * math.log10(255) - 10 * math.log10(plane), abs=1e-9)


def test_half_a_level_is_added_and_the_fraction_cut_off():
    rule = protocol("deblur-rgb")
    levels = np.array([-3, -0.4, 0.49, 0.5, 1.5, 2.49, 2.51, 254.5, 255, 300]).reshape(1, -1, 1).repeat(3, axis=2)
    assert as_compared(rule, levels / 255)[0, :, 0].tolist() == [0, 0, 0, 1, 2, 2, 3, 255, 255, 255]
    assert as_compared(protocol("sidd-uint8"), levels / 255)[0, :, 0].tolist() == [0, 0, 0, 0, 2, 2, 3, 254, 255, 255]  # halves to even
    image = random_image(24, 24, 3)
    np.testing.assert_array_equal(as_compared(rule, (image / 255).astype(np.float32)), image)


def test_values_of_0_to_255_in_floating_point_are_refused():
    target = random_image(24, 24, 3)
    with pytest.raises(ValueError, match="divide by 255"):
        score(FLOAT_Y, target.astype(float), target, 2)
    with pytest.raises(ValueError, match=r"in 0..1, not 0 to 255"):
        score(FLOAT_Y, target, target.astype(float), 2)
    with pytest.raises(ValueError, match=r"\(H, W, 3\) or \(H, W, 1\)"):
        score(FLOAT_Y, target[..., 0], target[..., 0], 2)
    with pytest.raises(ValueError, match="grey takes"):
        grey(target / 255)
