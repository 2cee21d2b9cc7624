"""The CUDA backend: mamba-ssm's compiled kernel, called as its own interface calls it.

`models.scan.backends.cuda_providers` says where it comes from. Its gradients of A, B, C, D and delta_bias are added up with atomics in
whatever order, so that they are not the same bits from run to run.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable

from torch import Tensor

from models.scan.backends import REVISION
from models.scan.backends.cuda_providers import Kernel, Unusable, adapt, choose_kernel
from models.scan.contract import ScanArguments, ScanInputError

CHUNK = 2048  # steps between the states that its forward pass keeps
MOST_STATES = 256


@functools.cache
def _choice() -> tuple[Kernel | None, dict[str, Unusable]]:
    return choose_kernel()


@functools.cache
def _functions() -> tuple[Callable, Callable]:
    kernel, _ = _choice()
    if kernel is None:
        raise RuntimeError("the backend cuda was called where it is unavailable")
    return adapt(kernel)


def unavailable() -> tuple[str, str] | None:
    """None where the backend runs, else why not and a command that would help."""
    kernel, passed_over = _choice()
    if kernel is not None:
        return None
    reasons = dict.fromkeys(error.reason.removesuffix(".") for error in passed_over.values())
    remedies = dict.fromkeys(error.remedy for error in reversed(passed_over.values()))  # first what takes least
    return f"{'; '.join(reasons)}.", "; or ".join(remedies)


def explain() -> str:
    """Whose kernel it is, and why none of those before it."""
    kernel, passed_over = _choice()
    why = [f"{name} was passed over: {error.reason.removesuffix('.')}" for name, error in passed_over.items()]
    revision = os.environ.get(REVISION)
    if kernel and revision and not kernel.fetched:
        why.append(f"the revision {revision} is of the kernel that the package kernels fetches, and was not asked for")
    return "; ".join([f"its kernel is {kernel.said}" if kernel else "it has no kernel", *why])


def kept_shape(args: ScanArguments) -> tuple[int, ...]:
    """(B, D, chunks, 2N): decays and states at the ends of chunks."""
    batch, channels, length = args.u.shape
    return batch, channels, -(-length // CHUNK), 2 * args.A.shape[1]


def forward(args: ScanArguments, delta_softplus: bool, keep: bool) -> tuple[Tensor, Tensor]:
    """Return the y (B, D, L) of the scan, and what the kernel keeps."""
    if args.A.shape[1] > MOST_STATES:
        raise ScanInputError(f"the backend 'cuda' takes at most {MOST_STATES} states, not {args.A.shape[1]}; use the backend 'triton'.")
    return _functions()[0](args, delta_softplus, keep)


def backward(grad_y: Tensor, kept: Tensor, args: ScanArguments, delta_softplus: bool) -> tuple[Tensor | None, ...]:
    """Gradients of u, delta, A, B, C, D and delta_bias, given that of y (B, D, L)."""
    return _functions()[1](grad_y, kept, args, delta_softplus)
