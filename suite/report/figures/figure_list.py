"""The report's figures from its tables and records: ablations, quality against cost, cost against size, receptive fields, run times."""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from suite.core.text import format_fixed, format_signed
from suite.records.kinds.profile import ProfileRecord
from suite.records.kinds.scan import ScanRecord, ScanTiming
from suite.records.pictures import UnreadablePicture
from suite.records.record import ReceptiveField, Record
from suite.report.figures.charts import Axis, Budget, Figure, Point, Series, Thumbnail, draw_dots, draw_plane, find_frontier, number_series
from suite.report.settings import Setting, group_by_setting, setting_heading
from suite.report.tables.model import Table, TableColumn, TableRow

MOST_LINES = 6  # of a figure: more cannot be told apart
WORK = "forward"  # of the scans in the figure of their times
HOLLOW = ("circle", "square", "triangle", "cross")  # published data sets, in column order
FILLED = ("diamond", "disc", "block")  # measured, by settings
MS = Axis("ms, logarithmic", log=True)


@dataclass(frozen=True)
class Tradeoff:
    """A figure of quality against cost: which columns of which table, and of which group of its rows."""

    table: str
    cost: str
    quality: str
    group: str = ""


TRADEOFFS = (
    Tradeoff("vmambair-2", "macs", "ntire2020-lpips"),  # what VmambaIR's figure 1 is about
    Tradeoff("mambair-4", "macs", "urban100-psnr", "×2"),
    Tradeoff("mambair-4", "macs", "urban100-psnr", "×4"),
)


def draw_ablations(table: Table) -> Figure | None:
    """Draw quality differences from the baseline row, published beside measured; None where the table has no baseline."""
    rows = [row for row in table.rows if not row.baseline]
    qualities = [index for index, column in enumerate(table.columns) if column.kind in ("quality", "retrained")]
    if len(rows) == len(table.rows) or not qualities:
        return None
    metric, unit = table.columns[qualities[0]].metric, table.columns[qualities[0]].unit
    shown = [index for index in qualities if table.columns[index].metric == metric and table.columns[index].printed]
    taken = [index for index in _measured_columns(table) if table.columns[index].metric == metric]
    series = [
        Series(f"published, {table.columns[index].detail}", shape, _published_changes(rows, index), 1)
        for shape, index in zip(HOLLOW, shown, strict=False)
    ]
    series += [
        Series(f"measured, {_column_heading(table.columns[index])}", shape, _measured_changes(rows, index), 0)
        for shape, index in zip(FILLED, taken, strict=False)
    ]
    series = [one for one in series if one.points]
    if not series:
        return None
    labels = [row.label for row in rows]
    few = any(found and found.covers for row in rows for index in taken if (found := row.cells[index].delta_measured))
    approximate = "; approximate: the table says what it covers" if few else ""
    told = f"measured here, with the 95 % interval where there is one (over seeds; with one seed, over images only{approximate})."
    if shown:
        told = f"Hollow: published. Filled: {told} Sizes measured at another budget cannot be compared with the published ones; "
        told += "the order of the rows may still be comparable."
    else:
        told = f"All were {told}"
    digits = table.columns[qualities[0]].digits
    return Figure(
        key=f"differences-{table.published.id}",
        title=f"Effect of each change: {table.paper.name}, {table.published.place}.",
        caption=f"Differences from the baseline row in {unit}; right of the line is better. {told}",
        series=series,
        head=("Change", *(one.name for one in series)),
        rows=tuple((label, *(describe_change(one, number, digits) for one in series)) for number, label in enumerate(labels)),
        plot=draw_dots(labels, series, Axis(f"difference in {unit}"), zero=True),
    )


def _measured_columns(table: Table) -> list[int]:
    """Return the indices of the columns with measured quality, one for each setting."""
    found: dict[Setting, int] = {}
    for index, column in enumerate(table.columns):
        for row in table.rows:
            measured = row.cells[index].measured
            if column.kind in ("quality", "retrained") and measured and measured.setting:
                found.setdefault(measured.setting, index)
    return list(found.values())


def _column_heading(column: TableColumn) -> str:
    """Return what a column's measurements are called away from their table."""
    return f"{column.group}: {column.detail}" if column.kind == "retrained" else f"Paper budget: test set {column.detail}"


def _published_changes(rows: Sequence[TableRow], index: int) -> tuple[Point, ...]:
    found = [row.cells[index].delta_published for row in rows]
    return tuple(Point(value, number) for number, value in enumerate(found) if value is not None)


