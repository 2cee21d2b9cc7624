"""What a network costs: parameters, multiply-adds and operations, counted with fvcore and the scan's own formula. All definitions are here.

`params` counts every trainable value once.

`macs` is the mix that fvcore counts on the authors' code and that the MambaIR family prints: convolutions, linear layers, einsums and
matrix products 1 per multiply-add; a selective scan 9*B*L*D*N + B*L*D; a layer norm 5 per element where the published code calls
`nn.LayerNorm` (MambaIR), nothing where it writes the norm out as arithmetic (VmambaIR: `ChannelNorm` here); pooling and resizing 1 per
element; all other element-wise operators nothing. It adds the scan's and the norms' operations to multiply-adds; it is for comparison.

`flops` is 2 per multiply-add of the products (PRODUCTS), plus a scan's 9*B*L*D*N + B*L*D operations as they are; norms, pooling,
resizing, activations and other element-wise arithmetic nothing. PyTorch's own counter gives the same (suite.measure.costs.second_count).

Every operator of the networks costs a + b * (number of pixels), so two traces of small images give the cost at any size exactly, and
no time is spent on large ones (test_count.py compares with a direct trace). Window attention pads to its windows; that is counted.

Traces run on the backend `reference`, whatever times the network: the same operators are counted then, and nothing is built.
"""

from __future__ import annotations

import contextlib
import math
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from suite.core.errors import SuiteError
from suite.records.record import Cost

if TYPE_CHECKING:
    from torch import nn

    from models.base import RestorationNet

TABLE_SIZE = (64, 64)  # of VmambaIR's tables 2 and 4
SCAN, IMAGE_SCAN = "ssm::selective_scan", "ssm::scan_image"
SCANS = "selective_scan"  # what both count as
SMALLEST_SIDE = 4  # of a traced image, in pixels: a dilated convolution's padding fits

# fvcore's names. An einsum that sums over one value only is an outer product: element-wise, and no multiply-add.
PRODUCTS = ("conv", "linear", "einsum", "matmul", "bmm", "baddbmm", "addmm")
ARITHMETIC = ("outer_product", "layer_norm", "group_norm", "batch_norm", "adaptive_avg_pool2d", "upsample_nearest2d", "upsample_bilinear2d")


@dataclass(frozen=True)
class Subject:
    """A network to be counted, on (B, channels, H, W); its cost is a + b*pixels for multiples of `multiple`, to which it pads."""

    network: nn.Module
    channels: int
    multiple: int
    smallest_side: int = 0  # of an image, in pixels

    @property
    def params(self) -> int:
        """Trainable values, each counted once."""
        from models.base import count_parameters

        return count_parameters(self.network)

    @property
    def layer_params(self) -> int:
        """Parameters that belong to a layer of PyTorch: the others are bare, such as a scan's projections and a window's position bias."""
        from torch import nn

        layers = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear, nn.LayerNorm, nn.BatchNorm2d, nn.PReLU)
        return sum(p.numel() for m in self.network.modules() if isinstance(m, layers) for p in m.parameters(recurse=False))

    @property
    def parts(self) -> dict[str, int]:
        """Parameters of the network's own parts by name, in their order, a U-Net's stages apart; what belongs to none is under "own"."""
        from models.parts.unet import UNetBody

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
    """Costs by operator in fvcore's units; `unsupported` in occurrences. The last two are shares of the first."""

    by_operator: Mapping[str, float]
    unsupported: Mapping[str, int]
    state_space: Mapping[str, float]  # MambaIR's scan modules with their projections
    plane_scan: float  # selective scans of the image plane alone

    @property
    def macs(self) -> float:
        """The mix of the module's head."""
        return sum(self.by_operator.values())

    @property
    def scan_macs(self) -> float:
        """The part of the mix that selective scans make up."""
        return self.by_operator.get(SCANS, 0.0)

    @property
    def flops(self) -> float:
        """Operations, as the module's head defines them."""
        return flops_of(self.by_operator)


def flops_of(by_operator: Mapping[str, float]) -> float:
    """Operations of what was counted by operator: 2 per multiply-add of the products, and the scans' own."""
    for name in by_operator:
        if name not in (*PRODUCTS, *ARITHMETIC, SCANS):
            raise RuntimeError(
                f"fvcore counts {name!r}, which suite.measure.costs.count classes neither as products nor as other arithmetic."
            )
    return 2 * sum(by_operator.get(name, 0.0) for name in PRODUCTS) + by_operator.get(SCANS, 0.0)


def full_size_cost(model: str, size: tuple[int, int] | None = None) -> Cost:
    """Cost of the catalogue's network `model` on an input of `size` (height, width), 64 x 64 if none is given; counted once a process."""
    return _cost(counted_model(model), size or TABLE_SIZE)


