"""When a block may leave what surrounds its scan to the C++ backend: where nothing but the result is asked for."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from types import ModuleType

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import _len_torch_dispatch_stack  # no public one tells whether operators are watched

from models.scan.backends import BackendUnavailable
from models.scan.op import resolved

BACKEND = "cpp"


def find_around(x: Tensor, planar: nn.Module, replaced: Sequence[nn.Module]) -> ModuleType | None:
    """Return `models.scan.backends.cpp_around` where it may compute in place of the modules `replaced`, on the features `x` (B, H, W, C).

    None for anything but a contiguous float32 image on a processor whose scans `cpp` computes; where a gradient may follow; where operators
    are watched, traced or compiled, so that each is seen; and where somebody has changed a module or listens to it.
    """
    plain = type(x) is Tensor and x.device.type == "cpu" and x.dtype == torch.float32 and x.dim() == 4 and x.is_contiguous()
    if not plain or torch.is_grad_enabled() or torch.jit.is_tracing() or torch.compiler.is_compiling() or _len_torch_dispatch_stack():
        return None
    if any(type(module) not in (nn.Conv2d, nn.LayerNorm) or _is_watched(module) for module in replaced):
        return None
    if any(type(p) is not nn.Parameter or p.dtype != torch.float32 or not p.is_contiguous() for m in replaced for p in m.parameters()):
        return None
    return importlib.import_module("models.scan.backends.cpp_around") if _resolves(getattr(planar, "backend", "")) else None


def _is_watched(module: nn.Module) -> bool:
    return bool(module._forward_hooks or module._forward_pre_hooks)


def _resolves(backend: str) -> bool:
    """Tell whether the scans are `cpp`'s; what is wrong with a backend is said by the scan itself."""
    try:
        return bool(backend) and resolved(backend, "cpu") == BACKEND
    except (BackendUnavailable, LookupError):
        return False
