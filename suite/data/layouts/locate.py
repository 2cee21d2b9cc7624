"""Where the user's copy of a set lies: the layouts of its card, tried in order below a folder, and its files, paired by name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from suite.core.errors import Exit, SuiteError
from suite.core.look import look_once
from suite.core.output import note
from suite.core.paths import data_folder
from suite.data.cards import CARD_KINDS, MADE, USUAL_NAMES, Card, Layout, Split, card
from suite.data.images import image_paths, is_image
from suite.data.layouts.mixed import Both, both_sides, without_mixed
from suite.data.layouts.pairing import Pairing, check_distinct, compose, name_images, only_pairs, pair_up, share_targets
from suite.data.layouts.sides import SideFolder, both_there, list_side, usual_ways
from suite.data.layouts.walk import Folders, scan, walk_files
from suite.data.mat_files import block_names
from suite.study.tasks import Kind

LOOKED = 8  # folders named in a message
ENLARGED: tuple[Kind, ...] = ("sr", "real-sr")  # kinds of task whose pairs differ in size


@dataclass(frozen=True)
class FilePair:
    """Files of one image; `hq` is None where the set has no targets, `lq` where the suite makes it.

    `block` counts the images of a .mat file that holds many (suite.data.mat_files.read_block); None for an image file.
    """

    name: str
    hq: Path | None
    lq: Path | None
    block: int | None = None


@dataclass(frozen=True)
class Located:
    """A layout that is there, at one scale or quality; `place` is the set's folder.

    Where the folder of its targets holds low-quality files, too, `mixed` says which; `lq` is that folder then, if some are of the scale.
    Of a layout of usual names (suite.data.layouts.sides), `low` is its low-quality folder, and `problem` says why it cannot be taken.
    """

    card: Card
    layout: Layout
    split: Split
    place: Path
    hq: Path | None
    lq: Path | None
    scale: int = 1
    level: int | None = None
    mixed: Both | None = None
    low: SideFolder | None = None
    problem: str = ""

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """The tasks whose low-quality files it has."""
        if self.problem:
            return CARD_KINDS
        if self.low is not None:  # of a set for super-resolution, LR/ is never the noisy or rainy version of its targets
            return self.low.kinds or (ENLARGED if "sr" in self.card.kinds and not self.card.stands_in else CARD_KINDS)
        if self.mixed is None:
            return self.layout.kinds
        return tuple(kind for kind in CARD_KINDS if (kind in ENLARGED) == (self.scale > 1))

    @property
    def whose(self) -> str:
        """Whose layout it is."""
        if self.mixed is not None:
            return "targets and low-quality files in one folder"
        if not self.layout.usual or self.hq is None:
            return self.layout.of
        high = "targets directly in it" if self.hq == self.place else f"{self.hq.relative_to(self.place).as_posix()}/"
        return f"{high} and {self.low.name}/" if self.low is not None else high

    @property
    def known_scale(self) -> int | None:
        """Return how many times as large the targets are; None where only the sizes of the files say."""
        if self.layout.usual and self.mixed is None:
            return self.low.scale or (1 if self.low.level is not None else None) if self.low is not None else None
        if self.mixed is not None or "{s}" in f"{self.layout.hq}{self.layout.lq}{self.layout.lq_names}":
            return self.scale
        return None if set(self.kinds) & set(ENLARGED) else 1

    @property
    def files(self) -> Path:
        """The folder (or .mat file) of the targets, or of the low-quality images where there are none."""
        return self.hq or self.lq or self.place


_said: set[tuple[str, Split, Kind]] = set()


def file_pairs(
    name: str, *, split: Split, kind: Kind, scale: int = 1, level: int | None = None, root: Path | None = None
) -> list[FilePair]:
    """Return the files of one split of a set for a task of `kind`, in the first layout that is there below `root` (default: $SUITE_DATA).

    Layouts go in the card's order, those that have low-quality files for the task before those of which only the targets serve; if
    `name` is an alias, folders called so go first. Where several are there, standard error says once which is taken. A set of one split
    serves whichever split is asked for; a set that is made of others, and is not there itself, is put together from its parts.
    Raises SuiteError where the set is not there, or files have no partner.
    """
    chosen = card(name)
    wanted = _split_of(chosen, split)
    places = [one for one in locate(chosen, root, scale=scale, level=level, called=name) if one.split == wanted]
    usable = usable_for(kind, places)
    if not usable:
        parts = _from_parts(chosen, kind, scale, level, root)
        if parts is None:
            raise SuiteError(_not_there(chosen, wanted, root, scale, level), exit=Exit.NOT_READY)
        return parts
    _say(chosen, wanted, kind, usable)
    return pairs_for(kind, usable[0], scale)


def usable_for(kind: Kind, places: Sequence[Located]) -> list[Located]:
    """Return the layouts that serve a task of `kind`: those with low-quality files for it, then those of which the targets do.

    SuiteError where one of them cannot be taken, or two usual low-quality folders beside each other are both for the task.
    """
    own = [one for one in places if kind in one.kinds and (one.lq is not None or one.problem)]
    others = [one for one in places if one.hq is not None and one not in own and not (one.problem or _is_mat(one.hq))]
    others.sort(key=lambda one: one.mixed is not None)
    wrong = own[0].problem or (clash(kind, own) if own[0].low is not None else "") if own else ""
    if wrong:
        raise SuiteError(wrong, exit=Exit.NOT_READY)
    return [*own, *others]


def clash(kind: Kind, places: Sequence[Located]) -> str:
    """Say it where two usual low-quality folders of one place are both for tasks of `kind`; empty where none are."""
    lows = [one for one in places if one.low is not None and kind in one.kinds]
    for number, one in enumerate(lows):
        for other in lows[:number]:
            apart = one.lq == other.lq or one.place != other.place or one.low.level != other.low.level
            if not apart and (one.low.scale == other.low.scale or None in (one.low.scale, other.low.scale)):
                return both_there(one.place, other.low, one.low)
    return ""


def pairs_for(kind: Kind, taken: Located, scale: int) -> list[FilePair]:
    """Return the files of a layout for a task of `kind`: with its low-quality files, if they are for it."""
    if taken.mixed is not None:
        return [FilePair(*found) for found in taken.mixed.taken(scale)]
    if taken.lq is not None and kind in taken.kinds:
        return files_of(taken)
    return [FilePair(core, path, None) for core, path in targets_of(taken)]


def _split_of(chosen: Card, split: Split) -> Split:
    if split in chosen.splits:
        return split
    if len(chosen.splits) == 1:
        return next(iter(chosen.splits))
    raise SuiteError(f"{chosen.name} has no split {split!r}; it has {', '.join(chosen.splits)}.", exit=Exit.NOT_READY)


def _from_parts(chosen: Card, kind: Kind, scale: int, level: int | None, root: Path | None) -> list[FilePair] | None:
    """Return the files of every part, named after it; None where the set has no parts, or one is not there."""
    found: list[FilePair] = []
    for part in chosen.parts:
        name, _, split = part.rpartition(":")
        if not any(one.split == split for one in locate(card(name), root, scale=scale, level=level)):
            return None
        pairs = file_pairs(name, split=split, kind=kind, scale=scale, level=level, root=root)
        found += [FilePair(f"{name}/{pair.name}", pair.hq, pair.lq, pair.block) for pair in pairs]
    return found or None


def _say(chosen: Card, split: Split, kind: Kind, usable: Sequence[Located]) -> None:
    """Say which of several copies is taken, once a process."""
    folders = list(dict.fromkeys(str(one.files) for one in usable))
    if len(folders) > 1 and (chosen.name, split, kind) not in _said:
        _said.add((chosen.name, split, kind))
        note(f"{chosen.name} ({split}) was found {len(folders)} times; using {folders[0]}, not {', '.join(folders[1:])}.")


def locate(chosen: Card, root: Path | None = None, *, scale: int = 1, level: int | None = None, called: str | None = None) -> list[Located]:
    """Return every layout of the card that is there below `root`, in order of preference: with images in its targets' folder, or in its
    low-quality folder where it has no targets. `lq` is None where low-quality files of this scale or quality are not there.
    """
    base = root if root is not None else data_folder()
    if base is None:
        return []
    folders = Folders()
    found: dict[tuple[Path, Split, bool, Path | None], Located] = {}
    for one in _candidates(chosen, base, scale, level, folders):
        key = (one.files, one.split, bool(one.layout.hq), one.lq if one.layout.usual else None)
        kept = found.setdefault(key, one)
        if kept.lq is None and one.lq is not None:  # the same targets, in a layout that has the other side too
            found[key] = one
    ordered = list(found.values())
    alias = (called or "").casefold()
    if alias and alias != chosen.name.casefold():
        ordered.sort(key=lambda one: alias not in (part.casefold() for part in one.files.relative_to(base).parts))
    return ordered


def _candidates(chosen: Card, base: Path, scale: int, level: int | None, folders: Folders) -> Iterator[Located]:
    for layout in chosen.ways:
        splits = _splits_of(chosen, layout)
        for pattern in layout.places:
            for name in chosen.names:
                for split, spelled in splits.items():
                    put = partial(_put, name=name, split=spelled, scale=scale, level=level)
                    place = folders.below(base, put(pattern))
                    if place is None:
                        continue
                    if layout.usual:
                        yield from _usual(Located(chosen, layout, split, place, None, None, scale, level))
                        continue
                    hq = folders.below(place, put(layout.hq)) if layout.hq else None
                    lq = folders.below(place, put(layout.lq)) if layout.lq else None
                    one = Located(chosen, layout, split, place, hq, lq, scale, level)
                    if _is_there(one):
                        yield _told_apart(one if lq is None or _has_images(one, lq, layout.lq_names) else replace(one, lq=None))
                if "{set}" not in pattern + layout.hq + layout.lq:
                    break


def _usual(found: Located) -> Iterator[Located]:
    """Yield the layouts of usual names in a place; where none has low-quality files of the scale or quality, the targets alone."""
    targets: dict[Path, Located] = {}
    complete = False
    for way in usual_ways(found.place):
        hq = way.high.path if way.high is not None else None if way.problem else found.place
        one = replace(found, hq=hq, problem=way.problem)
        fits = way.low is not None and way.low.scale in (None, found.scale) and way.low.level in (None, found.level)
        if fits or way.problem:
            complete = True
            yield replace(one, lq=way.low.path if way.low is not None else None, low=way.low)
        else:
            targets.setdefault(hq, one)
    if not complete:
        yield from map(_told_apart, targets.values())


def _put(folder: str, *, name: str, split: str, scale: int, level: int | None) -> str:
    """Put in what stands for the placeholders of a layout's folder."""
    folder = folder.replace("{set}", name).replace("{split}", split).replace("{s}", str(scale))
    return folder.replace("{q}", "none" if level is None else str(level))


