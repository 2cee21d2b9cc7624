"""The C++ backend: scan.cpp, compiled for this very processor at first use (`models.scan.backends.cpp_build`), called through ctypes.

Here torch tensors become its arguments. It runs on as many threads as torch does, and of the same OpenMP runtime. Sums are divided by the
operands' shapes, never by the number of threads, and run in a fixed order, so that results are the same bits for any number of threads.
"""

from __future__ import annotations

import ctypes
import functools
import time

import torch
from torch import Tensor

from models.scan.backends.cpp_build import CannotCompile, library
from models.scan.backends.memory import keep_freed_memory
from models.scan.contract import ImageArguments, ScanArguments, sum_in_order

# Tasks that a gradient is divided into if its sequences do not give as many; each holds its own part of dB and dC.
TASKS = 4

_Pointer, _Integer, _Flag = ctypes.c_void_p, ctypes.c_int64, ctypes.c_int32


class _Scan(ctypes.Structure):
    _fields_ = (
        *((name, _Pointer) for name in ("u", "delta", "A", "B", "C", "D", "bias")),
        *((name, _Integer) for name in ("batch", "groups", "width", "states", "length")),
        ("softplus", _Flag),
        ("threads", _Flag),
    )


class _ScanGradients(ctypes.Structure):
    _fields_ = (*((name, _Pointer) for name in ("dy", "du", "ddelta", "constants", "B", "C")), ("parts", _Integer))


class _Image(ctypes.Structure):
    _fields_ = (
        *((name, _Pointer) for name in ("x", "proj", "dt_proj", "A", "D", "bias")),
        *((name, _Integer) for name in ("batch", "height", "width", "channels", "directions", "states", "rank")),
        ("threads", _Flag),
    )


class _ImageGradients(ctypes.Structure):
    _fields_ = (*((name, _Pointer) for name in ("dy", "dx", "dx_columns", "proj", "constants")), ("parts", _Integer))


@functools.cache
def compiled() -> ctypes.CDLL:
    """Return the library, compiled and loaded at the first call."""
    keep_freed_memory()
    return ctypes.CDLL(str(library()))


@functools.cache
def _layout() -> tuple[int, int]:
    """Channels of a block, and steps of a tile."""
    return compiled().scan_lanes(), compiled().scan_tile()


def unavailable() -> tuple[str, str] | None:
    """None where the backend runs, else why not and a command that would help; compiles it, if that was not done before."""
    try:
        compiled()
    except CannotCompile as error:
        return error.reason, error.remedy
    except OSError as error:
        return (
            f"the compiled library cannot be loaded ({error}).",
            "remove the folder `scan` in $SUITE_CACHE, or set CXX to another compiler.",
        )
    return None


