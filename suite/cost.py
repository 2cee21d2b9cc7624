"""Parameters and multiply-adds of a network, counted with fvcore and the scan operator's own formula.

Convention (`Cost.macs`): convolutions, linear layers and einsums 1 per multiply-add; a selective scan 9*B*L*D*N + B*L*D;
layer norms 5 per element where the published code calls `nn.LayerNorm` (MambaIR) and nothing where it writes the norm out as
arithmetic (VmambaIR: `ChannelNorm` here); element-wise operators nothing. It is what fvcore counts on the authors' code and
what the MambaIR family prints. It mixes units, adding the scan's operations to multiply-adds, and is kept for comparison.

Every operator of these networks costs a + b * (number of pixels), so two traces of small images give the cost at any
size exactly, and no time is spent on large ones (tests/test_cost.py compares with a direct trace).
"""

from __future__ import annotations

import math
import warnings
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from suite.errors import SuiteError
from suite.record import Cost

if TYPE_CHECKING:
    from models.base import RestorationNet

TRACE_SIZES = (16, 32)  # sides in pixels; multiples of every network's size multiple
TABLE_SIZE = (64, 64)  # of VmambaIR's tables 2 and 4
SCAN, IMAGE_SCAN = "ssm::selective_scan", "ssm::scan_image"


def full_size_cost(model: str, size: tuple[int, int] | None = None) -> Cost:
    """Cost of the catalogue's network `model` on an input of `size` (height, width), 64 x 64 if none is given."""
    import torch

    import models

    with torch.random.fork_rng(devices=[]):  # counting must not move the seed of what is trained next
        network = models.create(model)
    return cost_of(network, size or TABLE_SIZE)


def cost_of(network: RestorationNet, size: tuple[int, int]) -> Cost:
    """Cost of `network` on one image of `size` (height, width) in pixels, padding included."""
    from models.base import count_parameters

    height, width = (-(-side // network.size_multiple) * network.size_multiple for side in size)
    if min(size) < network.size_multiple:
        raise SuiteError(
            f"the cost at {size[0]}x{size[1]} is not defined: the network takes at least {network.size_multiple} pixels a side."
        )
    counts = [_trace(network, side) for side in TRACE_SIZES]
    pixels = [side * side for side in TRACE_SIZES]

    def at_size(operator: str) -> float:
        small, large = (count[0][operator] for count in counts)
        slope = (large - small) / (pixels[1] - pixels[0])
        return small + slope * (height * width - pixels[0])

    operators = set(counts[0][0]) | set(counts[1][0])
    by_operator = {name: at_size(name) for name in operators}
    return Cost(
        params=count_parameters(network),
        macs=sum(by_operator.values()),
        scan_macs=by_operator.get("selective_scan", 0.0),
        input_size=size,
        unsupported=dict(sorted(counts[0][1].items())),
    )


def trace_macs(network: RestorationNet, size: tuple[int, int]) -> Counter[str]:
    """Multiply-adds by operator, from a trace at exactly `size`."""
    return _trace_at(network, *size)[0]


def _trace(network: RestorationNet, side: int) -> tuple[Counter[str], Counter[str]]:
    return _trace_at(network, side, side)


def _trace_at(network: RestorationNet, height: int, width: int) -> tuple[Counter[str], Counter[str]]:
    """Counted and uncounted operators of one pass; the counted in multiply-adds, the others in occurrences."""
    import torch

    from models.layers import ChannelNorm

    was_training = network.training
    with warnings.catch_warnings(), torch.no_grad():
        warnings.filterwarnings("ignore", message=".*torch.jit", category=FutureWarning)  # fvcore traces with it
        warnings.filterwarnings("ignore", message=".*torch.jit", category=DeprecationWarning)
        from fvcore.nn import FlopCountAnalysis

        analysis = FlopCountAnalysis(network.eval(), torch.zeros(1, network.channels, height, width))
        analysis.set_op_handle(SCAN, _scan_handle, IMAGE_SCAN, _image_scan_handle, "aten::einsum", _einsum_handle)
        analysis.tracer_warnings("none").unsupported_ops_warnings(False).uncalled_modules_warnings(False)
        counted, uncounted = Counter(analysis.by_operator()), Counter(analysis.unsupported_ops())
        by_module = analysis.by_module_and_operator()
    network.train(was_training)
    for name, module in network.named_modules():
        if isinstance(module, ChannelNorm):
            counted.subtract(by_module[name])
    return counted, uncounted


def _scan_handle(inputs: Sequence[Any], _outputs: Sequence[Any]) -> Counter[str]:
    """Fvcore's view of one scan: the values of the operator's arguments, in the order of its schema."""
    from fvcore.nn.jit_handles import get_shape

    from models.scan.op import scan_macs

    u, _delta, A, _B, _C, D, *_ = inputs
    batch, channels, length = get_shape(u)
    skip = get_shape(D) is not None
    return Counter({"selective_scan": scan_macs(batch, channels, length, get_shape(A)[1], skip=skip)})


def _image_scan_handle(inputs: Sequence[Any], _outputs: Sequence[Any]) -> Counter[str]:
    """An image's scans, one a direction, and the projection to delta that is made on the way: what its parts cost where it is composed."""
    from fvcore.nn.jit_handles import get_shape

    from models.scan.op import scan_macs

    x, _proj, dt_proj, A, *_ = inputs
    batch, height, width, _ = get_shape(x)
    directions, channels, rank = get_shape(dt_proj)
    pixels, rows = batch * height * width, directions * channels
    scans = scan_macs(batch, rows, height * width, get_shape(A)[1], skip=True)
    return Counter({"selective_scan": scans, "einsum": pixels * rows * rank})


def _einsum_handle(inputs: Sequence[Any], _outputs: Sequence[Any]) -> Counter[str]:
    """Multiply-adds of a two-operand einsum: the product of all its index sizes. fvcore's own handle keeps four digits."""
    from fvcore.nn.jit_handles import get_shape

    left, right = inputs[0].toIValue().split("->")[0].replace(" ", "").split(",")
    shapes = [get_shape(operand) for operand in inputs[1].node().inputs()]
    sizes = dict(zip(left + right, [*shapes[0], *shapes[1]], strict=True))
    return Counter({"einsum": math.prod(sizes.values())})
