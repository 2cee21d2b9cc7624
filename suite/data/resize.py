"""MATLAB-compatible bicubic resize, and the separable resampling that it and the blind degradation share.

`imresize` follows the documented behaviour of MATLAB's `imresize(image, scale, "bicubic")`: Keys' cubic
(R. Keys, "Cubic convolution interpolation for digital image processing", 1981, a = -0.5), widened by 1/scale when
shrinking (antialiasing), weights normalised to 1, rows (the vertical axis) first. What differed between MATLAB's releases
is a parameter: the border (modern: mirrored; old: replicated), and whether the image is rounded to uint8 between the passes.

Deviation: none that is known; the low-resolution Set5 of two published collections is met pixel for pixel (test_resize.py).
Sums run tap by tap in numpy, never through BLAS, so that the bytes depend on neither threads nor the machine.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
import numpy.typing as npt

Border = Literal["mirror", "replicate"]
Between = Literal["uint8", "float"]
Filter = Literal["area", "bilinear", "bicubic"]

KEYS_A = -0.5  # MATLAB's cubic
TORCH_A = -0.75  # PyTorch's and OpenCV's


@dataclass(frozen=True)
class Taps:
    """One-dimensional resampling: output i = sum over t of weight[t, i] * input[index[t, i]]; both `(T, L_out)`."""

    index: npt.NDArray[np.intp]
    weight: npt.NDArray[np.float64]


def cubic(x: npt.NDArray[np.float64], a: float = KEYS_A) -> npt.NDArray[np.float64]:
    """Return Keys' cubic convolution kernel at `x` (any shape); 0 outside [-2, 2] (Keys 1981)."""
    x = np.abs(x)
    x2, x3 = x * x, x * x * x
    near = (a + 2) * x3 - (a + 3) * x2 + 1
    far = a * x3 - 5 * a * x2 + 8 * a * x - 4 * a
    return np.where(x <= 1, near, np.where(x <= 2, far, 0.0))


@lru_cache(maxsize=256)
def _matlab_taps(length: int, scale: float, border: Border) -> Taps:
    out = max(1, math.ceil(length * scale - 1e-9))  # 1e-9: 1/3 is not a binary fraction
    shrink = min(scale, 1.0)
    width = 4 / shrink
    centre = (np.arange(out) + 0.5) / scale - 0.5
    first = np.floor(centre - width / 2).astype(np.intp) + 1
    index = first[None, :] + np.arange(math.ceil(width) + 1)[:, None]
    weight = shrink * cubic(shrink * (centre[None, :] - index))
    weight /= weight.sum(axis=0)
    if border == "mirror":
        index = index % (2 * length)
        index = np.where(index < length, index, 2 * length - 1 - index)
    else:
        index = index.clip(0, length - 1)
    used = np.any(weight != 0, axis=1)
    taps = Taps(index[used], weight[used])
    taps.index.setflags(write=False)
    taps.weight.setflags(write=False)
    return taps


def plain_taps(length: int, out: int, kind: Filter) -> Taps:
    """Return weights from `length` to `out` samples as PyTorch's `interpolate(size=..., mode=kind)`: no antialiasing, edge repeated."""
    if kind == "area":
        first = np.arange(out) * length // out
        end = -(-(np.arange(out) + 1) * length // out)
        index = first[None, :] + np.arange(int((end - first).max()))[:, None]
        weight = (index < end) / (end - first)
        return Taps(index.clip(0, length - 1), weight)
    centre = (np.arange(out) + 0.5) * (length / out) - 0.5
    if kind == "bilinear":
        centre = centre.clip(0, length - 1)
        offsets, weigh = np.arange(2), lambda x: 1 - np.abs(x)
    else:
        offsets, weigh = np.arange(-1, 3), lambda x: cubic(x, TORCH_A)
    index = np.floor(centre).astype(np.intp)[None, :] + offsets[:, None]
    return Taps(index.clip(0, length - 1), weigh(centre[None, :] - index))


def resample_rows(planes: npt.NDArray[np.floating], taps: Taps) -> npt.NDArray[np.floating]:
    """Return `planes` `(..., H, W)` resampled along H, in their own float type: `(..., H_out, W)`."""
    weight = taps.weight.astype(planes.dtype, copy=False)[:, :, None]
    out = planes.take(taps.index[0], axis=-2)
    out *= weight[0]
    for row, w in zip(taps.index[1:], weight[1:], strict=True):
        part = planes.take(row, axis=-2)
        part *= w
        out += part
    return out


def resample(planes: npt.NDArray[np.floating], rows: Taps, columns: Taps) -> npt.NDArray[np.floating]:
    """Return `planes` `(..., H, W)` resampled along H, then along W, without rounding."""
    return _resample_columns(resample_rows(planes, rows), columns)


def _resample_columns(planes: npt.NDArray[np.floating], taps: Taps) -> npt.NDArray[np.floating]:
    turned = np.ascontiguousarray(planes.swapaxes(-1, -2))  # gathering whole rows is several times faster than single columns
    return np.ascontiguousarray(resample_rows(turned, taps).swapaxes(-1, -2))


def _to_uint8(values: npt.NDArray[np.float64]) -> npt.NDArray[np.uint8]:
    """Convert as MATLAB does: saturated, halves away from zero."""
    return np.floor(values.clip(0, 255) + 0.5).astype(np.uint8)


def imresize(image: np.ndarray, scale: float, *, border: Border = "mirror", between: Between = "uint8") -> np.ndarray:
    """Return `image` resized by `scale` (0.25: a quarter) as MATLAB's antialiased bicubic `imresize` does.

    `image` is uint8 `(H, W)` or `(H, W, C)`, and so is the result, `(ceil(H * scale), ceil(W * scale), ...)`; `between` says whether it
    is rounded after the first pass too ("uint8", as MATLAB does for an 8-bit image) or only once, at the end ("float"). A float
    image is never rounded or clamped, whatever its range, and gives float64: `between` must then be "float".
    Raises ValueError where a side is 0, `scale` is not positive, or `between` does not fit the type.
    """
    is_uint8 = image.dtype == np.uint8
    if not is_uint8 and not np.issubdtype(image.dtype, np.floating):
        raise ValueError(f"imresize takes uint8 or floating-point images, not {image.dtype}")
    if not is_uint8 and between != "float":
        raise ValueError('a floating-point image is not rounded between the passes: say between="float"')
    if image.ndim not in (2, 3) or min(image.shape[:2]) < 1 or not scale > 0:
        raise ValueError(f"imresize takes (H, W) or (H, W, C) and a positive scale, not {image.shape} and {scale}")
    rows = _matlab_taps(image.shape[0], scale, border)
    columns = _matlab_taps(image.shape[1], scale, border)
    planes = image.astype(np.float64) if image.ndim == 2 else np.ascontiguousarray(image.transpose(2, 0, 1), dtype=np.float64)
    tall = resample_rows(planes, rows)
    if is_uint8 and between == "uint8":
        tall = _to_uint8(tall).astype(np.float64)
    out = _resample_columns(tall, columns)
    out = out if image.ndim == 2 else out.transpose(1, 2, 0)
    return np.ascontiguousarray(_to_uint8(out) if is_uint8 else out)


def mod_crop(image: np.ndarray, scale: int) -> np.ndarray:
    """Return `image` `(H, W, ...)` cut at the bottom and right so that both sides are multiples of `scale`: a view."""
    height, width = image.shape[:2]
    return image[: height - height % scale, : width - width % scale]
