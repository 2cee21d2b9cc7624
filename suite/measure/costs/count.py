"""What a network costs: parameters, multiply-adds and operations, counted with fvcore and the scan's own formula. All definitions are here.

`params` counts every trainable value once.

`macs` is the mix that fvcore counts on the authors' code and that the MambaIR family prints: convolutions, linear layers, einsums and
matrix products 1 per multiply-add; a selective scan 9*B*L*D*N + B*L*D; a layer norm 5 per element where the published code calls
`nn.LayerNorm` (MambaIR), nothing where it writes the norm out as arithmetic (VmambaIR: `ChannelNorm` here); adaptive pooling 1 per element
of its input, resizing 1 (nearest) or 4 (bilinear) per element of its output; all other element-wise operators nothing. It adds the scan's
and the norms' operations to multiply-adds; it is for comparison.

`flops` is 2 per multiply-add of the products (PRODUCTS), plus a scan's 9*B*L*D*N + B*L*D operations as they are; norms, pooling,
resizing, activations and other element-wise arithmetic nothing. PyTorch's own counter gives the same (suite.measure.costs.second_count).

Every operator of the networks costs a + b * (number of pixels), so two traces of small images give the cost at any size exactly, and
no time is spent on large ones (test_count.py compares with a direct trace). Window attention pads to its windows; that is counted. Where
scans pad to a larger multiple than the rest, a third trace tells the two shares apart.

Traces run on the backend `reference`, whatever times the network: the same operators are counted then, and nothing is built, nor scanned.
"""

from __future__ import annotations

import contextlib
import math
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

import models
from models.base import RestorationNet, count_parameters
from models.networks.evssm import EfficientScan
from models.parts.layers import ChannelNorm
from models.parts.s6 import DirectionalS6, PlanarS6
from models.parts.unet import UNetBody
from models.parts.vss import VisionStateSpace
from models.scan.backends import reference
from models.scan.contract import ScanArguments
from models.scan.op import scan_macs
from suite.core.errors import SuiteError
from suite.measure.costs.repeats import once_each
from suite.records.record import Cost
from suite.study import baselines
from suite.study.outside.plugins import digest_of

TABLE_SIZE = (64, 64)  # of VmambaIR's tables 2 and 4
SCAN_OPERATOR, IMAGE_SCAN_OPERATOR = "ssm::selective_scan", "ssm::scan_image"
SCAN_COUNT = "selective_scan"  # what both count as
SMALLEST_SIDE = 4  # of a traced image, in pixels: a dilated convolution's padding fits

# fvcore's names. An einsum that sums over one value only is an outer product: element-wise, and no multiply-add.
PRODUCTS = ("conv", "linear", "einsum", "matmul", "mm", "bmm", "baddbmm", "addmm")
ARITHMETIC = ("outer_product", "layer_norm", "group_norm", "batch_norm", "adaptive_avg_pool2d", "upsample_nearest2d", "upsample_bilinear2d")


@dataclass(frozen=True)
class Subject:
    """A network to be counted, on (B, channels, H, W); its cost is a + b*pixels for multiples of `multiple`, to which it pads."""

    network: nn.Module
    channels: int
    multiple: int
    smallest_side: int = 0  # of an image, in pixels
    scanned_multiple: int = 0  # to which scans pad, where that is a larger one
    tile: int = 0  # the side from which on scans run in overlapping tiles, in pixels; 0: they do not

    @property
    def params(self) -> int:
        """Trainable values, each counted once."""
        return count_parameters(self.network)

    @property
    def layer_params(self) -> int:
        """Parameters that belong to a layer of PyTorch: the others are bare, such as a scan's projections and a window's position bias."""
        layers = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear, nn.LayerNorm, nn.BatchNorm2d, nn.PReLU)
        return sum(p.numel() for m in self.network.modules() if isinstance(m, layers) for p in m.parameters(recurse=False))

    @property
    def parts(self) -> dict[str, int]:
        """Parameters of the network's own parts by name, in their order, a U-Net's stages apart; what belongs to none is under "own"."""
        opened = {name for name, module in self.network.named_children() if isinstance(module, UNetBody)}
        found: dict[str, int] = {}
        seen: set[int] = set()
        for name, value in self.network.named_parameters():
            if id(value) in seen:
                continue
            seen.add(id(value))
            first, dot, rest = name.partition(".")
            part = f"{first}.{rest.partition('.')[0]}" if first in opened else first if dot else "own"
            found[part] = found.get(part, 0) + value.numel()
        return found


