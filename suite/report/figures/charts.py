"""The geometry of every chart, as data for reports/templates/charts.html.j2: scales with round ticks, margins, marks, lines, labels.

Coordinates are SVG user units with the origin at the top left. Series are told apart by the shape of their marks and the dashes of their
lines first and by colour second, so that a chart can be read in grey. Every figure carries its numbers as a table.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

SHAPES = ("diamond", "disc", "block", "up", "plus", "ring")  # in the order in which series take them
ROW = 34.0  # height of a row of dots
LETTER, LINE = 7.0, 13.0  # width and height of a letter of a label, about


@dataclass(frozen=True)
class Frame:
    """A chart's size, its margins, and about how many ticks its axes have."""

    width: float
    height: float
    left: float
    right: float
    top: float
    bottom: float
    ticks: tuple[int, int]  # across, up

    @property
    def base(self) -> float:
        """Return where the horizontal axis lies."""
        return self.height - self.bottom


PLANE = Frame(720.0, 400.0, 64.0, 24.0, 14.0, 52.0, (7, 6))
PANEL = Frame(228.0, 118.0, 38.0, 6.0, 6.0, 20.0, (2, 4))  # a small one among many


@dataclass(frozen=True)
class Axis:
    """What an axis shows; `spread` holds values that it reaches beside the series' own, so that charts can share it."""

    label: str = ""
    log: bool = False
    spread: Sequence[float] = ()
    margin: bool = True


@dataclass(frozen=True)
class Tick:
    """A labelled place on an axis."""

    at: float
    text: str
    anchor: str = "middle"


@dataclass(frozen=True)
class Scale:
    """Where values lie between two ends, `begin` and `end`, in user units (`end` < `begin` for an axis that goes up)."""

    low: float  # of the values, or of their decimal logarithms
    high: float
    begin: float
    end: float
    log: bool = False

    def at(self, value: float) -> float:
        """Return the place of `value`, to a tenth of a unit."""
        return self._place(math.log10(value) if self.log else value)

    def ticks(self, count: int) -> tuple[Tick, ...]:
        """Return round places, about `count` of them on a linear scale."""
        found = _log_ticks(self.low, self.high) if self.log else _linear_ticks(self.low, self.high, count)
        return tuple(Tick(self._place(place), text) for place, text in found)

    def _place(self, place: float) -> float:
        return round(self.begin + (place - self.low) * (self.end - self.begin) / (self.high - self.low), 1)


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
    """Points that belong together; `number` chooses colour and dashes, no `shape` leaves the points unmarked."""

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
    point: Point | None = None


@dataclass(frozen=True)
class Label:
    """A text in a chart."""

    x: float
    y: float
    anchor: str
    text: str


@dataclass(frozen=True)
class Polyline:
    """A polyline: `points` is the attribute of the same name."""

    points: str
    number: int


@dataclass(frozen=True)
class Plot:
    """A chart, ready to be drawn."""

    frame: Frame
    xlabel: str
    ylabel: str
    xticks: tuple[Tick, ...]
    yticks: tuple[Tick, ...]
    marks: tuple[Mark, ...]
    lines: tuple[Polyline, ...]
    labels: tuple[Label, ...] = ()
    rows: tuple[Tick, ...] = ()  # names of rows of dots; `at` is y
    zero: float | None = None  # x of a vertical line


@dataclass(frozen=True)
class Thumbnail:
    """A small picture of a figure."""

    label: str
    note: str
    png: str  # base64; empty where the record's picture cannot be read
    width: int
    height: int


@dataclass(frozen=True)
class Budget:
    """What the slider of a figure of quality against cost says: a budget leaves the labelled points that cost no more."""

    unit: str  # of the cost
    quality: str  # what it is called, and how it is known
    digits: int  # of the quality
    higher: bool  # is better


@dataclass(frozen=True)
class Figure:
    """A chart or a row of pictures with its words and its numbers."""

    key: str
    title: str
    caption: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    series: Sequence[Series] = ()  # of the legend: those that have a name
    plot: Plot | None = None
    pictures: tuple[Thumbnail, ...] = ()
    budget: Budget | None = None


def find_frontier(points: Sequence[Point], higher: bool) -> tuple[Point, ...]:
    """Return the points that no other beats, the cheapest first: none costs less (x) and is as good (y), or costs as much and is better."""
    found: list[Point] = []
    for point in sorted(points, key=lambda point: (point.x, -point.y if higher else point.y)):
        if not found or (point.y > found[-1].y if higher else point.y < found[-1].y):
            found.append(point)
    return tuple(found)


def number_series(points: Mapping[str, Sequence[Point]], *, joined: bool = False) -> list[Series]:
    """Return a series for each name, with the shapes and colours in their order."""
    places = [number % len(SHAPES) for number in range(len(points))]
    return [Series(name, SHAPES[at], tuple(held), at, joined) for at, (name, held) in zip(places, points.items(), strict=True)]


