"""Where the backend `cuda` has its kernel from: the first of PROVIDERS that is there and right.

Both are the same kernel, mamba-ssm's, with the same two functions: built here as the extension `selective_scan_cuda`, which needs a
compiler, or built before by others and fetched by the package `kernels`, which needs none. Before one is used, scans of SELF_CHECKS are
compared with the reference in float64, forward and all gradients: a build for another GPU or torch may load and compute something else.

Sources: mamba_ssm/ops/selective_scan_interface.py of mamba-ssm 2.3, and mamba-ssm/torch-ext/torch_binding.cpp of kernels-community
(both Apache-2.0): names, order and types of the arguments.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from types import MappingProxyType, ModuleType

import torch
from torch import Tensor

from models.scan.backends import REVISION, reference
from models.scan.cases import CASES, arguments
from models.scan.contract import ScanArguments
from models.scan.tolerance import relative_error, tolerance

EXTENSION = "selective_scan_cuda"
REPOSITORY, VERSION = "kernels-community/mamba-ssm", 1
DEVICE = "cuda"
SELF_CHECKS = ("length-65", "bare", "bfloat16")  # of models.scan.cases: several groups, absent arguments, half precision
BUILD = "MAMBA_KEEP_CUDA_BUILD=TRUE pip install mamba-ssm --no-build-isolation (needs nvcc of the CUDA version that torch was built with)"
REBUILD = f"pip uninstall -y mamba-ssm; pip cache remove mamba_ssm; {BUILD}"
PREBUILT = "pip install 'kernels>=0.17' einops (fetches a built one at first use)"
ANOTHER = f"`kernels versions {REPOSITORY}` says which builds there are; --kernel-revision REVISION chooses another"
NO_DEVICE = "torch finds no CUDA device.", "run on a machine with an NVIDIA GPU, its driver and a CUDA build of torch."

Scan = Callable[..., Sequence[Tensor]]


@dataclass(frozen=True)
class Kernel:
    """The two functions, as mamba-ssm's extension has them, and what to call them in a record."""

    said: str
    remedy: str  # where it proves wrong
    forward: Scan
    backward: Scan
    fetched: bool = False  # by the package kernels, which takes a revision


class Unusable(Exception):
    """Why a provider has no kernel here, and what would help."""

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(reason)
        self.reason, self.remedy = reason, remedy


def load_extension() -> Kernel:
    """Return the compiled extension of mamba-ssm. It is what is looked for, not the package: `pip install mamba-ssm` does not build it."""
    if importlib.util.find_spec(EXTENSION) is None:
        package = importlib.util.find_spec("mamba_ssm") is not None
        what = "mamba-ssm is installed without its compiled extension" if package else "mamba-ssm is not installed"
        raise Unusable(f"{what} ({EXTENSION} is not there).", BUILD)
    try:
        module = importlib.import_module(EXTENSION)  # torch is imported above: it brings the libraries that the extension links to
    except ImportError as error:  # there, but built for another torch, Python or CUDA
        raise Unusable(f"{EXTENSION} was built for another torch, Python or CUDA than these ({error}).", REBUILD) from error
    _check_device()
    version = _version("mamba-ssm")
    return Kernel(f"mamba-ssm's extension{version}", REBUILD, module.fwd, module.bwd)


def load_prebuilt() -> Kernel:
    """Return the kernel that the package `kernels` fetches, or has in its cache, or is given as a folder by its own $LOCAL_KERNELS."""
    if importlib.util.find_spec("kernels") is None:
        raise Unusable("the package kernels is not installed.", PREBUILT)
    _check_device()  # before anything is fetched
    revision = os.environ.get(REVISION, "")
    asked = f"{REPOSITORY}, {f'revision {revision}' if revision else f'version {VERSION}'}"
    try:
        kernels = importlib.import_module("kernels")
        module = kernels.get_kernel(REPOSITORY, **({"revision": revision} if revision else {"version": VERSION}))
        functions = importlib.import_module(f"{module.__name__}._ops").ops
        forward, backward = functions.selective_scan_fwd, functions.selective_scan_bwd
    except Exception as error:  # of the network, of the hub, of a foreign build: each has its own
        raise Unusable(f"the package kernels gives no {asked} ({_say(error)}).", ANOTHER) from error
    said = f"{asked}{_origin(kernels, module, revision)}, by the package kernels{_version('kernels')}"
    return Kernel(said, ANOTHER, forward, backward, fetched=True)


