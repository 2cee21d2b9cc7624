"""A GPU's exponentials a second: 2^x in registers, one after another, on as many values as fill it. Needs Triton."""

from __future__ import annotations

from collections.abc import Callable

import torch
import triton
import triton.language as tl

CHAIN_BLOCK = 1024  # eight independent chains a thread of four warps hide the latency of each
LINKS = 512


@triton.jit
def _exp2_chain(values, LINKS: tl.constexpr, BLOCK: tl.constexpr):  # noqa: ANN001, ANN202 - Triton's own kinds
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    x = tl.load(values + at)
    for _ in range(LINKS):
        x = tl.exp2(-x)  # tends to 0.641: neither overflows nor becomes subnormal
    tl.store(values + at, x)


def make_exp2_chain(values: int, device: str = "cuda") -> Callable[[], int]:
    """Return a call that computes the chains of so many values (a multiple of BLOCK) and returns how many exponentials those were."""
    held = torch.zeros(values, device=device)

    def work() -> int:
        _exp2_chain[(values // CHAIN_BLOCK,)](held, LINKS=LINKS, BLOCK=CHAIN_BLOCK)
        return values * LINKS

    return work