def _measured_changes(rows: Sequence[TableRow], index: int) -> tuple[Point, ...]:
    found = [row.cells[index].delta_measured for row in rows]
    return tuple(
        Point(one.value, number, "", *(one.interval or ())) for number, one in enumerate(found) if one and math.isfinite(one.value)
    )


def describe_change(series: Series, number: int, digits: int = 2) -> str:
    """Return the difference of a row of dots, with its interval, to so many digits."""
    point = next((point for point in series.points if point.y == number), None)
    if point is None:
        return "–"
    interval = (
        "" if point.low is None or point.high is None else f" [{format_signed(point.low, digits)}, {format_signed(point.high, digits)}]"
    )
    return format_signed(point.x, digits) + interval


def draw_tradeoffs(tables: Sequence[Table]) -> tuple[Figure, ...]:
    """Draw quality against cost, as printed and as counted or measured here."""
    by_id = {table.published.id: table for table in tables}
    return tuple(found for one in TRADEOFFS if (found := _tradeoff(by_id[one.table], one)) is not None)


def _tradeoff(table: Table, wanted: Tradeoff) -> Figure | None:
    places = {column.key: index for index, column in enumerate(table.columns)}
    x, y = places[wanted.cost], places[wanted.quality]
    cost, quality = table.columns[x], table.columns[y]
    rows = [row for row in table.rows if row.group == wanted.group and None not in (row.cells[x].published, row.cells[y].published)]
    if not rows:
        return None
    counted = [row for row in rows if row.cells[x].measured]
    found = tuple(_found(row, x, y) for row in counted)
    series = [
        Series("printed", "ring", tuple(_named(table, row, x, y) for row in rows if row.model is None), 1),
        Series("printed, the paper’s own design", "gem", tuple(_named(table, row, x, y) for row in rows if row.model is not None), 0),
    ]
    if found:
        series.append(Series("cost counted here; quality measured here where comparable, otherwise as printed", "diamond", found, 0))
    ties = [Series("", "", (_printed(row, x, y), _found(row, x, y)), 0, joined=True) for row in counted]
    spent, higher = cost.label.partition(" (")[0], quality.direction != "lower"
    better = "higher" if higher else "lower"
    frontier = Series("", "", find_frontier([_printed(row, x, y) for row in rows], higher), 1, joined=True)
    return Figure(
        key=f"figure-{wanted.table}-{wanted.quality}" + (f"-x{wanted.group[1:]}" if wanted.group else ""),
        title=f"{quality.group} {quality.label} against cost{f', {wanted.group}' if wanted.group else ''}.",
        caption=f"{table.paper.name}, {table.published.place}: {spent} in {cost.unit} as the paper counts them, on a logarithmic "
        f"scale; {quality.metric}, {better} is better. The line joins what no network of the table beats in both, as printed.",
        series=series,
        head=("Network", f"{spent}, {cost.unit}, printed", "counted here", f"{quality.label}, printed", "measured here"),
        rows=tuple(_tradeoff_row(row, x, y, cost, quality) for row in rows),
        plot=draw_plane([frontier, *ties, *series], Axis(f"{spent}, {cost.unit}", log=True), Axis(f"{quality.metric}, {better} is better")),
        budget=Budget(f"{cost.unit} {spent}", f"{quality.unit} {quality.metric} as printed".strip(), quality.digits, higher),
    )


def _named(table: Table, row: TableRow, x: int, y: int) -> Point:
    """Return the printed point with what its network is called away from the table."""
    return replace(_printed(row, x, y), label=table.paper.name if row.label == "Ours" else row.label)


def _printed(row: TableRow, x: int, y: int) -> Point:
    return Point(float(row.cells[x].published or 0), float(row.cells[y].published or 0))


def _found(row: TableRow, x: int, y: int) -> Point:
    cost, quality, printed = row.cells[x].measured, row.cells[y].measured, _printed(row, x, y)
    interval = quality.estimate.interval if quality else None
    return Point(cost.estimate.mean if cost else printed.x, quality.estimate.mean if quality else printed.y, "", *(interval or ()))


def _tradeoff_row(row: TableRow, x: int, y: int, cost: TableColumn, quality: TableColumn) -> tuple[str, ...]:
    texts = [row.label]
    for index, column in ((x, cost), (y, quality)):
        cell = row.cells[index]
        texts.append(format_fixed(float(cell.published or 0), column.digits))
        texts.append(format_fixed(cell.measured.estimate.mean, column.digits) if cell.measured else "–")
    return tuple(texts)