def draw_plane(series: Sequence[Series], x: Axis, y: Axis, frame: Frame = PLANE) -> Plot:
    """Draw a chart of x against y; on a logarithmic axis values must be positive."""
    points = [point for one in series for point in one.points]
    across = _scale(x, [point.x for point in points], frame.left, frame.width - frame.right)
    up = _scale(y, [value for point in points for value in (point.y, point.low, point.high)], frame.base, frame.top)
    marks = tuple(_mark(one, point, across, up) for one in series for point in one.points if one.shape)
    lines = tuple(
        Polyline(" ".join(f"{across.at(p.x)},{up.at(p.y)}" for p in one.points), one.number)
        for one in series
        if one.joined and len(one.points) > 1
    )
    labels = _labels([(across.at(p.x), up.at(p.y), p.label) for p in points if p.label], [(mark.x, mark.y) for mark in marks], frame)
    return Plot(frame, x.label, y.label, across.ticks(frame.ticks[0]), up.ticks(frame.ticks[1]), marks, lines, labels)


def draw_dots(rows: Sequence[str], series: Sequence[Series], x: Axis, *, zero: bool = False) -> Plot:
    """Draw rows of dots along x; a point's y is the number of its row, in which each series has a lane. `zero` draws the line at 0."""
    frame = replace(PLANE, height=ROW * len(rows) + 46, left=190.0, top=0.0, bottom=46.0)
    values = [value for one in series for point in one.points for value in (point.x, point.low, point.high)]
    across = _scale(x, [*values, 0.0 if zero else None], frame.left, frame.width - frame.right)
    down = Scale(0.0, len(rows), 0.0, frame.base)
    marks = tuple(
        _mark(one, replace(point, y=point.y + (lane + 1) / (len(series) + 1)), across, down, rows)
        for lane, one in enumerate(series)
        for point in one.points
    )
    names = tuple(Tick(down.at(number + 0.5), name) for number, name in enumerate(rows))
    return Plot(frame, x.label, "", across.ticks(6), (), marks, (), rows=names, zero=across.at(0.0) if zero else None)


def _mark(one: Series, point: Point, across: Scale, up: Scale, rows: Sequence[str] = ()) -> Mark:
    x, y, whisker = across.at(point.x), up.at(point.y), None
    if point.low is not None and point.high is not None:
        whisker = (across.at(point.low), y, across.at(point.high), y) if rows else (x, up.at(point.low), x, up.at(point.high))
    title = f"{rows[int(point.y)]}, {one.name}: {point.x:g}" if rows else f"{point.label or one.name}: {point.x:g}, {point.y:g}"
    return Mark(x, y, one.shape, one.number, title, whisker, point)


def _labels(places: Sequence[tuple[float, float, str]], marks: Sequence[tuple[float, float]], frame: Frame) -> tuple[Label, ...]:
    """Put labels beside their points where they hide no mark and no other label; leave one that fits nowhere to the figure's table."""
    taken = [(x - 6, y - 6, x + 6, y + 6) for x, y in marks]  # left, top, right, bottom
    found = []
    for x, y, text in places:
        width = LETTER * len(text)
        for dx, dy, anchor in ((9, 4, "start"), (-9, 4, "end"), (0, -10, "middle"), (0, 18, "middle")):
            left = x + dx - {"start": 0.0, "end": width, "middle": width / 2}[anchor]
            box = (left, y + dy - LINE + 3, left + width, y + dy + 3)
            inside = box[0] >= frame.left and box[2] <= frame.width and box[1] >= 0 and box[3] <= frame.base
            if inside and not any(box[0] < o[2] and o[0] < box[2] and box[1] < o[3] and o[1] < box[3] for o in taken):
                taken.append(box)
                found.append(Label(round(x + dx, 1), round(y + dy, 1), anchor, text))
                break
    return tuple(found)


def _scale(axis: Axis, values: Sequence[float | None], begin: float, end: float) -> Scale:
    """Return the scale that holds the finite ones of `values` and the axis's spread (all positive on a logarithmic axis)."""
    held = [value for value in (*values, *axis.spread) if value is not None and math.isfinite(value)]
    low, high = (math.log10(value) if axis.log else value for value in (min(held), max(held)))
    margin = (0.05 * (high - low) or 0.05 * abs(high) or 1.0) if axis.margin else 0.0
    return Scale(low - margin, high + margin, begin, end, axis.log)


def _linear_ticks(low: float, high: float, count: int) -> list[tuple[float, str]]:
    """Return round places between two values, about `count` of them."""
    rough = (high - low) / count
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(step * power for step in (1, 2, 5, 10) if step * power >= rough * 0.999)
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    places = [number * step for number in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]
    return [(place, f"{place:,.{digits}f}".replace("-", "−")) for place in places]


def _log_ticks(low: float, high: float) -> list[tuple[float, str]]:
    """Return round factors of powers of ten between two decimal logarithms, the fewer the more decades; else round places."""
    dense = (1, 1.5, 2, 2.5, 3, 4, 5, 6, 7, 8, 9) if high - low < 0.6 else (1, 1.5, 2, 3, 5, 7)
    factors = dense if high - low < 1.2 else (1, 2, 5) if high - low < 3 else (1,)
    values = [factor * 10.0**power for power in range(math.floor(low), math.ceil(high) + 1) for factor in factors]
    inside = [(math.log10(value), f"{value:,.0f}" if value >= 1 else f"{value:g}") for value in values if low <= math.log10(value) <= high]
    if len(inside) >= 2:
        return inside
    return [(math.log10(value), text) for value, text in _linear_ticks(10**low, 10**high, 3) if value > 0]
