"""A made-up paper and made-up records, of which every number on the page and every verdict can be told by hand, in both directions.

Two columns of the same data: PSNR, of which more is better, and LPIPS, of which less is. What is printed says that the second network is
best in both; what was measured says that the third is.
"""

import numpy as np
import pytest
import synthetic_records as made
from page_reader import read, row_of

from suite.records.record import ImageScore
from suite.report.measured import Status
from suite.report.tables.build import build_tables
from suite.report.versus import Side, compare_sides
from suite.study import published

MODELS = made.VMAMBAIR[:3]
WHERE = {"budget": "paper", "test_set": "NTIRE2020-T1"}
PRINTED = {"psnr": (28.50, 28.90, 28.36), "lpips": (0.2500, 0.2100, 0.2700)}
MEASURED = {"PSNR-Y": (28.52, 28.70, 28.91), "LPIPS-vgg": (0.2510, 0.2200, 0.2050)}
DIFFERENCES = {"psnr": (0.02, -0.20, 0.55), "lpips": (0.0010, 0.0100, -0.0650)}  # measured - printed
FROM_BASELINE = {"psnr": (0.18, 0.39), "lpips": (-0.0310, -0.0460)}  # of the second and third row, measured
PRINTED_FROM_BASELINE = {"psnr": (0.40, -0.14), "lpips": (-0.0400, 0.0200)}


@pytest.fixture
def paper(monkeypatch):
    """VmambaIR with table 4 alone, its first three rows, and a column of LPIPS; on the page, too."""
    whole = next(paper for paper in published.load_all() if paper.key == "vmambair")
    table = whole.table("vmambair-4")
    psnr = next(column for column in table.columns if column.key == "psnr")
    judged = psnr.tolerance.model_copy(update={"absolute": 0.005})
    lpips = psnr.model_copy(
        update={"key": "lpips", "label": "LPIPS", "metric": "LPIPS-vgg", "unit": "", "direction": "lower", "digits": 4, "tolerance": judged}
    )
    rows = [
        row.model_copy(update={"cells": {name: values[place] for name, values in PRINTED.items()}})
        for place, row in enumerate(table.rows[:3])
    ]
    bare = {"columns": (psnr, lpips), "rows": tuple(rows), "footnotes": (), "findings": ()}
    tables = tuple(one.model_copy(update=bare) if one.id == table.id else one for one in whole.tables)
    changed = whole.model_copy(update={"tables": tables})
    papers = [changed if one.key == whole.key else one for one in published.load_all()]
    monkeypatch.setattr(published, "load_all", lambda: papers)
    return changed.model_copy(update={"tables": (changed.table("vmambair-4"),)})


def record(place, seed=0, moved=0.0, **where):
    """A network measured on six images, whose means are MEASURED and whose images differ by as much in every network."""
    base = made.done(MODELS[place], 0.0, seed=seed, crops=False, **where)
    spread = [score.metrics["PSNR-Y"] for score in base.scores]
    means = {metric: values[place] for metric, values in MEASURED.items()}
    scores = tuple(
        ImageScore(
            image=score.image,
            metrics={metric: mean + (0.01 if "LPIPS" in metric else 1) * (offset + moved) for metric, mean in means.items()},
        )
        for score, offset in zip(base.scores, spread, strict=True)
    )
    return base.model_copy(update={"scores": scores})


def records(**where):
    return [record(place, **(WHERE | where)) for place in range(3)]


def test_differences_from_the_paper_and_from_the_baseline_have_their_signs(paper):
    (table,) = build_tables([paper], records())
    for index, key in enumerate(("psnr", "lpips")):
        cells = [row.cells[index] for row in table.rows]
        assert [cell.difference for cell in cells] == pytest.approx(DIFFERENCES[key], abs=1e-9)
        assert [cell.delta_measured.value for cell in cells[1:]] == pytest.approx(FROM_BASELINE[key], abs=1e-9)
        assert [cell.delta_published for cell in cells[1:]] == pytest.approx(PRINTED_FROM_BASELINE[key], abs=1e-9)
        assert [cell.status for cell in cells] == [Status.REPRODUCED, Status.DEVIATES, Status.DEVIATES]
        assert [cell.published_rank for cell in cells] == [2, 1, 3]
        assert [cell.measured_rank for cell in cells] == [3, 2, 1]


def emphasised(cell):
    """Which numbers of a cell are set as best or second: {"printed": ..., "found": ...}."""
    found = {}
    for part in ("printed", "found"):
        for box in cell.all("div", class_=part):
            number = next(box.all(class_="number"))
            found[part] = [name for name in ("best", "second") if name in number.attributes["class"].split()]
    return found


