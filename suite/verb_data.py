"""`python -m suite data list|show|check`: which data sets are known, which are here, and what is wrong with them."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from suite.errors import Exit, SuiteError
from suite.output import Output

if TYPE_CHECKING:
    from suite.data.cards import Card
    from suite.data.inspection import Facts, Remembered
    from suite.data.locate import Located

SUMMARY = "say which data sets are here, and what is wrong with them"
SCALES = (2, 3, 4)
LEVELS = (10, 20, 30, 40)
SCALES_OF_FOLDERS = (2, 3, 4, 8)
EXAMPLES = 3  # names shown of a longer list


def add_arguments(verb: argparse.ArgumentParser) -> None:
    """The verb's three parts and their options."""
    parts = verb.add_subparsers(dest="part", required=True, metavar="PART")
    for name, what in (
        ("list", "every set that is known, and where it is"),
        ("show", "the card of a set: origin, licence, layouts, traps"),
        ("check", "counts, pairs, sizes, low-quality images, odd files, and images that two sets share"),
    ):
        part = parts.add_parser(name, help=what, description=what[0].upper() + what[1:] + ".", allow_abbrev=False)
        if name == "show":
            part.add_argument("names", nargs=1, metavar="NAME", help="a set's name or alias")
        if name == "check":
            part.add_argument(
                "names", nargs="*", metavar="NAME", help="sets, or folders with HR/ and LR/, or images (default: all that are here)"
            )
            part.add_argument("--quick", action="store_true", help="look at the first images of each set alone")
        part.add_argument("--root", type=Path, metavar="DIR", help="folder of the data sets (default: $SUITE_DATA)")
        part.add_argument("--json", action="store_true", help="print one JSON document on standard output, and nothing else there")


def run(options: argparse.Namespace, out: Output) -> Exit:
    """Runs the chosen part."""
    if options.root is not None and not options.root.is_dir():
        raise SuiteError(f"--root {options.root} is not a folder.", exit=Exit.NOT_READY)
    return {"list": _list, "show": _show, "check": _check}[options.part](options, out)


def _list(options: argparse.Namespace, out: Output) -> Exit:
    from suite.data.cards import cards

    rows = [row for card in cards().values() for row in _rows(card, options.root)]
    out.document(rows) if options.json else out.table(rows)
    return Exit.DONE


def _rows(card: Card, root: Path | None) -> Iterator[dict[str, object]]:
    for split, expected in card.splits.items():
        here = [one for one in _places(card, root) if one.layout.split == split]
        kinds = dict.fromkeys(layout.kind for layout in card.layouts if layout.split == split)
        yield {
            "set": card.name,
            "split": split,
            "images": expected,
            "found": _count(here[0]) if here else None,
            "layout": here[0].layout.of if here else "not found",
            "folder": str(here[0].hq or here[0].lq) if here else "",
            "tasks": ", ".join(kinds),
        }


def _places(card: Card, root: Path | None) -> list[Located]:
    """Layouts that are there, at any scale or quality, each once."""
    from suite.data.locate import locate

    found: dict[tuple[Path | None, Path | None], Located] = {}
    for scale, level in [(scale, None) for scale in SCALES] + [(1, level) for level in LEVELS]:
        for one in locate(card, root, scale=scale, level=level):
            found.setdefault((one.hq, one.lq), one)
    return list(found.values())


def _count(place: Located) -> int:
    from suite.data.images import list_images

    images = list_images(place.hq or place.lq)
    if place.hq is not None and place.hq == place.lq:  # SelfExSR's: both sides in one folder
        images = [path for path in images if path.stem.endswith("_HR")]
    return len(images)


def _show(options: argparse.Namespace, out: Output) -> Exit:
    from suite.data.cards import card

    chosen = card(options.names[0])
    here = _places(chosen, options.root)
    if options.json:
        out.document(chosen.model_dump(mode="json", by_alias=True) | {"found": [str(one.hq or one.lq) for one in here]})
        return Exit.DONE
    out.line(f"{chosen.name}: {chosen.what}")
    for title, text in (
        ("also called", ", ".join(chosen.aliases)),
        ("origin", chosen.origin),
        ("licence", chosen.licence),
        ("images", ", ".join(f"{split} {count}" for split, count in chosen.splits.items())),
        ("here", ", ".join(str(one.hq or one.lq) for one in here) or "not found"),
    ):
        if text:
            out.line(f"  {title}: {text}")
    for trap in chosen.traps:
        out.line(f"  mind: {trap}")
    out.line("  folders accepted below $SUITE_DATA, whatever their case ({s}: scale, {q}: JPEG quality):")
    for layout in chosen.layouts:
        out.line(
            f"    {layout.hq or '(no targets)'}{'  with  ' + layout.lq if layout.lq else ''}  ({layout.of}, {layout.split}, {layout.kind})"
        )
    return Exit.DONE


@dataclass
class Report:
    """What was found of one set or folder."""

    name: str
    train: bool
    folder: str
    images: int = 0
    wrong: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    facts: Mapping[Path, Facts] = field(default_factory=dict)


def _check(options: argparse.Namespace, out: Output) -> Exit:
    from suite.data.inspection import Remembered, shared

    known = Remembered()
    reports = [report for name in options.names for report in _named(name, options, known)]
    if not options.names:
        from suite.data.cards import cards

        reports = [report for card in cards().values() for report in _of_card(card, options, known)]
    known.save()
    if not reports:
        raise SuiteError(
            "no data set is here. `python -m suite data list` says what is looked for; set $SUITE_DATA or --root.", exit=Exit.NOTHING
        )
    common = _leaks(shared({f"{one.name} ({one.folder})": one.facts for one in reports}), reports)
    wrong = any(report.wrong for report in reports) or any(leak["serious"] for leak in common)
    if options.json:
        rows = [{"set": one.name, "folder": one.folder, "images": one.images, "wrong": one.wrong, "notes": one.notes} for one in reports]
        out.document({"sets": rows, "shared": common, "fine": not wrong})
    else:
        _print(reports, common, out)
    return Exit.NOT_READY if wrong else Exit.DONE


