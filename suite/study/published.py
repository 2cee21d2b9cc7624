"""The papers' tables as typed data: results/published/*.toml, one file a paper, unknown keys refused.

A file holds what the paper prints and what it says about it, never what we think the number should be: misprints and
disagreements are footnotes. A row names the model of ours that it stands for, or none (a baseline that only the paper
measured). A column is a quality metric on a data set, a cost, or a check mark; `printed = false` adds a column that the
paper lacks and only a record can fill. Tables whose rows lie in groups (scales), that span several data sets, metrics
or noise levels, or that were printed in two versions of a paper need no other structure.
"""

from __future__ import annotations

import string
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal

from pydantic import Field, StrictBool, StrictFloat, model_validator

from models import MODELS
from models.lookup import suggest
from suite.core.errors import SuiteError
from suite.core.paths import shipped_folder
from suite.study.grids import GRIDS
from suite.study.protocols import METRICS, PROTOCOLS
from suite.study.tasks import TASKS, task
from suite.study.toml_data import Strict, load_toml, read_toml

PAPERS = ("vmambair", "mambair", "mambairv2", "mair", "eamamba", "evssm")  # in the report's order; each is results/published/<key>.toml
_ADDED: list[Paper] = []  # of plug-ins
UNIT_SCALES = {"": 1.0, "dB": 1.0, "K": 1e3, "M": 1e6, "G": 1e9}  # unit: what a record's number is divided by
TABLE_PLACEHOLDERS = ("measured", "published", "difference", "percent", "scan", "rest", "params", "size")  # what a finding's text may hold


class Tolerance(Strict):
    """How far a measured number may lie from the printed one and still be called reproduced."""

    absolute: float | None = Field(None, gt=0, description="in the column's unit")
    relative: float | None = Field(None, gt=0, description="of the printed value")
    reason: str

    @model_validator(mode="after")
    def _one(self) -> Tolerance:
        if (self.absolute is None) == (self.relative is None):
            raise ValueError("a tolerance is either absolute or relative")
        return self

    def covers(self, published: float, measured: float) -> bool:
        """Return True where `measured` is within the tolerance of `published`."""
        allowed = self.absolute if self.absolute is not None else (self.relative or 0.0) * abs(published)
        return abs(measured - published) <= allowed + 1e-9  # the printed value is decimal, the float is not


class PublishedColumn(Strict):
    """One column of a table: what its numbers are."""

    key: str
    label: str = Field(description="as the paper prints it")
    kind: Literal["quality", "cost", "mark"]
    group: str = Field("", description="the header above it, if there is one")
    metric: str = Field("", description="PSNR-Y, SSIM-Y, ... or macs, params")
    unit: Literal["", "dB", "K", "M", "G"] = ""
    direction: Literal["higher", "lower", ""] = Field("", description="which is better")
    digits: int = Field(0, ge=0, le=6, description="decimals as printed")
    dataset: str = Field("", description="as people call it")
    test_sets: tuple[str, ...] = Field((), description="names of the suite's data sets that are this data; case and dashes do not count")
    task: str = Field("", description="where it differs from the table's")
    input_size: tuple[int, int] | None = Field(None, description="height, width in pixels of the input of a cost; None = any")
    output_size: tuple[int, int] | None = Field(None, description="or of its output: the input is smaller by the row's scale, cut off")
    tolerance: Tolerance | None = None
    printed: bool = Field(True, description="false: the paper has no such column, only records fill it")
    convention: str = Field("", description="what a cost counts, in words, for the header")

    @model_validator(mode="after")
    def _whole(self) -> PublishedColumn:
        if self.kind == "mark":
            return self
        if not self.metric:
            raise ValueError(f"column {self.key!r} has numbers but names no metric")
        if self.kind == "cost" and self.metric not in ("macs", "params"):
            raise ValueError(f"column {self.key!r}: a cost is macs or params, not {self.metric!r}")
        if self.printed and self.tolerance is None:
            raise ValueError(f"column {self.key!r} is printed and needs a tolerance")
        return self


class PublishedRow(Strict):
    """One row: a network of the paper, and the model of ours that it stands for."""

    key: str
    label: str = Field(description="as the paper prints it")
    what: str = Field("", description="what the network is, in a few words")
    group: str = Field("", description="the block of rows it stands in, e.g. x2")
    model: str | None = Field(None, description="a name of models.names(); None = not run by this suite")
    task: str = Field("", description="where it differs from the table's")
    input_size: tuple[int, int] | None = Field(None, description="of its cost, where rows differ")
    cells: dict[str, StrictBool | StrictFloat] = Field(description="column: value as printed")
    blank: tuple[str, ...] = Field((), description="columns that the paper leaves empty in this row")


