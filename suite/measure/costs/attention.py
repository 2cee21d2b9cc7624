"""Costs of global self-attention in the place of MambaIR's scans, as a function of the image's size.

MambaIR's figure 5 compares growth with the input's size against "full attention" and gives no network for it. Ours: MambaIR as it is, with
each VSSM (projections, depthwise convolution, scans, gate) replaced by one multi-head self-attention of the same width C over all P pixels:

    queries, keys, values and the output projection   4 * P * C * C
    scores and their use                              2 * P * P * C     multiply-adds, for any number of heads

The softmax counts nothing, as everywhere (suite.measure.costs.count).
"""

from __future__ import annotations

import models
from models.designs.mambair import MambaIRConfig
from suite.core.errors import SuiteError
from suite.measure.costs.count import Counts
from suite.measure.costs.kept import count_kept


def attention_macs(width: int, pixels: int) -> int:
    """Count the multiply-adds of one self-attention of `width` features over `pixels` positions."""
    return 4 * pixels * width**2 + 2 * pixels**2 * width


def count_full_attention(model: str, size: tuple[int, int]) -> Counts:
    """Count the network `model` at `size` (height, width) with attention for its scans; SuiteError where it is no MambaIR."""
    config = models.card(model).config
    if not has_counterpart(model):
        raise SuiteError(f"{model} has no counterpart with full attention: only MambaIR's networks of one resolution have.")
    found = count_kept(model).at(size)
    blocks = sum(config.depths)
    rest = {name: value - found.state_space.get(name, 0.0) for name, value in found.by_operator.items()}
    rest["matmul"] = rest.get("matmul", 0.0) + blocks * attention_macs(config.dim, size[0] * size[1])
    return Counts({name: value for name, value in rest.items() if value}, found.unsupported, {}, 0.0, {})


def has_counterpart(model: str) -> bool:
    """Say whether `full_attention` is defined for `model`: attention over every level of a U-Net would be another design."""
    return model in models.MODELS and isinstance(models.card(model).config, MambaIRConfig)
