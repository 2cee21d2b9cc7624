"""S6: the selective state-space model over a stack of sequences, one parameter set a direction.

The recurrence is `models.scan.selective_scan`; here are its input-dependent parameters (Mamba, arXiv 2312.00752,
section 3.2; the stacking after VMamba, arXiv 2401.10166). The same module scans image planes and channels.

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

from models.scan import selective_scan

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
        """Scans `sequences` (B, K, d, L) along L; returns (B, K, d, L) in float32."""
        batch, k, width, length = sequences.shape
        projected = torch.einsum("bkdl,kcd->bkcl", sequences, self.x_proj)
        low_rank, B, C = projected.split([self.dt_rank, self.d_state, self.d_state], dim=2)
        delta = torch.einsum("bkrl,kdr->bkdl", low_rank, self.dt_proj)
        y = selective_scan(
            sequences.reshape(batch, k * width, length),
            delta.reshape(batch, k * width, length),
            -torch.exp(self.A_log.float()),
            B,
            C,
            self.D.float(),
            delta_bias=self.dt_bias.float().flatten(),
            delta_softplus=True,
            backend=self.backend,
        )
        return y.view(batch, k, width, length)