class Footnote(Strict):
    """A remark on cells: "row.column", "row", or "*.column"."""

    cells: tuple[str, ...] = Field(min_length=1)
    why: Literal["", "disagreement", "other network", "misprint"] = Field(
        "", description="disagreement: another paper prints another number of the same network; other network: of another of the same name"
    )
    text: str
    source: str = ""


class PublishedFinding(Strict):
    """A paragraph below the table: on one number, by `text` with placeholders that records fill in, or on printed numbers alone."""

    title: str
    row: str = Field("", description="of the number; none = about printed numbers alone")
    column: str = ""
    text: str = ""
    without: str = Field(description="the paragraph where nothing was measured; may hold {published} where it is about one number")

    @model_validator(mode="after")
    def _known_placeholders(self) -> PublishedFinding:
        if len({bool(part) for part in (self.row, self.column, self.text)}) > 1:
            raise ValueError(f"finding {self.title!r} has some of row, column and text, not all or none")
        for text, allowed in ((self.text, TABLE_PLACEHOLDERS), (self.without, ("published",) if self.row else ())):
            for _, name, spec, conversion in string.Formatter().parse(text):
                if name is not None and (name not in allowed or spec or conversion):
                    raise ValueError(f"finding {self.title!r}: {{{name}}} is not one of {', '.join(allowed)}")
        return self


class BaselineRow(Strict):
    """The row that differences are taken from; `table` names another table of the paper where this one prints none."""

    row: str
    table: str = ""


class PublishedTable(Strict):
    """One table of a paper."""

    id: str
    number: int | None = Field(None, description="as the paper counts its tables")
    source: str = Field(
        "", description="where the numbers were read, if in no numbered table of the paper, as in 'Table 2 of X, which quotes it'"
    )
    title: str = Field(description="in our words: the question that the table answers")
    caption: str
    task: str
    grid: str = Field(description="the grid that measures it")
    stated: str = Field(description="the protocol as far as the paper states it, with the section")
    unstated: str = Field("", description="what it does not state, and where we took it from")
    version: str = Field("", description="of the paper, where versions print different tables")
    baseline: BaselineRow | None = None
    protocols: tuple[str, ...] = Field((), description="names of our protocols that measure as the paper did; empty = any")
    unlike: str = Field("", description="what keeps a run without a GAN from being compared with the table's qualities")
    columns: tuple[PublishedColumn, ...] = Field(min_length=1)
    rows: tuple[PublishedRow, ...] = Field(min_length=1)
    footnotes: tuple[Footnote, ...] = ()
    findings: tuple[PublishedFinding, ...] = ()

    @model_validator(mode="after")
    def _consistent(self) -> PublishedTable:
        if (self.number is None) == (not self.source):
            raise ValueError(f"table {self.id!r} has either a number or a source")
        columns = _unique([column.key for column in self.columns], "column")
        rows = _unique([row.key for row in self.rows], "row")
        for row in self.rows:
            _check_row(row, self.columns)
        for footnote in self.footnotes:
            for cell in footnote.cells:
                row, _, column = cell.partition(".")
                if (row != "*" and row not in rows) or (column and column not in columns) or (row == "*" and not column):
                    raise ValueError(f"footnote on {cell!r}: no such cell")
        for finding in self.findings:
            if finding.row and (finding.row not in rows or finding.column not in columns):
                raise ValueError(f"finding {finding.title!r} is about a cell that does not exist")
        return self

    @property
    def place(self) -> str:
        """Return where its numbers are printed, in words."""
        return self.source or f"Table {self.number}"

    def row(self, key: str) -> PublishedRow:
        """Return the row `key`; the loader has checked every reference."""
        return next(row for row in self.rows if row.key == key)


def cost_input(table: PublishedTable, row: PublishedRow, column: PublishedColumn) -> tuple[int, int] | None:
    """Height and width of the input that a printed cost is of; None where any will do, as for parameters."""
    if column.metric == "params":
        return None
    if column.output_size is not None:
        scale = task(row.task or column.task or table.task).scale
        return column.output_size[0] // scale, column.output_size[1] // scale
    return row.input_size or column.input_size


