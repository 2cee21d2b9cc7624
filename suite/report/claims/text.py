"""Claims in words, for the terminal and the page: what a verdict rests on, and what is left out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from suite.report.claims.verdict import ClaimPart, Hint

FEW = 3  # values that are named one by one


def list_evidence(parts: Sequence[ClaimPart]) -> Iterator[str]:
    """Yield what each value rests on; values without evidence that share a reason stand in one line."""
    untested: dict[str, list[str]] = {}
    for part in parts:
        if part.evidence:
            yield part_text(part, alone=len(parts) == 1)
        else:
            untested.setdefault(part.reason, []).append(_printed(part))
    for reason, values in untested.items():
        yield f"{', '.join(values) if len(values) <= FEW else f'{len(values)} printed values'}: {reason}."


def _printed(part: ClaimPart) -> str:
    """Return a value's name and what is printed of it."""
    if part.printed is None:
        return part.what
    return f"{part.what} {part.printed:+g}" if part.matters is not None else f"{part.what} {part.printed:g}"


def part_text(part: ClaimPart, *, alone: bool) -> str:
    """Say what is printed and measured of a value; `alone` where the claim has no other."""
    signed = "+" if part.matters is not None and part.printed is not None else ""
    unit = f" {part.unit}" if part.unit else ""
    measured = "" if part.measured is None else f"measured {part.measured:{signed},.{part.digits}f}{unit}"
    told = [f"printed {part.printed:{signed},.{part.digits - 1}f}{unit}"] if part.printed is not None else []
    told += [measured + _interval(part)] if measured else []
    text = f"{part.what}: " + "; ".join([*([] if alone else [part.word]), *told, *([part.reason] if part.reason else [])])
    return text + _rest(part)


def hint_text(hint: Hint) -> str:
    """Say what measurements at another budget hint at."""
    if hint.measured is None:
        return f"{hint.word}: {hint.reason}."
    unit = f" {hint.unit}" if hint.unit else ""
    kept = [f"the order is kept in {hint.kept} of {hint.pairs} pairs"] if hint.pairs else []
    reason = [hint.reason] if hint.reason else []
    head = f"{hint.word}: {hint.what} {hint.measured:{'+' if hint.signed else ''}.{hint.digits}f}{unit}{_interval(hint)}"
    return "; ".join([head, *kept, *reason, hint.setting]) + _rest(hint)


def _interval(held: ClaimPart | Hint) -> str:
    text = "" if held.interval is None else f" ({held.interval[0]:+.{held.digits}f} to {held.interval[1]:+.{held.digits}f})"
    visible = held.visible is not None and (held.interval is not None or getattr(held, "evidence", "") != "cost")
    return text + (f", {held.visible:.{held.digits}f} could have been seen" if visible else "")


def _rest(held: ClaimPart | Hint) -> str:
    """Return what the interval leaves out, and the records."""
    left = f". Left out: {'; '.join(held.leaves_out)}" if held.leaves_out else ""
    cells = held.records[:3]
    more = f" and {len(held.records) - len(cells)} more" if len(held.records) > len(cells) else ""
    return left + (f". Records: {' '.join(cells)}{more}." if cells else ".")
