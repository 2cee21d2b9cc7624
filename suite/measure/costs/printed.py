"""The costs that the papers print, beside those counted here: which convention a number matches, and why none.

The numbers are those of results/published; a baseline names its rows itself (suite.study.baselines).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import models
from suite.measure.costs.conventions import TOLERANCE, conventions_for
from suite.measure.costs.count import Counted
from suite.study.baselines import BASELINES
from suite.study.published import UNIT_SCALES, PublishedColumn, PublishedRow, PublishedTable, cost_input, load_all

BARE = "thop"  # the convention whose parameters leave out bare ones
OUTPUT_720P = (720, 1280)  # height, width: what light networks restore, in pixels


@dataclass(frozen=True)
class PrintedCost:
    """One printed cost beside the counted one, in the column's unit; `met_by` names the convention that it matches, else `why` tells."""

    table: str
    row: str
    metric: str  # params or macs
    unit: str
    size: tuple[int, int] | None  # of the input, height and width in pixels; None for parameters
    printed: float
    counted: float
    met_by: str
    why: str

    @property
    def difference(self) -> float:
        """Counted minus printed, relative to printed."""
        return self.counted / self.printed - 1


_VMAMBAIR = (
    "it matches no way of counting that was tried (results/LOG.md); the script that the authors publish gives 15.67 G for the full network"
)
_SWINIR = "less than its convolutions and linear layers alone, {} G; its parameters match"
# (model, table, metric): why the printed number matches no convention.
DISAGREEMENTS: Mapping[tuple[str, str, str], str] = MappingProxyType(
    {
        ("vmambair-realsr-x4", "vmambair-2", "macs"): _VMAMBAIR,
        ("vmambair-realsr-x4", "vmambair-4", "macs"): _VMAMBAIR,
        ("vmambair-realsr-x4.one-way-scan", "vmambair-4", "macs"): _VMAMBAIR,
        ("vmambair-realsr-x4.no-channel-scan", "vmambair-4", "macs"): _VMAMBAIR,
        ("vmambair-realsr-x4.no-effn", "vmambair-4", "macs"): _VMAMBAIR + "; the paper gives no block counts for this row",
        ("vmambair-realsr-x4.linear-projection", "vmambair-4", "macs"): _VMAMBAIR,
        ("swinir-light-x3", "mambairv2-3", "macs"): "0.4 % more than counted; ESC's table 2 prints the counted 110.8 G",
        ("mambair-sr-x3", "mambairv2-4", "params"): "printed alike for all scales: the x2 network's",
        ("mambair-sr-x4", "mambairv2-4", "params"): "printed alike for all scales: the x2 network's",
        ("mambairv2-large-x2", "mambairv2-4", "params"): "printed alike for all scales: the x4 network's",
        ("mambairv2-large-x3", "mambairv2-4", "params"): "printed alike for all scales: the x4 network's",
        ("eamamba-deblur", "eamamba-deblur-quoted", "params"): "the number of another work, which quotes the design",
        ("esrgan", "vmambair-2", "params"): "16.698 M, cut off after two decimals where 16.70 is rounded",
        ("swinir-realsr-x4", "vmambair-2", "params"): (
            "the multiply-adds printed beside it match; leaving out the tables of position biases (48,600) or all biases and norms "
            "(122,299 together) does not give it either"
        ),
        ("swinir-light-x2", "mambair-4-eccv", "macs"): _SWINIR.format(198.4),
        ("swinir-light-x3", "mambair-4-eccv", "macs"): _SWINIR.format(90.1),
        ("swinir-light-x4", "mambair-4-eccv", "macs"): _SWINIR.format(51.9),
    }
)


def input_720p(scale: int) -> tuple[int, int]:
    """Return height and width of the low-quality input of a 1280x720 output, as the papers take it: cut off, not rounded."""
    return OUTPUT_720P[0] // scale, OUTPUT_720P[1] // scale


def scale_of(model: str) -> int:
    """Return the enlargement of a network of the catalogue or the baselines."""
    return BASELINES[model].scale if model in BASELINES else models.card(model).scale


def has_printed(model: str) -> bool:
    """Say whether a paper prints a cost of `model`."""
    return any(True for _ in _cells(model))


def compare_printed(model: str, counted: Counted) -> list[PrintedCost]:
    """Compare every printed cost of `model` with what it was `counted` as."""
    return [_comparison(model, counted, *cell) for cell in _cells(model)]


def _cells(model: str) -> Iterator[tuple[PublishedTable, PublishedRow, PublishedColumn]]:
    """Yield the printed costs of `model` by where they stand."""
    for table, row in _rows(model):
        yield from ((table, row, column) for column in table.columns if column.kind == "cost" and row.cells.get(column.key) is not None)


def _rows(model: str) -> list[tuple[PublishedTable, PublishedRow]]:
    """Return the published rows that are about `model`."""
    named = BASELINES[model].rows if model in BASELINES else ()
    return [
        (table, row)
        for paper in load_all()
        for table in paper.tables
        for row in table.rows
        if row.model == model or (table.id, row.key) in named
    ]


def _comparison(model: str, counted: Counted, table: PublishedTable, row: PublishedRow, column: PublishedColumn) -> PrintedCost:
    printed, unit = float(row.cells[column.key]), UNIT_SCALES[column.unit]
    size = None
    if column.metric == "params":
        value = counted.params / unit
        ways = {"exactly": value, BARE: counted.layer_params / unit}
        allowed = 0.5 * 10**-column.digits + 1e-9
    else:
        size = cost_input(table, row, column)
        counts = counted.at(size)
        value = counts.macs / unit
        ways = {convention.name: convention.macs(counts) / unit for convention in conventions_for(model)}
        allowed = TOLERANCE * printed
    met = next((name for name, way in ways.items() if abs(way - printed) <= allowed), "")
    why = "" if met else DISAGREEMENTS.get((model, table.id, column.metric), "not looked into")
    return PrintedCost(table.id, row.key, column.metric, column.unit, size, printed, value, met, why)
