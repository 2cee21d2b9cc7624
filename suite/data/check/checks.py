"""What `python -m suite data check` looks at: one report for every copy of a set that is there, or for a folder.

Counts against the card, files paired by name, sizes, MATLAB's rule, files that are odd or cannot be read, and pixels that the card knows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from models.lookup import UnknownName
from suite.core.errors import Exit, SuiteError
from suite.core.parallel import show_progress
from suite.data.cards import CARD_KINDS, Card, Layout, Split, card, shared_layouts
from suite.data.check.inspection import Facts, Remembered
from suite.data.check.traps import card_of, warn_of_faulty_copy, warn_of_grey, warn_of_rules
from suite.data.locate import FilePair, Located, files_of, locate, pairing_of, targets_of
from suite.data.mat_files import block_names, describe_mat
from suite.data.pairing import shorten
from suite.data.photos import photos_folder
from suite.data.survey import survey

CHECKED_SCALES = (2, 3, 4, 8)
CHECKED_QUALITIES = (10, 20, 30, 40)
QUICK = 3  # images of a folder that --quick looks at
TWELVE, FEW_CUT = 12, 5  # targets cut for every scale at once, and how many must be for that to be told from chance


@dataclass
class Report:
    """What was found of one copy of a set, or of one folder."""

    name: str
    split: Split
    layout: str
    folder: Path
    expected: int = 0  # 0: not known
    images: int = 0
    wrong: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    targets: dict[Path, Facts] = field(default_factory=dict)
    known: dict[str, str] = field(default_factory=dict)  # by another set's name: what the two share, as the card says
    taken: bool = True  # False: another copy goes first


def find_copies(chosen: Card, root: Path | None) -> list[list[Located]]:
    """Return every copy of the set that is there, in order of preference: its layout at each scale and quality for which it is there.

    Images that several layouts find are one copy, of the first that has low-quality files.
    """
    steps = [(scale, None) for scale in chosen.scales or CHECKED_SCALES] + [(1, level) for level in CHECKED_QUALITIES]
    found: dict[tuple[str, Path, Split], list[Located]] = {}
    for scale, level in steps:
        for one in locate(chosen, root, scale=scale, level=level):
            found.setdefault((one.whose + one.layout.hq + one.layout.lq, one.place, one.split), []).append(one)
    order = {id(way): number for number, way in enumerate(chosen.ways)}
    groups = sorted(found.values(), key=lambda group: order[id(group[0].layout)])
    seen: set[tuple[Path, Split]] = set()
    kept = []
    for group in sorted(groups, key=lambda group: all(one.lq is None for one in group)):
        if not {(one.files, one.split) for one in group} <= seen:
            kept.append(group)
        seen |= {(one.files, one.split) for one in group}
    return sorted(kept, key=groups.index)


def report_card(chosen: Card, root: Path | None, known: Remembered, *, quick: bool = False) -> Iterator[Report]:
    """Yield a report for every copy; the first of a split is the one that tasks take."""
    if chosen.package:
        yield from _of_package(chosen, known)
        return
    taken: set[Split] = set()
    for group in find_copies(chosen, root):
        report = _report(group, known, quick)
        report.taken = report.split not in taken
        taken.add(report.split)
        yield report


def _of_package(chosen: Card, known: Remembered) -> Iterator[Report]:
    """Yield a report for every split of a set that a package ships, against the pixels that the card knows."""
    folder = photos_folder()
    for split, expected in chosen.splits.items():
        files = [folder / image.file for image in chosen.image if image.split == split]
        report = Report(chosen.name, split, f"{chosen.package}'s package", folder, expected, len(files))
        report.targets = dict(known.facts(files))
        report.wrong += [fact.problem for fact in report.targets.values() if fact.problem]
        _versions(report, chosen, {"hq": report.targets})
        yield report


def report_folder(folder: Path, known: Remembered, *, quick: bool = False) -> list[Report]:
    """Report on a folder of the user's, in whichever layout it is; if it is called like a set, it is compared with its card."""
    stand_in = _stand_in(folder)
    groups = find_copies(stand_in, folder)
    if not groups:
        raise SuiteError(
            f"{folder} has no images in any layout that is known (directly, or in HR/, target/, LR_bicubic/X2/ and so on). "
            f"Data sets below it are checked by `python -m suite data check --root {folder}`.",
            exit=Exit.NOT_READY,
        )
    reports = [_report(group, known, quick) for group in groups]
    for number, report in enumerate(reports):
        report.taken = number == 0
    return reports


