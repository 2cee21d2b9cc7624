"""The grid `routing` in numbers and words: what taking a router away costs, for the file of weights that was measured and no other."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from suite.core.statistics import stats
from suite.core.statistics.intervals import FEWEST_IMAGES
from suite.core.text import format_fixed, format_signed
from suite.records.kinds.routing import RoutingRecord
from suite.study.protocols import METRICS
from suite.study.routing import RELEASED, WAYS

ALIKE = 0.99  # of the entropy of equal tokens: from here on a router is called uniform


@dataclass(frozen=True)
class RoutingLine:
    """A way: its means over seeds and images, and the paired difference of the first metric from the released way."""

    name: str
    label: str
    means: tuple[tuple[str, float, int], ...]  # metric, value, digits
    seeds: int
    ends: tuple[float, float]  # least and largest mean of a seed, in the first metric
    difference: stats.Paired | None  # None: the released way itself
    by_image: tuple[float, float]  # least and largest difference of an image


@dataclass(frozen=True)
class RoutingTable:
    """What a record says."""

    record: RoutingRecord
    metric: str
    unit: str
    lines: tuple[RoutingLine, ...]
    finding: str

    @property
    def rows(self) -> list[dict[str, object]]:
        """The table in text."""
        found = []
        for line in self.lines:
            row = {"way": line.name} | {metric: format_fixed(value, digits) for metric, value, digits in line.means}
            row |= {"seeds": line.seeds, "from released": "–", "95 % interval": "–", "by image": "–"}
            if line.difference is not None:
                row["from released"] = format_signed(line.difference.mean, 3)
                row["95 % interval"] = _write_interval(line.difference)
                row["by image"] = " to ".join(format_signed(end, 3) for end in line.by_image)
            found.append(row)
        return found


def tabulate_routing(record: RoutingRecord) -> RoutingTable:
    """Return the table of a finished record, its rows in the order of WAYS, with the sentence computed from them."""
    metrics = list(record.runs[0].scores[0].metrics)
    held = {way: _values(record, way) for way in WAYS if any(run.way == way for run in record.runs)}
    lines = tuple(_line(way, values, held[RELEASED], metrics) for way, values in held.items())
    known = METRICS.get(metrics[0])
    unit = known.unit if known else ""
    return RoutingTable(record, metrics[0], unit, lines, _find(record, lines, metrics[0], unit))


def _values(record: RoutingRecord, way: str) -> np.ndarray:
    """Return (seeds, images, metrics)."""
    return np.array([[list(score.metrics.values()) for score in run.scores] for run in record.runs if run.way == way])


def _line(way: str, values: np.ndarray, released: np.ndarray, metrics: Sequence[str]) -> RoutingLine:
    means = values.mean(axis=(0, 1))
    by_seed = values[..., 0].mean(axis=1)
    # A way without draws is compared with every seed of the released one; of two that draw, seeds are independent and paired as numbered.
    difference = values[..., 0] - released[..., 0]
    by_image = difference.mean(axis=0)
    return RoutingLine(
        way,
        WAYS[way].label,
        tuple((name, float(mean), METRICS[name].digits + 1 if name in METRICS else 4) for name, mean in zip(metrics, means, strict=True)),
        len(values),
        (float(by_seed.min()), float(by_seed.max())),
        None if way == RELEASED else stats.compare_paired(difference),
        (float(by_image.min()), float(by_image.max())),
    )


def _write_interval(found: stats.Paired) -> str:
    if found.interval is None:
        return f"none: {found.images} images, {FEWEST_IMAGES} needed"
    return f"[{format_signed(found.interval[0], 3)}, {format_signed(found.interval[1], 3)}]"


def _find(record: RoutingRecord, lines: Sequence[RoutingLine], metric: str, unit: str) -> str:
    """Say how uniform the router is and what taking it away costs, and of which file."""
    spec, router = record.spec, record.router
    released, *others = lines
    texts = [f"Weights of {spec.model} with the sha256 {spec.weights}, {spec.test_set}, {len(record.runs[0].scores)} images."]
    if router is not None:
        most = math.log(router.tokens)
        uniform = "is practically uniform" if router.entropy >= ALIKE * most else "is not uniform"
        texts.append(
            f"The router {uniform}: over {router.layers} layers its most likely token has the mean probability "
            f"{router.top_probability:.4f} (1/{router.tokens} = {1 / router.tokens:.4f}), its entropy is {router.entropy:.4f} of at most "
            f"{most:.4f} nats."
        )
    if others:
        texts += _find_costs(released, others, metric, unit)
    texts.append("This is of the file with that sha256 alone; of other weights, the authors' among them, it says nothing.")
    return " ".join(texts)


def _find_costs(released: RoutingLine, others: Sequence[RoutingLine], metric: str, unit: str) -> list[str]:
    worst = min(others, key=lambda line: line.difference.mean)
    best = max(others, key=lambda line: line.difference.mean)
    spread = released.ends[1] - released.ends[0]
    within = [line.name for line in others if abs(line.difference.mean) <= spread]
    texts = [
        f"What takes the router's place changes the mean {metric} by {format_signed(worst.difference.mean, 3)} ({worst.name}) to "
        f"{format_signed(best.difference.mean, 3)} {unit} ({best.name}); {released.seeds} seeds of the released draws lie "
        f"{format_fixed(spread, 3)} {unit} apart" + (f", and by no more do {', '.join(within)} differ." if within else ".")
    ]
    intervals = {line.name: line.difference.interval for line in others}
    if None in intervals.values():
        return [*texts, f"So few images give no interval ({FEWEST_IMAGES} are needed): the differences by image are in the table."]
    apart = [name for name, (low, high) in intervals.items() if low > 0 or high < 0]
    told = f"leaves out zero for {', '.join(apart)}" if apart else "holds zero for every way"
    return [*texts, f"The 95 % interval over images and seeds {told}."]
