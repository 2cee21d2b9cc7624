"""Pictures of records: PNG files in the folder `pictures` beside the records, each named by the sha256 of its content.

A record holds the names alone, so that lists and tables read no picture, and cells that made the same picture share its file. A new
picture is in memory, travels with its record from a worker to the ledger, and is written before the record that names it. So a run that
was killed, or a record that was removed by hand, can leave a picture that no record names: it harms nothing, and may be removed.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from pydantic import PlainSerializer, PlainValidator, ValidationInfo

from suite.core.errors import Exit, SuiteError
from suite.core.files import replacing

PICTURES_FOLDER = "pictures"  # in the ledger's folder
SHA256 = re.compile(r"[0-9a-f]{64}")
PNG_HEAD = b"\x89PNG\r\n\x1a\n"
SMALLEST = 24  # bytes, up to width and height
LARGEST_MIB = 16  # of a file, which may come from anyone; a detail has some ten thousand bytes
NAMED = 3  # pictures in a warning
HELP = f"Copy {PICTURES_FOLDER}/ from where the records were made, beside their files."


class UnreadablePicture(SuiteError):
    """Says which picture of a record cannot be read and why; `note` says it in a few words, without a path."""

    def __init__(self, sha256: str, reason: str) -> None:
        super().__init__(f"the picture {PICTURES_FOLDER}/{sha256}.png {reason}. {HELP}", exit=Exit.NOT_READY)
        self.note = f"the picture {sha256[:12]}… {reason}"


@dataclass(frozen=True)
class Png:
    """A picture by its sha256, and where its bytes are: in memory, or in a ledger's folder of pictures. Equal by content."""

    sha256: str
    data: bytes | None = field(default=None, compare=False, repr=False)
    folder: Path | None = field(default=None, compare=False, repr=False)

    @classmethod
    def of(cls, data: bytes) -> Png:
        """Make the picture of a PNG file's bytes."""
        return cls(hashlib.sha256(data).hexdigest(), data)

    @classmethod
    def of_text(cls, text: str) -> Png:
        """Make the picture of the base64 text that records of schema 2 and older hold; other text stays as it is, and is unreadable."""
        try:
            return cls.of(base64.b64decode(text, validate=True))
        except ValueError:  # not base64, or not ASCII
            return cls.of(text.encode("utf-8", "surrogatepass"))

    def read(self) -> bytes:
        """Return the PNG file's bytes; UnreadablePicture where they are missing, damaged, too many, or not a PNG."""
        data = self._file() if self.data is None else self.data
        if hashlib.sha256(data).hexdigest() != self.sha256:
            raise UnreadablePicture(self.sha256, "is damaged: its content does not have the sha256 in its name")
        if not data.startswith(PNG_HEAD) or len(data) < SMALLEST:
            raise UnreadablePicture(self.sha256, "is not a PNG")
        return data

    @property
    def _path(self) -> Path | None:
        return None if self.folder is None else self.folder / f"{self.sha256}.png"

    @property
    def is_there(self) -> bool:
        """Tell whether its file is there; a pipe is not, which could be waited for without end."""
        return self._path is not None and self._path.is_file()

    def _file(self) -> bytes:
        path = self._path
        if path is None or not self.is_there:
            raise UnreadablePicture(self.sha256, "is missing")
        try:
            with path.open("rb") as file:
                data = file.read(LARGEST_MIB * 2**20 + 1)
        except OSError as error:
            raise UnreadablePicture(self.sha256, f"cannot be read ({error.strerror or error})") from error
        if len(data) > LARGEST_MIB * 2**20:
            raise UnreadablePicture(self.sha256, f"has more than {LARGEST_MIB} MiB")
        return data

    def keep(self, folder: Path) -> None:
        """Write the picture to `folder` unless it is there and whole; OSError where it cannot be written."""
        try:
            Png(self.sha256, folder=folder).read()
        except UnreadablePicture:
            with replacing(folder / f"{self.sha256}.png") as file:
                file.write(self.read() if self.data is None else self.data)


def _validate(value: object, info: ValidationInfo) -> Png:
    """Return the picture itself, or the one that a name stands for in the folder `pictures` of the context."""
    if isinstance(value, Png):
        return value
    if not isinstance(value, str) or SHA256.fullmatch(value) is None:  # it becomes part of a path, and may come from anyone
        raise ValueError("a picture is named by the 64 hexadecimal digits of its sha256")
    return Png(value, folder=(info.context or {}).get(PICTURES_FOLDER))


PictureField = Annotated[Png, PlainValidator(_validate), PlainSerializer(lambda picture: picture.sha256, return_type=str)]


def check_pictures(pictures: Iterable[Png], on_missing: Callable[[SuiteError], None]) -> None:
    """Hand over one error that names the first of `pictures` whose files are missing, and how many they are, if there are any.

    No file is read: a damaged one is named where it is shown.
    """
    missing = [picture for picture in dict.fromkeys(pictures) if picture.data is None and not picture.is_there]
    if missing:
        named = ", ".join(f"{PICTURES_FOLDER}/{picture.sha256}.png" for picture in missing[:NAMED])
        more = f" and {len(missing) - NAMED} more" if len(missing) > NAMED else ""
        what = "1 picture that a record names is" if len(missing) == 1 else f"{len(missing)} pictures that records name are"
        on_missing(SuiteError(f"{what} missing: {named}{more}. {HELP}", exit=Exit.NOT_READY))