def _stand_in(folder: Path) -> Card:
    """Make a card for a folder that is the set itself: every layout, without the folders above it."""
    try:
        known = card(folder.absolute().name)
    except UnknownName:
        known = None
    ways = known.ways if known else tuple(shared_layouts().values())
    here: dict[str, Layout] = {}
    for way in ways:
        hq, lq = (path.replace("{set}", folder.absolute().name) for path in (way.hq, way.lq))
        whose = "images alone" if (hq, lq) == (".", "") else way.of
        here.setdefault(f"{hq} {lq}", way.model_copy(update={"places": (".",), "hq": hq, "lq": lq, "of": whose}))
    if known:
        return known.model_copy(update={"layout": tuple(here.values()), "layouts": (), "parts": ()})
    held = {"schema": 2, "name": "folder", "title": "", "what": "", "origin": "", "licence": "", "kinds": CARD_KINDS, "splits": {"test": 0}}
    stand_in = Card.model_validate({**held, "layouts": ("plain",)})
    kept = tuple(way.model_copy(update={"splits": {}}) for way in here.values() if not way.splits)
    return stand_in.model_copy(update={"name": folder.absolute().name, "layout": kept, "layouts": ()})


def _report(group: Sequence[Located], known: Remembered, quick: bool) -> Report:
    """Look at one copy, at every scale and quality that it has."""
    first = group[0]
    chosen = first.card
    report = Report(chosen.name, first.split, first.whose, first.files, chosen.splits[first.split])
    report.known = {one.set: one.what for one in chosen.shares}
    counts: dict[Path, int] = {}
    looked: set[Path] = set()
    done: set[tuple[Path | None, Path | None]] = set()
    for one in group:
        if (one.hq, one.lq) in done or (one.lq is None and any(other.hq == one.hq and other.lq is not None for other in group)):
            continue
        done.add((one.hq, one.lq))
        try:
            pairs = _pairs(report, one)
        except SuiteError as error:
            report.wrong.append(str(error))
            continue
        counts[one.files] = len(pairs) if one.hq is None or one.layout.many or one.files.is_file() else len(targets_of(one))
        if not one.files.is_file():
            looked |= _look(report, one, pairs, known, quick)
    _look_beside(report, looked)
    report.images = next(iter(counts.values()), 0)
    for folder, count in counts.items():
        _count(report, chosen, count, folder if len(counts) > 1 else None)
    return report


def _pairs(report: Report, one: Located) -> list[FilePair]:
    """Return the pairs of one layout, and note what has no partner."""
    if one.lq is None or one.hq is None or one.lq.is_file():
        pairs = files_of(one)
        if one.files.is_file():
            report.notes += [f"{path.name}: {describe_mat(path).statement}" for path in (one.hq, one.lq) if path is not None]
            if one.hq is not None and one.lq is not None and block_names(one.hq) != block_names(one.lq):
                report.wrong.append(f"{one.hq.name} and {one.lq.name} hold different numbers of blocks")
        return pairs
    pairing = pairing_of(one)
    report.wrong += pairing.problems()
    return [FilePair(name, hq, lq) for name, hq, lq in pairing.pairs]


def _count(report: Report, chosen: Card, count: int, folder: Path | None) -> None:
    text = f"{count} images{f' in {folder}' if folder else ''}, where the set has {report.expected}"
    why = chosen.also.get(str(count))
    if report.expected not in (0, count):
        report.notes.append(f"{text}: {why}") if why else report.wrong.append(text)


def _look_beside(report: Report, looked: Iterable[Path]) -> None:
    """Report what else lies in the folders of the files that were looked at."""
    try:
        found = survey(looked)
    except SuiteError as error:
        report.wrong.append(str(error))
        return
    report.wrong += found.faults
    report.notes += found.left_out


def _look(report: Report, one: Located, pairs: Sequence[FilePair], known: Remembered, quick: bool) -> set[Path]:
    """Decode the files of one layout and compare both sides; return the files, those of which nothing was decoded included."""
    if any(path.suffix.lower() == ".mat" for pair in pairs[:1] for path in (pair.lq,) if path is not None):
        _mats(report, [pair.lq for pair in pairs])
        return set()
    high = [path for _, path in targets_of(one)]
    low = [pair.lq for pair in pairs if pair.lq is not None]
    chosen = [*high[:QUICK], *low[:QUICK]] if quick else [*high, *low]
    facts = dict(show_progress(known.facts(chosen), len(chosen), f"files of {report.name} read"))
    report.wrong += [fact.problem for fact in facts.values() if fact.problem]
    remarks: dict[str, list[str]] = {}
    for path, fact in facts.items():
        for remark in fact.remarks:
            remarks.setdefault(remark, []).append(path.name)
    report.notes += [f"{len(names)} files ({shorten(names)}): {remark}" for remark, names in remarks.items()]
    sides = {"hq": {path: facts[path] for path in high if path in facts}, "lq": {path: facts[path] for path in low if path in facts}}
    report.targets.update(sides["hq"])
    _versions(report, one.card, sides)
    _traps(report, one.card, sides["hq"])
    _twice(report)
    faulty = {path for path, fact in facts.items() if fact.problem}
    sound = [pair for pair in pairs if pair.hq is not None and pair.lq is not None and not {pair.hq, pair.lq} & faulty]
    if one.lq is None or not sound:
        return {*high, *low}
    _colours(report, sound, facts)
    if "sr" in one.kinds and one.scale > 1 and not one.layout.whole:
        _shrunk(report, one, sound[:QUICK] if quick else sound, known)
    elif "real-sr" not in one.kinds:
        other = [pair.name for pair in sound if pair.hq in facts and pair.lq in facts and _size(facts[pair.hq]) != _size(facts[pair.lq])]
        if other:
            report.wrong.append(f"{len(other)} pairs of which the two images differ in size ({shorten(other)})")
    return {*high, *low}


