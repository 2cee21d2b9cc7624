"""The blind x4 degradation (suite.data.degrade.blind) for the crops of a batch at once, on a torch device.

The same plans are carried out by the same definitions: blur with a mirrored border, by Fourier transform; resizing by the taps of
suite.data.resize, summed tap by tap in their order; noise; and JPEG by suite.data.degrade.jpeg_torch instead of libjpeg. Without noise the
pictures are those of suite.data.degrade.blind up to rounding (test_blind_torch.py says how far). Noise has the same distribution,
drawn on the device by a generator for each image: the draws are others, and another kind of device has others again.

Images are worked on in groups that share a canvas. The canvas follows from an image's own size, and no step reads beyond the image, so that
a picture depends on its crop, plan and seed: not on which images come with it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType

import numpy as np
import torch
import torch.nn.functional as F
from scipy.fft import next_fast_len
from torch import Tensor

from suite.data.degrade.blind import GREY_WEIGHTS, OrderPlan, Plan
from suite.data.degrade.jpeg_torch import MCU, Size, along_columns, along_rows, compress_batch, to_device
from suite.data.degrade.kernels import Kernel
from suite.data.resize import Filter, Taps, plain_taps

STEP = 128  # pixels: canvases are multiples of it, whole MCUs; a smaller step wastes less and makes more groups
AT_ONCE = 16  # pictures of a group: they bound the memory, some 80 MB for each intermediate result of the largest
KERNEL_EDGE = 10  # of the largest kernel, 21 pixels wide, on each side: every kernel gets as many, so that transforms have one length

_taps = lru_cache(maxsize=512)(plain_taps)  # crops are square, as a rule: rows and columns have the same
Images = list[Tensor]  # (3, H, W) float32 each, of the canvas, whose top left is the picture
Noise = Callable[[Tensor, Sequence[Size], Sequence[OrderPlan], Sequence[torch.Generator]], Tensor]


def carry_out(plans: Sequence[Plan], crops: Tensor, sizes: Sequence[Size], seeds: Sequence[int], scale: int) -> Images:
    """Return each crop degraded as its plan says: uint8 `(3, height / scale, width / scale)`, on the device of `crops`.

    `crops` is uint8 RGB `(N, 3, H, W)`; crop n is its top left `sizes[n]`, height and width, multiples of `scale`. `seeds` (0 to 2^63 - 1)
    seed the noise, image by image. Raises ValueError for a size that is not a multiple of the scale.
    """
    for height, width in sizes:
        if height % scale or width % scale or not height or not width:
            raise ValueError(f"sides must be multiples of {scale}, not {height}x{width}: use mod_crop")
    generators = [torch.Generator(crops.device).manual_seed(seed) for seed in seeds]
    lows = [(height // scale, width // scale) for height, width in sizes]
    # An input's canvas is as small as it can be: the crops of a batch are nearly always of one size.
    images = [
        F.pad(crop[:, :height, :width].float().div_(255), (0, -width % MCU, 0, -height % MCU))
        for crop, (height, width) in zip(crops, sizes, strict=True)
    ]
    images, sizes = _round_of(images, sizes, [plan.first for plan in plans], sizes, generators)
    images = _jpeg(images, sizes, [plan.first.quality for plan in plans])
    images, sizes = _round_of(images, sizes, [plan.second for plan in plans], lows, generators)
    images, sizes = _to_low(images, sizes, plans, [low if plan.resize_first else None for plan, low in zip(plans, lows, strict=True)])
    images = _jpeg(images, sizes, [plan.second.quality for plan in plans])
    images, sizes = _to_low(images, sizes, plans, [None if plan.resize_first else low for plan, low in zip(plans, lows, strict=True)])
    return [_to_levels(image[:, :height, :width]).to(torch.uint8) for image, (height, width) in zip(images, sizes, strict=True)]


def _in_groups(images: Images, keys: Sequence[Hashable], change: Callable[[Tensor, list[int]], Tensor]) -> Images:
    """Change the images: `change` gets those of one canvas and one key, stacked, and their numbers. Key None: left as they are."""
    groups: dict[Hashable, list[int]] = {}
    for number, (image, key) in enumerate(zip(images, keys, strict=True)):
        if key is not None:
            groups.setdefault((image.shape, key), []).append(number)
    found = list(images)
    for members in groups.values():
        for begin in range(0, len(members), AT_ONCE):
            numbers = members[begin : begin + AT_ONCE]
            for number, image in zip(numbers, change(torch.stack([images[number] for number in numbers]), numbers), strict=True):
                found[number] = image
    return found


def _round_of(
    images: Images, sizes: Sequence[Size], plans: Sequence[OrderPlan], bases: Sequence[Size], generators: Sequence[torch.Generator]
) -> tuple[Images, list[Size]]:
    """Apply blur, resize and noise of one order, and return the new sizes too; `bases` are what the plans' factors refer to."""
    images = _blurred(images, sizes, [plan.kernel for plan in plans])
    targets = [tuple(max(1, int(side * plan.factor)) for side in base) for plan, base in zip(plans, bases, strict=True)]
    images = _resized(images, sizes, targets, [plan.filter for plan in plans])

    def noisy(group: Tensor, numbers: list[int]) -> Tensor:
        of_group = [[all_of[number] for number in numbers] for all_of in (targets, plans, generators)]
        return NOISE[plans[numbers[0]].noise](group, *of_group).add_(group).clamp_(0, 1)

    return _in_groups(images, [plan.noise for plan in plans], noisy), targets


