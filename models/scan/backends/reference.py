"""The selective scan as the equations say it: the definition of the operator, never optimised.

Mamba (arXiv 2312.00752), section 3.2 and algorithm 2; zero-order hold for A, Euler's rule for B, as in the released
code. For each batch entry b and channel d, with h a vector of N states and h_0 = 0:

    delta_t = softplus(delta_t + delta_bias)                     where asked for
    h_t     = exp(delta_t A) h_{t-1} + delta_t B_t u_t
    y_t     = C_t . h_t + D u_t

float32 or float64. The loop runs over unbound time slices: indexing inside it would make the backward pass quadratic
in the length, since autograd fills a full-size tensor with zeros at every step.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from models.scan.contract import ScanArguments


def unavailable() -> None:
    """The reference runs wherever PyTorch does."""
    return


def _per_channel(grouped: Tensor, channels: int) -> Tensor:
    """(B, G, N) to (B, D, N): each group's vector for each of its channels."""
    batch, groups, states = grouped.shape
    return grouped[:, :, None].expand(-1, -1, channels // groups, -1).reshape(batch, channels, states)


def _per_group(values: Tensor, groups: int) -> Tensor:
    """(B, D, N) to (B, G, N): the sum over the channels of each group, the adjoint of `_per_channel`."""
    return values.unflatten(1, (groups, -1)).sum(2)


def _step_sizes(delta: Tensor, delta_bias: Tensor | None, delta_softplus: bool) -> Tensor:
    if delta_bias is not None:
        delta = delta + delta_bias[:, None]
    return F.softplus(delta) if delta_softplus else delta


def _states(u: Tensor, delta: Tensor, A: Tensor, B: Tensor) -> list[Tensor]:
    """h_1 ... h_L, each (B, D, N)."""
    channels = u.shape[1]
    h, states = u.new_zeros(*u.shape[:2], A.shape[1]), []
    for u_t, delta_t, B_t in zip(u.unbind(-1), delta.unbind(-1), B.unbind(-1), strict=True):
        step = delta_t[..., None]
        h = torch.exp(step * A) * h + step * _per_channel(B_t, channels) * u_t[..., None]
        states.append(h)
    return states


def kept_shape(_args: ScanArguments) -> tuple[int, ...]:
    """Nothing is kept: the backward pass starts anew."""
    return (0,)


def forward(args: ScanArguments, delta_softplus: bool, keep: bool = False) -> tuple[Tensor, Tensor]:  # noqa: ARG001 - nothing to keep
    """Y (B, D, L) of a scan; shapes as in `models.scan.contract`."""
    u, delta, A, B, C, D, delta_bias = args
    states = _states(u, _step_sizes(delta, delta_bias, delta_softplus), A, B)
    y = torch.stack([(_per_channel(C_t, u.shape[1]) * h).sum(-1) for h, C_t in zip(states, C.unbind(-1), strict=True)], dim=-1)
    return (y if D is None else y + D[:, None] * u), u.new_empty(0, dtype=torch.float32)


def backward(grad_y: Tensor, _kept: Tensor, args: ScanArguments, delta_softplus: bool) -> tuple[Tensor | None, ...]:
    """Gradients of all seven tensors; None for an argument that is None.

    The adjoint g_t of h_t runs backwards: g_t = C_t dy_t + exp(delta_{t+1} A) g_{t+1}; the rest are its products with
    the terms of the recurrence. Autograd through `forward` gives the same; an operator must state it.
    """
    u, delta, A, B, C, D, delta_bias = args
    channels, groups = u.shape[1], B.shape[1]
    steps = _step_sizes(delta, delta_bias, delta_softplus)
    states = _states(u, steps, A, B)
    g, zero, dA = torch.zeros_like(states[0]), torch.zeros_like(states[0]), torch.zeros_like(A)
    du, ddelta, dB, dC = [], [], [], []  # by time step, from the last to the first
    slices = zip(*(t.unbind(-1) for t in (grad_y, u, steps, B, C)), strict=True)
    for t, (dy_t, u_t, delta_t, B_t, C_t) in reversed(list(enumerate(slices))):
        dy_t, u_t, delta_t = dy_t[..., None], u_t[..., None], delta_t[..., None]
        B_d, decay = _per_channel(B_t, channels), torch.exp(delta_t * A)
        g = g + _per_channel(C_t, channels) * dy_t
        decayed = decay * (states[t - 1] if t else zero)
        dC.append(_per_group(states[t] * dy_t, groups))
        dB.append(_per_group(g * delta_t * u_t, groups))
        du.append((g * delta_t * B_d).sum(-1))
        ddelta.append((g * (A * decayed + B_d * u_t)).sum(-1))
        dA = dA + (g * delta_t * decayed).sum(0)
        g = g * decay
    du, ddelta, dB, dC = (torch.stack(values[::-1], dim=-1) for values in (du, ddelta, dB, dC))
    if delta_softplus:
        raw = delta if delta_bias is None else delta + delta_bias[:, None]
        ddelta = ddelta * torch.sigmoid(raw)
    dD = None if D is None else (grad_y * u).sum((0, 2))
    dbias = None if delta_bias is None else ddelta.sum((0, 2))
    return (du if D is None else du + D[:, None] * grad_y), ddelta, dA, dB, dC, dD, dbias