def _colours(report: Report, pairs: Sequence[FilePair], facts: Mapping[Path, Facts]) -> None:
    """Report pairs of which one image is a grey file and the other is colour: somewhere on the way its colour was lost."""
    both = [(pair.name, {facts[path].stored for path in (pair.hq, pair.lq) if path in facts}) for pair in pairs]
    lost = [name for name, stored in both if stored == {"grey", "colour"}]
    if lost:
        report.wrong.append(f"{len(lost)} pairs of which one image is grey and the other colour ({shorten(lost)})")


def _traps(report: Report, chosen: Card, targets: dict[Path, Facts]) -> None:
    """Report what the card warns of and the targets show."""
    named = chosen if chosen.faulty or chosen.grey else card_of(report.folder)
    if named is None:
        return
    report.wrong += warn_of_faulty_copy(named, [_size(fact) for fact in targets.values() if fact.height])
    report.notes += warn_of_grey(named, {path.name: fact.stored for path, fact in targets.items()})


def _twice(report: Report) -> None:
    """Report targets of which the pixels are the same: they count twice in every mean."""
    by_pixels: dict[str, Path] = {}
    twice = []
    for path, fact in report.targets.items():
        first = by_pixels.setdefault(fact.pixels, path) if fact.pixels else path
        if first != path and first.parent == path.parent:
            twice.append(f"{first.name} and {path.name}")
    text = f"{len(twice)} targets are in it twice ({shorten(twice)})"
    if twice and text not in report.notes:
        report.notes.append(text)


def _size(facts: Facts) -> tuple[int, int]:
    return facts.height, facts.width


def _mats(report: Report, paths: Sequence[Path]) -> None:
    try:
        report.notes.append(f"{paths[0].name}: {describe_mat(paths[0]).statement}")
    except SuiteError as error:
        report.wrong.append(str(error))


def _versions(report: Report, chosen: Card, sides: dict[str, dict[Path, Facts]]) -> None:
    """Report which of the card's versions the pixels are; standard sets exist in several."""
    for side, facts in sides.items():
        versions = [version for version in chosen.version if version.side == side]
        read = {path: fact.pixels for path, fact in facts.items() if fact.pixels}
        if not versions or not read:
            continue
        found = {version.of: [path.name for path, pixels in read.items() if pixels not in version.pixels.values()] for version in versions}
        nearest = min(found, key=lambda of: len(found[of]))
        what = "targets" if side == "hq" else "low-quality images"
        if not found[nearest]:
            text = f"{what}: pixels are those that the card knows ({nearest})"
        elif len(found[nearest]) == len(read):
            text = f"{what}: non-standard data, no file's pixels are among those that the card knows ({'; '.join(found)})"
        else:
            text = (
                f"{what}: non-standard data, {len(found[nearest])} of {len(read)} files ({shorten(found[nearest])}) differ from {nearest}"
            )
        if text not in report.notes:
            report.notes.append(text)


def _shrunk(report: Report, one: Located, pairs: Sequence[FilePair], known: Remembered) -> None:
    """Say by which rule the low-quality images were made, and whether targets were cut for one scale."""
    title = f"x{one.scale} images of {report.name} compared"
    found = list(zip(pairs, show_progress(known.shrunk(pairs, one.scale), len(pairs), title), strict=True))
    for problem in dict.fromkeys(shrunk.problem for _, shrunk in found if shrunk.problem):
        names = [pair.lq.name for pair, shrunk in found if shrunk.problem == problem]
        report.wrong.append(f"x{one.scale}, {shorten(names)}: {problem}")
    for rule in dict.fromkeys(shrunk.rule for _, shrunk in found if shrunk.exact):
        count = sum(shrunk.exact and shrunk.rule == rule for _, shrunk in found)
        report.notes.append(f"x{one.scale}, {count} of {len(found)} low-quality images made with {rule}")
    report.wrong += warn_of_rules(found, one.scale, len(found))
    sides = [side for fact in report.targets.values() for side in _size(fact) if fact.height]
    text = (
        f"all sides of the targets are multiples of {TWELVE}: cut for several scales at once, where papers cut for each alone "
        "(0.03 to 0.07 dB, github.com/XPixelGroup/HAT/issues/49)"
    )
    natural = one.card.multiple % TWELVE == 0
    if len(sides) >= 2 * FEW_CUT and all(side % TWELVE == 0 for side in sides) and not natural and text not in report.notes:
        report.notes.append(text)
