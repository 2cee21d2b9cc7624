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
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from suite.core.errors import SuiteError
from suite.core.output import note
from suite.records.ledger import LISTED
from suite.study import versions

if TYPE_CHECKING:
    from suite.records.ledger import Ledger

FILE = ".index"
STAMP = ("file", "size", "modified_ns", "changed_ns")  # columns that say which file a row is of, and when
MANY = 5000  # files, which take some seconds to read

Columns = dict[str, list[object]]
OnUnreadable = Callable[[SuiteError], None] | None


def columns(
    ledger: Ledger, on_unreadable: OnUnreadable = None, *, wanted: Sequence[str] | None = None, every_attempt: bool = False
) -> Columns:
    """The columns `wanted` (all by default), a value a record: the one that stands for its cell, or every attempt at it.

    In the order of cells and attempts; a file that cannot be read is handled as by `Ledger.records`.
    """
    files = _files(ledger.folder)
    held = _held(ledger.folder / FILE, None if wanted is None else (*STAMP, *wanted))
    if held is None or any(held[column] != files[column] for column in STAMP):
        held = _renewed(ledger, files, on_unreadable)
    chosen = [name for name in held if name not in STAMP and (wanted is None or name in wanted)]
    names = held["file"]
    standing = set(files["file"]) if every_attempt else _standing(files["file"])
    if len(standing) == len(names):
        return {name: held[name] for name in chosen}
    places = [place for place, name in enumerate(names) if name in standing]
    return {name: [held[name][place] for place in places] for name in chosen}


def rows(ledger: Ledger, on_unreadable: OnUnreadable = None, wanted: Sequence[str] = LISTED) -> list[dict[str, object]]:
    """One row a cell, of the columns `wanted`."""
    found = columns(ledger, on_unreadable, wanted=wanted)
    if not any(found.values()):  # no record, and so no column but those that every index has
        return []
    return [dict(zip(wanted, values, strict=True)) for values in zip(*(found[name] for name in wanted), strict=True)]


def _files(folder: Path) -> Columns:
    """The columns of STAMP of the folder's records, by name."""
    from suite.records.ledger import NAME

    found: Columns = {column: [] for column in STAMP}
    names, sizes, modified, changed = found.values()
    with contextlib.suppress(FileNotFoundError, NotADirectoryError), _descriptor(folder) as where:
        for name in sorted(filter(NAME.fullmatch, os.listdir(where))):  # noqa: PTH208 - names alone
            with contextlib.suppress(FileNotFoundError):  # moved away meanwhile
                stat = os.stat(name, dir_fd=where)
                names.append(name)
                sizes.append(stat.st_size)
                modified.append(stat.st_mtime_ns)
                changed.append(stat.st_ctime_ns)
    return found


@contextlib.contextmanager
def _descriptor(folder: Path) -> Iterator[int | None]:
    """The open folder, relative to which files are looked up."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _standing(names: Sequence[object]) -> set[object]:
    """Names of the files that stand for their cells: the last done attempt, else the last failed one."""
    if len({str(name)[:16] for name in names}) == len(names):
        return set(names)
    best: dict[str, tuple[bool, int, object]] = {}
    for name in names:
        fingerprint, attempt, status, _ = str(name).split(".")
        rank = (status == "done", int(attempt), name)
        if fingerprint not in best or rank[:2] > best[fingerprint][:2]:
            best[fingerprint] = rank
    return {name for _, _, name in best.values()}


def _held(path: Path, wanted: Sequence[str] | None) -> Columns | None:
    """The index's columns; None where there is no index, or one that is damaged or of other code."""
    found: Columns = {}
    try:
        with path.open("rb") as file:
            head = json.loads(file.readline())
            if head["made_by"] != versions.INDEX:
                return None
            left = set(head["columns"] if wanted is None else wanted)
            for name in head["columns"]:
                line = file.readline()
                if name in left:
                    found[name] = json.loads(line)
                    left.remove(name)
                    if len(found[name]) != head["records"]:
                        return None
                if not left:
                    break
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return found if found.keys() >= set(STAMP) else None


def _renewed(ledger: Ledger, files: Columns, on_unreadable: OnUnreadable) -> Columns:
    """The index brought up to date with `files`, and kept where something has changed."""
    old = _held(ledger.folder / FILE, None) or {name: [] for name in STAMP}
    there = set(_stamped(files))
    kept = {name: place for place, (name, *stamp) in enumerate(_stamped(old)) if (name, *stamp) in there}
    stamps = {name: stamp for name, *stamp in there}
    read = _read(ledger, [name for name in files["file"] if name not in kept], on_unreadable)
    names = sorted([*kept, *read])
    new: Columns = {"file": list(names)}
    new |= {column: [stamps[name][place] for name in names] for place, column in enumerate(STAMP[1:])}
    for column in dict.fromkeys([*LISTED, *old, *(column for row in read.values() for column in row)]):
        if column not in STAMP:
            before = old.get(column)
            new[column] = [read[name].get(column) if name in read else before and before[kept[name]] for name in names]
    if read or len(kept) < len(old["file"]):
        _keep(ledger.folder, new)
    return new


def _stamped(held: Columns) -> Iterator[tuple[object, ...]]:
    """File, size and times of every row."""
    return zip(*(held[column] for column in STAMP), strict=True)


def _read(ledger: Ledger, names: Sequence[str], on_unreadable: OnUnreadable) -> dict[str, dict[str, object]]:
    """The rows of record files, by their names."""
    from suite.records.summary import summary

    if len(names) > MANY:
        note(f"reading {len(names):,} records into the ledger's index; the next time it is there.")
    found = {}
    for name in names:
        try:
            found[name] = summary(ledger.read(name))
        except SuiteError as error:
            if on_unreadable is None:
                raise
            on_unreadable(error)
    return found


def _keep(folder: Path, held: Columns) -> None:
    """Writes the index in one step. What cannot be written is left: the index is a copy, and saves time alone."""
    from suite.records.ledger import TEMPORARY

    head = {"made_by": versions.INDEX, "records": len(held["file"]), "columns": list(held)}
    temporary = None
    with contextlib.suppress(OSError):
        descriptor, name = tempfile.mkstemp(prefix=TEMPORARY, dir=folder)
        temporary = Path(name)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            for line in (head, *held.values()):
                file.write(json.dumps(line, separators=(",", ":"), ensure_ascii=False) + "\n")
        temporary.chmod(0o644)  # mkstemp makes it private; a ledger is read by others
        temporary.replace(folder / FILE)
    if temporary is not None:
        temporary.unlink(missing_ok=True)
