"""Blur kernels of the blind degradation: Gaussians of three profiles, and the sinc filter.

Source: Wang, Xie, Dong and Shan, "Real-ESRGAN: Training Real-World Blind Super-Resolution with Pure Synthetic Data", 2021,
section 3.1 (blur) and 3.3 (ringing and overshoot: sinc filters). With q = x^T S^-1 x for offset x and covariance S, the profiles are
exp(-q^b / 2) (b = 1: Gaussian, else generalised Gaussian) and 1 / (1 + q^b) (plateau).

What the paper leaves open follows its released settings: half of the exponents b are drawn below 1 and half above it; cut-off
frequencies of the sinc filter start at pi/3, or pi/5 for kernels of 13 pixels and more.
Deviation: kernels are not padded with zeros to 21 pixels, which would change no result.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

Kernel = npt.NDArray[np.float64]  # (size, size), odd size, sums to 1
Profile = Literal["gaussian", "generalised", "plateau"]


@dataclass(frozen=True)
class KernelMix:
    """A distribution of kernels: its parameters, as the papers' tables give them."""

    # profile, whether it is isotropic, probability
    shapes: tuple[tuple[Profile, bool, float], ...]
    sizes: tuple[int, ...]  # odd, pixels, equally likely
    sigma: tuple[float, float]  # pixels; drawn per axis where the kernel is not isotropic
    generalised_exponent: tuple[float, float]
    plateau_exponent: tuple[float, float]
    sinc_probability: float  # a sinc filter instead of any of `shapes`
    sinc_cutoff_small: tuple[float, float]  # radians a pixel, for sizes below 13
    sinc_cutoff_large: tuple[float, float]


def bell_kernel(size: int, sigma: tuple[float, float], angle: float, exponent: float, profile: Profile) -> Kernel:
    """Return the kernel `(size, size)` of standard deviations `sigma` (pixels) along axes turned by `angle` (radians); sums to 1.

    `exponent` is the b of the module's head: 1 for profile "gaussian".
    """
    offset = np.arange(size) - size // 2
    x, y = np.meshgrid(offset, offset)
    along = (math.cos(angle) * x + math.sin(angle) * y) / sigma[0]
    across = (math.cos(angle) * y - math.sin(angle) * x) / sigma[1]
    q = (along**2 + across**2) ** exponent
    kernel = 1 / (1 + q) if profile == "plateau" else np.exp(-q / 2)
    return kernel / kernel.sum()


def sinc_kernel(size: int, cutoff: float) -> Kernel:
    """Return the circular low-pass filter `(size, size)` of cut-off frequency `cutoff` (radians a pixel); sums to 1 (paper, eq. 6).

    k(i, j) = cutoff / (2 pi r) * J1(cutoff * r) with r = sqrt(i^2 + j^2), and its limit cutoff^2 / (4 pi) at r = 0.
    """
    from scipy.special import j1  # late: slow to load

    offset = np.arange(size) - size // 2
    radius = np.hypot(*np.meshgrid(offset, offset))
    centre = size // 2
    radius[centre, centre] = 1  # any value but 0: replaced below
    kernel = cutoff * j1(cutoff * radius) / (2 * math.pi * radius)
    kernel[centre, centre] = cutoff**2 / (4 * math.pi)
    return kernel / kernel.sum()


def draw_kernel(mix: KernelMix, rng: np.random.Generator) -> Kernel:
    """Return a random kernel of `mix`."""
    size = int(rng.choice(mix.sizes))
    if rng.random() < mix.sinc_probability:
        return sinc_kernel(size, rng.uniform(*(mix.sinc_cutoff_small if size < 13 else mix.sinc_cutoff_large)))
    probabilities = [probability for _, _, probability in mix.shapes]
    profile, isotropic, _ = mix.shapes[rng.choice(len(mix.shapes), p=probabilities)]
    sigma_x = sigma_y = rng.uniform(*mix.sigma)
    angle = 0.0
    if not isotropic:
        sigma_y = rng.uniform(*mix.sigma)
        angle = rng.uniform(-math.pi, math.pi)
    return bell_kernel(size, (sigma_x, sigma_y), angle, _draw_exponent(mix, profile, rng), profile)


def _draw_exponent(mix: KernelMix, profile: Profile, rng: np.random.Generator) -> float:
    if profile == "gaussian":
        return 1.0
    low, high = mix.generalised_exponent if profile == "generalised" else mix.plateau_exponent
    return rng.uniform(low, 1) if rng.random() < 0.5 else rng.uniform(1, high)
