"""Evidence: records that are kept with the code in results/evidence, a ledger without pictures that may not be passed on.

The report and the claims read it beside the user's own ledger, which wins. A record that proves wrong is withdrawn, in either: its file
stays, a mark beside it says why, and nothing uses it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterable
from pathlib import Path

from suite.core.errors import Exit, SuiteError
from suite.core.files import replacing
from suite.core.redaction import redact
from suite.records.cell import now
from suite.records.kinds.evaluation import Evaluation
from suite.records.ledger import Ledger, LedgerEntry, evidence_folder
from suite.records.record import Attempt, Record, dump

OF_A_MACHINE = re.compile(r"(?<![\w.)/:])(?:/[\w.~+-]+){2,}|\b[A-Za-z]:\\")  # a path; no address, no fraction


def read_records(ledger: Ledger, folder: Path | None = None, on_unreadable: Callable[[SuiteError], None] | None = None) -> list[Attempt]:
    """Return the ledger's records, and those of the evidence in `folder` (None: the checkout's) whose cells the ledger has not done."""
    own, evidence = list(ledger.records(on_unreadable)), folder or evidence_folder()
    if evidence.absolute() == ledger.folder:
        return own
    done = {record.fingerprint for record in own if record.status == "done"}
    kept = [record for record in Ledger(evidence).records(on_unreadable) if record.fingerprint not in done]
    cells = {record.fingerprint for record in kept}
    return [*(record for record in own if record.fingerprint not in cells), *kept]


def keep(record: Attempt, folder: Path, *, pictures: Collection[str]) -> Path:
    """Copy a done record to the evidence in `folder` and return its file; of its test images with the pictures of those named alone.

    SuiteError where it is not done, holds a path of this machine, or is there already.
    """
    if record.status != "done":
        raise SuiteError(f"{record.spec.label} (cell {record.fingerprint}) is {record.status}: only what was measured is evidence.")
    record = with_pictures(record, pictures)
    if found := find_private(record):
        raise SuiteError(
            f"{record.spec.label} (cell {record.fingerprint}) holds what belongs to this machine: {found}. Evidence names data sets by "
            "their cards: measure again with names of `python -m suite list datasets` and $SUITE_DATA.",
        )
    ledger = Ledger(folder)
    number = ledger.attempts(record.fingerprint)
    if ledger.done(record.fingerprint):
        held = ledger.latest(record.fingerprint)
        if held is not None and _content(held) == _content(record):
            return next(entry.path for entry in ledger.entries() if entry.fingerprint == record.fingerprint and entry.status == "done")
        raise SuiteError(
            f"{record.spec.label} (cell {record.fingerprint}) is in {folder} already, and this record is another. Withdraw that first: "
            f"`python -m suite records retract {record.fingerprint} --reason ...`."
        )
    with ledger.locked():
        return ledger.add(record.model_copy(update={"attempt": number + 1}))


def with_pictures(record: Attempt, images: Collection[str]) -> Attempt:
    """Return the record with the pictures of these of its test images alone; the map of a receptive field, which shows none, stays."""
    if not isinstance(record, Record | Evaluation):
        return record
    changes: dict[str, object] = {"crops": tuple(crop for crop in record.crops if crop.image in images)}
    if isinstance(record, Record) and record.trivial is not None:
        kept = {image: png for image, png in record.trivial.pictures.items() if image in images}
        changes["trivial"] = record.trivial.model_copy(update={"pictures": kept})
    return record.model_copy(update=changes)


def retract(entry: LedgerEntry, reason: str) -> Path:
    """Mark an attempt as withdrawn, and return the mark; SuiteError where it cannot be written."""
    try:
        with replacing(entry.mark, overwrite=False) as file:
            file.write(
                json.dumps({"reason": reason, "retracted": now()}, indent=1, ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n"
            )
    except OSError as error:
        raise SuiteError(f"{entry.mark} cannot be written: {error.strerror or error}.", exit=Exit.NOT_READY) from error
    return entry.mark


def read_reason(entry: LedgerEntry) -> str:
    """Return why an attempt was withdrawn, and when."""
    try:
        held = json.loads(entry.mark.read_text(encoding="utf-8-sig"))
        return f"{held['reason']} ({held['retracted']})"
    except (OSError, ValueError, LookupError, TypeError):
        return "its mark cannot be read"


def find_private(record: Attempt) -> str:
    """Return the first text of a record that tells of the machine's folders, users or hosts; "" where there is none."""
    texts = [" ".join(text.split()) for text in dict.fromkeys(_texts(json.loads(dump(record))))]
    cleaned = redact("\n".join(texts)).split("\n")
    odd = (text for text, clean in zip(texts, cleaned, strict=True) if clean != text or OF_A_MACHINE.search(text))
    return next(map(repr, odd), "")


def _texts(value: object) -> Iterable[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, held in value.items():
            yield name
            yield from _texts(held)
    elif isinstance(value, list):
        for held in value:
            yield from _texts(held)


def _content(record: Attempt) -> dict[str, object]:
    return with_pictures(record, ()).model_dump(mode="json", exclude={"attempt"})