def _kept(batch: int, sequences: int, length: int, width: int, states: int) -> tuple[int, ...]:
    """H before every tile: (B, sequences, tiles, blocks, N, lanes)."""
    lanes, tile = _layout()
    return batch, sequences, -(-length // tile), -(-width // lanes), states, lanes


def _parts(sequences: int, width: int) -> int:
    return min(-(-width // _layout()[0]), -(-TASKS // sequences))


def _to(tensor: Tensor | None) -> int | None:
    return None if tensor is None else tensor.data_ptr()


def _constants(rows: Tensor, states: int) -> tuple[Tensor, ...]:
    """Return the gradients of A, D, delta_bias and dt_proj, each apart, from what each image adds to them (B, channels, N + 2 + R)."""
    of_A, of_D, of_bias, of_dt_proj = sum_in_order(rows).split([states, 1, 1, rows.shape[-1] - states - 2], dim=1)
    return tuple(x.clone(memory_format=torch.contiguous_format) for x in (of_A, of_D[:, 0], of_bias[:, 0], of_dt_proj))


def kept_shape(args: ScanArguments) -> tuple[int, ...]:
    """H before every tile: (B, G, tiles, blocks, N, lanes)."""
    (batch, channels, length), (_, groups, states, _) = args.u.shape, args.B.shape
    return _kept(batch, groups, length, channels // groups, states)


def _described(args: ScanArguments, delta_softplus: bool) -> _Scan:
    (batch, channels, length), (_, groups, states, _) = args.u.shape, args.B.shape
    sizes = (batch, groups, channels // groups, states, length)
    return _Scan(*map(_to, args), *sizes, int(delta_softplus), torch.get_num_threads())


def forward(args: ScanArguments, delta_softplus: bool, keep: bool) -> tuple[Tensor, Tensor]:
    """Return the y (B, D, L) of the scan, and h before every tile."""
    y, kept = torch.empty_like(args.u), args.u.new_empty(kept_shape(args) if keep else (0,))
    compiled().scan_forward(ctypes.byref(_described(args, delta_softplus)), _Pointer(_to(y)), _Pointer(_to(kept) if keep else None))
    return y, kept


def backward(grad_y: Tensor, kept: Tensor, args: ScanArguments, delta_softplus: bool) -> tuple[Tensor | None, ...]:
    """Gradients of u, delta, A, B, C, D and delta_bias, given that of y (B, D, L)."""
    (batch, channels, _), (_, groups, states, _) = args.u.shape, args.B.shape
    parts = _parts(batch * groups, channels // groups)
    du, ddelta, rows = torch.empty_like(args.u), torch.empty_like(args.u), args.u.new_empty(batch, channels, states + 2)
    dB, dC = args.u.new_empty(parts, *args.B.shape), args.u.new_empty(parts, *args.B.shape)
    gradients = _ScanGradients(*map(_to, (grad_y, du, ddelta, rows, dB, dC)), parts)
    compiled().scan_backward(ctypes.byref(_described(args, delta_softplus)), _Pointer(_to(kept)), ctypes.byref(gradients))
    dA, dD, dbias, _ = _constants(rows, states)
    return du, ddelta, dA, sum_in_order(dB), sum_in_order(dC), None if args.D is None else dD, None if args.delta_bias is None else dbias


def _columns(args: ImageArguments) -> Tensor:
    """Room for what the columns give, beside what the rows give: like x where both are walked, else empty."""
    return torch.empty_like(args.x) if args.dt_proj.shape[0] == 4 else args.x.new_empty(0)


def image_kept_shape(args: ImageArguments) -> tuple[int, ...]:
    """H before every tile: (B, K, tiles, blocks, N, lanes)."""
    batch, height, width, channels = args.x.shape
    return _kept(batch, args.dt_proj.shape[0], height * width, channels, args.A.shape[1])


def _described_image(args: ImageArguments) -> _Image:
    return _Image(*map(_to, args), *args.x.shape, args.dt_proj.shape[0], args.A.shape[1], args.dt_proj.shape[2], torch.get_num_threads())


def image_forward(args: ImageArguments, keep: bool) -> tuple[Tensor, Tensor]:
    """Return the y (B, H, W, C) of the image's scans, and h before every tile."""
    y, columns, kept = torch.empty_like(args.x), _columns(args), args.x.new_empty(image_kept_shape(args) if keep else (0,))
    compiled().image_forward(ctypes.byref(_described_image(args)), *map(_Pointer, (_to(y), _to(columns), _to(kept) if keep else None)))
    return y, kept


def image_backward(grad_y: Tensor, kept: Tensor, args: ImageArguments) -> tuple[Tensor, ...]:
    """Gradients of x, proj, dt_proj, A, D and delta_bias, given that of y (B, H, W, C)."""
    batch, channels, (directions, _, rank), states = args.x.shape[0], args.x.shape[-1], args.dt_proj.shape, args.A.shape[1]
    parts = _parts(batch * (2 if directions == 4 else 1), channels)
    dx, columns, dproj = torch.empty_like(args.x), _columns(args), args.x.new_empty(parts, *args.proj.shape)
    rows = args.x.new_empty(batch, directions * channels, states + 2 + rank)
    gradients = _ImageGradients(*map(_to, (grad_y, dx, columns, dproj, rows)), parts)
    compiled().image_backward(ctypes.byref(_described_image(args)), _Pointer(_to(kept)), ctypes.byref(gradients))
    dA, dD, dbias, ddt_proj = _constants(rows, states)
    return dx, sum_in_order(dproj), ddt_proj.view_as(args.dt_proj), dA, dD, dbias


def exp2_throughput(vectors: int = 2_000_000) -> float:
    """Values of 2^x a second that this processor computes from registers on torch's number of threads, as the scan does them."""
    threads = torch.get_num_threads()
    compute = compiled().scan_exp2
    compute.restype = ctypes.c_float
    compute(_Integer(vectors // 100), threads)
    started = time.perf_counter()
    compute(_Integer(vectors), threads)
    return vectors * threads * _layout()[0] / (time.perf_counter() - started)
