"""CASES: the shapes on which scans are verified and timed. What is timed is verified first, on the same inputs.

Layers are real ones: a name says the network, the level and the input. Edges are what a kernel may get wrong: lengths around its tiles
and as long as images, few channels, few or many states, absent arguments, other dtypes, views, and values that overflow a careless
exponential.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal

import torch
from torch import Tensor

from models.scan.contract import ImageArguments, ScanArguments

Dtype = Literal["float32", "bfloat16", "float16"]


@dataclass(frozen=True)
class Case:
    """A scan: `batch` images, `groups` sequences each with its B and C, `width` channels a group, `states`, `length`."""

    name: str
    batch: int
    groups: int
    width: int
    states: int
    length: int
    layer: str = ""  # of which network; empty for an edge
    side: int = 0  # of the square image whose planar directions the groups are; 0 where the sequences are no image
    rank: int = 0  # of delta in the layer
    skip: bool = True  # D is given
    bias: bool = True  # delta_bias is given
    softplus: bool = True
    dtype: Dtype = "float32"  # of u, delta, B and C
    strided: bool = False  # u, delta, B and C are views of larger or transposed tensors
    extreme: bool = False  # huge, tiny and negative steps and decays

    @property
    def channels(self) -> int:
        """D of the scan."""
        return self.groups * self.width

    @property
    def elements(self) -> int:
        """Steps of single states: what a scan's time goes with."""
        return self.batch * self.channels * self.states * self.length

    def shortened(self, length: int) -> Case:
        """Return the same scan of at most `length` steps."""
        return replace(self, length=min(self.length, length), side=min(self.side, int(length**0.5)))


