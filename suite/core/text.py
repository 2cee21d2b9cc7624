"""Numbers, times and names of files as people read them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime


def format_fixed(value: float, digits: int) -> str:
    """Write a number with so many decimals and a true minus sign."""
    return f"{value:,.{digits}f}".replace("-", "−")


def format_signed(value: float, digits: int) -> str:
    """Write a difference: with its sign, and zero without one."""
    text = f"{value:+.{digits}f}"
    return (text[1:] if not float(text) else text).replace("-", "−")


def format_moment(text: str) -> str:
    """Write an ISO 8601 time as people read it; anything else as it stands."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return text
    return f"{at.day} {at:%B %Y, %H:%M} {at.tzname() or 'UTC'}"


def format_span(first: str, last: str) -> str:
    """Write from when to when, the day once where it is one day."""
    begin, end = format_moment(first), format_moment(last)
    day, _, rest = end.partition(", ")
    return f"on {begin.removesuffix(' UTC')} to {rest}" if rest and begin.startswith(day) else f"from {begin} to {end}"


def format_duration(seconds: float | None) -> str:
    """Write seconds as people read them; a dash where nothing was timed."""
    if seconds is None:
        return "–"
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def format_clock(seconds: float) -> str:
    """Write a duration as a person says it: 42 s, 3 min 05 s, 7 h 12 min."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def count_of(number: int, one: str, many: str = "") -> str:
    """Write how many there are of what is called `one`, or `many` (an s behind it unless given), where there is not one of it."""
    return f"{number:,} {one}" if number == 1 else f"{number:,} {many or one + 's'}"


def range_of(numbers: Iterable[int], one: str) -> str:
    """Write between which numbers of what is called `one` they lie: "3 to 6 seeds", or "3 seeds" where all are the same."""
    held = sorted(numbers)
    return f"{held[0]} to {count_of(held[-1], one)}" if held[0] < held[-1] else count_of(held[0], one)


def is_or_are(number: int) -> str:
    """Write the verb that goes with so many."""
    return "is" if number == 1 else "are"


def readable(name: str) -> str:
    r"""Return the name of a file as text that can be printed and recorded anywhere; bytes that are no UTF-8 become \xe4 and the like.

    It is the same in every locale, so that what is drawn or digested by a name is, too.
    """
    return name if name.isascii() else name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
