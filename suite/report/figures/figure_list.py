"""The report's figures from its tables and records: quality against cost, cost against size, receptive fields, latency.

The differences of ablations stand below their tables (suite/report/figures/curves.py), training curves in a section of their own.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from suite.core.text import fixed
from suite.records.pictures import UnreadablePicture
from suite.records.profile import ProfileRecord
from suite.records.record import ReceptiveField, Record
from suite.records.scan import ScanRecord, Timing
from suite.report.figures.charts import SHAPES, Axis, Figure, Picture, Plot, Point, Series, dots, legend, plane
from suite.report.measured import by_condition, heading
from suite.report.tables import Column, Row, Table

MOST_LINES = 6  # of a figure: more cannot be told apart
WORK = "forward"  # of the scans in the latency figure


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


def tradeoffs(tables: Sequence[Table]) -> tuple[Figure, ...]:
    """Quality against cost, as printed and as counted or measured here."""
    by_id = {table.published.id: table for table in tables}
    return tuple(found for one in TRADEOFFS if (found := _tradeoff(by_id[one.table], one)) is not None)


def _tradeoff(table: Table, wanted: Tradeoff) -> Figure | None:
    places = {column.key: index for index, column in enumerate(table.columns)}
    x, y = places[wanted.cost], places[wanted.quality]
    cost, quality = table.columns[x], table.columns[y]
    rows = [row for row in table.rows if row.group == wanted.group and None not in (row.cells[x].published, row.cells[y].published)]
    if not rows:
        return None
    others = tuple(_printed(row, x, y) for row in rows if row.model is None)
    ours = tuple(_printed(row, x, y) for row in rows if row.model is not None)
    counted = [row for row in rows if row.cells[x].measured]
    found = tuple(_found(row, x, y) for row in counted)
    series = [Series("printed", "ring", others, 1), Series("printed, of the paper's own design", "gem", ours, 0)]
    if found:
        series.append(Series("cost as counted here; quality measured here where it may be compared, else as printed", "diamond", found, 0))
    ties = [Series("", "", (replace(_printed(row, x, y), label=""), _found(row, x, y)), 0, joined=True) for row in counted]
    name, spent = f"{table.paper.name}, Table {table.published.number}", cost.label.partition(" (")[0]
    scale = f", {wanted.group}" if wanted.group else ""
    better = "lower" if quality.direction == "lower" else "higher"
    axes = Axis(f"{spent}, {cost.unit}", log=True), Axis(f"{quality.metric}, {better} is better")
    return Figure(
        key=f"figure-{wanted.table}-{wanted.quality}" + (f"-x{wanted.group[1:]}" if wanted.group else ""),
        title=f"{quality.group} {quality.label} against cost{scale}.",
        caption=f"{name}: {spent} in {cost.unit} as the paper counts them, on a logarithmic scale; {quality.metric}, {better} is better.",
        legend=legend(series),
        head=("Network", f"{spent}, {cost.unit}, printed", "counted here", f"{quality.label}, printed", "measured here"),
        rows=tuple(_tradeoff_row(row, x, y, cost, quality) for row in rows),
        plot=plane([*ties, *series], *axes),
    )


def _printed(row: Row, x: int, y: int) -> Point:
    return Point(float(row.cells[x].published or 0), float(row.cells[y].published or 0), row.label)


def _found(row: Row, x: int, y: int) -> Point:
    cost, quality = row.cells[x].measured, row.cells[y].measured
    across = cost.estimate.mean if cost else float(row.cells[x].published or 0)
    interval = quality.estimate.interval if quality else None
    up = quality.estimate.mean if quality else float(row.cells[y].published or 0)
    return Point(across, up, "", *(interval or (None, None)))


def _tradeoff_row(row: Row, x: int, y: int, cost: Column, quality: Column) -> tuple[str, ...]:
    texts = [row.label]
    for index, column in ((x, cost), (y, quality)):
        cell = row.cells[index]
        texts.append(fixed(float(cell.published or 0), column.digits))
        texts.append(fixed(cell.measured.estimate.mean, column.digits) if cell.measured else "–")
    return tuple(texts)


def growth(profiles: Sequence[ProfileRecord]) -> tuple[Figure, ...]:
    """Cost and time against the input's size (MambaIR, figure 5), beside full attention in the place of the scans."""
    costs = _by_size(profiles, lambda profile: profile.cost.macs / 1e9 if profile.cost else None)
    attention = _by_size(profiles, lambda profile: (profile.cost.full_attention_macs or 0) / 1e9 or None if profile.cost else None)
    lines = [(f"{model}", points, True) for model, points in costs.items()]
    lines += [(f"{model} with full attention for its scans", points, False) for model, points in attention.items()]
    times = _by_size(profiles, lambda profile: profile.latency.median_ms if profile.latency else None)
    found = (
        _growth(lines, "cost", "How cost grows with the input.", "G multiply-adds, logarithmic", "multiply-adds in G"),
        _growth([(m, p, True) for m, p in times.items()], "time", "How time grows with the input.", "ms, logarithmic", "median ms"),
    )
    return tuple(figure for figure in found if figure is not None)


