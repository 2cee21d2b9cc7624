"""Baseline JPEG of many colour images at once, on a torch device: what libjpeg's coding and decoding leave of them.

Source: ITU-T T.81 (8x8 transform, annex A.3; quantisation and the example tables, A.3.4 and K.1) and JFIF 1.02 (colour conversion), with
the choices that libjpeg makes where these are open: quality-scaled tables, 4:2:0 by means of four pixels with alternating rounding, edges
repeated to whole blocks, chroma brought back by the triangle filter, and integers between the two passes of a transform. Entropy coding
loses nothing and is left out.

Deviation: sums of a transform's second pass are float32 where libjpeg's are integers, so that a coefficient on the border of two steps may
fall to the other side: on a CPU, 4 values in a million are not libjpeg-turbo's (test_jpeg_torch.py). Products must be in full
float32, not TensorFloat-32, which is for suite.core.torch_state.exact_arithmetic to see to.

Images of different sizes share one canvas. Every step reads the real pixels of an image alone, so that what stands beside them, and which
images are coded together, changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

Size = tuple[int, int]  # height and width, pixels

DCT_SIDE, MCU = 8, 16  # a canvas is made of whole MCUs

# ITU-T T.81, tables K.1 and K.2, in the order of rows.
LUMINANCE = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)
CHROMINANCE = (
    (17, 18, 24, 47, 99, 99, 99, 99),
    (18, 21, 26, 66, 99, 99, 99, 99),
    (24, 26, 56, 99, 99, 99, 99, 99),
    (47, 66, 99, 99, 99, 99, 99, 99),
    *(((99,) * 8,) * 4),
)

# The cosine transform times sqrt(8), in 8192ths: the first half of each frequency; the other is its mirror image, negative for odd ones.
# To whole numbers these are sqrt(2) cos((2x + 1) u pi / 16); some are off by one, as the rounded constants of libjpeg's method add up.
COSINES = (
    (8192, 8192, 8192, 8192),
    (11363, 9633, 6437, 2260),
    (10703, 4433, -4433, -10703),
    (9633, -2259, -11362, -6436),
    (8192, -8192, -8192, 8192),
    (6437, -11362, 2261, 9633),
    (4433, -10704, 10704, -4433),
    (2260, -6436, 9633, -11363),
)

# JFIF's weights in 65536ths: red, green and blue in Y, Cb and Cr; Cr in red, Cb and Cr in green, Cb in blue.
ONE = 65536
TO_YCC = ((19595, 38470, 7471), (-11059, -21709, 32768), (32768, -27439, -5329))
CR_IN_RED, CB_IN_GREEN, CR_IN_GREEN, CB_IN_BLUE = 91881, 22554, 46802, 116130


@lru_cache(maxsize=100)
def quantisation_tables(quality: int) -> np.ndarray:
    """Return quantisation steps of luminance and chrominance at `quality` (1 to 100) by the IJG's rule: int64 `(2, 8, 8)`, 1 to 255."""
    percent = 5000 // quality if quality < 50 else 200 - 2 * quality
    return ((np.array((LUMINANCE, CHROMINANCE)) * percent + 50) // 100).clip(1, 255)


def compress_batch(images: Tensor, sizes: Sequence[Size], qualities: Sequence[int]) -> Tensor:
    """Return `images` after JPEG at 4:2:0, each at its quality (1 to 100).

    `images` are whole numbers 0..255 of any type, `(N, 3, H, W)`, H and W multiples of 16; image n is the top left `sizes[n]` of its
    canvas. The result is float32 of the same shape and range; beyond an image's size it means nothing.
    """
    device, (height, width) = images.device, images.shape[-2:]
    rows, columns = (Edges(side, length, device) for side, length in zip(zip(*sizes, strict=True), (height, width), strict=True))
    full = along_columns(along_rows(images.to(torch.int32), rows.whole), columns.whole)
    luminance, blue, red = _to_ycc(full)
    steps = to_device(np.stack([quantisation_tables(quality) for quality in qualities]).astype(np.float32), device)
    luminance = _coded(luminance[:, None].float(), steps[:, :1])
    chroma = along_rows(_halved(torch.stack((blue, red), dim=1)), rows.half).float()
    return _to_rgb(luminance[:, 0], _doubled(_coded(chroma, steps[:, 1:]), rows, columns))


class Edges:
    """Where each sample of a canvas is read along one side of images of `sides` pixels, the last real one repeated: `(N, length)`."""

    def __init__(self, sides: Sequence[int], length: int, device: torch.device) -> None:
        real, at = np.array(sides)[:, None], np.arange(length)[None]
        halves = (real + 1) // 2
        self.whole = _indices(np.minimum(at, real - 1), device)
        self.half = _indices(np.minimum(at[:, : length // 2], halves - 1), device)
        self.beside = _indices((at // 2 + np.where(at % 2, 1, -1)).clip(0, halves - 1), device)  # the chroma sample to mix in
        self.own = _indices(np.minimum(at // 2, halves - 1), device)
        self.narrow = to_device(halves <= 2, device)  # chroma of 1 or 2 columns is repeated, not interpolated


def _indices(values: np.ndarray, device: torch.device) -> Tensor:
    return to_device(np.ascontiguousarray(values, dtype=np.int64), device)


def to_device(values: np.ndarray, device: torch.device) -> Tensor:
    """Copy an array to a device without waiting for what that has to do."""
    return torch.from_numpy(values).to(device, non_blocking=True)


def along_rows(images: Tensor, index: Tensor) -> Tensor:
    """Take row `index[n, i]` of image n as its row i: `(N, C, H, W)` and `(N, L)` give `(N, C, L, W)`."""
    count, channels, _, width = images.shape
    return images.gather(2, index[:, None, :, None].expand(count, channels, index.shape[1], width))


def along_columns(images: Tensor, index: Tensor) -> Tensor:
    """Take column `index[n, i]` of image n as its column i: `(N, C, H, W)` and `(N, L)` give `(N, C, H, L)`."""
    count, channels, height, _ = images.shape
    return images.gather(3, index[:, None, None, :].expand(count, channels, height, index.shape[1]))


def _to_ycc(rgb: Tensor) -> list[Tensor]:
    """Return Y, Cb and Cr, 0..255, of int32 `(N, 3, H, W)`; the odd half in the chroma's rounding is libjpeg's."""
    red, green, blue = rgb.unbind(1)
    offsets = (ONE // 2, 128 * ONE + ONE // 2 - 1, 128 * ONE + ONE // 2 - 1)
    return [(r * red + g * green + b * blue + offset) >> 16 for (r, g, b), offset in zip(TO_YCC, offsets, strict=True)]


def _to_rgb(luminance: Tensor, chroma: Tensor) -> Tensor:
    blue, red = (chroma - 128).to(torch.int32).unbind(1)
    half, bright = ONE // 2, luminance.to(torch.int32)
    planes = (
        bright + ((CR_IN_RED * red + half) >> 16),
        bright + ((half - CB_IN_GREEN * blue - CR_IN_GREEN * red) >> 16),
        bright + ((CB_IN_BLUE * blue + half) >> 16),
    )
    return torch.stack(planes, dim=1).clamp_(0, 255).float()


def _halved(planes: Tensor) -> Tensor:
    """Return means of 2x2 pixels; halves are rounded down in even columns of the result, up in odd ones."""
    sums = planes[..., ::2, :] + planes[..., 1::2, :]
    sums = sums[..., ::2] + sums[..., 1::2]
    return (sums + 1 + torch.arange(sums.shape[-1], device=planes.device, dtype=torch.int32) % 2) >> 2


def _doubled(chroma: Tensor, rows: Edges, columns: Edges) -> Tensor:
    """Return the triangle filter: 3/4 of the own sample and 1/4 of the next one, along both sides."""
    own, beside = rows.own, torch.where(columns.narrow, rows.own, rows.beside)
    tall = 3 * along_rows(chroma, own) + along_rows(chroma, beside)
    own, beside = columns.own, torch.where(columns.narrow, columns.own, columns.beside)
    wide = 3 * along_columns(tall, own) + along_columns(tall, beside)
    return ((wide + 8 - torch.arange(wide.shape[-1], device=wide.device) % 2) / 16).floor_()


@lru_cache(maxsize=4)
def _transform(device: torch.device) -> Tensor:
    """Return the 8-point cosine transform times sqrt(8), as libjpeg scales it: `(8, 8)`, one frequency a row."""
    half = np.array(COSINES)
    mirrored = half[:, ::-1] * np.where(np.arange(DCT_SIDE) % 2, -1, 1)[:, None]
    return torch.from_numpy((np.concatenate((half, mirrored), axis=1) / 8192).astype(np.float32)).to(device)


def _coded(planes: Tensor, steps: Tensor) -> Tensor:
    """Transform planes `(N, C, H, W)`, 0..255, block by block, quantise them by `steps` `(N, 1, 8, 8)`, and bring them back."""
    basis = _transform(planes.device)
    count, channels, height, width = planes.shape
    blocks = planes.sub(128).view(count, channels, height // DCT_SIDE, DCT_SIDE, width // DCT_SIDE, DCT_SIDE).transpose(3, 4)
    steps = steps[:, :, None, None]
    # A quarter stays between the passes; the whole is 8 times the coefficients.
    found = _rounded(_rounded(4 * blocks @ basis.T).transpose(-1, -2) @ basis.T / 4).transpose(-1, -2)
    kept = found.sign() * ((found.abs() + 4 * steps) / (8 * steps)).floor_() * steps
    back = _rounded(_rounded(4 * kept.transpose(-1, -2) @ basis).transpose(-1, -2) @ basis / 32)
    return back.add_(128).clamp_(0, 255).transpose(3, 4).reshape(planes.shape)


def _rounded(values: Tensor) -> Tensor:
    return values.add_(0.5).floor_()
