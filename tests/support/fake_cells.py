"""Stand-ins for `suite.training.cell.run_cell`, importable by Ray's workers; what a cell does is told by the environment.

SUITE_TEST_CELLS is JSON, {model: behaviour}; a model that is not in it is "good".

`shared_cell` is the real cell, whose workers run `quick_loop`: the real one, hurried or slowed for tests.
"""

import json
import os
import time

import numpy as np

from suite.core import machine
from suite.core.errors import SuiteError
from suite.core.stop import StopFlag, Stopped
from suite.records.cell import Progress
from suite.records.record import ImageScore, Provenance, Record
from suite.records.spec import RunSpec
from suite.training import cell, loop, losses, prepare, workers
from suite.training.cell import run_cell as real_cell

CELL = "fake_cells:run_cell"
VARIABLE = "SUITE_TEST_CELLS"
SHARED_CELL = "fake_cells:shared_cell"
PAUSE = "SUITE_TEST_PAUSE"  # seconds after each step of a worker


def spec(model, **fields):
    """A spec with small numbers."""
    small = {"task": "sr-x2", "budget": "quick", "backend": "reference", "iterations": 3, "batch": 1, "patch": 16, "lr": 1e-3}
    return RunSpec(model=model, protocol="sr-y@1", **(small | fields))


def record(of, *, status="done", attempt=1, score=30.0, error=None, provenance=None):
    """A record of one made-up image."""
    scores = (ImageScore(image="image", metrics={"PSNR-Y": score, "SSIM-Y": 0.9}),) if status == "done" else ()
    fields = {"fingerprint": of.fingerprint, "spec": of, "status": status, "attempt": attempt, "error": error}
    return Record(**fields, scores=scores, provenance=provenance)


def ran(of, *, here=True, seconds=2.0, rest=30):
    """A done record of `of`: `seconds` an iteration and `rest` seconds beside."""
    whole = int(seconds * of.iterations + rest)
    made = Provenance(
        started="2026-01-01T00:00:00+00:00",
        finished=f"2026-01-01T00:{whole // 60:02d}:{whole % 60:02d}+00:00",
        commit="unknown",
        dirty=None,
        packages={},
        machine=machine.describe_machine() if here else {"cpu": "another"},
        threads=1,
        launcher="inline",
        backend_reason="",
    )
    times = (seconds,) * of.iterations
    return record(of, provenance=made).model_copy(update={"iteration_seconds": times, "evaluate_seconds": 1.0, "trained_params": 1_000_000})


def run_cell(of, context):
    """What SUITE_TEST_CELLS says of the model."""
    behaviour = json.loads(os.environ.get(VARIABLE, "{}")).get(of.model, "good")
    if behaviour == "real":
        yield from real_cell(of, context)
        return
    if behaviour == "trains":
        yield from trained(of, context)
        return
    for iteration in range(1, of.iterations + 1):
        yield Progress(of.fingerprint, "training", iteration, of.iterations, loss=1 / iteration)
    if behaviour == "raises":
        raise ValueError("this cell is broken")
    if behaviour == "refuses":
        raise SuiteError("this cell lacks its data; put them there.")
    if behaviour == "dies":
        os.write(2, b"last words of the worker\n")
        os._exit(9)
    if behaviour == "dies once" and not (context.work / "died").exists():
        (context.work / "died").touch()
        os._exit(9)
    if behaviour == "ends":
        return
    flag, saved = StopFlag.of(context.work), context.work / "saved"
    while behaviour == "deaf" or (behaviour == "slow" and not saved.exists()):
        (context.work / "checkpoint").touch()
        time.sleep(0.05)
        if behaviour == "slow" and flag.requested():
            saved.touch()
            raise Stopped("saved")
        yield Progress(of.fingerprint, "training", of.iterations, of.iterations)
    while behaviour == "stubborn":
        try:
            (context.work / "checkpoint").touch()
            time.sleep(0.05)
        except KeyboardInterrupt:
            (context.work / "asked").touch()
    yield Progress(of.fingerprint, "evaluating", of.iterations, of.iterations)
    yield record(of, attempt=context.attempt, score=deterministic_score(of), provenance=provenance(context))


def trained(of, context):
    """Trains a tiny network on pictures of noise, as a cell does; the score is told by its weights."""
    from suite.data.degrade.degradations import degradation
    from suite.data.feed.sampler import PatchSampler
    from suite.training.loop import begin, train

    pixels = np.random.default_rng(0).integers(0, 256, size=(48, 48, 3), dtype=np.uint8)
    sampler = PatchSampler([("noise", pixels)], degradation("bicubic-x2"), of.patch, of.seed, rotate=True)
    run = begin(of)
    flag = StopFlag.of(context.work)
    for _ in train(run, sampler, [], context.work, stop=flag.requested):
        yield Progress(of.fingerprint, "training", run.iteration, of.iterations)
    if run.iteration < of.iterations:
        raise Stopped("saved")
    score = float(sum(tensor.double().abs().sum() for tensor in run.network.state_dict().values()))
    yield record(of, attempt=context.attempt, score=score, provenance=provenance(context))


def deterministic_score(of):
    """A number that is the same wherever the spec runs."""
    values = np.random.default_rng(of.seed).normal(size=(64, 64))
    return float(30 + np.linalg.norm(values @ values.T) / 1e4)


def provenance(context):
    """Of a fake cell, on the machine that it runs on."""
    fields = {"commit": "unknown", "dirty": None, "packages": {}, "machine": machine.describe_machine()}
    times = {"started": "2026-01-01T00:00:00+00:00", "finished": "2026-01-01T00:00:10+00:00"}
    how = {"threads": context.threads, "launcher": context.launcher, "backend_reason": context.backend_reason}
    return Provenance(**fields, **times, **how)


def shared_cell(of, context):
    """The real cell, which loads no image that its workers load; Ray takes `quick_loop` to them by its name."""
    workers.run_worker = quick_loop
    cell.load_data = None
    yield from real_cell(of, context)


def quick_loop(config):
    """A worker that writes checkpoints all the time, pauses after each step, and needs no weights of VGG19."""
    loop.CHECKPOINT_SECONDS = 0.3
    losses.load_perceptual_loss = random_perceptual
    workers.report_progress = paused
    workers.run_worker(config)


def paused(run, steps):
    for event in prepare.report_progress(run, steps):
        yield event
        time.sleep(float(os.environ.get(PAUSE, "0")))


def random_perceptual():
    """The perceptual loss with features of random weights."""
    import torch
    from torchvision.models import vgg19

    torch.manual_seed(0)
    return losses.Perceptual(vgg19(weights=None).features)
