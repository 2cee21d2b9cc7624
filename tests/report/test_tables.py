"""The table model: what may be compared with what, and what is never averaged."""

import pytest
import synthetic_records as made

from suite.records.planned import Choice, plan_family
from suite.report.comparable import find_differences
from suite.report.measured import Status, make_unavailable_cell
from suite.report.tables.build import build_tables
from suite.study import published
from suite.study.grids import ModelOnTask


def table_of(key, records, profiles=()):
    return next(table for table in build_tables(published.load_all(), records, profiles) if table.published.id == key)


def costs(key, profiles):
    table = table_of(key, [], profiles)
    places = {column.key: index for index, column in enumerate(table.columns)}
    return {row.key: {name: row.cells[index] for name, index in places.items()} for row in table.rows}


def test_a_baseline_s_cost_comes_from_its_profile():
    rows = costs("vmambair-2", [made.profile("esrgan", macs=73.41e9, params=16_697_987)])
    for key in ("esrgan", "bsrgan", "real-esrgan"):  # one network under three names
        assert rows[key]["macs"].status is Status.REPRODUCED
        assert rows[key]["params"].measured.estimate.mean == pytest.approx(16.697987)
        assert rows[key]["ntire2020-psnr"].measured is None
    assert rows["swinir"]["macs"].measured is None
    assert rows["esrgan"]["macs"].command == "python -m suite profile esrgan --size 64x64"


def test_a_cost_that_a_named_convention_gives_says_so():
    counted = made.profile(
        "mambair-light-x2", (360, 640), macs=334.11e9, params=905_016, conventions={"fvcore": 334.11e9, "half": 167.05e9}
    )
    cell = costs("mambair-4", [counted])["ours-x2"]["macs"]
    assert (cell.status, cell.measured.estimate.mean) == (Status.REPRODUCED, pytest.approx(167.05))
    assert cell.measured.notes == ("by the convention “half”; in full 334.1",)
    other = costs("mambair-4", [made.profile("mambair-light-x2", (64, 64), params=905_016)])["ours-x2"]
    assert other["macs"].reason == "counted at 64×64, not at 360×640"
    assert other["macs"].command == "python -m suite profile mambair-light-x2 --size 360x640"
    assert other["params"].status is Status.REPRODUCED  # parameters have no size


@pytest.mark.parametrize(("model", "trained"), [("bicubic", 0), (made.VMAMBAIR[0], 1)])
def test_only_networks_are_said_to_need_a_training(model, trained):
    record = made.done(made.VMAMBAIR[0], 25.0)
    cell = make_unavailable_cell(
        [record.model_copy(update={"spec": record.spec.model_copy(update={"model": model})})], "LPIPS-Alex", "tasks"
    )
    assert (cell.status, len(cell.trains)) == (Status.UNAVAILABLE, trained)


def test_a_cost_at_another_size_is_not_compared():
    record = made.done(made.VMAMBAIR[0])
    other = record.model_copy(update={"cost": record.cost.model_copy(update={"input_size": (180, 320)})})
    cell = table_of("vmambair-4", [other]).rows[0].cells[0]
    assert (cell.status, cell.measured) == (Status.UNAVAILABLE, None)
    assert cell.reason == "counted at 180×320, not at 64×64"


def of_spec(record, spec):
    """Returns the record as one of the cell that `spec` is."""
    return record.model_copy(update={"spec": spec, "fingerprint": spec.fingerprint})


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"iterations": 400}, "iterations 400, the recipe has 500,000"),
        ({"iterations": 1, "batch": 1, "patch": 32}, "iterations 1, the recipe has 500,000; batch 1, the recipe has 72; and 1 more"),
        ({"width": 32}, "width 32, the network is whole"),
        ({"depth_divisor": 2}, "depth_divisor 2, the network is whole"),
        ({"test_set": "photos"}, "test set photos, the published one is NTIRE2020-T1 or NTIRE2020-Track1"),
        ({"test_set": "/data/Set5"}, "test set the folder Set5, the published one is NTIRE2020-T1 or NTIRE2020-Track1"),
        ({"protocol": "sr-y-rounded@1"}, "protocol sr-y-rounded@1, the table's is sr-y or real-sr"),
    ],
)
def test_one_condition_unlike_the_papers_is_enough_to_stand_apart(changes, reason):
    record = made.done(made.VMAMBAIR[0], 28.50, budget="paper", test_set="NTIRE2020-T1")
    table = table_of("vmambair-4", [of_spec(record, record.spec.model_copy(update=changes))])
    cell = table.rows[0].cells[-2]
    assert (cell.status, cell.measured, cell.difference) == (Status.RETRAINED, None, None)
    assert cell.reason == reason
    assert table.columns[-1].kind == "retrained"
    assert table.rows[0].cells[-1].measured.estimate.mean == pytest.approx(28.50)


def test_a_dataset_is_known_by_its_name_whatever_its_case_and_dashes():
    table = table_of("mambair-2", [made.done(made.MAMBAIR[0], 38.57, budget="paper", test_set="set-5")])
    assert [cell.status for cell in table.rows[2].cells[1:]] == [Status.REPRODUCED, Status.RETRAINED, Status.RETRAINED]


