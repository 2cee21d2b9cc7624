"""PatchSampler: training batches as a pure function of the seed, the iteration and the place in the batch.

There is no state: a resumed run asks for its next iteration and gets what an uninterrupted one would have got, and the number of
workers that share a batch cannot change it.

Low-quality images that the user has (of rain, of cameras) are taken instead of made ones where they are given.

Deviations from BasicSR: images are drawn with replacement instead of in shuffled epochs; a random degradation is drawn anew for each
patch instead of passing through a pool of pairs; an image smaller than the degraded crop is taken whole instead of being mirrored up to it.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from suite.core.errors import Exit, SuiteError
from suite.data.degrade.deferred import CropPlan, Deferred
from suite.data.degrade.degradations import Degradation, image_rng, on_device
from suite.data.images import Pixels, turn
from suite.data.resize import mod_crop

T = TypeVar("T")
Batch = tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]  # low quality, high quality: (size, C, side, side), 0..1


class PatchSampler:
    """Draws aligned low- and high-quality patches from whole images.

    `images` are names and uint8 `(H, W, C)` pixels, C being the degradation's channels; `patch` is the side of the high-quality patch, a
    multiple of the degradation's scale. `rotate` adds vertical flips and transposition to the horizontal flip (BasicSR's `use_rot`):
    MambaIR trains with it, VmambaIR's real-world models without.

    A deterministic degradation is applied once to each whole image, and patches are cut from the pair, as with low-quality files prepared
    beforehand, which `low` holds, one for each image, where the user has them. A random one is applied to a crop larger than the patch by
    `degradation.context` (or to as much of it as the image holds), and an aligned patch is cut out of the result.

    Raises SuiteError where there is no image, or one is smaller than a patch.
    """

    def __init__(
        self,
        images: Sequence[tuple[str, Pixels]],
        degradation: Degradation,
        patch: int,
        seed: int,
        *,
        rotate: bool,
        low: Sequence[np.ndarray] | None = None,
    ) -> None:
        scale = degradation.scale
        if not images:
            raise SuiteError("there is no training image.", exit=Exit.NOT_READY)
        self.degradation, self.seed, self.rotate = degradation, seed, rotate
        self._images = images  # cut to a multiple of the scale when they are used, since they may be mapped
        # The smallest image says which patches fit; nothing but sizes is read here.
        self._smallest = min(((name, image.shape) for name, image in images), key=lambda item: min(item[1][:2]))
        self._set_patch(patch)
        self.makes_anew = low is None and degradation.random  # a low-quality image for each patch
        if low is not None:
            self._low = low
        else:  # a deterministic row asks its generator for nothing
            whole = (mod_crop(image, scale) for _, image in images)
            self._low = [] if degradation.random else [degradation.apply(image, image_rng(seed)) for image in whole]

    def _set_patch(self, patch: int) -> None:
        scale = self.degradation.scale
        if patch % scale or patch < scale:
            raise SuiteError(f"the patch of {patch} pixels is not a multiple of the scale {scale} of {self.degradation.name!r}.")
        name, (height, width, _) = self._smallest
        if min(height, width) < patch:
            raise SuiteError(
                f"the training image {name!r} is {width}x{height} pixels, smaller than the patch of {patch}. "
                "Take it out of the set, or choose a smaller patch.",
                exit=Exit.NOT_READY,
            )
        self.patch = patch
        self._window = round(patch * self.degradation.context / scale) * scale

    def batch(self, iteration: int, size: int) -> Batch:
        """Return the batch of `iteration`: float32 `(size, C, patch / scale, patch / scale)` and `(size, C, patch, patch)`, 0..1.

        What the degradation leaves in floating point is neither clipped nor rounded: noise may lie outside 0..1.
        """
        return self.take(iteration, range(size))

    def take(self, iteration: int, places: Sequence[int]) -> Batch:
        """Return these places of the batch of `iteration`, as `batch` gives all of them; SuiteError names the patch that cannot be made."""
        low, high = (as_float(side) for side in self.raw(iteration, places))
        return low, high

    def raw(self, iteration: int, places: Sequence[int]) -> tuple[np.ndarray, npt.NDArray[np.uint8]]:
        """Return what `take` does, before 8-bit values become floats: `(len(places), C, side, side)`, a quarter of the bytes."""
        pairs = [self._named(self.pair, iteration, place) for place in places]
        low, high = (np.ascontiguousarray(np.stack(side).transpose(0, 3, 1, 2)) for side in zip(*pairs, strict=True))
        return low, high

    def deferred(self, iteration: int, places: Sequence[int]) -> Deferred:
        """Return these places of the batch before their degradation, which is left to a device; SuiteError as `take`, or for want of a row.

        Images, crops and plans are those of `raw`; noise, and the patch's place in its crop, are drawn otherwise.
        """
        on_device(self.degradation.name)
        made = [self._named(self._planned, iteration, place) for place in places]
        height, width = (max((window.shape[axis] for window, _ in made), default=0) for axis in (0, 1))
        crops = np.zeros((len(made), self.degradation.channels, height, width), dtype=np.uint8)
        for crop, (window, job) in zip(crops, made, strict=True):
            crop[:, : job.height, : job.width] = window.transpose(2, 0, 1)
        return Deferred(crops, tuple(job for _, job in made), self.degradation.name, self.degradation.scale, self.patch)

    def _named(self, make: Callable[[int, int], T], iteration: int, place: int) -> T:
        """Return `make` of the place; SuiteError names the patch where it fails."""
        try:
            return make(iteration, place)
        except Exception as error:
            name = self._drawn(iteration, place)[0][0]
            what = f"patch {place} of iteration {iteration}, of the training image {name!r}, cannot be made by {self.degradation.name!r}"
            raise SuiteError(f"{what}: {type(error).__name__}: {error}", exit=Exit.INCOMPLETE) from error

    def at(self, patch: int) -> PatchSampler:
        """Return the same sampler with another patch, as progressive training asks for; the same SuiteErrors as for the first."""
        if patch == self.patch:
            return self
        other = copy.copy(self)
        other._set_patch(patch)
        return other

    def pair(self, iteration: int, index: int) -> tuple[np.ndarray, Pixels]:
        """Return patch number `index` of the batch of `iteration`: `(patch / scale, patch / scale, C)` and uint8 `(patch, patch, C)`."""
        (_, image), number, rng = self._drawn(iteration, index)
        high_whole = mod_crop(image, self.degradation.scale)
        if self.makes_anew:
            window = self._drawn_window(high_whole, rng)
            low = self.degradation.apply(np.ascontiguousarray(window), rng)
            return self._aligned(low, window, rng)
        low, high = self._aligned(self._low[number], high_whole, rng)
        symmetry = self._symmetry(rng)
        return turn(low, *symmetry), turn(high, *symmetry)

    def _planned(self, iteration: int, index: int) -> tuple[Pixels, CropPlan]:
        """Return the crop of a patch, `(H, W, C)`, before its degradation, and what is to be done to it."""
        (_, image), _, rng = self._drawn(iteration, index)
        window = self._drawn_window(mod_crop(image, self.degradation.scale), rng)
        plan = on_device(self.degradation.name).draw(rng)
        seed = int(rng.integers(2**63))
        height, width = window.shape[:2]
        scale = self.degradation.scale
        top, left = self._corner(height // scale, width // scale, self.patch // scale, rng)
        return window, CropPlan(plan, seed, height, width, top, left)

    def _drawn_window(self, image: Pixels, rng: np.random.Generator) -> Pixels:
        """Return the crop of `image` that is degraded, turned and flipped."""
        return turn(self._crop(image, self._window, rng)[0], *self._symmetry(rng))

    def _drawn(self, iteration: int, index: int) -> tuple[tuple[str, Pixels], int, np.random.Generator]:
        """Return the image that a patch is cut from, its number, and the generator that goes on from there."""
        rng = image_rng(self.seed, "patch", self.degradation.name, f"v{self.degradation.version}", iteration, index)
        number = int(rng.integers(len(self._images)))
        return self._images[number], number, rng

    def _crop(self, image: np.ndarray, side: int, rng: np.random.Generator) -> tuple[np.ndarray, int, int]:
        """Return a random window of at most `side` pixels, and its top left corner."""
        top, left = self._corner(*image.shape[:2], side, rng)
        return image[top : top + side, left : left + side], top, left

    @staticmethod
    def _corner(height: int, width: int, side: int, rng: np.random.Generator) -> tuple[int, int]:
        top = int(rng.integers(max(height - side, 0) + 1))
        return top, int(rng.integers(max(width - side, 0) + 1))

    def _aligned(self, low: np.ndarray, high: Pixels, rng: np.random.Generator) -> tuple[np.ndarray, Pixels]:
        scale = self.degradation.scale
        low_patch, top, left = self._crop(low, self.patch // scale, rng)
        top, left = top * scale, left * scale
        return low_patch, high[top : top + self.patch, left : left + self.patch]

    def _symmetry(self, rng: np.random.Generator) -> tuple[bool, bool, bool]:
        """Draw whether to flip horizontally, flip vertically, transpose."""
        flip, down, transpose = (bool(coin) for coin in rng.random(3) < 0.5)
        return flip, down and self.rotate, transpose and self.rotate


def as_float(planes: np.ndarray) -> npt.NDArray[np.float32]:
    """Return uint8 as float32 in 0..1; floating point as float32, as it is."""
    values = planes.astype(np.float32)
    if planes.dtype == np.uint8:
        values /= np.float32(255)
    return values
