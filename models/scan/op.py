"""`ssm::selective_scan` and `ssm::scan_image` as PyTorch operators: schema, fake kernels, autograd; the backend is an argument.

Being one operator, a scan is one node for tracing, compiling, exporting and counting, whatever computes it. Each returns its result
and what the backend keeps for the gradient, which is empty unless `keep` asks for it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from models.scan.backends import BACKENDS, BackendUnavailable, module_of, resolve_backend
from models.scan.contract import ImageArguments, ScanArguments, canonical

Context = torch.autograd.function.FunctionCtx


def selective_scan(
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None = None,
    delta_bias: Tensor | None = None,
    delta_softplus: bool = False,
    backend: str = "auto",
) -> Tensor:
    """The selective scan (models.scan.backends.reference gives the equations), with mamba-ssm's shapes.

    u, delta (B, D, L); A (D, N), negative for a decaying state; B, C (B, N, L) or (B, G, N, L), shared by D/G channels
    each; D, delta_bias (D,). Returns y (B, D, L) in u's dtype. The state is float32 (float64 where u is).
    Raises `ScanInputError` for arguments that do not fit, `BackendUnavailable` for a backend that cannot run here.
    """
    given = ScanArguments(u, delta, A, B, C, D, delta_bias)
    name = resolved(backend, u.device.type)
    args = canonical(given, native_dtypes(name))
    check_dtype(name, args.u.dtype)
    return _scan(*args, delta_softplus, name, wants_gradient(given))[0].to(u.dtype)


def resolved(backend: str, device: str) -> str:
    """Return the name of the backend that `backend` is on a device."""
    return resolve_backend(backend, device)[0]


def native_dtypes(backend: str) -> tuple[torch.dtype, ...]:
    """Return what the backend reads without conversion."""
    return tuple(getattr(torch, name) for name in BACKENDS[backend].dtypes)


# A compiled graph holds the names. This is what torch.compiler.assume_constant_result sets; to call it would load the compiler, which takes
# every process seconds.
resolved._dynamo_marked_constant = native_dtypes._dynamo_marked_constant = True


def check_dtype(backend: str, dtype: torch.dtype) -> None:
    """`BackendUnavailable` where the backend cannot compute in `dtype`."""
    if dtype not in native_dtypes(backend):
        name = str(dtype).removeprefix("torch.")
        raise BackendUnavailable(backend, f"it does not compute in {name}.", "use backend='reference', or float32 tensors.")


def wants_gradient(tensors: Sequence[Tensor | None]) -> bool:
    """Tell whether a backward pass may follow."""
    return torch.is_grad_enabled() and any(tensor is not None and tensor.requires_grad for tensor in tensors)


@torch.library.custom_op("ssm::selective_scan", mutates_args=())
def _scan(
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None,
    delta_bias: Tensor | None,
    delta_softplus: bool,
    backend: str,
    keep: bool,
) -> tuple[Tensor, Tensor]:
    return module_of(backend).forward(ScanArguments(u, delta, A, B, C, D, delta_bias), delta_softplus, keep)


@_scan.register_fake
def _scan_fake(*args: object) -> tuple[Tensor, Tensor]:
    *tensors, _softplus, backend, keep = args
    scan = ScanArguments(*tensors)
    return torch.empty_like(scan.u), _fake_kept(scan.u, module_of(backend).kept_shape(scan) if keep else (0,))


@torch.library.custom_op("ssm::selective_scan_backward", mutates_args=())
def _scan_backward(
    grad_y: Tensor,
    kept: Tensor,
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None,
    delta_bias: Tensor | None,
    delta_softplus: bool,
    backend: str,
) -> list[Tensor]:
    args = ScanArguments(u, delta, A, B, C, D, delta_bias)
    gradients = module_of(backend).backward(grad_y, kept, args, delta_softplus)
    return [u.new_empty(0) if g is None else g for g in gradients]  # an operator returns tensors, never None


@_scan_backward.register_fake
def _scan_backward_fake(_grad_y: Tensor, _kept: Tensor, *args: object) -> list[Tensor]:
    return [args[0].new_empty(0) if t is None else torch.empty_like(t) for t in args[:7]]


@torch.library.custom_op("ssm::scan_image", mutates_args=())
def image_op(
    x: Tensor, proj: Tensor, dt_proj: Tensor, A: Tensor, D: Tensor, delta_bias: Tensor, backend: str, keep: bool
) -> tuple[Tensor, Tensor]:
    """Return the y (B, H, W, C) of an image's scans, and what is kept; canonical arguments (see `models.scan.image.scan_image`)."""
    return module_of(backend).image_forward(ImageArguments(x, proj, dt_proj, A, D, delta_bias), keep)


@image_op.register_fake
def _image_fake(*args: object) -> tuple[Tensor, Tensor]:
    *tensors, backend, keep = args
    image = ImageArguments(*tensors)
    return torch.empty_like(image.x), _fake_kept(image.x, module_of(backend).image_kept_shape(image) if keep else (0,))


@torch.library.custom_op("ssm::scan_image_backward", mutates_args=())
def _image_backward(
    grad_y: Tensor, kept: Tensor, x: Tensor, proj: Tensor, dt_proj: Tensor, A: Tensor, D: Tensor, delta_bias: Tensor, backend: str
) -> list[Tensor]:
    return list(module_of(backend).image_backward(grad_y, kept, ImageArguments(x, proj, dt_proj, A, D, delta_bias)))


@_image_backward.register_fake
def _image_backward_fake(_grad_y: Tensor, _kept: Tensor, *args: object) -> list[Tensor]:
    return [torch.empty_like(t) for t in args[:6]]


def _fake_kept(like: Tensor, shape: Sequence[int]) -> Tensor:
    return like.new_empty(shape, dtype=torch.float32)


def _remember(tensors: int, keep_index: int) -> Callable[[Context, tuple, tuple[Tensor, Tensor]], None]:
    def setup_context(ctx: Context, inputs: tuple, output: tuple[Tensor, Tensor]) -> None:
        if not inputs[keep_index]:
            raise RuntimeError("a scan that is to be differentiated must be called with keep=True.")
        ctx.options = inputs[tensors:keep_index]
        ctx.save_for_backward(output[1], *inputs[:tensors])

    return setup_context


def _differentiate_scan(ctx: Context, grad_y: Tensor, _grad_kept: Tensor) -> tuple[Tensor | None, ...]:
    kept, *tensors = ctx.saved_tensors
    gradients = _scan_backward(grad_y.contiguous(), kept, *tensors, *ctx.options)
    return (*(None if t is None else g for t, g in zip(tensors, gradients, strict=True)), None, None, None)


def _differentiate_image(ctx: Context, grad_y: Tensor, _grad_kept: Tensor) -> tuple[Tensor | None, ...]:
    return (*_image_backward(grad_y.contiguous(), *ctx.saved_tensors, *ctx.options), None, None)


_scan.register_autograd(_differentiate_scan, setup_context=_remember(tensors=7, keep_index=9))
image_op.register_autograd(_differentiate_image, setup_context=_remember(tensors=6, keep_index=7))


def scan_macs(batch: int, channels: int, length: int, states: int, *, skip: bool) -> int:
    """Cost of a scan in the convention of the field's papers: 9*B*L*D*N, and B*L*D for the skip D u.

    9 operations an element are what the recurrence takes (state-spaces/mamba issue 110); the papers add them to
    multiply-adds counted as one, and so does this suite (see suite.measure.costs.count).
    """
    return 9 * batch * length * channels * states + (batch * length * channels if skip else 0)