def cost_of(network: RestorationNet, size: tuple[int, int]) -> Cost:
    """Cost of `network` on one image of `size` (height, width) in pixels, padding included."""
    subject = subject_of(network)
    check_size(subject.multiple, size)  # before seconds are spent on traces
    return _cost(counted(subject), size)


def subject_of(network: RestorationNet) -> Subject:
    """A network of models/ as what is to be counted."""
    return Subject(network, network.channels, network.size_multiple, network.config.smallest_side)


def catalogue_subject(model: str) -> Subject:
    """The catalogue's network `model`; to make it does not move the seed of what is trained next."""
    import torch

    import models

    with torch.random.fork_rng(devices=[]):
        return subject_of(models.create(model))


def _cost(found: Counted, size: tuple[int, int]) -> Cost:
    counts = found.at(size)
    return Cost(params=found.params, macs=counts.macs, scan_macs=counts.scan_macs, input_size=size, unsupported=dict(counts.unsupported))


def counts_at(subject: Subject, size: tuple[int, int]) -> Counts:
    """What one image of `size` (height, width) costs, from two small traces; SuiteError where the network takes no image so small."""
    check_size(subject.multiple, size)  # before seconds are spent on traces
    return counted(subject).at(size)


def check_size(multiple: int, size: tuple[int, int]) -> None:
    """SuiteError where a network of this size multiple takes no image so small."""
    if min(size) < multiple:
        raise SuiteError(f"the cost at {size[0]}x{size[1]} is not defined: the network takes at least {multiple} pixels a side.")


