"""Training one cell: a plain loop over patches, with everything that is needed to stop and go on.

Every batch is a function of (seed, iteration), every random number of the networks comes from torch's generator, whose
state is in the checkpoint: stopping at any step and going on gives the same weights bit for bit on the CPU.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from suite import checkpoint
from suite.data.sampler import PatchSampler
from suite.data.sets import Pair
from suite.errors import Exit, SuiteError
from suite.evaluate import evaluate
from suite.networks import forward, network_of, restorer_of
from suite.protocols import protocol
from suite.record import HistoryPoint
from suite.spec import RunSpec

if TYPE_CHECKING:
    import torch

    from models.base import RestorationNet

HISTORY_POINTS, VALIDATIONS = 20, 4  # of a run, evenly spread; the last iteration is one of each
CHECKPOINT_SECONDS = 20.0


@dataclass
class Training:
    """A training run in memory: all that a checkpoint holds, and nothing else that changes."""

    spec: RunSpec
    network: RestorationNet
    optimiser: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.LRScheduler
    average: torch.optim.swa_utils.AveragedModel | None
    iteration: int = 0
    history: list[HistoryPoint] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)  # since the last point of the history
    seconds: list[float] = field(default_factory=list)  # of each iteration

    @property
    def evaluated(self) -> RestorationNet:
        """The network that is measured: the moving average, where the recipe has one."""
        return self.network if self.average is None else self.average.module

    def state(self) -> dict[str, object]:
        """Everything as tensors and plain values."""
        import torch

        return {
            "fingerprint": self.spec.fingerprint,
            "iteration": self.iteration,
            "network": self.network.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "schedule": self.schedule.state_dict(),
            "average": None if self.average is None else self.average.state_dict(),
            "rng": torch.get_rng_state(),
            "rng_cuda": torch.cuda.get_rng_state_all() if self.spec.device == "cuda" else [],
            "history": [point.model_dump() for point in self.history],
            "losses": self.losses,
            "seconds": self.seconds,
        }

    def restore(self, state: dict[str, object]) -> None:
        """Goes back to where `state` was taken."""
        import torch

        self.iteration = state["iteration"]
        self.network.load_state_dict(state["network"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.schedule.load_state_dict(state["schedule"])
        if self.average is not None:
            self.average.load_state_dict(state["average"])
        torch.set_rng_state(state["rng"])
        if self.spec.device == "cuda":
            torch.cuda.set_rng_state_all(state["rng_cuda"])
        self.history = [HistoryPoint.model_validate(point) for point in state["history"]]
        self.losses, self.seconds = list(state["losses"]), list(state["seconds"])


def begin(spec: RunSpec) -> Training:
    """A run at iteration 0, seeded by the spec."""
    import torch
    from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

    torch.manual_seed(spec.seed)
    network = network_of(spec).train()
    optimiser = torch.optim.Adam(network.parameters(), lr=spec.lr, betas=spec.betas)
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimiser, list(spec.milestones), gamma=0.5)
    average = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(spec.ema_decay)) if spec.ema_decay else None
    return Training(spec, network, optimiser, schedule, average)


def train(run: Training, sampler: PatchSampler, validation: Sequence[Pair], work: Path) -> Iterator[HistoryPoint | None]:
    """Trains `run` to the end of its spec, in place; yields after each iteration (a point of the curve, where one is due).

    Continues from the checkpoint in `work`, if there is one. Stops with SuiteError at a loss that is not finite, and
    keeps the batch that made it.
    """
    spec = run.spec
    saved = checkpoint.load(work, spec.fingerprint)
    if saved is not None:
        run.restore(saved)
    every, validate_every = (max(1, spec.iterations // count) for count in (HISTORY_POINTS, VALIDATIONS))
    last_saved = time.monotonic()
    while run.iteration < spec.iterations:
        started = time.perf_counter()
        run.losses.append(_step(run, sampler, work))
        run.iteration += 1
        run.seconds.append(time.perf_counter() - started)
        point = None
        due = run.iteration == spec.iterations
        if due or run.iteration % every == 0:
            metrics = _validate(run, validation) if due or run.iteration % validate_every == 0 else {}
            point = HistoryPoint(iteration=run.iteration, loss=sum(run.losses) / len(run.losses), validation=metrics)
            run.history.append(point)
            run.losses = []
        if due or time.monotonic() - last_saved > CHECKPOINT_SECONDS:
            checkpoint.save(work, run.state())
            last_saved = time.monotonic()
        yield point


def _step(run: Training, sampler: PatchSampler, work: Path) -> float:
    """One iteration; returns its loss."""
    import torch
    import torch.nn.functional as F

    spec = run.spec
    low, high = (torch.from_numpy(part).to(spec.device) for part in sampler.batch(run.iteration, spec.batch))
    with torch.autocast(spec.device, dtype=torch.bfloat16, enabled=spec.dtype == "bfloat16"):
        loss = F.l1_loss(forward(run.network, low), high)
    if not torch.isfinite(loss):
        checkpoint.save(work / "non-finite", {"iteration": run.iteration, "low": low.cpu(), "high": high.cpu()})
        raise SuiteError(
            f"the loss became {loss.item()} at iteration {run.iteration} of {spec.label}; training stopped. The batch is kept in "
            f"{work / 'non-finite'}. A lower learning rate (--set lr={spec.lr / 2:g}) or clipping (--set clip_norm=0.5) may help.",
            exit=Exit.INCOMPLETE,
        )
    run.optimiser.zero_grad(set_to_none=True)
    loss.backward()
    if spec.clip_norm:
        torch.nn.utils.clip_grad_norm_(run.network.parameters(), spec.clip_norm)
    run.optimiser.step()
    run.schedule.step()
    if run.average is not None:
        run.average.update_parameters(run.network)
    return loss.item()


def _validate(run: Training, pairs: Sequence[Pair]) -> dict[str, float]:
    """Means of PSNR and SSIM over the validation images; leaves torch's generator and the training mode as they were."""
    rule = protocol(run.spec.protocol)
    scores, _ = evaluate(restorer_of(run.evaluated), pairs, rule, run.network.scale)
    run.network.train()
    return {metric: sum(score.metrics[metric] for score in scores) / len(scores) for metric in rule.fidelity}
