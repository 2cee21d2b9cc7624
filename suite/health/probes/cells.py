"""Whole cells as `run` runs them, from spec to record: one with uneven passes and stochastic depth, one interrupted, one by two workers.

Beside what the record holds, the weights are watched, as how far they moved from where they began, in learning rates: so a wrong rate,
optimiser, moving average or decay shows, whatever it does to a picture.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import tempfile
import threading
import warnings
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch

from models.base import RestorationNet
from models.parts.discriminator import Discriminator
from suite.core import tensors
from suite.core.process import Say, ask, environment_for
from suite.core.stop import StopFlag, Stopped
from suite.data.feed.training_set import load_training
from suite.health.probes.networks import enlarge_weights
from suite.health.probes.nudge import nudged
from suite.health.probes.number import BUDGET, DATA, TRAINED_ON, Number, ProbePart
from suite.measure.inference.restorer import network_of
from suite.records.cell import CellContext, Progress
from suite.records.record import Record
from suite.records.spec import RunSpec
from suite.records.trainings import Trainings
from suite.runner import plan
from suite.study.tasks import task
from suite.training import loop, losses
from suite.training.cell import run_cell
from suite.training.checkpoints import Checkpoints
from suite.training.prepare import prepare_training
from suite.training.share import Share

STOPPED_AT = 2  # the iteration at which a cell is interrupted
WORKER_PATIENCE = timedelta(seconds=90)  # of one worker for the other, which may never come where something is wrong


def parts() -> tuple[ProbePart, ...]:
    """Return a part for each cell, and one for losses."""
    return (
        ProbePart("uneven passes", _uneven, 8),
        ProbePart("interrupted", _interrupted, 14),
        ProbePart("two workers", _two_workers, 12),
        ProbePart("losses", _losses, 3),
    )


def plan_cell(model: str, of_task: str, seed: int, changes: Mapping[str, object] = MappingProxyType({})) -> RunSpec:
    """Return the spec of a small cell; `changes` are fields as `--set` takes them."""
    sets = dict.fromkeys(("train_set", "validation_set", "test_set"), DATA)
    given = {name: json.dumps(value) for name, value in changes.items()}
    only = [f"{model}@{of_task}"]
    found = plan.plan_cells("tasks", budget=BUDGET, seeds=seed + 1, only=only, changes=sets | given, backend=TRAINED_ON, device="cpu")
    return next(spec for spec in found if spec.seed == seed and spec.task == of_task)


def _uneven() -> Iterator[Number]:
    """Run seed 1, a batch of 4 in passes of 3 and 1, a decay that shows, an average; two blocks a group, so that depth is stochastic.

    It begins with a file of larger weights than drawn, as the networks of `outputs` have: else what depth drops would be a thousandth.
    """
    spec = plan_cell("mambair-sr-x2", "sr-x2", 1, {"batch": 4, "depth_divisor": 3, "weight_decay": 0.1, "ema_decay": 0.9})
    with tempfile.TemporaryDirectory(prefix="suite-check-") as folder:
        start = Path(folder) / "start.pt"
        tensors.save_weights(start, enlarge_weights(_first_network(spec)).state_dict(), {"model": spec.model})
        spec = spec.model_copy(update={"start": str(start)})
        record = _run(spec, Path(folder), micro_batch=3)
        yield from _told("cells/uneven passes", record, Path(folder))


def _interrupted() -> Iterator[Number]:
    """Run seed 1, stopped at its second step as by Ctrl-C, and go on with it."""
    spec = plan_cell("vmambair-derain", "derain", 1)
    with tempfile.TemporaryDirectory(prefix="suite-check-") as folder:
        if _run(spec, Path(folder), stop_at=STOPPED_AT) is not None:
            raise RuntimeError("the cell was asked to stop and did not")
        yield from _told("cells/interrupted", _run(spec, Path(folder)), Path(folder))


def _run(spec: RunSpec, folder: Path, *, micro_batch: int = 0, stop_at: int | None = None) -> Record | None:
    """Run the cell in `folder`; None where it stopped as it was asked to."""
    context = CellContext(folder / "work", threads=1, launcher="inline", backend_reason="a probe", micro_batch=micro_batch)
    flag = StopFlag.of(context.work)
    flag.clear()
    record = None
    with contextlib.suppress(Stopped):
        for event in run_cell(spec, context):
            if isinstance(event, Progress) and event.state == "training" and stop_at is not None and event.iteration + 1 >= stop_at:
                flag.set()
            record = event
    return None if isinstance(record, Progress) else record


def _told(key: str, record: Record | None, folder: Path) -> Iterator[Number]:
    """Yield what a record and the files beside it hold."""
    if record is None:
        raise RuntimeError("the cell ended without a record")
    spec, rests_on = record.spec, record.spec.protocol
    for point in record.history:
        yield Number(f"{key}/loss {point.iteration}", "loss", point.loss, rests_on)
        for metric, value in point.validation.items():
            yield Number(f"{key}/validation {metric} {point.iteration}", "quality", value, rests_on)
    for score in record.scores:
        for metric, value in score.metrics.items():
            yield Number(f"{key}/{metric}/{score.image}", "quality", value, rests_on)
    for split, checksum in record.provenance.data_checksums.items() if record.provenance else ():
        yield Number(f"{key}/images of {split.partition(' ')[0]}", "digest", checksum[:16])
    if record.started_from:
        yield Number(f"{key}/weights that it began with", "count", float(record.started_from.tensors))
    yield Number(f"{key}/trained parameters", "count", float(record.trained_params or 0))
    yield Number(f"{key}/multiply-adds of the full network", "count", record.cost.macs if record.cost else None)
    yield Number(f"{key}/protocol", "digest", f"{record.protocol.name}@{record.protocol.version}" if record.protocol else "none", rests_on)
    for share, area in record.receptive_field.shares.items() if record.receptive_field else ():
        yield Number(f"{key}/receptive field of {share} %", "quality", area)
    kept = Checkpoints(folder / "work", spec.fingerprint)
    for saved in kept.files():
        yield Number(f"{key}/score of checkpoint {saved.iteration}", "quality", saved.score, rests_on)
    state = kept.latest(lambda _text: None)
    measured = tensors.read(Trainings([spec]).key(spec).weights_file(folder / "weights"))
    yield Number(f"{key}/weights moved", "loss", _moved(spec, state["network"]))
    yield Number(f"{key}/measured weights moved", "loss", _moved(spec, measured.get("params_ema") or measured["params"]))
    yield Number(f"{key}/measured weights", "digest", ", ".join(sorted(measured)))


def _moved(spec: RunSpec, weights: Mapping[str, Any]) -> float:
    """Average the absolute steps from where the weights began, in learning rates."""
    network = _first_network(spec)
    start = dict((enlarge_weights(network) if spec.start else network).named_parameters())
    steps = sum(float((weights[name].double() - value.detach().double()).abs().sum()) for name, value in start.items())
    return steps / spec.lr / sum(value.numel() for value in start.values())


def _first_network(spec: RunSpec) -> RestorationNet:
    """Make the network as its seed draws it."""
    torch.manual_seed(spec.seed)
    return network_of(spec)


def shared_spec() -> RunSpec:
    """Return the spec that two workers train: three images a batch, so that their shares differ."""
    return plan_cell("mambair-light-x2", "light-sr-x2", 0, {"batch": 3, "iterations": 3})


def train_share(rank: int, meeting: str) -> loop.Training:
    """Train `shared_spec` as one of two workers that meet at the file `meeting`."""
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo" if sys.platform == "linux" else "lo0")  # nobody else need reach us
    torch.distributed.init_process_group("gloo", init_method=Path(meeting).as_uri(), rank=rank, world_size=2, timeout=WORKER_PATIENCE)
    try:
        spec = shared_spec()
        with tempfile.TemporaryDirectory(prefix="suite-check-") as folder:
            context = CellContext(Path(folder) / "work", threads=1, launcher="inline", backend_reason="a probe")
            run, sampler = prepare_training(spec, context, Share(rank, 2), load_training(spec.train_set, task(spec.task)))
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", message="Grad strides do not match")  # slower, not wrong
                for _ in loop.train(run, sampler, [], context.work, keep=lambda _run: None):
                    pass
            return run
    finally:
        torch.distributed.destroy_process_group()


def answer(asked: dict[str, str], say: Say) -> None:
    """Train the second worker's share in a process of its own, beside the one that asks {"meeting": FILE}."""
    torch.set_num_threads(1)
    say("iterations", train_share(0, asked["meeting"]).iteration)


