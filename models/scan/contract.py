"""What a scan's arguments must be, checked once at the door; the backends may assume it.

After `canonical`: all tensors on one device and of one dtype (float32, or float64 for the reference), contiguous;
u and delta (B, D, L); A (D, N); B and C (B, G, N, L) with D a multiple of G; D and delta_bias (D,) or None.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class ScanInputError(ValueError):
    """Arguments that do not make a selective scan: names the argument, its shape and what it should be."""


class ScanArguments(NamedTuple):
    """The tensors of one scan, canonical."""

    u: Tensor
    delta: Tensor
    A: Tensor
    B: Tensor
    C: Tensor
    D: Tensor | None
    delta_bias: Tensor | None


def _check_shape(name: str, tensor: Tensor, expected: tuple[int, ...], layout: str) -> None:
    if tuple(tensor.shape) != expected:
        raise ScanInputError(f"{name} has the shape {tuple(tensor.shape)}; with the other arguments it must be {layout} = {expected}.")


def canonical(args: ScanArguments) -> ScanArguments:
    """Checks the arguments and brings them to the canonical form; raises `ScanInputError`."""
    u, delta, A, B, C, D, delta_bias = args
    if u.dim() != 3 or 0 in u.shape:
        raise ScanInputError(f"u has the shape {tuple(u.shape)}; it must be (B, D, L), none of them 0.")
    if A.dim() != 2 or A.shape[1] == 0:
        raise ScanInputError(f"A has the shape {tuple(A.shape)}; it must be (D, N), N at least 1.")
    batch, channels, length = u.shape
    states = A.shape[1]
    if B.dim() == 3:
        B = B[:, None]
    if C.dim() == 3:
        C = C[:, None]
    groups = B.shape[1]
    if B.dim() != 4 or groups == 0 or channels % groups:
        raise ScanInputError(f"B has the shape {tuple(B.shape)}; it must be (B, N, L) or (B, G, N, L) with G a divisor of D = {channels}.")
    _check_shape("delta", delta, (batch, channels, length), "(B, D, L)")
    _check_shape("A", A, (channels, states), "(D, N)")
    _check_shape("B", B, (batch, groups, states, length), "(B, G, N, L)")
    _check_shape("C", C, (batch, groups, states, length), "(B, G, N, L)")
    for name, vector in (("D", D), ("delta_bias", delta_bias)):
        if vector is not None:
            _check_shape(name, vector, (channels,), "(D,)")
    given = {"u": u, "delta": delta, "A": A, "B": B, "C": C, "D": D, "delta_bias": delta_bias}
    for name, tensor in given.items():
        if tensor is not None and not tensor.is_floating_point():
            raise ScanInputError(f"{name} is {tensor.dtype}; a scan takes real floating-point tensors.")
        if tensor is not None and tensor.device != u.device:
            raise ScanInputError(f"{name} is on {tensor.device} and u on {u.device}; all arguments must be on one device.")
    compute = torch.float64 if u.dtype == torch.float64 else torch.float32

    def ready(tensor: Tensor | None) -> Tensor | None:
        return None if tensor is None else tensor.to(compute).contiguous()

    return ScanArguments(ready(u), ready(delta), ready(A), ready(B), ready(C), ready(D), ready(delta_bias))
