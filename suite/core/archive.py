"""Archives that are given to others: zip files of stored members, the same bytes for the same members, and read without trust.

Nothing is compressed, so that no other version of a library writes other bytes, and no small file becomes a large one. Nothing is unpacked:
members are read into memory, and there is one way only to write each field, so that a byte that was changed anywhere is found.
"""

from __future__ import annotations

import contextlib
import re
import struct
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from suite.core.errors import Exit, SuiteError
from suite.core.files import replacing

MOST_MEMBERS = 60_000  # of which a zip file needs no second kind of directory
LARGEST_MIB, LARGEST_MEMBER_MIB = 512, 64
LONGEST_NAME = 200
MEMBER_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*")  # below the archive's root, none hidden
MADE = (1980, 1, 1, 0, 0, 0)  # the first moment that the format knows: when an archive was made is no part of it
MADE_DAY = 0x21  # the same, as the format holds it
UNIX, VERSION = 3, 20  # that members are said to be made by and for
PLAIN_FILE = 0o100644 << 16
END = struct.Struct("<4s4H2LH")  # signature, four counts, size and place of the directory, length of a comment
LOCAL = struct.Struct("<4s5H3L2H")  # what stands before a member's name, and in the directory
ENTRY = struct.Struct("<4s6H3L5H2L")
MEBI = 2**20


class ArchiveRefused(SuiteError):
    """Says what in an archive is not as this suite writes it."""

    def __init__(self, path: Path, what: str) -> None:
        super().__init__(f"{path} is refused: {what}. It is not what `python -m suite bundle` wrote; ask for it anew.", exit=Exit.DRIFT)


def write_archive(path: Path, members: Mapping[str, bytes]) -> None:
    """Write `members`, contents by name, in the order of their names. OSError; SuiteError where they are too many or too large."""
    sizes = [len(data) / MEBI for data in members.values()]
    if len(members) > MOST_MEMBERS or sum(sizes) > LARGEST_MIB or max(sizes, default=0) > LARGEST_MEMBER_MIB:
        raise SuiteError(
            f"{len(members):,} files of {sum(sizes):,.0f} MiB, the largest of {max(sizes):,.0f}, are too many or too large: an archive "
            f"holds {MOST_MEMBERS:,} of {LARGEST_MIB} MiB in all and {LARGEST_MEMBER_MIB} MiB each. Put fewer into it."
        )
    with replacing(path) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(members):
            about = zipfile.ZipInfo(name, MADE)
            about.create_system, about.external_attr = UNIX, PLAIN_FILE
            archive.writestr(about, members[name])


def read_archive(path: Path) -> dict[str, bytes]:
    """Return the contents of the archive's members by name.

    `ArchiveRefused` where it is not one that `write_archive` wrote, SuiteError (Exit.NOT_READY) where it is not a file or cannot be read.
    """
    if not path.is_file():  # a pipe could be waited for without end
        what = "is not a file" if path.exists() else "is not there"
        raise SuiteError(f"{path} {what}. Name the file that `python -m suite bundle` wrote.", exit=Exit.NOT_READY)
    try:
        with path.open("rb") as file:
            return _read(path, file)
    except OSError as error:
        raise SuiteError(f"{path} cannot be read: {error.strerror or error}.", exit=Exit.NOT_READY) from error


def _read(path: Path, file: IO[bytes]) -> dict[str, bytes]:
    _check_end(path, file)
    try:
        with contextlib.closing(zipfile.ZipFile(file)) as archive:
            members = archive.infolist()
            _check_members(path, file, members, archive.start_dir)
            return {one.filename: archive.read(one) for one in members}
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, ValueError, LookupError, struct.error) as error:
        raise ArchiveRefused(path, f"its zip format is damaged ({error or type(error).__name__})") from error


def _check_end(path: Path, file: IO[bytes]) -> None:
    """Check size and number of members by the archive's last bytes, before a library makes an object of each."""
    size = file.seek(0, 2)
    if size > (LARGEST_MIB + 16) * MEBI:
        raise ArchiveRefused(path, f"it has {size / MEBI:,.0f} MiB, and {LARGEST_MIB} is the most")
    if size < END.size:
        raise ArchiveRefused(path, "it is no zip file")
    file.seek(-END.size, 2)
    signature, disk, first_disk, here, count, length, start, comment = END.unpack(file.read(END.size))
    if signature != b"PK\5\6" or comment or disk or first_disk or here != count:
        raise ArchiveRefused(path, "it is no zip file, or something stands behind its end")
    if count > MOST_MEMBERS or length > count * (ENTRY.size + LONGEST_NAME):
        raise ArchiveRefused(path, f"it holds more than {MOST_MEMBERS:,} files, or names that are too long")
    if start + length + END.size != size:
        raise ArchiveRefused(path, "something stands between its parts")
    file.seek(max(0, size - END.size - 20))
    if file.read(4) == b"PK\6\7":
        raise ArchiveRefused(path, "it has a second directory")


def _check_members(path: Path, file: IO[bytes], members: Sequence[zipfile.ZipInfo], end: int) -> None:
    """Check names, sizes and kinds of all members, and that they lie one behind another with nothing between or over them."""
    place, names, seen, directory = 0, [], set(), bytearray()
    for one in members:
        shown = repr(one.orig_filename[:LONGEST_NAME])
        if not MEMBER_NAME.fullmatch(one.orig_filename) or len(one.orig_filename) > LONGEST_NAME:
            raise ArchiveRefused(path, f"{shown} is no name of a file inside it")
        if one.filename.casefold() in seen:
            raise ArchiveRefused(path, f"it holds {shown} twice")
        names.append(one.filename)
        seen.add(one.filename.casefold())
        if one.external_attr != PLAIN_FILE:
            raise ArchiveRefused(path, f"{shown} is a link, a folder or a device, not a plain file")
        if one.compress_type != zipfile.ZIP_STORED or one.compress_size != one.file_size:
            raise ArchiveRefused(path, f"{shown} is compressed")
        if one.file_size > LARGEST_MEMBER_MIB * MEBI:
            raise ArchiveRefused(path, f"{shown} has {one.file_size / MEBI:,.0f} MiB, and {LARGEST_MEMBER_MIB} is the most")
        name, size = one.filename.encode(), one.file_size
        told = VERSION, 0, 0, 0, MADE_DAY, one.CRC, size, size, len(name), 0  # the same in both places
        file.seek(place)
        if file.read(LOCAL.size) != LOCAL.pack(b"PK\3\4", *told) or one.header_offset != place:
            raise ArchiveRefused(path, f"what stands before {shown} is not as it is written")
        directory += ENTRY.pack(b"PK\1\2", UNIX << 8 | VERSION, *told, 0, 0, 0, PLAIN_FILE, place) + name
        place += LOCAL.size + len(name) + size
    file.seek(end)
    if place != end or file.read(len(directory)) != directory or sorted(names) != names:
        raise ArchiveRefused(path, "its files do not lie in order one behind another, or its directory is not as it is written")
