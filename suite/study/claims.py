"""The papers' sentences that can be checked, as typed data: results/claims/*.toml, one file a paper, unknown keys refused.

A claim holds a sentence in our own words, where it stands, what is printed, and which evidence decides it; never a verdict: those are
computed from records (suite.report.claims). Its rows are those of results/published, named `TABLE.ROW`; what is printed of them is written
here once more, so that a claim can be read alone, and a test holds both together.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from models import MODELS
from models.lookup import suggest
from suite.core.paths import shipped_folder
from suite.study.published import PAPERS, PublishedColumn, PublishedRow, PublishedTable, list_added, load_all
from suite.study.toml_data import Strict, load_toml, read_toml

Evidence = Literal["cost", "time", "weights", "training", "other budget"]  # the last is a hint, and never a verdict
Bounds = tuple[float, float]
CLAIMED = ("vmambair", "mambair", "mambairv2")  # papers whose sentences are data: results/claims/<key>.toml


_ADDED: list[ClaimSet] = []  # of plug-ins


class _Sentence(Strict):
    """What every claim has."""

    id: str = Field(pattern=r"^[a-z0-9][a-z0-9.-]*$")
    sentence: str = Field(description="in our own words")
    where: str = Field(description="section, table or figure of the paper")
    evidence: tuple[Evidence, ...] = Field(min_length=1, description="what may decide it, or hint at it")
    note: str = Field("", description="what a reader should know of the sentence")


class QualityClaim(_Sentence):
    """One row restores better than another, or as well, in each column of `differences`."""

    kind: Literal["quality"] = "quality"
    row: str = Field(description="TABLE.ROW")
    against: str = Field(description="TABLE.ROW")
    differences: dict[str, float] = Field(min_length=1, description="column: row less against, as printed")
    direction: Literal["better", "equal"] = "better"
    part_of: Literal["ablation", "comparison"] = "comparison"


class ValueClaim(_Sentence):
    """A network restores as well as its row prints, in each column of `values`."""

    kind: Literal["value"] = "value"
    row: str = Field(description="TABLE.ROW")
    values: dict[str, float] = Field(min_length=1, description="column: as printed")


class CostClaim(_Sentence):
    """A network costs what a cell of a table prints."""

    kind: Literal["cost"] = "cost"
    row: str = Field(description="TABLE.ROW")
    column: str
    printed: float
    guess: str = Field("", description="why the suite's network cannot decide it; empty where it can")


class RatioClaim(_Sentence):
    """One network costs a share of another, which lies between two bounds."""

    kind: Literal["ratio"] = "ratio"
    row: str = Field(description="TABLE.ROW")
    against: str = Field(description="TABLE.ROW")
    column: str
    printed: float = Field(description="of the row by the other, from the printed cells, rounded to three decimals")
    bounds: Bounds = Field(description="within which the sentence holds")
    reason: str = Field(description="of the bounds")


class SpeedClaim(_Sentence):
    """One network is faster than another, by a share of its own time."""

    kind: Literal["speed"] = "speed"
    model: str = Field(description="the one that is said to be faster")
    against: str
    printed: float = Field(description="the other's time by its own, less 1")
    matters: float = Field(gt=0, description="the smallest difference that matters, likewise")
    reason: str = Field(description="of `matters`")


class GrowthClaim(_Sentence):
    """The time that a network takes grows with a power of the pixels between two bounds."""

    kind: Literal["growth"] = "growth"
    model: str
    bounds: Bounds = Field(description="of the exponent")
    reason: str = Field(description="of the bounds")


class FieldClaim(_Sentence):
    """A trained network's receptive field covers at least a part of the crop."""

    kind: Literal["field"] = "field"
    row: str = Field(description="TABLE.ROW")
    percentage: Literal["20", "30", "50", "99"] = Field(description="of the gradient that the smallest square holds")
    least: float = Field(gt=0, le=1, description="part of the crop that this square covers at least")
    reason: str = Field(description="of `least`")


Claim = QualityClaim | ValueClaim | CostClaim | RatioClaim | SpeedClaim | GrowthClaim | FieldClaim


class Matter(Strict):
    """The smallest difference of a metric that matters, in the metric's unit."""

    metric: str
    difference: float = Field(gt=0)
    reason: str


