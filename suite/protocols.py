"""PROTOCOLS: how a quality number is made, as named, versioned rows that a run cannot override.

The same two images score differently by channel, rounding of Y, crop and SSIM variant; a number without its protocol says
nothing. A row never changes its meaning: raise `version`, add a line to `changes`, and keep the old row, so that old records
become "not comparable" instead of wrong. The channel is part of a metric's name (`PSNR-Y`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from models.lookup import suggest
from suite.errors import SuiteError

PSNR_CAP = 100.0  # dB


@dataclass(frozen=True)
class Metric:
    """How a metric is read and shown."""

    name: str
    better: Literal["higher", "lower"]
    unit: str
    digits: int  # decimals shown; records are never rounded


METRICS: Mapping[str, Metric] = MappingProxyType(
    {
        "PSNR-Y": Metric("PSNR-Y", "higher", "dB", 2),
        "SSIM-Y": Metric("SSIM-Y", "higher", "", 4),
    }
)


@dataclass(frozen=True)
class Protocol:
    """One way to compare a restored image with its target."""

    name: str
    version: int
    channel: Literal["Y"]  # BT.601 luma, 16 to 235
    y_rounding: Literal["none", "uint8"]
    crop: Literal["scale"] | int  # pixels left out at each border
    quantise: Literal["uint8"]  # what happens to the output before it is compared
    ssim: Literal["gaussian-11-valid"]
    tiling: Literal["whole"]
    changes: tuple[str, ...]  # one line a version, oldest first

    @property
    def key(self) -> str:
        """`name@version`, as specs and records hold it."""
        return f"{self.name}@{self.version}"

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names in METRICS of what the protocol measures."""
        return (f"PSNR-{self.channel}", f"SSIM-{self.channel}")

    @property
    def statement(self) -> str:
        """The protocol in one sentence."""
        y = "rounded to 8 bit as MATLAB's rgb2ycbcr does" if self.y_rounding == "uint8" else "kept in floating point"
        border = "as many border pixels as the scale" if self.crop == "scale" else f"{self.crop} border pixels"
        return (
            f"Output clamped and rounded to 8 bit, whole image without tiling; PSNR (peak 255, at most {PSNR_CAP:g} dB) and SSIM "
            f"(11x11 Gaussian window, sigma 1.5, valid region) on BT.601 Y (16 to 235), {y}; {border} left out at each side."
        )

    def border(self, scale: int) -> int:
        """Pixels left out at each side for a task of `scale`."""
        return scale if self.crop == "scale" else self.crop


def _rows(*protocols: Protocol) -> Mapping[str, Protocol]:
    return MappingProxyType({protocol.key: protocol for protocol in protocols})


PROTOCOLS: Mapping[str, Protocol] = _rows(
    Protocol(
        name="sr-y",
        version=1,
        channel="Y",
        y_rounding="none",
        crop="scale",
        quantise="uint8",
        ssim="gaussian-11-valid",
        tiling="whole",
        changes=("1: BasicSR's convention for super-resolution, as MambaIR's tables use it, without its tiling",),
    ),
    Protocol(
        name="sr-y-rounded",
        version=1,
        channel="Y",
        y_rounding="uint8",
        crop="scale",
        quantise="uint8",
        ssim="gaussian-11-valid",
        tiling="whole",
        changes=("1: as sr-y@1, but Y rounded, as MATLAB scripts of super-resolution papers do",),
    ),
)


def protocol(key: str) -> Protocol:
    """The row `name@version`, or the latest version of `name`; SuiteError says what is known."""
    if key in PROTOCOLS:
        return PROTOCOLS[key]
    name, _, version = key.partition("@")
    versions = sorted(row.version for row in PROTOCOLS.values() if row.name == name)
    if not versions:
        raise SuiteError(f"no protocol is called {key!r}.{suggest(name, {row.name for row in PROTOCOLS.values()})}")
    if version:
        known = ", ".join(f"{name}@{number}" for number in versions)
        raise SuiteError(f"protocol {name!r} has no version {version!r}. Known: {known}. Without @version the latest is taken.")
    if "@" in key:
        raise SuiteError(f"{key!r} names no version after the @. Write {name}@{versions[-1]}, or {name} for the latest.")
    return PROTOCOLS[f"{name}@{versions[-1]}"]
