"""MambaIRv2: Attentive State Space Restoration (arXiv 2411.15269, CVPR 2025).

The outer network is `models.parts.residual`; a group is layers of window attention and an attentive scan (`models.parts.windows`). The
attentive state-space module (ASSM) gives each pixel one of T tokens by a small network, sorts the pixels by their tokens, scans them in
that order in one direction, and adds the token's prompt (N values) to C:

    log p = log softmax(W2 GELU(W1 x));  token ~ p;  prompt = token's row of (B A), B (T, r), A (r, N)
    y     = scan of the sorted pixels with C + prompt

The released code draws tokens by Gumbel's trick in evaluation, too: `routing` says how tokens and order are found (`ROUTINGS`).
As released, the prompt is not sorted with the pixels: the t-th pixel of the sequence gets the prompt of the t-th pixel of the image.

Deviations: ties in the order of tokens keep the order of the image (the released sort is unstable). Inputs are mirrored to multiples of the
window, as released.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.base import mirror_to_multiple
from models.designs.mambairv2 import MambaIRv2Config
from models.parts.feedforward import ConvFeedForward, GatedConvFeedForward
from models.parts.residual import ResidualNet
from models.parts.s6 import DirectionalS6
from models.parts.windows import AttentionScanLayer, GatedProjection, position_index

if TYPE_CHECKING:
    from models.designs.mambairv2 import Routing


def _sampled(log_p: Tensor) -> Tensor:
    return F.gumbel_softmax(log_p, hard=True)


def _argmax(log_p: Tensor) -> Tensor:
    soft = log_p.softmax(-1)
    hard = torch.zeros_like(soft).scatter_(-1, soft.argmax(-1, keepdim=True), 1.0)
    return hard - soft.detach() + soft  # the gradient is that of the probabilities


def _uniform(log_p: Tensor) -> Tensor:
    tokens = torch.randint(log_p.shape[-1], log_p.shape[:-1], device=log_p.device)
    return F.one_hot(tokens, log_p.shape[-1]).to(log_p.dtype)


def _by_token(choice: Tensor) -> Tensor:
    return choice.argmax(-1).argsort(dim=-1, stable=True)


def _raster(choice: Tensor) -> Tensor:
    return torch.arange(choice.shape[1], device=choice.device).expand(choice.shape[:2])


def _permuted(choice: Tensor) -> Tensor:
    return torch.rand(choice.shape[:2], device=choice.device).argsort(-1)


# How each pixel's token is chosen, and by what order of pixels the scan goes; both are given (B, L, T). The first is as released.
ROUTINGS: Mapping[Routing, tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]] = MappingProxyType(
    {
        "sampled": (_sampled, _by_token),
        "argmax": (_argmax, _by_token),
        "uniform": (_uniform, _by_token),
        "permuted": (_sampled, _permuted),
        "raster": (_sampled, _raster),
    }
)


class AttentiveScan(nn.Module):
    """The ASSM: a scan of the pixels sorted by their tokens, whose output matrix is prompted by them."""

    def __init__(self, config: MambaIRv2Config) -> None:
        super().__init__()
        width = int(config.dim * config.expand)
        self.routing, self.place = config.routing, config.prompt
        self.enter = GatedProjection(config.dim, width)
        self.s6 = DirectionalS6(width, directions=1, d_state=config.d_state, dt_rank=math.ceil(width / 16))
        self.norm = nn.LayerNorm(width)
        self.leave = nn.Linear(width, config.dim)
        self.route = nn.Sequential(nn.Linear(config.dim, config.dim // 3), nn.GELU(), nn.Linear(config.dim // 3, config.tokens))
        self.dictionary = nn.Parameter(torch.empty(config.tokens, config.rank).uniform_(-1 / config.tokens, 1 / config.tokens))
        self.basis = nn.Parameter(torch.empty(config.rank, config.d_state).uniform_(-1 / config.rank, 1 / config.rank))

    def forward(self, x: Tensor) -> Tensor:
        """`x` (B, H, W, C) to the same shape."""
        height, width = x.shape[1:3]
        choose, sort = ROUTINGS[self.routing]
        choice = choose(self.route(x.flatten(1, 2)).log_softmax(-1))  # (B, L, T): one-hot
        order = sort(choice)
        states = self.s6.d_state

        def add_prompt(projected: Tensor) -> Tensor:
            if self.place == "none":
                return projected
            prompt = (choice @ (self.dictionary @ self.basis)).transpose(1, 2)[:, None]  # (B, 1, N, L)
            low_rank, B, C = projected.split([projected.shape[2] - 2 * states, states, states], dim=2)
            return torch.cat([low_rank, B + prompt, C] if self.place == "B" else [low_rank, B, C + prompt], dim=2)

        u = self.enter(x).flatten(2)
        along = order[:, None].expand_as(u)
        scanned = self.s6(u.gather(-1, along)[:, None], add_prompt)[:, 0]
        back = scanned.gather(-1, along.argsort(-1))
        return self.leave(self.norm(back.transpose(1, 2))).unflatten(1, (height, width))


class MambaIRv2(ResidualNet):
    """Light and classic super-resolution, denoising, JPEG artefact reduction, and the ablations."""

    window_index: Tensor

    def __init__(self, config: MambaIRv2Config) -> None:
        feed_forward = GatedConvFeedForward if config.feed_forward == "gated" else ConvFeedForward
        hidden = int(config.dim * config.expand)

        def layer(heads: int, number: int) -> AttentionScanLayer:
            """Make layer `number` of a group; every second one shifts its windows."""
            return AttentionScanLayer(
                config.dim,
                heads=heads,
                side=config.window,
                shifted=number % 2 == 1,
                scan=lambda: AttentiveScan(config),
                feed_forward=lambda: feed_forward(config.dim, hidden),
            )

        groups = zip(config.depths, config.heads, strict=True)
        super().__init__(config, (nn.Sequential(*(layer(heads, number) for number in range(depth))) for depth, heads in groups))
        self.register_buffer("window_index", position_index(config.window))  # the authors' files hold it

    def pad(self, x: Tensor) -> Tensor:
        """Mirror `x` to multiples of the window."""
        return mirror_to_multiple(x, self.size_multiple)