@pytest.mark.usefixtures("paper")
def test_the_page_prints_them_with_their_signs_and_sets_the_better_in_bold():
    root = read(records())
    labels = ("VmambaIR (Ours)", "VmambaIR-V1", "VmambaIR-V2")
    shown = [row_of(root, "vmambair-4", label) for label in labels]
    assert shown[0]["psnr"] == ["28.50", "measured: 28.52 data not verified", "= reproduced +0.02"]
    assert shown[0]["lpips"] == ["0.2500", "measured: 0.2510 data not verified", "= reproduced +0.0010"]
    assert shown[1]["psnr"][0] == "28.90 from the baseline: +0.40"
    assert shown[1]["psnr"][1].startswith("measured: 28.70 from the baseline: +0.18")
    assert shown[1]["psnr"][2] == "≠ deviates −0.20"
    assert shown[1]["lpips"][0] == "0.2100 from the baseline: −0.0400"
    assert shown[1]["lpips"][1].startswith("measured: 0.2200 from the baseline: −0.0310")
    assert shown[1]["lpips"][2] == "≠ deviates +0.0100"
    assert shown[2]["lpips"][2] == "≠ deviates −0.0650"
    body = next(root.one("details", id="vmambair-4").all("tbody"))
    for key in ("psnr", "lpips"):
        cells = [emphasised(row.one("td", data_column=key)) for row in body.all("tr")]
        assert [cell["printed"] for cell in cells] == [["second"], ["best"], []]
        assert [cell["found"] for cell in cells] == [[]] * 3  # of one seed
    heads = {cell.text for cell in next(root.one("details", id="vmambair-4").all("thead")).all("th")}
    assert any(head.startswith("PSNR") and "(higher is better)" in head for head in heads)
    assert any(head.startswith("LPIPS") and "(lower is better)" in head for head in heads)


@pytest.mark.usefixtures("paper")
def test_the_better_measured_one_is_in_bold_where_seeds_tell_it_from_the_next():
    two = [record(place, seed, moved=0.01 * seed * (1 + place), **WHERE) for place in range(3) for seed in range(2)]
    body = next(read(two).one("details", id="vmambair-4").all("tbody"))
    for key, expected in (("psnr", [[], ["second"], ["best"]]), ("lpips", [[], ["second"], ["best"]])):
        cells = [emphasised(row.one("td", data_column=key)) for row in body.all("tr")]
        assert [cell["found"] for cell in cells] == expected


def test_a_record_at_another_budget_is_ranked_in_its_own_column_alone(paper):
    (table,) = build_tables([paper], records(budget="quick"))
    metrics = [column.metric for column in table.columns]
    assert metrics == ["PSNR-Y", "LPIPS-vgg", "PSNR-Y", "LPIPS-vgg"]
    assert [column.direction for column in table.columns] == ["higher", "lower", "higher", "lower"]
    for index in (2, 3):
        assert [row.cells[index].measured_rank for row in table.rows] == [3, 2, 1]
        assert [row.cells[index].difference for row in table.rows] == [None] * 3


@pytest.mark.usefixtures("paper")
def test_small_numbers_are_rounded_by_the_column_s_digits_and_zero_has_no_sign(monkeypatch):
    monkeypatch.setitem(MEASURED, "PSNR-Y", (28.504, 28.896, 28.36499))
    monkeypatch.setitem(MEASURED, "LPIPS-vgg", (0.25004, 0.20996, 0.27006))
    root = read(records())
    shown = [row_of(root, "vmambair-4", label) for label in ("VmambaIR (Ours)", "VmambaIR-V1", "VmambaIR-V2")]
    assert [row["psnr"][2] for row in shown] == ["= reproduced 0.00"] * 3
    assert [row["lpips"][2] for row in shown] == ["= reproduced 0.0000", "= reproduced 0.0000", "= reproduced +0.0001"]


# Verdicts


def seeds(place, noise):
    """Three trainings of a network, each of which moves all images by a little."""
    return Side(tuple(record(place, seed=seed, moved=noise[seed], **WHERE) for seed in range(3)))


NOISE = {0: (0.002, -0.001, 0.0), 1: (-0.002, 0.001, 0.001), 2: (0.001, 0.002, -0.002)}


@pytest.mark.parametrize("metric", MEASURED)
@pytest.mark.parametrize(("variant", "baseline"), [(0, 1), (1, 0), (1, 2), (2, 1), (0, 2), (2, 0)])
def test_the_verdict_goes_with_what_is_better(metric, variant, baseline):
    sides = [seeds(place, NOISE[place]) for place in (variant, baseline)]
    (found,) = compare_sides(sides[:1], sides[1:], [metric], same_model=False)
    values = MEASURED[metric]
    assert found.found.mean == pytest.approx(values[variant] - values[baseline], abs=0.005)
    assert np.sign(found.found.interval[0]) == np.sign(found.found.interval[1]) == np.sign(found.found.mean)
    assert found.verdict == ("better" if variant > baseline else "worse")  # the third is best in both, and the first is worst
