"""PSNR and SSIM against a target, in float64, as BasicSR and the MATLAB scripts of this field define them.

SSIM is that of Wang, Bovik, Sheikh and Simoncelli, "Image quality assessment: from error visibility to structural similarity",
2004, section III-B: 11x11 Gaussian window of sigma 1.5, K1 = 0.01, K2 = 0.03, L = 255; population moments (not the sample
covariance that scikit-image takes by default); windows that lie wholly inside the image; no down-sampling.

Deviation: a score is at most `PSNR_CAP` (100 dB). The PSNR of identical images is infinite, which JSON cannot hold and which would make
every mean infinite; `psnr` itself returns infinity, `score` caps it, and the protocol's statement says so.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from suite.errors import SuiteError
from suite.protocols import PSNR_CAP, Protocol

PEAK = 255.0
WINDOW, SIGMA = 11, 1.5
C1, C2 = (0.01 * PEAK) ** 2, (0.03 * PEAK) ** 2
# ITU-R BT.601 for R, G, B in 0..255, with an offset of 16. The products with 1/255, not quotients: so MATLAB's ties round as there.
LUMA = tuple(weight * (1 / 255) for weight in (65.481, 128.553, 24.966))


def luma(rgb: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    """BT.601 Y, 16 to 235, not rounded, of an RGB uint8 image: `(H, W, 3)` to `(H, W)`."""
    if rgb.dtype != np.uint8 or rgb.ndim != 3 or rgb.shape[2] != 3:
        raise ValueError(f"luma takes a uint8 (H, W, 3) image, not {rgb.dtype} {rgb.shape}")
    red, green, blue = (rgb[..., channel].astype(np.float64) for channel in range(3))
    return LUMA[0] * red + LUMA[1] * green + LUMA[2] * blue + 16


def psnr(output: np.ndarray, target: np.ndarray) -> float:
    """Peak signal-to-noise ratio in dB of two arrays of one shape, values 0..255; infinity where they are equal."""
    _same_shape(output, target)
    error = float(np.mean(np.square(output.astype(np.float64) - target.astype(np.float64))))
    return math.inf if error == 0 else 10 * math.log10(PEAK**2 / error)


def ssim(output: np.ndarray, target: np.ndarray) -> float:
    """Structural similarity of two arrays, values 0..255: `(H, W)`, or `(H, W, C)` as the mean over the channels; at most 1.

    Raises ValueError where the shapes differ, or a side is shorter than the window of 11 pixels.
    """
    from scipy.ndimage import correlate1d

    _same_shape(output, target)
    if output.ndim not in (2, 3) or min(output.shape[:2]) < WINDOW:
        raise ValueError(f"SSIM takes (H, W) or (H, W, C) with sides of at least {WINDOW} pixels, not {output.shape}")
    offsets = np.arange(WINDOW) - WINDOW // 2
    window = np.exp(-(offsets**2) / (2 * SIGMA**2))
    window /= window.sum()
    edge = WINDOW // 2

    def local_mean(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        smooth = correlate1d(correlate1d(values, window, axis=0), window, axis=1)
        return smooth[edge:-edge, edge:-edge]

    x, y = output.astype(np.float64), target.astype(np.float64)
    mean_x, mean_y = local_mean(x), local_mean(y)
    var_x = local_mean(x * x) - mean_x**2
    var_y = local_mean(y * y) - mean_y**2
    cov = local_mean(x * y) - mean_x * mean_y
    similarity = ((2 * mean_x * mean_y + C1) * (2 * cov + C2)) / ((mean_x**2 + mean_y**2 + C1) * (var_x + var_y + C2))
    return float(similarity.mean())


def score(protocol: Protocol, output: np.ndarray, target: npt.NDArray[np.uint8], scale: int) -> dict[str, float]:
    """What `protocol` measures of `output` against `target`: {"PSNR-Y": dB, "SSIM-Y": at most 1}, always finite.

    Both are RGB `(H, W, 3)`; `target` is uint8, `output` uint8 or floating point in 0..1 (clamped, then rounded to 8 bit).
    Raises SuiteError where the sizes differ, values are not finite, or less than SSIM's window is left inside the cropped
    border, and ValueError for other types and shapes.
    """
    border = protocol.border(scale)
    if output.shape != target.shape:
        raise SuiteError(
            f"the output is {_size(output)} and its target {_size(target)} (width x height x channels): they must be of one size."
        )
    if min(target.shape[:2]) < WINDOW + 2 * border:
        raise SuiteError(
            f"an image of {_size(target)} pixels is too small for {protocol.key}: without {border} pixels at each border, "
            f"SSIM needs {WINDOW}x{WINDOW}. Leave the image out of the set."
        )
    inside = slice(border, -border) if border else slice(None)
    planes = [luma(quantise(image))[inside, inside] for image in (output, target)]
    if protocol.y_rounding == "uint8":
        planes = [np.floor(plane + 0.5) for plane in planes]
    values = (min(psnr(*planes), PSNR_CAP), ssim(*planes))
    return dict(zip(protocol.metrics, values, strict=True))


def quantise(image: np.ndarray) -> npt.NDArray[np.uint8]:
    """`image` as uint8: as it is if it is uint8, else from floating point 0..1, clamped and rounded (halves to even, as BasicSR)."""
    if image.dtype == np.uint8:
        return image
    if not np.issubdtype(image.dtype, np.floating):
        raise ValueError(f"an image is uint8 or floating point in 0..1, not {image.dtype}")
    if not np.isfinite(image).all():
        raise SuiteError("the image to be measured holds values that are not finite (NaN or infinity); nothing can be said of it.")
    return np.rint(image.clip(0, 1) * 255).astype(np.uint8)


def _same_shape(output: np.ndarray, target: np.ndarray) -> None:
    if output.shape != target.shape:
        raise ValueError(f"output and target must have one shape, not {output.shape} and {target.shape}")


def _size(image: np.ndarray) -> str:
    return "x".join(str(side) for side in (*image.shape[1::-1], *image.shape[2:]))
