"""Tables as LaTeX and as Markdown: both from one grid of texts, in which a column has a printed and a measured side where it has both.

Best values of a column and group of rows are bold, second ones underlined: printed among printed, measured among measured, as the table
model ranks them (suite/core/statistics/ranking.py). A measured number that may be compared with the printed one is followed by =
(within the tolerance) or a crossed = (outside); ± is half of its 95 % interval.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from suite.core.text import format_fixed
from suite.report.measured import Status, TableCell
from suite.report.tables.layout import lay_out
from suite.report.tables.model import Table, TableColumn, TableRow

NOTHING = "–"
ARROWS: Mapping[str, str] = MappingProxyType({"higher": "↑", "lower": "↓", "": ""})
VERDICTS: Mapping[Status, str] = MappingProxyType({Status.REPRODUCED: "=", Status.DEVIATES: "≠"})
WIDE = 8  # columns from which on a LaTeX table spans both columns of a page


@dataclass(frozen=True)
class Text:
    """What stands in a cell: `text`, its place in column and group, footnotes, and the verdict on a measured number."""

    text: str
    rank: int | None = None
    marks: tuple[str, ...] = ()
    verdict: str = ""


@dataclass(frozen=True)
class TextTable:
    """A table as texts; the first column, of the networks' names, is not among `groups` and `labels`."""

    name: str
    title: str
    groups: tuple[tuple[str, int], ...]  # text over so many columns
    labels: tuple[Text, ...]
    blocks: tuple[tuple[str, tuple[tuple[Text, ...], ...]], ...]  # group of rows, and its rows: label, then a text a column
    notes: tuple[str, ...]
    footnotes: tuple[tuple[str, str], ...]  # mark, text


@dataclass(frozen=True)
class _Side:
    """A column's printed or measured numbers."""

    index: int
    measured: bool
    alone: bool  # the column has no other side


def make_text_table(table: Table) -> TextTable:
    """Return `table` as texts, without columns in which nothing is printed or measured."""
    laid, sides = lay_out(table), _sides(table)
    place = [sum(laid.firsts[: index + 1]) - 1 for index in range(len(table.columns))]  # of each column: its group
    spans = [sum(place[side.index] == number for side in sides) for number in range(len(laid.groups))]
    groups = tuple((head.text, span) for head, span in zip(laid.groups, spans, strict=True) if span)
    heads = [head for head, span in zip(laid.groups, spans, strict=True) if span] + [laid.labels[side.index] for side in sides]
    blocks = tuple((name, tuple(tuple(_row(table, row, sides)) for row in rows)) for name, rows in laid.blocks)
    version = f", {table.published.version}" if table.published.version else ""
    return TextTable(
        name=table.published.id,
        title=f"{table.paper.name}, {table.published.place}{version}: {table.published.title}",
        groups=groups,
        labels=tuple(_label(table.columns[side.index], laid.labels[side.index].text, side) for side in sides),
        blocks=blocks,
        notes=tuple(dict.fromkeys(f"{head.text}: {head.detail}" for head in heads if head.detail)),
        footnotes=tuple((mark, f"{text} ({source})" if source else text) for mark, text, source in table.footnotes),
    )


def _sides(table: Table) -> list[_Side]:
    found = []
    for index, column in enumerate(table.columns):
        printed = any(row.cells[index].published is not None for row in table.rows)
        measured = column.kind != "mark" and any(row.cells[index].measured for row in table.rows)
        found += [_Side(index, False, not measured)] if printed else []
        found += [_Side(index, True, not printed)] if measured else []
    return found


def _label(column: TableColumn, text: str, side: _Side) -> Text:
    arrow = f" {ARROWS[column.direction]}" if column.direction else ""
    which = "" if side.alone and (column.kind == "retrained" or not side.measured) else ", measured" if side.measured else ", printed"
    return Text(f"{text}{which}{arrow}", marks=column.marks)


def _row(table: Table, row: TableRow, sides: Sequence[_Side]) -> Iterator[Text]:
    yield Text(f"{row.label} ({row.borrowed})" if row.borrowed else row.label, marks=row.marks)
    for side in sides:
        column, cell = table.columns[side.index], row.cells[side.index]
        yield _measured(column, cell, side) if side.measured else _printed(column, cell)


def _printed(column: TableColumn, cell: TableCell) -> Text:
    if cell.published is None:
        return Text(NOTHING)
    if isinstance(cell.published, bool):
        return Text("yes" if cell.published else "no", marks=cell.marks)
    return Text(format_fixed(cell.published, column.digits), cell.published_rank, cell.marks)


def _measured(column: TableColumn, cell: TableCell, side: _Side) -> Text:
    if cell.measured is None:
        return Text(NOTHING)
    estimate = cell.measured.estimate
    spread = "" if estimate.half_width is None else f" ± {format_fixed(estimate.half_width, column.digits)}"
    verdict = VERDICTS.get(cell.status, "") if cell.difference is not None and cell.status else ""
    return Text(format_fixed(estimate.mean, column.digits) + spread, cell.shown_rank, cell.marks if side.alone else (), verdict)


