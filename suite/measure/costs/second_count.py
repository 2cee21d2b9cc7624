"""A second counter of the same networks: PyTorch's `FlopCounterMode`, compared with fvcore operator by operator.

It sees what PyTorch dispatches, where fvcore sees what a trace records, and runs on meta tensors, which have shapes alone: nothing is
computed, at any size. It knows our scans by the formulas of SCAN_FORMULAS, and passes through every block, equal ones included.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import torch
from torch.utils.flop_counter import FlopCounterMode

from models.scan.op import scan_macs
from suite.measure.costs.count import SCAN_COUNT, Counts, Subject, image_scan_costs, reference_scans, trace

# fvcore's operators, and PyTorch's that do the same work at 2 a multiply-add; the scans' operations count as they are.
SAME: Mapping[tuple[str, ...], tuple[str, ...]] = MappingProxyType(
    {
        ("conv",): ("aten.convolution",),
        ("linear", "addmm", "mm"): ("aten.addmm", "aten.mm"),
        ("einsum", "matmul", "bmm", "baddbmm"): ("aten.bmm", "aten.baddbmm"),
        (SCAN_COUNT,): ("ssm.selective_scan", "ssm.scan_image"),
    }
)
# What fvcore counts and PyTorch's counter does not, and why.
ONE_SIDED: Mapping[str, str] = MappingProxyType(
    {
        "layer_norm": "PyTorch's counter knows products only; fvcore counts 5 per element",
        "group_norm": "as layer_norm",
        "batch_norm": "as layer_norm, 2 per element where it is folded into a factor and an offset",
        "adaptive_avg_pool2d": "PyTorch's counter knows products only; fvcore counts 1 per element",
        "upsample_nearest2d": "as adaptive_avg_pool2d",
        "upsample_bilinear2d": "as adaptive_avg_pool2d, 4 per element",
        "outer_product": "an einsum that sums over an index of size 1: PyTorch makes it an element-wise product, which it does not count",
    }
)


@dataclass(frozen=True)
class Agreement:
    """One line of the comparison, in operations; `second` is None where PyTorch's counter knows no such operator, and `why` says so."""

    operators: str
    first: float
    second: float | None
    why: str = ""

    @property
    def agrees(self) -> bool:
        """True where both count the same, or the difference is documented."""
        return self.second is None or math.isclose(self.first, self.second, rel_tol=1e-9)


def compare_counters(subject: Subject, size: tuple[int, int], counts: Counts | None = None) -> list[Agreement]:
    """Compare both counts of an image of `size` by groups of operators, what one lacks included; `counts` are fvcore's, if known."""
    first, second = dict((counts or trace(subject, size)).by_operator), count_with_pytorch(subject, size)
    lines = []
    for ours, theirs in SAME.items():
        factor = 1 if ours == (SCAN_COUNT,) else 2
        found = factor * sum(first.pop(name, 0.0) for name in ours)
        counted = sum(second.pop(name, 0) for name in theirs)
        if found or counted:
            lines.append(Agreement(", ".join(ours), found, counted))
    lines += [Agreement(name, value, None if name in ONE_SIDED else 0.0, ONE_SIDED.get(name, "")) for name, value in first.items()]
    lines += [Agreement(name, 0.0, value) for name, value in second.items()]
    return lines


def count_with_pytorch(subject: Subject, size: tuple[int, int]) -> dict[str, int]:
    """Count operations by operator with PyTorch's counter, for one image of `size` (height, width); nothing is computed."""
    network, was_training = subject.network, subject.network.training
    formulas = {getattr(torch.ops.ssm, name): formula for name, formula in SCAN_FORMULAS.items()}
    counter = FlopCounterMode(display=False, custom_mapping=formulas)
    shapes = {name: value.to("meta") for name, value in (*network.named_parameters(), *network.named_buffers())}
    image = torch.zeros(1, subject.channels, *size, device="meta")
    network.eval()
    with reference_scans(network), torch.no_grad(), counter:
        torch.func.functional_call(network, shapes, (image,))
    network.train(was_training)
    return {str(operator): value for operator, value in counter.flop_counts["Global"].items()}


def _scan(
    u: Sequence[int], _delta: object, A: Sequence[int], _B: object, _C: object, D: Sequence[int] | None, *_: object, out_shape: object
) -> int:
    """Count the operations of `ssm::selective_scan`, from the shapes of its arguments."""
    del out_shape  # which PyTorch hands over
    batch, channels, length = u
    return scan_macs(batch, channels, length, A[1], skip=D is not None)


def _image(x: Sequence[int], _proj: object, dt_proj: Sequence[int], A: Sequence[int], *_: object, out_shape: object) -> int:
    """Count the operations of `ssm::scan_image`, from the shapes of its arguments."""
    del out_shape
    scans, projection = image_scan_costs(x, dt_proj, A)
    return scans + 2 * projection


SCAN_FORMULAS = MappingProxyType({"selective_scan": _scan, "scan_image": _image})
