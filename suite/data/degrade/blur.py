"""Blur of a moving camera, and of a lens out of focus, so that deblurring runs without a download.

Motion. The camera's path is drawn as in Boracchi and Foi, "Modeling the performance of image restoration from motion blur", 2012, with the
settings of their program, which Kupyn et al., "DeblurGAN", 2018, section 4.1, train with: a point of constant speed whose direction is
changed in each of 2,000 steps by a random push, by a pull back to its start, and now and then by a jerk almost backwards; `anxiety` scales
all three. The kernel is the time that the path spends in each pixel, shared bilinearly among its neighbours, with its mean in the middle:
a blurred image is not shifted. Own choices: one kernel an image, length and anxiety drawn for inputs of about GoPro's PSNR (25.6 dB).

Defocus. The circle of confusion of a thin lens grows with the distance from the plane in focus (Potmesil and Chakravarty, "A lens and
aperture camera model for synthetic image generation", 1981): here its radius is `strength` times that distance in a made-up smooth depth.
The image is blurred by discs of whole radii, and each pixel takes the mean of the two next to its own. What hides what is left out.

No copy of any set: scores on these images compare with nothing published.
"""

from __future__ import annotations

import cmath
import math

import numpy as np
import numpy.typing as npt

from suite.data.degrade import blind
from suite.data.degrade.depth import Depth, smooth_depth
from suite.data.degrade.kernels import Kernel
from suite.data.images import Pixels

STEPS = 2000
LENGTH, ANXIETY = (16.0, 56.0), (5e-4, 0.05)  # pixels along the path; of the hand, drawn log-uniformly
PUSH, PULL, JERK = 10.0, 0.7, 0.2  # upper bounds of uniform draws: of the random push, of the pull back, of a jerk's chance
RADIUS = (4.0, 12.0)  # pixels, of a disc at the whole range of depth


def move(hq: Pixels, rng: np.random.Generator) -> Pixels:
    """Return `hq`, uint8 `(H, W, C)`, as a camera that moved along a random path took it: uint8 of the same shape."""
    length, anxiety = rng.uniform(*LENGTH), math.exp(rng.uniform(*map(math.log, ANXIETY)))
    return rounded(convolve(hq, path_kernel(camera_path(length, anxiety, rng))))


def camera_path(length: float, anxiety: float, rng: np.random.Generator) -> npt.NDArray[np.complex128]:
    """Return the STEPS places, column + row j in pixels, of a random path that is `length` pixels long."""
    push, pull, jerk = (bound * rng.random() for bound in (PUSH, PULL, JERK))
    step, velocity, place = length / (STEPS - 1), cmath.exp(2j * math.pi * rng.random()), 0j  # the velocity in steps
    pushes = rng.standard_normal((STEPS, 2)) @ (1, 1j)
    chances, turns = rng.random(STEPS), rng.uniform(-0.5, 0.5, STEPS)
    places = np.zeros(STEPS, np.complex128)
    for number in range(1, STEPS):
        change = anxiety * (push * pushes[number] - pull * place)
        if chances[number] < jerk * anxiety:
            change += 2 * velocity * cmath.exp(1j * (math.pi + turns[number]))
        velocity += change
        velocity /= abs(velocity)
        place += step * velocity
        places[number] = place
    return places


def path_kernel(places: npt.NDArray[np.complex128]) -> Kernel:
    """Return the time that a path spends in each pixel around its mean: `(size, size)`, odd size, sums to 1."""
    centred = places - places.mean()
    across = np.stack([centred.imag, centred.real])
    edge = math.floor(np.abs(across).max()) + 1
    whole = np.floor(across).astype(int)
    part = across - whole
    kernel = np.zeros((2 * edge + 1, 2 * edge + 1))
    for down in (0, 1):
        for right in (0, 1):
            share = np.abs(1 - down - part[0]) * np.abs(1 - right - part[1])
            np.add.at(kernel, (whole[0] + edge + down, whole[1] + edge + right), share)
    return kernel / kernel.sum()


def defocus(hq: Pixels, rng: np.random.Generator) -> Pixels:
    """Return `hq`, uint8 `(H, W, C)`, by a lens in focus at a random depth of a made-up scene: uint8 of the same shape."""
    strength, focus = rng.uniform(*RADIUS), rng.random()
    return out_of_focus(hq, smooth_depth(*hq.shape[:2], rng), focus, strength)


def out_of_focus(hq: Pixels, depth: Depth, focus: float, strength: float) -> Pixels:
    """Return `hq`, uint8 `(H, W, C)`, blurred by discs of `strength` times |`depth` - `focus`| pixels; depth `(H, W)` and focus in 0..1."""
    radii = strength * np.abs(depth - focus)
    total = np.zeros(hq.shape)
    for radius in range(math.ceil(radii.max()) + 1):
        weight = np.clip(1 - np.abs(radii - radius), 0, 1)[..., None]
        if weight.any():
            total += weight * convolve(hq, disc_kernel(radius))
    return rounded(total)


def disc_kernel(radius: float) -> Kernel:
    """Return a disc of `radius` pixels whose rim is one pixel soft: `(size, size)`, odd size, sums to 1."""
    edge = math.ceil(radius + 0.5)
    distance = np.hypot(*np.meshgrid(np.arange(-edge, edge + 1), np.arange(-edge, edge + 1)))
    kernel = np.clip(radius + 0.5 - distance, 0, 1)
    return kernel / kernel.sum()


def convolve(hq: Pixels, kernel: Kernel) -> npt.NDArray[np.float64]:
    """Return `hq`, uint8 `(H, W, C)`, filtered with `kernel`, the border mirrored: float64 of the same shape, around 0..255.

    Float32 would round to other levels on other processors.
    """
    return blind.blur(hq.transpose(2, 0, 1).astype(np.float64), kernel).transpose(1, 2, 0)


def rounded(values: npt.NDArray[np.float64]) -> Pixels:
    """Return `values` of 0..255 as uint8."""
    return np.rint(values.clip(0, 255)).astype(np.uint8, order="C")
