"""Verifying a scan backend: comparing it with the reference in float64 on the same inputs, forward and every gradient.

Shared by the conformance tests and by `python -m suite scan`, which times nothing that does not pass. An error is a number for each
tensor, norm(found - exact) / norm(exact); what is not finite has an infinite one.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache, partial

import torch
from torch import Tensor

from models.scan.backends import BACKENDS
from models.scan.cases import CASES, LAYERS, Case, arguments, image_arguments
from models.scan.contract import ImageArguments, ScanArguments, canonical_image
from models.scan.directions import DIRECTIONS, merge, unfold
from models.scan.op import image_op, native_dtypes, selective_scan
from models.scan.tolerance import relative_error, tolerance
from suite.measure.scans.exact import doubled_scan
from suite.records.kinds.scan import Verified

Scan = Callable[..., Tensor]  # u, delta, A, B, C, D, delta_bias and delta_softplus to y, as models.scan.selective_scan

LAYER_LENGTH = 256  # of a layer when it is verified: four tiles of 64 steps; edges stand as they are
LOOPED = 1100  # steps that the reference in float64 loops over; beyond, that takes seconds, and the same scan is computed by doubling


def select_cases(most_elements: int | None = None) -> tuple[Case, ...]:
    """Return CASES, with layers cut to LAYER_LENGTH; those alone of at most `most_elements`, if given."""
    cut = [case.shortened(LAYER_LENGTH) if case in LAYERS else case for case in CASES.values()]
    return tuple(case for case in cut if most_elements is None or case.elements <= most_elements)


def check_backend(backend: str, device: str, most_elements: int | None = None) -> Iterator[Verified]:
    """Make every comparison that a backend must pass on a device, one after another."""
    for case in select_cases(most_elements):
        yield from check_case(backend, device, case)


def check_case(backend: str, device: str, case: Case) -> Iterator[Verified]:
    """Make the comparisons of one case: as sequences and, where it has a side and the backend scans images, along their directions."""
    yield _compared(case.name, case, measure_errors(backend, case, device))
    if BACKENDS[backend].image and case.side:
        for directions in DIRECTIONS:
            yield _compared(f"{case.name}, image, {directions} ways", case, measure_image_errors(backend, case, directions, device))


def _compared(name: str, case: Case, errors: Mapping[str, float]) -> Verified:
    kept = {tensor: error if math.isfinite(error) else None for tensor, error in errors.items()}
    return Verified(name=name, errors=kept, allowed={tensor: tolerance(case, tensor) for tensor in errors})


def measure_errors(backend: str, case: Case, device: str = "cpu") -> dict[str, float]:
    """Compute the errors of y and of the gradients of all the arguments that the case has."""
    exact = _exact(case)
    found = _scan(arguments(case, device), partial(selective_scan, backend=backend), case)
    return {name: relative_error(found[name], expected) for name, expected in exact.items()}


def measure_image_errors(backend: str, case: Case, directions: int, device: str = "cpu", height: int | None = None) -> dict[str, float]:
    """Compute the errors of an image's scans, y and the gradients of all arguments, of a backend whose row says `image`."""
    exact = _exact_image(case, directions, height)
    found = _image(image_arguments(case, directions, device, height), backend, case.dtype)
    return {name: relative_error(found[name], expected) for name, expected in exact.items()}


@lru_cache(maxsize=len(CASES))
def _exact(case: Case) -> dict[str, Tensor]:
    args = ScanArguments(*(None if tensor is None else tensor.double() for tensor in arguments(case)))
    with _one_thread():
        return _scan(args, _exact_scan(case.length), case)


@lru_cache(maxsize=len(CASES))
def _exact_image(case: Case, directions: int, height: int | None) -> dict[str, Tensor]:
    args = ImageArguments(*(tensor.double() for tensor in image_arguments(case, directions, height=height)))
    with _one_thread():
        return _image(args, _exact_scan(args.x.shape[1] * args.x.shape[2]), case.dtype)


def _exact_scan(length: int) -> Scan:
    """Choose what computes a scan of `length` steps in float64: the reference, or where its loop takes too long, the same by doubling."""
    return partial(selective_scan, backend="reference") if length <= LOOPED else doubled_scan


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """Hold torch to one thread: steps of the reference are too small to be shared, and on a busy machine threads wait for one another."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _scan(args: ScanArguments, scan: Scan, case: Case) -> dict[str, Tensor]:
    """Compute y and the gradients through `scan`; the cotangent is the same for any dtype that holds u."""
    leaves = ScanArguments(*(None if tensor is None else tensor.detach().requires_grad_() for tensor in args))
    y = scan(*leaves, delta_softplus=case.softplus)
    return _differentiated(y, _cotangent(y, case.dtype), leaves._asdict())


def _image(args: ImageArguments, scan: Scan | str, dtype: str) -> dict[str, Tensor]:
    """Compute y and the gradients of an image: from its parts through `scan`, or by the backend of that name, which scans images itself."""
    leaves = ImageArguments(*(tensor.detach().requires_grad_() for tensor in args))
    if isinstance(scan, str):
        y = image_op(*canonical_image(leaves, native_dtypes(scan)), scan, True)[0].to(args.x.dtype)
    else:
        y = image_from_parts(leaves, scan)
    return _differentiated(y, _cotangent(y, dtype), leaves._asdict())


def image_from_parts(args: ImageArguments, scan: Scan) -> Tensor:
    """Compute what `ssm::scan_image` means, by `scan` over copies of the image and of what it projects to: y (B, H, W, C)."""
    x, proj, dt_proj, A, D, delta_bias = args
    batch, height, width, channels = x.shape
    directions, _, rank = dt_proj.shape
    states, length = A.shape[1], height * width
    u = unfold(x.permute(0, 3, 1, 2), directions)  # (B, K, C, L)
    walks = [unfold(proj[:, :, :, k].permute(0, 3, 1, 2), directions)[:, k] for k in range(directions)]
    low_rank, B, C = torch.stack(walks, dim=1).split([rank, states, states], dim=2)
    delta = torch.einsum("bkrl,kcr->bkcl", low_rank, dt_proj.to(low_rank.dtype))
    rows = (batch, directions * channels, length)
    y = scan(u.reshape(rows), delta.reshape(rows), A, B, C, D, delta_bias, delta_softplus=True)
    return merge(y.view(batch, directions, channels, length), height=height, width=width).permute(0, 2, 3, 1)


def _cotangent(y: Tensor, dtype: str) -> Tensor:
    """Draw standard normal values that `dtype` holds exactly, the same on every device."""
    values = torch.randn(y.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return values.to(getattr(torch, dtype)).to(device=y.device, dtype=y.dtype)


def _differentiated(y: Tensor, cotangent: Tensor, leaves: Mapping[str, Tensor | None]) -> dict[str, Tensor]:
    given = {name: leaf for name, leaf in leaves.items() if leaf is not None}
    gradients: Sequence[Tensor] = torch.autograd.grad(y, list(given.values()), cotangent)
    return {"y": y.detach()} | dict(zip(given, gradients, strict=True))