def _two_workers() -> Iterator[Number]:
    """Average the gradients of two processes, of which this is one; nothing is nudged, for both begin with the same weights."""
    with nudged(None), tempfile.TemporaryDirectory(prefix="suite-check-") as folder:
        meeting, failed = str(Path(folder) / "meeting"), []

        def accompany() -> None:
            try:
                list(ask("suite.health.probes.cells:answer", {"meeting": meeting}, environment_for(1), "the second worker"))
            except Exception as error:  # raised below
                failed.append(f"{error}")

        other = threading.Thread(target=accompany, daemon=True)
        other.start()
        run = train_share(1, meeting)
        other.join()
        moved = _moved(run.spec, run.network.state_dict())
    if failed:
        raise RuntimeError(failed[0])
    for point in run.history:
        yield Number(f"cells/two workers/loss {point.iteration}", "loss", point.loss)
    yield Number("cells/two workers/weights moved", "loss", moved)


def _losses() -> Iterator[Number]:
    """Compute each term of a loss on fixed tensors, and the discriminator that a GAN recipe trains against."""
    draw = torch.Generator().manual_seed(0)
    output, target = (torch.rand(1, 3, 32, 32, generator=draw) for _ in range(2))
    for name in ("l1", "charbonnier", "l1+fft"):
        yield Number(f"cells/losses/{name}", "output", float(losses.pixel_loss(name, output, target)))
        near = target + 1e-3 * (output - target)
        yield Number(f"cells/losses/{name} of nearly equal pictures", "output", float(losses.pixel_loss(name, near, target)))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        discriminator = Discriminator().eval()
    with torch.no_grad():
        logits = discriminator(output)
    yield Number("cells/losses/discriminator", "output", float(logits.double().abs().mean()))
    for real in (True, False):
        yield Number(f"cells/losses/adversarial, real {real}", "output", float(losses.adversarial_loss(50 * logits + 1, real=real)))
