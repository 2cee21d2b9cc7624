"""The blind x4 degradation of two orders: blur, resize, noise and JPEG, twice, with a last sinc filter.

Source: Wang, Xie, Dong and Shan, "Real-ESRGAN: Training Real-World Blind Super-Resolution with Pure Synthetic Data", 2021, section 3,
figure 2, with its released settings, which VmambaIR's real-world models are trained with unchanged. A plan is drawn first (`draw_plan`),
then carried out (`carry_out`), so that the distribution can be read and tested apart from the pixels.

Deviations: JPEG is libjpeg's own 8-bit baseline coder at 4:2:0 (through Pillow, whole-number qualities) instead of a differentiable
approximation; every image has a plan of its own, where the release shares resize and noise among a batch and evens that out with a pool of
180 pairs; the first resize goes by the rounded-down size like the others. Randomness is numpy's, so draws differ from the release's.
Bytes depend on the generator's seed and the library versions alone: no step runs in threads.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from suite.data.degrade.jpeg import compress
from suite.data.degrade.kernels import Kernel, KernelMix, draw_kernel, sinc_kernel
from suite.data.images import Pixels
from suite.data.resize import Filter, plain_taps, resample

Planes = npt.NDArray[np.float32]  # (3, H, W), RGB, 0..1

FILTERS: tuple[Filter, ...] = ("area", "bilinear", "bicubic")
GREY_WEIGHTS = (0.2989, 0.587, 0.114)  # BT.601, full range


@dataclass(frozen=True)
class Order:
    """One round of blur, resize, noise and JPEG: the parameters of its distribution."""

    blur: KernelMix
    blur_probability: float
    resize_probabilities: tuple[float, float, float]  # enlarge, shrink, keep
    resize_range: tuple[float, float]  # shrinking starts at the first, enlarging ends at the second
    gaussian_probability: float  # else Poisson noise
    gaussian_sigma: tuple[float, float]  # of 255
    poisson_scale: tuple[float, float]
    grey_probability: float  # one noise value for all three channels of a pixel
    jpeg_quality: tuple[int, int]  # both included


@dataclass(frozen=True)
class TwoOrders:
    """The whole degradation."""

    scale: int
    first: Order
    second: Order
    final_sinc_probability: float
    final_sinc_cutoff: tuple[float, float]  # radians a pixel
    final_resize_first_probability: float  # resize and sinc before the last JPEG, else after it


_FIRST_BLUR = KernelMix(
    shapes=(
        ("gaussian", True, 0.45),
        ("gaussian", False, 0.25),
        ("generalised", True, 0.12),
        ("generalised", False, 0.03),
        ("plateau", True, 0.12),
        ("plateau", False, 0.03),
    ),
    sizes=tuple(range(7, 22, 2)),
    sigma=(0.2, 3.0),
    generalised_exponent=(0.5, 4.0),
    plateau_exponent=(1.0, 2.0),
    sinc_probability=0.1,
    sinc_cutoff_small=(math.pi / 3, math.pi),
    sinc_cutoff_large=(math.pi / 5, math.pi),
)

SECOND_ORDER_X4 = TwoOrders(
    scale=4,
    first=Order(
        blur=_FIRST_BLUR,
        blur_probability=1.0,
        resize_probabilities=(0.2, 0.7, 0.1),
        resize_range=(0.15, 1.5),
        gaussian_probability=0.5,
        gaussian_sigma=(1.0, 30.0),
        poisson_scale=(0.05, 3.0),
        grey_probability=0.4,
        jpeg_quality=(30, 95),
    ),
    second=Order(
        blur=replace(_FIRST_BLUR, sigma=(0.2, 1.5)),
        blur_probability=0.8,
        resize_probabilities=(0.3, 0.4, 0.3),
        resize_range=(0.3, 1.2),
        gaussian_probability=0.5,
        gaussian_sigma=(1.0, 25.0),
        poisson_scale=(0.05, 2.5),
        grey_probability=0.4,
        jpeg_quality=(30, 95),
    ),
    final_sinc_probability=0.8,
    final_sinc_cutoff=(math.pi / 3, math.pi),
    final_resize_first_probability=0.5,
)


@dataclass(frozen=True)
class OrderPlan:
    """What one round does to one image."""

    kernel: Kernel | None
    factor: float  # of the size that the round starts from: the image's own, then the low-quality one
    filter: Filter
    noise: Literal["gaussian", "poisson"]
    strength: float  # sigma of 255, or the Poisson scale
    grey: bool
    quality: int


@dataclass(frozen=True)
class Plan:
    """What the degradation does to one image."""

    first: OrderPlan
    second: OrderPlan
    final_filter: Filter
    final_kernel: Kernel | None
    resize_first: bool


def draw_plan(row: TwoOrders, rng: np.random.Generator) -> Plan:
    """Return a random plan of `row`."""
    first, second = _draw_order(row.first, rng), _draw_order(row.second, rng)
    final_kernel = None
    if rng.random() < row.final_sinc_probability:
        final_kernel = sinc_kernel(int(rng.choice(row.second.blur.sizes)), rng.uniform(*row.final_sinc_cutoff))
    resize_first = rng.random() < row.final_resize_first_probability
    return Plan(first, second, FILTERS[rng.integers(len(FILTERS))], final_kernel, bool(resize_first))


def _draw_order(order: Order, rng: np.random.Generator) -> OrderPlan:
    kernel = draw_kernel(order.blur, rng) if rng.random() < order.blur_probability else None
    low, high = order.resize_range
    direction = rng.choice(3, p=order.resize_probabilities)
    factor = (rng.uniform(1, high), rng.uniform(low, 1), 1.0)[direction]
    gaussian = rng.random() < order.gaussian_probability
    return OrderPlan(
        kernel=kernel,
        factor=factor,
        filter=FILTERS[rng.integers(len(FILTERS))],
        noise="gaussian" if gaussian else "poisson",
        strength=rng.uniform(*(order.gaussian_sigma if gaussian else order.poisson_scale)),
        grey=bool(rng.random() < order.grey_probability),
        quality=int(rng.integers(order.jpeg_quality[0], order.jpeg_quality[1] + 1)),
    )


def degrade(hq: Pixels, rng: np.random.Generator, row: TwoOrders = SECOND_ORDER_X4) -> Pixels:
    """Return a low-quality version, uint8 RGB `(H / scale, W / scale, 3)`, of `hq`, uint8 RGB `(H, W, 3)`, by a random plan of `row`.

    Raises ValueError where a side of `hq` is not a multiple of the scale.
    """
    return carry_out(draw_plan(row, rng), hq, row.scale, rng)


def carry_out(plan: Plan, hq: Pixels, scale: int, rng: np.random.Generator) -> Pixels:
    """Return `hq` degraded as `plan` says, as `degrade` returns it; `rng` gives the noise."""
    height, width = hq.shape[:2]
    if height % scale or width % scale or not height or not width:
        raise ValueError(f"sides must be multiples of {scale}, not {height}x{width}: use mod_crop")
    low = (height // scale, width // scale)
    image = _round_of(_to_planes(hq), plan.first, (height, width), rng)
    image = jpeg(image, plan.first.quality)
    image = _round_of(image, plan.second, low, rng)
    if plan.resize_first:
        image = jpeg(_to_low(image, plan, low), plan.second.quality)
    else:
        image = _to_low(jpeg(image, plan.second.quality), plan, low)
    return _to_uint8(image)


def _round_of(image: Planes, plan: OrderPlan, base: tuple[int, int], rng: np.random.Generator) -> Planes:
    """Apply blur, resize and noise of one order; `base` is the size that the plan's factor refers to."""
    if plan.kernel is not None:
        image = blur(image, plan.kernel)
    height, width = (max(1, int(side * plan.factor)) for side in base)
    image = _resize(image, height, width, plan.filter)
    if plan.noise == "gaussian":
        return add_gaussian_noise(image, plan.strength, plan.grey, rng)
    return add_poisson_noise(image, plan.strength, plan.grey, rng)


