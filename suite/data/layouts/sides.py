"""Sub-folders called after the side of a pair that they hold: GT/ beside LQ/, HR/ beside LR_bicubic/X2/, sharp/ beside blur/.

A folder's name is read without regard to case, to separators (ground_truth) and to how letters with accents are stored. It is a word of
WORDS, perhaps with a scale behind it (LRx2, HR_x4), perhaps with a core that both sides share (DIV2K_train_HR beside
DIV2K_train_LR_bicubic). Scales may be folders, too: LR/X2, x2/LR; and so may be JPEG qualities below a low-quality folder: LQ/10.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from suite.data.images import is_image, list_images
from suite.data.layouts.mixed import Side
from suite.data.layouts.pairing import check_distinct, fold_name, name_of, shorten
from suite.data.layouts.walk import folders_in, scan
from suite.data.opener import LOOKED_FOR
from suite.study.tasks import Kind

WORDS: Mapping[Side, str] = MappingProxyType(
    {
        "high": "HR GT HQ target sharp high groundtruth clean clear norain original GTmod12 "
        "targets highres highresolution highquality hires reference ref",
        "low": "LR LQ input blur rain low LR_bicubic rainy noisy noise blurry blurred haze hazy degraded compressed LRbic LRBI LRBD LRDN "
        "inputC inputs lowres lowresolution lowquality lores",
    }
)
# Words that say nothing of a side: rainy_image, HR_sub.
FILLERS = frozenset(
    {
        "image",
        "images",
        "img",
        "imgs",
        "picture",
        "pictures",
        "photo",
        "photos",
        "frame",
        "frames",
        "patch",
        "patches",
        "crop",
        "crops",
        "sub",
        "files",
    }
)
BICUBIC = frozenset({"lrbicubic", "lrbic", "lrbi"})  # names that say how the images were made: for bicubic tasks alone
NOISY = frozenset({"noisy", "noise", "lrdn"})  # a number behind or below them is a strength of noise
LEVELLED = NOISY | {"lq", "compressed", "degraded", "lowquality"}  # of the others it is a JPEG quality
SHOWN = 6  # words of a side in a message, and sub-folders

_SIDES: Mapping[str, Side] = MappingProxyType(
    {fold_name(word).replace("_", ""): side for side, words in WORDS.items() for word in words.split()}
)
_SEPARATOR = re.compile(r"[_\-. ]+")
_SCALE = re.compile(r"(?P<rest>.*?) ?(?:x(?P<behind>[1-9])|(?P<before>[1-9])x|(?<=[a-z])(?P<bare>[2-8]))")
_LEVEL = re.compile(r"(?P<rest>.*?) ?(?P<level>[1-9][0-9]?)")
_OF_LEVEL = re.compile(r"(?:^| )(?:q|qf|sigma)$")


class Name(NamedTuple):
    """What a folder's name says: None as the side where it says a scale or a level alone (X2, 10)."""

    side: Side | None
    core: str = ""  # what both sides' names share
    word: str = ""  # the side's
    scale: int | None = None
    level: int | None = None  # JPEG quality, or strength of noise


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


def read_name(name: str) -> Name | None:
    """Return what a folder's name says; None where it is called after no side, no scale and no level."""
    text = " ".join(part for part in _SEPARATOR.split(fold_name(name)) if part and part not in FILLERS)
    whole = _ending(text)
    if whole is not None or not text:
        return whole
    if match := _SCALE.fullmatch(text):
        scale = int(match["behind"] or match["before"] or match["bare"])
        found = _ending(match["rest"]) or _beginning(match["rest"])
        return Name(None, scale=scale) if not match["rest"] else found and found._replace(scale=scale)
    if match := _LEVEL.fullmatch(text):
        rest, level = _OF_LEVEL.sub("", match["rest"]), int(match["level"])
        found = _ending(rest)
        if not rest or (found is not None and found.word in LEVELLED):
            return Name(None, level=level) if found is None else found._replace(level=level)
    return _beginning(text)


def _ending(text: str) -> Name | None:
    """Read a name that ends with a side's word."""
    parts = text.split()
    words = (("".join(parts[cut:]), " ".join(parts[:cut])) for cut in range(len(parts)))
    return next((Name(_SIDES[word], core, word) for word, core in words if word in _SIDES), None)


