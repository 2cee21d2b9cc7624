"""`python -m suite data list|show|check|speed`: data sets that are known, that are here, what is wrong with them; how fast they are fed."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from suite.cli import common
from suite.core.errors import Exit, SuiteError
from suite.core.output import Output, note
from suite.core.text import count_of

if TYPE_CHECKING:
    from suite.data.cards import Card
    from suite.data.check.checks import Report
    from suite.data.check.inspection import Remembered
    from suite.data.check.leaks import Leak
    from suite.data.feed.speed import Speed
    from suite.data.layouts.locate import Located

SUMMARY = "say which data sets are here, what is wrong with them, and how fast training data are made"
EXAMPLE = "data check Set5"


def add_arguments(verb: argparse.ArgumentParser) -> None:
    """Add what can be done, and its options."""
    what = {
        "list": "print every known set, and where it is",
        "show": "print the card of a set: origin, licence, layouts, traps",
        "check": "check counts, pairs, sizes, low-quality images, odd files, and images that two sets share",
        "speed": "measure the samples per second for training, at the patch of each recipe",
    }
    each = common.add_actions(verb, what)
    each["show"].add_argument("names", nargs=1, metavar="NAME", help="a set's name or alias")
    each["check"].add_argument("names", nargs="*", metavar="NAME", help="sets, or folders of your own (default: all sets that are found)")
    each["check"].add_argument("--quick", action="store_true", help="count and pair all files, but decode only the first few of each set")
    for name in ("list", "show", "check"):
        each[name].add_argument("--root", type=Path, metavar="DIR", help="folder of the data sets (default: $SUITE_DATA)")
    common.add_shared(each["check"], "--max-megapixels")
    _add_speed(each["speed"])
    for action in each.values():
        common.add_shared(action, "--json", "--wide")


def _add_speed(part: argparse.ArgumentParser) -> None:
    part.add_argument("names", nargs="*", metavar="TASK", help="names of `list tasks` (default: all)")
    part.add_argument("--data", default="photos", metavar="NAME_OR_FOLDER", help="training data (default: %(default)s)")
    part.add_argument(
        "--workers", type=int, metavar="N", help="processes that make batches; 0: the training itself (default: all cores but one)"
    )
    part.add_argument("--seconds", type=float, default=2.0, metavar="S", help="how long each task is measured (default: %(default)s)")
    part.add_argument(
        "--step-ms", type=float, metavar="MS", help="time of the network for a batch, to compute the share of a step spent waiting"
    )
    part.add_argument(
        "--device", choices=("cpu", "cuda"), help="also measure with the degradation left to this device, where a task allows it"
    )
    part.set_defaults(root=None)


def run(options: argparse.Namespace, out: Output) -> Exit:
    """Do the action."""
    if options.root is not None and not options.root.is_dir():
        raise SuiteError(f"--root {options.root} is not a folder.", exit=Exit.NOT_READY)
    return {"list": _list, "show": _show, "check": _check, "speed": _speed}[options.action](options, out)


def _list(options: argparse.Namespace, out: Output) -> Exit:
    from suite.core.paths import data_folder
    from suite.data.cards import cards

    if options.root is None and data_folder() is None:  # first: the table is long
        note("$SUITE_DATA is not set, so no folder is searched. Set it, or give --root DIR.")
    rows = [row for card in cards().values() for row in _rows(card, options.root)]
    out.document(rows) if options.json else out.table(rows)
    return Exit.DONE


def _package_folder() -> str:
    """Return the folder of the embedded photographs; empty where they are missing."""
    from suite.data.photos import photos_folder

    try:
        return str(photos_folder())
    except SuiteError:
        return ""  # `data check photos` says why


def _rows(card: Card, root: Path | None) -> Iterator[dict[str, object]]:
    """Yield the rows of a set for `data list`: of each split the copy that is taken, which a package may ship."""
    from suite.data.check.checks import find_copies

    found = [] if card.package else find_copies(card, root)
    package = _package_folder() if card.package else ""
    for split, expected in card.splits.items():
        here = [group[0] for group in found if group[0].split == split]
        values: tuple[object, ...] = (None, "not found", "", 0)
        if package:
            values = (expected, f"{card.package}'s package", package, 1)
        elif here:
            values = (_count(here[0]), here[0].whose, str(here[0].files), len(here))
        place = dict(zip(("found", "layout", "folder", "copies"), values, strict=True))
        yield {"set": card.name, "split": split, "images": expected or None} | place | {"tasks": ", ".join(card.kinds)}


def _count(place: Located) -> int | str:
    from suite.data.layouts.locate import files_of, targets_of

    try:
        return len(targets_of(place) if place.hq is not None and place.hq.is_dir() else files_of(place))
    except SuiteError:
        return "unclear"  # `data check` says why


def _show(options: argparse.Namespace, out: Output) -> Exit:
    from suite.data.cards import card

    chosen = card(options.names[0])
    shown = _shown(chosen, options.root)
    if options.json:
        out.document(shown)
        return Exit.DONE
    if chosen.package:
        here = "".join(place["folder"] for place in shown["found"][:1])
        where = {"shipped by": chosen.package, "here": here or f"not found: `python -m suite data check {chosen.name}` says why"}
    else:
        here = "; ".join(f"{place['folder']} ({place['split']}, {place['layout']})" for place in shown["found"])
        where = {"looked in": shown["root"] or "nothing: $SUITE_DATA is not set", "here": here or "not found"}
    out.line(f"{chosen.name}: {chosen.what if chosen.title == chosen.name else f'{chosen.title}. {chosen.what}'}")
    for title, text in (
        ("also called", ", ".join(chosen.aliases)),
        ("origin", chosen.origin),
        ("licence", chosen.licence),
        ("for", ", ".join(chosen.kinds)),
        ("images", ", ".join(f"{split} {count or 'not known'}" for split, count in chosen.splits.items())),
        ("size", chosen.size),
        ("made of", ", ".join(chosen.parts)),
        ("measured", chosen.scored_by),
        ("published numbers", chosen.grey and f"of grey images, {chosen.grey}"),
        *where.items(),
    ):
        if text:
            out.line(f"  {title}: {text}")
    for known in chosen.shares:
        out.line(f"  shares images with {known.set}: {known.what}")
    for trap in chosen.traps:
        out.line(f"  note: {trap}")
    out.line()
    _show_images(chosen, out) if chosen.package else _show_layouts(chosen, out)
    return Exit.DONE


def _shown(chosen: Card, root: Path | None) -> dict[str, object]:
    """Return the card as one document, with the places where it is searched and where it is."""
    from suite.core.paths import data_folder
    from suite.data.check.checks import find_copies
    from suite.data.layouts.locate import list_folders_looked_for

    base = root or data_folder()
    here = [group[0] for group in find_copies(chosen, root)]
    found = [{"folder": str(one.files), "layout": one.whose, "split": one.split} for one in here]
    looked = [str(base / path) if base else path for split in chosen.splits for path in list_folders_looked_for(chosen, split, 4, 10)]
    if chosen.package and (folder := _package_folder()):
        found = [{"folder": folder, "layout": f"{chosen.package}'s package", "split": split} for split in chosen.splits]
    held = chosen.model_dump(mode="json", by_alias=True)
    ways = [way.model_dump(mode="json") for way in chosen.ways]
    return {**held, "ways": ways, "root": str(base) if base else None, "looked": looked, "found": found}


def _show_images(chosen: Card, out: Output) -> None:
    titles = ("image", "split", "size", "licence", "credit", "what")
    rows = [(one.name, one.split, f"{one.size[1]}x{one.size[0]}", one.licence, one.credit, one.content) for one in chosen.image]
    out.table([dict(zip(titles, row, strict=True)) for row in rows])


def _show_layouts(chosen: Card, out: Output) -> None:
    from suite.data.cards import draw_layout

    out.line("Folders accepted below $SUITE_DATA: the first that exists, in any case. {s}: scale, {q}: JPEG quality, .png: any ending.")
    out.line("A low-quality file has the NAME of its target, or NAMEx{s}, NAME_x{s}, NAME_LR_x{s}, NAME_LRBI_x{s}.")
    if chosen.aliases:
        out.line(f"{chosen.name} may be {' or '.join(chosen.aliases)} in them.")
    for way in chosen.ways:
        for line in draw_layout(chosen, way):
            out.line(f"  {line}")


def _check(options: argparse.Namespace, out: Output) -> Exit:
    from suite.data.check.inspection import Remembered
    from suite.data.check.leaks import find_leaks

    common.allow_size(options)
    known = Remembered()
    try:
        reports, missing = _reports(options, known)
    finally:
        known.save()  # what was decoded before an interruption is not decoded again
    if not reports and not missing:
        raise SuiteError(
            "no data set is found. `python -m suite data list` says what is searched for; set $SUITE_DATA or --root.", exit=Exit.NOTHING
        )
    found = find_leaks([report for report in reports if report.taken])
    wrong = missing or any(report.wrong for report in reports) or any(leak.serious for leak in found)
    if options.json:
        sets, shared = [_document(report) for report in reports], [_leak(leak) for leak in found]
        out.document({"sets": sets, "missing": missing, "shared": shared, "quick": options.quick, "fine": not wrong})
    else:
        _print(reports, missing, found, out)
    return Exit.NOT_READY if wrong else Exit.DONE


def _reports(options: argparse.Namespace, known: Remembered) -> tuple[list[Report], list[str]]:
    """Return reports of what was asked for, and sentences on what is not here."""
    from models.lookup import UnknownName
    from suite.data.cards import card, cards
    from suite.data.check.checks import report_card, report_folder

    reports: list[Report] = []
    missing: list[str] = []
    if not options.names:
        mine = [one for one in cards().values() if not one.package]
        for one in mine:
            try:
                reports += report_card(one, options.root, known, quick=options.quick)
            except SuiteError as error:  # a folder that cannot be read: the other sets are checked all the same
                missing.append(str(error))
        return reports, list(dict.fromkeys(missing))
    for name in options.names:
        try:
            chosen = None if os.sep in name or name in (os.curdir, os.pardir) else card(name)
        except UnknownName:
            if not Path(name).is_dir():
                raise
            chosen = None
        if chosen is None:
            if not Path(name).is_dir():
                raise SuiteError(f"the folder {name} does not exist.", exit=Exit.NOT_READY)
            reports += report_folder(Path(name), known, quick=options.quick)
            continue
        found = list(report_card(chosen, options.root, known, quick=options.quick))
        reports += found
        if not found:
            missing.append(f"{chosen.name} is not here. `python -m suite data show {chosen.name}` says where it is looked for.")
    return reports, missing


def _document(report: Report) -> dict[str, object]:
    same = ("split", "layout", "folder", "taken", "images", "expected", "wrong", "notes")
    found = {"set": report.name} | {name: getattr(report, name) for name in same}
    compared = [{"scale": scale, "pairs": count} for scale, count in sorted(report.compared.items())]
    return found | {"folder": str(report.folder), "expected": report.expected or None, "compared": compared}


def _leak(leak: Leak) -> dict[str, object]:
    found = {"sets": [leak.first, leak.second], "identical": leak.identical, "near_identical": leak.near}
    return found | {"examples": [list(pair) for pair in leak.examples], "known": leak.known, "serious": leak.serious}


def _print(reports: Sequence[Report], missing: Sequence[str], common: Sequence[Leak], out: Output) -> None:
    for report in reports:
        counts = f"{report.images} of {count_of(report.expected, 'image')}" if report.expected else count_of(report.images, "image")
        state = count_of(len(report.wrong), "fault") if report.wrong else f"fine: {report.statement}"
        spare = "" if report.taken else "; another copy is used"
        out.line(f"{report.name} ({report.split}): {counts}, {state} ({report.folder}, layout of {report.layout}{spare})")
        for line in report.wrong:
            out.line(f"  wrong: {line}")
        for line in report.notes:
            out.line(f"  {line}")
    for sentence in missing:
        out.line(f"missing: {sentence}")
    for leak in common:
        out.line(f"{'LEAK' if leak.serious else 'shared'}: {leak.statement}")


def _speed(options: argparse.Namespace, out: Output) -> Exit:
    from suite.core.parallel import show_progress
    from suite.data.feed.speed import measure_tasks, tasks_for_device
    from suite.study.tasks import TASKS, task

    chosen = [task(name) for name in options.names or TASKS]
    device = options.device or ""
    speeds = measure_tasks(chosen, options.data, options.workers, options.seconds, options.step_ms, device)
    found = list(show_progress(speeds, len(chosen) + (len(tasks_for_device(chosen)) if device else 0), "tasks measured"))
    if options.json:
        out.document([{**one.as_dict(), "waiting_share": one.waiting(options.step_ms)} for one in found])
        return Exit.DONE
    out.table([_speed_row(one, options.step_ms, device) for one in found])
    return Exit.DONE


def _speed_row(speed: Speed, step_ms: float | None, device: str) -> dict[str, object]:
    row = {name: getattr(speed, name) for name in ("task", "patch", "batch", "workers")}
    row |= {"samples/s": f"{speed.samples_per_second:.0f}", "ms a batch": f"{speed.batch_ms:.0f}"}
    if device:
        row |= {"degraded on": speed.device or "worker", "ms there": f"{speed.device_ms:.0f}" if speed.device else ""}
    return row if step_ms is None else row | {f"waits at {step_ms:g} ms a step": f"{100 * speed.waiting(step_ms):.0f} %"}