def _by_size(profiles: Sequence[ProfileRecord], value: Callable[[ProfileRecord], float | None]) -> dict[str, dict[tuple[int, int], float]]:
    """By what is plotted as one line, a value for each input size; those with two sizes or more."""
    found: dict[str, dict[tuple[int, int], float]] = {}
    for profile in sorted(profiles, key=lambda profile: math.prod(profile.spec.input_size)):
        number = value(profile)
        if number is not None:
            backend = f" · {profile.spec.backend}" if profile.spec.timed and profile.latency and "none" not in profile.spec.backend else ""
            found.setdefault(profile.spec.model + backend, {})[profile.spec.input_size] = number
    return {name: sizes for name, sizes in found.items() if len(sizes) > 1}


def _growth(
    lines: Sequence[tuple[str, Mapping[tuple[int, int], float], bool]], key: str, title: str, label: str, unit: str
) -> Figure | None:
    lines = lines[:MOST_LINES]
    if not lines:
        return None
    series = [
        Series(
            name, SHAPES[number % len(SHAPES)], tuple(Point(math.prod(s), v) for s, v in sizes.items()), number % len(SHAPES), joined=True
        )
        for number, (name, sizes, _) in enumerate(lines)
    ]
    every = sorted({size for _, sizes, _ in lines for size in sizes}, key=math.prod)
    rows = tuple((name, *(f"{sizes[s]:,.3g}" if s in sizes else "–" for s in every)) for name, sizes, _ in lines)
    return Figure(
        key=f"figure-growth-{key}",
        title=title,
        caption="Both axes are logarithmic: a straight line of slope one is linear growth with the number of pixels.",
        legend=legend(series),
        head=(f"Network, {unit}", *(f"{height}×{width}" for height, width in every)),
        rows=rows,
        plot=plane(series, Axis("pixels of the low-quality input, logarithmic", log=True), Axis(label, log=True)),
    )


def network_latency(profiles: Sequence[ProfileRecord]) -> tuple[Figure, ...]:
    """Median time of a pass of whole networks by backend, one figure an input size and device."""
    groups: dict[tuple[tuple[int, int], str, int], list[ProfileRecord]] = {}
    for profile in profiles:
        if profile.latency:
            groups.setdefault((profile.spec.input_size, profile.spec.device, profile.spec.threads), []).append(profile)
    found = []
    for ((height, width), device, threads), members in sorted(groups.items(), key=lambda group: group[0]):
        names, backends = (list(dict.fromkeys(getattr(p.spec, field) for p in members)) for field in ("model", "backend"))
        series = [
            Series(
                backend,
                SHAPES[number % len(SHAPES)],
                tuple(
                    Point(p.latency.median_ms, names.index(p.spec.model), "", *p.latency.quartiles_ms)
                    for p in members
                    if p.latency and p.spec.backend == backend
                ),
                number % len(SHAPES),
            )
            for number, backend in enumerate(backends)
        ]
        found.append(
            Figure(
                key=f"figure-networks-{height}x{width}-{device}-{threads}",
                title=f"How long a network takes at {height}×{width}.",
                caption=f"Medians with their quartiles after a warm-up, on {device}, {threads} threads; a cold start is apart.",
                legend=legend(series),
                head=("Network", "backend", "median ms", "quartiles", "cold start ms", "peak memory MiB"),
                rows=tuple(_latency_row(p) for p in members),
                plot=dots(names, series, Axis("ms, logarithmic", log=True)),
            )
        )
    return tuple(found)


def _latency_row(profile: ProfileRecord) -> tuple[str, ...]:
    times = profile.latency
    if times is None:
        return (profile.spec.model, profile.spec.backend, "–", "–", "–", "–")
    low, high = times.quartiles_ms
    memory = "–" if times.peak_memory_mib is None else f"{times.peak_memory_mib:,.0f}"
    ends = f"{low:,.0f}–{high:,.0f}" + (" (noisy)" if times.noisy else "")
    return (profile.spec.model, profile.spec.backend, f"{times.median_ms:,.0f}", ends, f"{times.cold_ms:,.0f}", memory)


