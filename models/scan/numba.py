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

from models.scan.contract import ScanArguments

# Tasks that a gradient is divided into if batch * groups does not give as many; each holds its own part of dB and dC.
TASKS = 16

# Numba's "workqueue" threads abort the process when two threads of Python start parallel work at once.
_one_launch = threading.Lock()


class Operands(NamedTuple):
    """u, delta (R, L); constants (channels, N + 2), the columns A, D and delta_bias; B, C (S, N, L); whether delta passes softplus.

    R = batch * channels rows, S = batch * groups sequences; float32, contiguous.
    """

    u: np.ndarray
    delta: np.ndarray
    constants: np.ndarray
    B: np.ndarray
    C: np.ndarray
    delta_softplus: bool


class Gradients(NamedTuple):
    """Of u, delta (R, L); of the constants for every row (R, N + 2); of B, C in parts (P, S, N, L), zero at first.

    What is held per row is to be summed over images, what is in parts over parts.
    """

    u: np.ndarray
    delta: np.ndarray
    constants: np.ndarray
    B: np.ndarray
    C: np.ndarray


@functools.cache
def _kernels() -> ModuleType:
    """numba_kernels, on Numba's own threads unless the user chose others; importing compiles nothing.

    Its OpenMP threads are not taken: starting them sets the thread count of PyTorch's OpenMP too, and they need a libgomp.
    """
    from numba import config

    from models.scan import numba_kernels

    if not {"NUMBA_THREADING_LAYER", "NUMBA_THREADING_LAYER_PRIORITY"} & os.environ.keys():
        config.THREADING_LAYER = "workqueue"
    return numba_kernels


def unavailable() -> tuple[str, str] | None:
    """None where the backend runs, else why not and a command that would help."""
    try:
        _kernels()
    except ImportError as error:  # absent, or at odds with the NumPy installed
        return f"numba cannot be imported ({error}).", "pip install --upgrade numba"
    except RuntimeError as error:  # neither the package's folder nor the user's cache can be written
        return f"numba cannot keep compiled kernels ({error}).", "export NUMBA_CACHE_DIR=<a folder you may write to>"
    return None


def kept_shape(_args: ScanArguments) -> tuple[int, ...]:
    """Nothing is kept: the backward pass starts anew."""
    return (0,)


def forward(args: ScanArguments, delta_softplus: bool, keep: bool) -> tuple[Tensor, Tensor]:  # noqa: ARG001 - nothing to keep
    """The y (batch, channels, L) of the scan; operands as `models.scan.contract` leaves them."""
    y = torch.empty_like(args.u)
    _launch("forward", _operands(args, delta_softplus), _rows(y))
    return y, y.new_empty(0)


def backward(grad_y: Tensor, _kept: Tensor, args: ScanArguments, delta_softplus: bool) -> tuple[Tensor | None, ...]:
    """Gradients of u, delta, A, B, C, D and delta_bias, given that of y (batch, channels, L)."""
    u, _, _, B, _, D, delta_bias = args
    (batch, channels, _), (_, groups, N, L) = u.shape, B.shape
    blocks = -(-(channels // groups) // _kernels().LANES)
    parts = min(blocks, -(-TASKS // (batch * groups)))
    du, ddelta = torch.empty_like(u), torch.empty_like(u)
    dconstants = u.new_empty(batch, channels, N + 2)
    dB, dC = u.new_zeros(parts, batch * groups, N, L), u.new_zeros(parts, batch * groups, N, L)
    grad = Gradients(_rows(du), _rows(ddelta), _rows(dconstants), dB.numpy(), dC.numpy())
    _launch("backward", _operands(args, delta_softplus), _rows(grad_y), grad)
    columns = _sum(dconstants)
    dA, dD, dbias = (x.clone(memory_format=torch.contiguous_format) for x in (columns[:, :N], columns[:, N], columns[:, N + 1]))
    dB, dC = _sum(dB).view_as(B), _sum(dC).view_as(B)
    return du, ddelta, dA, dB, dC, None if D is None else dD, None if delta_bias is None else dbias


def _rows(x: Tensor) -> np.ndarray:
    """(batch, rows, ...) as (batch * rows, ...), the same memory."""
    return x.detach().numpy().reshape(-1, *x.shape[2:])


def _operands(args: ScanArguments, delta_softplus: bool) -> Operands:
    u, delta, A, B, C, D, delta_bias = args
    channels, N = A.shape
    constants = np.zeros((channels, N + 2), np.float32)
    constants[:, :N] = A.detach().numpy()
    for column, values in ((N, D), (N + 1, delta_bias)):
        if values is not None:
            constants[:, column] = values.detach().numpy()
    return Operands(_rows(u), _rows(delta), constants, _rows(B), _rows(C), bool(delta_softplus))


def _launch(kernel: str, *arguments: NamedTuple | np.ndarray) -> None:
    """Run a kernel on as many threads as torch would use, and leave Numba's own setting as it was."""
    from numba import config, get_num_threads, set_num_threads

    with _one_launch:
        before = get_num_threads()
        set_num_threads(min(torch.get_num_threads(), config.NUMBA_NUM_THREADS))
        try:
            getattr(_kernels(), kernel)(*arguments)
        finally:
            set_num_threads(before)


def _sum(parts: Tensor) -> Tensor:
    """The sum over the first axis, one part after the other."""
    if len(parts) == 1:
        return parts[0]
    total = parts[0] + parts[1]
    for part in parts[2:]:
        total += part
    return total