PROVIDERS: Mapping[str, Callable[[], Kernel]] = MappingProxyType({"mamba-ssm": load_extension, "kernels": load_prebuilt})


def choose_kernel() -> tuple[Kernel | None, dict[str, Unusable]]:
    """Return the kernel of the first provider that is there and right, or None, and why those before it were passed over."""
    passed_over: dict[str, Unusable] = {}
    for name, load in PROVIDERS.items():
        try:
            kernel = load()
            verify(kernel)
        except Unusable as error:
            passed_over[name] = error
            continue
        return kernel, passed_over
    return None, passed_over


def verify(kernel: Kernel) -> None:
    """Compare the kernel with the reference in float64 on SELF_CHECKS; `Unusable` says where it is off, or cannot be called."""
    for name in SELF_CHECKS:
        case = CASES[name]
        args = arguments(case, DEVICE)
        exact = _differentiate(reference.forward, reference.backward, _double(args), case.softplus)
        try:
            found = _differentiate(*adapt(kernel), args, case.softplus)
        except Exception as error:  # a build for another GPU raises whatever it likes
            raise Unusable(f"{kernel.said} cannot be called ({_say(error)}).", kernel.remedy) from error
        for tensor, right in exact.items():
            error_found, allowed = relative_error(found[tensor], right.cpu()), tolerance(case, tensor)
            if not error_found <= allowed:
                what = f"{error_found:.1e} off in {tensor}, case {name}, and {allowed:.1e} is allowed"
                raise Unusable(f"{kernel.said} computes something else than the scan: {what}.", kernel.remedy)


def adapt(kernel: Kernel) -> tuple[Callable, Callable]:
    """Return the kernel's functions as a backend's `forward` and `backward`."""

    def forward(args: ScanArguments, delta_softplus: bool, keep: bool = True) -> tuple[Tensor, Tensor]:
        u, delta, A, B, C, D, delta_bias = args
        y, kept, *_ = kernel.forward(u, delta, A, B, C, D, None, delta_bias, delta_softplus)
        return y, kept if keep else kept.new_empty(0)

    def backward(grad_y: Tensor, kept: Tensor, args: ScanArguments, delta_softplus: bool) -> tuple[Tensor | None, ...]:
        u, delta, A, B, C, D, delta_bias = args
        du, ddelta, dA, dB, dC, dD, dbias, *_ = kernel.backward(
            u, delta, A, B, C, D, None, delta_bias, grad_y, kept, None, None, delta_softplus, False
        )
        found = (du, ddelta, dA, dB.to(B.dtype), dC.to(C.dtype), dD if D is not None else None, dbias if delta_bias is not None else None)
        return tuple(g if g is None else g.contiguous() for g in found)

    return forward, backward


def _differentiate(forward: Callable, backward: Callable, args: ScanArguments, softplus: bool) -> dict[str, Tensor]:
    """Return y and the gradients for a cotangent of ones, by name."""
    y, kept = forward(args, softplus)
    found = zip(ScanArguments._fields, backward(torch.ones_like(y), kept, args, softplus), strict=True)
    return {"y": y} | {name: gradient for name, gradient in found if gradient is not None}


def _double(args: ScanArguments) -> ScanArguments:
    return ScanArguments(*(None if tensor is None else tensor.double() for tensor in args))


def _check_device() -> None:
    if not torch.cuda.is_available():
        raise Unusable(*NO_DEVICE)


def _origin(kernels: ModuleType, module: ModuleType, asked: str) -> str:
    """Return the revision that was resolved, where the package tells it, or that it is a folder of this machine."""
    loaded = [one for one in getattr(kernels, "get_loaded_kernels", list)() if one.module is module]
    if any(name.strip().startswith(f"{REPOSITORY}=") for name in os.environ.get("LOCAL_KERNELS", "").split(":")):
        return " (from a folder of this machine)"
    found = str(loaded[0].repo_info.revision) if loaded and loaded[0].repo_info else ""
    return f" (revision {found})" if found and found != asked else ""


def _say(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


def _version(package: str) -> str:
    try:
        return f" {metadata.version(package)}"
    except metadata.PackageNotFoundError:
        return ""
