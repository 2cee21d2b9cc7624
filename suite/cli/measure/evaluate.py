"""`python -m suite evaluate`: a model's quality on test sets, under a protocol, kept as a record of the ledger for each set."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from suite.cli import common
from suite.cli.measure.evaluate_runner import Result, Runner, record_results, save_folder
from suite.cli.measure.inference import SYMMETRIES, add_inference, choose_inference
from suite.core.errors import Exit, SuiteError
from suite.core.output import Output, note

if TYPE_CHECKING:
    from suite.data.pairs import PairSource
    from suite.measure.inference.weights_files import Description
    from suite.measure.quality.evaluate import EvaluationJob, ImageResult
    from suite.measure.quality.saving import SavedImages
    from suite.records.ledger import Ledger

SUMMARY = "measure a model with given weights, or a baseline, on test sets"
EXAMPLE = "evaluate bicubic --task sr-x2"
GRID = "published"
LAUNCHERS = ("ray", "inline")


def add_arguments(verb: argparse.ArgumentParser) -> None:
    """Add the options of the verb."""
    what = verb.add_argument_group("what to measure")
    what.add_argument(
        "model",
        nargs="?",
        metavar="MODEL",
        help="a name of `list models`, or bicubic, or identity (the low-quality image itself) (default: the network of the weights)",
    )
    what.add_argument("--task", metavar="NAME", help="a name of `list tasks` (default: the network's; a baseline needs one)")
    what.add_argument(
        "--data",
        nargs="+",
        action="extend",
        default=None,
        metavar="NAME_OR_FOLDER",
        help="names of `list datasets`, or folders: of images, or with GT/ and LQ/, HR/ and LR_bicubic/X2/ and the like (default: photos)",
    )
    common.add_shared(what, "--weights", "--key", "--max-megapixels", "--plugin")
    what.add_argument("--protocol", metavar="NAME[@VERSION]", help="a name of `list protocols` (default: the task's)")
    what.add_argument("--limit", type=int, metavar="N", help="measure the first N images of each set only, to try things out")
    add_inference(verb.add_argument_group("how to run it"))
    _add_grid(verb.add_argument_group("every published network at once"))
    out = verb.add_argument_group("what comes out")
    out.add_argument("--tile-cost", action="store_true", help="also restore each image whole, and report the dB that the tiles cost")
    out.add_argument("--save", type=Path, metavar="DIR", help="write the restored images to DIR/<set>/, as PNG")
    out.add_argument("--again", action="store_true", help="measure again what the ledger has, and record it again")
    out.add_argument("--no-record", action="store_true", help="neither read nor write the ledger")
    common.add_shared(out, "--ledger", "--json", "--wide")


def _add_grid(grid: argparse._ActionsContainer) -> None:
    grid.add_argument(
        "--grid", choices=(GRID,), help="the networks of `weights list` and the test sets that are here, and the baselines, through Ray"
    )
    grid.add_argument(
        "--in", dest="folders", type=Path, **common.REPEATED, metavar="DIR", help="look here for weights, too; may be repeated"
    )
    grid.add_argument("--only", **common.REPEATED, metavar="PATTERN", help="part of a model's or a set's name, or a shell pattern")
    grid.add_argument("--launcher", choices=LAUNCHERS, default=LAUNCHERS[0], help="ray: side by side; inline: one after another")
    grid.add_argument("--dry-run", action="store_true", help="print what would be measured, what is done, and what is missing")


def run(options: argparse.Namespace, out: Output) -> Exit:
    """Measure, and print a table for each set, or one document; then record it."""
    common.allow_size(options)
    if options.grid is not None:
        from suite.cli.measure import evaluate_grid

        return evaluate_grid.run(options, out)
    _check_alone(options)
    options.model, options.task = _choose_model(options)
    job, reason = _job(options)
    sets = _sets(job, options)
    ledger = _ledger(options)
    notes = {data: _warn(data, sources, job, options) for data, sources in sets.items()}
    runner = Runner(job, reason, options, ledger, _begin_saving(sets, options.save))
    results, recorded = [], True
    for data, sources in sets.items():
        results.append(runner.measure(data, sources[: options.limit], notes[data]))
        try:
            if not options.json:
                _print_set(job, results[-1], out)
        finally:  # what was measured is kept even where it cannot be printed
            recorded &= record_results(ledger, results[-1:], told=not options.json)
    if options.json:
        out.document(_document(runner, options, results))
    else:
        _print_protocol(job, out)
    unsaved = [one.unsaved for one in results if one.unsaved]
    for error in unsaved:
        note(f"not all images were saved: {error}")
    return Exit.DONE if recorded and not unsaved else Exit.NOT_READY


def _check_alone(options: argparse.Namespace) -> None:
    """Refuse the options of the grid where none is asked for."""
    given = {"--in": options.folders, "--only": options.only, "--dry-run": options.dry_run}
    if found := [name for name, value in given.items() if value]:
        raise SuiteError(f"{found[0]} is for --grid {GRID}.")
    if options.again and options.no_record:
        raise SuiteError("--again records once more, and --no-record leaves the ledger alone: give one of them.")


def _ledger(options: argparse.Namespace) -> Ledger | None:
    from suite.records.ledger import Ledger

    return None if options.no_record else Ledger(options.ledger)


def _choose_model(options: argparse.Namespace) -> tuple[str, str]:
    """Return the names of model and task: as asked for, else as the file of weights, the register and the catalogue say."""
    import models
    from suite.core.files import sha256_of
    from suite.measure.inference import weights, weights_files
    from suite.measure.quality import evaluate
    from suite.study import weights_register
    from suite.study.tasks import task as task_row

    name, task = options.model, options.task
    if name in evaluate.SIMPLE_RESTORERS and task is None:
        raise SuiteError(f"{name} needs --task NAME: a name of `python -m suite list tasks`.")
    if name is not None and task is not None:
        return name, task
    if name is not None and options.weights is None:
        models.card(name)  # or UnknownName
        evaluate.check_weights(name, None)
    if options.weights is None:
        raise SuiteError("nothing to measure is named. Give MODEL, or --weights FILE, whose network is recognised.")
    weights.check_file(options.weights)
    register = weights_register.load()
    entries, state = weights_files.find_entries(options.weights, sha256_of(options.weights), register)
    published = [file.task for file in entries if file.task and state != "changed"]
    if name is None:
        name = _recognise(
            options.weights, weights_files.describe(options.weights, register, options.key), task or next(iter(published), "")
        )
        note(f"{options.weights} is of {name}.")
    card = models.card(name)
    return name, task or next((one for one in published if task_row(one).scale == card.scale), card.task)


def _recognise(path: Path, found: Description, task: str) -> str:
    """Return the one model that a file of weights is of; SuiteError where it is of none, or of several."""
    import models

    if not found.models:
        raise SuiteError(found.problem or f"{path} loads as no model here: {found.reason}.", exit=Exit.NOT_READY)
    said = [name for name in found.models if name == found.said]
    chosen = said or [name for name in found.models if models.card(name).task == task] or found.models
    if len(chosen) > 1:
        raise SuiteError(f"{path} fits {', '.join(chosen)}, which are the same network: name one of them, or its --task.")
    return chosen[0]


def _warn(data: str, sources: Sequence[PairSource], job: EvaluationJob, options: argparse.Namespace) -> list[str]:
    """Return what is to be said of a set before it is measured, and say it."""
    from suite.data.check.traps import warn_of_number, warn_of_sources

    texts = warn_of_sources(data, sources[: options.limit], job.task, job.rule)
    texts += [] if options.limit else warn_of_number(data, len(sources))
    for text in texts:
        note(f"{data}: {text}. `python -m suite data check` examines the whole set.")
    beside = _look_beside(sources)
    for text in beside:
        note(f"{data}: {text}.")
    return texts + beside


def _look_beside(sources: Sequence[PairSource]) -> list[str]:
    """Say what lies in the folders of the images and is left out; SuiteError where an image, or something beside them, is at fault."""
    from suite.data.layouts.survey import check_images

    return list(check_images(path for source in sources for path in source.files).left_out)


def _job(options: argparse.Namespace) -> tuple[EvaluationJob, str]:
    """Return what is measured, checked as far as it can be without data and weights."""
    from suite.measure.inference.weights import is_needless
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
    key = options.key
    if key and options.weights is not None and is_needless(key, options.weights, options.model):
        note(f"--key {key}: the same weights are taken from {options.weights} without it.")
        key = ""  # so that the record is compared as one of those weights
    inference, reason = choose_inference(options)
    return evaluate.EvaluationJob(options.model, row, rule, options.weights, inference, key), reason


def _sets(job: EvaluationJob, options: argparse.Namespace) -> dict[str, Sequence[PairSource]]:
    """Find the pairs of every set, before anything is computed."""
    from suite.data.sets import pair_sources

    found = {}
    for data in options.data or ["photos"]:
        sources = pair_sources(data, "test", job.task, job.rule)
        if not sources:
            raise SuiteError(f"{data} has no test image.", exit=Exit.NOTHING)
        found[data] = sources
    return found


def _begin_saving(sets: Iterable[str], save: Path | None) -> dict[str, SavedImages]:
    """Return where the images of each set are saved, proved to be free and writable before anything is computed; {} without --save."""
    from suite.measure.quality.saving import SavedImages

    saved = {data: SavedImages(save_folder(save, data)) for data in sets} if save else {}
    if len({one.folder for one in saved.values()}) < len(saved):
        raise SuiteError(
            "two of the sets have the same name, and their images would be saved in one folder. Measure them one after another."
        )
    for one in saved.values():
        one.begin()
    return saved


def _means(found: Sequence[ImageResult]) -> dict[str, float]:
    metrics = found[0].score.metrics
    return {metric: sum(one.score.metrics[metric] for one in found) / len(found) for metric in metrics}


def _cost(found: Sequence[ImageResult]) -> float | None:
    """Return the mean dB that tiles cost, over the images that were also restored whole."""
    known = [one.tile_cost_db for one in found if one.tile_cost_db is not None]
    return sum(known) / len(known) if known else None


def _document(runner: Runner, options: argparse.Namespace, results: Sequence[Result]) -> dict[str, object]:
    from suite.data.degrade import jpeg
    from suite.measure.quality import available as metrics
    from suite.measure.quality import evaluate
    from suite.study.grids import is_published

    def cost(value: float | None) -> dict[str, object]:
        return {"tile_cost_db": value} if options.tile_cost else {}

    def image(one: ImageResult) -> dict[str, object]:
        return one.score.model_dump(mode="json") | {"inference": one.inference} | cost(one.tile_cost_db)

    job, inference = runner.job, runner.job.inference
    return {
        "model": job.model,
        "label": inference.label(job.model),
        "task": job.task.name,
        "published": is_published(job.model, job.task.name),
        "weights": options.weights and str(options.weights),
        "loaded": runner.model and runner.model.used and runner.model.used.as_dict(),
        "protocol": job.rule.key,
        "statement": job.rule.statement,
        "unavailable": metrics.list_unavailable(job.rule),
        "inference": {"tile": inference.tile, "tile_size": inference.tile_size, "self_ensemble": SYMMETRIES if inference.ensemble else 1},
        "backend": inference.backend,
        "backend_reason": runner.reason,
        "device": inference.device,
        "routing": inference.routing if evaluate.find_routing(job.model, inference) else None,
        "jpeg_encoder": jpeg.encoder() if job.task.kind == "jpeg" else None,
        "sets": [
            {"data": one.data, "images": [image(each) for each in one.found], "mean": _means(one.found), "notes": list(one.notes)}
            | cost(_cost(one.found))
            for one in results
        ],
        "records": [
            {"data": one.data, "cell": one.record.fingerprint, "measured": "before" if one.before else "now"}
            for one in results
            if one.record
        ],
    }


def _print_set(job: EvaluationJob, result: Result, out: Output) -> None:
    found = result.found
    out.line(f"{job.inference.label(job.model)} · {job.task.name} · {result.data}")
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


def _print_protocol(job: EvaluationJob, out: Output) -> None:
    from suite.measure.quality import available as metrics

    out.line(f"{job.rule.key}: {job.rule.statement}")
    for metric, why in metrics.list_unavailable(job.rule).items():
        out.line(f"{metric} is unavailable: {why}")
