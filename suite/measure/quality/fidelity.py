"""PSNR and SSIM against a target, in float64, as BasicSR and the MATLAB scripts of this field define them.

SSIM is that of Wang, Bovik, Sheikh and Simoncelli, "Image quality assessment: from error visibility to structural similarity",
2004, section III-B: 11x11 Gaussian window of sigma 1.5, K1 = 0.01, K2 = 0.03, L = 255; population moments (not the sample
covariance that scikit-image takes by default); windows that lie wholly inside the image; no down-sampling; of colour, the mean
over the channels. `ssim_volume` is what MATLAB's `ssim` makes of an HxWx3 array, which it takes for a volume (its documentation:
isotropic Gaussian of standard deviation 1.5, radius 5, edges replicated, mean over the whole map).

Deviation: a score is at most `PSNR_CAP` (100 dB). The PSNR of identical images is infinite, which JSON cannot hold and which would make
every mean infinite; `psnr` itself returns infinity, `score` caps it, and the protocol's statement says so.
Deviation: where a protocol compares single-precision images of peak 1, the sums are ours, in float64, on values scaled to peak 255;
PSNR and SSIM do not depend on the peak.

Where other packages agree and where they do not (test_fidelity.py, test_iqa.py):

    scikit-image  PSNR                                      equal
    scikit-image  SSIM, gaussian_weights, sigma 1.5,        equal: it leaves out the same border of 5 pixels
                  use_sample_covariance=False
    scikit-image  SSIM with its defaults                    7x7 uniform window, sample covariance: differs
    pyiqa         psnr on RGB                               equal but for single precision and a small constant in the logarithm
    pyiqa         psnry                                     Y of 0..255 (YIQ) where ours spans 219 levels: 20 log10(255/219) = 1.32 dB
                                                            below ours, where the images differ in brightness
    pyiqa         ssim                                      on that same Y: differs in the third decimal
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from suite.core.errors import Exit, SuiteError
from suite.data.colour import TOO_BRIGHT, Plane, clamp, in_grey, luma, quantise
from suite.data.images import three_channels
from suite.study.protocols import PSNR_CAP, SSIM_WINDOW, Protocol

PEAK = 255.0
WINDOW, SIGMA = SSIM_WINDOW, 1.5
EDGE = WINDOW // 2
C1, C2 = (0.01 * PEAK) ** 2, (0.03 * PEAK) ** 2


def psnr(output: np.ndarray, target: np.ndarray) -> float:
    """Return the peak signal-to-noise ratio in dB of two arrays of one shape, values 0..255; infinity where they are equal."""
    _same_shape(output, target)
    error = float(np.mean(np.square(output.astype(np.float64) - target.astype(np.float64))))
    return math.inf if error == 0 else 10 * math.log10(PEAK**2 / error)


def ssim(output: np.ndarray, target: np.ndarray) -> float:
    """Return the structural similarity of two arrays, values 0..255: `(H, W)`, or `(H, W, C)` as the mean over the channels; at most 1.

    Raises ValueError where the shapes differ, or a side is shorter than the window of 11 pixels.
    """
    from scipy.ndimage import correlate1d  # late: slow to load

    _same_shape(output, target)
    if output.ndim not in (2, 3) or min(output.shape[:2]) < WINDOW:
        raise ValueError(f"SSIM takes (H, W) or (H, W, C) with sides of at least {WINDOW} pixels, not {output.shape}")
    if output.ndim == 3:  # a plane at a time: what is filtered lies together in memory
        return float(np.mean([ssim(output[..., channel], target[..., channel]) for channel in range(output.shape[2])]))
    window = _gaussian()

    def local_mean(values: Plane) -> Plane:
        smooth = correlate1d(correlate1d(values, window, axis=0), window, axis=1)
        return smooth[EDGE:-EDGE, EDGE:-EDGE]

    return float(_similarity(output.astype(np.float64), target.astype(np.float64), local_mean).mean())


def ssim_volume(output: np.ndarray, target: np.ndarray) -> float:
    """Return the structural similarity as MATLAB's `ssim` of `(H, W, C)` arrays, values 0..255: the channels are a third axis; at most 1.

    Raises ValueError where the shapes differ or are not `(H, W, C)`.
    """
    from scipy.ndimage import correlate1d  # late: slow to load

    _same_shape(output, target)
    if output.ndim != 3:
        raise ValueError(f"SSIM of a volume takes (H, W, C), not {output.shape}")
    window = _gaussian()
    channels = output.shape[2]
    offsets = np.arange(channels)[:, None] + np.arange(-EDGE, EDGE + 1)
    across = np.zeros((channels, channels))  # the window along the few channels, with replicated ends, as weights of each for each
    np.add.at(across, (np.arange(channels)[:, None], offsets.clip(0, channels - 1)), window[None, :])

    def local_mean(values: Plane) -> Plane:
        mixed = np.stack([sum(weight * plane for weight, plane in zip(row, values, strict=True)) for row in across])
        return correlate1d(correlate1d(mixed, window, axis=1, mode="nearest"), window, axis=2, mode="nearest")

    planes = (np.ascontiguousarray(np.moveaxis(image, 2, 0), dtype=np.float64) for image in (output, target))
    return float(_similarity(*planes, local_mean).mean())


def score(protocol: Protocol, output: np.ndarray, target: np.ndarray, scale: int) -> dict[str, float]:
    """Return PSNR and SSIM of `output` against `target` under `protocol`, by their names in METRICS; always finite.

    Both are RGB `(H, W, 3)` or grey `(H, W, 1)`, uint8 or floating point in 0..1; the output is clamped, and rounded to 8 bit where
    the protocol says so. Under a protocol of Y or RGB a grey image stands for three equal channels, or is compared as it is where
    `protocol.grey` is "plane"; both sides have as many channels. Where `protocol.lowres` is "float-y", one channel is the Y plane itself
    (Y / 255 in floating point), and only one side may be RGB.
    Raises SuiteError where the sizes differ, values are not finite, or less than SSIM's window is left inside the cropped
    border, and ValueError for other types and shapes, and for values that are not in the range.
    """
    border = protocol.border(scale)
    _check_sizes(protocol, output, target, border)
    _check_range(output, target)
    inside = slice(border, -border) if border else slice(None)
    planes = [_values(protocol, image)[inside, inside] for image in (output, target)]
    similarity = ssim_volume if protocol.ssim == "volume-11" else ssim
    return dict(zip(protocol.fidelity, (min(psnr(*planes), PSNR_CAP), similarity(*planes)), strict=True))


def as_compared(protocol: Protocol, image: np.ndarray) -> np.ndarray:
    """Return `image` as `protocol` compares it, before a channel is taken: uint8, or clamped to 0..1 in float64 where it is not rounded."""
    if protocol.quantise == "uint8" or image.dtype == np.uint8:
        return quantise(image)
    if protocol.quantise == "uint8-up":
        return ((clamp(image) + 0.5 / PEAK) * PEAK).astype(np.uint8)  # in the output's own precision, as torch does it
    return clamp(image).astype(np.float64)


def unit_planes(image: np.ndarray, taker: str) -> npt.NDArray[np.float64]:
    """Return `image`, `(H, W, 3)` or grey `(H, W, 1)`, uint8 or floating point in 0..1, as `(1, 3, H, W)`; ValueError names the `taker`."""
    if image.ndim != 3 or image.shape[2] not in (1, 3):
        raise ValueError(f"{taker} takes (H, W, 3) or (H, W, 1), not {image.shape}")
    if image.dtype == np.uint8:
        image = image / np.float64(255)
    elif not np.issubdtype(image.dtype, np.floating) or not (image.min() >= 0 and image.max() <= 1):
        raise ValueError(f"{taker} takes uint8 or floating point in 0..1, not {image.dtype} of {image.min():g} to {image.max():g}")
    return np.broadcast_to(image, (*image.shape[:2], 3)).transpose(2, 0, 1)[None]


def _values(protocol: Protocol, image: np.ndarray) -> np.ndarray:
    """Return the values that are compared, 0..255: a plane `(H, W)`, or `(H, W, 3)`."""
    image = as_compared(protocol, image)
    if protocol.channel == "grey":
        return in_grey(protocol, image)[..., 0]
    if protocol.channel == "Y":
        if image.shape[2] == 1 and (protocol.grey == "plane" or protocol.lowres == "float-y"):
            return image[..., 0]
        colour = three_channels(image)
        plane = luma(colour if colour.dtype == np.uint8 else colour * PEAK)
        return np.floor(plane + 0.5) if protocol.y_rounding == "uint8" else plane
    image = three_channels(image)
    return image if image.dtype == np.uint8 else image * PEAK


def _similarity(x: Plane, y: Plane, local_mean: Callable[[Plane], Plane]) -> Plane:
    """Return the map of structural similarity under a weighted local mean."""
    mean_x, mean_y = local_mean(x), local_mean(y)
    var_x = local_mean(x * x) - mean_x**2
    var_y = local_mean(y * y) - mean_y**2
    cov = local_mean(x * y) - mean_x * mean_y
    return ((2 * mean_x * mean_y + C1) * (2 * cov + C2)) / ((mean_x**2 + mean_y**2 + C1) * (var_x + var_y + C2))


def _gaussian() -> Plane:
    offsets = np.arange(WINDOW) - EDGE
    window = np.exp(-(offsets**2) / (2 * SIGMA**2))
    return window / window.sum()


def _check_sizes(protocol: Protocol, output: np.ndarray, target: np.ndarray, border: int) -> None:
    for image in (output, target):
        if image.ndim != 3 or image.shape[2] not in (1, 3):
            raise ValueError(f"an image is (H, W, 3) or (H, W, 1), not {image.shape}")
    compared = slice(0, 2) if protocol.lowres == "float-y" else slice(None)
    if output.shape[compared] != target.shape[compared]:
        raise SuiteError(
            f"the output is {_size(output)} and its target {_size(target)} (width x height x channels): they must be of one size."
        )
    if min(target.shape[:2]) < WINDOW + 2 * border:
        raise SuiteError(
            f"an image of {_size(target)} pixels is too small for {protocol.key}: without {border} pixels at each border, "
            f"SSIM needs {WINDOW}x{WINDOW}. Leave the image out of the set.",
            exit=Exit.NOT_READY,
        )


def _check_range(output: np.ndarray, target: np.ndarray) -> None:
    """Refuse floating-point images of 0..255, which clamping would turn into a number that means nothing."""
    if np.issubdtype(target.dtype, np.floating) and not (target.min() >= 0 and target.max() <= 1):
        raise ValueError(f"a target in floating point is in 0..1, not {target.min():g} to {target.max():g}")
    if np.issubdtype(output.dtype, np.floating) and np.median(output) > TOO_BRIGHT:
        raise ValueError(f"an output in floating point is in 0..1, but half of its values are above {TOO_BRIGHT}: divide by 255")


def _same_shape(output: np.ndarray, target: np.ndarray) -> None:
    if output.shape != target.shape:
        raise ValueError(f"output and target must have one shape, not {output.shape} and {target.shape}")


def _size(image: np.ndarray) -> str:
    return "x".join(str(side) for side in (*image.shape[1::-1], *image.shape[2:]))
