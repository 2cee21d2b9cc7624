"""PatchSampler: training batches as a pure function of the seed, the iteration and the place in the batch.

There is no state: a resumed run asks for its next iteration and gets what an uninterrupted one would have got, and the number of
workers that share a batch cannot change it.

Low-quality images that the user has (of rain, of cameras) are taken instead of made ones where they are given.

Deviations from BasicSR: images are drawn with replacement instead of in shuffled epochs; a random degradation is drawn anew for each
patch instead of passing through a pool of pairs; an image smaller than the degraded crop is taken whole instead of being mirrored up to it.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from suite.data.degradations import Degradation, image_rng
from suite.data.images import Pixels
from suite.data.resize import mod_crop
from suite.errors import Exit, SuiteError

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
        if patch % scale or patch < scale:
            raise SuiteError(f"the patch of {patch} pixels is not a multiple of the scale {scale} of {degradation.name!r}.")
        if not images:
            raise SuiteError("there is no training image.", exit=Exit.NOT_READY)
        for name, image in images:
            if min(image.shape[:2]) < patch:
                raise SuiteError(
                    f"the training image {name!r} is {image.shape[1]}x{image.shape[0]} pixels, smaller than the patch of {patch}. "
                    "Take it out of the set, or choose a smaller patch.",
                    exit=Exit.NOT_READY,
                )
        self.degradation, self.patch, self.seed, self.rotate = degradation, patch, seed, rotate
        self._window = round(patch * degradation.context / scale) * scale
        self._high = [mod_crop(image, scale) for _, image in images]
        self._made_anew = low is None and degradation.random
        if low is not None:
            self._low = list(low)
        else:  # a deterministic row asks its generator for nothing
            self._low = [] if degradation.random else [degradation.apply(image, image_rng(seed)) for image in self._high]

    def batch(self, iteration: int, size: int) -> Batch:
        """The batch of `iteration`: float32 `(size, C, patch / scale, patch / scale)` and `(size, C, patch, patch)`, 0..1.

        What the degradation leaves in floating point is neither clipped nor rounded: noise may lie outside 0..1.
        """
        return self.take(iteration, range(size))

    def take(self, iteration: int, places: Sequence[int]) -> Batch:
        """These places of the batch of `iteration`, as `batch` gives all of them."""
        pairs = [self.pair(iteration, index) for index in places]
        low, high = (_planes(np.stack(side)) for side in zip(*pairs, strict=True))
        return low, high

    def at(self, patch: int) -> PatchSampler:
        """The same sampler with another patch, no larger than its own: progressive training begins small."""
        if patch == self.patch:
            return self
        other = copy.copy(self)
        other.patch, other._window = patch, round(patch * self.degradation.context / self.degradation.scale) * self.degradation.scale
        return other

    def pair(self, iteration: int, index: int) -> tuple[np.ndarray, Pixels]:
        """Patch number `index` of the batch of `iteration`: `(patch / scale, patch / scale, C)` and uint8 `(patch, patch, C)`."""
        rng = image_rng(self.seed, "patch", self.degradation.name, f"v{self.degradation.version}", iteration, index)
        number = int(rng.integers(len(self._high)))
        if self._made_anew:
            window = self._symmetric(self._crop(self._high[number], self._window, rng)[0], self._symmetry(rng))
            low = self.degradation.apply(np.ascontiguousarray(window), rng)
            return self._aligned(low, window, rng)
        low, high = self._aligned(self._low[number], self._high[number], rng)
        symmetry = self._symmetry(rng)
        return self._symmetric(low, symmetry), self._symmetric(high, symmetry)

    def _crop(self, image: np.ndarray, side: int, rng: np.random.Generator) -> tuple[np.ndarray, int, int]:
        """A random window of at most `side` pixels, and its top left corner."""
        height, width = (min(side, length) for length in image.shape[:2])
        top = int(rng.integers(image.shape[0] - height + 1))
        left = int(rng.integers(image.shape[1] - width + 1))
        return image[top : top + height, left : left + width], top, left

    def _aligned(self, low: np.ndarray, high: Pixels, rng: np.random.Generator) -> tuple[np.ndarray, Pixels]:
        scale = self.degradation.scale
        low_patch, top, left = self._crop(low, self.patch // scale, rng)
        top, left = top * scale, left * scale
        return low_patch, high[top : top + self.patch, left : left + self.patch]

    def _symmetry(self, rng: np.random.Generator) -> tuple[bool, bool, bool]:
        """Whether to flip horizontally, flip vertically, transpose."""
        flip, down, transpose = (bool(coin) for coin in rng.random(3) < 0.5)
        return flip, down and self.rotate, transpose and self.rotate

    @staticmethod
    def _symmetric(image: np.ndarray, symmetry: tuple[bool, bool, bool]) -> np.ndarray:
        flip, down, transpose = symmetry
        image = image[:, ::-1] if flip else image
        image = image[::-1] if down else image
        return image.swapaxes(0, 1) if transpose else image


def _planes(images: np.ndarray) -> npt.NDArray[np.float32]:
    """`(size, H, W, C)`, uint8 or floating point, to float32 `(size, C, H, W)`, 0..1."""
    planes = images.transpose(0, 3, 1, 2).astype(np.float32, order="C")
    if images.dtype == np.uint8:
        planes /= np.float32(255)
    return planes
