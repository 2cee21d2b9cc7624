"""Files and folders below others: through linked folders too, and whatever the case of names and the form of their accents."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from suite.core.errors import SuiteError
from suite.core.output import note
from suite.data.images import open_folder
from suite.data.layouts.pairing import fold_name, shorten

_Identity = tuple[int, int]  # of a folder: device and inode, whatever the path that leads to it
_said: set[Path] = set()


def walk_files(base: Path, faults: dict[Path, SuiteError] | None = None) -> Iterator[Path]:
    """Yield what is no folder below `base`, hidden names left out; the paths are those through which it was reached.

    A folder that is reached by several ways is read once, by its own place where that is below `base`; standard error names the links that
    are not followed. SuiteError where a folder cannot be read; with `faults`, that of a folder below `base` is put there by its path.
    """
    seen: set[_Identity] = {_identity(base)}
    links: list[Path] = []
    yield from _below(_entries(base), seen, links, faults)
    skipped = []
    while links:  # own folders first, then what links lead to
        link = links.pop(0)
        identity = _identity(link)
        if identity in seen or _leads_up(link, base):
            skipped.append(link.relative_to(base).as_posix())
            continue
        seen.add(identity)
        yield from _inside(link, seen, links, faults)
    if skipped and base not in _said:
        _said.add(base)
        note(f"{len(skipped)} linked folders in {base} lead to folders that are read already, or above: left out ({shorten(skipped)}).")


def _leads_up(link: Path, base: Path) -> bool:
    """Return whether a link leads to a folder that it lies in, or that `base` lies in."""
    inside = (link.parent.resolve(), base.resolve())
    return link.resolve() in {above for folder in inside for above in (folder, *folder.parents)}


def folders_in(place: Path) -> list[Path]:
    """Return the sub-folders of `place`, linked ones too, by name; hidden ones are left out."""
    with scan(place) as entries:
        folders = [entry.path for entry in entries if _is_folder(entry)]
    return [Path(path) for path in sorted(folders)]


class Folders:
    """Folders below others, whatever the case of their names and however their accents are stored; what a folder holds is read once."""

    def __init__(self) -> None:
        self._held: dict[Path, dict[str, str]] = {}

    def below(self, base: Path, relative: str) -> Path | None:
        """Return the folder, or the file, `relative` below `base`; None where it is not there."""
        place = base
        for part in Path(relative).parts:
            exact = place / part
            if not exact.exists():
                like = self._names(place).get(fold_name(part))
                if like is None:
                    return None
                exact = place / like
            place = exact
        return place if place.exists() and (place.is_dir() or place.suffix.lower() == ".mat") else None

    def _names(self, folder: Path) -> dict[str, str]:
        if folder not in self._held:
            names = [entry.name for entry in reversed(_entries(folder))] if folder.is_dir() else []
            self._held[folder] = {fold_name(name): name for name in names}
        return self._held[folder]


def _inside(folder: Path, seen: set[_Identity], links: list[Path], faults: dict[Path, SuiteError] | None) -> Iterator[Path]:
    try:
        entries = _entries(folder)
    except SuiteError as error:
        if faults is None:
            raise
        faults[folder] = error
        return
    yield from _below(entries, seen, links, faults)


def _below(
    entries: list[os.DirEntry[str]], seen: set[_Identity], links: list[Path], faults: dict[Path, SuiteError] | None
) -> Iterator[Path]:
    for entry in entries:
        path = Path(entry.path)
        if not _is_folder(entry):
            yield path
        elif entry.is_symlink():
            links.append(path)
        elif (identity := _identity(path)) not in seen:
            seen.add(identity)
            yield from _inside(path, seen, links, faults)


@contextlib.contextmanager
def scan(folder: Path) -> Iterator[Iterator[os.DirEntry[str]]]:
    """Open a folder and give what lies in it, hidden names left out; SuiteError where it cannot be read."""
    with open_folder(folder) as entries:
        yield (entry for entry in entries if not entry.name.startswith("."))


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    with scan(folder) as entries:
        return sorted(entries, key=lambda entry: entry.name)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _identity(folder: Path) -> _Identity:
    state = folder.stat()
    return state.st_dev, state.st_ino