def _to_low(images: Images, sizes: Sequence[Size], plans: Sequence[Plan], lows: Sequence[Size | None]) -> tuple[Images, list[Size]]:
    """Return the last resize and filter, and the new sizes; None: not now."""
    targets = [low or size for low, size in zip(lows, sizes, strict=True)]
    images = _resized(images, sizes, targets, [plan.final_filter for plan in plans])
    return _blurred(images, targets, [plan.final_kernel if low else None for plan, low in zip(plans, lows, strict=True)]), targets


def _blurred(images: Images, sizes: Sequence[Size], kernels: Sequence[Kernel | None]) -> Images:
    """Return those that have a kernel filtered with it, the border mirrored without repeating the edge."""

    def blur(group: Tensor, numbers: list[int]) -> Tensor:
        """Filter a group, by Fourier transform."""
        height, width = group.shape[-2:]
        rows, columns = (
            to_device(np.stack([_mirrored(sizes[number][axis], length) for number in numbers]), group.device)
            for axis, length in enumerate((height, width))
        )
        padded = along_columns(along_rows(group, rows), columns)
        small = to_device(np.stack([_centred(kernels[number]) for number in numbers])[:, None], group.device)
        shape = [next_fast_len(side, real=True) for side in padded.shape[-2:]]
        spectrum = torch.fft.rfft2(padded, shape) * torch.fft.rfft2(small, shape)
        return torch.fft.irfft2(spectrum, shape)[..., 2 * KERNEL_EDGE : 2 * KERNEL_EDGE + height, 2 * KERNEL_EDGE : 2 * KERNEL_EDGE + width]

    return _in_groups(images, [None if kernel is None else "blurred" for kernel in kernels], blur)


def _mirrored(side: int, length: int) -> np.ndarray:
    """Return where the samples from -EDGE to before length + EDGE are read in a mirrored side; those far beyond it are never used."""
    period = max(1, 2 * (side - 1))
    at = np.arange(-KERNEL_EDGE, length + KERNEL_EDGE) % period
    return np.minimum(at, period - at).clip(0, side - 1)


def _centred(kernel: Kernel) -> np.ndarray:
    """Return in the middle of the largest kernel's square, with zeros around."""
    square, begin = np.zeros((2 * KERNEL_EDGE + 1, 2 * KERNEL_EDGE + 1), dtype=np.float32), KERNEL_EDGE - len(kernel) // 2
    square[begin : begin + len(kernel), begin : begin + len(kernel)] = kernel
    return square


