"""Rain: streaks drawn by a procedure of our own, so that deraining runs without a download.

An image has one to three layers of rain, from near (few, long, bright, wide streaks) to far. All share a direction, up to a small
difference. A layer starts as drops: pixels of a uniform random field that lie above a threshold, each with a brightness of its own. The
drops are blurred along the direction of the fall by adding copies that are shifted by one row each and by as many columns as the slope
says, linearly between whole columns, fading at both ends, then widened by a kernel of three pixels. The layers are added to the image,
alike in its three channels (streaks are white), and the sum is cut off at white: R = min(B + S, 1), the additive model that the synthetic
rain sets of this field are made by.

It is no copy of any of those sets, and scores on it compare with nothing published. Strengths are chosen so that the input's PSNR spreads
around that of Rain100L (25.5 dB on RGB). Only sums, products and comparisons of uniform draws are used, in a fixed order, so that the
bytes are the same on any machine.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from suite.data.images import Pixels

SLOPE = 0.7  # columns a row, at most: 35 degrees
SLOPE_SPREAD = 0.08  # between layers


@dataclass(frozen=True)
class Layer:
    """One layer of streaks: bounds between which each image draws uniformly."""

    density: tuple[float, float]  # drops a pixel
    length: tuple[int, int]  # rows, both included
    brightness: tuple[float, float]  # of a drop's streak, of 1
    side: float  # weight of the pixels left and right of a streak, of its own


LAYERS: tuple[Layer, ...] = (
    Layer(density=(0.0002, 0.0010), length=(26, 50), brightness=(0.20, 0.60), side=0.5),
    Layer(density=(0.0006, 0.0025), length=(14, 28), brightness=(0.15, 0.40), side=0.25),
    Layer(density=(0.0020, 0.0060), length=(6, 14), brightness=(0.08, 0.24), side=0.1),
)


def streaks(height: int, width: int, rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """Return the light that rain adds, `(height, width)`, at least 0."""
    slope = rng.uniform(-SLOPE, SLOPE)
    count = int(rng.integers(1, len(LAYERS) + 1))
    first = int(rng.integers(0, len(LAYERS) - count + 1))
    total = np.zeros((height, width), np.float32)
    for layer in LAYERS[first : first + count]:
        total += _layer(layer, height, width, slope + rng.uniform(-SLOPE_SPREAD, SLOPE_SPREAD), rng)
    return total


def _layer(layer: Layer, height: int, width: int, slope: float, rng: np.random.Generator) -> npt.NDArray[np.float32]:
    length = int(rng.integers(layer.length[0], layer.length[1] + 1))
    density, low = rng.uniform(*layer.density), layer.brightness[0]
    margin = 2 + int(abs(slope) * length)  # streaks that start beside or above the image reach into it
    shape = (height + length, width + 2 * margin)
    drops = rng.random(shape, dtype=np.float32) < np.float32(density)
    bright = np.float32(low) + rng.random(shape, dtype=np.float32) * np.float32(layer.brightness[1] - low)
    field = np.where(drops, bright, np.float32(0))
    fallen = np.zeros((height, width + 2), np.float32)
    for step in range(length):
        shift = slope * step
        whole = int(np.floor(shift))
        part = np.float32(shift - whole)
        rows, left = field[length - step : length - step + height], margin - 1 - whole
        fade = np.float32(min(1.0, 4 * (step + 1) / length, 4 * (length - step) / length))  # over a quarter at either end
        fallen += fade * ((1 - part) * rows[:, left : left + width + 2] + part * rows[:, left - 1 : left + width + 1])
    side = np.float32(layer.side)
    return fallen[:, 1:-1] + side * (fallen[:, :-2] + fallen[:, 2:]) / 2


def add_rain(hq: Pixels, rng: np.random.Generator) -> Pixels:
    """Return `hq`, uint8 RGB `(H, W, 3)`, with rain streaks of a random direction and strength: uint8 of the same shape."""
    light = streaks(*hq.shape[:2], rng)[..., None] * np.float32(255)
    return np.rint(np.minimum(hq.astype(np.float32) + light, np.float32(255))).astype(np.uint8)
