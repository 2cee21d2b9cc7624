"""CONVENTIONS: named ways to count one network, each with the printed numbers that match it and a sentence on what it leaves out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from suite.measure.costs.count import Counts

POOLING = ("adaptive_avg_pool2d", "upsample_nearest2d", "upsample_bilinear2d")
TOLERANCE = 3e-3  # how closely published counts of this family are met, relative


@dataclass(frozen=True)
class Convention:
    """A row of the table: a network's counts to a printed number of multiply-adds."""

    name: str
    macs: Callable[[Counts], float]
    statement: str
    designs: tuple[str, ...] = ()  # that a model's name begins with; none: any network


def _thop(counts: Counts) -> float:
    """Count layers alone: a norm's elements 4 times (fvcore 5), a pooling's inputs once."""
    found = counts.by_operator
    return sum(found.get(name, 0.0) for name in ("conv", "linear", "adaptive_avg_pool2d")) + found.get("layer_norm", 0.0) * 4 / 5


CONVENTIONS: Mapping[str, Convention] = MappingProxyType(
    {
        row.name: row
        for row in (
            Convention(
                "fvcore",
                lambda counts: counts.macs,
                "Multiply-adds 1, a scan 9*B*L*D*N + B*L*D, nn.LayerNorm 5 per element; activations, norms written out as arithmetic and "
                "softmax are left out. What the MambaIR family prints.",
            ),
            Convention(
                "half",
                lambda counts: counts.macs / 2,
                "Half of fvcore's count, as if that counted multiplications and additions apart: it leaves out one half of everything. "
                "What the later version of MambaIR's table 4 prints, of itself and of SwinIR-light.",
            ),
            Convention(
                "thop",
                _thop,
                "Layers alone, 4 per element of a norm: it leaves out the selective scan, every product with a bare parameter (the scan's "
                "projections) and attention's products. What MambaIR's table 4 printed of the first two generations of its light network.",
                designs=("mambair-", "swinir"),
            ),
            Convention(
                "vmambair-script",
                lambda counts: counts.macs - counts.plane_scan,
                "fvcore's count without the scans of the plane: the authors' script names another operator than the one that these run as. "
                "The scans of the channels are in.",
                designs=("vmambair",),
            ),
            Convention(
                "without-pooling",
                lambda counts: counts.macs - sum(counts.by_operator.get(name, 0.0) for name in POOLING),
                "fvcore's count without adaptive pooling and resizing: of MambaIR, which pools in its channel attention alone, what is "
                "counted where its pooling is left out.",
                designs=("mambair-", "mair-", "evssm-", "tpmambasr-"),
            ),
        )
    }
)


def conventions_for(model: str) -> tuple[Convention, ...]:
    """Return the conventions that apply to `model`."""
    return tuple(row for row in CONVENTIONS.values() if not row.designs or model.startswith(row.designs))