def draw_growth(profiles: Sequence[ProfileRecord]) -> tuple[Figure, ...]:
    """Draw cost and time against the input's size (MambaIR, figure 5), beside full attention in the place of the scans."""
    costs = _by_size(profiles, lambda profile: profile.cost.macs / 1e9 if profile.cost else None)
    attention = _by_size(profiles, lambda profile: (profile.cost.full_attention_macs or 0) / 1e9 or None if profile.cost else None)
    costs |= {f"{model} with full attention instead of scans": points for model, points in attention.items()}
    times = _by_size(profiles, lambda profile: profile.latency.median_ms if profile.latency else None)
    found = (
        _growth(costs, "cost", "How cost grows with the input size.", "G multiply-adds, logarithmic", "multiply-adds in G"),
        _growth(times, "time", "How time grows with the input size.", "ms, logarithmic", "median ms"),
    )
    return tuple(figure for figure in found if figure is not None)


Sizes = dict[tuple[int, int], float]  # a value for each input size


def _by_size(profiles: Sequence[ProfileRecord], value: Callable[[ProfileRecord], float | None]) -> dict[str, Sizes]:
    """Return the values by what is plotted as one line; lines have two sizes or more."""
    found: dict[str, Sizes] = {}
    for profile in sorted(profiles, key=lambda profile: math.prod(profile.spec.input_size)):
        number = value(profile)
        if number is not None:
            backend = f" · {profile.spec.backend}" if profile.spec.timed and profile.latency and "none" not in profile.spec.backend else ""
            found.setdefault(profile.spec.model + backend, {})[profile.spec.input_size] = number
    return {name: sizes for name, sizes in found.items() if len(sizes) > 1}


def _growth(lines: Mapping[str, Sizes], key: str, title: str, label: str, unit: str) -> Figure | None:
    lines = dict(list(lines.items())[:MOST_LINES])
    if not lines:
        return None
    series = number_series({n: [Point(math.prod(size), value) for size, value in sizes.items()] for n, sizes in lines.items()}, joined=True)
    every = sorted({size for sizes in lines.values() for size in sizes}, key=math.prod)
    return Figure(
        key=f"figure-growth-{key}",
        title=title,
        caption="Both axes are logarithmic: a straight line of slope one is linear growth with the number of pixels.",
        series=series,
        head=(f"Network, {unit}", *(f"{height}×{width}" for height, width in every)),
        rows=tuple((name, *(f"{sizes[size]:,.3g}" if size in sizes else "–" for size in every)) for name, sizes in lines.items()),
        plot=draw_plane(series, Axis("pixels of the low-quality input, logarithmic", log=True), Axis(label, log=True)),
    )


def draw_network_times(profiles: Sequence[ProfileRecord]) -> tuple[Figure, ...]:
    """Draw the median time of a pass of whole networks by backend, one figure for each input size and device."""
    groups: dict[tuple[tuple[int, int], str, int], list[ProfileRecord]] = {}
    for profile in profiles:
        if profile.latency:
            groups.setdefault((profile.spec.input_size, profile.spec.device, profile.spec.threads), []).append(profile)
    found = []
    for ((height, width), device, threads), members in sorted(groups.items(), key=lambda group: group[0]):
        names = list(dict.fromkeys(profile.spec.model for profile in members))
        points: dict[str, list[Point]] = {}
        for profile in members:
            point = Point(profile.latency.median_ms, names.index(profile.spec.model), "", *profile.latency.quartiles_ms)
            points.setdefault(profile.spec.backend, []).append(point)
        series = number_series(points)
        found.append(
            Figure(
                key=f"figure-networks-{height}x{width}-{device}-{threads}",
                title=f"Run time of networks at {height}×{width}.",
                caption=f"Medians and quartiles after a warm-up, on {device}, {threads} threads; the cold start is listed below.",
                series=series,
                head=("Network", "backend", "median ms", "quartiles", "cold start ms", "peak memory MiB"),
                rows=tuple(_latency_row(profile) for profile in members),
                plot=draw_dots(names, series, MS),
            )
        )
    return tuple(found)


def _latency_row(profile: ProfileRecord) -> tuple[str, ...]:
    times = profile.latency
    low, high = times.quartiles_ms
    memory = "–" if times.peak_memory_mib is None else f"{times.peak_memory_mib:,.0f}"
    ends = f"{low:,.0f}–{high:,.0f}" + (" (noisy)" if times.noisy else "")
    return (profile.spec.model, profile.spec.backend, f"{times.median_ms:,.0f}", ends, f"{times.cold_ms:,.0f}", memory)


