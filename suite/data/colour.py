"""Colour to luma and grey, and floating point to 8 bits: as the protocols and the tasks on grey images ask."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from suite.core.errors import Exit, SuiteError
from suite.study.protocols import Protocol

Plane = npt.NDArray[np.float64]

# ITU-R BT.601 for R, G, B in 0..255, with an offset of 16. The products with 1/255, not quotients: so MATLAB's ties round as there.
LUMA = tuple(weight * (1 / 255) for weight in (65.481, 128.553, 24.966))
GREY = (4899, 9617, 1868)  # of 2**14 for R, G, B: BT.601, full range
GREY_BITS = 14
TOO_BRIGHT = 1.5  # a median beyond it: the values are levels of 0..255, not of 0..1


def luma(rgb: npt.NDArray[np.uint8]) -> Plane:
    """Return BT.601 Y, 16 to 235, not rounded, of an RGB image, uint8 or float64 of 0..255: `(H, W, 3)` to `(H, W)`."""
    if rgb.dtype not in (np.uint8, np.float64) or rgb.ndim != 3 or rgb.shape[2] != 3:
        raise ValueError(f"luma takes a uint8 (H, W, 3) image, or one of float64, not {rgb.dtype} {rgb.shape}")
    red, green, blue = (rgb[..., channel].astype(np.float64) for channel in range(3))
    return LUMA[0] * red + LUMA[1] * green + LUMA[2] * blue + 16


def grey(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Return uint8 `(H, W)` of an image: of `(H, W, 3)` RGB by BT.601 in full range, in 14-bit integers, rounded; `(H, W, 1)` as it is.

    That is what OpenCV's `imread(..., IMREAD_GRAYSCALE)` gives of colour BMP and TIFF files (4.5 to 5.0, compared bit by bit). It is not
    what OpenCV gives of other colour files: PNG is made grey by libpng, which cuts off instead of rounding (half of the pixels are lower by
    1), JPEG files give the plane that they store, and `cvtColor` counts in 15 bits (0.3 % of random pixels differ by 1).
    """
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] not in (1, 3):
        raise ValueError(f"grey takes a uint8 (H, W, 3) or (H, W, 1) image, not {image.dtype} {image.shape}")
    if image.shape[2] == 1:
        return image[..., 0]
    red, green, blue = (weight * image[..., channel].astype(np.int32) for channel, weight in enumerate(GREY))
    return ((red + green + blue + (1 << GREY_BITS - 1)) >> GREY_BITS).astype(np.uint8)


def in_grey(protocol: Protocol, image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Return the grey uint8 `(H, W, 1)` that `protocol` takes of `(H, W, 3)` RGB: MATLAB's rounded Y, or `grey`; `(H, W, 1)` as it is."""
    if protocol.grey == "plane" and image.shape[2] == 3:
        return np.floor(luma(image) + 0.5).astype(np.uint8)[..., None]
    return grey(image)[..., None]


def quantise(image: np.ndarray) -> npt.NDArray[np.uint8]:
    """Return `image` as uint8: as it is if it is uint8, else from floating point 0..1, clamped and rounded (halves to even, as BasicSR)."""
    if image.dtype == np.uint8:
        return image
    return np.rint(clamp(image) * 255).astype(np.uint8)


def clamp(image: np.ndarray) -> np.ndarray:
    """Return a floating-point `image` cut off at 0 and 1; SuiteError where a value is not finite, ValueError for another type."""
    if not np.issubdtype(image.dtype, np.floating):
        raise ValueError(f"an image is uint8 or floating point in 0..1, not {image.dtype}")
    if not np.isfinite(image).all():
        raise SuiteError("the restored image holds values that are not finite (NaN or infinity): it cannot be used.", exit=Exit.NOT_READY)
    return image.clip(0, 1)
