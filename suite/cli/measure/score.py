"""`python -m suite score`: what two folders of images score, under one protocol or under all of them side by side."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from suite.cli import common
from suite.core.errors import Exit
from suite.core.output import TO_OUTPUT, Output, csv_of, note
from suite.core.text import count_of

if TYPE_CHECKING:
    from suite.measure.quality.scoring import Scores

SUMMARY = "score a folder of images against a folder of targets, whoever made them"
EXAMPLE = "score --pred mine --gt HR --scale 4"
CSV_COLUMNS = ("row", "protocol", "image", "metric", "value", "text")


def add_arguments(verb: argparse.ArgumentParser) -> None:
    """Add the options of the verb."""
    verb.add_argument("--pred", type=Path, required=True, metavar="DIR", help="the images to score (or one image)")
    verb.add_argument("--gt", type=Path, required=True, metavar="DIR", help="their targets, paired by name (or one image)")
    verb.add_argument(
        "--protocol", default="all", metavar="NAME", help="a name of `list protocols`, or all of them side by side (default: %(default)s)"
    )
    verb.add_argument("--scale", type=int, metavar="N", help="scale of super-resolution; for protocols that leave out N border pixels")
    verb.add_argument("--against", metavar="NAME", help="with all: compare the other protocols with this one (default: float Y)")
    verb.add_argument(
        "--printed", **common.REPEATED, metavar="NUMBER", help="say which protocol gives this printed number, e.g. 38.27; may be repeated"
    )
    verb.add_argument("--also", **common.REPEATED, metavar="METRIC", help="also measure this, e.g. DISTS or LPIPS-vgg; may be repeated")
    verb.add_argument(
        "--no-perceptual", action="store_true", help="leave out the LPIPS of the protocols, which takes a second per image or more"
    )
    verb.add_argument("--allow-missing", action="store_true", help="score the images that have a target, and list the others")
    verb.add_argument("--limit", type=int, metavar="N", help="score the first N pairs only, to try things out")
    written = verb.add_mutually_exclusive_group()
    common.add_shared(written, "--json")
    written.add_argument(
        "--csv", nargs="?", const=TO_OUTPUT, metavar="FILE", help="write CSV, one line per value, to FILE or standard output"
    )
    common.add_shared(verb, "--wide", "--max-megapixels")


def run(options: argparse.Namespace, out: Output) -> Exit:
    """Score and print; Exit.INCOMPLETE where a metric that was asked for is unavailable."""
    from suite.measure.quality.printed import find_printed
    from suite.measure.quality.scoring import ALL_PROTOCOLS, Request, score_folders

    common.allow_size(options)
    request = Request(
        options.pred,
        options.gt,
        options.protocol,
        options.scale,
        options.against,
        tuple(dict.fromkeys(common.resolve_metric(name) for name in options.also)),
        not options.no_perceptual,
        options.allow_missing,
        options.limit,
    )
    scores = score_folders(request)
    printed = [find_printed(scores, text) for text in options.printed]
    for text in scores.notes:
        note(text)
    if options.json:
        out.document(make_document(scores, options.pred, options.gt) | {"printed": [asdict(one) for one in printed]})
    elif options.csv:
        out.csv(csv_of(CSV_COLUMNS, _csv_rows(scores)), options.csv, "scores")
    elif scores.against:
        _print_all(scores, out)
    else:
        _print_one(scores, out)
    if not options.json:
        for one in printed:
            note(one.sentence) if options.csv else out.line(one.sentence)
    asked = scores.besides.unavailable or (
        options.protocol != ALL_PROTOCOLS and request.perceptual and any(sheet.unavailable for sheet in scores.sheets.values())
    )
    return Exit.INCOMPLETE if asked else Exit.DONE


def make_document(scores: Scores, pred: Path, gt: Path) -> dict[str, object]:
    """Return all that is known, as `--json` prints it; nothing is rounded."""
    sheets = [
        {
            "protocol": sheet.protocol.name,
            "version": sheet.protocol.version,
            "statement": sheet.protocol.statement,
            "mean": sheet.mean,
            "difference": scores.differences(key),
            "unavailable": sheet.unavailable,
            "images": [{"image": name, "metrics": values} for name, values in sheet.images.items()],
        }
        for key, sheet in scores.sheets.items()
    ]
    besides = {
        "mean": scores.besides.mean,
        "unavailable": scores.besides.unavailable,
        "images": [{"image": name, "metrics": values} for name, values in scores.besides.images.items() if values],
    }
    return {
        "pred": str(pred),
        "gt": str(gt),
        "scale": scores.scale,
        "paired_by": scores.pairing.rule,
        "against": scores.against or None,
        "protocols": sheets,
        "besides": besides,
        "not_applicable": scores.refused,
        "notes": scores.notes,
    }


def _text(metric: str, value: float) -> str:
    from suite.study.protocols import METRICS

    return f"{value:.{METRICS[metric].digits + 1}f}"  # one more than in a table: this is for comparing


def _print_one(scores: Scores, out: Output) -> None:
    """Print one line per image, and the mean."""
    (sheet,) = scores.sheets.values()
    mean = sheet.mean | scores.besides.mean
    lines = {name: values | scores.besides.images.get(name, {}) for name, values in sheet.images.items()} | {"mean": mean}
    out.table([{"image": name} | {metric: _text(metric, values[metric]) for metric in mean} for name, values in lines.items()])
    out.line(f"{sheet.protocol.key}: {sheet.protocol.statement}")
    _print_rest(scores, out)


def _print_all(scores: Scores, out: Output) -> None:
    """Print one line per protocol: means, and how far they are from the chosen one."""
    extra = dict.fromkeys(metric for sheet in scores.sheets.values() for metric in sheet.mean if metric not in sheet.protocol.fidelity)
    rows = []
    for key, sheet in scores.sheets.items():
        quality, similarity = sheet.protocol.fidelity
        difference = scores.differences(key)
        row = {"protocol": key, "PSNR": _text(quality, sheet.mean[quality]), "difference": _signed(difference["PSNR"], 3)}
        row |= {"SSIM": _text(similarity, sheet.mean[similarity]), "its difference": _signed(difference["SSIM"], 5)}
        row |= {metric: _text(metric, sheet.mean[metric]) if metric in sheet.mean else "" for metric in extra}
        rows.append(row | {"how": sheet.protocol.summary})
    out.table(rows)
    images = len(next(iter(scores.sheets.values())).images)
    chosen = scores.sheets[scores.against].protocol
    out.line(f"Means over {count_of(images, 'image')}, PSNR in dB. The differences are from {chosen.key}: {chosen.statement}")
    if also := scores.besides.mean:
        out.line("Also measured: " + ", ".join(f"{metric} {_text(metric, value)}" for metric, value in also.items()))
    for key, why in scores.refused.items():
        out.line(f"{key} does not apply: {why}")
    _print_rest(scores, out)


def _print_rest(scores: Scores, out: Output) -> None:
    out.line(f"{count_of(len(scores.pairing.pairs), 'pair')} by name: {scores.pairing.rule}.")
    for metric, why in {key: why for one in (scores.besides, *scores.sheets.values()) for key, why in one.unavailable.items()}.items():
        out.line(f"{metric} is unavailable: {why}")


def _signed(value: float, digits: int) -> str:
    return "" if value == 0 else f"{value:+.{digits}f}"


def _csv_rows(scores: Scores) -> Iterator[tuple[object, ...]]:
    for key, sheet in (*scores.sheets.items(), ("", scores.besides)):
        if sheet.protocol is not None:
            yield "protocol", key, "", "", "", sheet.protocol.statement
        for name, values in sheet.images.items():
            for metric, value in values.items():
                yield "image", key, name, metric, value, ""
        for metric, value in sheet.mean.items():
            yield "mean", key, "", metric, value, ""
        for metric, why in sheet.unavailable.items():
            yield "unavailable", key, "", metric, "", why
    for key, why in scores.refused.items():
        yield "not applicable", key, "", "", "", why
