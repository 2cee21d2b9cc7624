"""The papers' claims as data: every printed value against the published tables, what has to be there, and the loader's refusals."""

import re

import pytest
from places import SHARED

from suite.core.errors import SuiteError
from suite.core.paths import ROOT
from suite.study import claims, published
from suite.study.baselines import BASELINES
from suite.study.claims import CostClaim, FieldClaim, GrowthClaim, QualityClaim, RatioClaim, SpeedClaim, ValueClaim

SETS = claims.load_claims()
ALL = [claim for one in SETS for claim in one.claims]
TABLES = claims.tables_by_id()
CLAIMED = [table for paper in published.load_all() if paper.key in ("vmambair", "mambair") for table in paper.tables]  # as wholes
PAPERS = {"vmambair": ("000_1cf97df656f6e599.txt",), "mambair": ("002_6edc5704c76b4b1e.txt",)}
OWN = [  # of a paper of which the costs alone are claims
    (table, row, column)
    for table in TABLES.values()
    if table.id.startswith("mambairv2-")
    for row in table.rows
    if (row.model or "").startswith("mambairv2-")
    for column in table.columns
]
COUNTED = {place for base in BASELINES.values() for place in base.rows}


def of(kind):
    return [claim for claim in ALL if isinstance(claim, kind)]


def cell(reference, column):
    return claims.find_row(reference, TABLES)[1].cells[column]


@pytest.mark.parametrize("claim", of(QualityClaim), ids=lambda claim: claim.id)
def test_printed_differences_are_those_of_the_printed_cells(claim):
    table, _ = claims.find_row(claim.row, TABLES)
    for key, printed in claim.differences.items():
        column = claims.find_column(table, key)
        assert round(cell(claim.row, key) - cell(claim.against, key), column.digits) == printed, key
        other = claims.find_column(claims.find_row(claim.against, TABLES)[0], key)
        assert (column.metric, column.test_sets) == (other.metric, other.test_sets)


@pytest.mark.parametrize("claim", of(CostClaim), ids=lambda claim: claim.id)
def test_printed_costs_are_those_of_the_tables(claim):
    assert cell(claim.row, claim.column) == claim.printed


@pytest.mark.parametrize("claim", of(ValueClaim), ids=lambda claim: claim.id)
def test_printed_values_are_those_of_the_tables(claim):
    assert {key: cell(claim.row, key) for key in claim.values} == claim.values


@pytest.mark.parametrize("claim", of(RatioClaim), ids=lambda claim: claim.id)
def test_printed_ratios_are_those_of_the_printed_cells(claim):
    assert round(cell(claim.row, claim.column) / cell(claim.against, claim.column), 3) == claim.printed
    assert claim.bounds[0] < claim.bounds[1]


def test_a_paper_prints_no_speed_and_no_field_in_a_table_but_names_them():
    text = SHARED / "papers" / PAPERS["vmambair"][0]
    (speed,) = of(SpeedClaim)
    assert speed.printed == 0.086
    if text.is_file():
        assert "**8.6%**" in text.read_text(encoding="utf-8")
    assert {claim.id for claim in of(GrowthClaim)} == {"vmambair-linear-growth", "mambair-linear-growth"}
    assert [claim.row for claim in of(FieldClaim)] == ["mambair-3.mambair-x2"]


def test_every_row_of_an_ablation_is_compared_with_the_full_network_in_every_column():
    expected = set()
    for table in CLAIMED:
        if table.baseline is not None:
            base = f"{table.baseline.table or table.id}.{table.baseline.row}"
            columns = frozenset(column.key for column in table.columns if column.kind == "quality")
            expected |= {(base, f"{table.id}.{row.key}", columns) for row in table.rows if f"{table.id}.{row.key}" != base}
    found = {(claim.row, claim.against, frozenset(claim.differences)) for claim in of(QualityClaim) if claim.part_of == "ablation"}
    assert expected <= found
    assert len(expected) == 9
    extra = {(row, against) for row, against, _ in found - expected}
    assert extra == {("vmambair-4.v2", "vmambair-4.v1"), ("mambair-2.two", "mambair-2.one")}  # more directions are better


def test_every_cell_in_which_a_design_is_printed_as_better_is_a_claim():
    claimed = {(c.row, c.against, key) for c in of(QualityClaim) if c.part_of == "comparison" for key in c.differences}
    expected = set()
    for table in CLAIMED:
        if table.baseline is not None:
            continue
        ours = [row for row in table.rows if row.key.startswith(("vmambair", "mambair-x", "ours")) or row.key == "mambair"]
        others = [row for row in table.rows if row not in ours and "plus" not in row.key]
        assert ours
        for mine in ours:
            for other in (row for row in others if row.group == mine.group):
                for column in table.columns:
                    if column.kind == "quality" and column.key in mine.cells and column.key in other.cells:
                        gain = mine.cells[column.key] - other.cells[column.key]
                        if gain * (1 if column.direction == "higher" else -1) > 1e-9:
                            expected.add((f"{table.id}.{mine.key}", f"{table.id}.{other.key}", column.key))
    assert expected <= claimed
    assert len(expected) > 500
    texts = {"vmambair-2-consistently", "vmambair-3-restormer-ssim", "mambair-abstract-swinir", "mambair-3-manga109"}
    of_texts = {(c.row, c.against, key) for c in of(QualityClaim) if c.id in texts for key in c.differences}
    assert claimed - expected <= of_texts  # what is not printed as better stands in a sentence of the text


