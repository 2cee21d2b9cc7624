"""Noise: Gaussian noise of denoising benchmarks, and noise like a camera's.

Testing. `published_noise` is numpy's legacy generator, seeded anew for every image, so that an image's noise depends on its size alone:
normal float64 values of sigma / 255 over the whole image, added to its float values, neither clipped nor rounded. That is what SwinIR's
and MambaIR's evaluation adds to images read as BGR, and Restormer's to RGB ones: the order is the protocol's, and the two give other
noise. KAIR's published noisy files are met bit for bit (test_noise.py). `RandomState` is frozen by numpy's compatibility policy.

Training. `gaussian` draws from the sampler's generator; neither clipped nor rounded either.

`camera` is a model of our own, for real denoising without a download: noise of a sensor whose variance grows with the signal, `shot * x +
read`, in linear light behind the gains of the white balance, its levels drawn as in Brooks et al., "Unprocessing images for learned raw
denoising", 2019, section 3 (shot noise log-uniform in 0.0001 to 0.012, read noise log-linear in it; red gain 1.9 to 2.4, blue 1.5 to
1.9). What a demosaicing does to noise is imitated by drawing it on a Bayer mosaic and interpolating it bilinearly. Left out: colour
matrix, tone curve beyond sRGB's, denoising inside the camera, JPEG. The result is 8 bit.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import numpy.typing as npt

from suite.data.images import Pixels

Order = Literal["bgr", "rgb"]

SHOT = (1e-4, 0.012)
READ_SLOPE, READ_OFFSET, READ_SPREAD = 2.18, 1.20, 0.26  # log(read) is normal around SLOPE * log(shot) + OFFSET
RED_GAIN, BLUE_GAIN = (1.9, 2.4), (1.5, 1.9)
BAYER = ((0, 1), (1, 2))  # the channel that each site of a 2x2 block measures


def published_noise(hq: Pixels, sigma: float, order: Order, seed: int = 0) -> npt.NDArray[np.float32]:
    """Return `hq`, uint8 `(H, W, C)`, as 0..1 plus normal noise of `sigma` (of 255): float32 `(H, W, C)`, which may lie outside 0..1.

    `order` says in which order of its channels a colour image gets its noise; a grey one has no order.
    """
    noise = np.random.RandomState(seed).normal(0, sigma / 255, hq.shape)
    if order == "bgr":
        noise = noise[..., ::-1]
    return (hq.astype(np.float32) / np.float32(255) + noise).astype(np.float32)


def gaussian(hq: Pixels, rng: np.random.Generator, sigma: float) -> npt.NDArray[np.float32]:
    """Return `hq`, uint8 `(H, W, C)`, as 0..1 plus normal noise of `sigma` (of 255) from `rng`: float32 of the same shape, not clipped."""
    return hq.astype(np.float32) / np.float32(255) + rng.standard_normal(hq.shape, dtype=np.float32) * np.float32(sigma / 255)


def camera(hq: Pixels, rng: np.random.Generator) -> Pixels:
    """Return `hq`, uint8 RGB `(H, W, 3)`, as a camera of random sensitivity would have taken it: uint8 of the same shape."""
    log_shot = rng.uniform(math.log(SHOT[0]), math.log(SHOT[1]))
    read = math.exp(rng.normal(READ_SLOPE * log_shot + READ_OFFSET, READ_SPREAD))
    gains = np.array([rng.uniform(*RED_GAIN), 1.0, rng.uniform(*BLUE_GAIN)])
    return add_camera_noise(hq, math.exp(log_shot), read, gains, rng)


def add_camera_noise(hq: Pixels, shot: float, read: float, gains: npt.NDArray[np.float64], rng: np.random.Generator) -> Pixels:
    """Return `hq` with noise of variance `shot * x + read` at the sensor's value x (0..1), before the white balance's `gains` (3,)."""
    values = np.arange(256) / 255
    linear = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)[hq]
    deviation = np.sqrt(shot * linear / gains + read) * gains
    noise = np.stack([_demosaiced(rng.standard_normal(hq.shape[:2]) * deviation[..., c], c) for c in range(3)], axis=2)
    noisy = (linear + noise).clip(0, 1)
    encoded = np.where(noisy <= 0.0031308, noisy * 12.92, 1.055 * noisy ** (1 / 2.4) - 0.055)
    return np.rint(encoded * 255).astype(np.uint8)


def _demosaiced(noise: npt.NDArray[np.float64], channel: int) -> npt.NDArray[np.float64]:
    """Return `noise` `(H, W)` kept where the mosaic measures `channel`, and interpolated bilinearly between."""
    kept = np.zeros_like(noise)
    for top, row in enumerate(BAYER):
        for left, measured in enumerate(row):
            if measured == channel:
                kept[top::2, left::2] = noise[top::2, left::2]
    if channel == 1:  # half of the sites, as on a chess board: those between take the mean of four neighbours
        padded = np.pad(kept, 1)
        around = (padded[:-2, 1:-1] + padded[2:, 1:-1] + padded[1:-1, :-2] + padded[1:-1, 2:]) / 4
        return kept + around  # at a measured site the neighbours are 0
    tall = np.pad(kept, ((1, 1), (0, 0)))
    kept = kept + (tall[:-2] + tall[2:]) / 2
    wide = np.pad(kept, ((0, 0), (1, 1)))
    return kept + (wide[:, :-2] + wide[:, 2:]) / 2