def test_conditions_are_never_averaged_and_differing_fields_are_named():
    records = [made.done(made.VMAMBAIR[0], 25.0), made.done(made.VMAMBAIR[0], 26.0, backend="reference")]
    table = table_of("vmambair-4", records)
    apart = [column for column in table.columns if column.kind == "retrained"]
    assert [table.rows[0].cells[-2 + n].measured.estimate.mean for n in (0, 1)] == pytest.approx([25.0, 26.0])
    assert [column.detail.rpartition("; ")[2] for column in apart] == ["backend numba", "backend reference"]


def test_the_last_good_attempt_counts():
    good = made.done(made.VMAMBAIR[0], 26.0)
    worse = made.failed(made.VMAMBAIR[0], "RuntimeError: later").model_copy(update={"attempt": 3})
    better = made.done(made.VMAMBAIR[0], 27.0).model_copy(update={"attempt": 2})
    for order in ([good, worse, better], [better, worse, good]):
        table = table_of("vmambair-4", order)
        assert table.rows[0].cells[-1].measured.estimate.mean == pytest.approx(27.0)


def test_scores_of_a_failed_attempt_do_not_count():
    partial = made.done(made.VMAMBAIR[0], 5.0, seed=1).model_copy(update={"status": "failed", "error": "KeyboardInterrupt: stopped"})
    cell = table_of("vmambair-4", [made.done(made.VMAMBAIR[0], 26.0), partial]).rows[0].cells[-1]
    assert cell.measured.seeds == (0,)
    assert cell.measured.notes == ("without failed seed 1",)


def test_a_row_that_is_not_ours_keeps_its_number_and_asks_for_nothing():
    paper = published.load_all()[0]
    table = paper.table("vmambair-4")
    foreign = table.rows[1].model_copy(update={"model": None})
    other = paper.model_copy(update={"tables": (table.model_copy(update={"rows": (table.rows[0], foreign)}),)})
    row = build_tables([other], made.quick_grid())[0].rows[1]
    assert [row.cells[index].published for index in (0, 5)] == [18.93, 28.07]
    assert {cell.command for cell in row.cells} == {""}
    assert row.statuses == ((Status.PUBLISHED, 1),)


def test_differences_are_taken_within_one_condition_only():
    v1 = made.done(made.VMAMBAIR[1], 25.0)
    table = table_of("vmambair-4", [made.done(made.VMAMBAIR[0], 26.0, backend="reference"), v1])
    measured = [cell.delta_measured for cell in table.rows[1].cells if cell.measured and cell.measured.seeds]
    assert measured == [None]


def test_a_table_may_say_what_keeps_every_run_from_being_compared():
    table = published.load(published.shipped_folder("results") / "published" / "vmambair.toml").table("vmambair-2")
    (column,) = [column for column in table.columns if column.key == "ntire2020-psnr"]
    whole = made.done(made.VMAMBAIR[0], 27.06, budget="paper", test_set="NTIRE2020-T1")
    record = of_spec(whole, whole.spec.model_copy(update={"protocol": "real-sr@1"})).model_copy(update={"protocol": None})
    assert [*map(str, find_differences(record, column, table))] == ["trained without GAN and perceptual losses"]
    assert find_differences(record, column, table.model_copy(update={"unlike": ""})) == ()
    changes = {"train_set": "DF2K+OST", "test_set": "NTIRE2020-T1"}
    (spec,) = plan_family(ModelOnTask(made.VMAMBAIR[0], "real-sr-x4", published=True), 0, Choice("paper", "numba", "cpu", "paper", changes))
    gan = of_spec(record, spec)
    assert find_differences(gan, column, table) == ()


def test_a_column_without_a_printed_size_holds_costs_of_one_input_alone():
    models = ("mambair-sr-x2", "mambair-sr-x2.no-conv", "mambair-sr-x2.no-conv-no-ca", "mambair-sr-x2.mlp")
    small = [made.profile(model, (64, 64), macs=110e9 - place * 1e9) for place, model in enumerate(models)]
    large = [made.profile(model, (360, 640), macs=6000e9) for model in models[:2]]
    table = table_of("mambair-1", [], [*small[:2], *large, *small[2:]])
    column = next(index for index, column in enumerate(table.columns) if column.metric == "macs")
    assert table.columns[column].detail == "input 64×64"
    assert [row.cells[column].measured.estimate.mean for row in table.rows] == [110.0, 109.0, 108.0, 107.0]
    partly = table_of("mambair-1", [], [*small[:3], large[0]])
    assert partly.rows[3].cells[column].measured is None


def test_a_number_that_stands_alone_in_its_column_is_not_the_best():
    (row,) = table_of("eamamba-dehaze", []).rows
    assert {cell.published_rank for cell in row.cells} == {None}
    ranked = table_of("mambairv2-7", []).rows
    assert [row.label for row in ranked if row.cells[-1].published_rank == 1] == ["MambaIRv2"]


def test_a_finding_on_printed_numbers_stands_with_and_without_records():
    counted = made.profile(
        "mambair-light-x2", (360, 640), macs=334.11e9, params=905_016, conventions={"fvcore": 334.11e9, "half": 167.05e9}
    )
    for profiles in ((), (counted,)):
        ((title, text),) = table_of("mambair-4", [], profiles).findings
        assert title == "Some rows of this table are halved, others are not"
        assert "1.99 to 2.01 times" in text
