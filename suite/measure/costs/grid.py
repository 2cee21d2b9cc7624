"""The cells of the profile: which models, at which sizes, counted or timed; and how far a sweep over sizes goes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

import models
from models.lookup import UnknownName, suggest
from models.scan.backends import REVISION
from suite.core.errors import SuiteError
from suite.core.machine import machine_digest
from suite.measure.costs.printed import input_720p, scale_of
from suite.records.kinds.profile import NO_BACKEND, ProfileSpec
from suite.study import versions
from suite.study.baselines import BASELINES
from suite.study.grids import selects
from suite.study.outside.plugins import digest_of

ALL_MODELS, HD = "all", "720p"
COUNTED_BY = ("fvcore", "spandrel")  # packages that decide a cost
TIMED_WITH = ("torch", "numba", "triton", "mamba-ssm", "kernels", *COUNTED_BY)

SWEEP = (64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048)  # sides in pixels, the area about doubled each time
MEMORY_SHARE = 0.9  # of the free memory, which a call may take

Size = tuple[int, int]


@dataclass(frozen=True)
class TimingOptions:
    """How times are taken."""

    backend: str
    device: str
    threads: int
    seconds: float


def select_models(patterns: Sequence[str]) -> list[str]:
    """Return the names that the patterns select: tiny siblings by their whole name alone; `UnknownName` where a pattern selects none."""
    found: dict[str, None] = {}
    for pattern in patterns:
        names = models.names()
        if pattern == ALL_MODELS:
            selected = names
        elif pattern in models.MODELS or pattern in BASELINES:
            selected = [pattern]
        else:
            selected = [name for name in (*names, *BASELINES) if selects(pattern, name, names)]
        if not selected:
            raise UnknownName(f"{pattern!r} selects no network and no baseline.{suggest(pattern, (*names, *BASELINES))} {models.OTHERS}")
        found |= dict.fromkeys(selected)
    return list(found)


def resolve_size(model: str, size: Size | str) -> Size:
    """Return `size` itself, or for 720p the model's input of a 1280x720 output."""
    return input_720p(scale_of(model)) if size == HD else size


def smallest_side(model: str) -> int:
    """Return the smallest side of an image that the network takes, in pixels; without making the network."""
    if model in BASELINES:
        return BASELINES[model].multiple
    return models.card(model).config.smallest_side


def make_spec(model: str, size: Size, timing: TimingOptions | None) -> ProfileSpec:
    """Make the spec of one cell; SuiteError where the network takes no image so small."""
    if min(size) < smallest_side(model):
        raise SuiteError(f"{model} takes at least {smallest_side(model)} pixels a side; {size[0]}x{size[1]} was asked for.")
    if timing is None:
        about = {"software": software_digest(timed=False), "plugin": digest_of(model)}
        return ProfileSpec(model=model, input_size=size, backend=NO_BACKEND, **about)
    return ProfileSpec(
        model=model,
        input_size=size,
        backend=NO_BACKEND if model in BASELINES else timing.backend,
        device=timing.device,
        threads=timing.threads,
        timed=True,
        seconds=timing.seconds,
        machine=machine_digest(),
        software=software_digest(timed=True),
        plugin=digest_of(model),
    )


def software_digest(*, timed: bool) -> str:
    """Return 16 hexadecimal digits over the versions of the code and the packages that decide a cost, or a cost and its time."""
    if timed:
        revision = os.environ.get(REVISION)
        kernel = [f"{REVISION}={revision}"] if revision else []
        return versions.software((versions.COSTS, versions.LATENCIES, versions.SCANS, *kernel), TIMED_WITH)
    return versions.software((versions.COSTS,), COUNTED_BY)


@dataclass(frozen=True)
class Reached:
    """A size that a sweep has reached: seconds a call, and memory in MiB (None where it cannot be measured)."""

    pixels: int
    seconds: float
    mib: float | None


def extrapolate(known: Sequence[tuple[int, float]], pixels: int) -> float:
    """Extrapolate to `pixels` on the straight line through the last two known values, or in proportion to the last."""
    (last_pixels, last) = known[-1]
    if len(known) < 2:
        return last * pixels / last_pixels
    (earlier_pixels, earlier) = known[-2]
    slope = (last - earlier) / (last_pixels - earlier_pixels)
    return last + max(slope, 0.0) * (pixels - last_pixels)


def explain_stop(reached: Sequence[Reached], pixels: int, longest: float, free_mib: float | None) -> str:
    """Say why an image of `pixels` is not tried after those that were reached; "" where it is."""
    if not reached:
        return ""
    seconds = extrapolate([(one.pixels, one.seconds) for one in reached], pixels)
    if seconds > longest:
        return f"a call would take about {seconds:.1f} s, more than the {longest:g} s of --longest"
    known = [(one.pixels, one.mib) for one in reached if one.mib]
    if known and free_mib is not None:
        needed = extrapolate(known, pixels)
        if needed > MEMORY_SHARE * free_mib:
            return f"did not fit: it would need about {needed:.0f} MiB, and {free_mib:.0f} MiB are free"
    return ""
