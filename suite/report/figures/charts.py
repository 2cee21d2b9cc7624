"""The geometry of the report's charts, as data for reports/templates/charts.html.j2: points and lines in a plane, and rows of dots.

Series are told apart by the shape of their marks and the dashes of their lines first and by colour second, so that a chart can
be read in grey. Every chart carries its numbers as a table (`Figure.head`, `Figure.rows`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from suite.report.figures.axes import Scale, Tick, scale

SHAPES = ("diamond", "disc", "block", "up", "plus", "ring")  # in the order in which series take them
WIDTH, HEIGHT = 720.0, 400.0
LEFT, RIGHT, TOP, BOTTOM = 64.0, 24.0, 14.0, 52.0  # margins of a plane
ROW, ROWS_LEFT, ROWS_BOTTOM = 34.0, 190.0, 46.0  # of rows of dots
LETTER, LINE = 7.0, 13.0  # width and height of a letter of a label, about


@dataclass(frozen=True)
class Axis:
    """What an axis shows."""

    label: str
    log: bool = False


@dataclass(frozen=True)
class Point:
    """A value; `low` and `high` are the ends of its interval, along y in a plane and along x in a row."""

    x: float
    y: float
    label: str = ""
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Series:
    """Points that belong together; `number` chooses colour and dashes."""

    name: str
    shape: str
    points: tuple[Point, ...]
    number: int = 0
    joined: bool = False


@dataclass(frozen=True)
class Mark:
    """A point with its place, and the whisker of its interval (x1, y1, x2, y2)."""

    x: float
    y: float
    shape: str
    number: int
    title: str
    whisker: tuple[float, float, float, float] | None = None


@dataclass(frozen=True)
class Label:
    """A text in a chart."""

    x: float
    y: float
    anchor: str
    text: str


@dataclass(frozen=True)
class Line:
    """A polyline: `points` is the attribute of the same name."""

    points: str
    number: int


@dataclass(frozen=True)
class Plot:
    """A chart, ready to be drawn."""

    width: float
    height: float
    left: float
    bottom: float  # y of the horizontal axis
    xlabel: str
    ylabel: str
    xticks: tuple[Tick, ...]
    yticks: tuple[Tick, ...]
    rows: tuple[Tick, ...]  # names of rows of dots; `at` is y
    zero: float | None  # x of a vertical line
    marks: tuple[Mark, ...]
    lines: tuple[Line, ...]
    labels: tuple[Label, ...]


@dataclass(frozen=True)
class Picture:
    """A small picture of a figure."""

    label: str
    note: str
    png: str  # base64; empty where the record's picture cannot be read
    width: int
    height: int


@dataclass(frozen=True)
class Figure:
    """A chart or a row of pictures with its words and its numbers."""

    key: str
    title: str
    caption: str
    legend: tuple[tuple[str, int, str], ...]  # shape ("" for a line alone), number, what it stands for
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    plot: Plot | None = None
    pictures: tuple[Picture, ...] = ()


def legend(series: Sequence[Series]) -> tuple[tuple[str, int, str], ...]:
    """The series' entries of a figure's legend."""
    return tuple((one.shape, one.number, one.name) for one in series if one.name)


def plane(series: Sequence[Series], x: Axis, y: Axis) -> Plot:
    """A chart of x against y; on a logarithmic axis values must be positive."""
    points = [point for one in series for point in one.points]
    across = scale([point.x for point in points], LEFT, WIDTH - RIGHT, log=x.log)
    ends = [end for point in points for end in (point.low, point.high) if end is not None]
    up = scale([point.y for point in points] + ends, HEIGHT - BOTTOM, TOP, log=y.log)
    marks = tuple(_mark(one, point, across, up) for one in series for point in one.points if one.shape)
    lines = tuple(
        Line(" ".join(f"{across.at(p.x)},{up.at(p.y)}" for p in one.points), one.number)
        for one in series
        if one.joined and len(one.points) > 1
    )
    places = [(across.at(p.x), up.at(p.y), p.label) for one in series for p in one.points if p.label]
    labels = _labels(places, [(mark.x, mark.y) for mark in marks])
    xticks, yticks = across.ticks(7), up.ticks(6)
    return Plot(WIDTH, HEIGHT, LEFT, HEIGHT - BOTTOM, x.label, y.label, xticks, yticks, (), None, marks, lines, labels)


def _mark(one: Series, point: Point, across: Scale, up: Scale) -> Mark:
    x, y = across.at(point.x), up.at(point.y)
    whisker = None if point.low is None or point.high is None else (x, up.at(point.low), x, up.at(point.high))
    return Mark(x, y, one.shape, one.number, f"{point.label or one.name}: {point.x:g}, {point.y:g}", whisker)


def _labels(places: Sequence[tuple[float, float, str]], marks: Sequence[tuple[float, float]]) -> tuple[Label, ...]:
    """Labels beside their points where they hide no mark and no other label; one that fits nowhere is left to the chart's table."""
    taken = [(x - 6, y - 6, x + 6, y + 6) for x, y in marks]
    found = []
    for x, y, text in places:
        width = LETTER * len(text)
        for dx, dy, anchor in ((9, 4, "start"), (-9, 4, "end"), (0, -10, "middle"), (0, 18, "middle")):
            left = x + dx - {"start": 0.0, "end": width, "middle": width / 2}[anchor]
            box = (left, y + dy - LINE + 3, left + width, y + dy + 3)
            inside = box[0] >= LEFT and box[2] <= WIDTH and box[1] >= 0 and box[3] <= HEIGHT - BOTTOM
            if inside and not any(_overlap(box, other) for other in taken):
                taken.append(box)
                found.append(Label(round(x + dx, 1), round(y + dy, 1), anchor, text))
                break
    return tuple(found)


def _overlap(one: tuple[float, float, float, float], other: tuple[float, float, float, float]) -> bool:
    """Whether two boxes (left, top, right, bottom) share a place."""
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def dots(rows: Sequence[str], series: Sequence[Series], x: Axis, *, zero: bool = False) -> Plot:
    """Rows of dots along x; a point's y is the number of its row. `zero` draws the line at 0."""
    points = [point for one in series for point in one.points]
    values = [v for point in points for v in (point.x, point.low, point.high) if v is not None and math.isfinite(v)]
    across = scale([*values, 0.0] if zero else values, ROWS_LEFT, WIDTH - RIGHT, log=x.log)
    marks = []
    for lane, one in enumerate(series):
        for point in one.points:
            y = round(ROW * (point.y + (lane + 1) / (len(series) + 1)), 1)
            whisker = None if point.low is None or point.high is None else (across.at(point.low), y, across.at(point.high), y)
            title = f"{rows[int(point.y)]}, {one.name}: {point.x:g}"
            marks.append(Mark(across.at(point.x), y, one.shape, one.number, title, whisker))
    height = ROW * len(rows) + ROWS_BOTTOM
    names = tuple(Tick(ROW * number + ROW / 2, name) for number, name in enumerate(rows))
    line = across.at(0.0) if zero else None
    return Plot(WIDTH, height, ROWS_LEFT, height - ROWS_BOTTOM, x.label, "", across.ticks(6), (), names, line, tuple(marks), (), ())
