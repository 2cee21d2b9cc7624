"""DEGRADATIONS: how a low-quality image is made from a high-quality one, as named, versioned rows.

A row never changes its bytes: raise `version` when its result changes. The version is part of what seeds a random row.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

import numpy as np

from models.lookup import suggest
from suite.core.errors import SuiteError
from suite.data.degrade import blind, blur, enlarged, haze, jpeg, noise, rain
from suite.data.images import Pixels
from suite.data.resize import imresize

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class OnDevice:
    """A random row in two parts: what chance decides of one image, and its carrying out for many images at once on a torch device."""

    draw: Callable[[np.random.Generator], blind.Plan]
    # plans, crops uint8 (N, channels, H, W) on the device, their heights and widths within it, seeds of the noise
    # -> uint8 (channels, height / scale, width / scale) for each
    carry_out: Callable[[Sequence[blind.Plan], Tensor, Sequence[tuple[int, int]], Sequence[int]], list[Tensor]]


@dataclass(frozen=True)
class Degradation:
    """One way from high to low quality."""

    name: str
    scale: int
    random: bool  # False: the same bytes whatever the generator
    version: int
    # (H, W, channels) uint8, sides multiples of scale -> (H / scale, W / scale, channels), uint8, or float32 around 0..1
    apply: Callable[[Pixels, np.random.Generator], np.ndarray]
    # A training crop is this much larger than the patch when it is degraded, so that borders and JPEG blocks vary inside the patch.
    context: float = 1.0
    channels: Literal[1, 3] = 3
    takes_grey: bool = False  # a row of three channels that makes images of one, too: some protocols leave grey files so
    # Where test images follow a published realisation instead: of an image, by `seed` and the `order` of channels that a protocol asks for.
    published: Callable[..., np.ndarray] | None = None
    on_device: OnDevice | None = None  # for training crops, where workers would starve a GPU: distributed as what `apply` makes

    def for_image(self, hq: Pixels, seed: int, name: str, order: noise.Order = "bgr") -> np.ndarray:
        """Return the low-quality version of the test image `name`: the same bytes for the same seed and name, in any order."""
        if self.published is not None:
            return self.published(hq, order=order, seed=seed)
        return self.apply(hq, image_rng(seed, self.name, f"v{self.version}", name))


def _bicubic(hq: Pixels, rng: np.random.Generator, scale: int) -> Pixels:  # noqa: ARG001 - all rows are called alike
    if hq.shape[0] % scale or hq.shape[1] % scale:
        raise ValueError(f"sides must be multiples of {scale}, not {hq.shape[0]}x{hq.shape[1]}: use mod_crop")
    return imresize(hq, 1 / scale)


def _jpeg(grey: Pixels, rng: np.random.Generator, quality: int) -> Pixels:  # noqa: ARG001 - all rows are called alike
    return jpeg.compress(grey, quality)


def _blind_on_device(plans: Sequence[blind.Plan], crops: Tensor, sizes: Sequence[tuple[int, int]], seeds: Sequence[int]) -> list[Tensor]:
    from suite.data.degrade import blind_torch  # late: torch is slow to load

    return blind_torch.carry_out(plans, crops, sizes, seeds, blind.SECOND_ORDER_X4.scale)


def _bicubic_row(scale: int) -> Degradation:
    return Degradation(f"bicubic-x{scale}", scale, random=False, version=1, apply=partial(_bicubic, scale=scale), takes_grey=True)


def _noise_row(sigma: int) -> Degradation:
    return Degradation(
        f"noise-{sigma}",
        1,
        random=True,
        version=1,
        apply=partial(noise.gaussian, sigma=sigma),
        published=partial(noise.published_noise, sigma=sigma),
        takes_grey=True,
    )


def _jpeg_row(quality: int) -> Degradation:
    return Degradation(f"jpeg-{quality}", 1, random=False, version=1, apply=partial(_jpeg, quality=quality), channels=1)


DEGRADATIONS: Mapping[str, Degradation] = MappingProxyType(
    {
        row.name: row
        for row in (
            *map(_bicubic_row, (2, 3, 4)),
            # Real-ESRGAN degrades crops of 400 pixels and trains on patches of 256.
            Degradation(
                "blind-x4",
                4,
                random=True,
                version=1,
                apply=blind.degrade,
                context=400 / 256,
                on_device=OnDevice(partial(blind.draw_plan, blind.SECOND_ORDER_X4), _blind_on_device),
            ),
            *map(_noise_row, (15, 25, 50)),
            *map(_jpeg_row, (10, 20, 30, 40)),
            Degradation("rain", 1, random=True, version=1, apply=rain.add_rain, takes_grey=True),
            Degradation("camera-noise", 1, random=True, version=1, apply=noise.camera),
            # Half of a patch more, so that few patches see the mirrored border.
            Degradation("motion-blur", 1, random=True, version=1, apply=blur.move, context=1.5),
            Degradation("defocus", 1, random=True, version=1, apply=blur.defocus, context=1.5),
            Degradation("haze-indoor", 1, random=True, version=1, apply=partial(haze.add_haze, place=haze.INDOORS)),
            Degradation("haze-outdoor", 1, random=True, version=1, apply=partial(haze.add_haze, place=haze.OUTDOORS)),
            Degradation("enlarged", 1, random=True, version=1, apply=enlarged.enlarge),
        )
    }
)


def degradation(name: str) -> Degradation:
    """Return the row `name`; SuiteError says what is known."""
    if name not in DEGRADATIONS:
        raise SuiteError(f"no degradation is called {name!r}.{suggest(name, DEGRADATIONS)}")
    return DEGRADATIONS[name]


def on_device(name: str) -> OnDevice:
    """Return the device version of the row `name`; SuiteError says which rows have one."""
    found = degradation(name).on_device
    if found is None:
        having = ", ".join(row.name for row in DEGRADATIONS.values() if row.on_device is not None)
        raise SuiteError(
            f"degrade_on = device: {name} has no version for a device: it is made fast enough by workers. {having} has one. "
            "Leave degrade_on out, or select the tasks that have one with --only."
        )
    return found


def image_rng(seed: int, *names: str | int) -> np.random.Generator:
    """Return a generator that depends on `seed` and `names` alone: not on order, process, thread or Python's hash seed."""
    text = "\0".join(str(part) for part in (seed, *names))
    digest = hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()  # a file's name may be any bytes
    return np.random.default_rng(np.random.SeedSequence(list(np.frombuffer(digest, "<u4").tolist())))
