"""What needs no training stands beside the networks, below it nothing is marked, and a run ends with what it found."""

import re

import pytest
import synthetic_records as made
from page_reader import read

from suite.records.record import ImageScore, Trivial
from suite.report.claims.judge import judge_claims
from suite.report.comparable import find_differences
from suite.report.figures.forest import RETRAINED, draw_forest
from suite.report.formats.export_text import render_markdown
from suite.report.pictures import compare_pictures
from suite.report.report import page_text
from suite.report.results import summarise_run
from suite.report.tables.build import build_tables
from suite.report.trivial import add_trivial
from suite.study.published import load_all

FULL, ONE_WAY, NO_CHANNEL, *_ = made.VMAMBAIR
COLUMN = "PSNR-Y"


def with_trivial(record, mean):
    """The record, of whose images bicubic makes `mean`, with a picture for each detail."""
    offsets = [score.metrics[COLUMN] - record.mean(COLUMN) for score in record.scores]
    scores = [
        ImageScore(image=score.image, metrics={COLUMN: mean + offset, "SSIM-Y": 0.7})
        for score, offset in zip(record.scores, offsets, strict=True)
    ]
    pictures = {crop.image: made.png(shift=200) for crop in record.crops}
    return record.model_copy(update={"trivial": Trivial(name="bicubic", scores=tuple(scores), pictures=pictures)})


def grid(bicubic, seeds=1, gap=0.5):
    """The full network and an ablation `gap` dB below it, which differs by 0.01 dB among seeds."""
    means = {FULL: 26.0, ONE_WAY: 26.0 - gap}
    return [
        with_trivial(made.done(model, mean + 0.01 * (seed + (model == FULL) * seed), seed=seed), bicubic)
        for model, mean in means.items()
        for seed in range(seeds)
    ]


def column_of(records):
    table = next(table for table in build_tables(load_all(), records) if table.published.id == "vmambair-4")
    index = next(i for i, column in enumerate(table.columns) if column.kind == "retrained" and column.metric == COLUMN)
    return table.columns[index], {row.model: row.cells[index] for row in table.rows}


def test_bicubic_is_a_row_with_its_difference_from_the_full_network():
    column, cells = column_of(grid(25.0))
    assert next(iter(cells)) == "bicubic"
    assert cells["bicubic"].measured.estimate.mean == pytest.approx(25.0)
    assert cells["bicubic"].measured.seeds == (0,)  # of both networks
    assert cells["bicubic"].delta_measured.value == pytest.approx(-1.0)
    assert cells["bicubic"].command == "python -m suite evaluate bicubic --task real-sr-x4 --data photos --protocol sr-y@1"
    assert column.warning == ""


@pytest.mark.parametrize(
    ("bicubic", "seeds", "gap", "shown"),
    [
        (25.0, 3, 0.5, 1),
        (25.0, 1, 0.5, None),  # one seed
        (25.0, 3, 0.001, None),  # an interval that holds 0
        (27.0, 3, 0.5, None),  # below bicubic
    ],
)
def test_the_best_is_marked_only_where_seeds_tell_it_from_the_next_and_it_is_above_bicubic(bicubic, seeds, gap, shown):
    _, cells = column_of(grid(bicubic, seeds, gap))
    assert cells[FULL].shown_rank == shown
    assert cells["bicubic"].shown_rank is None


def test_what_seeds_do_not_tell_from_the_first_is_no_second():
    best = [made.done(NO_CHANNEL, 26.0005 + 0.01 * (seed + seed % 2), seed=seed) for seed in range(3)]
    _, cells = column_of([*grid(25.0, 3), *(with_trivial(record, 25.0) for record in best)])
    assert cells[NO_CHANNEL].measured_rank + cells[FULL].measured_rank == 3  # first and second, which seeds do not tell apart
    assert [cells[model].shown_rank for model in (NO_CHANNEL, FULL, ONE_WAY)] == [None] * 3


@pytest.mark.parametrize(("seeds", "bold"), [(1, 0), (3, 1)])
def test_the_exported_table_has_in_bold_what_the_page_has(seeds, bold):
    table = next(table for table in build_tables(load_all(), grid(25.0, seeds)) if table.published.id == "vmambair-4")
    lines = render_markdown([table]).splitlines()
    measured = [line for line in lines if line.startswith("|") and "26.0" in line]
    assert len(measured) == 1
    assert len(re.findall(r"\*\*26\.0\d", measured[0])) == bold


def test_the_page_says_that_nothing_can_be_concluded_below_bicubic():
    column, _ = column_of(grid(25.7))
    assert column.warning == "1 of 2 networks are not better than bicubic (25.70 dB): nothing can be concluded from this column."
    text = page_text(grid(25.7))
    assert "nothing can be concluded" in text
    assert 'class="number best"' not in re.sub(r'<div class="printed">.*?</div>', "", text, flags=re.DOTALL)


def test_bicubic_is_among_the_pictures_first_behind_the_input_with_its_values():
    records = grid(25.0)
    (found,) = compare_pictures(records, build_tables(load_all(), records)).sets
    assert [method.label for method in found.methods][:2] == ["input", "bicubic"]
    tile = found.images[0].tiles[1]
    assert tile.picture is not None
    assert tile.values[0] == pytest.approx(records[0].trivial.scores[0].metrics[COLUMN])


def test_old_records_have_no_such_row():
    _, cells = column_of([made.done(FULL), made.done(ONE_WAY)])
    assert "bicubic" not in cells