class ClaimSet(Strict):
    """The claims of one paper."""

    schema_version: Literal[1] = Field(alias="schema")
    paper: str = Field(pattern=r"^[a-z0-9][a-z0-9.-]*$", description="key of the paper")
    matters: tuple[Matter, ...]
    claims: tuple[Annotated[Claim, Field(discriminator="kind")], ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _consistent(self) -> ClaimSet:
        known, tables, seen = [matter.metric for matter in self.matters], tables_by_id(), set()
        for claim in self.claims:
            if claim.id in seen:
                raise ValueError(f"the claim {claim.id!r} is there twice")
            seen.add(claim.id)
            for metric in _metrics(claim, tables):
                if metric not in known:
                    raise ValueError(f"claim {claim.id!r}: [[matters]] has no row for {metric}.{suggest(metric, known)}")
        return self

    def matter(self, metric: str) -> Matter:
        """Return what matters of `metric`; the loader has checked that it is there."""
        return next(matter for matter in self.matters if matter.metric == metric)


def tables_by_id() -> Mapping[str, PublishedTable]:
    """Return every published table by its id, those of plug-ins too."""
    return _shipped_tables() | {table.id: table for paper in list_added() for table in paper.tables}


@cache
def _shipped_tables() -> dict[str, PublishedTable]:
    return {table.id: table for paper in load_all() if paper.key in PAPERS for table in paper.tables}


def find_row(reference: str, tables: Mapping[str, PublishedTable]) -> tuple[PublishedTable, PublishedRow]:
    """Return the table and the row that `TABLE.ROW` names; ValueError lists what there is."""
    table_id, _, key = reference.partition(".")
    if table_id not in tables:
        raise ValueError(f"{reference!r}: no table is called {table_id!r}.{suggest(table_id, tables)}")
    rows = {row.key: row for row in tables[table_id].rows}
    if key not in rows:
        raise ValueError(f"{reference!r}: the table {table_id} has no row {key!r}.{suggest(key, rows)}")
    return tables[table_id], rows[key]


def find_column(table: PublishedTable, key: str) -> PublishedColumn:
    """Return the column `key` of `table`; ValueError lists those that it has."""
    columns = {column.key: column for column in table.columns}
    if key not in columns:
        raise ValueError(f"the table {table.id} has no column {key!r}.{suggest(key, columns)}")
    return columns[key]


def load_claims() -> tuple[ClaimSet, ...]:
    """Return the claims of every paper, in the order of the report; behind them stand those of plug-ins."""
    folder = shipped_folder("results/claims")
    return (*(load_file(folder / f"{key}.toml") for key in CLAIMED), *_ADDED)


def is_added(paper: str) -> bool:
    """Tell whether the claims of `paper` are those of a plug-in."""
    return any(held.paper == paper for held in _ADDED)


def add_claims(held: ClaimSet) -> None:
    """Add claims from outside, until `withdraw_claims`; ValueError where a name is taken, or a printed value is not that of its table."""
    others = load_claims()
    taken = [f"the claims of a paper {held.paper!r} are there already"] if held.paper in [one.paper for one in others] else []
    ids = {claim.id for other in others for claim in other.claims}
    taken += [f"a claim is called {claim.id!r} already" for claim in held.claims if claim.id in ids]
    if problems := [*taken, *find_misprints(held)]:
        raise ValueError("; ".join(problems) + ".")
    _ADDED.append(held)


def withdraw_claims(paper: str) -> None:
    """Take away the claims that were added."""
    _ADDED[:] = [held for held in _ADDED if held.paper != paper]


def find_misprints(held: ClaimSet) -> Iterator[str]:
    """Yield which printed values of the claims are not those of their tables."""
    tables = tables_by_id()

    def cell(reference: str, key: str) -> float:
        return float(find_row(reference, tables)[1].cells[key])

    for claim in held.claims:
        printed: dict[str, tuple[float, float]] = {}  # in the claim, in the table
        if isinstance(claim, QualityClaim):
            table, _ = find_row(claim.row, tables)
            for key, value in claim.differences.items():
                printed[key] = value, round(cell(claim.row, key) - cell(claim.against, key), find_column(table, key).digits)
        elif isinstance(claim, ValueClaim):
            printed = {key: (value, cell(claim.row, key)) for key, value in claim.values.items()}
        elif isinstance(claim, CostClaim):
            printed[claim.column] = claim.printed, cell(claim.row, claim.column)
        elif isinstance(claim, RatioClaim):
            printed[claim.column] = claim.printed, round(cell(claim.row, claim.column) / cell(claim.against, claim.column), 3)
        for key, (said, stands) in printed.items():
            if said != stands:
                yield f"claim {claim.id!r} says {said:g} of {key}, and its table prints {stands:g}"


def load_file(path: Path) -> ClaimSet:
    """Read the claims of a TOML file; SuiteError says which field is wrong, where, and what is allowed."""
    return load_toml(path, ClaimSet, "a paper's claims", _allowed)


def read_claims(held: str | Mapping[str, object], name: str) -> ClaimSet:
    """Read claims from the text of such a file, or from what it stands for; SuiteError calls them by `name`."""
    return read_toml(held, name, ClaimSet, "a paper's claims", _allowed)


def _metrics(claim: Claim, tables: Mapping[str, PublishedTable]) -> Iterable[str]:
    """Yield the metrics of a quality claim, after its names were looked up; ValueError where one is not there."""
    if isinstance(claim, (SpeedClaim, GrowthClaim)):
        for name in (claim.model, getattr(claim, "against", claim.model)):
            if name not in MODELS:
                raise ValueError(f"claim {claim.id!r}: no model is called {name!r}.{suggest(name, MODELS)}")
        return
    for reference in (claim.row, getattr(claim, "against", claim.row)):
        table, row = find_row(reference, tables)
        for key in _columns(claim):
            column = find_column(table, key)
            if key not in row.cells or (column.kind == "cost") == isinstance(claim, (QualityClaim, ValueClaim)):
                raise ValueError(f"claim {claim.id!r}: {reference}.{key} is no printed {claim.kind} of this kind of claim")
            if isinstance(claim, QualityClaim):
                yield column.metric


def _columns(claim: Claim) -> Iterable[str]:
    if isinstance(claim, QualityClaim):
        return claim.differences
    if isinstance(claim, ValueClaim):
        return claim.values
    return [claim.column] if isinstance(claim, (CostClaim, RatioClaim)) else ()


def _allowed(kind: str, where: tuple[int | str, ...]) -> str:
    """Return the keys that may stand where an unknown one stood; "" for other faults."""
    if kind != "extra_forbidden":
        return ""
    kinds = {model.model_fields["kind"].default: model for model in Claim.__args__}
    model = next((kinds[str(part)] for part in where if str(part) in kinds), Matter if where[0] == "matters" else ClaimSet)
    return suggest(str(where[-1]), (field.alias or name for name, field in model.model_fields.items()))