def _beginning(text: str) -> Name | None:
    """Read a name that begins with a side's word."""
    parts = text.split()
    words = (("".join(parts[:cut]), " ".join(parts[cut:])) for cut in range(len(parts), 0, -1))
    return next((Name(_SIDES[word], core, word) for word, core in words if word in _SIDES), None)


def _inside(outer: Name, inner: Name) -> Name | None:
    """Return what a folder in a folder is, by both names: a scale or a level in a side's folder, or the other way round."""
    if inner.level is not None and inner.side is None and outer.word.startswith("lr") and inner.level in range(2, 9):
        inner = Name(None, scale=inner.level)  # LR/4
    if (outer.side is None) == (inner.side is None) or (outer.side == "high" and inner.level is not None):
        return None
    side = outer if outer.side is not None else inner
    found = side._replace(scale=outer.scale or inner.scale, level=outer.level or inner.level)
    alike = None in (outer.scale, inner.scale) or outer.scale == inner.scale
    return found if alike and None in (found.scale, found.level) else None


def side_folders(place: Path) -> Iterator[SideFolder]:
    """Yield the folders of a side below `place`, by name: its sub-folders, and those of a scale or a JPEG quality in or around them."""
    for path in folders_in(place):
        outer = read_name(path.name)
        if outer is None:
            continue
        inside = [(child, read_name(child.name)) for child in folders_in(path)]
        both = [(child, found) for child, inner in inside if inner is not None and (found := _inside(outer, inner)) is not None]
        yield from (_side_folder(place, child, found) for child, found in both)
        if outer.side is not None and (has_images(path) or not both):
            yield _side_folder(place, path, outer)


def _side_folder(place: Path, path: Path, name: Name) -> SideFolder:
    below = path.relative_to(place).as_posix()
    return SideFolder(
        path, below, name.side, name.core, name.scale, name.level, name.word in BICUBIC, name.word in NOISY, not has_images(path)
    )


def usual_ways(place: Path) -> list[Way]:
    """Return the layouts of usual names that `place` has: each low-quality folder with its targets, or the targets alone.

    None where no folder is called after a side, or all of them are called after things that have no other side here.
    """
    found = list(side_folders(place))
    direct = has_images(place)
    highs = [one for one in found if one.side == "high" and not one.empty]
    cores = {one.core for one in highs}
    if not direct and "" not in cores and len(cores) > 1:
        names = [one.name for one in highs]
        return [Way(None, None, f"{place} holds several sets ({shorten(names)}): put each into a folder of its own.")]
    core = "" if direct or not cores or "" in cores else min(cores)
    highs = [one for one in highs if one.core == core]
    lows = [one for one in found if one.side == "low" and one.core == core]
    if highs and not lows:  # GT/ beside my_LQ/: which files belong together, their names and sizes say
        lows = [one for one in found if one.side == "low"]
    if not highs and not lows:
        return []
    twice = _twice(place, highs) or _twice(place, lows)
    if twice:
        return [Way(highs[0] if highs else None, None, twice)]
    if not lows:
        return [Way(one, None) for one in highs]
    return [_way(place, low, highs, direct) for low in lows]


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
        return Way(high, low, f"{place} has {low.name}/, but no images are in it ({LOOKED_FOR}).")
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
        f"there are no images directly in {place} ({LOOKED_FOR}), and no folder of targets "
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
    with scan(place) as entries:
        other = sum(1 for _ in entries) - len(folders)
    there += [f"{other} other files"] if other else []
    hint = " Name the folder of one set." if set(below) - {""} else ""
    return f"There is: {'; '.join(there) or 'nothing'}.{hint}"


def _shown(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(f"{name}/" for name in names[:SHOWN]) + more


def has_images(folder: Path) -> bool:
    """Return whether an image lies directly in `folder`."""
    with scan(folder) as entries:
        return any(map(is_image, entries))


def list_side(folder: Path) -> list[Path]:
    """Return the image files directly in `folder`, sorted by name; SuiteError where there are none, or two have one name."""
    paths = list_images(folder)
    check_distinct([(name_of(path), path) for path in paths])
    return paths