def _splits_of(chosen: Card, layout: Layout) -> dict[Split, str]:
    """Return the splits that a layout holds: those that it names, those that numbers tell apart, or the set's first."""
    return layout.splits or dict.fromkeys(chosen.numbers or list(chosen.splits)[:1], "")


def _is_there(one: Located) -> bool:
    layout = one.layout
    if layout.hq and (one.hq is None or not _has_images(one, one.hq, layout.hq_names)):
        return False
    needs_low = bool(layout.lq) and (not layout.hq or not MADE & set(layout.kinds))
    return not needs_low or (one.lq is not None and _has_images(one, one.lq, layout.lq_names))


def _told_apart(one: Located) -> Located:
    """Find the low-quality files that lie among the targets of `one`."""
    if one.lq is not None or one.hq is None or one.hq.is_file() or one.layout.hq_names:
        return one
    both = look_once(("both sides", one.hq, one.layout.deep, _limits(one)), lambda: _find_both(one, one.hq))
    if both is None:
        return one
    return replace(one, mixed=both, lq=one.hq if one.scale in both.scales else None)


def _find_both(one: Located, folder: Path) -> Both | None:
    images = sorted(filter(is_image, _images(folder, deep=True))) if one.layout.deep else image_paths(folder)
    return both_sides(_numbered(one, images), folder)


