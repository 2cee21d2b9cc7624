"""Published numbers read from pictures, READMEs and works that quote them: cell by cell as they were read, and beside MambaIR's.

Two papers of the same authors print many cells alike. The rule that counts those which differ: two cells are one and the same if they
stand under the same network's name, scale, data set and metric. Of those that differ, the ones in the row of MambaIR itself in the ECCV
version of its table 4 are of another network (859 K parameters, not 905 K); all others are another number for the same network.
"""

import csv
from pathlib import Path

import pytest
from places import SHARED

import models
from suite.core.errors import SuiteError
from suite.study import published

READ = SHARED / "published"
PAPERS = {paper.key: paper for paper in published.load_all() if paper.key in ("mambairv2", "mair", "eamamba", "evssm")}
TABLES = {table.id: table for paper in published.load_all() for table in paper.tables}
SAME = {"mambair-3": "mambairv2-4", "mambair-4": "mambairv2-3", "mambair-4-eccv": "mambairv2-3", "mambair-5": "mambairv2-7"}

# (paper, the table's name where it was read): our table; a README repeats three tables of MambaIRv2 for its own networks
NAMES = {
    ("mambairv2", "3 lightweight SR"): ("mambairv2-3",),
    ("mambairv2", "4 classic SR"): ("mambairv2-4",),
    ("mambairv2", "6 JPEG artefacts"): ("mambairv2-6",),
    ("mambairv2", "7 colour denoising"): ("mambairv2-7",),
    ("mambairv2", "README model summary"): ("mambairv2-3", "mambairv2-4", "mambairv2-6", "mambairv2-7"),
    ("mair", "lightweight SR"): ("mair-light-quoted",),
    ("eamamba", "colour denoising, one blind network"): ("eamamba-denoise",),
    ("eamamba", "real denoising"): ("eamamba-realdn",),
    ("eamamba", "real SR"): ("eamamba-realsr",),
    ("eamamba", "motion deblurring"): ("eamamba-deblur",),
    ("eamamba", "motion deblurring, as a later work quotes it"): ("eamamba-deblur-quoted",),
    ("eamamba", "dehazing"): ("eamamba-dehaze",),
    ("eamamba", "defocus deblurring"): ("eamamba-defocus",),
    ("evssm", "users' re-measurements of the released GoPro weights"): ("evssm-gopro",),
}
USERS = {
    "EVSSM, one user, after correction": "EVSSM",
    "EVSSM, another user, before the lmdb was repaired": "EVSSM, lmdb built badly",
}


def read_cells(name: str):
    """Yield the lines of a file of read cells; the test is skipped where they are not at hand."""
    path = READ / f"{name}.csv"
    if not path.is_file():
        pytest.skip(f"needs the cells that were read, in {READ}")
    with path.open(encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file)


def place_of(line, table):
    """Where a line stands in our table: its row's label and group, and its column's data set, metric and task."""
    setting, label = line["setting"], USERS.get(line["row"], line["row"])
    grouped = any(row.group for row in table.rows)
    group = ("q = " if setting.startswith("q") else "×") + setting[1:] if grouped else ""
    if line["metric"] in ("params", "MACs"):
        return label, group, line["metric"].lower()
    data = f"RealSR ×{setting[1:]}" if table.id == "eamamba-realsr" else {"BSD100": "BSDS100"}.get(line["column"], line["column"])
    task = f"denoise-{setting[5:]}" if table.id == "eamamba-denoise" else ""
    return label, group, data, line["metric"], task


def placed(table):
    """Our cells by the same places."""
    found = {}
    for row in table.rows:
        for column in table.columns:
            task = column.task if table.id == "eamamba-denoise" else ""
            name = (column.metric,) if column.kind == "cost" else (column.dataset, column.metric.partition("-")[0], task)
            if column.key in row.cells:
                found[row.label, row.group, *name] = row.cells[column.key]
    return found


@pytest.mark.parametrize("paper", PAPERS)
def test_every_cell_is_what_was_read_and_none_is_a_third_party_s(paper):
    unread = {table.id: placed(table) for table in PAPERS[paper].tables}
    for line in read_cells(paper):
        if "third party" in line["read"]:
            assert (paper, line["table"]) not in NAMES, line
            continue
        tables = [TABLES[name] for name in NAMES[paper, line["table"]]]
        hits = [table for table in tables if placed(table).get(place_of(line, table)) == float(line["value"])]
        assert len(hits) == 1, line
        if line["table"] != "README model summary":
            del unread[hits[0].id][place_of(line, hits[0])]
    assert unread == {name: {} for name in unread}


