"""What surrounds a scan in a block, by the C++ backend's library: one pass over memory each, without gradients.

PyTorch makes three or four passes of either, and on a processor these passes, not the arithmetic, are what they cost.
"""

from __future__ import annotations

import ctypes

import torch
from torch import Tensor

from models.scan.backends.cpp import compiled

_Pointer, _Integer = ctypes.c_void_p, ctypes.c_int64


class _Around(ctypes.Structure):
    _fields_ = (
        *((name, _Pointer) for name in ("input", "gate", "weight", "bias", "output")),
        *((name, _Integer) for name in ("batch", "height", "width", "channels", "stride")),
        ("epsilon", ctypes.c_float),
        ("threads", ctypes.c_int32),
    )


def gated_norm(x: Tensor, gate: Tensor, weight: Tensor, bias: Tensor, epsilon: float) -> Tensor:
    """Return layer_norm(x) * silu(gate), over the last axis.

    x (B, H, W, C) is contiguous, gate the like or a slice of channels of something contiguous; weight and bias (C,). No input is checked.
    """
    out = torch.empty_like(x)
    given = (x.data_ptr(), gate.data_ptr(), weight.data_ptr(), bias.data_ptr(), out.data_ptr())
    around = _Around(*given, *x.shape, gate.stride(2), epsilon, torch.get_num_threads())
    compiled().gated_norm(ctypes.byref(around))
    return out


def depthwise_silu(u: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Return silu(conv(u)), a depth-wise convolution padded with zeros, contiguous (B, H, W, C).

    u (B, H, W, C) is a slice of channels of something contiguous; weight (C, 1, 3, 3), bias (C,). No input is checked.
    """
    out, by_place = torch.empty_like(u, memory_format=torch.contiguous_format), weight.flatten(1).t().contiguous()
    given = (u.data_ptr(), None, by_place.data_ptr(), bias.data_ptr(), out.data_ptr())
    around = _Around(*given, *u.shape, u.stride(2), 0.0, torch.get_num_threads())
    compiled().depthwise_silu(ctypes.byref(around))
    return out
