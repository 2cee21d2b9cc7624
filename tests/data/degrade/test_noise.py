"""Noise: the published realisation bit for bit, its order, and the camera's model."""

import math

import numpy as np
import pytest

from suite.data.degrade import noise
from suite.data.images import read_image
from suite.data.photos import load_photos
from suite.measure.quality.fidelity import psnr


def known(outside, kind):
    """Noisy image, and the denoised ones with the PSNR in their names."""
    files = {path.stem.split("_")[1]: path for path in sorted((outside / "KAIR_denoising_known" / kind).glob("*.png"))}
    pixels = {name: read_image(path) if kind == "color" else read_image(path)[..., :1] for name, path in files.items()}
    return pixels.pop("noisy"), {name: (image, int(files[name].stem.split("_")[2]) / 100) for name, image in pixels.items()}


@pytest.mark.outside
@pytest.mark.parametrize("kind", ["gray", "color"])
def test_published_noisy_files_are_met_bit_for_bit(outside, kind):
    """The clean images are not there, but the noise is known: what is left without it must be a photograph, the one of the file names."""
    noisy, denoised = known(outside, kind)
    drawn = noise.published_noise(np.zeros_like(noisy), 50, "rgb").astype(float) * 255
    clean = np.rint(noisy - drawn).clip(0, 255).astype(np.uint8)
    again = np.rint(noise.published_noise(clean, 50, "rgb").clip(0, 1) * 255).astype(np.uint8)
    np.testing.assert_array_equal(again, noisy)
    inside = (noisy > 0) & (noisy < 255)  # elsewhere the noise was cut off, and with it the image
    for name, (image, published) in denoised.items():
        assert psnr(image[inside], clean[inside]) == pytest.approx(published, abs=0.2), name
    if kind == "color":
        other = np.rint(noisy - drawn[..., ::-1]).clip(0, 255)
        assert all(psnr(image[inside], other[inside]) < 15 for image, _ in denoised.values())


def test_the_noise_is_numpy_s_legacy_stream_over_the_whole_image():
    hq = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    drawn = np.random.RandomState(0).normal(0, 25 / 255, (5, 7, 3))
    rgb, bgr = (noise.published_noise(hq, 25, order) for order in ("rgb", "bgr"))
    np.testing.assert_array_equal(rgb, (hq.astype(np.float32) / np.float32(255) + drawn).astype(np.float32))
    np.testing.assert_array_equal(bgr, (hq.astype(np.float32) / np.float32(255) + drawn[..., ::-1]).astype(np.float32))
    assert drawn[0, 0, 0] == 1.764052345967664 * 25 / 255  # the first value that everyone who seeds with 0 has seen


def test_noise_depends_on_the_size_alone_and_leaves_the_global_generator_alone():
    one, other = (np.full((6, 6, 3), value, np.uint8) for value in (10, 200))
    before = np.random.get_state()[1].copy()
    difference = noise.published_noise(one, 50, "bgr") - noise.published_noise(other, 50, "bgr")
    np.testing.assert_allclose(difference, -190 / 255, atol=1e-6)
    np.testing.assert_array_equal(before, np.random.get_state()[1])
    assert (noise.published_noise(one, 50, "bgr", seed=1) != noise.published_noise(one, 50, "bgr")).any()


@pytest.mark.parametrize("sigma", [15, 25, 50])
def test_training_noise_has_its_sigma_and_is_not_clipped(sigma):
    hq = np.zeros((200, 200, 3), np.uint8)
    drawn = noise.gaussian(hq, np.random.default_rng(0), sigma)
    assert drawn.std() == pytest.approx(sigma / 255, rel=0.01)
    assert drawn.min() < 0


@pytest.mark.outside
def test_colour_noise_of_sigma_50_costs_what_its_variance_says(outside):
    hq = read_image(outside / "Kodak24" / "kodim01.png")
    noisy = noise.published_noise(hq, 50, "bgr")
    assert psnr(noisy.astype(float) * 255, hq) == pytest.approx(20 * math.log10(255 / 50), abs=0.02)


# The camera


def test_camera_noise_grows_with_the_signal_and_with_the_gains():
    gains, shot, read = np.array([2.0, 1.0, 1.5]), 0.002, 1e-6
    levels = np.zeros((400, 64, 3), np.uint8)
    levels[:, :32], levels[:, 32:] = 60, 160
    noisy = noise.add_camera_noise(levels, shot, read, gains, np.random.default_rng(0))
    linear = np.where(noisy / 255 <= 0.04045, noisy / 255 / 12.92, ((noisy / 255 + 0.055) / 1.055) ** 2.4)
    for channel, gain in ((0, 2.0), (2, 1.5)):
        for columns, level in ((slice(1, 31), 60), (slice(33, 63), 160)):
            value = ((level / 255 + 0.055) / 1.055) ** 2.4
            sites = linear[channel // 2 :: 2, columns, channel]  # rows in which the mosaic measures the channel
            measured = sites[:, (channel // 2 + 1) % 2 :: 2]
            assert measured.var() == pytest.approx((shot * value / gain + read) * gain**2, rel=0.12)


def test_camera_noise_is_correlated_between_neighbours_as_demosaicing_leaves_it():
    drawn = noise.add_camera_noise(np.full((200, 200, 3), 128, np.uint8), 0.003, 1e-5, np.ones(3), np.random.default_rng(0)) - 128.0
    neighbours = np.corrcoef(drawn[:, :-1, 0].ravel(), drawn[:, 1:, 0].ravel())[0, 1]
    assert 0.3 < neighbours < 0.8
    assert abs(np.corrcoef(drawn[..., 0].ravel(), drawn[..., 2].ravel())[0, 1]) < 0.05


def test_cameras_range_from_clean_to_noisy():
    hq = dict(load_photos("test"))["coffee"][:160, :160]
    scores = [psnr(noise.camera(hq, np.random.default_rng(seed)), hq) for seed in range(30)]
    assert 18 < min(scores) < 28
    assert 36 < max(scores) < 50
