"""The training of a cell: a plain loop over patches, with everything that is needed to stop and go on, alone or as one of several workers.

Every batch, learning rate and random number is a function of the seed and the iteration: stopping at any step and going on gives the
same weights bit for bit on the CPU, and how a batch is shared among workers and passes changes nothing but the order of sums.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from models.base import RestorationNet
from models.checkpoints import find_tensors
from models.parts.discriminator import Discriminator
from models.parts.layers import depth_draws
from models.parts.recompute import recompute_blocks
from suite.core import tensors
from suite.core.errors import Exit, SuiteError
from suite.core.output import note
from suite.data.degrade.degradations import image_rng
from suite.data.digests import Files, check_same_files
from suite.data.feed.loader import Loader
from suite.data.feed.sampler import PatchSampler
from suite.data.pairs import Pair
from suite.measure.inference.restorer import forward, network_of, restorer_of
from suite.measure.quality.evaluate import evaluate
from suite.records.record import HistoryPoint, Record, StartedFrom
from suite.records.spec import RunSpec
from suite.records.trainings import TrainingKey, Trainings
from suite.study.protocols import protocol
from suite.study.tasks import task
from suite.training import losses
from suite.training.batches import make_batches
from suite.training.checkpoints import Checkpoints, own_files
from suite.training.interpolation import begin_as_interpolation
from suite.training.rates import discriminator_learning_rate, learning_rate, stage_at
from suite.training.share import Share
from suite.training.start import StartingWeights

HISTORY_POINTS, VALIDATIONS = 20, 4  # of a run, evenly spread; the last iteration is one of each
CHECKPOINT_SECONDS = 20.0

Parts = dict[str, float]  # terms of a loss by name


@dataclass
class Adversary:
    """The other side of a GAN recipe, and the loss that goes with it."""

    network: nn.Module
    module: nn.Module  # the network, or what shares it among workers
    optimiser: torch.optim.Optimizer
    perceptual: losses.Perceptual


@dataclass
class Training:
    """A training run in memory: all that a checkpoint holds, and nothing else that changes."""

    spec: RunSpec
    network: RestorationNet
    module: nn.Module  # the network, or what shares it among workers
    optimiser: torch.optim.Optimizer | None  # None where the training was done before
    average: AveragedModel | None
    key: TrainingKey
    adversary: Adversary | None = None
    share: Share = field(default_factory=Share)
    started_from: StartedFrom | None = None
    iteration: int = 0
    history: list[HistoryPoint] = field(default_factory=list)
    losses: list[Parts] = field(default_factory=list)  # since the last point of the history
    seconds: list[float] = field(default_factory=list)  # of each iteration
    files: dict[str, Files] = field(default_factory=dict)  # of each split that is known here, with their sha256

    @property
    def evaluated(self) -> RestorationNet:
        """The network that is measured: the moving average, where the recipe has one."""
        return self.network if self.average is None else self.average.module

    def state(self) -> dict[str, object]:
        """Return everything as tensors and plain values."""
        return {
            "fingerprint": self.spec.fingerprint,
            "training": self.key.fingerprint,
            "iteration": self.iteration,
            "network": self.network.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "average": None if self.average is None else self.average.state_dict(),
            "adversary": None
            if self.adversary is None
            else {"network": self.adversary.network.state_dict(), "optimiser": self.adversary.optimiser.state_dict()},
            "rng": torch.get_rng_state(),
            "rng_cuda": torch.cuda.get_rng_state_all() if self.spec.device == "cuda" else [],
            "history": [point.model_dump() for point in self.history],
            "losses": self.losses,
            "seconds": self.seconds,
            "files": {split: dict(files) for split, files in self.files.items()},
        }

    def restore(self, state: dict[str, object]) -> None:
        """Go back to where `state` was taken."""
        self.iteration = state["iteration"]
        self.network.load_state_dict(state["network"])
        self.optimiser.load_state_dict(state["optimiser"])
        if self.average is not None:
            self.average.load_state_dict(state["average"])
        if self.adversary is not None:
            self.adversary.network.load_state_dict(state["adversary"]["network"])
            self.adversary.optimiser.load_state_dict(state["adversary"]["optimiser"])
        torch.set_rng_state(state["rng"])
        if self.spec.device == "cuda":
            torch.cuda.set_rng_state_all(state["rng_cuda"][: torch.cuda.device_count()])  # a worker saw more GPUs, perhaps
        self.history = [HistoryPoint.model_validate(point) for point in state["history"]]
        self.losses, self.seconds = list(state["losses"]), list(state["seconds"])
        self.files = own_files(state, self.spec) | self.files


def begin(
    spec: RunSpec,
    share: Share | None = None,
    start: StartingWeights | None = None,
    *,
    recompute: bool = False,
    key: TrainingKey | None = None,
) -> Training:
    """Return a run at iteration 0, seeded by the spec, with the weights of `start` where there are any.

    `key` names the training where the spec alone does not.
    `recompute` keeps no activations of blocks and computes them again for the gradient: less memory, the same numbers.
    """
    share = share or Share()
    torch.manual_seed(spec.seed)
    network = network_of(spec).train()
    if spec.first_weights == "interpolation":
        begin_as_interpolation(network, noisy=task(spec.task).kind == "real-sr")
    taken, origin = start.fitted(network) if start is not None else ({}, None)
    network.load_state_dict(network.state_dict() | taken, strict=True)
    average = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(spec.ema_decay)) if spec.ema_decay else None
    if recompute:
        recompute_blocks(network)
    optimiser = _optimiser(spec, network.parameters(), spec.lr)
    adversary = _adversary(spec, share) if spec.discriminator_lr else None
    key = key or Trainings([spec]).key(spec)
    return Training(spec, network, _shared(network, share), optimiser, average, key, adversary, share, origin)


def _optimiser(spec: RunSpec, parameters: Iterator[nn.Parameter], lr: float) -> torch.optim.Optimizer:
    kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[spec.optimiser]
    return kind(parameters, lr=lr, betas=spec.betas, weight_decay=spec.weight_decay)


def _adversary(spec: RunSpec, share: Share) -> Adversary:
    network = Discriminator().to(spec.device).train()
    perceptual = losses.load_perceptual_loss().to(spec.device)
    optimiser = _optimiser(spec, network.parameters(), spec.discriminator_lr)
    return Adversary(network, _shared(network, share), optimiser, perceptual)


def _shared(network: nn.Module, share: Share) -> nn.Module:
    """Return the network as workers share it: gradients are averaged over them."""
    if share.world == 1:
        return network
    return DistributedDataParallel(network)


def train(
    run: Training,
    sampler: PatchSampler,
    validation: Sequence[Pair],
    work: Path,
    *,
    stop: Callable[[], bool] = lambda: False,
    keep: Callable[[Training], None] | None = None,
    loaders: int = 0,
    tell: Callable[[str], None] = note,
    begun: Callable[[], None] = lambda: None,
) -> Iterator[HistoryPoint | None]:
    """Train `run` to the end of its spec, in place; yield after each iteration (a point of the curve, where one is due).

    Continues from the newest whole checkpoint in `work`, if there is one, and keeps the last and the best there; `keep`, which all workers
    call at once, does so instead where it is given. `begun` is called once, before the first step, when `run` is where it goes on. Where
    `stop` says so to any worker, ends after a step with the checkpoint written and the run unfinished. `loaders` processes make batches
    ahead; `tell` hears of damaged checkpoints. Raises SuiteError at a loss that is not finite, and keeps the batch.
    """
    spec, first = run.spec, run.share.rank == 0
    kept = Checkpoints(work, spec.fingerprint, aliases=run.key.names)
    saved = kept.latest(tell)
    if saved is not None:
        check_same_files(own_files(saved, run.spec), run.files, spec.label, f"remove the folder {work}")
        run.restore(saved)
    begun()
    every, validate_every = (max(1, spec.iterations // count) for count in (HISTORY_POINTS, VALIDATIONS))
    last_saved = time.monotonic()
    make, finish = make_batches(spec, sampler, run.share)
    for _, low, high, waited in Loader(make, run.iteration, spec.iterations, workers=loaders, finish=finish):
        started = time.perf_counter()
        run.losses.append(_step(run, low, high, work))
        run.iteration += 1
        run.seconds.append(waited + time.perf_counter() - started)
        point, due = None, run.iteration == spec.iterations
        stopping, saving = _said_by_any(run, stop(), time.monotonic() - last_saved > CHECKPOINT_SECONDS)
        # The same for all workers, as saving must be.
        validating = due or (run.iteration % every == 0 and run.iteration % validate_every == 0)
        if due or run.iteration % every == 0:
            metrics = _validate(run, validation) if first and validating else {}
            point = _point(run, metrics)
            run.history.append(point)
            run.losses = []
        if validating or stopping or saving:
            keep(run) if keep else kept.save(run.iteration, run.state(), _score(run, point))
            last_saved = time.monotonic()
        yield point
        if stopping and not due:
            return


def _score(run: Training, point: HistoryPoint | None) -> float | None:
    """Return what the best checkpoint is told by: the validation's first metric, where it was taken at this iteration."""
    metric = protocol(run.spec.protocol).fidelity[0]
    return point.validation.get(metric) if point else None


