"""`python -m suite records list|keep|retract`: the evidence that is kept with the code, and records that prove wrong."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from suite.cli import common
from suite.cli.choose import NAME, model_of
from suite.core.errors import Exit, SuiteError
from suite.core.output import Output

if TYPE_CHECKING:
    from suite.records.ledger import Ledger, LedgerEntry
    from suite.records.record import Attempt

SUMMARY = "keep records as evidence with the code, or withdraw records that are wrong"
EXAMPLE = "records keep bicubic"


def add_arguments(verb: argparse.ArgumentParser) -> None:
    """Add what can be done, and its options."""
    what = {
        "list": "list the evidence, and what was withdrawn here and there",
        "keep": "copy records of the ledger to the evidence, without pictures that may not be passed on",
        "retract": "withdraw records: they stay, marked with the reason, and nothing uses them",
    }
    each = common.add_actions(verb, what)
    for name in ("keep", "retract"):
        each[name].add_argument("name", metavar="NAME", help=NAME)
    each["keep"].add_argument(
        "--pictures", nargs="*", metavar="IMAGE", help="keep pictures of these test images alone (default: of all that anyone may pass on)"
    )
    each["retract"].add_argument("--reason", required=True, metavar="TEXT", help="why they are wrong, in a sentence")
    for action in each.values():
        common.add_shared(action, "--ledger", "--evidence", "--plugin", "--json", "--wide")


def run(options: argparse.Namespace, out: Output) -> Exit:
    """Do the action, and print a row for each record."""
    from suite.core.paths import is_installed
    from suite.records.ledger import Ledger, evidence_folder

    if options.action != "list" and options.evidence is None and is_installed():
        raise SuiteError("the evidence came with the installed suite, and is not changed there. Name a folder of yours: --evidence DIR.")
    places = {"ledger": Ledger(options.ledger), "evidence": Ledger(options.evidence or evidence_folder())}
    rows = {"list": _list, "keep": _keep, "retract": _retract}[options.action](options, places)
    if options.json:
        out.document({name: str(ledger.folder) for name, ledger in places.items()} | {"records": rows})
    else:
        out.table(rows)
        out.line(f"{len(rows)} {'record' if len(rows) == 1 else 'records'}; evidence: {places['evidence'].folder}")
    return Exit.DONE


def _list(_options: argparse.Namespace, places: dict[str, Ledger]) -> list[dict[str, object]]:
    from suite.records.evidence import read_reason

    rows = [_row(record, "kept") for record in places["evidence"].records(common.warn_left_out)]
    for place, ledger in places.items():
        rows += [
            _row(record, f"withdrawn, in the {place}: {read_reason(entry)}")
            for entry in ledger.entries(retracted=True)
            if (record := _read(ledger, entry))
        ]
    return rows


def _keep(options: argparse.Namespace, places: dict[str, Ledger]) -> list[dict[str, object]]:
    from suite.records import evidence

    rows = []
    for _, record in _select(options.name, places["ledger"], done=True):
        path = evidence.keep(record, places["evidence"].folder, pictures=_list_shown(record, options.pictures))
        rows.append(_row(record, f"kept: {path.name}"))
    return rows


def _list_shown(record: Attempt, asked: Sequence[str] | None) -> set[str]:
    """Return the test images whose pictures are kept: those `asked` for, or all that anyone may pass on, as the card of their set says.

    SuiteError for one that is asked for and may not be passed on, or of which the record holds no picture.
    """
    from suite.data.cards import card
    from suite.data.sets import card_name

    name = card_name(getattr(record.spec, "test_set", ""))
    names = {crop.image for crop in getattr(record, "crops", ())}
    shown = {image for image in names if name is not None and card(name).may_pass_on(image)}
    if missing := [image for image in asked or () if image not in shown]:
        why = "its card does not let anyone pass it on" if missing[0] in names else "the record holds none"
        raise SuiteError(
            f"the picture of {missing[0]} cannot be kept of {record.spec.label}: {why}. It can of: {', '.join(sorted(shown)) or 'none'}."
        )
    return shown if asked is None else set(asked)


def _retract(options: argparse.Namespace, places: dict[str, Ledger]) -> list[dict[str, object]]:
    """Withdraw the records in both places; a wrong one may have been kept already."""
    from suite.records import evidence

    rows, problems = [], []
    for place, ledger in places.items():
        try:
            chosen = _select(options.name, ledger, done=False)
        except SuiteError as error:
            problems.append(error)
            continue
        for entry, record in chosen:
            evidence.retract(entry, options.reason)
            rows.append(_row(record, f"withdrawn, in the {place}"))
    if not rows:
        raise problems[0]
    return rows


def _select(name: str, ledger: Ledger, *, done: bool) -> list[tuple[LedgerEntry, Attempt]]:
    """Return the attempts that `name` means: with `done` those that stand for their cells, else all of them; SuiteError where none is."""
    from suite.records.ledger import pick_standing
    from suite.study.grids import selects

    entries = ledger.entries()
    entries = [entry for entry in pick_standing(entries) if entry.status == "done"] if done else entries
    if chosen := [entry for entry in entries if entry.fingerprint == name]:
        return [(entry, ledger.read(entry.path.name)) for entry in chosen]
    held = [(entry, record) for entry in entries if (record := _read(ledger, entry))]
    models = sorted({model_of(record) for _, record in held})
    found = [(entry, record) for entry, record in held if selects(name, model_of(record), models)]
    if not found:
        from models.lookup import suggest

        raise SuiteError(
            f"{name} matches none of the {len(held)} records in {ledger.folder}.{suggest(name, models)} "
            f"`python -m suite list records --ledger {ledger.folder}` shows them.",
            exit=Exit.NOTHING,
        )
    return found


def _read(ledger: Ledger, entry: LedgerEntry) -> Attempt | None:
    try:
        return ledger.read(entry.path.name)
    except SuiteError as error:
        common.warn_left_out(error)
        return None


def _row(record: Attempt, state: str) -> dict[str, object]:
    from suite.records.summary import summarise

    held = summarise(record)
    shown = ("cell", "model", "task", "quality")
    return {name: held.get(name) for name in shown} | {"test set": getattr(record.spec, "test_set", None), "state": state}
