"""The ledger: a folder of records, one JSON file an attempt, that is only ever added to.

A file is `<fingerprint>.<attempt>.<status>.json`, so that what is done is known from names alone. It appears whole or
not at all: it is written under a temporary name, synced, and linked to its own name, which fails rather than
overwrite. One run at a time may add (an advisory lock with its process number); reading needs no lock. Checkpoints of
cells that are not done lie in a work folder beside the ledger and go when the record is in.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from suite.core.errors import Exit, SuiteError
from suite.core.files import LOCK, take_lock
from suite.core.paths import project_folder

if TYPE_CHECKING:
    from suite.records.record import Attempt

NAME = re.compile(r"(?P<fingerprint>[0-9a-f]{16})\.(?P<attempt>\d{3,})\.(?P<status>done|failed)\.json")
FINGERPRINT = re.compile(r"[0-9a-f]{16}")
TEMPORARY = ".new-"  # begins the name of a file that is being written
NO_HARD_LINKS = (errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EACCES)  # exFAT, some network folders


@dataclass(frozen=True)
class Entry:
    """What a file name says of an attempt."""

    fingerprint: str
    attempt: int
    status: Literal["done", "failed"]
    path: Path


class Ledger:
    """Records in `folder` (default results/runs of the checkout), checkpoints in `work`, the weights of finished cells in `weights`."""

    def __init__(self, folder: Path | None = None, *, work: Path | None = None) -> None:
        results = project_folder("results") if folder is None else None
        self.folder = (results / "runs" if results else Path(folder)).absolute()
        self.work = (work or (results / "work" if results else self.folder / "work")).absolute()
        self.weights = (results / "weights" if results else self.folder / "weights").absolute()
        self.logs = (results / "logs" if results else self.folder / "logs").absolute()

    def entries(self) -> list[Entry]:
        """Every attempt, by fingerprint and number; an absent folder is an empty ledger."""
        if not self.folder.is_dir():
            return []
        found = [entry for path in self.folder.iterdir() if (entry := _entry(path)) is not None]
        return sorted(found, key=lambda entry: (entry.fingerprint, entry.attempt))

    def done(self, fingerprint: str) -> bool:
        """Whether an attempt at the cell is done."""
        return any(entry.status == "done" for entry in self._of(fingerprint))

    def attempts(self, fingerprint: str) -> int:
        """Number of the cell's last attempt; 0 where there is none."""
        return max((entry.attempt for entry in self._of(fingerprint)), default=0)

    def latest(self, fingerprint: str) -> Attempt | None:
        """The record that stands for the cell: the last done one, else the last failed one."""
        entry = _standing(self._of(fingerprint))
        return _read(entry) if entry else None

    def read(self, name: str) -> Attempt:
        """The record in the file `name` of the ledger's folder; SuiteError with its path where it cannot be read."""
        entry = _entry(self.folder / name)
        if entry is None:
            raise ValueError(f"{name!r} is not the name of a record's file")
        return _read(entry)

    def records(self, on_unreadable: Callable[[SuiteError], None] | None = None) -> Iterator[Attempt]:
        """One record a cell, as `latest`.

        A file that cannot be read raises `SuiteError` with its path; with `on_unreadable` it is handed over and the rest follow.
        """
        cells: dict[str, list[Entry]] = {}
        for entry in self.entries():
            cells.setdefault(entry.fingerprint, []).append(entry)
        for attempts in cells.values():
            entry = _standing(attempts)
            if entry is None:
                continue
            try:
                record = _read(entry)
            except SuiteError as error:
                if on_unreadable is None:
                    raise
                on_unreadable(error)
                continue
            yield record

    def add(self, record: Attempt) -> Path:
        """Writes the record and returns its path; `SuiteError` where the attempt is already there or cannot be written."""
        from suite.records.record import dump

        _checked(record.fingerprint)
        if any(entry.attempt == record.attempt for entry in self._of(record.fingerprint)):
            raise SuiteError(
                f"attempt {record.attempt} of cell {record.fingerprint} is already in {self.folder}; a record is never overwritten.",
                exit=Exit.UNEXPECTED,
            )
        path = self.folder / f"{record.fingerprint}.{record.attempt:03d}.{record.status}.json"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            _write_new(path, dump(record))
        except OSError as error:
            raise _unwritable(self.folder, error) from error
        return path

    def work_folder(self, fingerprint: str) -> Path:
        """Where the cell keeps its checkpoint; not made here."""
        return self.work / _checked(fingerprint)

    def clear_work(self, fingerprint: str) -> None:
        """Removes the cell's work folder, if there is one."""
        folder = self.work_folder(fingerprint)
        if folder.is_dir():
            shutil.rmtree(folder)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Holds the ledger for one run: proves that it can be written, and clears what killed runs left half written."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self.work.mkdir(parents=True, exist_ok=True)
            handle = (self.folder / LOCK).open("a+", encoding="ascii")
        except OSError as error:
            raise _unwritable(self.folder, error) from error
        with handle:
            holder = take_lock(handle)
            if holder is not None:
                raise SuiteError(
                    f"another run (process {holder}) is writing to the ledger {self.folder}. "
                    "Wait until it ends, stop it, or use another ledger with --ledger DIR.",
                    exit=Exit.NOT_READY,
                )
            try:
                for torn in (torn for folder in (self.folder, self.work, self.weights) for torn in folder.glob(f"{TEMPORARY}*")):
                    torn.unlink(missing_ok=True)
                probe, name = tempfile.mkstemp(prefix=TEMPORARY, dir=self.folder)
                os.close(probe)
                Path(name).unlink()
            except OSError as error:
                raise _unwritable(self.folder, error) from error
            yield

    def _of(self, fingerprint: str) -> list[Entry]:
        return [entry for entry in self.entries() if entry.fingerprint == fingerprint]