def _to_low(image: Planes, plan: Plan, low: tuple[int, int]) -> Planes:
    image = _resize(image, *low, plan.final_filter)
    return image if plan.final_kernel is None else blur(image, plan.final_kernel)


def _resize(image: Planes, height: int, width: int, kind: Filter) -> Planes:
    if image.shape[1:] == (height, width):
        return image
    return resample(image, plain_taps(image.shape[1], height, kind), plain_taps(image.shape[2], width, kind))


def blur(image: Planes, kernel: Kernel) -> Planes:
    """Return `image` filtered with `kernel`, the border mirrored without repeating the edge; same shape."""
    from scipy.fft import irfft2, next_fast_len, rfft2  # late: slow to load

    edge = kernel.shape[0] // 2
    padded = np.pad(image, ((0, 0), (edge, edge), (edge, edge)), mode="reflect")
    shape = tuple(next_fast_len(side, real=True) for side in padded.shape[1:])
    spectrum = rfft2(padded, shape)
    spectrum *= rfft2(kernel.astype(np.float32), shape)
    inside = irfft2(spectrum, shape)[:, 2 * edge : 2 * edge + image.shape[1], 2 * edge : 2 * edge + image.shape[2]]
    return np.ascontiguousarray(inside)


def add_gaussian_noise(image: Planes, sigma: float, grey: bool, rng: np.random.Generator) -> Planes:
    """Return `image` plus normal noise of `sigma` (of 255), one value a pixel if `grey`; clamped to 0..1."""
    shape = (1, *image.shape[1:]) if grey else image.shape
    noise = rng.standard_normal(shape, dtype=np.float32) * np.float32(sigma / 255)
    return np.clip(image + noise, 0, 1)


def add_poisson_noise(image: Planes, scale: float, grey: bool, rng: np.random.Generator) -> Planes:
    """Return `image` plus `scale` times the shot noise of its 8-bit values, one value a pixel if `grey`; clamped to 0..1.

    The photon count at white is the number of different 8-bit values in the image, rounded up to a power of two.
    """
    source = sum(weight * image[[channel]] for channel, weight in enumerate(GREY_WEIGHTS)) if grey else image
    levels = np.rint(source.clip(0, 1) * 255).astype(np.uint8)
    photons = 2 ** math.ceil(math.log2(np.count_nonzero(np.bincount(levels.ravel(), minlength=256))))
    clean = levels.astype(np.float64) / 255
    noise = (rng.poisson(clean * photons) / photons - clean).astype(np.float32)
    return np.clip(image + noise * np.float32(scale), 0, 1)


def jpeg(image: Planes, quality: int) -> Planes:
    """Return `image`, clamped to 0..1 and rounded to 8 bit, after JPEG coding at `quality` (libjpeg's 1 to 95) and decoding."""
    return _to_planes(compress(_to_uint8(image), quality))


def _to_planes(image: Pixels) -> Planes:
    planes = np.ascontiguousarray(image.transpose(2, 0, 1)).astype(np.float32)
    planes /= np.float32(255)
    return planes


def _to_uint8(image: Planes) -> Pixels:
    return np.ascontiguousarray(np.rint(image.clip(0, 1) * np.float32(255)).astype(np.uint8).transpose(1, 2, 0))