@dataclass(frozen=True)
class Counted:
    """A network's parameters, and its counts at two small sizes, which give those at any."""

    params: int
    parts: Mapping[str, int]
    layer_params: int  # of layers: without bare parameters
    multiple: int
    channels: int
    small: tuple[tuple[tuple[int, int], Counts], tuple[tuple[int, int], Counts]]  # (height, width), counts

    def at(self, size: tuple[int, int]) -> Counts:
        """The counts at `size` (height, width), padded, on the straight line through those of the two small images."""
        check_size(self.multiple, size)
        height, width = (-(-side // self.multiple) * self.multiple for side in size)
        ((first_size, first), (second_size, second)) = self.small
        pixels, more_pixels = math.prod(first_size), math.prod(second_size)

        def line(one: float, other: float) -> float:
            return one + (other - one) / (more_pixels - pixels) * (height * width - pixels)

        def lines(one: Mapping[str, float], other: Mapping[str, float]) -> dict[str, float]:
            return {name: line(one.get(name, 0.0), other.get(name, 0.0)) for name in sorted({*one, *other})}

        return Counts(
            lines(first.by_operator, second.by_operator),
            first.unsupported,
            lines(first.state_space, second.state_space),
            line(first.plane_scan, second.plane_scan),
        )


def counted(subject: Subject) -> Counted:
    """The subject's parameters and its counts at two small sizes, the second twice as wide as the first."""
    side = -(-max(SMALLEST_SIDE, subject.smallest_side) // subject.multiple) * subject.multiple
    small = tuple((size, trace(subject, size)) for size in ((side, side), (side, 2 * side)))
    return Counted(subject.params, subject.parts, subject.layer_params, subject.multiple, subject.channels, small)


def subject_named(model: str) -> Subject:
    """The network `model` of the catalogue or of the baselines; to make it does not move torch's seed."""
    import torch

    from suite.study import baselines

    row = baselines.BASELINES.get(model)
    if row is None:
        return catalogue_subject(model)
    with torch.random.fork_rng(devices=[]):
        return Subject(baselines.network(model), row.channels, row.multiple)


@cache
def counted_model(model: str) -> Counted:
    """`counted` of the network `model` of the catalogue or of the baselines; once a process."""
    return counted(subject_named(model))


def trace_macs(network: RestorationNet, size: tuple[int, int]) -> dict[str, float]:
    """Costs by operator, from a trace at exactly `size`."""
    return dict(trace(subject_of(network), size).by_operator)


def trace(subject: Subject, size: tuple[int, int]) -> Counts:
    """The counts of one pass over an image of exactly `size` (height, width), which is computed; of equal blocks in a row, one is."""
    import torch

    from models.parts.layers import ChannelNorm
    from models.parts.s6 import PlanarS6
    from models.parts.vss import VisionStateSpace
    from suite.measure.costs.repeats import once_each

    network, was_training, image = subject.network, subject.network.training, torch.zeros(1, subject.channels, *size)
    network.eval()
    with warnings.catch_warnings(), torch.no_grad(), reference_scans(network), once_each(network, image) as repeats:
        warnings.filterwarnings("ignore", message=".*torch.jit", category=FutureWarning)  # fvcore traces with it
        warnings.filterwarnings("ignore", message=".*torch.jit", category=DeprecationWarning)
        from fvcore.nn import FlopCountAnalysis

        analysis = FlopCountAnalysis(network, image)
        for operator, handle in HANDLES.items():
            analysis.set_op_handle(operator, handle)
        analysis.tracer_warnings("none").unsupported_ops_warnings(False).uncalled_modules_warnings(False)
        by_module = analysis.by_module_and_operator()
        counted = repeats.total(by_module)
        uncounted = repeats.total({name: analysis.unsupported_ops(name) for name in ("", *repeats.times)})
        state_space: Counter[str] = Counter()
        plane_scan = 0.0
        for name, module in network.named_modules():
            times = repeats.weight(name)
            if isinstance(module, ChannelNorm):
                counted.subtract({operator: times * value for operator, value in by_module[name].items()})
            elif isinstance(module, VisionStateSpace):
                state_space.update({operator: times * value for operator, value in by_module[name].items()})
            elif isinstance(module, PlanarS6):
                plane_scan += times * by_module[name][SCANS]
    network.train(was_training)
    by_operator = {name: float(value) for name, value in counted.items() if value}
    return Counts(by_operator, dict(sorted(uncounted.items())), dict(state_space), plane_scan)


@contextlib.contextmanager
def reference_scans(network: nn.Module) -> Iterator[None]:
    """Has all scans of `network` run on the backend `reference`, and gives each its own back."""
    from models.parts.s6 import DirectionalS6

    scans = [module for module in network.modules() if isinstance(module, DirectionalS6)]
    before = [scan.backend for scan in scans]
    for scan in scans:
        scan.backend = "reference"
    try:
        yield
    finally:
        for scan, name in zip(scans, before, strict=True):
            scan.backend = name


def _scan_handle(inputs: Sequence[Any], _outputs: Sequence[Any]) -> Counter[str]:
    """Fvcore's view of one scan: the values of the operator's arguments, in the order of its schema."""
    from fvcore.nn.jit_handles import get_shape

    from models.scan.op import scan_macs

    u, _delta, A, _B, _C, D, *_ = inputs
    batch, channels, length = get_shape(u)
    skip = get_shape(D) is not None
    return Counter({SCANS: scan_macs(batch, channels, length, get_shape(A)[1], skip=skip)})


def _image_scan_handle(inputs: Sequence[Any], _outputs: Sequence[Any]) -> Counter[str]:
    """An image's scans, one a direction, and the projection to delta that is made on the way: what its parts cost where it is composed."""
    from fvcore.nn.jit_handles import get_shape

    x, _proj, dt_proj, A, *_ = inputs
    scans, projection = image_scan_costs(get_shape(x), get_shape(dt_proj), get_shape(A))
    return Counter({SCANS: scans, "einsum": projection})


def image_scan_costs(x: Sequence[int], dt_proj: Sequence[int], A: Sequence[int]) -> tuple[int, int]:
    """Operations of the scans, and multiply-adds of the projection to delta, of `ssm::scan_image` on tensors of these shapes."""
    from models.scan.op import scan_macs

    batch, height, width, _ = x
    directions, channels, rank = dt_proj
    pixels, rows = batch * height * width, directions * channels
    return scan_macs(batch, rows, height * width, A[1], skip=True), pixels * rows * rank


def _einsum_handle(inputs: Sequence[Any], _outputs: Sequence[Any]) -> Counter[str]:
    """Multiply-adds of a two-operand einsum: the product of all its index sizes. fvcore's own handle keeps four digits."""
    from fvcore.nn.jit_handles import get_shape

    given, _, kept = inputs[0].toIValue().replace(" ", "").partition("->")
    left, right = given.split(",")
    shapes = [get_shape(operand) for operand in inputs[1].node().inputs()]
    sizes = dict(zip(left + right, [*shapes[0], *shapes[1]], strict=True))
    summed = math.prod(size for index, size in sizes.items() if index not in kept)
    return Counter({"einsum" if summed > 1 else "outer_product": math.prod(sizes.values())})


def _layer_norm_handle(inputs: Sequence[Any], _outputs: Sequence[Any]) -> Counter[str]:
    """5 per element with weights, 4 without: fvcore's own formula, which it refuses for more than five dimensions."""
    from fvcore.nn.jit_handles import get_shape

    affine = get_shape(inputs[2]) is not None
    return Counter({"layer_norm": math.prod(get_shape(inputs[0])) * (5 if affine else 4)})


HANDLES = {SCAN: _scan_handle, IMAGE_SCAN: _image_scan_handle, "aten::einsum": _einsum_handle, "aten::layer_norm": _layer_norm_handle}
