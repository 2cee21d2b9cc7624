"""Records of one version of each plug-in: numbers of a design before it was changed are not averaged with those after.

A record's spec names the content of the plug-in that declared its network. Where a model has records of several, the one stands whose
record was finished last; the others stay in the ledger, and `list records` shows them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeVar

from suite.records.record import Attempt

Recorded = TypeVar("Recorded", bound=Attempt)


def keep_newest(records: Iterable[Recorded]) -> tuple[tuple[Recorded, ...], dict[str, int]]:
    """Return the records, in their order, without those of older versions of plug-ins, and by model how many those are."""
    held = list(records)
    newest: dict[str, tuple[str, str]] = {}  # by model: when its last record was finished, and of which version that is
    for one in held:
        model, version = _version(one)
        finished = one.provenance.finished if one.provenance else ""
        if version:
            newest[model] = max(newest.get(model, ("", "")), (finished, version))
    kept, older = [], {}
    for one in held:
        model, version = _version(one)
        if version and newest[model][1] != version:
            older[model] = older.get(model, 0) + 1
        else:
            kept.append(one)
    return tuple(kept), older


def describe_older(older: dict[str, int]) -> str:
    """Say which records are left out, and where they are; "" where none is."""
    if not older:
        return ""
    number = sum(older.values())
    what = "1 record is" if number == 1 else f"{number} records are"
    return f"{what} of an earlier version of its plug-in and left out ({', '.join(sorted(older))}); `list records` shows all."


def name_plugin(record: Attempt) -> str:
    """Return the file or module of the plug-in that declared a record's network, as it was called there; "" of the suite's own."""
    version = _version(record)[1]
    held: Sequence[tuple[str, str]] = tuple(record.provenance.plugins.items()) if record.provenance else ()
    return next((name for name, sha256 in held if sha256 == version), "FILE") if version else ""


def _version(record: Attempt) -> tuple[str, str]:
    return getattr(record.spec, "model", ""), getattr(record.spec, "plugin", "")
