"""A folder of the user's own as a data set: one finder of its layouts, for every verb that is given a folder.

It holds its images directly, or in folders called after their side (sides.py: GT/ and LQ/, HR/ and LR_bicubic/X2/, sharp/ and blur/), or
both sides of its pairs together (mixed.py), or it lies as a card's set does. What `data check` finds here is what `evaluate` measures.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from models.lookup import UnknownName
from suite.core.errors import Exit, SuiteError
from suite.core.output import note
from suite.data.cards import CARD_KINDS, Card, Layout, Split, card, shared_layouts
from suite.data.images import list_images
from suite.data.layouts.locate import FilePair, Located, locate, pairs_for, targets_of, usable_for
from suite.data.layouts.pairing import pair_up, shorten
from suite.data.layouts.sides import has_images, say_missing, usual_ways
from suite.data.layouts.walk import folders_in
from suite.study.tasks import Kind

SCALES = tuple(range(2, 10))  # of folders called X2 and the like
_said: set[Path] = set()


def stand_in(folder: Path) -> Card:
    """Make a card for a folder that is the set itself: every layout, without the folders above it, those of usual names first.

    If it is called like a set, the card's own layouts and what the card knows of the images go with it.
    """
    name = folder.absolute().name
    known = _card_called(name)
    shared = dict(shared_layouts())
    here: dict[tuple[str, str], Layout] = {}
    for way in (shared.pop("usual"), *(known.ways if known else shared.values()), shared["plain"]):
        hq, lq = (path.replace("{set}", name) for path in (way.hq, way.lq))
        whose = "images alone" if (hq, lq) == (".", "") else way.of
        here.setdefault((hq, lq), way.model_copy(update={"places": (".",), "hq": hq, "lq": lq, "of": whose}))
    if known:
        return known.model_copy(update={"layout": tuple(here.values()), "layouts": (), "parts": (), "scales": known.scales or SCALES})
    held = {"schema": 2, "name": "folder", "title": "", "what": "", "origin": "", "licence": "", "kinds": CARD_KINDS, "splits": {"test": 0}}
    kept = tuple(way.model_copy(update={"splits": {}}) for way in here.values() if not way.splits)
    return Card.model_validate({**held, "layouts": ("plain",)}).model_copy(
        update={"name": name, "layout": kept, "layouts": (), "scales": SCALES}
    )


def _card_called(name: str) -> Card | None:
    try:
        return card(name)
    except UnknownName:
        return None


def find_levels(folder: Path) -> tuple[int, ...]:
    """Return the JPEG qualities, or strengths of noise, that a folder has low-quality files for."""
    return tuple(sorted({way.low.level for way in usual_ways(folder) if way.low is not None and way.low.level is not None}))


def pairs_in(folder: Path, *, split: Split, kind: Kind, scale: int = 1, level: int | None = None) -> list[FilePair]:
    """Return the files of a folder for a task of `kind`: with low-quality files of its own, or the targets alone where there are none.

    A folder is one split, whichever is asked for, unless it is called like a set whose splits have folders in it. Raises SuiteError where
    no images are found, files have no partner, low-quality files are there and not for this scale, or what is meant is not clear.
    """
    found = _found(folder, split, scale, level)
    usable = usable_for(kind, found)
    if not usable:
        raise SuiteError(say_missing(folder), exit=Exit.NOT_READY)
    taken = usable[0]
    _check_scale(folder, taken, kind, scale, level)
    _say_left_out(folder, taken)
    return pairs_for(kind, taken, scale)


def targets_in(folder: Path, split: Split) -> list[tuple[str, Path]]:
    """Return (image's name, file) of every target of a folder, whatever the task is that they are for; SuiteError as `pairs_in`."""
    found = [one for one in _found(folder, split, 1, None) if one.hq is not None or one.problem]
    if not found or found[0].problem:
        raise SuiteError(found[0].problem if found else say_missing(folder), exit=Exit.NOT_READY)
    return targets_of(found[0])


def _found(folder: Path, split: Split, scale: int, level: int | None) -> list[Located]:
    """Return the layouts that are there, of the split where they tell splits apart by folders; nothing else of a card counts here."""
    chosen = stand_in(folder).model_copy(update={"numbers": {}, "origin": ""})
    found = locate(chosen, folder, scale=scale, level=level)
    wanted = split if split in chosen.splits or "validation" not in chosen.splits else "validation"
    return [one for one in found if not one.layout.splits or one.split == wanted]


def _check_scale(folder: Path, taken: Located, kind: Kind, scale: int, level: int | None) -> None:
    """Raise SuiteError where targets alone would serve, though low-quality files for such tasks are there, of another scale or quality."""
    if not taken.layout.usual or taken.low is not None:
        return
    lows = [way.low for way in usual_ways(folder) if way.low is not None and way.low.kinds is not None and kind in way.low.kinds]
    if lows:
        asked = f"X{scale}" if level is None or kind == "sr" else str(level)
        raise SuiteError(
            f"{folder} has {', '.join(f'{low.name}/' for low in lows)}, but no {asked}. Add it, or name the folder that holds the targets "
            "alone: the task's degradation then makes the low-quality images.",
            exit=Exit.NOT_READY,
        )


def left_out_of(folder: Path, taken: Located) -> str:
    """Say which images lie directly in `folder`, or in folders of it, beside those that are taken; empty where none do."""
    if taken.problem or taken.layout.deep:
        return ""
    sides = [one.path for way in usual_ways(folder) for one in (way.high, way.low) if one is not None and taken.layout.usual]
    used = {taken.hq, taken.lq, *sides, *(path.parent for path in sides)}
    others = [f"{path.name}/" for path in folders_in(folder) if path not in used and has_images(path)]
    if folder not in (taken.hq, taken.lq) and has_images(folder):
        others = [path.name for path in list_images(folder)] + others
    where = f"the targets are taken from {taken.hq.name}/" if taken.hq not in (None, folder) else "the images directly in it are taken"
    return f"{where}; other images in {folder} are left out ({shorten(others)})." if others else ""


def targets_below(base: Path, paths: Iterable[Path]) -> set[Path]:
    """Return those of `paths`, image files below `base`, that are targets of others by the folders in which both lie, and by their names.

    They are so where every low-quality file of a folder has its target in the folder beside it.
    """
    held: dict[Path, list[Path]] = defaultdict(list)
    for path in paths:
        held[path.parent].append(path)
    places = {place for folder in held for place in (folder, *list(folder.parents)[:2]) if place == base or base in place.parents}
    found: set[Path] = set()
    for place in places:
        for way in usual_ways(place):
            high = held.get(place if way.high is None else way.high.path)
            low = held.get(way.low.path) if way.low is not None and not way.problem else None
            pairing = pair_up(high, low, scale=way.low.scale or 1) if high and low else None
            if pairing is not None and pairing.pairs and not pairing.lonely_others and not pairing.doubtful:
                found |= {pair.target for pair in pairing.pairs}
    return found


def _say_left_out(folder: Path, taken: Located) -> None:
    said = "" if folder in _said else left_out_of(folder, taken)
    if said:
        _said.add(folder)
        note(said)
