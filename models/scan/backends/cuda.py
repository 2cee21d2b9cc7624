"""The CUDA backend: mamba-ssm's compiled extension `selective_scan_cuda`, called as its own interface calls it.

The extension is what is tested for, not the package: `pip install mamba-ssm` alone does not build it. Its gradients of A, B, C, D and
delta_bias are added up with atomics in whatever order, so that they are not the same bits from run to run.
Source: mamba_ssm/ops/selective_scan_interface.py and csrc/selective_scan/selective_scan.cpp of mamba-ssm 2.3 (Apache-2.0).
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
from types import ModuleType

import torch
from torch import Tensor

from models.scan.contract import ScanArguments, ScanInputError

EXTENSION = "selective_scan_cuda"
CHUNK = 2048  # steps between the states that its forward pass keeps
MOST_STATES = 256
REMEDY = "MAMBA_KEEP_CUDA_BUILD=TRUE pip install mamba-ssm --no-build-isolation (needs nvcc of the CUDA version that torch was built with)"
REBUILD = f"pip uninstall -y mamba-ssm; pip cache remove mamba_ssm; {REMEDY}"


@functools.cache
def _extension() -> ModuleType:
    return importlib.import_module(EXTENSION)  # torch is imported above: it brings the libraries that the extension links to


def unavailable() -> tuple[str, str] | None:
    """None where the backend runs, else why not and a command that would help."""
    if importlib.util.find_spec(EXTENSION) is None:
        package = importlib.util.find_spec("mamba_ssm") is not None
        what = "mamba-ssm is installed without its compiled extension" if package else "mamba-ssm is not installed"
        return f"{what} ({EXTENSION} is not there).", REMEDY
    try:
        _extension()
    except ImportError as error:  # there, but built for another torch, Python or CUDA
        return f"{EXTENSION} was built for another torch, Python or CUDA than these ({error}).", REBUILD
    if not torch.cuda.is_available():
        return "torch finds no CUDA device.", "run on a machine with an NVIDIA GPU, its driver and a CUDA build of torch."
    return None


def kept_shape(args: ScanArguments) -> tuple[int, ...]:
    """(B, D, chunks, 2N): decays and states at the ends of chunks."""
    batch, channels, length = args.u.shape
    return batch, channels, -(-length // CHUNK), 2 * args.A.shape[1]


def forward(args: ScanArguments, delta_softplus: bool, keep: bool) -> tuple[Tensor, Tensor]:
    """Return the y (B, D, L) of the scan, and what the extension keeps."""
    u, delta, A, B, C, D, delta_bias = args
    if A.shape[1] > MOST_STATES:
        raise ScanInputError(f"{EXTENSION} takes at most {MOST_STATES} states, not {A.shape[1]}; use the backend 'triton'.")
    y, kept, *_ = _extension().fwd(u, delta, A, B, C, D, None, delta_bias, delta_softplus)
    return y, kept if keep else kept.new_empty(0)


def backward(grad_y: Tensor, kept: Tensor, args: ScanArguments, delta_softplus: bool) -> tuple[Tensor | None, ...]:
    """Gradients of u, delta, A, B, C, D and delta_bias, given that of y (B, D, L)."""
    u, delta, A, B, C, D, delta_bias = args
    du, ddelta, dA, dB, dC, dD, dbias, *_ = _extension().bwd(
        u, delta, A, B, C, D, None, delta_bias, grad_y, kept, None, None, delta_softplus, False
    )
    found = (du, ddelta, dA, dB.to(B.dtype), dC.to(C.dtype), dD if D is not None else None, dbias if delta_bias is not None else None)
    return tuple(g if g is None else g.contiguous() for g in found)