def test_every_printed_cost_of_a_network_that_can_be_counted_is_a_claim():
    expected = {
        (f"{table.id}.{row.key}", column.key)
        for table in CLAIMED
        for row in table.rows
        for column in table.columns
        if column.kind == "cost" and column.key in row.cells and (row.model or (table.id, row.key) in COUNTED)
    }
    found = {(claim.row, claim.column) for claim in of(CostClaim)}
    own = {(f"{table.id}.{row.key}", column.key) for table, row, column in OWN if column.kind == "cost" and column.key in row.cells}
    assert expected | own <= found
    assert all(row.startswith("mambair-4-eccv.ours") for row, _ in found - expected - own)


def test_ids_are_unique_over_both_papers_and_hints_are_for_networks_of_the_suite():
    assert len({claim.id for claim in ALL}) == len(ALL)
    for claim in of(QualityClaim):
        pair = [claims.find_row(reference, TABLES)[1].model for reference in (claim.row, claim.against)]
        assert ("other budget" in claim.evidence) == (None not in pair), claim.id
        assert set(claim.evidence) & {"weights", "training"}


@pytest.mark.parametrize("held", SETS, ids=lambda held: held.paper)
def test_sentences_are_our_own(held):
    if held.paper not in PAPERS:
        pytest.skip("needs the paper's text, of which the project has none")
    source = SHARED / "papers" / PAPERS[held.paper][0]
    if not source.is_file():
        pytest.skip(f"needs the paper's text in {source.parent}")
    words = re.findall(r"[\w.%]+", source.read_text(encoding="utf-8").lower())
    runs = {tuple(words[place : place + 6]) for place in range(len(words) - 5)}
    for claim in held.claims:
        own = re.findall(r"[\w.%]+", claim.sentence.lower())
        copied = [own[place : place + 6] for place in range(len(own) - 5) if tuple(own[place : place + 6]) in runs]
        assert not copied, claim.id


MINIMAL = """
schema = 1
paper = "mambair"
[[matters]]
metric = "PSNR-Y"
difference = 0.05
reason = "r"
[[claims]]
id = "a"
kind = "quality"
sentence = "s"
where = "w"
row = "mambair-2.four"
against = "mambair-2.one"
differences = { set5 = 0.04 }
evidence = ["training"]
[[claims]]
id = "b"
kind = "cost"
sentence = "s"
where = "w"
row = "mambair-4.ours-x2"
column = "params"
printed = 905.0
evidence = ["cost"]
[[claims]]
id = "c"
kind = "growth"
sentence = "s"
where = "w"
model = "mambair-sr-x2"
bounds = [0.8, 1.2]
reason = "r"
evidence = ["time"]
"""


def loaded(tmp_path, text):
    path = tmp_path / "claims.toml"
    path.write_text(text, encoding="utf-8")
    return claims.load_file(path)


def test_a_small_file_loads(tmp_path):
    held = loaded(tmp_path, MINIMAL)
    assert [claim.id for claim in held.claims] == ["a", "b", "c"]
    assert held.matter("PSNR-Y").difference == 0.05


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('paper = "mambair"', 'paper = "mambair"\nyear = 2024', ("year", "Known: claims, matters, paper, schema")),
        (
            'where = "w"\nrow = "mambair-2.four"',
            'where = "w"\nrows = "x"\nrow = "mambair-2.four"',
            ("rows", "Did you mean 'row'", "differences"),
        ),
        ("printed = 905.0", "printed = 905.0\nwhole = 1", ("whole", "column", "guess")),
        ("difference = 0.05", "difference = 0.05\nunit = 1", ("unit", "Known: difference, metric, reason")),
        ('kind = "growth"', 'kind = "grows"', ("grows", "growth")),
        ('row = "mambair-2.four"', 'row = "mambair-2.for"', ("mambair-2.for", "Did you mean 'four'")),
        ('row = "mambair-2.four"', 'row = "mambair-9.four"', ("mambair-9", "Known", "mambair-2")),
        ("{ set5 = 0.04 }", "{ set6 = 0.04 }", ("set6", "Did you mean 'set5'")),
        ("{ set5 = 0.04 }", "{ cost = 0.04 }", ("mambair-2.four.cost",)),
        ("{ set5 = 0.04 }", "{ }", ("differences",)),
        (
            'row = "mambair-2.four"\nagainst = "mambair-2.one"\ndifferences = { set5 = 0.04 }',
            'row = "mambair-3.mambair-x2"\nagainst = "mambair-3.ipt-x2"\ndifferences = { manga109-psnr = 0.04 }',
            ("mambair-3.ipt-x2.manga109-psnr",),  # blank in the paper
        ),
        ('column = "params"', 'column = "set5-psnr"', ("set5-psnr",)),
        ('model = "mambair-sr-x2"', 'model = "mambair-sr-x9"', ("mambair-sr-x9", "Did you mean")),
        ('metric = "PSNR-Y"', 'metric = "SSIM-Y"', ("[[matters]]", "PSNR-Y")),
        ('id = "b"', 'id = "a"', ("there twice",)),
        ('id = "b"', 'id = "B b"', ("id",)),
        ('evidence = ["time"]', 'evidence = ["guess"]', ("evidence",)),
        ('evidence = ["time"]', "evidence = []", ("evidence",)),
        ("schema = 1", "schema = 2", ("schema",)),
        ("[[matters]]", "[[matters]", ("not TOML",)),
    ],
)
def test_a_faulty_file_is_refused_with_the_place_and_what_is_allowed(tmp_path, old, new, said):
    assert old in MINIMAL
    with pytest.raises(SuiteError) as raised:
        loaded(tmp_path, MINIMAL.replace(old, new, 1))
    for part in (*said, "claims.toml"):
        assert part in str(raised.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(SuiteError, match=r"mambair\.toml"):
        claims.load_file(tmp_path / "mambair.toml")


def test_the_files_are_those_of_the_papers():
    assert sorted(path.stem for path in (ROOT / "results" / "claims").glob("*.toml")) == sorted(claims.CLAIMED)
