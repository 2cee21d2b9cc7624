"""`python -m suite restore IN OUT`: images of any size and mode, restored by a model."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from suite.cli import common
from suite.cli.measure.inference import add_inference, choose_inference
from suite.core.errors import Exit, SuiteError
from suite.core.output import Output, note

if TYPE_CHECKING:
    import numpy as np

    from suite.measure.inference.dnd import Photograph
    from suite.measure.inference.restore import Restoration

SUMMARY = "restore an image, or the images of a folder"
EXAMPLE = "restore photo.jpg out.png --model mambair-sr-x4 --weights FILE"


def add_arguments(verb: argparse.ArgumentParser) -> None:
    """Add the options of the verb."""
    verb.add_argument("source", type=Path, metavar="IN", help="an image, a folder (all images in it and in its folders), or DND as shipped")
    verb.add_argument("target", type=Path, metavar="OUT", help="a PNG file, or a folder, which is created; images keep their places in it")
    what = verb.add_argument_group("what to restore with")
    what.add_argument("--model", metavar="NAME", help="a name of `list models`, or bicubic (default: what the file of --weights says)")
    common.add_shared(what, "--weights", "--key", "--plugin")
    what.add_argument(
        "--task", metavar="NAME", help="a name of `list tasks` (default: the task of the model; bicubic needs one for its scale)"
    )
    how = verb.add_argument_group("how to run it")
    add_inference(how)
    common.add_shared(how, "--max-megapixels")
    out = verb.add_argument_group("what comes out")
    out.add_argument("--suffix", default="", metavar="TEXT", help="added to the names of the restored images, before .png")
    out.add_argument("--overwrite", action="store_true", help="replace files that exist")


def run(options: argparse.Namespace, out: Output) -> Exit:
    """Restore the images, and say which could not be; exit code 4 where some could not."""
    from suite.measure.inference import dnd
    from suite.measure.inference import restore as restoring
    from suite.measure.inference.weights import read_model
    from suite.measure.quality import evaluate
    from suite.study.protocols import protocol

    common.allow_size(options)
    options.model = options.model or read_model(options.weights, options.key)
    task = restoring.task_of(options.model, options.task)
    if options.model not in evaluate.SIMPLE_RESTORERS:
        evaluate.check_fits(options.model, task)
    inference, _ = choose_inference(options)
    channels = restoring.channels_of(options.model)
    to_submit = dnd.is_dnd(options.source)
    if to_submit:
        if options.suffix or channels < 3 or task.scale > 1:
            raise SuiteError(f"{options.source} is DND: restore it with a colour model that does not enlarge, and without --suffix.")
        jobs, faults = dnd.plan_photographs(options.source, options.target, overwrite=options.overwrite), {}
    else:
        plan = restoring.plan_restorations(options.source, options.target, options.suffix, overwrite=options.overwrite)
        jobs, faults = plan.jobs, plan.faults
    tile = restoring.tile_of_large(inference.tile, inference.tile_size)
    job = evaluate.EvaluationJob(options.model, task, protocol(task.protocol), options.weights, inference, options.key)
    model = evaluate.Model(job, note)

    def restore(picture: np.ndarray) -> np.ndarray:
        return model.restore(picture)[0]

    def one(job: Restoration | Photograph) -> None:
        if isinstance(job, dnd.Photograph):
            dnd.restore_photograph(job, restore)
        else:
            restoring.restore_file(job, restore, task.scale, channels=channels, tile=tile)

    what = "photographs" if to_submit else "images"
    failed = _each(jobs, one, f"{what} restored")
    if failed and len(jobs) == 1:
        raise next(iter(failed.values()))
    for error in faults.values():
        note(str(error))
    out.line(f"{len(jobs) - len(failed)} of {len(jobs)} {what} restored by {inference.label(options.model)}: {options.target}")
    if to_submit and not failed:
        out.line("Send these files to the server of DND (noise.visinf.tu-darmstadt.de): its answer is the measurement.")
    for path in (*failed, *faults):
        out.line(f"not restored: {path}")
    return Exit.INCOMPLETE if failed or faults else Exit.DONE


def _each(jobs: Sequence[Restoration | Photograph], one: Callable[[Restoration | Photograph], None], what: str) -> dict[Path, SuiteError]:
    """Do every job with progress; return the sources of those that could not be done, and why."""
    from suite.core.parallel import show_progress

    failed: dict[Path, SuiteError] = {}

    def tried(job: Restoration | Photograph) -> None:
        try:
            one(job)
        except SuiteError as error:
            failed[job.source] = error
            if len(jobs) > 1:
                note(f"not restored: {error}")

    for _ in show_progress(map(tried, jobs), len(jobs), what):
        pass
    return failed