def _has_images(one: Located, folder: Path, patterns: Sequence[str]) -> bool:
    if folder.is_file():
        return True
    images = _images(folder, one.layout.deep)
    if not patterns and _limits(one) is None:
        return bool(images)
    return bool(name_images(_numbered(one, images), patterns, one.scale, one.level))


def _images(folder: Path, deep: bool) -> Sequence[Path]:
    """Return image and .mat files in the folder, unchecked; SuiteError where it cannot be read. All who ask share the list."""
    return look_once(("images and .mat files", folder, deep), lambda: _list_images(folder, deep))


def _list_images(folder: Path, deep: bool) -> list[Path]:
    if deep:
        return [path for path in walk_files(folder) if is_image(path) or _is_mat(path)]
    images = image_paths(folder)
    with scan(folder) as entries:
        return [*images, *(Path(entry.path) for entry in entries if entry.name.lower().endswith(".mat") and entry.is_file())]


def _limits(one: Located) -> tuple[int, int] | None:
    """Return the numbers of the split's first and last image, where the card tells splits apart by numbers and the folder does not."""
    return None if one.layout.splits else one.card.numbers.get(one.split)


def _numbered(one: Located, paths: Sequence[Path]) -> Sequence[Path]:
    """Return those of the split, by their numbers."""
    limits = _limits(one)
    if limits is None:
        return paths
    numbers = [path.stem.split("x", maxsplit=1)[0] for path in paths]
    return [path for path, one in zip(paths, numbers, strict=True) if one.isdecimal() and limits[0] <= int(one) <= limits[1]]


