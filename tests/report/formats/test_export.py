"""The tables for other programs: what stands in them, that nothing breaks out of its cell, and that it needs nothing heavy."""

import csv
import io
import json
import re
import subprocess
import sys
from dataclasses import replace

import pytest
import synthetic_records as made
from hypothesis import given
from hypothesis import strategies as st
from places import ROOT

from suite.cli import main
from suite.cli.ledger import report as verb_report
from suite.core.errors import Exit
from suite.records.ledger import Ledger
from suite.report.formats import export, export_text
from suite.report.tables.build import build_tables
from suite.study import published

ODD = r"_ % & # $ { } ~ ^ \ | < > * [x] `y` --z"


def filled():
    papers = published.load_all()
    records = [*made.quick_grid(3), made.done(made.VMAMBAIR[0], 28.48, budget="paper", test_set="NTIRE2020-T1")]
    return build_tables(papers, records)


TABLES = filled()
TEX = export_text.render_latex(TABLES)


def named(tables, key):
    return next(table for table in tables if table.published.id == key)


def with_label(table, label):
    return replace(table, rows=(replace(table.rows[0], label=label, group=label), *table.rows[1:]))


def test_every_table_is_in_every_format():
    ids = [table.id for paper in published.load_all() for table in paper.tables]
    assert re.findall(r"\\label\{tab:(.*?)\}", TEX) == ids
    assert len(re.findall(r"^## ", export_text.render_markdown(TABLES), re.M)) == len(ids)
    assert list(dict.fromkeys(row["table"] for row in csv.DictReader(io.StringIO(export.render_csv(TABLES))))) == ids
    assert [table["id"] for table in json.loads(export.render_json(TABLES))["tables"]] == ids


def balanced(text):
    """Environments and braces close in the order in which they were opened."""
    opened = []
    for kind, name in re.findall(r"\\(begin|end)\{([a-z*]+)\}", text):
        if kind == "begin":
            opened.append(name)
        else:
            assert opened.pop() == name
    assert opened == []
    depth = 0
    for brace in re.findall(r"\\.|[{}]", text):
        depth += {"{": 1, "}": -1}.get(brace, 0)
        assert depth >= 0
    assert depth == 0


def columns_of(line):
    """How many columns a line of a tabular fills."""
    cells = re.split(r"(?<!\\)&", line.removesuffix(r" \\"))
    spans = [re.match(r"\s*\\multicolumn\{(\d+)\}", cell) for cell in cells]
    return sum(int(span[1]) if span else 1 for span in spans)


def tabulars(text):
    for spec, body in re.findall(r"\\begin\{tabular\}\{(\w+)\}\n(.*?)\\end\{tabular\}", text, re.S):
        yield len(spec), [line for line in body.splitlines() if line.endswith(r"\\")]


def test_latex_is_whole():
    balanced(TEX)
    assert TEX.isascii()
    found = list(tabulars(TEX))
    assert len(found) == len(TABLES)
    for width, lines in found:
        assert {columns_of(line) for line in lines} == {width}
    for rule in ("toprule", "bottomrule"):
        assert TEX.count(f"\\{rule}\n") == len(TABLES)
    commands = {"_", "%", "&", "#", "$", "{", "}", "\\"}
    bare = re.sub(r"\\(?:[a-z]+|.)", "", "\n".join(line for line in TEX.splitlines() if not line.startswith("%")))
    assert commands & set(bare) <= {"&", "{", "}", "$"}
    assert bare.count("$") % 2 == 0


def test_best_is_bold_and_second_underlined_among_the_printed():
    block = TEX[TEX.index("tab:vmambair-2") :]
    assert r"& \textbf{27.06} &" in next(line for line in block.splitlines() if line.startswith("Vmamba-IR (Ours)"))
    assert r"& \underline{26.75} &" in next(line for line in block.splitlines() if line.startswith("BSRGAN"))
    assert "| **27.06** |" in export_text.render_markdown(TABLES)
    assert "| <ins>26.75</ins> |" in export_text.render_markdown(TABLES)


def test_printed_and_measured_stand_side_by_side_with_the_verdict():
    made_grid = export_text.make_text_table(named(TABLES, "vmambair-4"))
    heads = [label.text for label in made_grid.labels]
    assert heads[:2] == ["GFLOPs, printed ↓", "GFLOPs, measured ↓"]
    ((_, rows),) = made_grid.blocks
    full = dict(zip(heads, rows[0][1:], strict=True))
    assert (full["GFLOPs, printed ↓"].text, full["GFLOPs, measured ↓"].text) == ("20.45", "19.45")
    assert full["GFLOPs, measured ↓"].verdict == "≠"
    printed = next(text for head, text in full.items() if head.startswith("PSNR") and "printed" in head)
    measured = next(text for head, text in full.items() if head.startswith("PSNR") and "measured" in head)
    assert (printed.text, measured.text, measured.verdict) == ("28.50", "28.48", "=")
    spread = [text.text for head, text in full.items() if head.startswith("PSNR-Y")]
    assert any(re.fullmatch(r"26\.\d\d ± 0\.\d\d", text) for text in spread)


def test_without_records_the_papers_alone_are_shown():
    tables = build_tables(published.load_all(), [])
    assert "measured" not in "".join(label.text for table in tables for label in export_text.make_text_table(table).labels)
    balanced(export_text.render_latex(tables))


