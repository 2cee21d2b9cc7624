"""`python -m suite verify BUNDLE`: whether a bundle is as it was packed, and whether its numbers follow from its records."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from suite.cli import common
from suite.core.errors import Exit, SuiteError
from suite.core.output import Output, printable

if TYPE_CHECKING:
    from suite.records.bundle import Bundle

SUMMARY = "check a bundle: digests, and every mean, table, interval and verdict anew from its records"
EXAMPLE = "verify results.zip"
NAMED = 5  # disagreements of a check that are printed
MEANS = (
    "Every number in it follows from its image-by-image values. That does not tell who measured these, or how: `--sample 5` measures some "
    "again, where data and weights are here."
)
OTHER_PAPERS = (
    "the papers' numbers in this checkout are others than those that it was made with ({there}; here {here}); what a plug-in's author "
    "prints is there where the plug-in is given with --plugin"
)


@dataclass(frozen=True)
class Checked:
    """A line of what was checked."""

    what: str
    checked: str
    result: str  # "agree", or how many do not
    problems: tuple[str, ...] = ()
    left_out: str = ""  # why it was not checked


def add_arguments(verb: argparse.ArgumentParser) -> None:
    """Add the options of the verb."""
    verb.add_argument("bundle", type=Path, metavar="BUNDLE", help="an archive that `bundle` wrote")
    sample = verb.add_argument_group("measuring again, where data and weights are here")
    sample.add_argument("--sample", type=int, metavar="N", help="draw N images of its records and measure them again")
    sample.add_argument("--draw", type=int, metavar="SEED", help="of the draw, to draw the same again (default: another each time)")
    sample.add_argument("--data", type=Path, metavar="DIR", help="folder of the data sets (default: $SUITE_DATA), or of the one set")
    sample.add_argument(
        "--weights",
        type=Path,
        **common.REPEATED,
        metavar="FILE_OR_DIR",
        help="look here for weights, too, by their sha256; may be repeated",
    )
    kept = "folder of the records whose trainings' weights are looked for beside it (default: results/runs)"
    sample.add_argument("--ledger", **(common.OPTIONS["--ledger"] | {"help": kept}))
    common.add_shared(verb, "--plugin", "--json", "--wide")


def run(options: argparse.Namespace, out: Output) -> Exit:
    """Check and print; exit code 3 where something does not agree, 4 where something could not be checked, or nothing of the sample."""
    from suite.cli.ledger.verify_sample import Sample, check_options, measure_sample
    from suite.records.bundle import read_bundle

    check_options(options)
    held = read_bundle(options.bundle)
    _check_schema(held)
    checks = [Checked("files", f"{held.files} files by their sha256", "agree"), _check_cells(held), *_check_results(held)]
    verdict, code = _conclude(checks)
    if not options.json:
        out.table([{"check": one.what, "of": one.checked, "result": "not checked" if one.left_out else one.result} for one in checks])
        _print_problems(checks, out)
    sample: Sample | None = None
    conclusion = _conclusion(verdict, held)
    if options.sample and code == Exit.DRIFT:
        conclusion += " No sample was drawn."
    elif options.sample:
        sample = measure_sample(held.records, options, out)
        conclusion = sample.sentence() if verdict == "verified" else f"{sample.sentence()} {conclusion}"
        verdict, code = ("refused", Exit.DRIFT) if sample.differ else (verdict, code if sample.measured else Exit.INCOMPLETE)
    if options.json:
        lines = [vars(one) | {"problems": list(one.problems)} for one in checks]
        about = {"bundle": str(options.bundle), "verdict": verdict, "exit": int(code), "made_with": _made_with(held), "checks": lines}
        out.document(about | {"sample": sample and sample.document()})
        return code
    out.line(printable(f"{options.bundle}: {verdict}. {conclusion}"))
    return code


def _check_schema(held: Bundle) -> None:
    """Refuse results that this suite did not write, or a newer one did."""
    from suite.records.bundle import RESULTS, ChangedBundle
    from suite.report.recompute import RESULTS_SCHEMA, check_document

    found = held.results.get("schema_version")
    if isinstance(found, int) and found > RESULTS_SCHEMA:
        raise SuiteError(
            f"{held.path} has results of schema {found}, and this suite knows {RESULTS_SCHEMA}. Update the checkout.", exit=Exit.NOT_READY
        )
    if problem := check_document(held.results):
        raise ChangedBundle(held.path, [f"{RESULTS}: {problem}"])


def _made_with(held: Bundle) -> Mapping[str, object]:
    return held.results["made_with"]


def _check_cells(held: Bundle) -> Checked:
    """Hold each record's fingerprint to its spec, of which it is the digest; one whose spec was redacted cannot be held to it."""
    redacted = {name: fields for name, fields in held.results["redacted"].items() if name in held.records}
    apart = {name for name, fields in redacted.items() if any(str(field).startswith("spec") for field in fields)}
    wrong = [
        f"{name}: its spec has the fingerprint {record.spec.fingerprint}, and the record says {record.fingerprint}"
        for name, record in held.records.items()
        if name not in apart and record.spec.fingerprint != record.fingerprint
    ]
    left = f", without {len(apart)} whose folders were taken out" if apart else ""
    return Checked("specs", f"{len(held.records) - len(apart)} fingerprints{left}", _say(len(wrong)), tuple(wrong))


