"""A rehearsal before hours are spent: one pass of the largest stage, there and back, on the device and in the memory of the run.

What does not fit is told apart from other errors, and reported with what does: halves of the pass are tried until one fits, and
recomputing. The rehearsal leaves weights, buffers, gradients and random numbers as they were.
"""

from __future__ import annotations

import gc
from dataclasses import replace

import torch
from torch import Tensor, nn

from models.parts.layers import depth_draws
from models.parts.recompute import recompute_blocks
from suite.core.errors import Exit, SuiteError
from suite.core.torch_state import is_out_of_memory
from suite.study.tasks import task
from suite.training.loop import Training, discriminator_loss, generator_loss
from suite.training.share import stages


def largest_pass(run: Training) -> tuple[int, int, int]:
    """Return stage (from 1), patch and images of the pass that holds most pixels."""
    found = [
        (max(map(len, run.share.passes(batch)), default=0), patch, number)
        for number, (patch, batch) in enumerate(stages(run.spec), start=1)
    ]
    images, patch, number = max(found, key=lambda each: each[0] * each[1] ** 2)
    return number, patch, images


def rehearse(run: Training, *, recompute: bool) -> None:
    """Run the largest pass; SuiteError with what would fit where memory does not suffice. `recompute` says whether `run` does so."""
    number, patch, images = largest_pass(run)
    if _fits(run, patch, images):
        return
    fitting = next((size for size in _halves(images) if _fits(run, patch, size)), None)
    what = f"stage {number} of {run.spec.label} (patch {patch}, {images} images a pass) does not fit the memory of its {run.spec.device}"
    raise SuiteError(f"{what}; {_advice(run, patch, images, fitting, recompute)}", exit=Exit.NOT_READY)


def _advice(run: Training, patch: int, images: int, fitting: int | None, recompute: bool) -> str:
    """Return in words what was tried and fits; the network recomputes from here on, for the run ends in any case."""
    micro = None if fitting is None else f"--micro-batch {fitting}"
    again = None
    if not recompute:
        recompute_blocks(run.network)
        size = next((size for size in (images, *_halves(images)) if _fits(run, patch, size)), None)
        if size is not None:
            again = "--recompute" if size == images else f"--recompute with --micro-batch {size}"
    if micro and again:
        return f"{micro} does, or {again}."
    if micro or again:
        return f"{micro or again} does."
    return "not even one image does, with or without --recompute. Choose a smaller patch (--set patch=N) or another device."


def _halves(images: int) -> list[int]:
    """Return half of the images, half of that, ... 1."""
    sizes = []
    while images > 1:
        images //= 2
        sizes.append(images)
    return sizes


def _fits(run: Training, patch: int, images: int) -> bool:
    """Return whether a pass of `images` fits; any other error is raised."""
    modules = [run.network] if run.adversary is None else [run.network, run.adversary.network]
    buffers = [(buffer, buffer.clone()) for module in modules for buffer in module.buffers()]
    try:
        one_pass(run, patch, images)
        return True
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        return False
    finally:
        _restore(run, modules, buffers)


def _restore(run: Training, modules: list[nn.Module], buffers: list[tuple[Tensor, Tensor]]) -> None:
    for module in modules:
        module.zero_grad(set_to_none=True)
    with torch.no_grad():
        for buffer, before in buffers:
            buffer.copy_(before)
    gc.collect()  # an error's frames hold the activations that did not fit
    if run.spec.device == "cuda":
        torch.cuda.empty_cache()


def one_pass(run: Training, patch: int, images: int) -> None:
    """Run `images` random pictures of `patch` high-quality pixels forward and backward, beside memory for what the optimisers will keep."""
    device, row = run.spec.device, task(run.spec.task)
    alone = replace(run, module=run.network, adversary=run.adversary and replace(run.adversary, module=run.adversary.network))
    kept = [
        torch.empty_like(parameter) for optimiser in _fresh(run) for group in optimiser.param_groups for parameter in group["params"] * 2
    ]
    source = torch.Generator().manual_seed(0)  # torch's own generator stays where it is
    high = torch.rand(images, row.channels, patch, patch, generator=source).to(device)
    low = torch.rand(images, row.channels, patch // row.scale, patch // row.scale, generator=source).to(device)
    layers = depth_draws(run.network, None)
    depth_draws(run.network, torch.ones(layers, images, device=device) if layers else None)
    try:
        loss, _, output = generator_loss(alone, low, high)
        loss.backward()
        if alone.adversary is not None:
            discriminator_loss(alone.adversary, output.detach(), high).backward()
        if device == "cuda":
            torch.cuda.synchronize()
    finally:
        depth_draws(run.network, None)
        del kept


def _fresh(run: Training) -> list[torch.optim.Optimizer]:
    """Return the optimisers that have made no step yet, whose two moments are still to come."""
    optimisers = [run.optimiser] if run.adversary is None else [run.optimiser, run.adversary.optimiser]
    return [optimiser for optimiser in optimisers if not optimiser.state]