def receptive_fields(records: Sequence[Record]) -> tuple[Figure, ...]:
    """What trained networks see (MambaIR, figure 1), one figure a condition: the first seed of each network."""
    found = []
    for alike in by_condition(records):
        fields = {record.spec.model: record.receptive_field for record in reversed(alike) if record.receptive_field}
        if not fields:
            continue
        held = [(model, field) for model, field in reversed(fields.items()) if field]
        percentages = tuple(held[0][1].shares)
        found.append(
            Figure(
                key=f"figure-receptive-field-{alike[0].fingerprint}",
                title=f"What the output's centre depends on: {heading(alike[0].spec)}.",
                caption=f"Mean gradient over {held[0][1].images} crops of {held[0][1].side}×{held[0][1].side} pixels, logarithmic: the "
                "brighter a pixel, the more it counts. Below each: the part of the crop in which half of all dependence lies. It tells "
                "where these trained networks look, not how well.",
                legend=(),
                head=("Network", *(f"part that holds {percentage} %" for percentage in percentages)),
                rows=tuple((model, *(f"{100 * field.shares[key]:.1f} %" for key in percentages)) for model, field in held),
                pictures=tuple(_map(model, field) for model, field in held),
            )
        )
    return tuple(found)


def _map(model: str, field: ReceptiveField) -> Picture:
    """Draw the map of a network; where its picture cannot be read, the note says why."""
    note = f"half within {100 * field.shares['50']:.1f} %"
    try:
        return Picture(model, note, base64.b64encode(field.map_png.read()).decode(), field.side, field.side)
    except UnreadablePicture as error:
        return Picture(model, f"{note}; {error.note}", "", field.side, field.side)


def scan_latency(scans: Sequence[ScanRecord]) -> tuple[Figure, ...]:
    """Median time of a scan by case and backend, one figure a machine, device and type."""
    groups: dict[tuple[str, str, str, int], list[ScanRecord]] = {}
    for record in scans:
        if record.status == "done" and record.findings:
            spec = record.spec
            groups.setdefault((spec.machine, spec.device, spec.dtype, spec.threads), []).append(record)
    return tuple(found for key, members in groups.items() if (found := _latency(members, *key[1:])) is not None)


def _latency(records: Sequence[ScanRecord], device: str, dtype: str, threads: int) -> Figure | None:
    timings = {record.spec.backend: _forward(record) for record in records}
    cases = list(dict.fromkeys(case for found in timings.values() for case in found))
    if not cases:
        return None
    series = [
        Series(backend, SHAPES[number % len(SHAPES)], tuple(_time(cases.index(case), t) for case, t in found.items()), number)
        for number, (backend, found) in enumerate(timings.items())
        if found
    ]
    machine = next((dict(r.provenance.machine) for r in records if r.provenance), {})
    place = f"{machine.get('cpu', 'a processor')}, {threads} threads" if device == "cpu" else f"{machine.get('gpu', 'a GPU')}"
    rows = tuple((case, *(_time_text(timings[one.name].get(case)) for one in series)) for case in cases)
    plot: Plot = dots(cases, series, Axis("ms, logarithmic", log=True))
    return Figure(
        key=f"figure-latency-{device}-{dtype}-{records[0].fingerprint}",
        title="How long a scan takes, by backend.",
        caption=f"Forward pass of the layers of real networks, {dtype}, on {place}: medians with their quartiles; left is faster.",
        legend=legend(series),
        head=("Layer", *(f"{one.name}, ms [quartiles]" for one in series)),
        rows=rows,
        plot=plot,
    )


def _forward(record: ScanRecord) -> dict[str, Timing]:
    held = record.findings.timings if record.findings else ()
    return {t.case: t for t in held if t.work == WORK and t.path == "sequences" and t.median_ms}


def _time(row: int, timing: Timing) -> Point:
    return Point(timing.median_ms or 0.0, row, "", *(timing.quartiles_ms or (None, None)))


def _time_text(timing: Timing | None) -> str:
    if timing is None or timing.median_ms is None:
        return "–"
    low, high = timing.quartiles_ms or (timing.median_ms, timing.median_ms)
    return f"{timing.median_ms:,.2f} [{low:,.2f}, {high:,.2f}]" + (" noisy" if timing.noisy else "")