def _check_results(held: Bundle) -> list[Checked]:
    """Compute everything anew, and compare it section by section."""
    from suite.records.bundle import ChangedBundle
    from suite.report import recompute

    stored = held.results["computed"]
    try:
        computed = recompute.compute_results(held.records, held.texts)
    except Exception as error:  # of records that no measurement makes: each statistic has its own
        raise ChangedBundle(held.path, [f"nothing can be computed of its records ({type(error).__name__}: {error})"]) from error
    there, here = str(_made_with(held).get("papers")), recompute.digest_papers()
    checks = []
    for section in recompute.SECTIONS:
        counted = f"{recompute.count_numbers(computed[section]):,} numbers{_items(section, computed[section])}"
        if there != here and section in ("tables", "claims"):
            checks.append(Checked(section, counted, "", left_out=OTHER_PAPERS.format(there=there[:12], here=here[:12])))
            continue
        wrong = tuple(map(str, recompute.compare_documents(stored.get(section), computed[section], section)))
        checks.append(Checked(section, counted, _say(len(wrong)), wrong))
    return checks


def _items(section: str, found: Mapping[str, object]) -> str:
    if section == "records":
        return f" of {len(found)} records: means, and digests of all that they hold"
    if section == "tables":
        return f" in {len(found)} tables, intervals among them"
    return f" of {len(found)} comparisons" if section == "comparisons" else f" of {len(found['verdicts'])} claims"  # type: ignore[arg-type]


def _say(wrong: int) -> str:
    return f"{wrong} do not agree" if wrong > 1 else "1 does not agree" if wrong else "agree"


def _conclude(checks: Sequence[Checked]) -> tuple[str, Exit]:
    if any(one.problems for one in checks):
        return "refused", Exit.DRIFT
    if any(one.left_out for one in checks):
        return "not verified", Exit.INCOMPLETE
    return "verified", Exit.DONE


def _print_problems(checks: Sequence[Checked], out: Output) -> None:
    for one in checks:
        if one.left_out:
            out.line(printable(f"{one.what}: {one.left_out}."))
        for text in one.problems[:NAMED]:
            out.line(printable(text))
        if len(one.problems) > NAMED:
            out.line(f"... and {len(one.problems) - NAMED} more of {one.what}; --json has all")


def _conclusion(verdict: str, held: Bundle) -> str:
    """Return what follows; where it was refused, whether other code than this may be the reason."""
    from suite.core.machine import find_commit

    if verdict == "verified":
        return MEANS
    made, here = _made_with(held), find_commit()
    code = f"It was made with version {made.get('version')}, commit {str(made.get('commit'))[:12]}"
    if verdict == "not verified":
        return f"{code}: check that out to verify the rest."
    refused = "The records do not give the numbers that are written beside them."
    if made.get("commit") == here.name:
        return refused
    return f"{refused} {code}, and this is {here.name[:12]}: where only the code may differ, check that out and verify it there."
