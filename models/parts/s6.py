"""S6: the selective state-space model over a stack of sequences, one parameter set a direction.

The recurrence is `models.scan.selective_scan`; here are the weights that make its parameters depend on the input (Mamba, arXiv
2312.00752, section 3.2; the stacking after VMamba, arXiv 2401.10166): `PlanarS6` scans image planes, `DirectionalS6` any sequences.

For each direction k, with x the sequence of width d:
    (r, B, C) = W_x x            widths dt_rank, N, N
    delta     = softplus(W_dt r + b_dt)
    y         = selective_scan(x, delta, -exp(A_log), B, C, D)
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn

from models.scan.image import scan_image, scan_sequences

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

    def forward(self, sequences: Tensor) -> Tensor:
        """Scans `sequences` (B, K, d, L) along L; returns (B, K, d, L)."""
        return scan_sequences(sequences, *self._parameters_of_scan(), backend=self.backend)

    def _parameters_of_scan(self) -> tuple[Tensor, ...]:
        """What `models.scan.image` takes after the sequences; A, D and the bias are never narrower than float32, autocast or not."""
        precision = torch.promote_types(self.A_log.dtype, torch.float32)
        bias, A_log, D = (parameter.to(precision) for parameter in (self.dt_bias, self.A_log, self.D))
        return self.x_proj, self.dt_proj, bias, -torch.exp(A_log), D


class PlanarS6(DirectionalS6):
    """Selective scans of an image along its planar directions, added up."""

    def __init__(self, width: int, *, directions: int, d_state: int, dt_rank: int) -> None:
        super().__init__(width, directions=directions, d_state=d_state, dt_rank=dt_rank)
        self.directions = directions

    def forward(self, image: Tensor) -> Tensor:
        """Scans `image` (B, d, H, W); returns the same shape."""
        return scan_image(image, *self._parameters_of_scan(), directions=self.directions, backend=self.backend)
