"""Where the user's copy of a set lies: the layouts of its card, tried in order below a folder, and its files, paired by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from suite.data.cards import Card, Kind, Layout, card
from suite.data.images import list_images
from suite.data.photos import Split
from suite.errors import Exit, SuiteError
from suite.paths import data_folder


@dataclass(frozen=True)
class FilePair:
    """Files of one image; `hq` is None where the set has no targets, `lq` where the suite makes it."""

    name: str
    hq: Path | None
    lq: Path | None


@dataclass(frozen=True)
class Located:
    """A layout that is there."""

    card: Card
    layout: Layout
    hq: Path | None
    lq: Path | None


def file_pairs(
    name: str, *, split: Split, kind: Kind, scale: int = 1, level: int | None = None, root: Path | None = None
) -> list[FilePair]:
    """The files of one split of a set for a task of `kind`, in the first layout that is there below `root` (default: $SUITE_DATA).

    A layout of the task's own kind is taken before those of others, whose targets serve too; low-quality files are those of the kind alone.
    A set of one split serves whichever split is asked for. Raises SuiteError where the set is not there, or files have no partner.
    """
    chosen = card(name)
    wanted = _split_of(chosen, split)
    places = [one for one in locate(chosen, root, scale=scale, level=level) if one.layout.split == wanted]
    own = [one for one in places if one.layout.kind == kind]
    others = [one for one in places if one.layout.kind != kind and one.hq is not None]
    if not own and not others:
        raise SuiteError(_not_there(chosen, wanted, root, scale, level), exit=Exit.NOT_READY)
    if own:
        return files_of(own[0], scale)
    return [FilePair(pair.name, pair.hq, None) for pair in files_of(others[0], scale)]


def _split_of(chosen: Card, split: Split) -> Split:
    if split in chosen.splits:
        return split
    if len(chosen.splits) == 1:
        return next(iter(chosen.splits))
    raise SuiteError(f"{chosen.name} has no split {split!r}; it has {', '.join(chosen.splits)}.", exit=Exit.NOT_READY)


def locate(chosen: Card, root: Path | None = None, *, scale: int = 1, level: int | None = None) -> list[Located]:
    """Every layout of the card that is there: its targets' folder, or its low-quality folder where it has no targets."""
    base = root if root is not None else data_folder()
    if base is None:
        return []
    found = []
    for layout in chosen.layouts:
        hq, lq = (_folder(base, _filled(pattern, scale, level)) for pattern in (layout.hq, layout.lq))
        made_by_task = layout.kind in ("sr", "denoise", "jpeg")
        there = hq is not None if layout.hq else lq is not None
        if there and (lq is not None or not layout.lq or made_by_task):
            one = Located(chosen, layout, hq, lq)
            if any(_sides(one, scale)):
                found.append(one)
    return found


def files_of(place: Located, scale: int) -> list[FilePair]:
    """The files of a layout, paired by name; SuiteError lists those that have no partner."""
    from suite.data.sets import match

    high, low = _sides(place, scale)
    if place.hq is None:
        return [FilePair(path.stem, None, path) for path in low]
    if not low:
        return [FilePair(path.stem, path, None) for path in high]
    return [FilePair(name, hq, lq) for name, hq, lq in match(high, low, scale)]


def _sides(place: Located, scale: int) -> tuple[Sequence[Path], Sequence[Path]]:
    """Files of both sides; in SelfExSR's layout they share a folder and differ in their endings."""
    high = _images(place.hq)
    if place.hq is not None and place.hq == place.lq:
        ends = [f"_SRF_{scale}_{side}" for side in ("HR", "LR")]
        both = [[path for path in high if path.stem.endswith(end)] for end in ends]
        return both[0], both[1]
    return high, _images(place.lq)


def _images(folder: Path | None) -> Sequence[Path]:
    if folder is None or not any(folder.iterdir()):
        return []
    try:
        return list_images(folder)
    except SuiteError:  # a folder without images is no layout
        return []


def _filled(pattern: str, scale: int, level: int | None) -> str:
    return pattern.replace("{s}", str(scale)).replace("{q}", "none" if level is None else str(level))


def _folder(base: Path, relative: str) -> Path | None:
    """The folder below `base`, whatever the case of its parts; None where it is not there."""
    place = base
    for part in Path(relative).parts:
        if not place.is_dir():
            return None
        exact = place / part
        if exact.is_dir():
            place = exact
            continue
        like = sorted(one for one in place.iterdir() if one.name.casefold() == part.casefold() and one.is_dir())
        if not like:
            return None
        place = like[0]
    return place if relative and place.is_dir() else None


def _not_there(chosen: Card, split: Split, root: Path | None, scale: int, level: int | None) -> str:
    base = root if root is not None else data_folder()
    if base is None:
        return (
            f"{chosen.name} is looked for in $SUITE_DATA, which is not set. "
            f"`python -m suite data show {chosen.name}` says in which folders of it."
        )
    tried = [_filled(one.hq or one.lq, scale, level) for one in chosen.layouts if one.split == split]
    return (
        f"{chosen.name} ({split}, {chosen.splits[split]} images) is not in {base}; looked for {', '.join(dict.fromkeys(tried))}. "
        f"`python -m suite data show {chosen.name}` says where it comes from."
    )
