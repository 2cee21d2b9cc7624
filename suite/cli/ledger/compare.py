"""`python -m suite compare A B`: is A better than B, image by image and seed by seed, and which differences could be seen."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import TYPE_CHECKING

from suite.cli import common
from suite.core.errors import Exit, SuiteError
from suite.core.output import Output, csv_of

if TYPE_CHECKING:
    from suite.report.versus import Comparison

SUMMARY = "say whether A is better than B: models of one ledger, or two ledgers"
EXAMPLE = "compare 'mambair-sr-x2.*' mambair-sr-x2"
COMPARISON_LEGEND = (
    "A - B; 95 % interval and p over images with one seed (p of Wilcoxon's test), over seeds and images with more. Holm p is corrected for "
    "the table's comparisons of the metric. MDD is the smallest difference that would be found in four of five such measurements."
)
ONE_SEED = (
    "One seed: no number here says how much another training would have differed, so nothing can be said about the design. Train more "
    "(`run --seeds 3`), or compare two sets of weights as they are: A and B by the fingerprints of their cells."
)
FEW_IMAGES = (
    "Approximate: fewer than {images} images. Such an interval covers at least the share beside it, as measured on normal, heavy-tailed "
    "and skewed differences (results/LOG.md)."
)


def add_arguments(verb: argparse.ArgumentParser) -> None:
    """Add the options of the verb."""
    what = verb.add_argument_group("what to compare")
    kinds = "a model's name, a part of it or a shell pattern, a cell's fingerprint, or a ledger's folder"
    what.add_argument("a", metavar="A", help=f"the variants: {kinds}")
    what.add_argument(
        "b", metavar="B", help="the one baseline, in the same way; a ledger if A is one: then each model is compared with itself"
    )
    what.add_argument("--metric", **common.REPEATED, metavar="NAME", help="a metric of the protocol; may be repeated (default: its first)")
    common.add_shared(what, "--ledger", "--plugin")
    out = verb.add_argument_group("what comes out")
    common.add_shared(out, "--json", "--wide")
    out.add_argument("--csv", metavar="FILE", help="write CSV, one line per comparison, to FILE, or - for standard output")


def run(options: argparse.Namespace, out: Output) -> Exit:
    """Compare and print; exit code 5 where nothing is comparable."""
    from suite.report import versus

    if options.json and options.csv is not None:
        raise SuiteError("--json and --csv are two documents: ask for one.")
    found = versus.compare_named(
        options.a, options.b, [common.resolve_metric(name) for name in options.metric], options.ledger, common.warn_left_out
    )
    lines = [versus.describe_comparison(one) for one in found]
    if options.json:
        out.document({"a": options.a, "b": options.b, "comparisons": lines})
    elif options.csv is not None:
        out.csv(csv_of(list(lines[0]), (line.values() for line in lines)), options.csv, "comparisons")
    else:
        out.table([_row(line) for line in lines])
        for line in _legend(found):
            out.line(line)
    return Exit.NOTHING if all(one.verdict == "not comparable" for one in found) else Exit.DONE


def _legend(found: tuple[Comparison, ...]) -> list[str]:
    """Return the lines that explain the table."""
    from suite.core.statistics.intervals import GOOD_IMAGES

    lines = [COMPARISON_LEGEND]
    if any(one.verdict == "one seed: cannot tell" for one in found):
        lines.append(ONE_SEED)
    if any(one.found is not None and one.found.covers for one in found):
        lines.append(FEW_IMAGES.format(images=GOOD_IMAGES))
    return lines


def _row(line: Mapping[str, object]) -> dict[str, object]:
    """Return a line of `describe_comparison` for a person; what only some lines have stands in the last column."""
    from suite.study.protocols import METRICS

    digits = METRICS[line["metric"]].digits + 1 if line["metric"] in METRICS else 4
    covers = line["interval_covers"]
    weights = "of these weights, not of the designs" if line["of"] == "weights" and line["images"] is not None else ""
    why = "; ".join(part for part in (weights, line["reason"], line["notes"]) if part)
    about = f" (approximate: covers {covers:.0%})".replace("%", " %") if covers else ""

    def number(name: str, sign: str = "") -> str | None:
        return None if line[name] is None else f"{line[name]:{sign}.{digits}f}"

    interval = None if line["interval_low"] is None else f"{number('interval_low', '+')} to {number('interval_high', '+')}{about}"
    row = {name: line[name] for name in ("variant", "baseline", "task", "metric", "images", "seeds")}
    row |= {"difference": number("difference", "+"), "interval": interval, "over": line["interval_over"], "p": _p(line["p"])}
    return row | {"holm p": _p(line["p_holm"]), "mdd": number("detectable"), "verdict": line["verdict"] + (f" ({why})" if why else "")}


def _p(value: float | None) -> str | None:
    return None if value is None else "<0.0001" if value < 1e-4 else f"{value:.4f}"
