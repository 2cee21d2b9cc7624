"""The report and `compare` on made-up records: what every measured cell of a table says, and every verdict."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from suite.health.probes.number import TRAINED_ON, Number, ProbePart, digest_of
from suite.records.load import load
from suite.records.record import Cost, HistoryPoint, ImageScore, ProtocolUsed, Record, dump
from suite.records.spec import RunSpec
from suite.report import measured, versus
from suite.report.formats import export, export_text
from suite.report.tables import build
from suite.runner import plan
from suite.study.protocols import protocol
from suite.study.published import load_all

IMAGES, SEEDS = 12, 3


def parts() -> tuple[ProbePart, ...]:
    """Return the parts: tables with their exports, comparisons, and records."""
    return ProbePart("tables", _tables, 4), ProbePart("comparisons", _comparisons, 3), ProbePart("records", _round_trip, 1)


def make_up_records(grid: str, budget: str, seeds: int, only: Sequence[str] = ()) -> list[Record]:
    """Make a done record a cell; each value is a formula of the model's place, the image and the seed."""
    cells = plan.plan_cells(grid, budget=budget, seeds=seeds, only=only, changes={}, backend=TRAINED_ON, device="cpu")
    places = {name: place for place, name in enumerate(dict.fromkeys(spec.model for spec in cells))}
    return [_made_up(spec, places[spec.model]) for spec in cells]


def _made_up(spec: RunSpec, place: int) -> Record:
    rule = protocol(spec.protocol)
    random = np.random.default_rng((place, spec.seed))
    hard = np.random.default_rng(99).normal(0, 3, IMAGES)  # pictures differ more than models
    psnr = 28 + hard - 0.2 * place + random.normal(0, 0.05, IMAGES)
    values = {"SSIM": 0.8 + hard / 50 - place / 200, "LPIPS-alex": 0.2 - hard / 50 + place / 100}
    scores = tuple(
        ImageScore(
            image=f"image-{number}",
            metrics={rule.fidelity[0]: float(psnr[number]), rule.fidelity[1]: float(values["SSIM"][number])}
            | {metric: float(values[metric][number]) for metric in rule.metrics if metric in values},
        )
        for number in range(IMAGES)
    )
    return Record(
        fingerprint=spec.fingerprint,
        spec=spec,
        status="done",
        protocol=ProtocolUsed(name=rule.name, version=rule.version, statement=rule.statement),
        scores=scores,
        history=(HistoryPoint(iteration=spec.iterations, loss=0.1, validation={rule.fidelity[0]: 27.0}),),
        cost=Cost(params=10_000_000 + place, macs=2e10 - 1e8 * place, scan_macs=4e9, input_size=(64, 64)),
        trained_params=1_000_000 + place,
    )


def _tables() -> Iterator[Number]:
    """Put each measured cell in words, so that what changes names its cell; and digest each form in which tables leave the suite."""
    records = [
        *make_up_records("ablations", "quick", SEEDS),
        *make_up_records("ablations", "paper", 1),
        *make_up_records("tasks", "paper", 1),
    ]
    papers = load_all()
    built = build.build_tables(papers, records)
    for table in built:
        for row in table.rows:
            for column, cell in zip(table.columns, row.cells, strict=True):
                if cell.measured is not None:
                    key = f"report/{table.paper.key}, {table.published.id}/{row.key}/{column.key}"
                    yield Number(key, "digest", _in_words(cell))
        marked = [(row.key, [(cell.status, cell.published_rank) for cell in row.cells]) for row in table.rows]
        yield Number(f"report/{table.paper.key}, {table.published.id}/states and printed ranks", "digest", digest_of(marked))
    forms = {
        "csv": export.render_csv,
        "json": export.render_json,
        "latex": export_text.render_latex,
        "markdown": export_text.render_markdown,
    }
    for form, write in forms.items():
        yield Number(f"report/as {form}", "digest", digest_of(write(built)))


def _in_words(cell: measured.TableCell) -> str:
    found, delta = cell.measured, cell.delta_measured
    if found is None:
        return ""
    ends = "" if found.estimate.half_width is None else f" ±{found.estimate.half_width:.6g}"
    said = [f"{found.estimate.mean:.9g}{ends} of {found.estimate.count}, rank {cell.measured_rank}, shown {cell.shown_rank}, {cell.status}"]
    said += [f"from printed {cell.difference:+.6g}"] if cell.difference is not None else []
    if delta is not None:
        interval = "" if delta.interval is None else f" ({delta.interval[0]:+.6g} to {delta.interval[1]:+.6g})"
        said.append(f"from baseline {delta.value:+.6g}{interval} over {delta.over}; printed {cell.delta_published}")
    return "; ".join(said)


def _comparisons() -> Iterator[Number]:
    """Judge as `compare` does designs by several seeds and by one, where more is better and where less is."""
    for seeds in (1, SEEDS):
        for task, metric in (("sr-x2", "PSNR-Y"), ("gan-sr-x4", "LPIPS-alex")):
            sides = versus.make_sides(make_up_records("tasks", "quick", seeds, [task]))
            ablated = versus.make_sides(make_up_records("mambair-tables-1-2", "quick", seeds)) if task == "sr-x2" else ()
            for found in versus.compare_sides([*sides, *ablated], sides[:1], [metric], same_model=False):
                key = f"report/compare/{seeds} seeds/{metric}/{found.variant.model} on {found.variant.records[0].spec.task}"
                paired = found.found
                ends = None if paired is None or paired.interval is None else tuple(f"{end:+.6g}" for end in paired.interval)
                mean = "" if paired is None else f"{paired.mean:+.6g}"
                p = "none" if found.p_holm is None else f"{found.p_holm:.4g}"
                yield Number(key, "digest", f"{found.verdict}, {mean} {ends}, p {p}, {found.reason}")


def _round_trip() -> Iterator[Number]:
    """Write a record and read it back."""
    for record in make_up_records("ablations", "quick", 1)[:2]:
        text = dump(record)
        yield Number(f"report/record/{record.spec.model}/written", "digest", digest_of(text))
        yield Number(f"report/record/{record.spec.model}/read", "digest", digest_of(load(text, origin="a probe") == record))