def test_columns_show_every_digit_that_was_read():
    """But for the user who printed six decimals."""
    for table in (table for paper in PAPERS.values() for table in paper.tables if table.id != "evssm-gopro"):
        for column in table.columns:
            values = [row.cells[column.key] for row in table.rows if column.key in row.cells]
            assert values == [round(value, column.digits) for value in values], (table.id, column.key)


def test_every_model_exists():
    named = [row.model for paper in PAPERS.values() for table in paper.tables for row in table.rows if row.model]
    assert set(named) <= set(models.names())
    assert {name.partition("-")[0] for name in named} == {"mambair", "mambairv2", "mair", "eamamba", "evssm"}
    assert {cost.model for cost in published.load_quoted_costs().costs} <= set(models.names())


def test_the_order_of_the_page_begins_with_the_two_seeds():
    assert published.PAPERS[:2] == ("vmambair", "mambair")


def names_of(table):
    """{(network, scale): row}; MambaIR's tables call their own row "Ours"."""
    own = "MambaIR-light" if table.number == 4 else "MambaIR"
    return {(own if row.label == "Ours" else row.label, row.group): row for row in table.rows}


def shared_cells():
    """Yield (MambaIR's table, cell there, MambaIRv2's table, cell there, value, value) of all cells that both papers print."""
    for earlier, later in SAME.items():
        theirs = names_of(TABLES[later])
        for name, row in names_of(TABLES[earlier]).items():
            other = theirs.get(name)
            for column in sorted(row.cells.keys() & other.cells.keys()) if other else ():
                yield earlier, f"{row.key}.{column}", later, f"{other.key}.{column}", row.cells[column], other.cells[column]


def marked(table, why):
    """The cells of a table that footnotes of one kind mark."""
    return {(table, cell) for footnote in TABLES[table].footnotes if footnote.why == why for cell in footnote.cells}


def test_cells_that_both_papers_print_agree_but_for_16_and_35_of_another_network():
    cells = list(shared_cells())
    differing = [cell for cell in cells if cell[4] != cell[5]]
    other_network = [cell for cell in differing if cell[0] == "mambair-4-eccv" and cell[1].startswith("ours-")]
    same_network = [cell for cell in differing if cell not in other_network]
    assert (len(cells) - len(differing), len(same_network), len(other_network)) == (451, 16, 35)
    for why, found in (("disagreement", same_network), ("other network", other_network)):
        assert {cell[:2] for cell in found} == set().union(*(marked(table, why) for table in SAME))
        assert {cell[2:4] for cell in found} == set().union(*(marked(table, why) for table in SAME.values()))


def test_footnotes_on_differing_cells_name_the_other_number():
    for earlier, cell, later, other, value, theirs in shared_cells():
        for table, key, said, column in ((earlier, cell, theirs, later), (later, other, value, earlier)):
            texts = [note.text for note in TABLES[table].footnotes if note.why == "disagreement" and key in note.cells]
            if value != theirs and not (earlier == "mambair-4-eccv" and cell.startswith("ours-")):
                assert any(f"{said:g}" in text or f"{said:.1f}" in text for text in texts), (table, key, column)


def test_mambair_s_table_4_halves_some_multiply_adds_and_not_others():
    """The finding's sentence holds every number of the two tables that it rests on, and their ratios."""
    (finding,) = (finding for finding in TABLES["mambair-4"].findings if not finding.row)
    here, there = names_of(TABLES["mambair-4"]), names_of(TABLES["mambairv2-3"])
    ratios = {name: there[name].cells["macs"] / here[name].cells["macs"] for name in here.keys() & there.keys()}
    halved = {name: ratio for name, ratio in ratios.items() if ratio > 1.5}
    assert {label for label, _ in halved} == {"SwinIR-light", "MambaIR-light"}
    assert {label for label, _ in ratios.keys() - halved.keys()} == {"CARN", "LatticeNet"}
    assert {ratios[name] for name in ratios.keys() - halved.keys()} == {1.0}
    assert len(ratios) == 12
    assert f"{min(halved.values()):.2f} to {max(halved.values()):.2f} times" in finding.without
    for name in ratios:
        assert f"{there[name].cells['macs']:.1f}" in finding.without
    own, carn = ("MambaIR-light", "×2"), ("CARN", "×2")
    for rows in (here, there):
        assert f"{rows[own].cells['macs'] / rows[carn].cells['macs']:.2f} times" in finding.without