class Paper(Strict):
    """One paper and its tables."""

    schema_version: Literal[1] = Field(alias="schema")
    key: str
    name: str
    title: str
    arxiv: str = Field(pattern=r"^(\d{4}\.\d{4,5})?$", description="empty for tables of this suite's own, which are not read from a file")
    venue: str
    tables: tuple[PublishedTable, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _references(self) -> Paper:
        tables = {table.id: table for table in self.tables}
        _unique([table.id for table in self.tables], "table")
        for table in self.tables:
            if table.baseline is None:
                continue
            home = tables.get(table.baseline.table or table.id)
            if home is None or all(row.key != table.baseline.row for row in home.rows):
                raise ValueError(f"table {table.id!r}: its baseline {table.baseline!r} does not exist")
        return self

    def table(self, key: str) -> PublishedTable:
        """Return the table `key`; SuiteError lists those that the paper has."""
        for table in self.tables:
            if table.id == key:
                return table
        raise SuiteError(f"{self.name} has no table {key!r}.{suggest(key, [table.id for table in self.tables])}")


class QuotedCost(Strict):
    """Latency and memory of a network of this suite, with the costs printed beside them."""

    model: str = Field(description="a name of models.names()")
    label: str = Field(description="as the paper prints it")
    latency_ms: float
    memory_mb: float
    macs_g: float = Field(description="printed as FLOPs; 1 a multiply-add")
    params_k: float


class QuotedCosts(Strict):
    """What another paper prints of them: quoted, to stand beside measured ones and to be compared with none of another machine."""

    schema_version: Literal[1] = Field(alias="schema")
    name: str
    title: str
    arxiv: str = Field(pattern=r"^\d{4}\.\d{4,5}$")
    venue: str
    source: str = Field(description="where in the paper, and how it was read")
    unstated: str
    costs: tuple[QuotedCost, ...] = Field(min_length=1)


def load(path: Path) -> Paper:
    """Read the paper described by a TOML file; SuiteError says which field is wrong and where."""
    return load_toml(path, Paper, "a paper's tables")


def read_paper(held: str | Mapping[str, object], name: str) -> Paper:
    """Read a paper from the text of such a file, or from what it stands for; SuiteError calls it by `name`."""
    return read_toml(held, name, Paper, "a paper's tables")


def load_quoted_costs() -> QuotedCosts:
    """Return the latency and memory that ESC's table prints of MambaIR's and MambaIRv2's light networks."""
    return load_toml(shipped_folder("results/published") / "esc.toml", QuotedCosts, "quoted costs")


def load_all() -> tuple[Paper, ...]:
    """Read every paper of PAPERS, in that order; behind them stand those of plug-ins."""
    folder = shipped_folder("results/published")
    return (*(load(folder / f"{key}.toml") for key in PAPERS), *_ADDED)


def list_added() -> tuple[Paper, ...]:
    """Return the papers that plug-ins brought."""
    return tuple(_ADDED)


def add_paper(paper: Paper) -> None:
    """Add a paper from outside, until `withdraw_paper`; ValueError where it has a name that is taken, or names what there is not."""
    others = load_all()
    tables = [table.id for other in others for table in other.tables]
    taken = [f"a paper is called {paper.key!r} already"] if paper.key in [other.key for other in others] else []
    taken += [f"a table is called {table.id!r} already" for table in paper.tables if table.id in tables]
    if problems := [*taken, *_find_unknown(paper)]:
        raise ValueError("; ".join(problems) + ".")
    _ADDED.append(paper)


def withdraw_paper(key: str) -> None:
    """Take away a paper that was added."""
    _ADDED[:] = [paper for paper in _ADDED if paper.key != key]


def _find_unknown(paper: Paper) -> Iterator[str]:
    """Yield which names in a paper's tables are of nothing: a table of the suite's own is held to that by its tests."""
    for table in paper.tables:
        rows, columns = table.rows, table.columns
        named = (
            ("task", TASKS, [table.task, *(one.task for one in (*rows, *columns))]),
            ("grid", GRIDS, [table.grid]),
            ("model", MODELS, [row.model for row in rows]),
            ("protocol", PROTOCOLS, table.protocols),
            ("metric", METRICS, [column.metric for column in columns if column.kind == "quality"]),
        )
        for kind, known, names in named:
            for name in dict.fromkeys(name for name in names if name and name not in known):
                yield f"the table {table.id!r} names the {kind} {name!r}, which is not known.{suggest(name, known)}".rstrip(".")


def _unique(keys: list[str], kind: str) -> set[str]:
    twice = sorted({key for key in keys if keys.count(key) > 1})
    if twice:
        raise ValueError(f"{kind} {', '.join(twice)} is there twice")
    return set(keys)


def _check_row(row: PublishedRow, columns: tuple[PublishedColumn, ...]) -> None:
    printed = {column.key for column in columns if column.printed}
    given, blank = set(row.cells), set(row.blank)
    if given & blank or given | blank != printed:
        odd = sorted((given | blank) ^ printed | (given & blank))
        raise ValueError(f"row {row.key!r}: every printed column has a value or is blank, once; look at {', '.join(odd)}")
    for column in columns:
        if column.key in row.cells and isinstance(row.cells[column.key], bool) != (column.kind == "mark"):
            raise ValueError(f"row {row.key!r}, column {column.key!r}: marks are true or false, all else is a number")
