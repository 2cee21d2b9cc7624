"""Stand-ins for mamba-ssm's kernel, computing by the reference: the extension, and a folder as the package `kernels` serves it."""

import importlib.util
import json
import os
import sys
import types
from pathlib import Path

from models.scan.backends import reference

KEPT = 2048  # steps between the states that the kernel keeps
METADATA = {
    "id": "_mamba_ssm_stand_in",
    "name": "mamba-ssm",
    "version": 1,
    "license": "Apache-2.0",
    "python-depends": [],
    "backend": {"type": "cuda"},
}
OPS = """
import sys
sys.path.insert(0, {support!r})
import fake_kernels
sys.path.pop(0)

class ops:
    selective_scan_fwd = staticmethod(fake_kernels.forward)
    selective_scan_bwd = staticmethod(fake_kernels.{backward})
"""


def forward(u, delta, A, B, C, D, z, delta_bias, delta_softplus):
    """The kernel's forward pass, with its signature."""
    assert z is None
    y, _ = reference.forward(widened(u, delta, A, B, C, D, delta_bias), delta_softplus)
    return [y.to(u.dtype), A.new_zeros(*u.shape[:2], -(-u.shape[2] // KEPT), 2 * A.shape[1])]


def backward(u, delta, A, B, C, D, z, delta_bias, dout, x, out, dz, delta_softplus, recompute_out_z):
    """The kernel's gradients, with its signature; those of B and C are float32, as the kernel has them."""
    assert (z, out, dz, recompute_out_z) == (None, None, None, False)
    assert x.shape == (*u.shape[:2], -(-u.shape[2] // KEPT), 2 * A.shape[1])
    du, ddelta, *others = reference.backward(dout.float(), None, widened(u, delta, A, B, C, D, delta_bias), delta_softplus)
    return [du.to(u.dtype), ddelta.to(u.dtype), *others]


def widened(*tensors):
    """What the kernel computes with: float32, whatever it reads."""
    return tuple(None if tensor is None else tensor.float() for tensor in tensors)


def wrong_backward(*args):
    """Gradients of which that of A is a little off, as a build for another processor may have them."""
    du, ddelta, dA, *others = backward(*args)
    return [du, ddelta, dA * 1.001, *others]


def extension(forward=forward, backward=backward):
    """The module `selective_scan_cuda`."""
    module = types.ModuleType("selective_scan_cuda")
    module.fwd, module.bwd = forward, backward
    module.__spec__ = importlib.util.spec_from_loader("selective_scan_cuda", loader=None)
    return module


def write_folder(place, backward="backward"):
    """Write a folder as kernel-builder leaves it, whose kernel is the stand-in, and return it."""
    built = Path(place) / "build" / "torch-universal"
    built.mkdir(parents=True)
    (built / "metadata.json").write_text(json.dumps(METADATA))
    (built / "__init__.py").write_text("from ._ops import ops\n")
    (built / "_ops.py").write_text(OPS.format(support=str(Path(__file__).parent), backward=backward))
    return Path(place)


def package(asked):
    """The package `kernels`, of which only a local folder is served ($LOCAL_KERNELS, as the real one reads it); `asked` hears of calls."""

    def get_kernel(repo_id, *, revision=None, version=None):
        asked.append((repo_id, revision, version))
        local = dict(entry.split("=", 1) for entry in os.environ.get("LOCAL_KERNELS", "").split(":") if entry)
        if repo_id not in local:
            raise FileNotFoundError(f"Cannot find a build variant for this system in {repo_id}:\n\ntorch99-cu999")
        sys.modules.pop(f"{METADATA['id']}._ops", None)
        spec = importlib.util.spec_from_file_location(METADATA["id"], Path(local[repo_id]) / "build" / "torch-universal" / "__init__.py")
        found = sys.modules[METADATA["id"]] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(found)
        return found

    module = types.ModuleType("kernels")
    module.get_kernel, module.get_loaded_kernels = get_kernel, list
    module.__spec__ = importlib.util.spec_from_loader("kernels", loader=None)
    return module
