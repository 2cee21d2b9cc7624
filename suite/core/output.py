"""Where text goes: results to standard output or a file, everything else to standard error; and CSV for spreadsheets."""

from __future__ import annotations

import codecs
import contextlib
import csv
import io
import json
import os
import shutil
import sys
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from types import MappingProxyType
from typing import TextIO

from suite.core.errors import Exit, SuiteError
from suite.core.files import write_whole
from suite.core.text import readable

GAP = "  "  # between columns
FORMULA = ("=", "+", "-", "@")  # with which a spreadsheet takes a text for a formula
PLAINLY = "suite.plainly"  # the handler's name among those of codecs
PLAIN: Mapping[str, str] = MappingProxyType(
    {"·": "-", "−": "-", "–": "-", "×": "x", "±": "+-", "…": "...", "→": "->", "≥": ">=", "≤": "<=", "≠": "!="}
)
TO_OUTPUT = "-"  # the file's name that means standard output


class Output:
    """Standard output, kept clear of what libraries print: `main` sends that to standard error.

    In a terminal, tables and sentences fold at its width, unless `wide`. Elsewhere a row is one line, so that programs can read it.
    """

    def __init__(self, stream: TextIO, *, wide: bool = False) -> None:
        self._stream = stream
        self._folds = not wide and stream.isatty()

    def write(self, text: str) -> None:
        """Write `text` as it stands: documents for programs.

        SuiteError where the stream takes nothing, BrokenPipeError where nobody reads.
        """
        with explain_lost():
            self._stream.write(text)

    def line(self, text: str = "") -> None:
        """Write a line for a person, folded between words; a longer word, such as a path, stays whole."""
        room = self._room()
        if room and len(text) > room:
            indent = " " * (len(text) - len(text.lstrip()) + 2)
            text = textwrap.fill(text, room, subsequent_indent=indent, break_on_hyphens=False, break_long_words=False)
        self.write(text + "\n")

    def document(self, value: object) -> None:
        """Write the one document of `--json`."""
        text = json.dumps(value, indent=1, ensure_ascii=not self._is_utf8())
        self.write(text.encode("utf-8", "backslashreplace").decode() + "\n")  # of a name that is no UTF-8, as JSON writes it

    def csv(self, text: str, destination: str, what: str) -> None:
        """Write CSV to the file `destination`, or to standard output for TO_OUTPUT.

        SuiteError where it cannot be written; then it is on standard output, so that what was measured is not lost.
        """
        if destination == TO_OUTPUT:
            self.write(text)
            return
        path, instead = Path(destination), f"The {what} are on standard output in its place."
        try:
            if not path.parent.is_dir():  # a folder is not made of a slip of the finger
                raise SuiteError(f"{path} cannot be written: there is no folder {path.parent}. {instead}", exit=Exit.NOT_READY)
            write_whole(path, text.encode("utf-8", "backslashreplace"), instead)
        except SuiteError:
            self.write(text)
            raise
        self.line(f"{what}: {destination}")

    def table(self, rows: Sequence[Mapping[str, object]]) -> None:
        """Write rows with equal keys as aligned columns under upper-case titles; None and empty are blank.

        Where the terminal is too narrow for the longest word of each column, each row is written as a list of titles and values.
        """
        if not rows:
            return
        titles = [str(key).upper() for key in rows[0]]
        texts = [["" if value is None else str(value) for value in row.values()] for row in rows]
        room = self._room()
        if widths := _widths([titles, *texts], room):
            self._columns([titles, *texts], widths)
            return
        left = max(map(len, titles))
        for number, text in enumerate(texts):
            self.write("\n" if number else "")
            pairs = [pair for pair in zip(titles, text, strict=True) if pair[1]]
            self._columns(pairs, [left, max(1, room - left - len(GAP))])

    def _is_utf8(self) -> bool:
        return (self._stream.encoding or "utf-8").lower().replace("-", "") == "utf8"

    def _room(self) -> int | None:
        """Return how many characters a line may have; None where that is not bounded."""
        return shutil.get_terminal_size().columns if self._folds else None

    def _columns(self, texts: Sequence[Sequence[str]], widths: Sequence[int]) -> None:
        """Write `texts` line by line, each in its column; what is longer than its column goes on below."""
        pattern = GAP.join(f"{{:<{width}}}" for width in widths)  # one call a line: a ledger has a hundred thousand
        for text in texts:
            for line in zip_longest(*map(_fold, text, widths), fillvalue="") if self._folds else (text,):
                self.write(pattern.format(*line).rstrip() + "\n")