@dataclass(frozen=True)
class Counts:
    """Costs by operator in fvcore's units; `unsupported` in occurrences. The last three are shares of the first."""

    by_operator: Mapping[str, float]
    unsupported: Mapping[str, int]
    state_space: Mapping[str, float]  # MambaIR's scan modules with their projections
    plane_scan: float  # selective scans of the image plane alone
    tiled: Mapping[str, float]  # of what runs in overlapping tiles on large images

    @property
    def macs(self) -> float:
        """The mix of the module's head."""
        return sum(self.by_operator.values())

    @property
    def scan_macs(self) -> float:
        """The part of the mix that selective scans make up."""
        return self.by_operator.get(SCAN_COUNT, 0.0)

    @property
    def flops(self) -> float:
        """Operations, as the module's head defines them."""
        return sum_flops(self.by_operator)


def sum_flops(by_operator: Mapping[str, float]) -> float:
    """Sum the operations of what was counted by operator: 2 per multiply-add of the products, and the scans' own."""
    for name in by_operator:
        if name not in (*PRODUCTS, *ARITHMETIC, SCAN_COUNT):
            raise RuntimeError(
                f"fvcore counts {name!r}, which suite.measure.costs.count classes neither as products nor as other arithmetic."
            )
    return 2 * sum(by_operator.get(name, 0.0) for name in PRODUCTS) + by_operator.get(SCAN_COUNT, 0.0)


def count_full_size(model: str) -> Cost:
    """Count what the network `model` costs on an input of TABLE_SIZE; its traces are made once a process."""
    found = count_model(model)
    counts = found.at(TABLE_SIZE)
    unsupported = dict(counts.unsupported)
    return Cost(params=found.params, macs=counts.macs, scan_macs=counts.scan_macs, input_size=TABLE_SIZE, unsupported=unsupported)


def describe_subject(network: RestorationNet) -> Subject:
    """Describe a network of models/ as a subject."""
    config = network.config
    scanned, tile = (getattr(config, name, 0) for name in ("scanned_multiple", "tile"))
    return Subject(network, network.channels, network.size_multiple, config.smallest_side, scanned, tile)