def test_a_claim_is_told_where_a_network_is_below_bicubic():
    from suite.study.claims import load_claims

    reasons = {part.reason for one in judge_claims(load_claims(), grid(27.0, 3)) if one.hint for part in [one.hint]}
    assert any("is not better than bicubic here" in reason for reason in reasons)


def test_networks_of_more_and_of_fewer_seeds_are_both_told():
    more = [made.done(model, seed=seed) for model in made.MAMBAIR for seed in range(5)]
    assert "have an interval over 3 to 5 seeds that leaves out 0" in summarise_run([*grid(25.0, 3), *more]).verdict
    assert "cells done, quick budget, 3 to 5 seeds." in read([*grid(25.0, 3), *more]).text


def test_a_network_at_two_budgets_is_one_network():
    twice = [made.done(model, budget=budget) for model in made.MAMBAIR for budget in ("quick", "evening")]
    assert summarise_run([*twice, *grid(25.0, 1)]).verdict.startswith("All 8 networks are better than bicubic.")
    assert "cells done, evening and quick budgets, 1 seed." in read([*twice, *grid(25.0, 1)]).text


def test_a_run_ends_with_a_line_a_network_and_a_sentence():
    results = summarise_run(grid(25.0, 3))
    (table,) = results.tables
    assert table.title == "real-sr-x4, quick budget"
    assert [row["network"] for row in table.rows] == [FULL, ONE_WAY, "bicubic"]
    full, one_way, bicubic = table.rows
    assert re.fullmatch(r"26\.\d\d ± 0\.\d\d", full[COLUMN])
    assert full["from full model"] == bicubic["from full model"] == bicubic["training"] == ""
    assert re.fullmatch(r"−0\.5\d \(−0\.\d\d to −0\.\d\d, over 3 seeds\)", one_way["from full model"])
    assert (full["GMACs, full size"], full["training"]) == ("19.4", "31.5 s")
    assert results.verdict == (
        "All 2 networks are better than bicubic. 1 of 1 differences from the full model have an interval over 3 seeds that leaves out 0 "
        "(95%, each by itself)."
    )


def test_the_page_shows_the_run_in_one_table_with_both_names_and_no_baseline_among_the_ablations():
    records = grid(25.0, 3)
    root = read(records)
    table = next(root.one("section", id="cells").all("table"))
    assert [cell.text for cell in table.all("th", scope="row")] == [f"VmambaIR (Ours) {FULL}", f"VmambaIR-V1 {ONE_WAY}", "bicubic"]
    assert "All 2 networks are better than bicubic." in root.one("section", id="cells").text
    forest = draw_forest(build_tables(load_all(), records))
    assert len(forest.rows) == 9
    assert not any("bicubic" in label for label, *_ in forest.rows)


def test_differences_of_one_seed_are_counted_apart_and_have_no_interval():
    several = grid(25.0, 3)
    once = [record.model_copy(update={"spec": record.spec.model_copy(update={"budget": "short"})}) for record in grid(25.0, 1)]
    results = summarise_run([*several, *once])
    assert "1 of 1 differences from the full model have an interval over 3 seeds" in results.verdict
    assert results.verdict.endswith("; 1 more rests on fewer than two seeds and cannot tell.")
    (single,) = (table for table in results.tables if "short" in table.title)
    assert re.fullmatch(r"−0\.\d\d", next(row["from full model"] for row in single.rows if row["network"] == ONE_WAY))


def test_the_forest_shows_what_rests_on_most_seeds_and_no_line_of_one():
    def measured(records):
        forest = draw_forest(build_tables(load_all(), records))
        (series,) = (one for one in forest.series if one.name == RETRAINED)
        return {point.y: point for point in series.points}

    def renamed(record):  # another budget, which stands before quick in the table: fewer iterations
        return record.model_copy(update={"spec": record.spec.model_copy(update={"budget": "short", "iterations": 200})})

    alone = measured(made.quick_grid())
    assert len(alone) == 9
    assert not any(point.low or point.high for point in alone.values())
    several = made.quick_grid(3)
    once = [renamed(made.done(model, 30.0 - place)) for place, model in enumerate(made.VMAMBAIR + made.MAMBAIR)]
    assert measured([*once, *several]) == measured(several)
    assert all(point.low < point.x < point.high for point in measured(several).values())


def test_the_sentence_says_what_cannot_be_concluded():
    assert summarise_run(grid(25.7)).verdict == "1 of 2 networks are not better than bicubic: nothing can be concluded on quality."
    assert "One seed cannot tell differences" in summarise_run(grid(25.0)).verdict
    assert summarise_run([made.done(FULL)]).verdict == "No baseline was measured with these networks."
    assert summarise_run([made.failed(FULL, "broken", seed=0)]).verdict == "No network was measured: nothing can be concluded."


def test_a_baseline_is_as_comparable_as_the_training_beside_which_it_was_measured():
    record = made.done(made.MAMBAIR[0], 38.57, budget="paper", test_set="Set5")
    both = add_trivial([record.model_copy(update={"trivial": Trivial(name="bicubic", scores=record.scores)})])
    table = next(table for paper in load_all() for table in paper.tables if table.id == "mambair-2")
    column = next(column for column in table.columns if "Set5" in column.test_sets)
    assert [(one.spec.model, find_differences(one, column, table)) for one in both] == [(made.MAMBAIR[0], ()), ("bicubic", ())]