def test_quoted_costs_are_what_was_read():
    found = {}
    for line in read_cells("quoted_costs_esc"):
        if line["row"].startswith("MambaIR"):
            found[line["row"], line["setting"], line["metric"]] = float(line["value"])
    fields = {"latency": "latency_ms", "memory": "memory_mb", "FLOPs": "macs_g", "params": "params_k"}
    quoted = {
        (cost.label, cost.model[-2:], metric): getattr(cost, field)
        for cost in published.load_quoted_costs().costs
        for metric, field in fields.items()
    }
    assert quoted == found
    assert len(quoted) == 24


def test_the_sentence_on_time_and_memory_is_computed_from_the_quoted_costs():
    (finding,) = TABLES["mambairv2-3"].findings
    costs = {cost.model: cost for cost in published.load_quoted_costs().costs}
    pairs = [(costs[f"mambair-light-x{scale}"], costs[f"mambairv2-light-x{scale}"]) for scale in (2, 3, 4)]
    for field, digits in (("latency_ms", 1), ("memory_mb", 0)):
        assert all(f"{getattr(cost, field):,.{digits}f}" in finding.without for pair in pairs for cost in pair)
    slower, larger = ([getattr(two, name) / getattr(one, name) for one, two in pairs] for name in ("latency_ms", "memory_mb"))
    fewer = [100 * (1 - two.macs_g / one.macs_g) for one, two in pairs]
    assert f"{min(slower):.1f} to {max(slower):.1f} times as long" in finding.without
    assert f"{min(larger):.1f} to {max(larger):.1f} times the memory" in finding.without
    assert f"{min(fewer):.0f} to {max(fewer):.0f} % fewer" in finding.without
    for one, two in pairs:
        printed = names_of(TABLES["mambairv2-3"])
        for cost, label in ((one, "MambaIR-light"), (two, "MambaIRv2-light")):
            row = printed[label, f"×{cost.model[-1]}"]
            assert (cost.macs_g, cost.params_k, cost.model) == (row.cells["macs"], row.cells["params"], row.model)


def test_likely_misprints_are_kept_as_printed():
    table = TABLES["mambairv2-4"]
    assert table.row("cat-a-x3").cells["manga109-psnr"] == 35.80
    assert table.row("dat-x2").cells["set14-ssim"] == 0.9297
    assert {cell.partition(".")[0] for _, cell in marked("mambairv2-4", "misprint")} == {
        *("cat-a-x3", "dat-x2", "edsr-x3", "swinir-x2", "mambair-x3", "mambair-x4"),
        *(f"mambairv2-l-x{scale}" for scale in (2, 3, 4)),
    }


def test_the_readme_s_scores_of_mambair_are_as_the_footnote_says():
    scores = [line["PSNR printed there"] for line in read_cells("weights") if line["name there"].startswith("MambaIR_guassian")]
    text = next(note.text for note in TABLES["mambair-5"].footnotes if "README" in note.text)
    assert len(scores) == 3
    assert all(score in text for score in scores)


def test_a_finding_on_printed_numbers_names_no_cell(tmp_path):
    text = Path(published.shipped_folder("results") / "published" / "mambairv2.toml").read_text(encoding="utf-8")
    path = tmp_path / "paper.toml"
    for old, new, said in (
        ("[[tables.findings]]\n", '[[tables.findings]]\nrow = "carn-x2"\n', "not all or none"),
        ("number = 3\n", "", "either a number or a source"),
        ("number = 3\n", 'number = 3\nsource = "x"\n', "either a number or a source"),
        ('why = "misprint"', 'why = "typo"', "why"),
    ):
        assert old in text
        path.write_text(text.replace(old, new, 1), encoding="utf-8")
        with pytest.raises(SuiteError, match=said):
            published.load(path)
