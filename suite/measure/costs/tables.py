"""The tables that `python -m suite profile` prints for a person, and its document."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict

from suite.core.errors import Exit
from suite.core.output import Output
from suite.measure.costs import claim_v4
from suite.measure.costs.attention import count_full_attention, has_counterpart
from suite.measure.costs.conventions import CONVENTIONS
from suite.measure.costs.count import count_model, make_subject
from suite.measure.costs.grid import TimingOptions
from suite.measure.costs.kept import count_kept
from suite.measure.costs.printed import PrintedCost, compare_printed, has_printed
from suite.measure.costs.second_count import compare_counters
from suite.records.kinds.profile import ProfileRecord
from suite.records.record import as_document, error_line

Row = dict[str, object]
FEW_SAMPLES = 5  # samples below which a median says little of its spread
COST_LEGEND = (
    "GMACs: 1 per multiply-add, a scan 9*B*L*D*N + B*L*D, nn.LayerNorm 5 per element. "
    "GFLOPs: 2 per multiply-add and the scans' operations, nothing else."
)


def show(records: Sequence[ProfileRecord], options: argparse.Namespace, stops: Mapping[str, str], out: Output) -> None:
    """Print the tables of costs, times and printed values, and what could not be measured."""
    done = [record for record in records if record.cost is not None]
    out.table([_cost_row(record) for record in done])
    out.line(COST_LEGEND)
    if any(record.spec.timed for record in done):
        out.line()
        out.table([_time_row(record, options.sweep) for record in done])
        if any(record.latency and len(record.latency.samples_ms) < FEW_SAMPLES for record in done):
            out.line(f"The quartiles of fewer than {FEW_SAMPLES} samples say little: a call takes too long for more in the time given.")
    for text in stops.items():
        out.line("{}: {}".format(*text))
    if options.parts:
        _show_parts(done, out)
    if options.conventions:
        _show_conventions(done, out)
    printed = [(model, one) for model in dict.fromkeys(record.spec.model for record in done) for one in _printed(model)]
    if printed:
        out.line()
        out.table([_printed_row(model, one) for model, one in printed])
    for record in records:
        if record.status == "failed":
            out.line(f"{record.spec.label}: {error_line(record)}")


def make_document(records: Sequence[ProfileRecord], exit: Exit, stops: Mapping[str, str]) -> Row:
    """Return the records, the printed costs beside them, and why sweeps stopped."""
    models = dict.fromkeys(record.spec.model for record in records if record.cost is not None)
    return {
        "exit": int(exit),
        "records": [as_document(record) for record in records],
        "printed": {model: [asdict(one) | {"difference": one.difference} for one in _printed(model)] for model in models},
        "stopped": dict(stops),
    }


def _printed(model: str) -> list[PrintedCost]:
    return compare_printed(model, count_kept(model)) if has_printed(model) else []


def _cost_row(record: ProfileRecord) -> Row:
    cost = record.cost
    return {
        "model": record.spec.model,
        "params": f"{cost.params:,}",
        "GMACs": f"{cost.macs / 1e9:.2f}",
        "of which scans": f"{cost.scan_macs / 1e9:.2f}",
        "GFLOPs": f"{cost.flops / 1e9:.2f}",
        "input (HxW)": _size(record.spec.input_size),
        "not counted": ", ".join(f"{name} {count}" for name, count in cost.unsupported.items()),
    }


def _size(size: tuple[int, int] | None) -> str:
    return "x".join(map(str, size)) if size else ""


def _time_row(record: ProfileRecord, sweep: bool) -> Row:
    spec, found = record.spec, record.latency
    row: Row = {"model": spec.model, "input (HxW)": _size(spec.input_size), "backend": spec.backend, "threads": spec.threads}
    if found is None:
        row |= dict.fromkeys(("first, ms", "median, ms", "quartiles, ms", "samples", "peak MiB", "others")) | {
            "note": record.latency_reason
        }
    else:
        row |= {"first, ms": f"{found.cold_ms:.1f}", "median, ms": f"{found.median_ms:.1f}"}
        row |= {"quartiles, ms": "{:.1f} to {:.1f}".format(*found.quartiles_ms), "samples": len(found.samples_ms)}
        row["peak MiB"] = None if found.peak_memory_mib is None else f"{found.peak_memory_mib:.0f}"
        row["others"] = None if found.others is None else f"{found.others:.0%}"
        row["note"] = "noisy: other programs used the machine" if found.noisy else ""
    if not sweep:
        return row
    full = count_full_attention(spec.model, spec.input_size) if has_counterpart(spec.model) else None
    return row | {"GFLOPs": f"{record.cost.flops / 1e9:.1f}", "with full attention": full and f"{full.flops / 1e9:.1f}"}


def _show_parts(records: Sequence[ProfileRecord], out: Output) -> None:
    models = {record.spec.model: record.cost for record in records}
    rows = [
        {"model": model, "part": part.name, "params": f"{part.params:,}", "share": f"{part.params / cost.params:.1%}"}
        for model, cost in models.items()
        for part in cost.parts
    ]
    out.line()
    out.table(rows)
    by_operator = [(record, sorted(record.cost.by_operator.items(), key=lambda item: -item[1])) for record in records]
    _show_macs(by_operator, "operator", 3, out)


def _show_conventions(records: Sequence[ProfileRecord], out: Output) -> None:
    _show_macs([(record, record.cost.conventions.items()) for record in records], "convention", 2, out)
    for name in dict.fromkeys(name for record in records for name in record.cost.conventions):
        out.line(f"{name}: {CONVENTIONS[name].statement}")


def _show_macs(records: Sequence[tuple[ProfileRecord, Iterable[tuple[str, float]]]], what: str, digits: int, out: Output) -> None:
    """Print a row for each record and name with its multiply-adds."""
    out.line()
    rows = [(record.spec, name, value) for record, values in records for name, value in values]
    out.table(
        [
            {"model": s.model, "input (HxW)": _size(s.input_size), what: name, "GMACs": f"{value / 1e9:.{digits}f}"}
            for s, name, value in rows
        ]
    )


def _printed_row(model: str, one: PrintedCost) -> Row:
    return {
        "model": model,
        "printed in": f"{one.table}, {one.row}",
        "what": one.metric,
        "at": _size(one.size),
        "printed": f"{one.printed:g} {one.unit}",
        "counted": f"{one.counted:.2f} {one.unit}",
        "difference": f"{one.difference:+.2%}",
        "matches": one.met_by or f"none: {one.why}",
    }


def check(names: Sequence[str], json: bool, out: Output) -> Exit:
    """Compare two counters of each network, operator by operator, at the smallest traced size; DRIFT where they differ unexplained."""
    rows: list[Row] = []
    agree = True
    for name in names:
        size, counts = count_model(name).small[0]
        for line in compare_counters(make_subject(name), size, counts):
            agree = agree and line.agrees
            rows.append(
                {
                    "model": name,
                    "input (HxW)": _size(size),
                    "operators": line.operators,
                    "fvcore": f"{line.first:.0f}",
                    "PyTorch": None if line.second is None else f"{line.second:.0f}",
                    "verdict": f"fvcore only: {line.why}" if line.second is None else "same" if line.agrees else "DIFFERENT",
                }
            )
    if json:
        out.document({"agree": agree, "rows": rows})
    else:
        out.table(rows)
        out.line("Operations: 2 per multiply-add; scans, and what only fvcore counts, as they are.")
    return Exit.DONE if agree else Exit.DRIFT


def show_claim(
    found: Mapping[str, tuple[claim_v4.Asked, claim_v4.ClaimVerdict, Sequence[object]]],
    timing: TimingOptions,
    reason: str,
    json: bool,
    out: Output,
) -> None:
    """Print the verdicts on V4, with every pair in the document."""
    if json:
        rows = {
            what: asdict(asked) | asdict(found_) | {"verdict": found_.sentence, "pairs_seconds": pairs}
            for what, (asked, found_, pairs) in found.items()
        }
        out.document({"claim": claim_v4.CLAIM, "backend": timing.backend, "reason": reason, "threads": timing.threads, "found": rows})
        return
    out.table(
        [
            {
                "what": what,
                "size": _size(asked.size),
                "1x1 convolution, ms": f"{verdict.convolution_ms:.3f}",
                "linear, ms": f"{verdict.linear_ms:.3f}",
                "faster by": f"{verdict.gain:+.1%}",
                "95 % interval": "" if verdict.interval is None else "{:+.1%} to {:+.1%}".format(*verdict.interval),
                "pairs": verdict.pairs,
                "verdict": verdict.sentence,
            }
            for what, (asked, verdict, _) in found.items()
        ]
    )
    out.line(f"VmambaIR, section 5.5, prints 8.6 %. Here: {timing.device}, backend {timing.backend} ({reason}), {timing.threads} threads.")
