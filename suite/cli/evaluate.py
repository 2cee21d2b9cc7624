"""`python -m suite evaluate`: a model's quality on test sets, under a protocol."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from suite.cli import common
from suite.core.errors import Exit, SuiteError
from suite.core.output import Output, note

if TYPE_CHECKING:
    from suite.data.pairs import PairSource
    from suite.measure.inference.weights import Used
    from suite.measure.quality.evaluate import EvaluationJob, ImageResult

SUMMARY = "measure a model with given weights, or a baseline, on test sets"
EXAMPLE = "evaluate bicubic --task sr-x2"
TILES = ("whole", "authors", "feathered")  # of suite.measure.inference.tiling, which is not loaded for the help
ROUTINGS = ("released", "deterministic")
SYMMETRIES = 8


def add_arguments(verb: argparse.ArgumentParser) -> None:
    """Add the options of the verb."""
    what = verb.add_argument_group("what to measure")
    what.add_argument("model", metavar="MODEL", help="a name of `list models`, or bicubic, or identity (the low-quality image itself)")
    what.add_argument("--task", required=True, metavar="NAME", help="a name of `list tasks`")
    what.add_argument(
        "--data",
        nargs="+",
        action="extend",
        default=None,
        metavar="NAME_OR_FOLDER",
        help="names of `list datasets`, or folders with HR/ and perhaps LR/, with target/ and input/, or with images (default: photos)",
    )
    common.add_shared(what, "--weights")
    what.add_argument("--protocol", metavar="NAME[@VERSION]", help="a name of `list protocols` (default: the task's)")
    what.add_argument("--limit", type=int, metavar="N", help="measure the first N images of each set only, to try things out")
    add_inference(verb.add_argument_group("how to run it"))
    out = verb.add_argument_group("what comes out")
    out.add_argument("--tile-cost", action="store_true", help="also restore each image whole, and report the dB that the tiles cost")
    out.add_argument("--save", type=Path, metavar="DIR", help="write the restored images to DIR/<set>/, as PNG")
    common.add_shared(out, "--json", "--wide")


def add_inference(how: argparse._ActionsContainer) -> None:
    """Add how a model is run on an image: tiles, self-ensemble, backend, device."""
    how.add_argument(
        "--tile",
        choices=TILES,
        default="whole",
        help="whole image at once; like MambaIR's authors, in equal parts with 10 %% overlap, cut off; or blended (default: %(default)s)",
    )
    how.add_argument(
        "--tile-size", type=int, metavar="N", help="tile in pixels of the low-quality image (default: 200 for authors, 256 for feathered)"
    )
    how.add_argument(
        "--self-ensemble", type=int, choices=(SYMMETRIES,), help="average over the 8 symmetries of the image; the result is marked +"
    )
    how.add_argument(
        "--routing",
        choices=ROUTINGS,
        default=ROUTINGS[0],
        help="of a network that sorts pixels by tokens: drawn at random, as released, or the most likely ones (default: %(default)s)",
    )
    common.add_shared(how, "--backend", "--device")


def run(options: argparse.Namespace, out: Output) -> Exit:
    """Measure, and print a table for each set, or one document."""
    from suite.core.parallel import show_progress
    from suite.data.check.traps import warn_of_sources
    from suite.measure.quality import evaluate

    job, reason = _job(options)
    sets = _sets(job, options)
    said = {data: warn_of_sources(data, sources, job.task, job.rule) for data, sources in sets.items()}
    for data, texts in said.items():
        for text in texts:
            note(f"{data}: {text}. `python -m suite data check` examines the whole set.")
    model = evaluate.Model(job, note)
    results = []
    for data, sources in sets.items():
        save = options.save and _folder(options.save, data)
        found = evaluate.measure_set(job, model, sources, tile_cost=options.tile_cost, save=save)
        results.append((data, list(show_progress(found, len(sources), f"images of {data} measured"))))
    if options.json:
        out.document(_document(job, reason, options, model.used, results, said))
    else:
        _print(job, results, out)
    return Exit.DONE


def choose_inference(options: argparse.Namespace) -> tuple[object, str]:
    """Return the Inference that the options of `add_inference` describe, and why it has its scan backend."""
    from models.scan.backends import resolve_backend
    from suite.core import machine
    from suite.measure.quality import evaluate

    if options.model in evaluate.SIMPLE_RESTORERS:  # no network, no scan
        device, backend, reason = "cpu", "none", f"{options.model} scans nothing"
    else:
        device = common.resolve_device(options)
        if device == "cuda" and not machine.list_gpus():
            raise SuiteError("--device cuda: this machine has no GPU that torch can use. Choose --device cpu.", exit=Exit.NOT_READY)
        backend, reason = resolve_backend(options.backend, device)
    if options.tile_size is not None and options.tile == "whole":
        raise SuiteError(f"--tile-size {options.tile_size} is for --tile authors or --tile feathered.")
    return evaluate.Inference(
        options.tile, options.tile_size, options.self_ensemble is not None, backend, device, routing=options.routing
    ), reason


def _job(options: argparse.Namespace) -> tuple[EvaluationJob, str]:
    """Return what is measured, checked as far as it can be without data and weights."""
    from suite.measure.quality import evaluate
    from suite.study.protocols import protocol
    from suite.study.tasks import task

    row = task(options.task)
    rule = protocol(options.protocol or row.protocol)
    if options.model not in evaluate.SIMPLE_RESTORERS:
        evaluate.check_fits(options.model, row)
    if options.tile_cost and options.tile == "whole":
        raise SuiteError("--tile-cost compares tiles with the whole image: choose --tile authors or --tile feathered.")
    if options.limit is not None and options.limit < 1:
        raise SuiteError(f"--limit {options.limit} measures nothing; it must be at least 1.", exit=Exit.NOTHING)
    inference, reason = choose_inference(options)
    return evaluate.EvaluationJob(options.model, row, rule, options.weights, inference), reason


def _sets(job: EvaluationJob, options: argparse.Namespace) -> dict[str, Sequence[PairSource]]:
    """Find the pairs of every set, before anything is computed."""
    from suite.data.sets import pair_sources

    found = {}
    for data in options.data or ["photos"]:
        sources = pair_sources(data, "test", job.task, job.rule)
        if not sources:
            raise SuiteError(f"{data} has no test image.", exit=Exit.NOTHING)
        found[data] = sources[: options.limit]
    folders = [_folder(options.save, data) for data in found] if options.save else []
    for folder in folders:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise SuiteError(f"{folder} exists and is not empty; nothing is overwritten. Choose another --save, or empty it.")
    if len(set(folders)) < len(folders):
        raise SuiteError(
            "two of the sets have the same name, and their images would be saved in one folder. Measure them one after another."
        )
    return found


def _folder(save: Path, data: str) -> Path:
    """Return the folder of a set's images: below `save`, whatever the set is called (`..` is a folder, too)."""
    from suite.data.sets import canonical_name

    name = Path(canonical_name(data)).name
    if not name:
        raise SuiteError(f"{data} has no name to save its images under. Give --data a folder inside it.")
    return save / name


