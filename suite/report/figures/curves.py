"""Training curves: loss and validation quality of every trained network, in small charts whose axes the networks of a setting share."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from models import MODELS
from suite.records.record import Record
from suite.report.figures.charts import PANEL, Axis, Plot, Point, Series, Tick, draw_plane
from suite.report.settings import group_by_setting, setting_heading
from suite.study.protocols import METRICS

Runs = Mapping[str, list[list[Point]]]  # of each network, a line a seed


@dataclass(frozen=True)
class Chart:
    """A small line chart."""

    title: str
    summary: str  # what it ends in, in words
    plot: Plot


@dataclass(frozen=True)
class Panel:
    """The charts of one network."""

    label: str
    baseline: bool
    charts: tuple[Chart, ...]


@dataclass(frozen=True)
class CurveSet:
    """Training curves of one setting."""

    title: str
    panels: tuple[Panel, ...]


def draw_curves(records: Sequence[Record]) -> tuple[CurveSet, ...]:
    """Return the curves of each setting that has some."""
    sets, groups = [], group_by_setting(records)
    for setting, alike in groups.items():
        runs: dict[str, list[Record]] = {}
        for record in alike:
            if len(record.history) > 1:
                runs.setdefault(record.spec.model, []).append(record)
        metric = next((name for found in runs.values() for r in found for p in r.history for name in p.validation), "")
        losses = {model: [[Point(p.iteration, p.loss) for p in r.history] for r in found] for model, found in runs.items()}
        scores = {
            model: [[Point(p.iteration, p.validation[metric]) for p in r.history if metric in p.validation] for r in found]
            for model, found in runs.items()
        }
        baseline = next((model for model in runs if any(_parent(other) == model for other in runs)), "")
        unit = METRICS[metric].unit if metric in METRICS else ""
        both = (
            _charts("Training loss", losses, baseline, log=True),
            _charts(f"Validation {metric}" + (f", {unit}" if unit else ""), scores, baseline, log=False),
        )
        panels = [Panel(model, model == baseline, tuple(charts[model] for charts in both if model in charts)) for model in runs]
        sets.append(CurveSet(setting_heading(setting, groups), tuple(panel for panel in panels if panel.charts)))
    return tuple(found for found in sets if found.panels)


def _parent(model: str) -> str | None:
    """Return the network that an ablation changes; None for any other."""
    return MODELS[model].parent if model in MODELS else None


def _charts(title: str, runs: Runs, baseline: str, *, log: bool) -> dict[str, Chart]:
    """Draw a chart for each network on shared axes, with the first seed of the network `baseline` behind the others."""
    usable = {
        model: [line for run in lines if len(line := [p for p in run if math.isfinite(p.y) and (p.y > 0 or not log)]) > 1]
        for model, lines in runs.items()
    }
    points = [point for lines in usable.values() for line in lines for point in line]
    if not points:
        return {}
    last = max(int(point.x) for point in points)
    x, y = Axis(spread=(0, max(last, 1)), margin=False), Axis(log=log, spread=[point.y for point in points])
    ends = (Tick(PANEL.left, "0", "start"), Tick(PANEL.width - PANEL.right, f"{last:,}", "end"))
    charts = {}
    for model, lines in usable.items():
        if lines:
            behind = usable.get(baseline, [])[:1] if model != baseline else []
            drawn = [(1, line) for line in behind] + [(0, line) for line in lines]
            series = [Series("", "", tuple(line), number, joined=True) for number, line in drawn]
            final = sum(line[-1].y for line in lines) / len(lines)
            summary = f"{title}: {final:.3g} at the end" if log else f"{title}: {final:.2f} at the end"
            summary += f" (mean of {len(lines)} seeds)" if len(lines) > 1 else ""
            charts[model] = Chart(title, summary, replace(draw_plane(series, x, y, PANEL), xticks=ends))
    return charts
