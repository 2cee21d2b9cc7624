"""The ledger: a folder of records, one JSON file an attempt, that is only ever added to.

A file is `<fingerprint>.<attempt>.<status>.json`, so that what is done is known from names alone. It appears whole or
not at all, and is never overwritten. A record that was wrong stays, and a file beside it, `<fingerprint>.<attempt>.retracted.json`, says
why it is not used (suite.records.evidence). The pictures that records name lie in a folder beside them (suite.records.pictures).
One run at a time may add (an advisory lock with its process number); reading needs no lock. Checkpoints of
cells that are not done lie in a work folder beside the ledger and go when the record is in.
"""

from __future__ import annotations

import contextlib
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar

from suite.core.errors import Exit, SuiteError
from suite.core.files import LOCK, remove_left, replacing, take_lock, temporary_file
from suite.core.paths import is_installed, own_folder, shipped_folder

if TYPE_CHECKING:
    from suite.records.record import Attempt

RECORD_NAME = re.compile(r"(?P<fingerprint>[0-9a-f]{16})\.(?P<attempt>\d{3,})\.(?P<status>done|failed)\.json")
RETRACTED = ".retracted.json"  # ends the name of the file that withdraws an attempt
FINGERPRINT = re.compile(r"[0-9a-f]{16}")


@dataclass(frozen=True)
class LedgerEntry:
    """What a file name says of an attempt."""

    fingerprint: str
    attempt: int
    status: Literal["done", "failed"]
    path: Path

    @property
    def mark(self) -> Path:
        """The file that withdraws the attempt where it is there."""
        return self.path.with_name(f"{self.fingerprint}.{self.attempt:03d}{RETRACTED}")


OnUnreadable = Callable[[SuiteError], object]
Attempted = TypeVar("Attempted", bound="LedgerEntry | Attempt")


class Ledger:
    """Records in `folder` (default results/runs, of the checkout or the working folder), checkpoints in `work`, weights in `weights`.

    Of the default ledger, by whatever path it is named, they lie beside the records; of any other, in its folder.
    """

    def __init__(self, folder: Path | None = None, *, work: Path | None = None) -> None:
        default = results_folder() / "runs"
        self.folder = (default if folder is None else Path(folder)).absolute()
        around = default.parent.absolute() if self.folder.resolve() == default.resolve() else self.folder
        self.work = (work or around / "work").absolute()
        self.weights = around / "weights"
        self.logs = around / "logs"

    def entries(self, *, retracted: bool = False) -> list[LedgerEntry]:
        """Return every attempt that counts, by fingerprint and number, or those withdrawn; an absent folder is an empty ledger."""
        every, marks = self._files()
        return [entry for entry in every if (entry.mark.name in marks) == retracted]

    def done(self, fingerprint: str) -> bool:
        """Return True if an attempt at the cell is done, and its record can be read."""
        return bool(self.find_done([fingerprint]))

    def find_done(self, fingerprints: Iterable[str], on_unreadable: OnUnreadable = lambda _error: None) -> dict[str, Attempt]:
        """Return the record of each of the cells that is done: the last done attempt that can be read, and has a number.

        `on_unreadable` hears of those that cannot be read.
        """
        from suite.records.record import Record

        asked = set(fingerprints)
        done = [entry for entry in self.entries() if entry.fingerprint in asked and entry.status == "done"]
        found = _read_standing(done, on_unreadable)
        return {record.fingerprint: record for record in found if not isinstance(record, Record) or record.scores}

    def attempts(self, fingerprint: str) -> int:
        """Return the number of the cell's last attempt, withdrawn or not; 0 where there is none."""
        return max((entry.attempt for entry in self._files()[0] if entry.fingerprint == fingerprint), default=0)

    def latest(self, fingerprint: str) -> Attempt | None:
        """Return the record that stands for the cell (as `records`); None where there is none, SuiteError where none can be read."""
        unreadable: list[SuiteError] = []
        found = next(_read_standing(self._of(fingerprint), unreadable.append), None)
        if found is None and unreadable:
            raise unreadable[0]
        return found

    def read(self, name: str) -> Attempt:
        """Return the record in the file `name` of the ledger's folder; SuiteError with its path where it cannot be read."""
        entry = entry_of(self.folder / name)
        if entry is None:
            raise ValueError(f"{name!r} is not the name of a record's file")
        return _read(entry)

    def records(self, on_unreadable: OnUnreadable | None = None) -> Iterator[Attempt]:
        """Yield one record a cell: the last done attempt, else the last failed one (`pick_standing`).

        A file that cannot be read raises `SuiteError` with its path; with `on_unreadable` it is handed over, and the attempt before it
        stands for the cell.
        """
        yield from _read_standing(self.entries(), on_unreadable)

    def add(self, record: Attempt) -> Path:
        """Write the record, its pictures first, and return its path; `SuiteError` where the attempt is there or cannot be written."""
        from suite.records.pictures import PICTURES_FOLDER
        from suite.records.record import dump

        _checked(record.fingerprint)
        if any((entry.fingerprint, entry.attempt) == (record.fingerprint, record.attempt) for entry in self._files()[0]):
            raise SuiteError(
                f"attempt {record.attempt} of cell {record.fingerprint} is already in {self.folder}; a record is never overwritten.",
                exit=Exit.UNEXPECTED,
            )
        path = self.folder / f"{record.fingerprint}.{record.attempt:03d}.{record.status}.json"
        try:
            for picture in record.pictures:
                picture.keep(self.folder / PICTURES_FOLDER)
            with replacing(path, overwrite=False) as file:
                file.write(dump(record).encode())
        except OSError as error:
            raise _unwritable(self.folder, error) from error
        return path

    def work_folder(self, fingerprint: str) -> Path:
        """Return where the cell keeps its checkpoint; the folder is not made."""
        return self.work / _checked(fingerprint)

    def find_work(self, names: Sequence[str]) -> Path:
        """Return the first work folder of these names that is there, or else that of the first name; the folder is not made."""
        folders = [self.work_folder(name) for name in names]
        return next((folder for folder in folders if folder.is_dir()), folders[0])

    def clear_work(self, fingerprint: str) -> None:
        """Remove the cell's work folder, if there is one."""
        folder = self.work_folder(fingerprint)
        if folder.is_dir():
            shutil.rmtree(folder)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the ledger for one run: prove that it can be written, and clear what killed runs left half written."""
        from suite.records.pictures import PICTURES_FOLDER

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
                for folder in (self.folder, self.folder / PICTURES_FOLDER, self.work, self.weights):
                    remove_left(folder)
                with temporary_file(self.folder):
                    pass
            except OSError as error:
                raise _unwritable(self.folder, error) from error
            yield

    def _files(self) -> tuple[list[LedgerEntry], set[str]]:
        """Return all attempts, by fingerprint and number, and the names of the marks that withdraw some."""
        paths = list(self.folder.iterdir()) if self.folder.is_dir() else []
        found = [entry for path in paths if (entry := entry_of(path)) is not None]
        marks = {path.name for path in paths if path.name.endswith(RETRACTED)}
        return sorted(found, key=lambda entry: (entry.fingerprint, entry.attempt)), marks

    def _of(self, fingerprint: str) -> list[LedgerEntry]:
        return [entry for entry in self.entries() if entry.fingerprint == fingerprint]


def results_folder() -> Path:
    """Return the folder of the user's own ledger; in a checkout, the evidence that is kept with the code is in it, too."""
    return own_folder("results")