def test_odd_names_stay_in_their_cells():
    table = with_label(named(TABLES, "vmambair-4"), ODD)
    tex = export_text.render_latex([table])
    balanced(tex)
    assert r"\_ \% \& \# \$ \{ \} \textasciitilde{} \textasciicircum{} \textbackslash{} \textbar{}" in tex
    assert "{[}x] " in tex
    assert "-{}-z" in tex
    for width, lines in tabulars(tex):
        assert {columns_of(line) for line in lines} == {width}
    lines = [line for line in export_text.render_markdown([table]).splitlines() if line.startswith("|")]
    assert len({len(re.findall(r"(?<!\\)\|", line)) for line in lines}) == 1


@given(st.text(max_size=30))
def test_any_text_is_escaped(text):
    tex = export_text.escape_latex(text)
    balanced(tex)
    assert "\n" not in tex
    bare = re.sub(r"\\(?:[a-z]+|.)", "", tex)
    assert not set("%&#_^~") & set(bare.replace("\N{NO-BREAK SPACE}", "").replace("~", "" if "\N{NO-BREAK SPACE}" in text else "~"))
    shown = export_text.escape_markdown(text)
    assert not re.search(r"(?<!\\)(?:\\\\)*\|", shown)
    assert "<" not in shown


@pytest.mark.parametrize("label", ["=1+1", "+1", "-1", "@x", "\t=x", "\r\n@x"])
def test_a_name_is_no_formula(label):
    table = with_label(named(TABLES, "vmambair-4"), label)
    row = next(csv.DictReader(io.StringIO(export.render_csv([table]), newline="")))
    assert row["row"] == row["row_group"] == f"'{label.strip()}"


def test_csv_has_a_line_a_cell_with_its_numbers_unrounded():
    rows = list(csv.DictReader(io.StringIO(export.render_csv(TABLES))))
    assert len(rows) == sum(len(table.rows) * len(table.columns) for table in TABLES)
    wanted = {"table": "vmambair-4", "model": made.VMAMBAIR[0], "column": "GFLOPs"}
    (cost,) = (row for row in rows if wanted.items() <= row.items())
    assert (float(cost["published"]), float(cost["measured"]), cost["unit"], cost["status"]) == (20.45, 19.45, "G", "deviates")
    assert float(cost["difference"]) == 19.45 - 20.45  # a negative number is a number, and has no apostrophe
    retrained = next(row for row in rows if row["kind"] == "retrained" and row["seeds"] == "0 1 2")
    assert float(retrained["interval_low"]) < float(retrained["measured"]) < float(retrained["interval_high"])
    assert retrained["protocol"] == "sr-y@1"
    assert retrained["command"].startswith("python -m suite run --grid")


def test_json_is_one_document_with_its_schema():
    document = json.loads(export.render_json(TABLES))
    assert document["schema_version"] == export.EXPORT_SCHEMA
    table = next(table for table in document["tables"] if table["id"] == "vmambair-4")
    assert table["paper"]["arxiv"]
    row = next(row for row in table["rows"] if row["model"] == made.VMAMBAIR[0])
    cost = next(column["key"] for column in table["columns"] if column["kind"] == "cost")
    assert row["cells"][cost]["measured"]["mean"] == 19.45
    assert row["cells"][cost]["measured"]["origin"]["fingerprints"]
    assert row["cells"][cost]["status"] == "deviates"
    assert table["findings"]


def test_the_same_records_give_the_same_bytes():
    assert [render(filled()) for _, render in export.EXPORT_FORMATS.values()] == [
        render(TABLES) for _, render in export.EXPORT_FORMATS.values()
    ]


@pytest.fixture
def ledger(tmp_path):
    kept = Ledger(tmp_path / "runs")
    for record in made.quick_grid()[:2]:
        kept.add(record)
    return kept


def test_the_verb_writes_what_is_asked_for_and_says_where(ledger, tmp_path, capsys):
    out = tmp_path / "out"
    words = ["report", "--ledger", str(ledger.folder), "--out", str(out)]
    assert main.main([*words, "--format", "csv", "--format", "latex", "--format", "csv"]) == Exit.DONE
    assert capsys.readouterr().out == f"csv: {out / 'tables.csv'}\nlatex: {out / 'tables.tex'}\n"
    assert sorted(path.name for path in out.iterdir()) == ["tables.csv", "tables.tex"]
    assert main.main([*words, "--format", "all"]) == Exit.DONE
    assert {path.name for path in out.iterdir()} == {"index.html", *(file for file, _ in export.EXPORT_FORMATS.values())}
    (tmp_path / "file").touch()
    assert main.main([*words[:3], "--out", str(tmp_path / "file"), "--format", "json"]) == Exit.NOT_READY
    assert "cannot be written" in capsys.readouterr().err


def test_the_command_line_names_the_formats_that_there_are():
    assert ("html", *export.EXPORT_FORMATS) == verb_report.REPORT_FORMATS


def test_neither_torch_nor_ray_nor_jinja_is_needed(ledger, tmp_path):
    code = (
        "import sys; from suite.cli import main; assert main.main(sys.argv[1:]) == 0;"
        "print({'torch', 'ray', 'jinja2', 'numba'} & set(sys.modules), file=sys.stderr)"
    )
    words = ["report", "--ledger", str(ledger.folder), "--out", str(tmp_path / "out")]
    words += [word for name in export.EXPORT_FORMATS for word in ("--format", name)]
    done = subprocess.run([sys.executable, "-c", code, *words], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "set()\n")
