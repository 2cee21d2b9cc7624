"""A low-quality image and its target: where they come from, and how they are read or made."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from suite.core.errors import Exit, SuiteError
from suite.core.text import readable
from suite.data.colour import grey, in_grey, luma
from suite.data.degrade.degradations import degradation
from suite.data.images import Pixels, match_channels, read_image, read_stored
from suite.data.layouts.sizes import Size, SizedPair, say_scale
from suite.data.mat_files import read_block
from suite.data.resize import imresize, mod_crop
from suite.study.protocols import Protocol
from suite.study.tasks import Task


@dataclass(frozen=True)
class Pair:
    """A low-quality image `(H / scale, W / scale, C)`, uint8, or floating point around 0..1, and its target, uint8 `(H, W, C)`.

    C is 3 (RGB), or 1 for the tasks on grey images, and where the target is a grey file that the protocol takes as it is.
    """

    name: str
    lq: np.ndarray
    hq: Pixels


@dataclass(frozen=True)
class PairSource:
    """Where a pair comes from: it is read or made by `load`, in any process, with the same bytes."""

    name: str
    hq: Path | Pixels
    lq: Path | None  # None: made by the task's degradation
    task: Task
    rule: Protocol
    seed: int
    block: int | None = None  # of a .mat file that holds many images

    def __post_init__(self) -> None:
        """Make the name one that can be printed, recorded and drawn by, whatever bytes the file's has."""
        if not self.name.isascii():
            object.__setattr__(self, "name", readable(self.name))

    @property
    def title(self) -> str:
        """Return what a message calls it: its file, else its name."""
        return str(self.hq) if isinstance(self.hq, Path) and self.block is None else f"the image {self.name!r}"

    @property
    def files(self) -> list[Path]:
        """Its image files."""
        return [path for path in (self.hq, self.lq) if isinstance(path, Path)]

    def load(self) -> Pair:
        """Read or make the pair; SuiteError where a file cannot be read, or sizes do not fit."""
        scale = self.task.scale
        hq = self.hq if isinstance(self.hq, np.ndarray) else read_for(self.hq, self.task, self.block, self.rule)
        whole = hq.shape[:2]
        hq = _cropped(self.title, hq, scale)
        if self.rule.lowres == "float-y" and scale > 1:
            return Pair(self.name, _low_plane(hq, scale), hq)
        if self.lq is None:
            return Pair(self.name, self._made(hq), hq)
        lq = self._read_low(hq)
        self._check_sizes(whole, hq, lq)
        return Pair(self.name, lq, hq)

    def _check_sizes(self, whole: Size, hq: Pixels, lq: Pixels) -> None:
        """Raise SuiteError where the target, cropped from the size `whole`, is not as many times as large as the task's scale."""
        scale = self.task.scale
        if hq.shape[:2] != (lq.shape[0] * scale, lq.shape[1] * scale):
            cropped, wanted = (
                (f", cropped to a multiple of {scale},", f"not {scale} times as large") if scale > 1 else ("", "of another size")
            )
            found = SizedPair(self.name, whole, lq.shape[:2]).scale
            wanted += f"; by their sizes they are of {say_scale(found)}" if found is not None else ""
            target = self.hq if isinstance(self.hq, Path) else repr(self.name)
            raise SuiteError(
                f"{self.lq} is {lq.shape[1]}x{lq.shape[0]} pixels (width x height), but its target {target}{cropped} is "
                f"{hq.shape[1]}x{hq.shape[0]}, which is {wanted}.",
                exit=Exit.NOT_READY,
            )

    def _made(self, hq: Pixels) -> np.ndarray:
        row = degradation(self.task.degradation)
        if hq.shape[2] < row.channels and not row.takes_grey:
            raise SuiteError(
                f"{self.hq} is a grey file, whose plane {self.rule.key} compares as it is, and {row.name} makes colour images alone. "
                "Choose a protocol that repeats grey files in three channels (`python -m suite list protocols`), or leave the image out.",
                exit=Exit.NOT_READY,
            )
        return row.for_image(hq, self.seed, self.name, self.rule.noise or "bgr")

    def _read_low(self, hq: Pixels) -> Pixels:
        lq = match_channels(read_for(self.lq, self.task, self.block, self.rule), hq)
        if lq is None:
            raise SuiteError(
                f"{self.lq} is a colour image, and its target {self.hq} a grey file, whose plane {self.rule.key} compares as it is. "
                "Store the low-quality image as a grey file, or choose a protocol that repeats them (`python -m suite list protocols`).",
                exit=Exit.NOT_READY,
            )
        return lq


def read_for(path: Path, task: Task, block: int | None = None, rule: Protocol | None = None) -> Pixels:
    """Read the image as `task` takes it, uint8 `(H, W, 3)` or `(H, W, 1)`: for training, or for a test by `rule`, which may keep grey."""
    if block is not None:
        image = read_block(path, block)
    else:
        image = read_stored(path) if rule is not None and rule.grey == "plane" else read_image(path)
    if task.channels == 3:
        return image
    return grey(image)[..., None] if rule is None else in_grey(rule, image)


def _low_plane(hq: Pixels, scale: int) -> np.ndarray:
    """Shrink the 8-bit Y plane of `hq`, or a grey file's own, in floating point: `(H / scale, W / scale, 1)`, 0..1 for 0..255."""
    plane = hq[..., 0].astype(np.float64) if hq.shape[2] == 1 else np.floor(luma(hq) + 0.5)
    return imresize(plane / 255, 1 / scale, between="float")[..., None]


def _cropped(title: str, image: Pixels, scale: int) -> Pixels:
    if min(image.shape[:2]) < scale:
        raise SuiteError(f"{title} is {image.shape[1]}x{image.shape[0]} pixels: too small for scale {scale}.", exit=Exit.NOT_READY)
    return np.ascontiguousarray(mod_crop(image, scale))
