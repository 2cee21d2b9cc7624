"""What a trained network sees: the gradient of its output's centre with respect to its input, over seeded crops of the test images.

As papers on large kernels draw it (and MambaIR's figure 1 after them), this is measured on a trained network and on photographs. The sum of
all channels of the centre (one pixel, or the scale x scale pixels that a low-quality pixel becomes) is differentiated; the map is the mean
over crops of the gradient's absolute value, summed over input channels. Those papers keep positive gradients alone; here both signs
count. Luo et al. (arXiv 1701.04128), who named the effective receptive field, average over random weights and inputs instead, and tell
its size by a standard deviation. A share is the part of the crop that the smallest square around the centre covers which holds that
percentage of the map: small where a network looks near, t itself where it looks everywhere alike.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from models.base import RestorationNet
from suite.data.images import encode_png, three_channels
from suite.data.pairs import Pair
from suite.measure.inference.restorer import as_float, forward
from suite.records.pictures import Png
from suite.records.record import ReceptiveField

FIELD_SIDE, MOST_CROPS, SEED = 64, 8, 0  # pixels of a crop's sides, the most crops, and what places them
PERCENTAGES = (20, 30, 50, 99)
DECADES = 4  # from white to black in the picture of the map


def receptive_field(network: RestorationNet, pairs: Sequence[Pair]) -> ReceptiveField | None:
    """Return the field of `network` over low-quality crops of `pairs`, one an image; leaves the network in evaluation mode.

    None where there is nothing to tell: the images are smaller than the network takes, or its output's centre does not depend on them (or
    by no finite gradient).
    """
    crops = seeded_crops([pair.lq for pair in pairs[:MOST_CROPS]])
    if crops.shape[1] < network.size_multiple:
        return None
    network.eval()
    device = next(network.parameters()).device
    inputs = torch.from_numpy(np.ascontiguousarray(crops.transpose(0, 3, 1, 2))).to(device)
    field = gradient_map(lambda x: forward(network, x, network.channels), inputs, network.scale)
    if not math.isfinite(field.sum()) or not field.sum():
        return None
    shares = {str(percentage): share for percentage, share in measure_shares(field).items()}
    return ReceptiveField(side=field.shape[0], map_png=draw_map(field), shares=shares, images=len(crops))


def seeded_crops(images: Sequence[np.ndarray], side: int = FIELD_SIDE) -> np.ndarray:
    """Cut a square out of each image `(h, w, C)` at a seeded place, as float32 in 0..1: `(N, side, side, C)`, smaller where an image is.

    C is 3 where grey images stand beside colour ones.
    """
    side = min(side, *(length for image in images for length in image.shape[:2]))
    found = []
    if len({image.shape[2] for image in images}) > 1:
        images = [three_channels(image) for image in images]
    for number, image in enumerate(images):
        random = np.random.default_rng((SEED, number))
        top, left = (int(random.integers(0, length - side + 1)) for length in image.shape[:2])
        found.append(as_float(image[top : top + side, left : left + side]).astype(np.float32))
    return np.stack(found)


def gradient_map(restore: Callable[[Tensor], Tensor], crops: Tensor, scale: int) -> np.ndarray:
    """Return the mean over `crops` (N, C, S, S) of the centre's absolute gradient, summed over channels: float64 (S, S).

    The centre is pixel (S // 2, S // 2) of the input, and the scale x scale pixels of the output that stand over it.
    """
    centre = slice(crops.shape[-1] // 2 * scale, (crops.shape[-1] // 2 + 1) * scale)
    total = torch.zeros(crops.shape[-2:], dtype=torch.float64)
    for crop in crops:  # one at a time: memory is that of one crop
        x = crop[None].detach().requires_grad_()
        (gradient,) = torch.autograd.grad(restore(x)[..., centre, centre].sum(), x)
        total += gradient[0].abs().sum(dim=0).double().cpu()
    return (total / len(crops)).numpy()


def measure_shares(field: np.ndarray) -> dict[int, float]:
    """Return for each of PERCENTAGES the part of `field` (S, S) that the smallest square around its centre covers which holds as much.

    Squares have an odd side and are cut off at the map's edge; the whole map is 1.
    """
    side = field.shape[0]
    centre, total = side // 2, field.sum()
    squares = [(slice(max(0, centre - reach), centre + reach + 1),) * 2 for reach in range(centre + 1)]
    held = [float(field[square].sum() / total) for square in squares]
    found = {}
    for percentage in PERCENTAGES:
        # The last square is the whole map; the sum of all of it may fall short of 1 by rounding.
        square = next((one for one, part in zip(squares, held, strict=True) if part >= percentage / 100), squares[-1])
        found[percentage] = field[square].size / field.size
    return found


def draw_map(field: np.ndarray) -> Png:
    """Draw `field` as an 8-bit grey PNG: white at its maximum, black at 10^-DECADES of it and below, logarithmic between."""
    with np.errstate(divide="ignore"):  # of a zero, which is black
        levels = np.log10(field / field.max()) / DECADES + 1
    pixels = np.rint(255 * np.clip(levels, 0, 1)).astype(np.uint8)
    return Png.of(encode_png(pixels))
