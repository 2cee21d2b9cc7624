"""Haze: atmospheric scattering over a made-up depth, so that dehazing runs without a download.

I = J t + A (1 - t) with t = exp(-beta d): what reaches the camera of the scene J at depth d, and the air's own light A. Source of the
model and of the ranges of A (each channel by itself) and beta: Li et al., "Benchmarking Single-Image Dehazing and Beyond", 2019 (RESIDE),
section II, whose indoor images are made so from measured depth. Ours is smooth and made up (suite.data.degrade.depth), in the unit of beta
up to 1; outdoors it begins at the camera and grows towards the top of the image. Where it begins, and beta outdoors, are chosen so that
inputs have about the PSNR of RESIDE's (12 dB indoors, 16 outdoors). It is no copy of that set: scores on it compare with nothing published.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from suite.data.degrade.depth import Depth, smooth_depth
from suite.data.images import Pixels

AIR = (0.7, 1.0)


@dataclass(frozen=True)
class Place:
    """Where the haze is."""

    beta: tuple[float, float]
    nearest: float  # depth
    ramp: float  # share of a slope towards the top, see smooth_depth


INDOORS, OUTDOORS = Place((0.6, 1.8), 0.2, 0.0), Place((0.3, 1.1), 0.0, 0.7)


def add_haze(hq: Pixels, rng: np.random.Generator, place: Place) -> Pixels:
    """Return `hq`, uint8 `(H, W, C)`, behind haze of a random density, colour and depth: uint8 of the same shape."""
    beta, air = rng.uniform(*place.beta), rng.uniform(*AIR, size=hq.shape[2])
    return scatter(hq, place.nearest + (1 - place.nearest) * smooth_depth(*hq.shape[:2], rng, place.ramp), beta, air)


def scatter(hq: Pixels, depth: Depth, beta: float, air: npt.NDArray[np.float64]) -> Pixels:
    """Return `hq`, uint8 `(H, W, C)`, seen through air of light `air` (C values of 0..1) and density `beta` over `depth` `(H, W)`."""
    passed = np.exp(-beta * depth)[..., None]
    return np.rint(hq * passed + 255 * air * (1 - passed)).clip(0, 255).astype(np.uint8)
