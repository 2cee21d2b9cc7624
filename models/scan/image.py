"""The selective scans of an image along its planar directions, and of any stack of sequences: S6 without its parameters.

    r, B, C = x_proj x        delta = softplus(dt_proj r + delta_bias)        y = selective_scan(x, delta, A, B, C, D)

(Mamba, arXiv 2312.00752, section 3.2; the directions after VMamba, arXiv 2401.10166.) `composed` is the definition: it copies the image
once a direction, projects every copy, scans, and adds what comes back. A projection at a pixel does not depend on the walk that passes it,
so backends whose row says `image` project the image once and walk over it by address, with delta made on the way.
"""

from __future__ import annotations

import logging
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

from models.scan.backends import BACKENDS
from models.scan.contract import ImageArguments, ScanInputError, canonical_image
from models.scan.directions import DIRECTIONS, merge, unfold
from models.scan.op import check_dtype, image_op, native_dtypes, resolved, selective_scan, wants_gradient


def scan_image(
    x: Tensor,
    x_proj: Tensor,
    dt_proj: Tensor,
    delta_bias: Tensor,
    A: Tensor,
    D: Tensor,
    *,
    directions: int,
    backend: str = "auto",
) -> Tensor:
    """Return the sum over `directions` (1, 2 or 4, see `models.scan.directions`) of the selective scans of an image.

    x (B, C, H, W) in either memory format; x_proj (K, R + 2N, C); dt_proj (K, C, R); delta_bias (K, C); A (K*C, N), negative for a decaying
    state; D (K*C,). Returns (B, C, H, W) in x's dtype; in channels-last memory where the backend scans images itself. A backend that does
    not is given copies, and says so in the log once.
    Raises `ScanInputError` for arguments that do not fit, `BackendUnavailable` for a backend that cannot run here.
    """
    if directions not in DIRECTIONS or x_proj.shape[0] != directions or x.dim() != 4:
        raise ScanInputError(
            f"an image (B, C, H, W) is scanned in {', '.join(map(str, DIRECTIONS))} directions, with as many rows of x_proj; "
            f"given were directions={directions}, x {tuple(x.shape)} and x_proj {tuple(x_proj.shape)}."
        )
    name = resolved(backend, x.device.type)
    if not BACKENDS[name].image:
        _say_composed(name)
        return composed(x, x_proj, dt_proj, delta_bias, A, D, directions=directions, backend=name)
    pixels = x.permute(0, 2, 3, 1)
    if pixels.shape[-1] != x_proj.shape[-1]:
        raise ScanInputError(f"x has {pixels.shape[-1]} channels and x_proj {tuple(x_proj.shape)} is for {x_proj.shape[-1]}.")
    pixels = pixels.contiguous()
    proj = F.linear(pixels, x_proj.flatten(0, 1)).unflatten(-1, (directions, -1))
    given = ImageArguments(pixels, proj, dt_proj, A, D, delta_bias.flatten())
    args = canonical_image(given, native_dtypes(name))
    check_dtype(name, args.x.dtype)
    return image_op(*args, name, wants_gradient(given))[0].to(x.dtype).permute(0, 3, 1, 2)


def composed(
    x: Tensor,
    x_proj: Tensor,
    dt_proj: Tensor,
    delta_bias: Tensor,
    A: Tensor,
    D: Tensor,
    *,
    directions: int,
    backend: str = "auto",
) -> Tensor:
    """`scan_image` from its parts: a copy of the image a direction, `scan_sequences`, and the sum. The definition."""
    y = scan_sequences(unfold(x, directions), x_proj, dt_proj, delta_bias, A, D, backend=backend)
    return merge(y, height=x.shape[2], width=x.shape[3])


def scan_sequences(
    x: Tensor, x_proj: Tensor, dt_proj: Tensor, delta_bias: Tensor, A: Tensor, D: Tensor, *, backend: str = "auto"
) -> Tensor:
    """Scan K sequences each with its own parameters: x (B, K, C, L), the rest as for `scan_image`; returns x's shape."""
    return scan_projected(x, project(x, x_proj), dt_proj, delta_bias, A, D, backend=backend)


def project(x: Tensor, x_proj: Tensor) -> Tensor:
    """Make the scan's inputs (B, K, R + 2N, L) from the sequences x (B, K, C, L): the low rank of delta, then B, then C."""
    return torch.einsum("bkdl,kcd->bkcl", x, x_proj)


def scan_projected(
    x: Tensor, projected: Tensor, dt_proj: Tensor, delta_bias: Tensor, A: Tensor, D: Tensor, *, backend: str = "auto"
) -> Tensor:
    """Scan K sequences x (B, K, C, L) with `projected` (B, K, R + 2N, L), as `project` makes it or changed; returns x's shape."""
    batch, k, width, length = x.shape
    rank, states = dt_proj.shape[-1], A.shape[-1]
    low_rank, B, C = projected.split([rank, states, states], dim=2)
    delta = torch.einsum("bkrl,kdr->bkdl", low_rank, dt_proj)
    y = selective_scan(
        x.reshape(batch, k * width, length),
        delta.reshape(batch, k * width, length),
        A,
        B,
        C,
        D,
        delta_bias=delta_bias.flatten(),
        delta_softplus=True,
        backend=backend,
    )
    return y.view(batch, k, width, length)


@cache
def _say_composed(backend: str) -> None:
    """A line in the log, once: not for the reference, of which nobody expects speed."""
    if backend != "reference":
        able = " or ".join(name for name, row in BACKENDS.items() if row.image)
        logging.getLogger(__name__).warning("the scan backend %r scans copies of the image; %s would not copy.", backend, able)