@contextlib.contextmanager
def explain_lost() -> Iterator[None]:
    """Turn what fails in the block while standard output is written into a SuiteError; a reader that stopped is no fault."""
    try:
        yield
    except BrokenPipeError:
        raise
    except (OSError, ValueError) as error:  # a closed stream raises a ValueError
        why = getattr(error, "strerror", None) or error
        raise SuiteError(
            f"standard output cannot be written: {why}. What was to be printed is lost; what was recorded stays. Send it elsewhere.",
            exit=Exit.NOT_READY,
        ) from error


def open_streams() -> None:
    """Make the standard streams take any text: a letter that their encoding lacks becomes a plain one, or its number.

    A descriptor that the caller closed is given to the null device, so that no file of ours gets its number. SuiteError where standard
    output was closed: nothing that is measured could be told.
    """
    closed = sys.stdout is None
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free: this one
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123 - for the life of the process
    codecs.register_error(PLAINLY, _write_plainly)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=PLAINLY)
    if closed:
        raise SuiteError("standard output is closed, and results go there. Give it a file, or > /dev/null.", exit=Exit.NOT_READY)


def drop_output() -> None:
    """Send what standard output still holds back to the null device: nothing more can be told there."""
    with contextlib.suppress(OSError, ValueError, AttributeError):  # of a stream that is no file
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _write_plainly(error: UnicodeError) -> tuple[str, int]:
    """Return what stands for the letters that cannot be encoded, and where to go on: a handler of codecs."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    letters = readable(error.object[error.start : error.end])
    return "".join(PLAIN.get(letter) or letter.encode("ascii", "backslashreplace").decode() for letter in letters), error.end


def _widths(texts: Sequence[Sequence[str]], room: int | None) -> list[int] | None:
    """Return the columns' widths, the widest folded first and none below its longest word; None where these do not fit in `room`."""
    columns = list(zip(*texts, strict=True))
    widths = [max(map(len, column)) for column in columns]
    if room is None:
        return widths
    room -= len(GAP) * (len(widths) - 1)
    if sum(widths) <= room:
        return widths
    least = [max(map(len, " ".join(column).split()), default=0) for column in columns]
    if sum(least) > room:
        return None
    while sum(widths) > room:
        *_, widest = max((width, place) for place, width in enumerate(widths) if width > least[place])
        widths[widest] -= 1
    return widths


def _fold(text: str, width: int) -> list[str]:
    """Break `text` between words into lines of `width`; a longer word is broken, too."""
    return [text] if len(text) <= width else textwrap.wrap(text, width, break_on_hyphens=False)


def csv_of(head: Sequence[str], rows: Iterable[Iterable[object]]) -> str:
    """Return CSV of a head and lines; None is empty."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(head)
    writer.writerows([_safe_cell(value) for value in row] for row in rows)
    return buffer.getvalue()


def _safe_cell(value: object) -> object:
    """Return `value` as a spreadsheet may be given it: texts in one line, none a formula; numbers are numbers, whatever their sign."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if not isinstance(value, str):
        return value
    text = " ".join(value.split())
    return f"'{text}" if text.startswith(FORMULA) else text


def printable(text: str) -> str:
    """Return a text of a stranger's as a terminal may be given it: what moves its cursor or changes its colours is spelt out."""
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)


def note(text: str) -> None:
    """Write a line for a person to standard error."""
    sys.stderr.write(text + "\n")
