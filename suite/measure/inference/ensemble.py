"""Self-ensemble: the mean of what a network makes of an image's 8 symmetries, turned back, before anything is rounded.

Source: Timofte, Rothe and Van Gool, "Seven ways to improve example-based single image super resolution", 2016, section 3.4. Papers mark
such results with "+".
"""

from __future__ import annotations

import numpy as np

from suite.data.images import turn
from suite.measure.inference.restorer import Restorer, as_float

SYMMETRIES = 8
MARK = "+"


def turn_by(image: np.ndarray, symmetry: int) -> np.ndarray:
    """Return `image` `(H, W, C)` flipped left-right (bit 0), upside down (bit 1), then transposed (bit 2): a view."""
    return turn(image, bool(symmetry & 1), bool(symmetry & 2), bool(symmetry & 4))


def turn_back(image: np.ndarray, symmetry: int) -> np.ndarray:
    """Return the inverse of `turned`: a view."""
    image = image.swapaxes(0, 1) if symmetry & 4 else image
    image = image[::-1] if symmetry & 2 else image
    return image[:, ::-1] if symmetry & 1 else image


def average_symmetries(restore: Restorer) -> Restorer:
    """Return `restore` as the mean over the 8 symmetries of the square, added in float64; float32 `(H, W, C)`."""

    def mean(picture: np.ndarray) -> np.ndarray:
        total = 0.0
        for symmetry in range(SYMMETRIES):
            part = restore(np.ascontiguousarray(turn_by(picture, symmetry)))
            total = total + turn_back(as_float(part), symmetry).astype(np.float64)
        return (total / SYMMETRIES).astype(np.float32)

    return mean
