"""How far a backend may be from the exact scan: the error of a tensor, norm(found - exact) / norm(exact), and what is allowed of it."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import torch
from torch import Tensor

from models.scan.cases import Case

# What float32 may cost. The reference and Numba in float32 stay below 1e-6 in every case (test_backends.py), most of it below 2e-7, so
# twice that leaves room for a processor's own 2^x (2 units in the last place on a GPU). Rounding errors of a sum of L terms, and of a
# state carried over L steps, grow like the square root of L where they do not align; a biased 2^x, p(0) = 1 + 7e-8, aligns and is caught.
# How fast: L terms of size 1 and either sign add up to sqrt(L). One accumulator holds sqrt(k) after k of them and errs by 2^-24 / sqrt(3)
# of that, so after L it is off by 2^-24 / sqrt(3) * L / sqrt(2), which is sqrt(L) * 2^-24 / sqrt(6) = sqrt(L) * 2.4e-8 of the sum; four
# times that is allowed. At 20,164 steps that is 3.5e-6 of 1.6e-5; measured are 3.2e-6 for the reference, which has one accumulator, at
# most 1.0e-6 for numba and cpp, which have several, and 2e-7 for what is no sum over L.
FLOAT32 = 2e-6
FLOAT32_A_ROOT_OF_A_STEP = 1e-7

# One rounding of the result to its dtype: half a unit in the last place, at most; float32 is covered by the above.
ROUNDING: Mapping[str, float] = MappingProxyType({"float32": 0.0, "float16": 2.0**-11, "bfloat16": 2.0**-8})

# Where A is 1e-12 to 1e6 and steps are 1e-30 to 80, delta A is rounded before it is an exponent, and an exponent of -80 multiplies that
# rounding by 80; a gradient's norm then rests on the few entries that do not underflow. Both stay near 3e-7 with an exact 2^x.
EXTREME_SLACK = 4.0

CONSTANTS = frozenset({"A", "D", "delta_bias", "dt_proj"})  # kept in float32 whatever the streams are


def tolerance(case: Case, name: str) -> float:
    """Return how large the error of `name` ("y", or an argument's gradient) may be in a case, relative."""
    rounding = 0.0 if name in CONSTANTS else ROUNDING[case.dtype]
    return rounding + (FLOAT32 + FLOAT32_A_ROOT_OF_A_STEP * case.length**0.5) * (EXTREME_SLACK if case.extreme else 1.0)


def relative_error(found: Tensor, exact: Tensor) -> float:
    """Compute norm(found - exact) / norm(exact) in float64; infinite where `found` is not finite, or not zero where it must be."""
    found = found.detach().to(device="cpu", dtype=torch.float64)
    if found.shape != exact.shape or not torch.isfinite(found).all():
        return float("inf")
    difference, size = float((found - exact).norm()), float(exact.norm())
    if size:
        return difference / size
    return float("inf") if difference else 0.0
