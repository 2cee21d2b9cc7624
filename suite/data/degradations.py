"""DEGRADATIONS: how a low-quality image is made from a high-quality one, as named, versioned rows.

A row never changes its bytes: raise `version` when its result changes. The version is part of what seeds a random row.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType

import numpy as np

from models.lookup import suggest
from suite.data import blind
from suite.data.images import Pixels
from suite.data.resize import imresize
from suite.errors import SuiteError


@dataclass(frozen=True)
class Degradation:
    """One way from high to low quality."""

    name: str
    scale: int
    random: bool  # False: the same bytes whatever the generator
    version: int
    apply: Callable[[Pixels, np.random.Generator], Pixels]  # (H, W, 3) uint8, sides multiples of scale -> (H / scale, W / scale, 3)
    # A training crop is this much larger than the patch when it is degraded, so that borders and JPEG blocks vary inside the patch.
    context: float = 1.0

    def for_image(self, hq: Pixels, seed: int, name: str) -> Pixels:
        """The low-quality version of the test image `name`: the same bytes for the same seed and name, in any order."""
        return self.apply(hq, image_rng(seed, self.name, f"v{self.version}", name))


def _bicubic(hq: Pixels, rng: np.random.Generator, scale: int) -> Pixels:  # noqa: ARG001 - all rows are called alike
    if hq.shape[0] % scale or hq.shape[1] % scale:
        raise ValueError(f"sides must be multiples of {scale}, not {hq.shape[0]}x{hq.shape[1]}: use mod_crop")
    return imresize(hq, 1 / scale)


def _rows(*degradations: Degradation) -> Mapping[str, Degradation]:
    return MappingProxyType({degradation.name: degradation for degradation in degradations})


DEGRADATIONS: Mapping[str, Degradation] = _rows(
    Degradation("bicubic-x2", 2, random=False, version=1, apply=partial(_bicubic, scale=2)),
    Degradation("bicubic-x3", 3, random=False, version=1, apply=partial(_bicubic, scale=3)),
    Degradation("bicubic-x4", 4, random=False, version=1, apply=partial(_bicubic, scale=4)),
    # Real-ESRGAN degrades crops of 400 pixels and trains on patches of 256.
    Degradation("blind-x4", 4, random=True, version=1, apply=blind.degrade, context=400 / 256),
)


def degradation(name: str) -> Degradation:
    """The row `name`; SuiteError says what is known."""
    if name not in DEGRADATIONS:
        raise SuiteError(f"no degradation is called {name!r}.{suggest(name, DEGRADATIONS)}")
    return DEGRADATIONS[name]


def image_rng(seed: int, *names: str | int) -> np.random.Generator:
    """A generator that depends on `seed` and `names` alone: not on order, process, thread or Python's hash seed."""
    text = "\0".join(str(part) for part in (seed, *names))
    digest = hashlib.sha256(text.encode()).digest()
    return np.random.default_rng(np.random.SeedSequence(list(np.frombuffer(digest, "<u4").tolist())))
