"""`python -m suite compare A B`: is A better than B, image by image and seed by seed, and how small a difference could be seen."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from suite.errors import Exit, SuiteError
from suite.output import Output, note

if TYPE_CHECKING:
    from suite.versus import Comparison, Side

SUMMARY = "say whether A is better than B: models of one ledger, or two ledgers"
LEGEND = (
    "A - B; 95 % interval and p over images with one seed (bootstrap, Wilcoxon), over seeds and images with more (two-level bootstrap, "
    "Student's t); Holm p is corrected for the table's comparisons of the metric; MDD is the smallest difference that would be found in "
    "four of five such measurements."
)


def add_arguments(verb: argparse.ArgumentParser) -> None:
    """The verb's options."""
    what = verb.add_argument_group("what to compare")
    kinds = "a model's name, a part of it or a shell pattern, a cell's fingerprint, or a ledger's folder"
    what.add_argument("a", metavar="A", help=f"the variants: {kinds}")
    what.add_argument("b", metavar="B", help="the one baseline, likewise; a ledger where A is one: then each model is compared with itself")
    what.add_argument("--metric", action="append", default=[], metavar="NAME", help="may be repeated (default: the protocol's first)")
    what.add_argument("--ledger", type=Path, metavar="DIR", help="folder of the records (default: results/runs)")
    out = verb.add_argument_group("what comes out")
    out.add_argument("--json", action="store_true", help="print one JSON document on standard output, and nothing else there")
    out.add_argument("--csv", metavar="FILE", help="as CSV, a line a comparison, to FILE, or - for standard output")


def run(options: argparse.Namespace, out: Output) -> Exit:
    """Compares and prints; exit code 5 where nothing is comparable."""
    from models.lookup import lookup
    from suite import csv_text
    from suite.protocols import METRICS

    if options.json and options.csv is not None:
        raise SuiteError("--json and --csv are two documents: ask for one.")
    by_case = {name.lower(): name for name in METRICS}
    metrics = [lookup("metric", by_case.get(name.lower(), name), METRICS).name for name in options.metric]
    found = _compared(options, metrics)
    lines = [_line(one) for one in found]
    if options.json:
        out.document({"a": options.a, "b": options.b, "comparisons": lines})
    elif options.csv is not None:
        csv_text.deliver(csv_text.text_of(list(lines[0]), (line.values() for line in lines)), options.csv, out, "comparisons")
    else:
        out.table([_row(one) for one in found])
        out.line(LEGEND)
    return Exit.NOTHING if all(one.verdict == "not comparable" for one in found) else Exit.DONE


def _compared(options: argparse.Namespace, metrics: list[str]) -> tuple[Comparison, ...]:
    from suite import versus
    from suite.ledger import Ledger

    def warn(error: SuiteError) -> None:
        note(f"left out: {error}")

    folders = [Path(name) for name in (options.a, options.b)]
    if all(folder.is_dir() for folder in folders):
        if options.ledger is not None:
            raise SuiteError(f"--ledger {options.ledger} is for models of one ledger; A and B are folders, two ledgers of their own.")
        variants, baselines = (versus.ledger_sides(Ledger(folder), warn) for folder in folders)
        for folder, sides in zip(folders, (variants, baselines), strict=True):
            if not sides:
                raise SuiteError(f"the ledger {folder} holds no run that is done.", exit=Exit.NOTHING)
        found = versus.compared(variants, baselines, metrics, same_model=True)
    else:
        ledger = Ledger(options.ledger)
        variants, baselines = (versus.sides(ledger, name, warn) for name in (options.a, options.b))
        models = sorted({side.model for side in baselines})
        if len(models) > 1:
            raise SuiteError(f"B is one baseline, and {options.b} means {len(models)} models: {', '.join(models)}. Name one of them.")
        found = versus.compared(variants, baselines, metrics, same_model=False)
    if not found:
        raise SuiteError(f"{options.a} and {options.b} are the same records: there is nothing to compare.", exit=Exit.NOTHING)
    return found


def _line(one: Comparison) -> dict[str, object]:
    """A comparison unrounded, for programs."""
    paired = one.found
    low, high = (paired.interval if paired else None) or (None, None)
    return {
        "variant": one.variant.model,
        "baseline": one.baseline.model if one.baseline else None,
        "task": one.variant.records[0].spec.task,
        "budget": one.variant.records[0].spec.budget,
        "metric": one.metric,
        "images": paired.images if paired else None,
        "seeds": paired.seeds if paired else None,
        "difference": paired.mean if paired else None,
        "interval_low": low,
        "interval_high": high,
        "test": paired.test if paired else None,
        "p": paired.p if paired else None,
        "p_holm": one.p_holm,
        "p_wilcoxon_images": paired.wilcoxon if paired else None,
        "detectable": paired.detectable if paired else None,
        "verdict": one.verdict,
        "reason": one.reason,
        "notes": "; ".join(one.notes),
        "variant_cells": _cells(one.variant),
        "baseline_cells": _cells(one.baseline),
    }


def _cells(side: Side | None) -> str:
    return " ".join(record.fingerprint for record in side.records) if side else ""


def _row(one: Comparison) -> dict[str, object]:
    """A comparison for a person; what only some lines have stands in the last column."""
    from suite.protocols import METRICS

    digits = METRICS[one.metric].digits + 1 if one.metric in METRICS else 4
    paired = one.found
    why = "; ".join(part for part in (one.reason, *one.notes) if part)
    return {
        "variant": one.variant.model,
        "baseline": one.baseline.model if one.baseline else None,
        "task": one.variant.records[0].spec.task,
        "metric": one.metric,
        "images": paired.images if paired else None,
        "seeds": paired.seeds if paired else None,
        "difference": f"{paired.mean:+.{digits}f}" if paired else None,
        "interval": f"{paired.interval[0]:+.{digits}f} to {paired.interval[1]:+.{digits}f}" if paired and paired.interval else None,
        "p": _p(paired.p if paired else None),
        "holm p": _p(one.p_holm),
        "mdd": f"{paired.detectable:.{digits}f}" if paired and paired.detectable is not None else None,
        "verdict": one.verdict + (f" ({why})" if why else ""),
    }


def _p(value: float | None) -> str | None:
    return None if value is None else "<0.0001" if value < 1e-4 else f"{value:.4f}"
