"""What a scan's arguments must be, checked once at the door; the backends may assume it.

After `canonical`: all tensors on one device and contiguous; u and delta (B, D, L); A (D, N); B and C (B, G, N, L) with D a multiple of G;
D and delta_bias (D,) or None. u, delta, B and C are of one dtype that the backend reads; A, D and delta_bias are float32, or float64
where u is.
After `canonical_image`: likewise, in the layout of `ImageArguments`, with x and proj of one dtype.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import NamedTuple

import torch
from torch import Tensor


class ScanInputError(ValueError):
    """Arguments that do not make a selective scan: names the argument, its shape and what it should be."""


class ScanArguments(NamedTuple):
    """The tensors of one scan: u, delta (B, D, L); A (D, N); B, C (B, G, N, L); D, delta_bias (D,)."""

    u: Tensor
    delta: Tensor
    A: Tensor
    B: Tensor
    C: Tensor
    D: Tensor | None
    delta_bias: Tensor | None


class ImageArguments(NamedTuple):
    """The tensors of the scans of an image along K directions, channels last.

    x (B, H, W, C); proj (B, H, W, K, R + 2N), what `x` projects to at each pixel: the low-rank delta, B and C of each direction;
    dt_proj (K, C, R); A (K*C, N); D and delta_bias (K*C,). delta = softplus(dt_proj r + delta_bias).
    """

    x: Tensor
    proj: Tensor
    dt_proj: Tensor
    A: Tensor
    D: Tensor
    delta_bias: Tensor


def _check_shape(name: str, tensor: Tensor, expected: tuple[int, ...], layout: str) -> None:
    if tuple(tensor.shape) != expected:
        raise ScanInputError(f"{name} has the shape {tuple(tensor.shape)}; with the other arguments it must be {layout} = {expected}.")


def _check_kinds(given: Mapping[str, Tensor | None]) -> None:
    """All of a real floating-point dtype, and on the first one's device."""
    (first, leader), *_ = given.items()
    for name, tensor in given.items():
        if tensor is None:
            continue
        if not tensor.is_floating_point():
            raise ScanInputError(f"{name} is {tensor.dtype}; a scan takes real floating-point tensors.")
        if leader is not None and tensor.device != leader.device:
            raise ScanInputError(f"{name} is on {tensor.device} and {first} on {leader.device}; all arguments must be on one device.")


def _dtypes(streams: Collection[Tensor], native: Collection[torch.dtype]) -> tuple[torch.dtype, torch.dtype]:
    """Return the types of what runs along the sequence, and of the constants: as given where the backend reads it, else float32."""
    dtypes = {tensor.dtype for tensor in streams}
    if torch.float64 in dtypes:
        return torch.float64, torch.float64
    common = dtypes.pop() if len(dtypes) == 1 else torch.float32
    return (common if common in native else torch.float32), torch.float32


def canonical(args: ScanArguments, native: Collection[torch.dtype] = (torch.float32,)) -> ScanArguments:
    """Checks the arguments and brings them to the canonical form, in a dtype of `native`; raises `ScanInputError`."""
    u, delta, A, B, C, D, delta_bias = args
    if u.dim() != 3 or 0 in u.shape:
        raise ScanInputError(f"u has the shape {tuple(u.shape)}; it must be (B, D, L), none of them 0.")
    if A.dim() != 2 or A.shape[1] == 0:
        raise ScanInputError(f"A has the shape {tuple(A.shape)}; it must be (D, N), N at least 1.")
    batch, channels, length = u.shape
    states = A.shape[1]
    B = B[:, None] if B.dim() == 3 else B
    C = C[:, None] if C.dim() == 3 else C
    if B.dim() != 4 or B.shape[1] == 0 or channels % B.shape[1]:
        raise ScanInputError(f"B has the shape {tuple(B.shape)}; it must be (B, N, L) or (B, G, N, L) with G a divisor of D = {channels}.")
    groups = B.shape[1]
    _check_shape("delta", delta, (batch, channels, length), "(B, D, L)")
    _check_shape("A", A, (channels, states), "(D, N)")
    _check_shape("B", B, (batch, groups, states, length), "(B, G, N, L)")
    _check_shape("C", C, (batch, groups, states, length), "(B, G, N, L)")
    for name, vector in (("D", D), ("delta_bias", delta_bias)):
        if vector is not None:
            _check_shape(name, vector, (channels,), "(D,)")
    _check_kinds({"u": u, "delta": delta, "A": A, "B": B, "C": C, "D": D, "delta_bias": delta_bias})
    streams, constants = _dtypes((u, delta, B, C), native)

    def stream(tensor: Tensor) -> Tensor:
        return tensor.to(streams).contiguous()

    def constant(tensor: Tensor | None) -> Tensor | None:
        return None if tensor is None else tensor.to(constants).contiguous()

    return ScanArguments(stream(u), stream(delta), constant(A), stream(B), stream(C), constant(D), constant(delta_bias))


def canonical_image(args: ImageArguments, native: Collection[torch.dtype] = (torch.float32,)) -> ImageArguments:
    """Checks the arguments of an image's scans and brings them to the canonical form; raises `ScanInputError`."""
    x, proj, dt_proj, A, D, delta_bias = args
    if x.dim() != 4 or 0 in x.shape:
        raise ScanInputError(f"x has the shape {tuple(x.shape)}; channels last it must be (B, H, W, C), none of them 0.")
    if dt_proj.dim() != 3 or A.dim() != 2 or 0 in (*dt_proj.shape, *A.shape):
        raise ScanInputError(
            f"dt_proj and A have the shapes {tuple(dt_proj.shape)} and {tuple(A.shape)}; they must be (K, C, R), (K*C, N)."
        )
    batch, height, width, channels = x.shape
    (directions, _, rank), states = dt_proj.shape, A.shape[1]
    _check_shape("dt_proj", dt_proj, (directions, channels, rank), "(K, C, R)")
    _check_shape("proj", proj, (batch, height, width, directions, rank + 2 * states), "(B, H, W, K, R + 2N)")
    _check_shape("A", A, (directions * channels, states), "(K*C, N)")
    for name, vector in (("D", D), ("delta_bias", delta_bias)):
        _check_shape(name, vector, (directions * channels,), "(K*C,)")
    _check_kinds({"x": x, "proj": proj, "dt_proj": dt_proj, "A": A, "D": D, "delta_bias": delta_bias})
    streams, constants = _dtypes((x, proj), native)
    return ImageArguments(
        *(tensor.to(streams).contiguous() for tensor in (x, proj)), *(t.to(constants).contiguous() for t in (dt_proj, A, D, delta_bias))
    )


def sum_in_order(parts: Tensor) -> Tensor:
    """Return the sum over the first axis, one part after the other: the same bits for any number of threads. Of a single part, a view."""
    if len(parts) == 1:
        return parts[0]
    total = parts[0] + parts[1]
    for part in parts[2:]:
        total += part
    return total
