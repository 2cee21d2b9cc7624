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
    from suite.report.claims.verdict import Judgement

SUMMARY = "say which claims of the papers hold, by the ledger's records, and which command would decide the others"
EXAMPLE = "claims 'does not hold'"
NARROWEST, WIDEST = 60, 100  # columns of text
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
    common.add_shared(verb, "--ledger", "--evidence", "--plugin", "--json")


def run(options: argparse.Namespace, out: Output) -> Exit:
    """Judge and print; the exit code says nothing of the verdicts."""
    from suite.records.evidence import read_records
    from suite.records.ledger import Ledger
    from suite.report.claims.judge import count_hints, count_words, judge_claims, summarise
    from suite.report.claims.verdict import describe_judgement
    from suite.study.claims import load_claims

    if options.markdown:
        return _document(options)
    ledger = Ledger(options.ledger)
    records = read_records(ledger, options.evidence, common.warn_left_out)
    if not records:
        note(f"the ledger {ledger.folder} holds no record: nothing is tested yet.")
    found = _choose(judge_claims(load_claims(), records), options.claim)
    width = min(WIDEST, max(NARROWEST, shutil.get_terminal_size().columns))
    if options.plan:
        return _plan(found, records, options, out, width)
    if options.json:
        summary = {"sentences": summarise(found), "verdicts": count_words(found), "ablations at another budget": count_hints(found)}
        out.document({"summary": summary, "claims": [describe_judgement(one) for one in found]})
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
    from suite.cli.ledger.plan import make_plan, summarise_plan
    from suite.cli.ledger.plan_text import write_lines
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
    from suite.cli.ledger.plan_text import write_markdown
    from suite.core.files import write_whole

    if not options.plan:
        raise SuiteError("--markdown is for --plan.")
    write_whole(options.markdown, write_markdown().encode(), "Choose another place for --markdown.")
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
    from suite.report.claims.text import hint_text, list_evidence

    yield f"[{one.word}] {one.claim.id}"
    yield from _wrap(f"{one.claim.sentence} ({one.claim.where})", width)
    for text in (*list_evidence(one.parts), *(f"Note: {text}." for text in one.notes)):
        yield from _wrap(text, width, "- ")
    if one.hint is not None:
        yield from _wrap(f"At another budget, no verdict: {hint_text(one.hint)}", width, "- ")
    if one.word not in DECIDED:
        yield from (f"  $ {command}" for command in one.commands)  # never wrapped: it is there to be copied


def _wrap(text: str, width: int, mark: str = "") -> list[str]:
    options = {"initial_indent": f"  {mark}", "subsequent_indent": "  " + " " * len(mark)}
    return textwrap.wrap(text, width, break_on_hyphens=False, break_long_words=False, **options)
