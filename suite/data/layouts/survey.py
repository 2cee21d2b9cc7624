"""What lies in folders beside the images that are taken: every verb names it, and why it is left out; what is at fault is an error.

A link that leads nowhere, and a folder that must not be read, are faults: there may be images that nobody sees, and a mean over the
others would be of fewer images without a word.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from suite.core.errors import Exit, SuiteError
from suite.data.images import check_readable, is_image, scan_folder
from suite.data.layouts.pairing import shorten
from suite.data.layouts.walk import walk_files
from suite.data.opener import IMAGE_SUFFIXES

# Endings of pictures that are not read; not all of them: it is only said more exactly what they are.
UNREAD_SUFFIXES = frozenset(
    f".{ending}"
    for group in (
        "heic heif avifs jxl jxr svg psd psb xcf ai eps pdf ico icns exr hdr pfm pcx sgi dds",
        "raw dng cr2 cr3 nef arw orf rw2 raf pef srw mp4 mov avi webm",
    )
    for ending in group.split()
)


@dataclass(frozen=True)
class Survey:
    """Sentences on what is left out of each folder, and on what is at fault."""

    left_out: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()

    def check(self) -> None:
        """Raise SuiteError where something is at fault."""
        if self.faults:
            raise SuiteError(f"{'; '.join(self.faults)}. Put right what is named, or take it out.", exit=Exit.NOT_READY)


def survey(taken: Iterable[Path], folders: Iterable[Path] = (), *, deep: bool = False) -> Survey:
    """Look at what else lies in the folders of the files `taken`, and in `folders`; `deep`: folders in them were looked into, too.

    Files with the ending of an image that were not taken are not named: whoever chose among them has said why.
    """
    files = set(taken)
    parents = {path.parent for path in files}
    places = set(folders) | parents
    said = files | places | {up for parent in parents for up in parent.parents}
    left, faults = [], []
    for folder in sorted(places):
        reasons: dict[str, list[str]] = {}
        for entry in scan_folder(folder):
            if Path(entry.path) not in said and (why := _why_left_out(entry)) and not (deep and why == A_FOLDER):
                reasons.setdefault(why, []).append(entry.name)
        lost = reasons.pop(LEADS_NOWHERE, [])
        faults += [f"{folder} holds {_count(len(lost), 'link')} to what is not there ({shorten(lost)})"] if lost else []
        if reasons:
            number = sum(map(len, reasons.values()))
            parts = [f"{len(names)} {why} ({shorten(names)})" for why, names in reasons.items()]
            left.append(f"{number} left out in {folder}: {'; '.join(parts)}")
    return Survey(tuple(left), tuple(faults))


LEADS_NOWHERE, A_FOLDER = "a link that leads nowhere", "as a folder, not looked into"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"


def _why_left_out(entry: os.DirEntry[str]) -> str:
    """Say why an entry that is not taken is left out; empty where it need not be said."""
    ending = os.path.splitext(entry.name)[1].lower()  # noqa: PTH122
    if entry.name.startswith("."):
        return "hidden" if ending in IMAGE_SUFFIXES else ""
    if is_image(entry):
        return ""
    if entry.is_symlink() and not os.access(entry.path, os.F_OK):
        return LEADS_NOWHERE if not ending else "without an image's ending"
    if Path(entry.path).is_dir():
        return A_FOLDER
    if ending in IMAGE_SUFFIXES:
        return "no regular file"
    return "of a format that is not read here" if ending in UNREAD_SUFFIXES else "without an image's ending"


def check_images(files: Iterable[Path]) -> Survey:
    """Return what is left out beside the image files that are to be used; SuiteError where one, or something beside them, is at fault."""
    files = list(files)
    check_readable(files)
    found = survey(files)
    found.check()
    return found


@dataclass(frozen=True)
class Below:
    """The images below a folder, sorted; what is left out; and the folders and links that cannot be read: why."""

    images: tuple[Path, ...]
    left_out: tuple[str, ...]
    faults: Mapping[Path, SuiteError]


def find_below(folder: Path) -> Below:
    """Find the images in `folder` and its folders, but for hidden ones (walk.py); SuiteError where `folder` cannot be read."""
    faults: dict[Path, SuiteError] = {}
    files = list(walk_files(folder, faults))
    images = [path for path in files if is_image(path)]
    for path in files:
        if not path.suffix and path.is_symlink() and not os.access(path, os.F_OK):
            faults[path] = SuiteError(f"{path} is a link to {path.readlink()}, which is not there.", exit=Exit.NOT_READY)
    left_out = survey(images, {folder} | {path.parent for path in files}, deep=True).left_out
    return Below(tuple(sorted(images)), left_out, faults)
