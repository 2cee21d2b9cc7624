"""`python -m suite claims`: what the papers say, and what the ledger's records make of it."""

from __future__ import annotations

import argparse
import shutil
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from suite.cli import common
from suite.core.errors import Exit, SuiteError
from suite.core.output import Output, note

if TYPE_CHECKING:
    from suite.records.record import Attempt
    from suite.report.claims.verdict import ClaimPart, Hint, Judgement

SUMMARY = "say which claims of the papers hold, by the ledger's records, and which command would decide the others"
EXAMPLE = "claims 'does not hold'"
NARROWEST, WIDEST = 60, 100  # columns of text
FEW = 3  # values that are told one by one
DECIDED = ("holds", "does not hold")


def add_arguments(verb: argparse.ArgumentParser) -> None:
    """Add the options of the verb."""
    verb.add_argument(
        "claim", nargs="*", metavar="CLAIM", help="a claim's name, a part of it, a shell pattern, or a verdict in quotes (default: all)"
    )
    plan = verb.add_argument_group("what it would take to decide the others")
    plan.add_argument(
        "--plan", action="store_true", help="print the runs that decide the most at the least cost, in order, with what they take"
    )
    plan.add_argument("--gpus", type=int, default=1, metavar="N", help="GPUs that the plan is simulated on (default: %(default)s)")
    plan.add_argument(
        "--gpu-kind",
        metavar="NAME",
        help="their kind, e.g. A100 or 'RTX 4090', or one that the ledger has trainings on (default: this machine's)",
    )
    plan.add_argument("--markdown", type=Path, metavar="FILE", help="with --plan: write the plan of an empty ledger, for the documentation")
    common.add_shared(verb, "--ledger", "--json")


def run(options: argparse.Namespace, out: Output) -> Exit:
    """Judge and print; the exit code says nothing of the verdicts."""
    from suite.records.ledger import Ledger
    from suite.report.claims.judge import count_hints, count_words, judge_claims, summarise
    from suite.study.claims import load_claims

    if options.markdown:
        return _document(options)
    ledger = Ledger(options.ledger)
    records = list(ledger.records(common.warn_left_out))
    if not records:
        note(f"the ledger {ledger.folder} holds no record: nothing is tested yet.")
    found = _choose(judge_claims(load_claims(), records), options.claim)
    width = min(WIDEST, max(NARROWEST, shutil.get_terminal_size().columns))
    if options.plan:
        return _plan(found, records, options, out, width)
    if options.json:
        summary = {"sentences": summarise(found), "verdicts": count_words(found), "ablations at another budget": count_hints(found)}
        out.document({"summary": summary, "claims": [_as_dict(one) for one in found]})
        return Exit.DONE
    for one in found:
        for line in _lines(one, width):
            out.write(line + "\n")  # commands are never folded
        out.line()
    for sentence in summarise(found):
        out.write(textwrap.fill(sentence, width) + "\n")
    return Exit.DONE


def _plan(found: Sequence[Judgement], records: Sequence[Attempt], options: argparse.Namespace, out: Output, width: int) -> Exit:
    """Print the plan for the claims that are chosen."""
    from suite.cli.plan import make_plan, summarise_plan
    from suite.cli.plan_text import write_lines
    from suite.runner.cell_time import choose_kind

    if options.gpus < 1:
        raise SuiteError(f"--gpus {options.gpus} runs nothing; it must be at least 1.", exit=Exit.NOTHING)
    kind, why = choose_kind(options.gpu_kind)
    if why:
        note(f"{why}; choose another with --gpu-kind.")
    plan = make_plan(found, records, kind)
    if options.json:
        out.document({"gpu": kind, "gpus": options.gpus} | summarise_plan(plan, options.gpus))
        return Exit.DONE
    for line, is_command in write_lines(plan, options.gpus, kind):
        folded = textwrap.fill(line, width, subsequent_indent="   ", break_on_hyphens=False, break_long_words=False)
        out.write((line if is_command else folded) + "\n")
    return Exit.DONE


