"""S6: the selective state-space model over a stack of sequences, one parameter set a direction.

The recurrence is `models.scan.selective_scan`; here are the weights that make its parameters depend on the input (Mamba, arXiv
2312.00752, section 3.2; the stacking after VMamba, arXiv 2401.10166): `DirectionalS6` scans any sequences, `PlanarS6` image planes by rows
and columns, `PathS6` along any paths of `models.scan.paths` and with any of the `MERGES`.

For each direction k, with x the sequence of width d:
    (r, B, C) = W_x x            widths dt_rank, N, N
    delta     = softplus(W_dt r + b_dt)
    y         = selective_scan(x, delta, -exp(A_log), B, C, D)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.scan.image import project, scan_image, scan_projected
from models.scan.paths import RASTER, Path, gather, scatter

DT_MIN, DT_MAX = 1e-3, 0.1  # delta at initialisation is log-uniform in this range


class DirectionalS6(nn.Module):
    """Selective scans of K sequences of width d; parameters are stacked over K.

    `init="s4d"` is the initialisation of Mamba. `init="normal"` draws A_log and the projections from a standard
    normal distribution, as VmambaIR's releases do in the channel scan of their SISR and deraining networks.
    """

    def __init__(self, width: int, *, directions: int, d_state: int, dt_rank: int, init: Literal["s4d", "normal"] = "s4d") -> None:
        super().__init__()
        self.d_state, self.dt_rank = d_state, dt_rank
        self.backend = "auto"  # set for a whole network by models.set_scan_backend
        self.x_proj = nn.Parameter(torch.empty(directions, dt_rank + 2 * d_state, width))
        self.dt_proj = nn.Parameter(torch.empty(directions, width, dt_rank))
        self.dt_bias = nn.Parameter(torch.empty(directions, width))
        self.A_log = nn.Parameter(torch.empty(directions * width, d_state))
        self.D = nn.Parameter(torch.ones(directions * width))
        self._initialise(init)

    @torch.no_grad()
    def _initialise(self, init: str) -> None:
        if init == "normal":
            for parameter in (self.x_proj, self.dt_proj, self.dt_bias, self.A_log):
                nn.init.normal_(parameter)
            return
        nn.init.uniform_(self.x_proj, -(self.x_proj.shape[-1] ** -0.5), self.x_proj.shape[-1] ** -0.5)
        nn.init.uniform_(self.dt_proj, -(self.dt_rank**-0.5), self.dt_rank**-0.5)
        delta = torch.exp(torch.rand_like(self.dt_bias) * math.log(DT_MAX / DT_MIN) + math.log(DT_MIN))
        self.dt_bias.copy_(delta + torch.log(-torch.expm1(-delta)))  # the inverse of softplus
        self.A_log.copy_(torch.log(torch.arange(1, self.d_state + 1, dtype=self.A_log.dtype)).expand_as(self.A_log))

    def forward(self, sequences: Tensor, change: Callable[[Tensor], Tensor] | None = None) -> Tensor:
        """Scan `sequences` (B, K, d, L) along L; returns (B, K, d, L).

        `change` is given what the scan's inputs are projected to, (B, K, dt_rank + 2N, L), and returns what is scanned with.
        """
        x_proj, *rest = self._parameters_of_scan()
        projected = project(sequences, x_proj)
        return scan_projected(sequences, projected if change is None else change(projected), *rest, backend=self.backend)

    def _parameters_of_scan(self) -> tuple[Tensor, ...]:
        """Return what `models.scan.image` takes after the sequences; A, D and the bias are never narrower than float32, autocast or not."""
        precision = torch.promote_types(self.A_log.dtype, torch.float32)
        bias, A_log, D = (parameter.to(precision) for parameter in (self.dt_bias, self.A_log, self.D))
        return self.x_proj, self.dt_proj, bias, -torch.exp(A_log), D


class PlanarS6(DirectionalS6):
    """Selective scans of an image along its planar directions, added up."""

    def __init__(self, width: int, *, directions: int, d_state: int, dt_rank: int) -> None:
        super().__init__(width, directions=directions, d_state=d_state, dt_rank=dt_rank)
        self.directions = directions

    def forward(self, image: Tensor) -> Tensor:
        """Scan `image` (B, d, H, W); returns the same shape."""
        return scan_image(image, *self._parameters_of_scan(), directions=self.directions, backend=self.backend)


Merge = Literal["sum", "groups", "gated"]
_FUSED = (0, 2, 1, 3)  # RASTER in the order of models.scan.directions


class PathS6(DirectionalS6):
    """Selective scans of an image along K paths, brought back to the image and merged.

    "sum": all channels along every path, added up (VMamba). "groups": channels cut into K groups, one a path, side by side (EAMamba, arXiv
    2506.22246). "gated": as the sum, each path weighted for each channel by a gate from the means of the channel over all paths
    (MaIR, arXiv 2412.20066).
    """

    def __init__(self, width: int, *, paths: Sequence[Path], merge: Merge, d_state: int, dt_rank: int) -> None:
        count = len(paths)
        if merge == "groups" and width % count:
            raise ValueError(f"{width} channels cannot be cut into {count} equal groups, one a path.")
        super().__init__(width // count if merge == "groups" else width, directions=count, d_state=d_state, dt_rank=dt_rank)
        self.paths, self.merge = tuple(paths), merge
        self.gate = nn.Conv2d(count * width, count * width, 1, groups=width) if merge == "gated" else None

    @property
    def fused(self) -> bool:
        """Tell whether the scan of images serves it, without gathered copies."""
        return self.merge == "sum" and self.paths == RASTER

    def forward(self, image: Tensor) -> Tensor:
        """Scan `image` (B, d, H, W); returns the same shape."""
        if self.fused:
            return self._scan_fused(image)
        height, width = image.shape[2:]
        maps = image.unflatten(1, (len(self.paths), -1)) if self.merge == "groups" else image
        scanned = scatter(super().forward(gather(maps, self.paths)), self.paths, height=height, width=width)
        if self.merge == "groups":
            return scanned.flatten(1, 2)
        if self.gate is None:
            return scanned.sum(1)
        means = F.adaptive_avg_pool2d(scanned.flatten(1, 2), 1).unflatten(1, (len(self.paths), -1))  # (B, K, d, 1, 1)
        gates = torch.sigmoid(self.gate(means.transpose(1, 2).flatten(1, 2)))  # a channel's K means side by side
        return (scanned * gates.unflatten(1, (-1, len(self.paths))).transpose(1, 2)).sum(1)

    def _scan_fused(self, image: Tensor) -> Tensor:
        """Scan along `RASTER` by the scan of images, whose directions stand in another order."""
        x_proj, dt_proj, bias, A, D = self._parameters_of_scan()
        rows = [p.unflatten(0, (len(_FUSED), -1))[list(_FUSED)].flatten(0, 1) for p in (A, D)]
        stacks = [p[list(_FUSED)] for p in (x_proj, dt_proj, bias)]
        return scan_image(image, *stacks, *rows, directions=len(_FUSED), backend=self.backend)
