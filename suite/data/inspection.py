"""What is wrong with image files and with sets of them: odd files, low-quality images that MATLAB did not make, images in two sets.

Facts of a file are remembered by its path, size and time of change (`Facts`, in the cache folder), so that a set is decoded once.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np

from suite.data.images import Pixels, read_image
from suite.data.locate import FilePair
from suite.data.resize import imresize, mod_crop
from suite.errors import SuiteError

CACHE_VERSION = 1
THUMB = 16  # pixels a side of the small grey image by which near-identical images are found
NEAR_DB = 32.0  # PSNR of two such images from which on they are called near-identical

# What MATLAB's imresize did: the border by its release, rounding between the passes by the image's type.
RULES: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "mirrored border, 8 bit between the passes (modern MATLAB)": ("mirror", "uint8"),
        "replicated border, 8 bit between the passes (old MATLAB)": ("replicate", "uint8"),
        "mirrored border, floating point between the passes": ("mirror", "float"),
    }
)


@dataclass(frozen=True)
class Facts:
    """Of one file: why it cannot be read, or its size and what it is recognised by."""

    problem: str = ""
    height: int = 0
    width: int = 0
    pixels: str = ""  # digest of the pixels, cut to multiples of 24
    thumb: tuple[int, ...] = ()  # THUMB x THUMB, 0..255


def facts_of(path: Path) -> Facts:
    """Decodes the file; a problem is told, not raised."""
    from suite.data.sets import COMMON_MULTIPLE

    try:
        image = read_image(path)
    except SuiteError as error:
        return Facts(problem=str(error))
    cut = mod_crop(image, COMMON_MULTIPLE)
    digest = hashlib.sha256(np.ascontiguousarray(cut if cut.size else image)).hexdigest()[:32]
    return Facts("", image.shape[0], image.shape[1], digest, _thumb(image))


def _thumb(image: Pixels) -> tuple[int, ...]:
    """Means over THUMB x THUMB equal parts of the grey image."""
    grey = image.mean(axis=2)
    rows, columns = (np.arange(THUMB + 1) * length // THUMB for length in grey.shape)
    if min(grey.shape) < THUMB:
        return ()
    sums = np.add.reduceat(np.add.reduceat(grey, rows[:-1], axis=0), columns[:-1], axis=1)
    counts = np.outer(np.diff(rows), np.diff(columns))
    return tuple(int(value) for value in np.rint(sums / counts).ravel())


class Remembered:
    """Facts by file stamp, kept in a JSON file of the cache folder; a file that cannot be read or written is done without."""

    def __init__(self, store: Path | None = None) -> None:
        from models.cache import cache_folder

        self._store = store or cache_folder() / "data" / f"facts-{CACHE_VERSION}.json"
        self._known: dict[str, dict[str, object]] = {}
        with contextlib.suppress(OSError, ValueError):
            known = json.loads(self._store.read_text(encoding="utf-8"))
            self._known = known if isinstance(known, dict) else {}

    def facts(self, paths: Sequence[Path]) -> Iterator[tuple[Path, Facts]]:
        """Facts of every file, in order; those that are not known are found on all cores."""
        from suite.parallel import over

        stamps = {path: _stamp(path) for path in paths}
        fresh = [path for path in paths if self._recall(stamps[path]) is None]
        found = over(facts_of, fresh)
        for path in paths:
            facts = self._recall(stamps[path])
            if facts is None:
                facts = next(found)
                self._known[stamps[path]] = asdict(facts)
            yield path, facts

    def save(self) -> None:
        """Writes the store, whole or not at all."""
        with contextlib.suppress(OSError):
            self._store.parent.mkdir(parents=True, exist_ok=True)
            new = self._store.with_suffix(f".{os.getpid()}")
            new.write_text(json.dumps(self._known), encoding="utf-8")
            new.replace(self._store)

    def _recall(self, stamp: str) -> Facts | None:
        held = self._known.get(stamp)
        try:
            return Facts(**(held | {"thumb": tuple(held["thumb"])})) if held else None
        except (TypeError, KeyError):
            return None


def _stamp(path: Path) -> str:
    state = path.stat()
    return f"{path.resolve()}\0{state.st_size}\0{state.st_mtime_ns}"


def shrunk_by(pair: FilePair, scale: int) -> str:
    """Which of RULES made the low-quality image of its target, or how far the nearest is from it."""
    from suite.metrics.fidelity import psnr

    high, low = mod_crop(read_image(pair.hq), scale), read_image(pair.lq)
    if high.shape[:2] != (low.shape[0] * scale, low.shape[1] * scale):
        return f"none: {low.shape[1]}x{low.shape[0]} pixels are not a {scale}th of {high.shape[1]}x{high.shape[0]}"
    best, nearest = -1.0, ""
    for rule, (border, between) in RULES.items():
        made = imresize(high, 1 / scale, border=border, between=between)
        if np.array_equal(made, low):
            return rule
        value = psnr(made, low)
        if value > best:
            best, nearest = value, rule
    return f"none of MATLAB's three rules; nearest, at {best:.1f} dB: {nearest}"


def shared(sets: Mapping[str, Mapping[Path, Facts]]) -> list[tuple[str, str, Path, Path]]:
    """Images that two sets have in common: ("identical" | "near-identical", "first and second", file, file)."""
    names = list(sets)
    found = []
    for index, first in enumerate(names):
        for second in names[index + 1 :]:
            found += [(kind, f"{first} and {second}", a, b) for kind, a, b in _common(sets[first], sets[second])]
    return found


def _common(first: Mapping[Path, Facts], second: Mapping[Path, Facts]) -> Iterable[tuple[str, Path, Path]]:
    by_pixels = {facts.pixels: path for path, facts in first.items() if facts.pixels}
    thumbs = [(path, np.array(facts.thumb, np.float64)) for path, facts in first.items() if facts.thumb]
    matrix = np.stack([thumb for _, thumb in thumbs]) if thumbs else None
    least = 255.0**2 / 10 ** (NEAR_DB / 10)
    for path, facts in second.items():
        if facts.pixels and facts.pixels in by_pixels:
            yield "identical", by_pixels[facts.pixels], path
        elif facts.thumb and matrix is not None:
            errors = np.mean(np.square(matrix - np.array(facts.thumb, np.float64)), axis=1)
            nearest = int(errors.argmin())
            if errors[nearest] < least and np.std(facts.thumb) > np.sqrt(least):  # flat images resemble each other
                yield "near-identical", thumbs[nearest][0], path


def problems(facts: Mapping[Path, Facts], relative: Callable[[Path], str]) -> list[str]:
    """A line for every file that cannot be read."""
    return [f"{relative(path)}: {one.problem}" for path, one in facts.items() if one.problem]