def evidence_folder() -> Path:
    """Return the folder of the evidence that comes with the code; it need not exist."""
    return (shipped_folder("results") if is_installed() else results_folder()) / "evidence"


def entry_of(path: Path) -> LedgerEntry | None:
    """Return what the name of a file says; None for a file that is not a record's."""
    match = RECORD_NAME.fullmatch(path.name)
    if match is None:
        return None
    return LedgerEntry(match["fingerprint"], int(match["attempt"]), "done" if match["status"] == "done" else "failed", path)


def _checked(fingerprint: str) -> str:
    """Return the fingerprint, which becomes part of a path; SuiteError for anything else, for a record may come from another machine."""
    if FINGERPRINT.fullmatch(fingerprint) is None:
        raise SuiteError(
            f"{fingerprint!r} is not a fingerprint of a cell (16 hexadecimal digits); nothing was written.", exit=Exit.UNEXPECTED
        )
    return fingerprint


def pick_standing(attempts: Iterable[Attempted]) -> tuple[Attempted, ...]:
    """Return the attempt that stands for each cell: the last done one, else the last failed one; in the order of the cells given."""
    best: dict[str, Attempted] = {}
    for one in attempts:
        held = best.get(one.fingerprint)
        if held is None or (one.status == "done", one.attempt) >= (held.status == "done", held.attempt):
            best[one.fingerprint] = one
    return tuple(best.values())


def _read_standing(entries: Iterable[LedgerEntry], on_unreadable: OnUnreadable | None) -> Iterator[Attempt]:
    """Yield the record of each cell that stands for it among those that can be read; the others are handed over, or raised."""
    cells: dict[str, list[LedgerEntry]] = {}
    for entry in entries:
        cells.setdefault(entry.fingerprint, []).append(entry)
    for attempts in cells.values():
        for entry in sorted(attempts, key=lambda one: (one.status == "done", one.attempt), reverse=True):
            try:
                record = _read(entry)
            except SuiteError as error:
                if on_unreadable is None:
                    raise
                on_unreadable(error)
                continue
            yield record
            break


def _read(entry: LedgerEntry) -> Attempt:
    from suite.records.load import load  # pydantic and the catalogue: not for a list of names
    from suite.records.pictures import PICTURES_FOLDER

    try:
        text = entry.path.read_text(encoding="utf-8-sig")  # an editor may have put a byte-order mark there
    except (OSError, UnicodeDecodeError) as error:
        raise SuiteError(
            f"{entry.path} cannot be read ({type(error).__name__}: {error}). Move it away to go on.", exit=Exit.NOT_READY
        ) from error
    record = load(text, origin=str(entry.path), pictures=entry.path.parent / PICTURES_FOLDER)
    if (record.fingerprint, record.attempt, record.status) != (entry.fingerprint, entry.attempt, entry.status):
        raise SuiteError(
            f"{entry.path} holds attempt {record.attempt} of cell {record.fingerprint} ({record.status}), not what its name says. "
            "Move it away to go on.",
            exit=Exit.NOT_READY,
        )
    return record


def _unwritable(folder: Path, error: OSError) -> SuiteError:
    return SuiteError(
        f"the ledger {folder} cannot be written: {error.strerror or error}. Give it space or permission, or use another "
        "ledger with --ledger DIR; what was recorded stays, and the same command continues.",
        exit=Exit.NOT_READY,
    )


def older_weights_file(folder: Path, fingerprint: str) -> Path:
    """Return the file in which the weights of a cell lie that was trained before files had readable names (suite.records.trainings)."""
    return folder / f"{fingerprint}.pt"


LISTED_COLUMNS = ("cell", "model", "seed", "task", "budget", "iterations", "status", "attempt", "quality")  # what `list records` shows
