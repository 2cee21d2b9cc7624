"""What records amount to, as one document that another can compute again: means, tables with intervals, comparisons, and verdicts.

Everything in it is made by what makes the report: nothing is averaged or judged a second way. Numbers are kept to DIGITS digits and
DECIMALS decimals, so that each digit that stands there can be checked: another machine's sums may differ behind them, by their order.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import models
from suite.core import machine
from suite.core.paths import shipped_folder
from suite.records.kinds.profile import ProfileRecord
from suite.records.ledger import pick_standing
from suite.records.record import Attempt, Measured
from suite.records.summary import summarise
from suite.report.claims.judge import judge_claims
from suite.report.claims.judge import summarise as summarise_claims
from suite.report.claims.verdict import describe_judgement
from suite.report.formats.export import describe_cell
from suite.report.gather import gather_tables, place_measured
from suite.report.versus import compare_sides, describe_comparison, make_sides
from suite.study.claims import is_added, load_claims
from suite.study.outside.plugins import digest_of
from suite.study.published import list_added

DIGITS, DECIMALS = 8, 12
BEHIND = 1e-3  # units of the last digit kept that another order of summing may move a number by
RESULTS_SCHEMA = 1
SECTIONS = ("records", "tables", "comparisons", "claims")
Document = dict[str, Any]


@dataclass(frozen=True)
class Mismatch:
    """A value of a document that is not what the records give; None stands for what is not there."""

    where: str
    stored: object
    found: object

    def __str__(self) -> str:
        stored, found = ("nothing" if one is None else json.dumps(one) for one in (self.stored, self.found))
        return f"{self.where}: {stored} is written there, and the records give {found}"


def compute_results(records: Mapping[str, Attempt], texts: Mapping[str, str]) -> Document:
    """Return what the records, by their files' names, amount to; unrounded. `texts` are the files, of which their digests are."""
    every = [records[name] for name in sorted(records)]
    measured = place_measured(every)
    profiles = pick_standing(record for record in every if isinstance(record, ProfileRecord))
    return {
        "records": {name: _describe_record(records[name], texts[name]) for name in sorted(records)},
        "tables": _describe_tables(measured, profiles),
        "comparisons": _describe_comparisons(measured),
        "claims": _describe_claims(pick_standing(every)),
    }


def make_document(computed: Document, redacted: Mapping[str, Sequence[str]]) -> Document:
    """Return the document that a bundle holds: what was computed, rounded, and by which code; `redacted` are fields of files."""
    commit = machine.find_commit()
    made = {"version": machine.find_version(), "commit": commit.name, "dirty": commit.dirty, "papers": digest_papers()}
    about = {"schema_version": RESULTS_SCHEMA, "made_with": made, "redacted": dict(redacted)}
    return about | {"sha256": digest_content(about), "computed": _rounded(computed)}


def check_document(document: Document) -> str:
    """Return what is wrong with a document beside what was computed; "" where it is as `make_document` made it."""
    about = {name: document.get(name) for name in ("schema_version", "made_with", "redacted")}
    parts = document.keys() == {*about, "sha256", "computed"}
    parts = parts and all(isinstance(document[name], dict) for name in ("made_with", "redacted", "computed"))
    if not parts or not all(isinstance(fields, list) for fields in document["redacted"].values()):
        return "it has other parts than `bundle` writes"
    found = digest_content(about)
    return "" if document["sha256"] == found else f"what it says of its making has the sha256 {found}, not {document['sha256']}"


def digest_content(value: object) -> str:
    """Return the sha256 over JSON, however it is laid out."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def digest_papers() -> str:
    """Return the sha256 over the papers' numbers and claims, those of loaded plug-ins too, by which tables and verdicts are made."""
    digest = hashlib.sha256()
    for folder in ("published", "claims"):
        for path in sorted(shipped_folder(f"results/{folder}").glob("*.toml")):
            digest.update(f"{folder}/{path.name}\n".encode() + path.read_bytes())
    for held in (*list_added(), *(one for one in load_claims() if is_added(one.paper))):
        digest.update(held.model_dump_json().encode())
    return digest.hexdigest()


