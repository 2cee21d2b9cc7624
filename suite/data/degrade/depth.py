"""Made-up depth: smooth maps for what haze and a lens do to near and far, so that both run on photographs without one."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Depth = npt.NDArray[np.float64]  # (H, W), 0 = nearest, 1 = farthest

KNOTS = 5  # a side of the coarse grid of random depths


def smooth_depth(height: int, width: int, rng: np.random.Generator, ramp: float = 0.0) -> Depth:
    """Return a random smooth depth `(height, width)` from 0 to 1: a coarse grid of uniform draws, interpolated without corners.

    `ramp` (0 to 1) is the share of a slope from the bottom (near) to the top (far), as outdoors; 0 = none.
    """
    rows, columns = _between_knots(height), _between_knots(width)
    hills = rows @ rng.random((KNOTS, KNOTS)) @ columns.T
    depth = (1 - ramp) * hills + ramp * np.linspace(1, 0, height)[:, None]
    spread = depth.max() - depth.min()
    return (depth - depth.min()) / spread if spread else np.zeros((height, width))


def _between_knots(length: int) -> npt.NDArray[np.float64]:
    """Return weights `(length, KNOTS)` of the knots for each place of a side; each row sums to 1."""
    distance = np.abs(np.linspace(0, KNOTS - 1, length)[:, None] - np.arange(KNOTS))
    near = np.clip(1 - distance, 0, 1)
    return near**2 * (3 - 2 * near)
