"""ACCELERATORS: what kinds of GPU can do at most, from their vendor's data sheets. Never a prediction: see suite.runner.cell_time.

Rates are dense (no sparsity), in 10^12 operations a second, a multiply-add being two. `fp32` is that of ordinary cores, for what trains in
float32: torch leaves TensorFloat-32 off for matrix products, and cuDNN's convolutions may use it. `bf16` is that of tensor cores.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from models.lookup import lookup

LEAST_USE, MOST_USE = 0.05, 0.40  # of the peak rate, between which trainings are expected to lie


@dataclass(frozen=True)
class Accelerator:
    """A kind of GPU."""

    name: str
    fp32: float  # 10^12 operations a second
    bf16: float | None  # None: the kind has none
    memory_gb: int
    source: str

    def peak(self, dtype: str) -> float | None:
        """Return the operations a second of float32 or bfloat16; None where the kind cannot."""
        rate = {"float32": self.fp32, "bfloat16": self.bf16}[dtype]
        return None if rate is None else rate * 1e12


ACCELERATORS: Mapping[str, Accelerator] = MappingProxyType(
    {
        row.name: row
        for row in (
            Accelerator("V100", 15.7, None, 32, "NVIDIA V100 Tensor Core GPU data sheet, SXM2"),
            Accelerator("A100", 19.5, 312.0, 80, "NVIDIA A100 Tensor Core GPU data sheet, SXM"),
            Accelerator("H100", 67.0, 989.5, 80, "NVIDIA H100 Tensor Core GPU data sheet, SXM, half of the rate with sparsity"),
            Accelerator("H200", 67.0, 989.5, 141, "NVIDIA H200 Tensor Core GPU data sheet, SXM, half of the rate with sparsity"),
            Accelerator("L4", 30.3, 121.0, 24, "NVIDIA L4 Tensor Core GPU data sheet, half of the rate with sparsity"),
            Accelerator("RTX 3090", 35.6, 71.0, 24, "NVIDIA Ampere GA102 GPU architecture white paper"),
            Accelerator("RTX 4090", 82.6, 165.2, 24, "NVIDIA Ada GPU architecture white paper"),
        )
    }
)
DEFAULT_KIND = "A100"


def accelerator(name: str) -> Accelerator:
    """Return the row `name`, in any case; raises `UnknownName` with suggestions."""
    known = {row.casefold(): row for row in ACCELERATORS}
    return lookup("kind of GPU", known.get(name.casefold(), name), ACCELERATORS)


def is_kind(gpu: str, kind: str) -> bool:
    """Return whether a GPU, by the name that its driver gives it, is of `kind`: L4 is not L40S."""
    return re.search(rf"\b{re.escape(kind)}\b", gpu, re.IGNORECASE) is not None