def _layer(name: str, layer: str, batch: int, width: int, states: int, side: int) -> Case:
    return Case(name, batch, 4, width, states, side * side, layer=layer, side=side, rank=-(-width // 16))


LAYERS: tuple[Case, ...] = (
    replace(_layer("light", "MambaIR-light, every block, 64x64", 1, 72, 10, 64), rank=4),
    replace(_layer("light-batch-8", "MambaIR-light, every block, eight of 64x64", 8, 72, 10, 64), rank=4),
    replace(_layer("base", "MambaIR, every block, 64x64", 1, 360, 16, 64), rank=12),
    _layer("vmambair-48", "VmambaIR, first level, 64x64", 1, 48, 16, 64),
    _layer("vmambair-96", "VmambaIR, refinement, 64x64", 1, 96, 16, 64),
    _layer("vmambair-48-large", "VmambaIR, first level, 256x256", 1, 48, 16, 256),
    Case("channel", 1, 2, 1, 16, 384, layer="VmambaIR, channel scan, deepest level", rank=24),
    Case("channel-batch-8", 8, 2, 1, 16, 384, layer="VmambaIR, channel scan, deepest level, batch 8", rank=24),
    Case("channel-lifted", 1, 2, 4, 16, 96, layer="VmambaIR SISR, channel scan of four features", rank=6),
)

EDGES: tuple[Case, ...] = (
    Case("one-step", 1, 1, 1, 1, 1),
    Case("two-steps", 3, 1, 5, 4, 2),
    Case("length-63", 3, 2, 3, 5, 63),
    Case("length-64", 1, 1, 16, 16, 64),
    Case("length-65", 1, 4, 9, 10, 65),
    Case("length-1000", 1, 4, 6, 8, 1000),
    Case("length-4097", 1, 2, 3, 4, 4097),
    Case("length-20164", 1, 4, 2, 4, 142 * 142, side=142, rank=1),  # as long as real images: counters, chunks of chunks, sums over L
    Case("one-state", 1, 2, 8, 1, 100),
    Case("three-states", 2, 1, 33, 3, 70),
    Case("many-states", 1, 1, 17, 64, 80),
    Case("no-skip", 1, 2, 5, 6, 90, skip=False),
    Case("no-bias", 1, 2, 5, 6, 90, bias=False),
    Case("no-softplus", 1, 2, 5, 6, 90, softplus=False),
    Case("bare", 1, 1, 7, 3, 40, skip=False, bias=False, softplus=False),
    Case("bfloat16", 2, 2, 12, 8, 130, dtype="bfloat16"),
    Case("float16", 2, 2, 12, 8, 130, dtype="float16"),
    Case("views", 2, 2, 6, 5, 75, strided=True),
    Case("extreme", 1, 2, 4, 4, 160, extreme=True),
)

CASES: Mapping[str, Case] = MappingProxyType({case.name: case for case in (*LAYERS, *EDGES)})


def _draw(case: Case, *shape: int) -> Tensor:
    """Standard normal values in float64, different for each shape, the same in every process."""
    seed = zlib.crc32(f"{case.name} {shape}".encode())
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def _decays(case: Case) -> Tensor:
    """A (D, N): Mamba's initialisation, moved a little; for an extreme case from no decay to one that forgets at once."""
    counts = torch.arange(1, case.states + 1, dtype=torch.float64)
    A = -torch.exp(torch.log(counts) + 0.1 * _draw(case, case.channels, case.states))
    return A * torch.logspace(-12, 6, case.channels, dtype=torch.float64)[:, None] if case.extreme else A


def arguments(case: Case, device: str = "cpu") -> ScanArguments:
    """The scan's tensors in the case's dtype; A, D and delta_bias are float32. Steps are as networks have them: about 0.02, at most 0.5."""
    rows, streams = (case.batch, case.channels, case.length), (case.batch, case.groups, case.states, case.length)
    u, noise = _draw(case, *rows), _draw(case, *rows, 1)[..., 0]
    delta = noise - (0 if case.bias else 4) if case.softplus else 0.02 * torch.exp(noise)
    bias = (_draw(case, case.channels) - 4) if case.softplus else 0.002 * _draw(case, case.channels).abs()
    if case.extreme:
        delta[..., ::7], delta[..., 1::7], delta[..., 2::7] = 80.0, -90.0, 1e-30
    dtype = getattr(torch, case.dtype)

    def stream(x: Tensor) -> Tensor:
        x = x.to(device=device, dtype=dtype)
        return torch.cat([x, x], dim=1).transpose(1, -1).contiguous().transpose(1, -1)[:, : x.shape[1]] if case.strided else x

    def constant(x: Tensor, given: bool = True) -> Tensor | None:
        return x.to(device=device, dtype=torch.float32) if given else None

    B, C = _draw(case, *streams, 1)[..., 0], _draw(case, *streams, 1, 1)[..., 0, 0]
    D = _draw(case, case.channels, 1)[:, 0]
    return ScanArguments(
        stream(u), stream(delta), constant(_decays(case)), stream(B), stream(C), constant(D, case.skip), constant(bias, case.bias)
    )


def image_arguments(case: Case, directions: int = 4, device: str = "cpu", height: int | None = None) -> ImageArguments:
    """Tensors of an image's scans along `directions`, `side` wide and `height` (default: the side) high, in the case's dtype."""
    height, width, channels = height or case.side, case.side, case.width
    if not width or directions > case.groups:
        raise ValueError(f"the case {case.name!r} is no image with {directions} directions.")
    narrow = replace(case, groups=directions)
    x = _draw(narrow, case.batch, height, width, channels)
    proj = _draw(narrow, case.batch, height, width, directions, case.rank + 2 * case.states)
    dt_proj = _draw(narrow, directions, channels, case.rank) / max(1, case.rank) ** 0.5
    D, bias = _draw(narrow, narrow.channels, 1)[:, 0], _draw(narrow, narrow.channels) - 4
    stream = {"device": device, "dtype": getattr(torch, case.dtype)}
    constant = {"device": device, "dtype": torch.float32}
    return ImageArguments(
        x.to(**stream), proj.to(**stream), dt_proj.to(**constant), _decays(narrow).to(**constant), D.to(**constant), bias.to(**constant)
    )