def _said_by_any(run: Training, *said: bool) -> list[bool]:
    """Return what any of the workers says of each question: they stop and save together, or wait for each other for ever."""
    if run.share.world == 1:
        return list(said)
    answers = torch.tensor(said, dtype=torch.int32, device=run.spec.device)
    torch.distributed.all_reduce(answers, torch.distributed.ReduceOp.MAX)
    return [bool(answer) for answer in answers.tolist()]


def _point(run: Training, metrics: Parts) -> HistoryPoint:
    means = {name: sum(parts[name] for parts in run.losses) / len(run.losses) for name in run.losses[0]}
    total = means.pop("loss")
    return HistoryPoint(iteration=run.iteration, loss=total, parts=means if len(means) > 1 else {}, validation=metrics)


def _step(run: Training, all_low: Tensor, all_high: Tensor, work: Path) -> Parts:
    """Make one iteration on this worker's share of the batch; return the terms of the loss."""
    spec = run.spec
    _, batch = stage_at(spec, run.iteration)
    _set_rate(run.optimiser, learning_rate(spec, run.iteration))
    run.optimiser.zero_grad(set_to_none=True)
    draws = _draws(run, batch)
    passes, sums, pictures = run.share.passes(batch), {}, []
    for number, places in enumerate(passes):
        part = slice(places.start - passes[0].start, places.stop - passes[0].start)
        low, high = all_low[part].to(spec.device), all_high[part].to(spec.device)
        weight = len(places) * run.share.world / batch
        with _alone(run.module, number < len(passes) - 1):
            depth_draws(run.network, None if draws is None else draws[:, places.start : places.stop])
            loss, parts, output = generator_loss(run, low, high)
            if not torch.isfinite(loss):
                raise _not_finite(run, loss.item(), low, high, work)
            (weight * loss).backward()
        for name, value in parts.items():
            sums[name] = sums.get(name, 0.0) + weight * value.detach()
        pictures.append((output.detach(), high, weight))
    depth_draws(run.network, None)
    if spec.clip_norm:
        torch.nn.utils.clip_grad_norm_(run.network.parameters(), spec.clip_norm)
    run.optimiser.step()
    if run.adversary is not None:
        sums["discriminator"] = _discriminator_step(run, run.adversary, pictures)
    if run.average is not None:
        run.average.update_parameters(run.network)
    return _mean_over_workers(run, sums)


