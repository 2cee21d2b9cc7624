"""The Numba backend: parallel, vectorised kernels for any CPU, compiled at first use; `pip install numba` is all they need.

The kernels and their layout are in numba_kernels.py; here torch tensors become their arguments. Work is divided by the operands' shapes,
never by the number of threads, and sums run in a fixed order, so that results are the same bits for any number of threads.
"""

from __future__ import annotations

import functools
import os
import threading
from types import ModuleType
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from models.scan.backends.memory import keep_freed_memory
from models.scan.contract import ScanArguments, sum_in_order

# Tasks that a scan is divided into where batch * groups are fewer. More would occupy more cores, but each reads B and C anew, and holds its
# own part of dB and dC.
TASKS = 16

# Numba's "workqueue" threads abort the process when two threads of Python start parallel work at once.
_one_launch = threading.Lock()


@functools.cache
def _kernels() -> ModuleType:
    """numba_kernels, on Numba's own threads unless the user chose others; importing compiles nothing.

    Its OpenMP threads are not taken: starting them sets the thread count of PyTorch's OpenMP too, and they need a libgomp.
    """
    from numba import config

    from models.scan.backends import numba_kernels

    keep_freed_memory()
    if not {"NUMBA_THREADING_LAYER", "NUMBA_THREADING_LAYER_PRIORITY"} & os.environ.keys():
        config.THREADING_LAYER = "workqueue"
    return numba_kernels


def unavailable() -> tuple[str, str] | None:
    """None where the backend runs, else why not and a command that would help."""
    try:
        _kernels()
    except ImportError as error:  # absent, or at odds with the NumPy installed
        return f"numba cannot be imported ({error}).", "pip install --upgrade numba"
    return None


def kept_shape(args: ScanArguments) -> tuple[int, ...]:
    """Return the states (batch * channels, tiles, N) at the starts of tiles."""
    (batch, channels, L), N = args.u.shape, args.A.shape[1]
    return batch * channels, -(-L // _kernels().TILE), N


def forward(args: ScanArguments, delta_softplus: bool, keep: bool) -> tuple[Tensor, Tensor]:
    """Return the y (batch, channels, L) of the scan, and h at the starts of tiles if it is to be kept; operands as the contract says."""
    y, kept = torch.empty_like(args.u), args.u.new_empty(kept_shape(args) if keep else (0,))
    _launch("forward", _operands(args, delta_softplus), _rows(y), _states(kept), _parts(args))
    return y, kept


def backward(grad_y: Tensor, kept: Tensor, args: ScanArguments, delta_softplus: bool) -> tuple[Tensor | None, ...]:
    """Gradients of u, delta, A, B, C, D and delta_bias, given that of y (batch, channels, L)."""
    u, _, _, B, _, D, delta_bias = args
    (batch, channels, _), (_, groups, N, L) = u.shape, B.shape
    parts = _parts(args)
    du, ddelta = torch.empty_like(u), torch.empty_like(u)
    dconstants = u.new_empty(batch, channels, N + 2)
    dB, dC = u.new_empty(parts, batch * groups, N, L), u.new_empty(parts, batch * groups, N, L)
    grad = _kernels().Gradients(_rows(du), _rows(ddelta), _rows(dconstants), _vectors(dB), _vectors(dC))
    _launch("backward", _operands(args, delta_softplus), _rows(grad_y), _states(kept), grad, parts)
    columns = sum_in_order(dconstants)
    dA, dD, dbias = (x.clone(memory_format=torch.contiguous_format) for x in (columns[:, :N], columns[:, N], columns[:, N + 1]))
    dB, dC = sum_in_order(dB).view_as(B), sum_in_order(dC).view_as(B)
    return du, ddelta, dA, dB, dC, None if D is None else dD, None if delta_bias is None else dbias


def _parts(args: ScanArguments) -> int:
    """Return how many tasks share a sequence's blocks."""
    (batch, channels, _), groups = args.u.shape, args.B.shape[1]
    blocks = -(-(channels // groups) // _kernels().LANES)
    return min(blocks, -(-TASKS // (batch * groups)))


def _states(kept: Tensor) -> np.ndarray:
    """(R, tiles, N) as (R, tiles * N), or nothing, the same memory."""
    return kept.detach().numpy().reshape(len(kept), kept[:1].numel())


def _rows(x: Tensor) -> np.ndarray:
    """(batch, rows, ...) as (batch * rows, ...), the same memory."""
    return x.detach().numpy().reshape(-1, *x.shape[2:])


def _vectors(x: Tensor) -> np.ndarray:
    """(..., L) as (vectors, L), the same memory."""
    return x.detach().numpy().reshape(-1, x.shape[-1])


def _operands(args: ScanArguments, delta_softplus: bool) -> NamedTuple:
    u, delta, A, B, C, D, delta_bias = args
    channels, N = A.shape
    constants = np.zeros((channels, N + 2), np.float32)
    constants[:, :N] = A.detach().numpy()
    for column, values in ((N, D), (N + 1, delta_bias)):
        if values is not None:
            constants[:, column] = values.detach().numpy()
    return _kernels().Operands(_rows(u), _rows(delta), constants, _vectors(B), _vectors(C), bool(delta_softplus))


def _launch(kernel: str, *arguments: NamedTuple | np.ndarray | int) -> None:
    """Run a kernel on as many threads as torch would use, and leave Numba's own setting as it was."""
    from numba import config, get_num_threads, set_num_threads

    with _one_launch:
        before = get_num_threads()
        set_num_threads(min(torch.get_num_threads(), config.NUMBA_NUM_THREADS))
        try:
            getattr(_kernels(), kernel)(*arguments)
        finally:
            set_num_threads(before)
