"""PROTOCOLS: how a quality number is made, as named, versioned rows that a run cannot override; METRICS: how one is read.

The same two images score differently by channel, rounding of Y, crop and SSIM variant; a number without its protocol says
nothing. A row never changes its meaning: raise `version`, add a line to `changes`, and keep the old row, so that old records
become "not comparable" instead of wrong. The channel is part of a metric's name (`PSNR-Y`).

A row also fixes what the test images are where a benchmark leaves it open: the order in which colour noise is drawn, how the
low-resolution image is made, and what a grey file is. A grey file holds one channel (suite.data.images.read_stored); a file of three
equal channels is a colour file, as in the scripts, which count channels. Sources: BasicSR's metrics, the MATLAB and Python evaluation
scripts that the papers' code comes with, and the NTIRE challenges' rules, as facts; the code is ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from models.lookup import suggest
from suite.core.errors import SuiteError

PSNR_CAP = 100.0  # dB
SSIM_WINDOW = 11  # pixels a side: a smaller image has no SSIM


@dataclass(frozen=True)
class Metric:
    """How a metric is read and shown, and what computes it."""

    name: str
    better: Literal["higher", "lower"]
    unit: str
    digits: int  # decimals shown; records are never rounded
    package: Literal["", "lpips", "pyiqa"] = ""  # "": ours, of suite.measure.quality.fidelity
    reference: bool = True  # False: the output alone is looked at


def _metrics(*rows: Metric) -> Mapping[str, Metric]:
    return MappingProxyType({row.name: row for row in rows})


METRICS: Mapping[str, Metric] = _metrics(
    Metric("PSNR-Y", "higher", "dB", 2),
    Metric("SSIM-Y", "higher", "", 4),
    Metric("PSNR-RGB", "higher", "dB", 2),
    Metric("SSIM-RGB", "higher", "", 4),
    Metric("PSNR-grey", "higher", "dB", 2),
    Metric("SSIM-grey", "higher", "", 4),
    Metric("SSIM-volume", "higher", "", 4),
    Metric("LPIPS-alex", "lower", "", 4, "lpips"),
    Metric("LPIPS-vgg", "lower", "", 4, "lpips"),
    Metric("DISTS", "lower", "", 4, "pyiqa"),
    Metric("FSIM", "higher", "", 4, "pyiqa"),
    Metric("GMSD", "lower", "", 4, "pyiqa"),
    Metric("VIF", "higher", "", 4, "pyiqa"),
    Metric("TOPIQ-FR", "higher", "", 4, "pyiqa"),
    Metric("NIQE", "lower", "", 3, "pyiqa", reference=False),
    Metric("ILNIQE", "lower", "", 3, "pyiqa", reference=False),
    Metric("BRISQUE", "lower", "", 3, "pyiqa", reference=False),
    Metric("PI", "lower", "", 3, "pyiqa", reference=False),
    Metric("NRQM", "higher", "", 3, "pyiqa", reference=False),
    Metric("MUSIQ", "higher", "", 3, "pyiqa", reference=False),
    Metric("MANIQA", "higher", "", 4, "pyiqa", reference=False),
    Metric("TOPIQ-NR", "higher", "", 4, "pyiqa", reference=False),
    Metric("NIMA", "higher", "", 3, "pyiqa", reference=False),
)

SSIM_WINDOWS: Mapping[str, str] = MappingProxyType(
    {
        "gaussian-11-valid": "11x11 Gaussian window, sigma 1.5, valid region",
        "volume-11": "as MATLAB's ssim takes an HxWx3 array, a volume: 11x11x11 Gaussian window, sigma 1.5, edges replicated, whole map",
    }
)


@dataclass(frozen=True)
class Protocol:
    """One way to compare a restored image with its target."""

    name: str
    version: int
    changes: tuple[str, ...]  # one line a version, oldest first
    channel: Literal["Y", "RGB", "grey"]  # Y: BT.601 luma, 16 to 235
    crop: Literal["scale"] | int = 0  # pixels left out at each border
    y_rounding: Literal["none", "uint8"] = "none"
    quantise: Literal["uint8", "uint8-up", "none"] = "uint8"  # what happens to the output, once clamped, before it is compared
    ssim: Literal["gaussian-11-valid", "volume-11"] = "gaussian-11-valid"
    perceptual: tuple[str, ...] = ()  # names in METRICS, on the whole RGB image
    noise: Literal["", "bgr", "rgb"] = ""  # order in which colour noise is drawn for testing
    lowres: Literal["uint8", "float-y"] = "uint8"  # float-y: made in floating point from the 8-bit Y plane alone
    tiling: Literal["whole"] = "whole"
    # repeat: a grey file is three equal channels, as BasicSR reads it; plane: it is compared as it is, as MATLAB scripts do. Under a
    # protocol of the grey image it also says how colour is made grey: in full range, or by MATLAB's rgb2ycbcr.
    grey: Literal["repeat", "plane"] = "repeat"
    published: str = ""  # which published numbers it gives, or does not, where that is easily mistaken

    @property
    def key(self) -> str:
        """`name@version`, as specs and records hold it."""
        return f"{self.name}@{self.version}"

    @property
    def fidelity(self) -> tuple[str, str]:
        """Names in METRICS of its PSNR and SSIM: what is always there."""
        return f"PSNR-{self.channel}", "SSIM-volume" if self.ssim == "volume-11" else f"SSIM-{self.channel}"

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names in METRICS of what the protocol measures; the perceptual ones may be unavailable on a machine."""
        return (*self.fidelity, *self.perceptual)

    @property
    def statement(self) -> str:
        """The protocol in one sentence."""
        bits, peak = {
            "uint8": ("clamped and rounded to 8 bit", "255"),
            "uint8-up": ("clamped, raised by half a level and cut off to 8 bit", "255"),
            "none": ("clamped to 0..1 and not rounded", "1"),
        }[self.quantise]
        mean = ", mean over the channels" if self.fidelity[1] == "SSIM-RGB" else ""
        parts = [
            f"Output {bits}, whole image without tiling",
            f"PSNR (peak {peak}, at most {PSNR_CAP:g} dB) and SSIM ({SSIM_WINDOWS[self.ssim]}{mean}) on {self._on}",
            self._border,
            self._grey_file,
        ]
        if self.perceptual:
            parts.append(f"{' and '.join(self.perceptual)} (v0.1) on the whole RGB image, nothing left out")
        if self.noise:
            order = self.noise.upper()
            parts.append(f"test noise drawn in {order} order, by numpy's legacy generator seeded with 0 for each image, not clipped")
        if self.lowres == "float-y":
            parts.append("the low-resolution image made in floating point from that plane alone, colour not compared")
        if self.published:
            parts.append(self.published)
        return "; ".join(parts) + "."

    @property
    def summary(self) -> str:
        """Return what tells the row from others, in a few words."""
        y = {"none": "float Y", "uint8": "rounded Y"}[self.y_rounding]
        greys = {"repeat": "grey", "plane": "grey by rgb2ycbcr"}
        words = [{"Y": y, "grey": greys[self.grey]}.get(self.channel, self.channel)]
        words.append("crop = scale" if self.crop == "scale" else f"crop {self.crop}")
        words += ["not rounded"] if self.quantise == "none" else ["halves up"] if self.quantise == "uint8-up" else []
        words += ["SSIM of the volume"] if self.ssim == "volume-11" else []
        words += [f"noise in {self.noise.upper()} order"] if self.noise else []
        words += ["grey files as they are"] if self.channel == "Y" and self.grey == "plane" else []
        return ", ".join(words)

    @property
    def _on(self) -> str:
        rounded = "rounded to 8 bit as MATLAB's rgb2ycbcr does"
        if self.channel == "RGB":
            return "all three channels of RGB"
        if self.channel == "grey":
            made = f"BT.601 Y, 16 to 235, {rounded}" if self.grey == "plane" else "BT.601, full range, in integers of 14 bit, rounded"
            return f"the grey image (of a colour file: {made})"
        return f"BT.601 Y (16 to 235), {rounded if self.y_rounding == 'uint8' else 'kept in floating point'}"

    @property
    def _grey_file(self) -> str:
        if self.channel == "grey":
            return "of a grey file, its plane as it is"
        if self.grey == "plane":
            return "of a grey file, its plane as it is (0 to 255), as MATLAB scripts take it"
        return "a grey file taken for three equal channels"

    @property
    def _border(self) -> str:
        if self.crop == 0:
            return "no border pixel left out"
        width = "as many border pixels as the scale" if self.crop == "scale" else f"{self.crop} border pixels"
        return f"{width} left out at each side"

    def border(self, scale: int) -> int:
        """Pixels left out at each side for a task of `scale`."""
        return scale if self.crop == "scale" else self.crop


