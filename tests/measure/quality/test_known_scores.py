"""What each protocol makes of one colour pair, by hand: which channel, rounded or not, how wide a border, and which SSIM."""

import numpy as np
import pytest
from skimage.metrics import structural_similarity

from suite.measure.quality.fidelity import score, ssim_volume
from suite.study.protocols import protocol

# Channel, whether Y is rounded, pixels left out at each border at x4.
ROWS = {
    "sr-y": ("Y", False, 4),
    "sr-y-rounded": ("Y", True, 4),
    "gan-sr": ("Y", False, 4),
    "real-sr": ("Y", False, 4),
    "derain-matlab": ("Y", True, 0),
    "derain-y": ("Y", False, 0),
    "derain-crop4": ("Y", False, 4),
    "color-dn-bgr": ("RGB", False, 0),
    "color-dn-rgb": ("RGB", False, 0),
    "sidd-uint8": ("RGB", False, 0),
    "ntire-rgb": ("RGB", False, 4),
}


def pair():
    """An output in floating point, partly outside 0..1, and its target."""
    random = np.random.default_rng(0)
    target = np.kron(random.integers(0, 256, (6, 7, 3)), np.ones((8, 8, 1))).astype(np.uint8)
    target[:4], target[-4:] = 0, 255  # the border weighs
    error = 0.03 * random.standard_normal(target.shape) * (1 + 4 * (np.arange(target.shape[0]) < 4))[:, None, None]
    return (target / 255 + error).astype(np.float32), target


def planes(image, channel, rounded):
    """What is compared of 8-bit RGB, (H, W, C) in 0..255."""
    if channel == "RGB":
        return image.astype(np.float64)
    y = 16 + image.astype(np.float64) @ (65.481, 128.553, 24.966) / 255
    return (np.floor(y + 0.5) if rounded else y)[..., None]


def ssim_of(plane, other):
    """The published SSIM: Gaussian window of 11 pixels and sigma 1.5, the inside alone."""
    _, full = structural_similarity(
        plane, other, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=255, full=True, truncate=3.5
    )
    return full[5:-5, 5:-5].mean()


@pytest.mark.parametrize("name", ROWS)
def test_a_protocol_by_hand(name):
    channel, rounded, border = ROWS[name]
    output, target = pair()
    eight_bit = np.rint(255 * output.clip(0, 1)).astype(np.uint8)
    inside = slice(border, -border or None)
    ours, theirs = (planes(image, channel, rounded)[inside, inside] for image in (eight_bit, target))
    found = score(protocol(name), output, target, 4)
    assert list(found) == [f"PSNR-{channel}", f"SSIM-{channel}"]
    assert found[f"PSNR-{channel}"] == pytest.approx(10 * np.log10(255**2 / np.mean((ours - theirs) ** 2)), abs=1e-9)
    expected = np.mean([ssim_of(ours[..., place], theirs[..., place]) for place in range(ours.shape[2])])
    assert found[f"SSIM-{channel}"] == pytest.approx(expected, abs=1e-9)


def test_sidd_s_server_takes_unrounded_blocks_and_a_volume():
    output, target = pair()
    found = score(protocol("sidd-blocks"), output, target, 1)
    clamped = 255 * output.clip(0, 1).astype(np.float64)
    assert found["PSNR-RGB"] == pytest.approx(10 * np.log10(255**2 / np.mean((clamped - target) ** 2)), abs=1e-6)
    assert found["SSIM-volume"] == pytest.approx(ssim_volume(clamped, target), abs=1e-6)
    plane_by_plane = np.mean([ssim_of(clamped[..., place], target[..., place].astype(float)) for place in range(3)])
    assert abs(found["SSIM-volume"] - plane_by_plane) > 1e-3


def test_the_rows_are_told_apart_by_this_pair():
    output, target = pair()
    found = {name: round(next(iter(score(protocol(name), output, target, 4).values())), 6) for name in ROWS}
    alike = [{"sr-y", "gan-sr", "real-sr", "derain-crop4"}, {"color-dn-bgr", "color-dn-rgb", "sidd-uint8"}]
    assert len(set(found.values())) == len(ROWS) - sum(len(group) - 1 for group in alike)
