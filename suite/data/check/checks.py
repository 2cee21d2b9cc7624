"""What `python -m suite data check` looks at: one report for every copy of a set that is there, or for a folder.

Counts against the card, files paired by name, sizes, MATLAB's rule, files that are odd or cannot be read, and pixels that the card knows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from suite.core.errors import Exit, SuiteError
from suite.core.parallel import show_progress
from suite.core.text import count_of
from suite.data.cards import CARD_KINDS, Card, Split
from suite.data.check.inspection import Facts, Remembered
from suite.data.check.traps import card_of, warn_of_faulty_copy, warn_of_grey, warn_of_rules
from suite.data.layouts.folders import find_levels, left_out_of, stand_in
from suite.data.layouts.locate import FilePair, Located, clash, files_of, locate, pairing_of, targets_of
from suite.data.layouts.pairing import shorten
from suite.data.layouts.sides import say_missing
from suite.data.layouts.sizes import Size, SizedPair, judge, say_scale, show
from suite.data.layouts.survey import survey
from suite.data.mat_files import block_names, describe_mat
from suite.data.photos import photos_folder
from suite.study.protocols import SSIM_WINDOW
from suite.study.tasks import TASKS

CHECKED_SCALES = (2, 3, 4, 8)
CHECKED_QUALITIES = (10, 20, 30, 40)
QUICK = 3  # images of a folder that --quick looks at
SCALES_OF_TASKS = frozenset(row.scale for row in TASKS.values())
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
    compared: dict[int, int] = field(default_factory=dict)  # by scale (1: one size): pairs of which the sizes were compared
    targets: dict[Path, Facts] = field(default_factory=dict)
    known: dict[str, str] = field(default_factory=dict)  # by another set's name: what the two share, as the card says
    taken: bool = True  # False: another copy goes first

    @property
    def statement(self) -> str:
        """Return what was compared, in words."""
        if self.compared:
            return (
                " and ".join(f"{count_of(count, 'pair')} of {say_scale(scale)}" for scale, count in sorted(self.compared.items()))
                + " compared"
            )
        return "targets alone, no pairs to compare" if self.targets else "counted, and nothing compared"


def find_copies(chosen: Card, root: Path | None, levels: Sequence[int] = ()) -> list[list[Located]]:
    """Return every copy of the set that is there, in order of preference: its layout at each scale and quality for which it is there.

    Images that several layouts find are one copy, of the first that has low-quality files. `levels` are qualities to look for besides.
    """
    steps = [(scale, None) for scale in chosen.scales or CHECKED_SCALES] + [(1, level) for level in (*CHECKED_QUALITIES, *levels)]
    found: dict[tuple[str, Path, Split], list[Located]] = {}
    for scale, level in steps:
        for one in locate(chosen, root, scale=scale, level=level):
            whose = "" if one.layout.usual else one.whose
            found.setdefault((whose + one.layout.hq + one.layout.lq, one.place, one.split), []).append(one)
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
    groups = find_copies(stand_in(folder), folder, find_levels(folder))
    if not groups:
        raise SuiteError(
            f"{say_missing(folder)} Data sets below it are checked by `python -m suite data check --root {folder}`.", exit=Exit.NOT_READY
        )
    if groups[0][0].layout.usual:  # its images are meant, not others that lie beside its folders
        groups = groups[:1]
    reports = [_report(group, known, quick) for group in groups]
    for number, report in enumerate(reports):
        report.taken = number == 0
    left_out = left_out_of(folder, groups[0][0])
    reports[0].notes += [left_out] if left_out else []
    return reports


def _report(group: Sequence[Located], known: Remembered, quick: bool) -> Report:
    """Look at one copy, at every scale and quality that it has."""
    first = next((one for one in group if one.lq is not None), group[0])
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
            report.wrong += [str(error)] if str(error) not in report.wrong else []
            continue
        counts[one.files] = len(pairs) if one.hq is None or one.layout.many or one.files.is_file() else len(targets_of(one))
        if not one.files.is_file():
            looked |= _look(report, one, pairs, known, quick)
    _look_beside(report, looked)
    clashes = dict.fromkeys(text for kind in CARD_KINDS if (text := clash(kind, group)))
    report.wrong += [text for text in clashes if text not in report.wrong]
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
    text = f"{count_of(count, 'image')}{f' in {folder}' if folder else ''}, where the set has {report.expected}"
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
    report.notes += [f"{count_of(len(names), 'file')} ({shorten(names)}): {remark}" for remark, names in remarks.items()]
    sides = {"hq": {path: facts[path] for path in high if path in facts}, "lq": {path: facts[path] for path in low if path in facts}}
    report.targets.update(sides["hq"])
    _versions(report, one.card, sides)
    _traps(report, one.card, sides["hq"])
    _twice(report)
    faulty = {path for path, fact in facts.items() if fact.problem}
    sound = [pair for pair in pairs if pair.hq is not None and pair.lq is not None and not {pair.hq, pair.lq} & faulty]
    if one.lq is None:
        _warn_of_tiny(report, {path.name: _size(fact) for path, fact in sides["hq"].items()}, 1)
    if one.lq is None or not sound:
        return {*high, *low}
    looked = [pair for pair in sound if pair.hq in facts and pair.lq in facts]
    _colours(report, one, looked, facts)
    _compare(report, one, [SizedPair(pair.name, _size(facts[pair.hq]), _size(facts[pair.lq])) for pair in looked], looked, known)
    return {*high, *low}


def _colours(report: Report, one: Located, pairs: Sequence[FilePair], facts: Mapping[Path, Facts]) -> None:
    """Report pairs of which one image is a grey file and the other is in colour."""
    stored = {pair.name: (facts[pair.hq].stored, facts[pair.lq].stored) for pair in pairs}
    coloured = [name for name, both in stored.items() if both == ("grey", "colour")]
    if coloured:
        targets = count_of(
            len(coloured), "target is a grey file, and its low-quality image", "targets are grey files, and their low-quality images"
        )
        text = f"{targets} in colour ({shorten(coloured)})"
        wrong = report.notes if one.known_scale not in (None, 1) else report.wrong
        wrong.append(f"{text}: protocols that compare a grey file's plane, as those of rain and JPEG do, refuse them")
    lost = [name for name, both in stored.items() if both == ("colour", "grey")]
    if lost:
        report.wrong.append(f"{count_of(len(lost), 'pair')} of which one image is grey and the other colour ({shorten(lost)})")


def _compare(report: Report, one: Located, sizes: Sequence[SizedPair], pairs: Sequence[FilePair], known: Remembered) -> None:
    """Give every pair a verdict on its sizes, and enlarged ones one on the rule that made their low-quality images."""
    scale, wrong = judge(sizes, one.known_scale)
    report.compared[scale] = report.compared.get(scale, 0) + len(pairs)
    report.wrong += wrong
    _warn_of_tiny(report, {size.name: size.high for size in sizes}, scale)
    if scale not in SCALES_OF_TASKS:
        report.notes.append(f"no task is of scale x{scale} (`python -m suite list tasks`)")
    fitting = [pair for pair, size in zip(pairs, sizes, strict=True) if size.fits(scale)]
    if scale > 1 and "sr" in one.kinds and fitting:
        _shrunk(report, one, scale, fitting, known)


def _warn_of_tiny(report: Report, targets: Mapping[str, Size], scale: int) -> None:
    """Report targets that no protocol measures: those of enlarged images leave out as many pixels at each border as the scale."""
    needed = SSIM_WINDOW + (2 * scale if scale > 1 else 0)
    tiny = [f"{name}: {show(size)}" for name, size in targets.items() if 0 < min(size) - min(size) % scale < needed]
    if tiny:
        targets = count_of(len(tiny), "target is", "targets are")
        report.wrong.append(f"{targets} too small to be measured ({shorten(tiny)}): {needed}x{needed} pixels are needed")


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
    text = f"{count_of(len(twice), 'target is', 'targets are')} in it twice ({shorten(twice)})"
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


def _shrunk(report: Report, one: Located, scale: int, pairs: Sequence[FilePair], known: Remembered) -> None:
    """Say by which rule the low-quality images were made, and whether targets were cut for one scale.

    Another rule than MATLAB's is a fault of a set that people compare numbers on, in a folder that says it is bicubic; else it is told.
    """
    title = f"x{scale} images of {report.name} compared"
    found = list(zip(pairs, show_progress(known.shrunk(pairs, scale), len(pairs), title), strict=True))
    for problem in dict.fromkeys(shrunk.problem for _, shrunk in found if shrunk.problem):
        names = [pair.lq.name for pair, shrunk in found if shrunk.problem == problem]
        report.wrong.append(f"x{scale}, {shorten(names)}: {problem}")
    for rule in dict.fromkeys(shrunk.rule for _, shrunk in found if shrunk.exact):
        count = sum(shrunk.exact and shrunk.rule == rule for _, shrunk in found)
        report.notes.append(f"x{scale}, {count} of {len(found)} low-quality images made with {rule}")
    says_bicubic = one.low is None or one.low.bicubic
    of_set = not one.card.stands_in or card_of(report.folder) is not None
    (report.wrong if of_set and says_bicubic else report.notes).extend(warn_of_rules(found, scale, len(found)))
    sides = [side for fact in report.targets.values() for side in _size(fact) if fact.height]
    text = (
        f"all sides of the targets are multiples of {TWELVE}: cut for several scales at once, where papers cut for each alone "
        "(0.03 to 0.07 dB, github.com/XPixelGroup/HAT/issues/49)"
    )
    natural = one.card.multiple % TWELVE == 0
    if len(sides) >= 2 * FEW_CUT and all(side % TWELVE == 0 for side in sides) and not natural and text not in report.notes:
        report.notes.append(text)