def _document(options: argparse.Namespace) -> Exit:
    """Write the documentation's plan, which depends on no ledger and no machine."""
    from suite.cli.plan_text import write_markdown
    from suite.core.files import replacing

    if not options.plan:
        raise SuiteError("--markdown is for --plan.")
    with replacing(options.markdown) as file:
        file.write(write_markdown().encode())
    return Exit.DONE


def _choose(found: Sequence[Judgement], patterns: Sequence[str]) -> list[Judgement]:
    """Return the claims that the patterns select, in their order; `UnknownName` where one selects none."""
    from models.lookup import UnknownName, suggest
    from suite.report.claims.verdict import WORDS
    from suite.study.grids import selects

    names = [one.claim.id for one in found]
    chosen: set[str] = set()
    for pattern in patterns:
        selected = {one.claim.id for one in found if one.word == pattern}
        if pattern not in WORDS:
            selected = {name for name in names if selects(pattern, name, names)}
            if not selected:
                raise UnknownName(f"no claim is called {pattern!r}.{suggest(pattern, names)} Verdicts: {', '.join(WORDS)}.")
        chosen |= selected
    return [one for one in found if one.claim.id in chosen or not patterns]


def _lines(one: Judgement, width: int) -> Iterator[str]:
    """Yield a claim as lines: verdict and name, sentence, evidence, hint, and the command that would decide it."""
    yield f"[{one.word}] {one.claim.id}"
    yield from _wrap(f"{one.claim.sentence} ({one.claim.where})", width)
    for text in (*_evidence(one.parts), *(f"Note: {text}." for text in one.notes)):
        yield from _wrap(text, width, "- ")
    if one.hint is not None:
        yield from _wrap(f"At another budget, no verdict: {_hint_text(one.hint)}", width, "- ")
    if one.word not in DECIDED:
        yield from (f"  $ {command}" for command in one.commands)  # never wrapped: it is there to be copied


def _wrap(text: str, width: int, mark: str = "") -> list[str]:
    options = {"initial_indent": f"  {mark}", "subsequent_indent": "  " + " " * len(mark)}
    return textwrap.wrap(text, width, break_on_hyphens=False, break_long_words=False, **options)


def _evidence(parts: Sequence[ClaimPart]) -> Iterator[str]:
    """Yield what each value rests on; values without evidence that share a reason are told together."""
    untested: dict[str, list[str]] = {}
    for part in parts:
        if part.evidence:
            yield _part_text(part, alone=len(parts) == 1)
        else:
            untested.setdefault(part.reason, []).append(_printed(part))
    for reason, values in untested.items():
        yield f"{', '.join(values) if len(values) <= FEW else f'{len(values)} printed values'}: {reason}."


def _printed(part: ClaimPart) -> str:
    """Return a value's name and what is printed of it."""
    if part.printed is None:
        return part.what
    return f"{part.what} {part.printed:+g}" if part.matters is not None else f"{part.what} {part.printed:g}"


def _part_text(part: ClaimPart, *, alone: bool) -> str:
    signed = "+" if part.matters is not None and part.printed is not None else ""
    unit = f" {part.unit}" if part.unit else ""
    measured = "" if part.measured is None else f"measured {part.measured:{signed},.{part.digits}f}{unit}"
    told = [f"printed {part.printed:{signed},.{part.digits - 1}f}{unit}"] if part.printed is not None else []
    told += [measured + _interval(part)] if measured else []
    text = f"{part.what}: " + "; ".join([*([] if alone else [part.word]), *told, *([part.reason] if part.reason else [])])
    return text + _rest(part)


def _hint_text(hint: Hint) -> str:
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


def _as_dict(one: Judgement) -> dict[str, object]:
    """Return a claim, its verdict and its evidence, unrounded."""
    from dataclasses import asdict

    return one.claim.model_dump(mode="json") | {
        "paper": one.paper,
        "verdict": one.word,
        "values": [asdict(part) for part in one.parts],
        "at another budget": None if one.hint is None else asdict(one.hint),
        "commands": list(one.commands),
        "notes": list(one.notes),
    }