def _means(found: Sequence[ImageResult]) -> dict[str, float]:
    metrics = found[0].score.metrics
    return {metric: sum(one.score.metrics[metric] for one in found) / len(found) for metric in metrics}


def _cost(found: Sequence[ImageResult]) -> float | None:
    """Return the mean dB that tiles cost, over the images that were also restored whole."""
    known = [one.tile_cost_db for one in found if one.tile_cost_db is not None]
    return sum(known) / len(known) if known else None


def _document(
    job: EvaluationJob,
    reason: str,
    options: argparse.Namespace,
    used: Used | None,
    results: Sequence[tuple[str, Sequence[ImageResult]]],
    said: Mapping[str, Sequence[str]],
) -> dict[str, object]:
    from suite.data.degrade import jpeg
    from suite.measure.quality import available as metrics
    from suite.measure.quality import evaluate
    from suite.study.grids import is_published

    def cost(value: float | None) -> dict[str, object]:
        return {"tile_cost_db": value} if options.tile_cost else {}

    def image(one: ImageResult) -> dict[str, object]:
        return one.score.model_dump(mode="json") | {"inference": one.inference} | cost(one.tile_cost_db)

    inference = job.inference
    return {
        "model": job.model,
        "label": inference.label(job.model),
        "task": job.task.name,
        "published": is_published(job.model, job.task.name),
        "weights": options.weights and str(options.weights),
        "loaded": used and used.as_dict(),
        "protocol": job.rule.key,
        "statement": job.rule.statement,
        "unavailable": metrics.list_unavailable(job.rule),
        "inference": {"tile": inference.tile, "tile_size": inference.tile_size, "self_ensemble": SYMMETRIES if inference.ensemble else 1},
        "backend": inference.backend,
        "backend_reason": reason,
        "device": inference.device,
        "routing": evaluate.name_routing(job),
        "jpeg_encoder": jpeg.encoder() if job.task.kind == "jpeg" else None,
        "sets": [
            {"data": data, "images": [image(one) for one in found], "mean": _means(found), "notes": list(said[data])} | cost(_cost(found))
            for data, found in results
        ],
    }


def _print(job: EvaluationJob, results: Sequence[tuple[str, Sequence[ImageResult]]], out: Output) -> None:
    from suite.measure.quality import available as metrics

    label = job.inference.label(job.model)
    for data, found in results:
        out.line(f"{label} · {job.task.name} · {data}")
        rows = [("mean", _means(found), _cost(found))]
        rows[:0] = [(one.score.image, one.score.metrics, one.tile_cost_db) for one in found]
        table = [{"image": image} | {metric: f"{value:.4f}" for metric, value in values.items()} for image, values, _ in rows]
        if any(one.tile_cost_db is not None for one in found):
            for line, (_, _, cost) in zip(table, rows, strict=True):
                line["tiles cost (dB)"] = None if cost is None else f"{-cost:z.4f}"
        out.table(table)
        used = list(dict.fromkeys(one.inference for one in found))
        if used != ["whole"]:
            out.line(f"Inference: {'; '.join(used)}; the protocol says whole.")
    out.line(f"{job.rule.key}: {job.rule.statement}")
    for metric, why in metrics.list_unavailable(job.rule).items():
        out.line(f"{metric} is unavailable: {why}")
