"""The published numbers: cell by cell against the papers' text where it lies beside the checkout, and the loader's refusals."""

import re

import pytest
from places import SHARED

from suite.core.errors import SuiteError
from suite.study import published

PAPERS = SHARED / "papers"
# Two renderings of each paper: the first with tables of tabs, the other with tables of pipes.
RENDERINGS = {
    "vmambair": ("000_1cf97df656f6e599.txt", "001_7061e9d18234860f.txt"),
    "mambair": ("002_6edc5704c76b4b1e.txt", "003_a91e9b1d846e6594.txt"),
}
TABLES = [(paper.key, table.id) for paper in published.load_all() for table in paper.tables if paper.key in RENDERINGS]


def blocks(text):
    """Every table of a rendering: a list of rows, each a list of its cells without markup."""
    found, rows = [], []
    for line in [*text.splitlines(), ""]:
        parts = line.strip().strip("|").split("|") if line.startswith("|") else line.rstrip().split("\t") if "\t" in line else None
        if parts is None:
            if len(rows) > 1:
                found.append(rows)
            rows = []
        elif not re.fullmatch(r"[\s|:-]+", line):
            rows.append([re.sub(r"</?\w+>|\*\*|\[\d+\]|^\s*\(\d+\)", "", part).strip() for part in parts])
    return found


def number(text):
    """A cell's number, and how many decimals are printed; marks are true and false, a dash is None."""
    if text in ("✓", "✗", "-", ""):
        return {"✓": True, "✗": False}.get(text), 0
    plain = text.replace(",", "").rstrip("KGM")
    return float(plain), len(plain.partition(".")[2])


def rows_of(text, table):
    """(label, group, values) of the rows of the one block that holds the table's, in order."""
    transposed = table.id == "mambair-6"  # data sets are its rows
    matching = []
    for block in blocks(text):
        if transposed:
            if block[0][0] != "Dataset":
                continue
            methods = [name for name in block[0][1:] if name]
            sets = {row[0]: row[1:] for row in block[1:] if row[0] in ("SIDD", "DND")}
            matching.append(
                [(m, "", [v for name in ("SIDD", "DND") for v in sets[name][2 * i : 2 * i + 2]]) for i, m in enumerate(methods)]
            )
            continue
        grouped = any(row.group for row in table.rows)
        expected = [(row.label.casefold(), row.group) for row in table.rows]
        columns = sum(column.printed for column in table.columns) + 1 + grouped
        rows = [row for row in block if row[0].casefold() in {label for label, _ in expected} and len(row) == columns]
        found = [(row[0].casefold(), "×" + re.sub(r"\D", "", row[1]) if grouped else "", row[1 + grouped :]) for row in rows]
        if [(label, group) for label, group, _ in found] == expected:
            matching.append(found)
    return matching


def renderings_with(table):
    """The first version of MambaIR's light table stands in one rendering, the later one in the other."""
    return {"mambair-4": (0,), "mambair-4-eccv": (1,)}.get(table.id, (0, 1))


@pytest.mark.parametrize("rendering", [0, 1])
@pytest.mark.parametrize(("paper", "table"), TABLES)
def test_every_cell_is_what_the_paper_prints(paper, table, rendering):
    source = PAPERS / RENDERINGS[paper][rendering]
    if not source.is_file():
        pytest.skip(f"needs the paper's text in {PAPERS}")
    ours = published.load(published.shipped_folder("results") / "published" / f"{paper}.toml").table(table)
    columns = [column for column in ours.columns if column.printed]
    expected = [[row.cells.get(column.key) for column in columns] for row in ours.rows]
    printed = [[[number(cell) for cell in values] for _, _, values in rows] for rows in rows_of(source.read_text(encoding="utf-8"), ours)]
    same = [rows for rows in printed if [[value for value, _ in row] for row in rows] == expected]
    assert len(same) == (1 if rendering in renderings_with(ours) else 0), printed
    for rows in same:
        for row in rows:
            for (_, decimals), column in zip(row, columns, strict=True):
                assert decimals <= column.digits


def test_the_versions_of_mambairs_light_table_disagree_where_the_networks_are_others():
    paper = published.load(published.shipped_folder("results") / "published" / "mambair.toml")
    later, earlier = paper.table("mambair-4"), paper.table("mambair-4-eccv")
    changed = [row.key for row in later.rows if row.cells != earlier.row(row.key).cells]
    assert changed == [
        f"{name}-x{s}"
        for s in (2, 3, 4)
        for name in ("latticenet", "swinir-light", "ours")
        if (name, s) not in (("latticenet", 3), ("latticenet", 4))
    ]


def test_all_tables_are_there():
    places = {paper.key: list(dict.fromkeys(table.number or table.source for table in paper.tables)) for paper in published.load_all()}
    assert places == {
        "vmambair": [1, 2, 3, 4],
        "mambair": [1, 2, 3, 4, 5, 6],
        "mambairv2": [3, 4, 6, 7],
        "mair": ["Table 2 of LaST-SR, which quotes it"],
        "eamamba": ["the authors' README", "the README of Omni-Freq-Deblur, which quotes it"],
        "evssm": ["issue 15 of its repository"],
    }


