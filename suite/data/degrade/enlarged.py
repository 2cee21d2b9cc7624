"""Images enlarged from fewer pixels: what super-resolution at one size restores, without a download.

A Gaussian kernel of random widths and angle (suite.data.degrade.kernels) blurs the image, bicubic filters make it smaller by 2, 3 or 4 and
large again. In RealSR (Cai et al., "Toward real-world single image super-resolution", 2019) a camera's longer and shorter focal length do
so, and the pairs are aligned. The widths are this suite's choice. It is no copy of that set: scores on it compare with nothing published.
"""

from __future__ import annotations

import math

import numpy as np

from suite.data.degrade.blur import convolve, rounded
from suite.data.degrade.kernels import Kernel, bell_kernel
from suite.data.images import Pixels
from suite.data.resize import imresize

FACTORS = (2, 3, 4)
WIDTH = (0.1, 0.5)  # standard deviations of the kernel, in pixels of the smaller image


def enlarge(hq: Pixels, rng: np.random.Generator) -> Pixels:
    """Return `hq`, uint8 `(H, W, C)`, with the detail of a smaller image by a random factor and kernel: uint8 of the same shape."""
    factor = int(rng.choice(FACTORS))
    sigma = (factor * rng.uniform(*WIDTH), factor * rng.uniform(*WIDTH))
    size = 2 * math.ceil(3 * max(sigma)) + 1
    return enlarged(hq, factor, bell_kernel(size, sigma, rng.uniform(-math.pi, math.pi), 1, "gaussian"))


def enlarged(hq: Pixels, factor: int, kernel: Kernel) -> Pixels:
    """Return `hq`, uint8 `(H, W, C)`, blurred by `kernel`, made smaller `factor` times and large again: uint8 of the same shape."""
    smooth = rounded(convolve(hq, kernel))
    if factor == 1:
        return smooth
    large = imresize(imresize(smooth, 1 / factor), factor)  # a side that is no multiple is rounded up
    return np.ascontiguousarray(large[: hq.shape[0], : hq.shape[1]])
