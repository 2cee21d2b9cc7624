"""Other packages' compiled selective scans, verified and timed beside our own backends: `python -m suite scan --peers`.

A peer is no backend: nothing runs on it but this comparison. It computes a forward pass in float32 and is held to float64 on every case
that is in float32; one that is wrong has no times. It sees the same tensors as a backend, in the shapes of `models.scan.contract`.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import metadata
from types import MappingProxyType

import torch
from torch import Tensor

from models.lookup import lookup
from models.scan.contract import ScanArguments
from suite.records.kinds.scan import Absent

Forward = Callable[[ScanArguments, bool], Tensor]  # of arguments and of whether delta passes a softplus


@dataclass(frozen=True)
class Peer:
    """A row of the table; `load` imports the package and returns its scan, and raises ImportError or AttributeError where it has none."""

    name: str
    module: str  # whose absence means that the package is not installed
    package: str  # whose version is recorded, and whose first two numbers are those of the PyTorch that it needs
    remedy: str
    load: Callable[[], Forward]


def _load_intel() -> Forward:
    importlib.import_module("intel_extension_for_pytorch")  # registers its operators
    scan = torch.ops.torch_ipex.selective_scan_fn

    def forward(args: ScanArguments, delta_softplus: bool) -> Tensor:
        """Call it for each group: of B and C (B, G, N, L) release 2.8.0 makes NaN, also where G is 1; of (B, N, L) it is right."""
        groups = args.B.shape[1]
        channels = [None if tensor is None else tensor.chunk(groups, dim) for tensor, dim in _rows(args)]
        given = zip(*(of or (None,) * groups for of in channels), args.B.unbind(1), args.C.unbind(1), strict=True)
        parts = [
            scan(u.contiguous(), delta.contiguous(), A, B.contiguous(), C.contiguous(), D, None, bias, delta_softplus, False)[0]
            for u, delta, A, D, bias, B, C in given  # no gate z, no last state
        ]
        return parts[0] if groups == 1 else torch.cat(parts, dim=1)

    return forward


def _rows(args: ScanArguments) -> tuple[tuple[Tensor | None, int], ...]:
    """Return what has a row for each channel, and along which dimension."""
    return (args.u, 1), (args.delta, 1), (args.A, 0), (args.D, 0), (args.delta_bias, 0)


PEERS: Mapping[str, Peer] = MappingProxyType(
    {
        row.name: row
        for row in (
            Peer(
                "intel-extension",
                "intel_extension_for_pytorch",
                "intel_extension_for_pytorch",
                "pip install torch==2.8.0 intel_extension_for_pytorch==2.8.0 (in an environment of its own: it needs that very PyTorch)",
                _load_intel,
            ),
        )
    }
)


def load_peer(name: str) -> Forward:
    """Return the peer's forward pass; raises `UnknownName`, and ImportError, OSError or AttributeError where it does not load."""
    return lookup("peer", name, PEERS).load()


def list_peers(device: str) -> tuple[list[str], list[Absent]]:
    """List the names of the peers that can be timed on `device` here, and the others with reasons and remedies; imports none of them."""
    problems = {name: _find_problem(peer, device) for name, peer in PEERS.items()}
    absent = [Absent(name=name, reason=problem, remedy=PEERS[name].remedy) for name, problem in problems.items() if problem]
    return [name for name, problem in problems.items() if not problem], absent


def _find_problem(peer: Peer, device: str) -> str:
    """Return why the peer cannot be timed, in words; "" where nothing is known against it."""
    if device != "cpu":
        return f"it is a scan for a processor, and {device} was asked for."
    if importlib.util.find_spec(peer.module) is None:
        return f"the package {peer.package} is not installed."
    held = metadata.version(peer.package)
    if _series(held) != _series(torch.__version__):  # such a package ends the process that imports it
        return f"the package {peer.package} {held} needs PyTorch {_series(held)}, and {torch.__version__} is installed."
    return ""


def _series(version: str) -> str:
    """Return the first two numbers of a version."""
    return ".".join(version.split(".")[:2])


def call_peer(name: str, args: ScanArguments, delta_softplus: bool) -> Tensor:
    """Return the y (B, D, L) of a peer's scan of contiguous copies of the arguments, where they are not contiguous already."""
    given = ScanArguments(*(None if tensor is None else tensor.contiguous() for tensor in args))
    return load_peer(name)(given, delta_softplus)