def generator_loss(run: Training, low: Tensor, high: Tensor) -> tuple[Tensor, dict[str, Tensor], Tensor]:
    """Return the loss, its terms by name ("loss" is their sum), and the output, in float32."""
    spec = run.spec
    with torch.autocast(spec.device, dtype=torch.bfloat16, enabled=spec.dtype == "bfloat16"):
        output = forward(run.module, low, run.network.channels)
    output = output.float()
    pixels = losses.pixel_loss(spec.loss, output, high)
    parts = {"pixels": pixels}
    if run.adversary is not None:
        parts["perceptual"] = run.adversary.perceptual(output, high)
        run.adversary.network.requires_grad_(False)
        parts["gan"] = losses.adversarial_loss(run.adversary.network(output), real=True)
        run.adversary.network.requires_grad_(True)
    total = sum(parts.values())
    return total, parts | {"loss": total}, output


def _discriminator_step(run: Training, adversary: Adversary, pictures: Sequence[tuple[Tensor, Tensor, float]]) -> Tensor:
    _set_rate(adversary.optimiser, discriminator_learning_rate(run.spec, run.iteration))
    adversary.optimiser.zero_grad(set_to_none=True)
    total = 0.0
    for number, (output, target, weight) in enumerate(pictures):
        with _alone(adversary.module, number < len(pictures) - 1):
            loss = discriminator_loss(adversary, output, target)
            (weight * loss).backward()
        total += weight * loss.detach()
    adversary.optimiser.step()
    return total