@dataclass(frozen=True)
class Counted:
    """A network's parameters, and its counts at two small sizes, which give those at any."""

    params: int
    parts: Mapping[str, int]
    layer_params: int  # of layers: without bare parameters
    multiple: int
    channels: int
    small: tuple[tuple[tuple[int, int], Counts], tuple[tuple[int, int], Counts]]  # (height, width), counts
    scanned_multiple: int
    tile: int = 0
    uneven: tuple[tuple[int, int], Counts] | None = None  # of an image that scans alone pad to the first of `small`

    def at(self, size: tuple[int, int]) -> Counts:
        """Return the counts at `size` (height, width), padded, on the straight line through those of the small images.

        SuiteError where the network takes no image so small.
        """
        if min(size) < self.multiple:
            raise SuiteError(f"the cost at {size[0]}x{size[1]} is not defined: the network takes at least {self.multiple} pixels a side.")
        ((first_size, first), (second_size, second)), (third_size, third) = self.small, self.uneven or self.small[0]
        pixels, more_pixels, fewer_pixels = map(math.prod, (first_size, second_size, third_size))
        taken, scanned = (
            math.prod(-(-side // multiple) * multiple for side in size) for multiple in (self.multiple, self.scanned_multiple)
        )

        def line(one: float, other: float, uneven: float) -> float:
            value = one + (other - one) / (more_pixels - pixels) * (scanned - pixels)
            return value + (one - uneven) / (pixels - fewer_pixels) * (taken - scanned) if taken != scanned else value

        def lines(one: Mapping[str, float], other: Mapping[str, float], uneven: Mapping[str, float]) -> dict[str, float]:
            return {name: line(one.get(name, 0.0), other.get(name, 0.0), uneven.get(name, 0.0)) for name in sorted({*one, *other})}

        found = lines(first.by_operator, second.by_operator, third.by_operator)
        tiled = lines(first.tiled, second.tiled, third.tiled)
        more = _overlap(size, self.multiple, self.tile) - 1 if self.tile else 0.0
        return Counts(
            {name: value + more * tiled.get(name, 0.0) for name, value in found.items()},
            first.unsupported,
            lines(first.state_space, second.state_space, third.state_space),
            line(first.plane_scan, second.plane_scan, third.plane_scan),
            {name: (1 + more) * value for name, value in tiled.items()},
        )


def _overlap(size: tuple[int, int], multiple: int, tile: int) -> float:
    """Return the pixels of all tiles by those of the image, padded: tiles are as large as they may be and as few as cover it."""
    sides = [-(-side // multiple) * multiple for side in size]
    return math.prod(-(-side // tile) * min(side, tile) for side in sides) / math.prod(sides)


def count_subject(subject: Subject) -> Counted:
    """Count the subject's parameters, and its operators at small sizes: squares, since a network may turn its maps."""
    scanned = subject.scanned_multiple or subject.multiple
    side = -(-max(SMALLEST_SIDE, subject.smallest_side) // scanned) * scanned
    small = tuple((size, trace(subject, size)) for size in ((side, side), (2 * side, 2 * side)))
    uneven = (
        ((scanned - subject.multiple, side), trace(subject, (scanned - subject.multiple, side))) if scanned > subject.multiple else None
    )
    found = Counted(subject.params, subject.parts, subject.layer_params, subject.multiple, subject.channels, small, scanned)
    return replace(found, tile=subject.tile, uneven=uneven)


def make_subject(model: str) -> Subject:
    """Make the network `model` of the catalogue or of the baselines; that does not move torch's seed."""
    row = baselines.BASELINES.get(model)
    with torch.random.fork_rng(devices=[]):
        return (
            describe_subject(models.create(model)) if row is None else Subject(baselines.create_network(model), row.channels, row.multiple)
        )


_COUNTED: dict[tuple[str, str], Counted] = {}  # in this process, by network and digest of its plug-in
_ELSEWHERE: dict[tuple[str, str], Future[Counted | None]] = {}  # by other processes, for now


def count_model(model: str) -> Counted:
    """Count the network `model` of the catalogue or of the baselines; once a process, and a plug-in's again where its code has changed.

    Within `waiting_for` the counts are waited for where another process is to have them.
    """
    key = model, digest_of(model)
    if key not in _COUNTED:
        elsewhere = _ELSEWHERE.get(key)
        _COUNTED[key] = (elsewhere.result() if elsewhere else None) or count_subject(make_subject(model))
    return _COUNTED[key]


def is_counted(model: str) -> bool:
    """Say whether this process has counted the network `model` already."""
    return (model, digest_of(model)) in _COUNTED


@contextlib.contextmanager
def waiting_for(elsewhere: Mapping[tuple[str, str], Future[Counted | None]]) -> Iterator[None]:
    """Have `count_model` take, within the block, what other processes count: by network and digest of its plug-in; None is counted here."""
    _ELSEWHERE.update(elsewhere)
    try:
        yield
    finally:
        for key in elsewhere:
            del _ELSEWHERE[key]


def trace(subject: Subject, size: tuple[int, int]) -> Counts:
    """Count one pass over an image of exactly `size` (height, width), which is computed; of equal blocks in a row, one is."""
    network, was_training, image = subject.network, subject.network.training, torch.zeros(1, subject.channels, *size)
    network.eval()
    with warnings.catch_warnings(), torch.no_grad(), reference_scans(network), once_each(network, image) as repeats:
        warnings.filterwarnings("ignore", message=".*torch.jit", category=FutureWarning)  # fvcore traces with it
        warnings.filterwarnings("ignore", message=".*torch.jit", category=DeprecationWarning)
        from fvcore.nn import FlopCountAnalysis  # here, as in the handles, for what its import warns of

        analysis = FlopCountAnalysis(network, image)
        for operator, handle in HANDLES.items():
            analysis.set_op_handle(operator, handle)
        analysis.tracer_warnings("none").unsupported_ops_warnings(False).uncalled_modules_warnings(False)
        by_module = analysis.by_module_and_operator()
        counted = repeats.total(by_module)
        uncounted = repeats.total({name: analysis.unsupported_ops(name) for name in ("", *repeats.times)})
        state_space, tiled = Counter[str](), Counter[str]()
        plane_scan = 0.0
        for name, module in network.named_modules():
            times = repeats.weight(name)
            if isinstance(module, ChannelNorm):
                counted.subtract({operator: times * value for operator, value in by_module[name].items()})
            elif isinstance(module, VisionStateSpace):
                state_space.update({operator: times * value for operator, value in by_module[name].items()})
            elif isinstance(module, EfficientScan) and subject.tile:
                tiled.update({operator: times * value for operator, value in by_module[name].items()})
            elif isinstance(module, PlanarS6):
                plane_scan += times * by_module[name][SCAN_COUNT]
    network.train(was_training)
    by_operator = {name: float(value) for name, value in counted.items() if value}
    return Counts(by_operator, dict(sorted(uncounted.items())), dict(state_space), plane_scan, dict(tiled))


@contextlib.contextmanager
def reference_scans(network: nn.Module) -> Iterator[None]:
    """Have all scans of `network` run on the backend `reference` within the block, which computes nothing there: no one reads it."""
    scans = [module for module in network.modules() if isinstance(module, DirectionalS6)]
    before, computed = [scan.backend for scan in scans], reference.forward
    for scan in scans:
        scan.backend = "reference"
    reference.forward = _skip_scan
    try:
        yield
    finally:
        reference.forward = computed
        for scan, name in zip(scans, before, strict=True):
            scan.backend = name


def _skip_scan(args: ScanArguments, _delta_softplus: bool, _keep: bool = False) -> tuple[Tensor, Tensor]:
    """Stand in for `reference.forward`, a step in Python for each pixel, which took half of a trace."""
    return torch.zeros_like(args.u), args.u.new_empty(0, dtype=torch.float32)


def _scan_handle(inputs: Sequence[Any], _outputs: Sequence[Any]) -> Counter[str]:
    """Count one scan from fvcore's view of it: the values of the operator's arguments, in the order of its schema."""
    from fvcore.nn.jit_handles import get_shape

    u, _delta, A, _B, _C, D, *_ = inputs
    batch, channels, length = get_shape(u)
    skip = get_shape(D) is not None
    return Counter({SCAN_COUNT: scan_macs(batch, channels, length, get_shape(A)[1], skip=skip)})


def _image_scan_handle(inputs: Sequence[Any], _outputs: Sequence[Any]) -> Counter[str]:
    """Count an image's scans, one a direction, and the projection to delta on the way: what its parts cost where it is composed."""
    from fvcore.nn.jit_handles import get_shape

    x, _proj, dt_proj, A, *_ = inputs
    scans, projection = image_scan_costs(get_shape(x), get_shape(dt_proj), get_shape(A))
    return Counter({SCAN_COUNT: scans, "einsum": projection})


def image_scan_costs(x: Sequence[int], dt_proj: Sequence[int], A: Sequence[int]) -> tuple[int, int]:
    """Count operations of the scans, and multiply-adds of the projection to delta, of `ssm::scan_image` on tensors of these shapes."""
    batch, height, width, _ = x
    directions, channels, rank = dt_proj
    pixels, rows = batch * height * width, directions * channels
    return scan_macs(batch, rows, height * width, A[1], skip=True), pixels * rows * rank


def _einsum_handle(inputs: Sequence[Any], _outputs: Sequence[Any]) -> Counter[str]:
    """Count the multiply-adds of a two-operand einsum: the product of all its index sizes. fvcore's own handle keeps four digits."""
    from fvcore.nn.jit_handles import get_shape

    given, _, kept = inputs[0].toIValue().replace(" ", "").partition("->")
    left, right = given.split(",")
    shapes = [get_shape(operand) for operand in inputs[1].node().inputs()]
    sizes = dict(zip(left + right, [*shapes[0], *shapes[1]], strict=True))
    summed = math.prod(size for index, size in sizes.items() if index not in kept)
    return Counter({"einsum" if summed > 1 else "outer_product": math.prod(sizes.values())})


def _matmul_handle(inputs: Sequence[Any], outputs: Sequence[Any]) -> Counter[str]:
    """Count the multiply-adds of a matrix product; one whose second matrix all share apart, since PyTorch runs it as one large product."""
    from fvcore.nn.jit_handles import get_shape, matmul_flop_jit

    return Counter({"mm" if len(get_shape(inputs[1])) == 2 else "matmul": matmul_flop_jit(inputs, outputs)})


def _layer_norm_handle(inputs: Sequence[Any], _outputs: Sequence[Any]) -> Counter[str]:
    """Count 5 per element with weights, 4 without: fvcore's own formula, which it refuses for more than five dimensions."""
    from fvcore.nn.jit_handles import get_shape

    affine = get_shape(inputs[2]) is not None
    return Counter({"layer_norm": math.prod(get_shape(inputs[0])) * (5 if affine else 4)})


HANDLES = {
    SCAN_OPERATOR: _scan_handle,
    IMAGE_SCAN_OPERATOR: _image_scan_handle,
    "aten::einsum": _einsum_handle,
    "aten::matmul": _matmul_handle,
    "aten::layer_norm": _layer_norm_handle,
}
