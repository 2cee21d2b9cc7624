"""`python -m suite restore IN OUT`: images of any size and mode, restored by a model."""

from __future__ import annotations

import argparse
from pathlib import Path

from suite.errors import Exit, SuiteError
from suite.output import Output, note
from suite.verb_evaluate import add_inference, inference_of

SUMMARY = "restore an image, or the images of a folder"


def add_arguments(verb: argparse.ArgumentParser) -> None:
    """The verb's options."""
    verb.add_argument("source", type=Path, metavar="IN", help="an image, or a folder whose images are restored, those in its folders too")
    verb.add_argument("target", type=Path, metavar="OUT", help="a PNG file, or a folder, which is made; images keep their places in it")
    what = verb.add_argument_group("by what")
    what.add_argument("--model", required=True, metavar="NAME", help="a name of `list models`, or bicubic")
    what.add_argument("--weights", type=Path, metavar="FILE", help="checkpoint: the authors', or of these networks")
    what.add_argument("--task", metavar="NAME", help="a name of `list tasks` (default: the model's own; bicubic needs one for its scale)")
    add_inference(verb.add_argument_group("how to run it"))
    out = verb.add_argument_group("what comes out")
    out.add_argument("--suffix", default="", metavar="TEXT", help="added to the names of the restored images, before .png")
    out.add_argument("--overwrite", action="store_true", help="replace files that are there")


def run(options: argparse.Namespace, out: Output) -> Exit:
    """Restores, and says what could not be; exit code 4 where some could not."""
    from suite import evaluate, restoring
    from suite.parallel import shown
    from suite.protocols import protocol

    task = restoring.task_of(options.model, options.task)
    if options.model not in evaluate.BASELINES:
        evaluate.check_fits(options.model, task)
    inference, _ = inference_of(options)
    jobs = restoring.planned(options.source, options.target, options.suffix, overwrite=options.overwrite)
    model = evaluate.Model(evaluate.Job(options.model, task, protocol(task.protocol), options.weights, inference), note)
    failed: dict[Path, SuiteError] = {}

    def one(job: restoring.Restoration) -> None:
        try:
            restoring.restore_file(
                job, lambda picture: model.restore(picture)[0], task.scale, channels=restoring.channels_of(options.model)
            )
        except SuiteError as error:
            failed[job.source] = error
            note(f"not restored: {error}")

    for _ in shown(map(one, jobs), len(jobs), "images restored"):
        pass
    if failed and len(jobs) == 1:
        raise next(iter(failed.values()))
    out.line(f"{len(jobs) - len(failed)} of {len(jobs)} images restored by {inference.label(options.model)}: {options.target}")
    for path in failed:
        out.line(f"not restored: {path}")
    return Exit.INCOMPLETE if failed else Exit.DONE