def _resized(images: Images, sizes: Sequence[Size], targets: Sequence[Size], filters: Sequence[Filter]) -> Images:
    """Return those whose size is not the target's resampled to it, along rows, then columns, on a canvas for the new size."""
    canvases = [tuple(-(-side // STEP) * STEP for side in target) for target in targets]
    keys = [None if size == target else canvas for size, target, canvas in zip(sizes, targets, canvases, strict=True)]

    def resize(group: Tensor, numbers: list[int]) -> Tensor:
        """Resample a group, which goes to one canvas."""
        canvas = keys[numbers[0]]
        for axis, along in enumerate((along_rows, along_columns)):
            taps = [_taps(sizes[number][axis], targets[number][axis], filters[number]) for number in numbers]
            index, weight = (to_device(part, group.device) for part in _joined(taps, canvas[axis]))
            shape = (len(numbers), 1, -1, 1) if axis == 0 else (len(numbers), 1, 1, -1)
            # Tap by tap, as suite.data.resize sums: the same floats.
            total = along(group, index[:, 0]).mul_(weight[:, 0].view(shape))
            for tap in range(1, index.shape[1]):
                total += along(group, index[:, tap]).mul_(weight[:, tap].view(shape))
            group = total
        return group

    return _in_groups(images, keys, resize)


def _joined(taps: Sequence[Taps], length: int) -> tuple[np.ndarray, np.ndarray]:
    """Join index and weight of all of them, `(N, T, length)`; what a shorter one lacks weighs nothing."""
    shape = (len(taps), max(len(one.index) for one in taps), length)
    index, weight = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.float32)
    for number, one in enumerate(taps):
        count, out = one.index.shape
        index[number, :count, :out], weight[number, :count, :out] = one.index, one.weight
    return index, weight


def _gaussian(group: Tensor, sizes: Sequence[Size], plans: Sequence[OrderPlan], generators: Sequence[torch.Generator]) -> Tensor:
    """Return normal noise of each plan's strength (of 255), one value a pixel where it is grey."""
    noise = torch.zeros_like(group)
    for number, ((height, width), plan, generator) in enumerate(zip(sizes, plans, generators, strict=True)):
        channels = 1 if plan.grey else 3
        noise[number, :, :height, :width] = torch.randn((channels, height, width), generator=generator, device=group.device)
    return noise.mul_(_strengths(group, plans) / 255)


def _poisson(group: Tensor, sizes: Sequence[Size], plans: Sequence[OrderPlan], generators: Sequence[torch.Generator]) -> Tensor:
    """Return each plan's strength times the shot noise of the 8-bit values; photons at white as in `blind.add_poisson_noise`."""
    grey = sum(weight * group[:, [channel]] for channel, weight in enumerate(GREY_WEIGHTS))
    is_grey = to_device(np.array([plan.grey for plan in plans]), group.device).view(-1, 1, 1, 1)
    levels = _to_levels(torch.where(is_grey, grey, group))
    counted = torch.full_like(levels, 256, dtype=torch.int64)  # what lies beside a picture counts as a value of its own
    for number, (height, width) in enumerate(sizes):
        counted[number, :, :height, :width] = levels[number, :, :height, :width]
    seen = torch.zeros(len(plans), 257, dtype=torch.int64, device=group.device).scatter_(1, counted.flatten(1), 1)
    photons = to_device(PHOTONS, group.device)[seen[:, :256].sum(dim=1)].view(-1, 1, 1, 1)
    clean = levels / 255
    rates, noise = clean * photons, torch.zeros_like(group)
    for number, ((height, width), plan, generator) in enumerate(zip(sizes, plans, generators, strict=True)):
        rate = rates[number, : 1 if plan.grey else 3, :height, :width].contiguous()
        noise[number, :, :height, :width] = torch.poisson(rate, generator=generator)
    return noise.div_(photons).sub_(clean).mul_(_strengths(group, plans))


NOISE: Mapping[str, Noise] = MappingProxyType({"gaussian": _gaussian, "poisson": _poisson})
# By the number of different values, of which there is at least one.
PHOTONS = np.array([1, *(2 ** math.ceil(math.log2(count)) for count in range(1, 257))], dtype=np.float32)


def _strengths(group: Tensor, plans: Sequence[OrderPlan]) -> Tensor:
    return to_device(np.array([plan.strength for plan in plans], dtype=np.float32), group.device).view(-1, 1, 1, 1)


def _jpeg(images: Images, sizes: Sequence[Size], qualities: Sequence[int]) -> Images:
    def coded(group: Tensor, numbers: list[int]) -> Tensor:
        done = compress_batch(_to_levels(group), [sizes[number] for number in numbers], [qualities[number] for number in numbers])
        return done.div_(255)

    return _in_groups(images, ["coded"] * len(images), coded)


def _to_levels(values: Tensor) -> Tensor:
    """Turn 0..1 into whole numbers 0..255, clamped, halves to even; still in floating point."""
    return values.clamp(0, 1).mul_(255).round_()
