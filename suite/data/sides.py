"""Sub-folders called after the side of a pair that they hold: GT/ beside LQ/, HR/ beside LR_bicubic/X2/, sharp/ beside blur/.

A folder's name is read without regard to case, to separators (ground_truth) and to how letters with accents are stored. It is a word of
WORDS, perhaps with a scale behind it (LRx2, HR_x4), perhaps with a core that both sides share (DIV2K_train_HR beside
DIV2K_train_LR_bicubic). Scales may be folders, too: LR/X2, x2/LR; and so may be JPEG qualities below a low-quality folder: LQ/10.
"""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from suite.data.images import IMAGE_SUFFIXES
from suite.data.mixed import Side
from suite.data.pairing import fold_name, shorten
from suite.data.walk import folders_in
from suite.study.tasks import Kind

WORDS: Mapping[Side, str] = MappingProxyType(
    {
        "high": "HR GT HQ target sharp high groundtruth clean clear norain original GTmod12 "
        "targets highres highresolution highquality hires reference ref",
        "low": "LR LQ input blur rain low LR_bicubic rainy noisy noise blurry blurred haze hazy degraded LRbic LRBI LRBD LRDN inputC "
        "inputs lowres lowresolution lowquality lores",
    }
)
BICUBIC = frozenset({"lrbicubic", "lrbic", "lrbi"})  # names that say how the images were made: for bicubic tasks alone
NOISY = frozenset({"noisy", "noise", "lrdn"})  # a number below them is a strength of noise, else a JPEG quality
SHOWN = 6  # words of a side in a message, and sub-folders

_SIDES: Mapping[str, Side] = MappingProxyType(
    {fold_name(word).replace("_", ""): side for side, words in WORDS.items() for word in words.split()}
)
_SEPARATOR = re.compile(r"[_\-. ]+")
_SCALE = re.compile(r"(?P<rest>.*?)[_\-. ]?(?:x(?P<behind>[1-9])|(?P<before>[1-9])x|(?<=[a-z])(?P<bare>[2-8]))")


@dataclass(frozen=True)
class SideFolder:
    """A folder of one side; `core` is what its name holds beside the side's word."""

    path: Path
    name: str  # below the place: LR_bicubic/X2
    side: Side
    core: str
    scale: int | None = None
    level: int | None = None
    bicubic: bool = False
    noisy: bool = False
    empty: bool = False  # no image is in it

    @property
    def kinds(self) -> tuple[Kind, ...] | None:
        """The tasks that its low-quality files are for; None where only their sizes say."""
        if self.level is not None:
            return ("denoise",) if self.noisy else ("jpeg",)
        if self.bicubic:
            return ("sr",)
        return ("sr", "real-sr") if self.scale is not None else None


@dataclass(frozen=True)
class Way:
    """One layout of usual names: `high` None = the place holds its targets directly, or (with a `problem`) none are there."""

    high: SideFolder | None
    low: SideFolder | None
    problem: str = ""  # why it cannot be taken


def read_name(name: str) -> tuple[Side | None, str, int | None, str] | None:
    """Return (side, core, scale, the side's word) of a folder's name, the side None for a scale alone (X2); None where it is no side's."""
    text = fold_name(name)
    match = None if _ending(text) else _SCALE.fullmatch(text)
    rest, scale = (match["rest"], int(match["behind"] or match["before"] or match["bare"])) if match else (text, None)
    if not rest:
        return None, "", scale, ""
    found = _ending(rest) or _beginning(rest)
    return None if found is None else (found[0], found[1], scale, found[2])


def _ending(text: str) -> tuple[Side, str, str] | None:
    """Return side, core and word of a name that ends with a side's word."""
    parts = _SEPARATOR.split(text)
    words = (("".join(parts[cut:]), " ".join(parts[:cut])) for cut in range(len(parts)))
    return next(((_SIDES[word], core, word) for word, core in words if word in _SIDES), None)


def _beginning(text: str) -> tuple[Side, str, str] | None:
    """Return side, core and word of a name that begins with a side's word."""
    parts = _SEPARATOR.split(text)
    words = (("".join(parts[:cut]), " ".join(parts[cut:])) for cut in range(len(parts) - 1, 0, -1))
    return next(((_SIDES[word], core, word) for word, core in words if word in _SIDES), None)


def side_folders(place: Path) -> Iterator[SideFolder]:
    """Yield the folders of a side below `place`, by name: its sub-folders, and those of a scale or a JPEG quality in or around them."""
    for path in folders_in(place):
        read = read_name(path.name)
        if read is None:
            continue
        side, core, scale, word = read
        inside = [(child, read_name(child.name)) for child in folders_in(path)]
        if side is None:
            for child, other in inside:
                if other is not None and other[0] is not None and other[2] in (None, scale):
                    yield _side_folder(place, child, other[0], other[1], scale, other[3])
            continue
        by_scale = [(child, other[2]) for child, other in inside if other is not None and other[0] is None and scale in (None, other[2])]
        levels = [child for child, _ in inside if side == "low" and scale is None and re.fullmatch(r"[1-9][0-9]?", child.name)]
        for child, factor in by_scale:
            yield _side_folder(place, child, side, core, factor, word)
        for child in levels:
            yield _side_folder(place, child, side, core, None, word, int(child.name))
        if has_images(path) or not (by_scale or levels):
            yield _side_folder(place, path, side, core, scale, word)