@pytest.mark.parametrize(
    ("paper", "sentence"),
    [
        ("vmambair", "increased the number of OSS blocks"),  # footnote on V3
        ("vmambair", "one-way"),  # footnote on V1
        ("vmambair", "NTIRE2020"),
        ("mambair", "unfavorable results"),  # footnote on the MLP
        ("mambair", "on the Y channel"),
    ],
)
def test_what_the_notes_say_the_paper_says_is_in_it(paper, sentence):
    source = PAPERS / RENDERINGS[paper][0]
    if not source.is_file():
        pytest.skip(f"needs the paper's text in {PAPERS}")
    assert sentence in source.read_text(encoding="utf-8")


def test_the_baseline_of_mambairs_first_table_is_in_its_second():
    paper = published.load(published.shipped_folder("results") / "published" / "mambair.toml")
    baseline = paper.table("mambair-1").baseline
    assert paper.table(baseline.table).row(baseline.row).cells == {"set5": 38.57, "set14": 34.67, "urban100": 34.15}


def test_footnoted_misprints_are_kept_as_printed():
    paper = published.load(published.shipped_folder("results") / "published" / "mambair.toml")
    mlp = paper.table("mambair-1").row("mlp").cells["urban100"]
    assert mlp == 34.22
    assert mlp > paper.table("mambair-2").row("four").cells["urban100"]


def test_tolerance():
    absolute = published.Tolerance(absolute=0.05, reason="r")
    assert absolute.covers(28.5, 28.55)  # the float of the difference is a little more than 0.05
    assert not absolute.covers(28.5, 28.56)
    relative = published.Tolerance(relative=0.003, reason="r")
    assert relative.covers(1000.0, 997.0)
    assert not relative.covers(1000.0, 996.9)
    with pytest.raises(ValueError, match="either absolute or relative"):
        published.Tolerance(absolute=0.1, relative=0.1, reason="r")


MINIMAL = """
schema = 1
key = "p"
name = "P"
title = "A paper"
arxiv = "2401.00001"
venue = "V"
[[tables]]
id = "p-1"
number = 1
title = "t"
caption = "c"
task = "sr-x4"
grid = "g"
stated = "s"
baseline = { row = "ours" }
[[tables.columns]]
key = "q"
label = "PSNR"
kind = "quality"
metric = "PSNR-Y"
digits = 2
tolerance = { absolute = 0.05, reason = "r" }
[[tables.columns]]
key = "m"
label = "Mark"
kind = "mark"
[[tables.rows]]
key = "ours"
label = "Ours"
model = "x"
cells = { q = 30.0, m = true }
[[tables.rows]]
key = "theirs"
label = "Theirs"
cells = { q = 29 }
blank = ["m"]
[[tables.footnotes]]
cells = ["ours.q", "theirs", "*.m"]
text = "f"
[[tables.findings]]
title = "F"
row = "ours"
column = "q"
text = "{measured} instead of {published}"
without = "{published} only"
"""


def loaded(tmp_path, text):
    path = tmp_path / "paper.toml"
    path.write_text(text, encoding="utf-8")
    return published.load(path)


def test_a_table_with_a_foreign_baseline_method_and_a_blank_cell_loads(tmp_path):
    table = loaded(tmp_path, MINIMAL).table("p-1")
    assert table.row("theirs").model is None
    assert table.row("theirs").cells == {"q": 29.0}
    with pytest.raises(SuiteError, match="has no table 'p-2'"):
        loaded(tmp_path, MINIMAL).table("p-2")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('venue = "V"', 'venue = "V"\nyear = 2024', "year"),  # unknown key
        ('key = "q"', 'key = "q"\ncolour = "red"', "colour"),  # unknown key inside
        ("q = 30.0, ", "", "row 'ours'"),  # a cell is missing
        ("q = 30.0", 'q = "30.0"', "cells.q"),  # a number as text
        ("m = true", "m = 1.0", "marks are true or false"),
        ("q = 30.0", "q = true", "marks are true or false"),
        ('blank = ["m"]', 'blank = ["m", "q"]', "row 'theirs'"),  # a value and blank
        ('baseline = { row = "ours" }', 'baseline = { row = "none" }', "baseline"),
        ('baseline = { row = "ours" }', 'baseline = { row = "ours", table = "p-9" }', "baseline"),
        ('"*.m"]', '"*.z"]', "no such cell"),
        ("{measured} instead", "{guess} instead", "guess"),
        ('key = "theirs"', 'key = "ours"', "there twice"),
        ('tolerance = { absolute = 0.05, reason = "r" }', "", "needs a tolerance"),
        ('metric = "PSNR-Y"', "", "names no metric"),
        ("schema = 1", "schema = 2", "schema"),
        ('arxiv = "2401.00001"', 'arxiv = "x"', "arxiv"),
        ("[[tables]]", "[[tables]", "not TOML"),
    ],
)
def test_a_faulty_file_is_refused_and_the_place_is_named(tmp_path, old, new, said):
    assert old in MINIMAL
    with pytest.raises(SuiteError) as raised:
        loaded(tmp_path, MINIMAL.replace(old, new, 1))
    assert said in str(raised.value)
    assert "paper.toml" in str(raised.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(SuiteError, match=r"vmambair\.toml"):
        published.load(tmp_path / "vmambair.toml")