def _entry(path: Path) -> Entry | None:
    """What the name of a file says; None for a file that is no record's."""
    match = NAME.fullmatch(path.name)
    if match is None:
        return None
    return Entry(match["fingerprint"], int(match["attempt"]), "done" if match["status"] == "done" else "failed", path)


def _checked(fingerprint: str) -> str:
    """The fingerprint, which becomes part of a path: nothing else may, for a record may come from another machine."""
    if FINGERPRINT.fullmatch(fingerprint) is None:
        raise SuiteError(f"{fingerprint!r} is no fingerprint of a cell (16 hexadecimal digits); nothing was written.", exit=Exit.UNEXPECTED)
    return fingerprint


def _standing(entries: list[Entry]) -> Entry | None:
    done = [entry for entry in entries if entry.status == "done"]
    return max(done or entries, key=lambda entry: entry.attempt, default=None)


def _read(entry: Entry) -> Attempt:
    from suite.records.load import load  # pydantic and the catalogue: not for a list of names

    try:
        text = entry.path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SuiteError(
            f"{entry.path} cannot be read ({type(error).__name__}: {error}). Move it away to go on.", exit=Exit.NOT_READY
        ) from error
    record = load(text, origin=str(entry.path))
    if (record.fingerprint, record.attempt, record.status) != (entry.fingerprint, entry.attempt, entry.status):
        raise SuiteError(
            f"{entry.path} holds attempt {record.attempt} of cell {record.fingerprint} ({record.status}), not what its name says. "
            "Move it away to go on.",
            exit=Exit.NOT_READY,
        )
    return record


def _write_new(path: Path, text: str) -> None:
    """Writes a file that must not exist yet, so that it is seen whole or not at all; OSError where it cannot be."""
    descriptor, name = tempfile.mkstemp(prefix=TEMPORARY, dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as handle:
            handle.write(text)
            handle.flush()
            os.fsync(handle.fileno())
        temporary.chmod(0o644)  # mkstemp makes it private; a ledger is read by others
        try:
            os.link(temporary, path)
        except OSError as error:
            if error.errno not in NO_HARD_LINKS or path.exists():
                raise
            temporary.rename(path)  # no hard links here: the lock and the check above stand in for them
    finally:
        temporary.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _unwritable(folder: Path, error: OSError) -> SuiteError:
    return SuiteError(
        f"the ledger {folder} cannot be written: {error.strerror or error}. Give it space or permission, or use another "
        "ledger with --ledger DIR; what was recorded stays, and the same command continues.",
        exit=Exit.NOT_READY,
    )


def weights_file(folder: Path, fingerprint: str) -> Path:
    """Where the weights of a cell lie."""
    return folder / f"{fingerprint}.pt"


LISTED = ("cell", "model", "seed", "task", "budget", "iterations", "status", "attempt", "quality")  # what `list records` shows