def _side_folder(place: Path, path: Path, side: Side, core: str, scale: int | None, word: str, level: int | None = None) -> SideFolder:
    name = path.relative_to(place).as_posix()
    return SideFolder(path, name, side, core, scale, level, word in BICUBIC, word in NOISY, not has_images(path))


def usual_ways(place: Path) -> list[Way]:
    """Return the layouts of usual names that `place` has: each low-quality folder with its targets, or the targets alone.

    None where no folder is called after a side, or all of them are called after things that have no other side here.
    """
    found = list(side_folders(place))
    direct = has_images(place)
    highs = [one for one in found if one.side == "high" and not one.empty]
    core = _core(highs, direct)
    if core is None:
        names = [one.name for one in highs]
        return [Way(None, None, f"{place} holds several sets ({shorten(names)}): put each into a folder of its own.")]
    highs = [one for one in highs if one.core == core]
    lows = [one for one in found if one.side == "low" and one.core == core]
    if not highs and not lows:
        return []
    twice = _twice(place, highs) or _twice(place, lows)
    if twice:
        return [Way(highs[0] if highs else None, None, twice)]
    if not lows:
        return [Way(one, None) for one in highs]
    return [_way(place, low, highs, direct) for low in lows]


def _core(highs: Sequence[SideFolder], direct: bool) -> str | None:
    """Return what the names of both sides share; None where several sets are there."""
    cores = sorted({one.core for one in highs})
    if direct or "" in cores or not cores:
        return ""
    return cores[0] if len(cores) == 1 else None


def _twice(place: Path, folders: Sequence[SideFolder]) -> str:
    """Say it where two folders of one side are of one scale and quality."""
    seen: dict[tuple[object, ...], SideFolder] = {}
    for one in folders:
        other = seen.setdefault((one.scale, one.level), one)
        if other is not one:
            return both_there(place, other, one)
    return ""


def both_there(place: Path, first: SideFolder, second: SideFolder) -> str:
    """Say that two folders are there, of which one is meant."""
    return f"{place} has both {first.name}/ and {second.name}/; keep the one that is meant."


def _way(place: Path, low: SideFolder, highs: Sequence[SideFolder], direct: bool) -> Way:
    by_scale: dict[int | None, SideFolder] = {one.scale: one for one in highs}
    high = by_scale.get(low.scale) or by_scale.get(None)
    if high is None and len(highs) == 1 and low.scale is None:
        high = highs[0]  # HR_x4/ beside LR/
    if low.empty:
        return Way(high, low, f"{place} has {low.name}/, but no images are in it ({', '.join(sorted(IMAGE_SUFFIXES))} are looked for).")
    if high is None and not direct:
        there = f", only {', '.join(f'{one.name}/' for one in highs)}" if highs else ""
        return Way(None, low, f"{place} has {low.name}/ but no folder with the targets{there}; they go into {say_words('high')}.")
    return Way(high, low)


def say_words(side: Side) -> str:
    """Return the most usual folder names of a side, in words."""
    return " or ".join(f"{word}/" for word in WORDS[side].split()[:SHOWN])


def say_missing(place: Path) -> str:
    """Say what was looked for in `place`, where no images are found, and what is there."""
    high, low = (", ".join(words.split()[:SHOWN]) for words in WORDS.values())
    return (
        f"there are no images directly in {place} ({', '.join(sorted(IMAGE_SUFFIXES))} are looked for), and no folder of targets "
        f"({high} and the like, in any case; low-quality files beside it in {low}, LRx2, LR_bicubic/X2). {say_there(place)}"
    )


def say_there(place: Path) -> str:
    """Say what is in a folder without images."""
    folders, below = folders_in(place), defaultdict(list)
    for path in folders:
        what = "images" if has_images(path) else "targets and low-quality folders" if usual_ways(path) else ""
        below[what].append(path.name)
    there = [
        f"{what} in {_shown(names)}" if what else f"the sub-folders {_shown(names)}" for what, names in sorted(below.items(), reverse=True)
    ]
    with os.scandir(place) as entries:
        other = sum(not entry.name.startswith(".") for entry in entries) - len(folders)
    there += [f"{other} other files"] if other else []
    hint = " Name the folder of one set." if set(below) - {""} else ""
    return f"There is: {'; '.join(there) or 'nothing'}.{hint}"


def _shown(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(f"{name}/" for name in names[:SHOWN]) + more


def has_images(folder: Path) -> bool:
    """Return whether an image lies directly in `folder`."""
    with os.scandir(folder) as entries:
        return any(
            os.path.splitext(entry.name)[1].lower() in IMAGE_SUFFIXES and not entry.name.startswith(".")  # noqa: PTH122
            for entry in entries
        )
