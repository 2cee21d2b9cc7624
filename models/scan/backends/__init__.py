"""The table of scan backends, and the choice among them. Imports none of them.

A backend is a module with these functions, whose arguments are as `models.scan.contract` leaves them:

    unavailable() -> None | (reason, remedy)
    kept_shape(args) -> shape of `kept`
    forward(args, delta_softplus, keep) -> (y, kept)
    backward(grad_y, kept, args, delta_softplus) -> (du, ddelta, dA, dB, dC, dD, ddelta_bias)

and, where its row says `image`, the same for `ImageArguments`:

    image_kept_shape(args), image_forward(args, keep), image_backward(grad_y, kept, args) -> (dx, dproj, ddt_proj, dA, dD, ddelta_bias)

and, where several packages may compute it, explain() -> whose kernel was chosen, and why none before it.

`kept` is what forward leaves for backward, such as the states at the starts of chunks: float32, of the shape (0,) where `keep` is False.
y is of u's dtype, a gradient of its tensor's; a gradient of None is None. A backend holds no input checks.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType, ModuleType

from models.lookup import lookup


class BackendUnavailable(RuntimeError):
    """A backend that this machine cannot run: why, and what would make it run."""

    def __init__(self, name: str, reason: str, remedy: str) -> None:
        super().__init__(f"the scan backend {name!r} is not available: {reason} To fix it: {remedy}")
        self.name, self.reason, self.remedy = name, reason, remedy


@dataclass(frozen=True)
class Backend:
    """A row of the table."""

    name: str
    module: str
    devices: tuple[str, ...]
    dtypes: tuple[str, ...]  # that it reads; others are converted to float32 first
    image: bool  # whether it scans an image without copies of it
    summary: str
    deterministic: bool = True  # whether gradients are the same bits from run to run


HALVES = ("float32", "bfloat16", "float16")
REVISION = "SUITE_KERNELS_REVISION"  # of the environment: of the kernel that the package kernels fetches, in place of a version's newest
INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"  # by which Triton itself decides, once, at import

BACKENDS: Mapping[str, Backend] = MappingProxyType(
    {
        row.name: row
        for row in (
            Backend(
                "reference",
                "models.scan.backends.reference",
                ("cpu", "cuda"),
                ("float32", "float64"),
                image=False,
                summary="the recurrence in plain PyTorch; the definition",
            ),
            Backend(
                "numba",
                "models.scan.backends.numba",
                ("cpu",),
                ("float32",),
                image=False,
                summary="parallel, vectorised CPU kernels; needs pip alone",
            ),
            Backend(
                "cpp",
                "models.scan.backends.cpp",
                ("cpu",),
                ("float32",),
                image=True,
                summary="C++ for this very processor, compiled at first use; the fastest on a CPU",
            ),
            Backend(
                "triton",
                "models.scan.backends.triton",
                ("cuda", "cpu") if INTERPRETED else ("cuda",),
                HALVES,
                image=True,
                summary="Triton kernels for long sequences of few channels; with TRITON_INTERPRET=1 on a CPU too, very slowly",
            ),
            Backend(
                "cuda",
                "models.scan.backends.cuda",
                ("cuda",),
                HALVES,
                image=False,
                deterministic=False,
                summary="the compiled kernel of mamba-ssm, built here or fetched by the package kernels",
            ),
        )
    }
)

AUTO_ORDER: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"cpu": ("cpp", "numba", "reference"), "cuda": ("triton", "cuda", "reference")}
)


@cache
def module_of(name: str) -> ModuleType:
    """Return the backend's module; raises `UnknownName`, or `BackendUnavailable` where this machine cannot run it."""
    row = lookup("scan backend", name, BACKENDS)
    module = importlib.import_module(row.module)
    problem = module.unavailable()
    if problem is not None:
        raise BackendUnavailable(name, *problem)
    return module


def explain_backend(name: str) -> str:
    """Return whose kernel the backend has, where several packages may compute it; "" for all others, and where it is not available."""
    try:
        return getattr(module_of(name), "explain", str)() if name in BACKENDS else ""
    except BackendUnavailable:
        return ""


@cache
def resolve_backend(name: str, device: str) -> tuple[str, str]:
    """Return a concrete backend for `device` ("cpu", "cuda", or "meta", where shapes are all there is), and the sentence why.

    A name is itself or `BackendUnavailable`; "auto" takes the first of `AUTO_ORDER` that runs here, and says which
    faster ones do not.
    """
    if device == "meta":
        return lookup("scan backend", "reference" if name == "auto" else name, BACKENDS).name, "nothing is computed on meta tensors"
    if name != "auto":
        row = lookup("scan backend", name, BACKENDS)
        if device not in row.devices:
            raise BackendUnavailable(
                name, f"it runs on {' and '.join(row.devices)}, not on {device}.", f"choose a backend for {device}, or 'auto'."
            )
        module_of(name)
        return name, "asked for by name"
    passed_over = []
    for candidate in AUTO_ORDER[device]:
        try:
            module_of(candidate)
        except BackendUnavailable as error:
            passed_over.append(f"{candidate} is not available ({error.reason})")
            continue
        why = f"auto: the fastest that runs on this machine's {device}"
        if candidate == "reference":
            why = f"auto: no compiled backend runs on this machine's {device}, and the plain definition is more than 100 times slower"
        copies = [] if BACKENDS[candidate].image else ["it scans copies of an image, one a direction"]
        return candidate, "; ".join([why, *copies, *passed_over])
    raise BackendUnavailable(
        "auto", f"no backend runs on {device}: {'; '.join(passed_over)}.", "install numba, or see `python -m suite list backends`."
    )
