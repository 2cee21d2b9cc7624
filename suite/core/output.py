"""Where text goes: results to standard output, everything else to standard error."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from typing import TextIO


class Output:
    """Standard output, kept clear of what libraries print: `main` sends that to standard error."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def line(self, text: str = "") -> None:
        """Write a line for a person."""
        self._stream.write(text + "\n")

    def document(self, value: object) -> None:
        """Write the one document of `--json`."""
        self.line(json.dumps(value, indent=1, ensure_ascii=False))

    def table(self, rows: Sequence[Mapping[str, object]]) -> None:
        """Write rows with equal keys as aligned columns under upper-case titles; None and empty are blank."""
        if not rows:
            return
        texts = [[str(key).upper() for key in rows[0]], *(["" if value is None else str(value) for value in row.values()] for row in rows)]
        widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
        pattern = "  ".join(f"{{:<{width}}}" for width in widths)  # one call a line: a ledger has a hundred thousand
        for text in texts:
            self._stream.write(pattern.format(*text).rstrip() + "\n")


def note(text: str) -> None:
    """Write a line for a person to standard error."""
    sys.stderr.write(text + "\n")
