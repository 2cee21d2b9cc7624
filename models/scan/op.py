"""`ssm::selective_scan` as a PyTorch operator: schema, fake kernels, autograd; the backend is an argument.

Being one operator, a scan is one node for tracing, compiling, exporting and counting, whatever computes it.
"""

from __future__ import annotations

import torch
from torch import Tensor

from models.scan.backends import BACKENDS, BackendUnavailable, module_of, resolve_backend
from models.scan.contract import ScanArguments, canonical


def selective_scan(
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None = None,
    delta_bias: Tensor | None = None,
    delta_softplus: bool = False,
    backend: str = "auto",
) -> Tensor:
    """The selective scan (models.scan.reference gives the equations), with mamba-ssm's shapes.

    u, delta (B, D, L); A (D, N), negative for a decaying state; B, C (B, N, L) or (B, G, N, L), shared by D/G channels
    each; D, delta_bias (D,). Returns y (B, D, L) in u's dtype. The state is float32 (float64 where u is).
    Raises `ScanInputError` for arguments that do not fit, `BackendUnavailable` for a backend that cannot run here.
    """
    args = canonical(ScanArguments(u, delta, A, B, C, D, delta_bias))
    name, _ = resolve_backend(backend, u.device.type)
    compute = str(args.u.dtype).removeprefix("torch.")
    if compute not in BACKENDS[name].dtypes:
        raise BackendUnavailable(name, f"it does not compute in {compute}.", "use backend='reference', or float32 tensors.")
    return _scan(*args, delta_softplus, name).to(u.dtype)


@torch.library.custom_op("ssm::selective_scan", mutates_args=())
def _scan(
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None,
    delta_bias: Tensor | None,
    delta_softplus: bool,
    backend: str,
) -> Tensor:
    return module_of(backend).forward(u, delta, A, B, C, D, delta_bias, delta_softplus)


@_scan.register_fake
def _scan_fake(u: Tensor, *_: object) -> Tensor:
    return torch.empty_like(u)


@torch.library.custom_op("ssm::selective_scan_backward", mutates_args=())
def _scan_backward(
    grad_y: Tensor,
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None,
    delta_bias: Tensor | None,
    delta_softplus: bool,
    backend: str,
) -> list[Tensor]:
    gradients = module_of(backend).backward(grad_y, u, delta, A, B, C, D, delta_bias, delta_softplus)
    return [u.new_empty(0) if g is None else g for g in gradients]  # an operator returns tensors, never None


@_scan_backward.register_fake
def _scan_backward_fake(_grad_y: Tensor, *args: object) -> list[Tensor]:
    u = args[0]
    return [u.new_empty(0) if t is None else torch.empty_like(t) for t in args[:7]]


def _setup_context(ctx: torch.autograd.function.FunctionCtx, inputs: tuple, output: Tensor) -> None:  # noqa: ARG001 - torch names it
    *tensors, ctx.delta_softplus, ctx.backend = inputs
    ctx.save_for_backward(*tensors)


def _differentiate(ctx: torch.autograd.function.FunctionCtx, grad_y: Tensor) -> tuple[Tensor | None, ...]:
    tensors = ctx.saved_tensors
    gradients = _scan_backward(grad_y.contiguous(), *tensors, ctx.delta_softplus, ctx.backend)
    return (*(None if t is None else g for t, g in zip(tensors, gradients, strict=True)), None, None)


_scan.register_autograd(_differentiate, setup_context=_setup_context)


def scan_macs(batch: int, channels: int, length: int, states: int, *, skip: bool) -> int:
    """Cost of a scan in the convention of the field's papers: 9*B*L*D*N, and B*L*D for the skip D u.

    9 operations an element are what the recurrence takes (state-spaces/mamba issue 110); the papers add them to
    multiply-adds counted as one, and so does this suite (see suite.cost).
    """
    return 9 * batch * length * channels * states + (batch * length * channels if skip else 0)