LATEX: Mapping[str, str] = MappingProxyType(
    {
        **{letter: f"\\{letter}" for letter in "_%&#${}"},
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "\\": r"\textbackslash{}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        "|": r"\textbar{}",
        "`": r"\textasciigrave{}",
        '"': "''",
        "[": "{[}",  # which after a line's end would be taken for its argument
        "*": "{*}",  # likewise
        "\N{NO-BREAK SPACE}": "~",
        "–": "--",
        "−": "$-$",
        "±": r"$\pm$",
        "×": r"$\times$",
        "÷": r"$\div$",
        "·": r"$\cdot$",
        "≠": r"$\neq$",
        "↑": r"$\uparrow$",
        "↓": r"$\downarrow$",
        "σ": r"$\sigma$",
        "“": "``",
        "”": "''",
    }
)


def render_latex(tables: Sequence[Table]) -> str:
    """Return a file for LaTeX's input command: one float per table; it needs the package booktabs alone."""
    head = "% Made by `python -m suite report --format latex`. Needs \\usepackage{booktabs}.\n"
    return head + "".join(f"\n{_latex(make_text_table(table))}" for table in tables)


def escape_latex(text: str) -> str:
    """Escape `text` so that LaTeX prints it as it is."""
    parts = ["".join(LATEX.get(letter, letter) for letter in part) for part in text.replace("\n", " ").split("--")]
    return "-{}-".join(parts)  # two hyphens are no dash


def _latex(made: TextTable) -> str:
    width = len(made.labels) + 1
    float_name = "table*" if width >= WIDE else "table"
    lines = [
        rf"\begin{{{float_name}}}",
        r"\centering",
        rf"\caption{{{escape_latex(made.title)}}}",
        rf"\label{{tab:{made.name}}}",
        r"\small",
        rf"\begin{{tabular}}{{l{'r' * (width - 1)}}}",
        r"\toprule",
        *_latex_groups(made),
        _latex_line([Text("Network"), *made.labels]),
    ]
    for name, rows in made.blocks:
        lines.append(r"\midrule")
        lines += [rf"\multicolumn{{{width}}}{{l}}{{\textit{{{escape_latex(name)}}}}} \\"] if name else []
        lines += [_latex_line(row) for row in rows]
    lines += [r"\bottomrule", r"\end{tabular}"]
    notes = [escape_latex(note) for note in made.notes]
    notes += [rf"\textsuperscript{{{mark}}} {escape_latex(text)}" for mark, text in made.footnotes]
    lines += (
        [r"\par\smallskip", r"\begin{minipage}{\linewidth}", r"\footnotesize", " \\par\n".join(notes), r"\end{minipage}"] if notes else []
    )
    return "\n".join([*lines, rf"\end{{{float_name}}}", ""])


def _latex_groups(made: TextTable) -> list[str]:
    if not any(text for text, _ in made.groups):
        return []
    cells, rules, column = [""], [], 2
    for text, span in made.groups:
        cells.append(rf"\multicolumn{{{span}}}{{c}}{{{escape_latex(text)}}}")
        rules += [rf"\cmidrule(lr){{{column}-{column + span - 1}}}"] if text else []
        column += span
    return [" & ".join(cells) + r" \\", " ".join(rules)]


def _latex_line(row: Sequence[Text]) -> str:
    return " & ".join(_dressed(cell, escape_latex, r"\textbf{%s}", r"\underline{%s}", r"\textsuperscript{%s}") for cell in row) + r" \\"


def _dressed(cell: Text, escaped: Callable[[str], str], best: str, second: str, raised: str) -> str:
    """Return a cell's text with its rank, verdict and footnotes; `best`, `second` and `raised` are patterns with one %s."""
    text = {1: best, 2: second}.get(cell.rank or 0, "%s") % escaped(cell.text)
    verdict = f" {escaped(cell.verdict)}" if cell.verdict else ""
    return text + verdict + (raised % escaped(", ".join(cell.marks)) if cell.marks else "")


def render_markdown(tables: Sequence[Table]) -> str:
    """Return a chapter for each table, in GitHub's Markdown."""
    return "\n".join(_markdown(make_text_table(table)) for table in tables)


def escape_markdown(text: str) -> str:
    """Escape `text` so that Markdown shows it as it is, in a table too."""
    text = text.replace("\n", " ").replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return "".join(f"\\{letter}" if letter in "\\`*_[]|#~$" else letter for letter in text)


def _markdown(made: TextTable) -> str:
    over = [text for text, span in made.groups for _ in range(span)]
    heads = [
        Text(": ".join(part for part in (group, label.text) if part), marks=label.marks)
        for group, label in zip(over, made.labels, strict=True)
    ]
    lines = [f"## {escape_markdown(made.title)}", "", _markdown_line([Text("Network"), *heads])]
    lines.append("|" + "|".join([" --- ", *(" ---: " for _ in heads)]) + "|")
    for name, rows in made.blocks:
        lines += [f"| **{escape_markdown(name)}** |" + " |" * len(heads)] if name else []
        lines += [_markdown_line(row) for row in rows]
    notes = [f"- {escape_markdown(note)}" for note in made.notes]
    notes += [f"- <sup>{mark}</sup> {escape_markdown(text)}" for mark, text in made.footnotes]
    return "\n".join([*lines, "", *notes, *([""] if notes else [])])


def _markdown_line(row: Sequence[Text]) -> str:
    return "| " + " | ".join(_dressed(cell, escape_markdown, "**%s**", "<ins>%s</ins>", "<sup>%s</sup>") for cell in row) + " |"