def draw_receptive_fields(records: Sequence[Record], names: Mapping[str, str]) -> tuple[Figure, ...]:
    """Show on which pixels trained networks depend (MambaIR, figure 1), one figure for each setting: the first seed of each network.

    `names` are what the papers call the networks, by their models; others go by their models.
    """
    found, groups = [], group_by_setting(records)
    for setting, alike in groups.items():
        fields = {record.spec.model: record.receptive_field for record in reversed(alike) if record.receptive_field}
        if not fields:
            continue
        held = list(reversed(fields.items()))
        first = held[0][1]
        found.append(
            Figure(
                key=f"figure-receptive-field-{alike[0].fingerprint}",
                title=f"Receptive field: {setting_heading(setting, groups)}.",
                caption=f"Mean gradient of the output’s centre over {first.images} crops of {first.side}×{first.side} pixels, logarithmic: "
                "the brighter a pixel, the more the centre depends on it. Below each: the share of the crop that holds half of all "
                "dependence. It shows where these trained networks look, not how good they are.",
                head=("Network", *(f"share that holds {percentage} %" for percentage in first.shares)),
                rows=tuple((_both(model, names), *(_percent(field.shares[key]) for key in first.shares)) for model, field in held),
                pictures=tuple(_map(_both(model, names), field) for model, field in held),
            )
        )
    return tuple(found)


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %" if share >= 0.001 or share == 0 else "less than 0.1 %"


def _both(model: str, names: Mapping[str, str]) -> str:
    """Return a network's name in its paper and its model's."""
    return f"{names[model]} ({model})" if names.get(model, model) != model else model


def _map(label: str, field: ReceptiveField) -> Thumbnail:
    """Draw the map of a network; where its picture cannot be read, the note says why."""
    note = f"half within {_percent(field.shares['50'])}"
    try:
        return Thumbnail(label, note, base64.b64encode(field.map_png.read()).decode(), field.side, field.side)
    except UnreadablePicture as error:
        return Thumbnail(label, f"{note}; {error.note}", "", field.side, field.side)


def draw_scan_times(scans: Sequence[ScanRecord]) -> tuple[Figure, ...]:
    """Draw the median time of a scan by case and backend, one figure for each machine, device and type."""
    groups: dict[tuple[str, str, str, int], list[ScanRecord]] = {}
    for record in scans:
        if record.status == "done" and record.findings:
            spec = record.spec
            groups.setdefault((spec.machine, spec.device, spec.dtype, spec.threads), []).append(record)
    return tuple(found for key, members in groups.items() if (found := _scan_latency(members, *key[1:])) is not None)


def _scan_latency(records: Sequence[ScanRecord], device: str, dtype: str, threads: int) -> Figure | None:
    timings = {record.spec.backend: found for record in records if (found := _forward(record))}
    cases = list(dict.fromkeys(case for found in timings.values() for case in found))
    if not cases:
        return None
    series = number_series({name: [_time(cases.index(case), t) for case, t in found.items()] for name, found in timings.items()})
    machine = next((dict(r.provenance.machine) for r in records if r.provenance), {})
    place = f"{machine.get('cpu', 'a processor')}, {threads} threads" if device == "cpu" else f"{machine.get('gpu', 'a GPU')}"
    return Figure(
        key=f"figure-latency-{device}-{dtype}-{records[0].fingerprint}",
        title="Scan time by backend.",
        caption=f"Forward pass of the layers of real networks, {dtype}, on {place}: medians with their quartiles; left is faster.",
        series=series,
        head=("Layer", *(f"{name}, ms [quartiles]" for name in timings)),
        rows=tuple((case, *(_time_text(found.get(case)) for found in timings.values())) for case in cases),
        plot=draw_dots(cases, series, MS),
    )


def _forward(record: ScanRecord) -> dict[str, ScanTiming]:
    return {t.case: t for t in record.findings.timings if t.work == WORK and t.path == "sequences" and t.median_ms}


def _time(row: int, timing: ScanTiming) -> Point:
    return Point(timing.median_ms or 0.0, row, "", *(timing.quartiles_ms or ()))


def _time_text(timing: ScanTiming | None) -> str:
    if timing is None:
        return "–"
    low, high = timing.quartiles_ms or (timing.median_ms, timing.median_ms)
    return f"{timing.median_ms:,.2f} [{low:,.2f}, {high:,.2f}]" + (" noisy" if timing.noisy else "")
