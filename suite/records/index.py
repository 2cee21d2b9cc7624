"""The ledger's index: every record in brief, in one file beside the records, so that a hundred thousand are listed in a moment.

The index is a copy and never trusted over the files. A row counts only while the record's file has the size and the times of change that
it was read with; other files are read, rows of files that are gone are dropped, and the index is written anew. It holds the version of
what its rows say (suite.study.versions), and another version makes it again. It appears whole, by a rename: of two processes that write
one, either's is right, and what a killed one left half written is never looked at. Where it cannot be written, everything is said as
slowly as without it.

The file holds a line of JSON a column, after a head, so that a list of records reads the first few lines alone.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from suite.core.errors import SuiteError
from suite.core.files import replacing
from suite.core.output import note
from suite.records.ledger import LISTED_COLUMNS, RECORD_NAME, RETRACTED, entry_of, pick_standing
from suite.study import versions

if TYPE_CHECKING:
    from suite.records.ledger import Ledger

INDEX_FILE = ".index"
STAMP = "stamp"  # the first column: which file a row is of, its size and its times of change
MANY_RECORDS = 5000  # files, which take some seconds to read

Columns = dict[str, list[object]]
OnUnreadable = Callable[[SuiteError], None] | None


def read_columns(
    ledger: Ledger, on_unreadable: OnUnreadable = None, *, wanted: Sequence[str] | None = None, every_attempt: bool = False
) -> Columns:
    """Return the columns `wanted` (all by default), a value a record: the one that stands for its cell, or every attempt at it.

    In the order of cells and attempts; a file that cannot be read is handled as by `Ledger.records`.
    """
    stamps = _stamps(ledger.folder)
    held = _held(ledger.folder / INDEX_FILE, wanted)
    if held is None or held[STAMP] != stamps:
        held = _renew(ledger, stamps, on_unreadable)
    names = [str(stamp).partition(" ")[0] for stamp in held[STAMP]]
    chosen = {name: values for name, values in held.items() if name != STAMP and (wanted is None or name in wanted)}
    if every_attempt or len({name[:16] for name in names}) == len(names):  # a cell has one attempt: nothing to choose
        return chosen
    standing = {entry.path.name for entry in pick_standing(filter(None, map(entry_of, map(Path, names))))}
    places = [place for place, name in enumerate(names) if name in standing]
    return {name: [values[place] for place in places] for name, values in chosen.items()}


def read_rows(ledger: Ledger, on_unreadable: OnUnreadable = None, wanted: Sequence[str] = LISTED_COLUMNS) -> list[dict[str, object]]:
    """Return one row a cell, of the columns `wanted`."""
    found = read_columns(ledger, on_unreadable, wanted=wanted)
    return [dict(zip(wanted, values, strict=True)) for values in zip(*(found.get(name, []) for name in wanted), strict=True)]


def _stamps(folder: Path) -> list[str]:
    """Return name, size and times of change of every record's file, by name; of those that were withdrawn none."""
    found: dict[str, str] = {}
    marks: set[str] = set()
    with contextlib.suppress(FileNotFoundError, NotADirectoryError), os.scandir(folder) as files:
        for file in files:
            if file.name.endswith(RETRACTED):
                marks.add(file.name.removesuffix(RETRACTED))
            elif RECORD_NAME.fullmatch(file.name):
                with contextlib.suppress(FileNotFoundError):  # moved away meanwhile
                    stat = file.stat()
                    found[file.name] = f"{file.name} {stat.st_size} {stat.st_mtime_ns} {stat.st_ctime_ns}"
    return sorted(stamp for name, stamp in found.items() if name.removesuffix(".json").rpartition(".")[0] not in marks)


def _held(path: Path, wanted: Sequence[str] | None) -> Columns | None:
    """Read the index's columns; None where there is no index, or one that is damaged or of other code."""
    found: Columns = {}
    try:
        with path.open("rb") as file:
            head = json.loads(next(file))
            needed = [name for name in head["columns"] if wanted is None or name in (STAMP, *wanted)]
            for name in head["columns"]:
                line = next(file)
                if name in needed:
                    found[name] = json.loads(line)
                if name == needed[-1]:
                    break
            whole = all(len(values) == head["records"] for values in found.values())
            return found if whole and STAMP in found and head["made_by"] == versions.INDEX else None
    except (OSError, StopIteration, ValueError, LookupError, TypeError):
        return None


def _renew(ledger: Ledger, stamps: Sequence[str], on_unreadable: OnUnreadable) -> Columns:
    """Bring the index up to date with the files of `stamps`, and write it where something has changed."""
    old = _held(ledger.folder / INDEX_FILE, None) or {STAMP: []}
    places = {stamp: place for place, stamp in enumerate(old[STAMP])}
    read = _read(ledger, [stamp for stamp in stamps if stamp not in places], on_unreadable)
    new: Columns = {STAMP: [stamp for stamp in stamps if stamp in places or stamp in read]}
    for column in dict.fromkeys([*LISTED_COLUMNS, *old, *(column for row in read.values() for column in row)]):
        if column != STAMP:
            before = old.get(column)
            new[column] = [read[stamp].get(column) if stamp in read else before and before[places[stamp]] for stamp in new[STAMP]]
    if new[STAMP] != old[STAMP]:
        head = {"made_by": versions.INDEX, "records": len(new[STAMP]), "columns": list(new)}
        with contextlib.suppress(OSError), replacing(ledger.folder / INDEX_FILE) as file:  # it is a copy, and saves time alone
            for line in (head, *new.values()):
                file.write(json.dumps(line, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n")
    return new


def _read(ledger: Ledger, stamps: Sequence[str], on_unreadable: OnUnreadable) -> dict[str, dict[str, object]]:
    """Read the rows of record files, by their stamps."""
    from suite.records.summary import summarise

    if len(stamps) > MANY_RECORDS:
        note(f"reading {len(stamps):,} records into the ledger's index; the next time it is there.")
    found = {}
    for stamp in stamps:
        try:
            found[stamp] = summarise(ledger.read(stamp.partition(" ")[0]))
        except SuiteError as error:
            if on_unreadable is None:
                raise
            on_unreadable(error)
    return found
