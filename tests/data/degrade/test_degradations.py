"""The degradations: their distribution, their arithmetic, and that a seed fixes every byte."""

import hashlib
import math
import multiprocessing
import os
import subprocess
import sys
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from suite.core.errors import SuiteError
from suite.core.paths import ROOT
from suite.data.degrade import blind
from suite.data.degrade.blind import SECOND_ORDER_X4, OrderPlan, Plan, carry_out, degrade, draw_plan
from suite.data.degrade.degradations import DEGRADATIONS, degradation, image_rng
from suite.data.degrade.kernels import bell_kernel, draw_kernel, sinc_kernel
from suite.data.photos import load_photos
from suite.data.resize import imresize
from suite.measure.quality.fidelity import psnr


def photo(side=96):
    """A window of a real photograph with texture."""
    return np.ascontiguousarray(dict(load_photos("test"))["chelsea"][60 : 60 + side, 100 : 100 + side])


def digest(image):
    return hashlib.sha256(np.ascontiguousarray(image)).hexdigest()


def digest_of_seed(seed):
    rows = (DEGRADATIONS[name] for name in ("blind-x4", "rain", "camera-noise", "noise-25"))
    return digest(np.concatenate([np.ravel(row.for_image(photo(), seed, "chelsea")).astype(np.float64) for row in rows]))


def near(count, total, probability):
    """Within 4.5 standard deviations: a true distribution fails one check in 150,000."""
    return abs(count - total * probability) < 4.5 * math.sqrt(total * probability * (1 - probability))


# Kernels