def _print(reports: Sequence[Report], common: Sequence[Mapping[str, object]], out: Output) -> None:
    for report in reports:
        out.line(
            f"{report.name}: {report.images} images, {'fine' if not report.wrong else f'{len(report.wrong)} faults'} ({report.folder})"
        )
        for line in report.wrong:
            out.line(f"  wrong: {line}")
        for line in report.notes:
            out.line(f"  {line}")
    for leak in common:
        out.line(f"{'LEAK' if leak['serious'] else 'shared'}: {leak['images']} {leak['kind']} images in {leak['sets']} ({leak['example']})")


def _named(name: str, options: argparse.Namespace, known: Remembered) -> list[Report]:
    """A set by its name, else a folder."""
    from models.lookup import UnknownName
    from suite.data.cards import card

    try:
        chosen = card(name)
    except UnknownName:
        if not Path(name).is_dir():
            raise
        return [_of_folder(Path(name), options, known)]
    found = list(_of_card(chosen, options, known))
    if not found:
        raise SuiteError(
            f"{chosen.name} is not here. `python -m suite data show {chosen.name}` says where it is looked for.", exit=Exit.NOT_READY
        )
    return found


def _of_card(card: Card, options: argparse.Namespace, known: Remembered) -> Iterator[Report]:
    from suite.data.locate import files_of, locate

    for split, expected in card.splits.items():
        here = [one for one in _places(card, options.root) if one.layout.split == split]
        if not here:
            continue
        report = Report(card.name, split == "train", str(here[0].hq or here[0].lq), _count(here[0]))
        if report.images != expected:
            report.wrong.append(f"{report.images} images, where the set has {expected}")
        folders = {
            (one.hq, one.lq): (one, scale)
            for scale in (*SCALES, 1)
            for one in locate(card, options.root, scale=scale, level=None)
            if one.layout.split == split
        }
        for one, scale in folders.values():
            if one.hq != here[0].hq and one.lq is None:
                continue
            try:
                pairs = files_of(one, scale)
            except SuiteError as error:
                report.wrong.append(str(error))
                continue
            if one.layout.kind == "sr" and one.lq is not None and scale > 1:
                _lows(report, pairs, scale, options.quick)
            _files(report, [path for pair in pairs for path in (pair.hq, pair.lq) if path is not None], options.quick, known)
        yield report


def _of_folder(folder: Path, options: argparse.Namespace, known: Remembered) -> Report:
    from suite.data.images import list_images
    from suite.data.locate import FilePair
    from suite.data.sets import match

    sides = [folder / name for name in ("HR", "target", "LR", "input") if (folder / name).is_dir()] or [folder]
    report = Report(folder.name, train=False, folder=str(folder))
    for side in sides:
        images = list_images(side)
        report.images += len(images)
        _files(report, images, options.quick, known)
    for scale in SCALES_OF_FOLDERS:
        low = folder / "LR_bicubic" / f"X{scale}"
        if low.is_dir() and sides[0] != folder:
            try:
                pairs = [FilePair(*one) for one in match(list_images(sides[0]), list_images(low), scale)]
            except SuiteError as error:
                report.wrong.append(str(error))
                continue
            _lows(report, pairs, scale, options.quick)
            _files(report, [pair.lq for pair in pairs], options.quick, known)
    return report


def _files(report: Report, paths: Sequence[Path], quick: bool, known: Remembered) -> None:
    """Decodes the files and notes the odd ones."""
    from suite.data.inspection import problems
    from suite.parallel import shown

    chosen = paths[:EXAMPLES] if quick else paths
    facts = dict(shown(known.facts(chosen), len(chosen), f"files of {report.name} read"))
    report.wrong += problems(facts, str)
    report.facts = {**report.facts, **facts}


def _lows(report: Report, pairs: Sequence, scale: int, quick: bool) -> None:
    """Says by which rule the low-quality images were made."""
    from suite.data.inspection import RULES, shrunk_by
    from suite.parallel import over, shown

    chosen = pairs[:EXAMPLES] if quick else pairs
    rules = list(shown(over(lambda pair: shrunk_by(pair, scale), chosen), len(chosen), f"x{scale} images of {report.name} compared"))
    for rule in dict.fromkeys(rules):
        names = [pair.name for pair, found in zip(chosen, rules, strict=True) if found == rule]
        text = f"x{scale}, {len(names)} of {len(chosen)} low-quality images made with {rule}"
        if rule in RULES:
            report.notes.append(text)
        else:
            report.wrong.append(f"x{scale}, {', '.join(names[:EXAMPLES])}{' ...' if len(names) > EXAMPLES else ''}: {rule}")


def _leaks(found: Sequence[tuple[str, str, Path, Path]], reports: Sequence[Report]) -> list[dict[str, object]]:
    """Shared images by pair of sets; serious where one set is for training and the other for testing."""
    train = {f"{one.name} ({one.folder})": one.train for one in reports}
    groups: dict[tuple[str, str], list[tuple[Path, Path]]] = {}
    for kind, sets, first, second in found:
        groups.setdefault((kind, sets), []).append((first, second))
    leaks = []
    for (kind, sets), files in groups.items():
        first, second = (train[name] for name in sets.split(" and "))
        example = f"{files[0][0].name} and {files[0][1].name}"
        leaks.append({"kind": kind, "sets": sets, "images": len(files), "example": example, "serious": first != second})
    return leaks