# Of version 2 of the protocols that follow MATLAB's scripts.
_PLANE = "2: a grey file's plane as it is; version 1 repeated it in RGB, whose Y spans 219 levels: 20 log10(255 / 219) = 1.32 dB more"


def _rows(*protocols: Protocol) -> Mapping[str, Protocol]:
    return MappingProxyType({protocol.key: protocol for protocol in protocols})


PROTOCOLS: Mapping[str, Protocol] = _rows(
    Protocol(
        "sr-y",
        1,
        ("1: BasicSR's convention for super-resolution, as MambaIR's tables use it, without its tiling",),
        channel="Y",
        crop="scale",
    ),
    Protocol(
        "sr-y-rounded",
        1,
        ("1: as sr-y@1, but Y rounded, as MATLAB scripts of super-resolution papers do",),
        channel="Y",
        crop="scale",
        y_rounding="uint8",
    ),
    Protocol(
        "sr-y-rounded",
        2,
        ("1: as sr-y@1, but Y rounded, as MATLAB scripts of super-resolution papers do", _PLANE),
        channel="Y",
        crop="scale",
        y_rounding="uint8",
        grey="plane",
    ),
    Protocol(
        "sr-y-plane",
        1,
        ("1: the older way: Y alone is made smaller and restored; the published bicubic rows were made so",),
        channel="Y",
        crop="scale",
        y_rounding="uint8",
        lowres="float-y",
    ),
    Protocol(
        "sr-y-plane",
        2,
        ("1: the older way: Y alone is made smaller and restored; the published bicubic rows were made so", _PLANE),
        channel="Y",
        crop="scale",
        y_rounding="uint8",
        lowres="float-y",
        grey="plane",
    ),
    Protocol(
        "gan-sr",
        1,
        ("1: the evaluation of VmambaIR's GAN table: crop 4, LPIPS by both networks, for its columns mix them",),
        channel="Y",
        crop=4,
        perceptual=("LPIPS-alex", "LPIPS-vgg"),
    ),
    Protocol(
        "real-sr",
        1,
        ("1: the evaluation of VmambaIR's real-world table: crop 4, LPIPS by VGG as its script, and by AlexNet",),
        channel="Y",
        crop=4,
        perceptual=("LPIPS-vgg", "LPIPS-alex"),
    ),
    Protocol(
        "derain-matlab",
        1,
        ("1: the MATLAB script of deraining papers, whose rgb2ycbcr rounds Y",),
        channel="Y",
        y_rounding="uint8",
    ),
    Protocol(
        "derain-matlab",
        2,
        ("1: the MATLAB script of deraining papers, whose rgb2ycbcr rounds Y", _PLANE),
        channel="Y",
        y_rounding="uint8",
        grey="plane",
    ),
    Protocol(
        "derain-y",
        1,
        ("1: as Python code measures deraining: Y in floating point, reads higher than derain-matlab@1 at high PSNR",),
        channel="Y",
    ),
    Protocol(
        "derain-crop4",
        1,
        ("1: as a Python script beside VmambaIR's deraining code measures, to explain its numbers",),
        channel="Y",
        crop=4,
    ),
    Protocol(
        "color-dn-bgr",
        1,
        ("1: BasicSR's colour denoising, as MambaIR's table uses it, without its tiling: noise drawn on the BGR array",),
        channel="RGB",
        noise="bgr",
    ),
    Protocol(
        "color-dn-rgb",
        1,
        ("1: as color-dn-bgr@1, but the noise drawn on the RGB array, as Restormer's numbers are made",),
        channel="RGB",
        noise="rgb",
    ),
    Protocol(
        "sidd-blocks",
        1,
        ("1: the MATLAB script of SIDD's validation blocks: psnr and ssim of single-precision blocks",),
        channel="RGB",
        quantise="none",
        ssim="volume-11",
    ),
    Protocol(
        "sidd-uint8",
        1,
        ("1: SIDD's blocks as BasicSR's validation measures them, after rounding to 8 bit",),
        channel="RGB",
    ),
    Protocol(
        "jpeg-grey",
        1,
        ("1: reduction of JPEG artefacts on grey images, as MambaIR's table uses it, without its tiling",),
        channel="grey",
        published="colour LIVE1 reads 0.75 dB below the published row of its JPEG input (27.77 dB at quality 10), which jpeg-matlab gives",
    ),
    Protocol(
        "jpeg-matlab",
        1,
        ("1: as jpeg-grey@1, but colour made grey by MATLAB's rgb2ycbcr before it is compressed, as ARCNN's and DnCNN's tests do",),
        channel="grey",
        y_rounding="uint8",
        grey="plane",
        published="gives the published row of LIVE1's JPEG input (27.77 dB at quality 10), whose grey images were made so",
    ),
    Protocol(
        "deblur-rgb",
        1,
        ("1: EVSSM's evaluation of motion deblurring: half a level is added, and the fraction cut off, as its images are saved",),
        channel="RGB",
        quantise="uint8-up",
    ),
    Protocol(
        "float-rgb",
        1,
        ("1: EAMamba's evaluation: PSNR of the output in floating point, at 35 dB about 0.02 dB more than of 8 bit",),
        channel="RGB",
        quantise="none",
        published="SSIM is of all windows inside the image, where EAMamba's code leaves out a border once more",
    ),
    Protocol(
        "float-y",
        1,
        ("1: as float-rgb@1 on Y, for EAMamba's real-world super-resolution",),
        channel="Y",
        quantise="none",
        published="EAMamba's code leaves out as many border pixels as the scale, and which scale that is at one size is not known",
    ),
    Protocol(
        "ntire-rgb",
        1,
        ("1: the NTIRE challenges' fidelity on RGB, scale pixels left out",),
        channel="RGB",
        crop="scale",
    ),
)


def protocol(key: str) -> Protocol:
    """Return the row `name@version`, or the latest version of `name`; SuiteError says what is known."""
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
        raise SuiteError(f"{key!r} has no version after the @. Write {name}@{versions[-1]}, or {name} for the latest.")
    return PROTOCOLS[f"{name}@{versions[-1]}"]