def discriminator_loss(adversary: Adversary, output: Tensor, target: Tensor) -> Tensor:
    """Return how badly the discriminator tells `target` from `output`, (B, C, H, W) each."""
    return losses.adversarial_loss(adversary.module(target), real=True) + losses.adversarial_loss(adversary.module(output), real=False)


def _set_rate(optimiser: torch.optim.Optimizer, lr: float) -> None:
    for group in optimiser.param_groups:
        group["lr"] = lr


def _alone(module: nn.Module, more: bool) -> contextlib.AbstractContextManager[object]:
    """Keep workers from averaging their gradients before the last pass."""
    return module.no_sync() if more and hasattr(module, "no_sync") else contextlib.nullcontext()


def _draws(run: Training, batch: int) -> Tensor | None:
    """Draw what stochastic depth goes by, for the whole batch: (layers, batch), uniform in 0..1; None where the network has none."""
    layers = depth_draws(run.network, None)
    if not layers:
        return None
    random = image_rng(run.spec.seed, "depth", run.iteration)
    return torch.from_numpy(random.random((layers, batch), dtype=np.float32)).to(run.spec.device)


def _not_finite(run: Training, loss: float, low: Tensor, high: Tensor, work: Path) -> SuiteError:
    spec = run.spec
    tensors.write(work / "non-finite" / "batch.pt", {"iteration": run.iteration, "low": low.cpu(), "high": high.cpu()})
    return SuiteError(
        f"the loss became {loss} at iteration {run.iteration} of {spec.label}; training stopped. The batch is kept in "
        f"{work / 'non-finite'}. A lower learning rate (--set lr={spec.lr / 2:g}) or clipping (--set clip_norm=0.5) may help.",
        exit=Exit.INCOMPLETE,
    )


def _mean_over_workers(run: Training, sums: dict[str, Tensor]) -> Parts:
    values = torch.stack([torch.as_tensor(value, dtype=torch.float64).cpu() for value in sums.values()])
    if run.share.world > 1:
        values = values.to(run.spec.device)
        torch.distributed.all_reduce(values)
        values /= run.share.world
    return dict(zip(sums, values.tolist(), strict=True))


def _validate(run: Training, pairs: Sequence[Pair]) -> Parts:
    """Return the means of PSNR and SSIM over the validation images, if any; leave torch's generator and the training mode as they were."""
    if not pairs:
        return {}
    rule = protocol(run.spec.protocol)
    scores, _ = evaluate(restorer_of(run.evaluated), pairs, rule, run.network.scale)
    run.network.train()
    return {metric: sum(score.metrics[metric] for score in scores) / len(scores) for metric in rule.fidelity}


def save_weights(path: Path, run: Training) -> None:
    """Save what `run` trained: the moving average as `params_ema` where the recipe has one, else the network as `params`."""
    about = run.spec.model_dump(include={"model", "task", "budget", "seed", "width", "depth_divisor", "recipe"})
    about |= {"fingerprint": run.spec.fingerprint, "training": run.key.fingerprint, "iteration": run.iteration}
    tensors.save_weights(path, run.evaluated.state_dict(), about, averaged=run.average is not None)


def reopen_training(spec: RunSpec, key: TrainingKey, trained: Record, folder: Path) -> Training:
    """Return the finished training that `trained` is the record of, its weights read from `folder`.

    SuiteError where they are gone, or are another training's.
    """
    path = key.find_weights(folder)
    if path is None:
        raise SuiteError(
            f"{spec.label} was trained by the cell {trained.fingerprint}, and {key.weights_file(folder)} is not on this machine. Put it "
            "there; where the weights are lost, the same command trains again.",
            exit=Exit.NOT_READY,
        )
    held = tensors.read(path)
    about = held.get("metadata") or {}
    if about.get("training") != key.fingerprint and about.get("fingerprint") not in key.cells:
        raise SuiteError(
            f"{path} holds the weights of the cell {about.get('fingerprint')}, not of {trained.fingerprint}. Take it away, and the same "
            "command trains again.",
            exit=Exit.NOT_READY,
        )
    torch.manual_seed(spec.seed)  # for networks that draw where they restore
    network = network_of(spec)
    network.load_state_dict(find_tensors(held).state, strict=True)
    run = Training(spec, network, network, None, None, key, started_from=trained.started_from, iteration=spec.iterations)
    run.history, run.seconds = list(trained.history), list(trained.iteration_seconds)
    return run