def compare_documents(stored: object, computed: object, where: str = "") -> Iterator[Mismatch]:
    """Yield each value of `stored` that `computed`, unrounded, does not give: by name, in the order of both."""
    if isinstance(stored, dict) and isinstance(computed, dict):
        for name in dict.fromkeys((*computed, *stored)):
            below = f"{where} > {name}" if where else str(name)
            if name not in stored or name not in computed:
                held = stored.get(name), computed.get(name)
                yield Mismatch(below, *("..." if isinstance(one, dict | list) else _rounded(one) for one in held))
            else:
                yield from compare_documents(stored[name], computed[name], below)
    elif isinstance(stored, list) and isinstance(computed, list | tuple) and len(stored) == len(computed):
        for place, pair in enumerate(zip(stored, computed, strict=True)):
            yield from compare_documents(*pair, f"{where} > {place + 1}")
    elif isinstance(stored, list) and isinstance(computed, list | tuple):  # what one of them lacks, not both of them whole
        yield Mismatch(f"{where} > number of entries", len(stored), len(computed))
        yield from (Mismatch(where, one, None) for one in stored if one not in computed)
        yield from (Mismatch(where, None, one) for one in computed if one not in stored)
    elif not _agrees(stored, computed):
        yield Mismatch(where, stored, _rounded(computed))


def count_numbers(value: object) -> int:
    """Return how many numbers a document holds."""
    if isinstance(value, dict):
        return sum(map(count_numbers, value.values()))
    if isinstance(value, list | tuple):
        return sum(map(count_numbers, value))
    return isinstance(value, int | float) and not isinstance(value, bool)


def _agrees(stored: object, computed: object) -> bool:
    """Tell whether a stored value is the computed one, to the last digit that is kept."""
    found = _rounded(computed)
    if type(stored) is type(found) and stored == found:
        return True
    if type(stored) is not float or type(computed) is not float or not math.isfinite(computed) or stored != _round(stored):
        return False
    unit = max(10.0 ** (math.floor(math.log10(abs(computed) or 1)) + 1 - DIGITS), 10.0**-DECIMALS)
    return abs(stored - computed) <= unit * (0.5 + BEHIND)  # it lies between two, and was rounded to the other


def _rounded(value: Any) -> Any:  # noqa: ANN401 - JSON
    """Return `value` as JSON holds it, with every number rounded; what is not finite is a text, which JSON can hold."""
    if isinstance(value, dict):
        return {name: _rounded(held) for name, held in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(held) for held in value]
    if isinstance(value, float):
        return _round(float(value)) if math.isfinite(value) else str(value)
    return value.value if hasattr(value, "value") else value


def _round(value: float) -> float:
    return round(float(f"{value:.{DIGITS}g}"), DECIMALS) + 0.0  # never -0.0


def _describe_record(record: Attempt, text: str) -> Document:
    """Return a record's means, and the digest of all that it holds: a digit may change no number here, and is found all the same."""
    held = summarise(record)
    about = {name: held.get(name) for name in ("kind", "model", "task", "status")} | {"content_sha256": digest_content(json.loads(text))}
    if not isinstance(record, Measured):
        return about
    metrics = record.scores[0].metrics if record.scores else {}
    return about | {"images": len(record.scores), "means": {metric: held.get(metric) for metric in metrics}}


def _describe_tables(measured: Sequence[Measured], profiles: Sequence[ProfileRecord]) -> Document:
    """Return every cell with something measured, by table, row and column."""
    found: Document = {}
    for table in gather_tables(measured, profiles):
        rows = {
            f"{row.group} {row.label} ({row.key})".strip(): {
                column.key: describe_cell(cell) for column, cell in zip(table.columns, row.cells, strict=True) if cell.measured
            }
            for row in table.rows
        }
        if rows := {name: cells for name, cells in rows.items() if cells}:
            found[f"{table.paper.key}: {table.published.id}"] = rows
    return found


def _describe_comparisons(measured: Sequence[Measured]) -> Document:
    """Return each network beside the one that it is a variant of, in the first metric, by the cells of both."""
    sides = make_sides(measured)
    own = {side.model for side in sides} & {name for name in models.MODELS if not digest_of(name)}  # whether or not a plug-in is loaded
    parents = {side.model: models.MODELS[side.model].parent if side.model in own else None for side in sides}
    found: Document = {}
    for parent in dict.fromkeys(filter(None, parents.values())):
        variants = [side for side in sides if parents[side.model] == parent]
        baselines = [side for side in sides if side.model == parent]
        for one in compare_sides(variants, baselines, (), same_model=False) if baselines else ():
            held = describe_comparison(one)
            found[f"{held['variant_cells']} against {held['baseline_cells']}, {held['metric']}"] = held
    return found


def _describe_claims(records: Sequence[Attempt]) -> Document:
    """Return the verdict on each claim, and what it rests on where something was measured; and the sentences that sum them up."""
    judged = judge_claims(load_claims(), records)
    found: Document = {}
    for one in judged:
        held = describe_judgement(one)
        tested = one.word != "not tested" or (one.hint is not None and one.hint.measured is not None)
        found[one.claim.id] = {name: held[name] for name in ("verdict", *(("values", "at another budget") if tested else ()))}
    return {"summary": list(summarise_claims(judged)), "verdicts": found}