def targets_of(place: Located) -> list[tuple[str, Path]]:
    """Return (image's name, file) of every target; SuiteError where two files have one name."""
    if place.hq is None:
        return []
    if place.mixed is not None:
        scales = place.mixed.scales
        return [(name, hq) for name, hq, _ in place.mixed.pairing(place.scale if place.scale in scales else scales[0]).pairs]
    return _listed(place, place.hq, place.layout.hq_names)


def files_of(place: Located) -> list[FilePair]:
    """Pair the files of a layout by name; SuiteError lists those that have no partner. A .mat file of blocks gives a pair a block."""
    if place.problem:
        raise SuiteError(place.problem, exit=Exit.NOT_READY)
    if place.lq is not None and place.lq.is_file():
        return [FilePair(name, place.hq, place.lq, number) for number, name in enumerate(block_names(place.lq))]
    if place.mixed is not None:
        return [FilePair(*found) for found in place.mixed.only(place.scale)]
    if place.hq is None:
        return [FilePair(name, None, path) for name, path in _listed(place, place.lq, place.layout.lq_names)]
    if place.lq is None:
        return [FilePair(name, path, None) for name, path in targets_of(place)]
    return [FilePair(name, hq, lq) for name, hq, lq in only_pairs(pairing_of(place))]


def pairing_of(place: Located) -> Pairing:
    """Return the files of both sides of a layout that has both, and what has no partner."""
    if place.problem:
        raise SuiteError(place.problem, exit=Exit.NOT_READY)
    if place.mixed is not None:
        return place.mixed.pairing(place.scale)
    high = [path for _, path in targets_of(place)]
    low = [path for _, path in _listed(place, place.lq, place.layout.lq_names)]
    if place.layout.many:
        return share_targets(high, low)
    names = {"hq_names": place.layout.hq_names, "lq_names": place.layout.lq_names}
    found = pair_up(high, low, scale=place.scale, level=place.level, **names)
    return found if place.layout.hq_names else without_mixed(found, high)


def _listed(place: Located, folder: Path, patterns: Sequence[str]) -> list[tuple[str, Path]]:
    if place.layout.deep:
        paths = sorted(_images(folder, deep=True))
        named = [(compose(path.relative_to(folder).with_suffix("").as_posix()), path) for path in paths]
        check_distinct(named)
        return named
    mats = [] if place.layout.hq else sorted(filter(_is_mat, _images(folder, deep=False)))
    images = mats or list_side(folder)
    return name_images(_numbered(place, images), patterns, place.scale, place.level)


def _is_mat(path: Path) -> bool:
    return path.suffix.lower() == ".mat"


def list_folders_looked_for(chosen: Card, split: Split, scale: int, level: int | None) -> list[str]:
    """Return the folders below the data folder in which the split is looked for, by the set's own name."""
    found = []
    for layout in chosen.ways:
        splits = _splits_of(chosen, layout)
        if split in splits:
            put = partial(_put, name=chosen.name, split=splits[split], scale=scale, level=level)
            folder = USUAL_NAMES.get(layout.hq, (layout.hq,))[0] or layout.lq
            found += [Path(put(f"{place}/{folder}")).as_posix() for place in layout.places]
    return list(dict.fromkeys(found))


def _not_there(chosen: Card, split: Split, root: Path | None, scale: int, level: int | None) -> str:
    base = root if root is not None else data_folder()
    if base is None:
        return (
            f"{chosen.name} is looked for in $SUITE_DATA, which is not set. "
            f"`python -m suite data show {chosen.name}` says in which folders of it."
        )
    tried = list_folders_looked_for(chosen, split, scale, level)
    more = f" and {len(tried) - LOOKED} more" if len(tried) > LOOKED else ""
    count = f", {chosen.splits[split]} images" if chosen.splits[split] else ""
    return (
        f"{chosen.name} ({split}{count}) is not in {base}; looked for {', '.join(tried[:LOOKED])}{more}. "
        f"`python -m suite data show {chosen.name}` says where it comes from and how it may lie."
    )