@given(
    st.sampled_from(range(7, 22, 2)),
    st.floats(0.2, 3),
    st.floats(0.2, 3),
    st.floats(-math.pi, math.pi),
    st.floats(0.5, 4),
    st.sampled_from(["gaussian", "generalised", "plateau"]),
)
def test_bell_kernels_follow_their_formula(size, sigma_x, sigma_y, angle, exponent, profile):
    kernel = bell_kernel(size, (sigma_x, sigma_y), angle, exponent, profile)
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    inverse = np.linalg.inv(turn @ np.diag([sigma_x**2, sigma_y**2]) @ turn.T)
    expected = np.empty((size, size))
    for row in range(size):
        for column in range(size):
            x = np.array([column - size // 2, row - size // 2])
            q = (x @ inverse @ x) ** exponent
            expected[row, column] = 1 / (1 + q) if profile == "plateau" else math.exp(-q / 2)
    np.testing.assert_allclose(kernel, expected / expected.sum(), atol=1e-10)
    np.testing.assert_allclose(kernel, np.rot90(kernel, 2), atol=1e-15)
    assert kernel.sum() == pytest.approx(1, abs=1e-12)


def bessel_j1(x):
    """J1 by its integral (Abramowitz and Stegun 9.1.21): the trapezoidal rule is exact to rounding for a periodic integrand."""
    angles = (np.arange(400) + 0.5) * math.pi / 400
    return float(np.mean(np.cos(angles - x * np.sin(angles))))


@pytest.mark.parametrize(("size", "cutoff"), [(7, math.pi), (13, math.pi / 5), (21, math.pi / 3), (9, 2.0)])
def test_the_sinc_kernel_is_the_formula_and_passes_low_frequencies(size, cutoff):
    kernel = sinc_kernel(size, cutoff)
    expected = np.empty((size, size))
    for row in range(size):
        for column in range(size):
            radius = math.hypot(row - size // 2, column - size // 2)
            expected[row, column] = cutoff * bessel_j1(cutoff * radius) / (2 * math.pi * radius) if radius else cutoff**2 / (4 * math.pi)
    np.testing.assert_allclose(kernel, expected / expected.sum(), atol=1e-12)
    assert kernel.sum() == pytest.approx(1, abs=1e-12)


def test_the_sinc_kernel_cuts_at_its_frequency():
    response = np.abs(np.fft.fft(np.fft.ifftshift(sinc_kernel(201, math.pi / 3)).sum(axis=0)))
    frequency = np.arange(101) * 2 * math.pi / 201
    assert response[:101][frequency < math.pi / 3 - 0.15] == pytest.approx(1, abs=0.1)
    assert response[:101][frequency > math.pi / 3 + 0.15] == pytest.approx(0, abs=0.1)


def test_kernels_are_drawn_as_the_table_says():
    mix, rng, total = SECOND_ORDER_X4.first.blur, np.random.default_rng(0), 6000
    kernels = [draw_kernel(mix, rng) for _ in range(total)]
    assert all(kernel.sum() == pytest.approx(1, abs=1e-9) for kernel in kernels)
    sizes = Counter(len(kernel) for kernel in kernels)
    assert sorted(sizes) == [7, 9, 11, 13, 15, 17, 19, 21]
    assert all(near(count, total, 1 / 8) for count in sizes.values())
    negative = sum(kernel.min() < 0 for kernel in kernels)  # only a sinc filter has negative weights, and every one has
    assert near(negative, total, 0.1)
    round_ones = sum(
        kernel.min() >= 0 and np.allclose(kernel, kernel.T, atol=1e-12) and np.allclose(kernel, kernel[::-1]) for kernel in kernels
    )
    assert near(round_ones, total, 0.9 * (0.45 + 0.12 + 0.12))


def test_exponents_are_half_below_one_and_half_above(monkeypatch):
    seen = []
    monkeypatch.setattr("suite.data.degrade.kernels.bell_kernel", lambda *arguments: seen.append((arguments[4], arguments[3])))
    mix, rng = replace(SECOND_ORDER_X4.first.blur, sinc_probability=0.0), np.random.default_rng(0)
    for _ in range(8000):
        draw_kernel(mix, rng)
    counts = Counter(profile for profile, _ in seen)
    assert all(near(counts[profile], 8000, share) for profile, share in (("gaussian", 0.7), ("generalised", 0.15), ("plateau", 0.15)))
    for profile, low, high in (("generalised", 0.5, 4), ("plateau", 1, 2)):
        exponents = [exponent for name, exponent in seen if name == profile]
        assert low <= min(exponents)
        assert high * 0.98 < max(exponents) <= high
        assert near(sum(exponent > 1 for exponent in exponents), len(exponents), 0.5)
    assert {exponent for name, exponent in seen if name == "gaussian"} == {1.0}


# Plans


def test_plans_are_drawn_as_the_table_says():
    total = 3000
    plans = [draw_plan(SECOND_ORDER_X4, image_rng(0, index)) for index in range(total)]
    for order, sides, blurred, resize, (low, high), sigma, poisson in (
        ("first", plans, 1.0, (0.2, 0.7, 0.1), (0.15, 1.5), 30, 3),
        ("second", plans, 0.8, (0.3, 0.4, 0.3), (0.3, 1.2), 25, 2.5),
    ):
        rounds = [getattr(plan, order) for plan in sides]
        if blurred == 1:
            assert all(one.kernel is not None for one in rounds)
        else:
            assert near(sum(one.kernel is not None for one in rounds), total, blurred)
        factors = np.array([one.factor for one in rounds])
        for found, share in zip((factors > 1, factors < 1, factors == 1), resize, strict=True):
            assert near(int(found.sum()), total, share)
        assert low <= factors.min() < low + 0.02
        assert high - 0.02 < factors.max() <= high
        assert all(near(count, total, 1 / 3) for count in Counter(one.filter for one in rounds).values())
        assert near(sum(one.grey for one in rounds), total, 0.4)
        for noise, least, most in (("gaussian", 1, sigma), ("poisson", 0.05, poisson)):
            strengths = np.array([one.strength for one in rounds if one.noise == noise])
            assert near(len(strengths), total, 0.5)
            assert least <= strengths.min() < least + 0.02 * most
            assert 0.98 * most < strengths.max() <= most
            assert strengths.mean() == pytest.approx((least + most) / 2, rel=0.06)
        qualities = [one.quality for one in rounds]
        assert (min(qualities), max(qualities)) == (30, 95)
        assert np.mean(qualities) == pytest.approx(62.5, abs=1.6)
    assert near(sum(plan.final_kernel is not None for plan in plans), total, 0.8)
    assert near(sum(plan.resize_first for plan in plans), total, 0.5)
    assert all(near(count, total, 1 / 3) for count in Counter(plan.final_filter for plan in plans).values())


QUIET = OrderPlan(kernel=None, factor=1.0, filter="area", noise="gaussian", strength=0.0, grey=False, quality=95)
QUIET_PLAN = Plan(first=QUIET, second=QUIET, final_filter="area", final_kernel=None, resize_first=True)


def test_a_plan_that_does_nothing_but_shrink_gives_the_block_means():
    hq = photo()
    lq = carry_out(QUIET_PLAN, hq, 4, np.random.default_rng(0))
    means = hq.reshape(24, 4, 24, 4, 3).mean(axis=(1, 3))
    assert psnr(lq, means) > 33  # two JPEG passes at quality 95 remain
    shifted = np.roll(means, 1, axis=1)
    assert psnr(lq, means) > psnr(lq, shifted) + 6


def test_the_final_order_decides_what_comes_last():
    hq = photo()
    rough = replace(QUIET, quality=30)
    plans = [replace(QUIET_PLAN, second=rough, final_kernel=sinc_kernel(21, 1.2), resize_first=first) for first in (True, False)]
    jpeg_last, sinc_last = (carry_out(plan, hq, 4, np.random.default_rng(0)) for plan in plans)
    # What libjpeg wrote at quality 30 changes little when it writes it again; what was filtered since then changes much.
    again = [psnr(blind._to_uint8(blind.jpeg(blind._to_planes(image), 30)), image) for image in (jpeg_last, sinc_last)]
    assert again[0] > again[1] + 3


def test_the_second_round_works_around_the_low_quality_size(monkeypatch):
    sizes, add = [], blind.add_gaussian_noise
    monkeypatch.setattr(blind, "add_gaussian_noise", lambda planes, *rest: sizes.append(planes.shape) or add(planes, *rest))
    plan = replace(QUIET_PLAN, first=replace(QUIET, factor=0.755), second=replace(QUIET, factor=1.19))
    assert carry_out(plan, photo(80), 4, np.random.default_rng(0)).shape == (20, 20, 3)
    assert sizes == [(3, 60, 60), (3, 23, 23)]  # 80 * 0.755 and 80 / 4 * 1.19, rounded down


# Steps


def test_blur_is_a_plain_filter_with_mirrored_border():
    from scipy.ndimage import correlate

    planes = np.random.default_rng(0).random((3, 40, 33), dtype=np.float32)
    kernel = bell_kernel(13, (2.5, 0.8), 0.6, 1.0, "gaussian")
    expected = np.stack([correlate(plane.astype(float), kernel, mode="mirror") for plane in planes])
    np.testing.assert_allclose(blind.blur(planes, kernel), expected, atol=1e-6)


@pytest.mark.parametrize("grey", [True, False])
def test_gaussian_noise_has_its_sigma(grey):
    planes = np.full((3, 200, 200), 0.5, np.float32)
    noise = blind.add_gaussian_noise(planes, 20, grey, np.random.default_rng(0)) - planes
    assert noise.std() == pytest.approx(20 / 255, rel=0.02)
    assert abs(noise.mean()) < 0.002
    correlation = np.corrcoef(noise[0].ravel(), noise[1].ravel())[0, 1]
    assert correlation == pytest.approx(1 if grey else 0, abs=0.03)


@pytest.mark.parametrize("grey", [True, False])
def test_poisson_noise_has_the_variance_of_its_photons(grey):
    levels = np.tile(np.arange(256, dtype=np.float32) / 255, (3, 400, 1))  # all 256 values: 256 photons at white
    noise = blind.add_poisson_noise(levels, 0.5, grey, np.random.default_rng(0)) - levels
    for level in (64, 128, 192):  # away from 0 and 1, where clamping cuts
        assert noise[0, :, level].var() == pytest.approx(0.5**2 * (level / 255) / 256, rel=0.3)
    middle = noise[:, :, 64:192]
    assert middle.var() == pytest.approx(0.5**2 * levels[:, :, 64:192].mean() / 256, rel=0.05)
    assert np.corrcoef(middle[0].ravel(), middle[1].ravel())[0, 1] == pytest.approx(1 if grey else 0, abs=0.03)


def test_poisson_photons_go_by_the_number_of_values():
    two_values = np.tile(np.array([0.2, 0.6], np.float32), (3, 200, 100))
    noise = blind.add_poisson_noise(two_values, 0.05, False, np.random.default_rng(0)) - two_values
    assert noise[:, :, 1::2].var() == pytest.approx(0.05**2 * 0.6 / 2, rel=0.05)
    five_values = np.tile(np.array([0.2, 0.3, 0.4, 0.5, 0.6], np.float32), (3, 200, 40))  # of eight photons, a power of two
    noise = blind.add_poisson_noise(five_values, 0.05, False, np.random.default_rng(0)) - five_values
    assert noise[:, :, 4::5].var() == pytest.approx(0.05**2 * 0.6 / 8, rel=0.05)


def test_lower_jpeg_quality_is_worse():
    planes = blind._to_planes(photo())
    errors = [float(np.square(blind.jpeg(planes, quality) - planes).mean()) for quality in (30, 50, 70, 95)]
    assert errors == sorted(errors, reverse=True)
    assert errors[0] > 4 * errors[-1] > 0


def test_jpeg_halves_the_resolution_of_colour_alone():
    """4:2:0, as OpenCV writes: columns that differ in colour alone become one colour, those that differ in brightness stay."""
    colour, brightness = (np.empty((3, 64, 64), np.float32) for _ in range(2))
    colour[..., ::2], colour[..., 1::2] = (np.array(rgb, np.float32)[:, None, None] for rgb in ((0.8, 0.35, 0.5), (0.2, 0.656, 0.5)))
    brightness[..., ::2], brightness[..., 1::2] = 0.3, 0.7
    assert abs(np.array([0.299, 0.587, 0.114]) @ (colour[:, 0, 0] - colour[:, 0, 1])) < 1e-3
    contrast = [np.ptp(blind.jpeg(planes, 95)[0, 20:40, 20:40]) for planes in (colour, brightness)]
    assert contrast[0] < 0.1  # of 0.6
    assert contrast[1] > 0.38  # of 0.4


# The table


@pytest.mark.parametrize("name", DEGRADATIONS)
@settings(max_examples=25)
@given(height=st.integers(1, 33), width=st.integers(1, 33), seed=st.integers(0, 10**6))
def test_any_size_comes_out_smaller_by_the_scale(name, height, width, seed):
    row = DEGRADATIONS[name]
    hq = np.random.default_rng(seed).integers(0, 256, (height * row.scale, width * row.scale, row.channels), dtype=np.uint8)
    lq = row.apply(hq, image_rng(seed))
    assert lq.shape == (height, width, row.channels)
    assert lq.dtype == (np.float32 if name.startswith("noise") else np.uint8)
    assert lq.flags.c_contiguous


@pytest.mark.parametrize("name", DEGRADATIONS)
def test_a_seed_fixes_the_bytes_and_its_name_says_whether_it_matters(name):
    row = DEGRADATIONS[name]
    assert row.name == name
    hq = photo()[..., : row.channels]
    digests = [digest(row.for_image(hq, seed, image)) for seed, image in ((0, "a"), (0, "a"), (1, "a"), (0, "b"))]
    assert digests[0] == digests[1]
    assert len(set(digests)) == (2 if row.published else 3 if row.random else 1)  # published noise knows no names


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_bicubic_rows_are_the_matlab_resize(scale):
    np.testing.assert_array_equal(DEGRADATIONS[f"bicubic-x{scale}"].for_image(photo(), 0, "any"), imresize(photo(), 1 / scale))


@pytest.mark.parametrize("name", [name for name, row in DEGRADATIONS.items() if row.scale > 1])
def test_sides_must_be_multiples_of_the_scale(name):
    with pytest.raises(ValueError, match="mod_crop"):
        DEGRADATIONS[name].apply(photo(97), np.random.default_rng(0))


def test_an_unknown_degradation_is_one_clear_message():
    with pytest.raises(SuiteError, match=r"no degradation is called 'blind-x5'.*Did you mean 'blind-x4'"):
        degradation("blind-x5")


def test_two_workers_give_the_bytes_that_one_gives():
    here = [digest_of_seed(seed) for seed in range(6)]
    assert len(set(here)) == 6
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        assert list(pool.map(digest_of_seed, range(6))) == here
        assert list(pool.map(digest_of_seed, reversed(range(6)))) == here[::-1]


def test_threads_and_hash_seed_change_no_byte():
    code = "from tests.data.degrade.test_degradations import digest_of_seed; print(*(digest_of_seed(seed) for seed in range(3)))"
    for threads, hash_seed in (("1", "1"), ("4", "2")):
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "OMP_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads}
        out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT, env=environment)
        assert out.stdout.split() == [digest_of_seed(seed) for seed in range(3)]


def test_generators_depend_on_every_part_of_their_name():
    parts = [(0,), (1,), (0, "a"), (0, "b"), (0, "a", "b"), (0, "ab"), (0, "a", 1), (0, 1, "a")]
    assert len({image_rng(*part).integers(2**63) for part in parts}) == len(parts)
    assert image_rng(0, "a").integers(2**63) == image_rng(0, "a").integers(2**63)


def test_the_blind_degradation_loses_what_it_should():
    hq = photo(160)
    clean = imresize(hq, 1 / 4)
    scores = [psnr(degrade(hq, np.random.default_rng(seed)), clean) for seed in range(24)]
    assert min(scores) > 15
    assert max(scores) < 40
    assert max(scores) - min(scores) > 6
    means = [degrade(hq, np.random.default_rng(seed)).mean() for seed in range(24)]
    assert np.mean(means) == pytest.approx(hq.mean(), rel=0.03)
