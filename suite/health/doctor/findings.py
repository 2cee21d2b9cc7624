"""What a check is, what it is asked and what it finds.

A finding is a problem where something that the suite needs does not work, and a warning where a part is missing that not everyone needs.
Both say what to do. Findings may hold paths: whoever shows them takes out what is private.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "warning", "problem"]


@dataclass(frozen=True)
class Question:
    """The question to a check: its `subject` of the table, and the ledger's folder ("" = the default one)."""

    subject: str = ""
    ledger: str = ""


@dataclass(frozen=True)
class Diagnosis:
    """A line of the doctor's table; without a name of its own it has its check's."""

    check: str
    state: State
    found: str
    mend: str = ""  # what fixes it, as a command where there is one


@dataclass(frozen=True)
class Check:
    """A row of CHECKS."""

    name: str
    function: Callable[[Question], list[Diagnosis]]
    subject: str = ""
    deep: bool = False  # only where it is asked for
    seconds: float = 60.0  # it may take: a driver or a file system may hang; most take a tenth of it
    late: str = ""  # why it may take longer
    mend: str = ""  # what helps then


def say_error(error: Exception) -> str:
    """Return type and first line of an error."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
