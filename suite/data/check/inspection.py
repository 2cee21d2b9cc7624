"""What is wrong with image files, and which rule made low-quality images of their targets; remembered by file stamp.

Facts of a file, and the rule of a pair, are kept by path, size and time of change (`Remembered`, in the cache folder), so that a set is
decoded once. Leaks between sets are found from the same facts (suite.data.check.leaks).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Generic, Literal, TypeVar

import numpy as np

from models.cache import find_in_cache
from suite.core.errors import SuiteError
from suite.core.files import replacing
from suite.core.parallel import map_ordered
from suite.data.digest import pixel_key
from suite.data.images import Pixels, describe, has_equal_channels, read_image, read_stored, three_channels
from suite.data.layouts.locate import FilePair
from suite.data.layouts.sizes import SizedPair
from suite.data.resize import Between, Border, imresize, mod_crop

CACHE_VERSION = 5
THUMB = 16  # pixels a side of the small grey image by which near-identical images are found
PAIRS_PROBED = 3  # pairs on which every rule is tried, to know which to try first on the others

Kept = TypeVar("Kept")
Stored = Literal["", "grey", "equal", "colour"]  # one channel, three equal ones, or colours; empty: not known


@dataclass(frozen=True)
class Rule:
    """What MATLAB's imresize did: the border by its release, rounding between the passes by the image's type."""

    name: str
    border: Border
    between: Between


RULES: Mapping[str, Rule] = MappingProxyType(
    {
        rule.name: rule
        for rule in (
            Rule("mirrored border, 8 bit between the passes (modern MATLAB)", "mirror", "uint8"),
            Rule("replicated border, 8 bit between the passes (old MATLAB)", "replicate", "uint8"),
            Rule("mirrored border, floating point between the passes", "mirror", "float"),
        )
    }
)


@dataclass(frozen=True)
class Facts:
    """Of one file: why it cannot be read, what is done to it, or its size and what it is recognised by."""

    problem: str = ""
    remarks: tuple[str, ...] = ()
    height: int = 0
    width: int = 0
    pixels: str = ""  # sha256 of the pixels, uint8 RGB in C order
    cropped: str = ""  # its suite.data.digest.pixel_key
    stored: Stored = ""
    thumb: str = ""  # THUMB x THUMB bytes, hexadecimal; empty where the image is smaller


@dataclass(frozen=True)
class Shrunk:
    """Which rule made a low-quality image of its target (`exact`), else the nearest and how near; `problem`: sizes do not fit."""

    rule: str = ""
    exact: bool = False
    psnr: float = 0.0  # dB, between the image and the nearest rule's
    problem: str = ""


def facts_of(path: Path) -> Facts:
    """Decode the file; a problem is returned, not raised."""
    head = describe(path)
    if head.problem:
        return Facts(head.problem, head.remarks)
    try:
        found = read_stored(path)
    except SuiteError as error:
        return Facts(str(error), head.remarks)
    image = three_channels(found)
    pixels = hashlib.sha256(image.tobytes()).hexdigest()
    return Facts("", head.remarks, *image.shape[:2], pixels, pixel_key(image), stored_as(found), _thumb(image))


def stored_as(image: Pixels) -> Stored:
    """Return how an image that `read_stored` gave lies in its file."""
    if image.shape[2] == 1:
        return "grey"
    return "equal" if has_equal_channels(image) else "colour"


def _thumb(image: Pixels) -> str:
    """Return the means over THUMB x THUMB equal parts of the grey image."""
    if min(image.shape[:2]) < THUMB:
        return ""
    rows, columns = (np.arange(THUMB + 1) * length // THUMB for length in image.shape[:2])
    high = np.add.reduceat(image.sum(axis=2, dtype=np.float64), rows[:-1], axis=0)
    sums = np.add.reduceat(high, columns[:-1], axis=1)
    return np.rint(sums / (3 * np.outer(np.diff(rows), np.diff(columns)))).astype(np.uint8).tobytes().hex()


def find_rule(pair: FilePair, scale: int, first: str = "") -> Shrunk:
    """Find which of RULES made the low-quality image of its target, trying `first` first; a file that cannot be read is a problem.

    The target is cut to a multiple of `scale` before, as every protocol does.
    """
    try:
        whole, low = read_image(pair.hq), read_image(pair.lq)
    except SuiteError as error:
        return Shrunk(problem=str(error))
    high = mod_crop(whole, scale)
    if high.shape[:2] != (low.shape[0] * scale, low.shape[1] * scale):
        return Shrunk(problem=SizedPair(pair.name, whole.shape[:2], low.shape[:2]).said)
    best = Shrunk(psnr=-1.0)
    for name in sorted(RULES, key=lambda name: name != first):
        made = imresize(high, 1 / scale, border=RULES[name].border, between=RULES[name].between)
        if np.array_equal(made, low):
            return Shrunk(name, True, float("inf"))
        error = np.mean(np.square(made.astype(np.float64) - low))
        value = float(10 * np.log10(255.0**2 / error))
        best = Shrunk(name, False, value) if value > best.psnr else best
    return best


class Remembered:
    """Facts by file stamp, kept in a JSON file of the cache folder; a file that cannot be read or written is done without."""

    def __init__(self, store: Path | None = None) -> None:
        self._store = store or find_in_cache("data", f"facts-{CACHE_VERSION}.json")
        held = self._read()
        self._files = Stamped(held.get("files"), Facts)
        self._pairs = Stamped(held.get("pairs"), Shrunk)

    def facts(self, paths: Sequence[Path]) -> Iterator[tuple[Path, Facts]]:
        """Return the facts of every file, in order; those that are not known are found on all cores."""
        keys = [(str(path.absolute()), _stamp(path)) for path in paths]
        found = self._files.complete(keys, lambda fresh: map_ordered(facts_of, [paths[place] for place in fresh]))
        return zip(paths, found, strict=True)

    def shrunk(self, pairs: Sequence[FilePair], scale: int) -> Iterator[Shrunk]:
        """Return the rule of every pair, in order; the rule that made the first of them is tried first on the others."""
        keys = [(f"{pair.lq.absolute()}\0{scale}", _stamp(pair.hq, pair.lq)) for pair in pairs]

        def find(fresh: Sequence[int]) -> Iterator[Shrunk]:
            first = common_rule([pairs[place] for place in fresh[:PAIRS_PROBED]], scale)
            return map_ordered(lambda place: find_rule(pairs[place], scale, first), fresh)

        return self._pairs.complete(keys, find)

    def save(self) -> None:
        """Write the store, whole or not at all, with what another process wrote meanwhile."""
        if self._store is None:
            return
        held = self._read()
        known = {"files": self._files.merged(held.get("files")), "pairs": self._pairs.merged(held.get("pairs"))}
        with contextlib.suppress(OSError), replacing(self._store) as file:
            file.write(json.dumps(known).encode())

    def _read(self) -> dict[str, object]:
        if self._store is None:
            return {}
        with contextlib.suppress(OSError, ValueError):
            held = json.loads(self._store.read_text(encoding="utf-8"))
            return held if isinstance(held, dict) else {}
        return {}


class Stamped(Generic[Kept]):
    """Values of one type by a key and a stamp; one of another stamp, that does not look right, or that is a problem, is not known."""

    def __init__(self, held: object, kind: type[Kept]) -> None:
        self._held: dict[str, object] = dict(held) if isinstance(held, dict) else {}
        self._kind = kind
        self._new: dict[str, object] = {}

    def recall(self, key: str, stamp: str) -> Kept | None:
        """Return the value, or None where it is not known."""
        held = self._held.get(key)
        if not isinstance(held, dict) or held.get("stamp") != stamp or not isinstance(held.get("is"), dict):
            return None
        values = {name: tuple(value) if isinstance(value, list) else value for name, value in held["is"].items()}
        plain = self._kind()
        if values.get("problem"):  # it may be gone without a new stamp: a right given, a limit raised, a reader mended
            return None
        if values.keys() != vars(plain).keys() or any(type(values[name]) is not type(was) for name, was in vars(plain).items()):
            return None
        return self._kind(**values)

    def complete(self, keys: Sequence[tuple[str, str]], make: Callable[[Sequence[int]], Iterator[Kept]]) -> Iterator[Kept]:
        """Yield the value of every key and stamp, in order; `make` gives those that are not known, by their places, and they are noted."""
        places = {key: place for place, key in reversed(list(enumerate(keys)))}
        new = make(sorted(place for key, place in places.items() if self.recall(*key) is None))
        for key, stamp in keys:
            found = self.recall(key, stamp)
            if found is None:
                found = next(new)
                self._held[key] = self._new[key] = {"stamp": stamp, "is": asdict(found)}
            yield found

    def merged(self, held: object) -> dict[str, object]:
        """Return `held` with what was noted since."""
        return {**(held if isinstance(held, dict) else {}), **self._new}


def common_rule(pairs: Sequence[FilePair], scale: int) -> str:
    """Return the rule that made most of these pairs' images; where several rules give the same image, each counts."""
    counts = dict.fromkeys(RULES, 0)
    for pair in pairs:
        for name in RULES:
            found = find_rule(pair, scale, name)
            counts[name] += found.exact and found.rule == name
    return max(counts, key=counts.__getitem__)


def _stamp(*paths: Path) -> str:
    return " ".join(map(_state, paths)) + (f" {paths[0].absolute()}" if len(paths) > 1 else "")


def _state(path: Path) -> str:
    try:
        state = path.stat()
    except OSError:
        return "unreadable"  # what is found of it is a problem, which is not remembered
    return f"{state.st_size} {state.st_mtime_ns}"
