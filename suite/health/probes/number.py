"""A watched number, the parts and probes that yield it; and what the probes share: the small budget, the data, digests."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

Kind = Literal["count", "digest", "known", "double", "output", "loss", "quality"]
BUDGET, DATA = "smoke", "photo-crops"
TRAINED_ON = "numba"  # the scan backend that runs everywhere


@dataclass(frozen=True)
class Number:
    """A watched number; `rests_on` names the versions and data that make it comparable, `error` says why there is no value."""

    key: str
    kind: Kind
    value: float | str | None
    rests_on: str = ""
    error: str = ""


@dataclass(frozen=True)
class ProbePart:
    """A piece of a probe, measured by one process, and again alone if a number of it drifts."""

    name: str
    numbers: Callable[[], Iterator[Number]]
    seconds: float = 1.0  # about, of a quiet core: by it parts are shared out among processes


@dataclass(frozen=True)
class Probe:
    """A row of PROBES: a group of numbers, whose keys begin with its name, in parts that do not need each other."""

    name: str
    what: str
    parts: Callable[[], tuple[ProbePart, ...]]


def digest(*arrays: np.ndarray) -> str:
    """Return 16 hexadecimal digits over shapes, types and bytes."""
    found = hashlib.sha256()
    for array in arrays:
        found.update(f"{array.shape} {array.dtype}".encode())
        found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()[:16]


def digest_of(value: object) -> str:
    """Return 16 hexadecimal digits over the text of a plain value, a dataclass or a layer."""
    return hashlib.sha256(repr(value).encode()).hexdigest()[:16]


def along_a_direction(values: np.ndarray, seed: int = 1) -> float:
    """Project `values` on a fixed random direction, whose mean is one lest a picture cancel: what is only moved about is seen."""
    direction = 1 + np.random.default_rng(seed).standard_normal(values.shape)
    return float((values.astype(np.float64) * direction).sum() / np.linalg.norm(direction))
