"""The grid of scan paths on the page: its rows and columns, and what its sentence says with one seed and with several."""

import synthetic_records as made
from page_reader import read, row_of

import models
from models.scan.paths import PATHS
from suite.records.record import ImageScore, Record, Trivial
from suite.records.spec import RunSpec
from suite.report.grids.scan_paths import BODY, BY_SUM, MERGES, WINDOWS, build_scan_paths
from suite.study.grids import GRIDS

ROWS = GRIDS["scan-paths"].models
IMAGES = [f"{number:02}" for number in range(8)]


def done(model, psnr, seed=0):
    """A record of the grid whose mean is `psnr`."""
    card = models.card(model)
    chosen = RunSpec(
        model=model,
        task=card.task,
        budget="smoke",
        seed=seed,
        backend="numba",
        iterations=4,
        batch=2,
        patch=32,
        lr=1e-5,
        protocol="sr-y@1",
    )
    scores = tuple(ImageScore(image=name, metrics={"PSNR-Y": psnr, "SSIM-Y": 0.9}) for name in IMAGES)
    cost = {"params": 905_016, "macs": 5.94e9, "scan_macs": 1e9, "input_size": (64, 64)}
    walks = {"rows": "fused"} if model == BODY else {"diagonal": "gathered"}
    return Record(fingerprint=chosen.fingerprint, spec=chosen, status="done", scores=scores, cost=cost, walks=walks)


def grid(gains, seeds):
    """Records of all rows: 30 dB, plus the row's gain, plus what the seed moves each row by."""
    return [
        done(model, 30 + gains.get(model, 0.0) + 0.01 * (-1) ** seed * (place % 3), seed)
        for place, model in enumerate(ROWS)
        for seed in range(seeds)
    ]


def sentence(records):
    (table,) = build_scan_paths(records)
    ((_, text),) = table.findings
    return text


def test_the_table_stands_on_the_page_only_where_a_changed_row_has_run():
    assert build_scan_paths([]) == ()
    assert build_scan_paths([done(BODY, 30.0)]) == ()
    assert "scan-paths" not in {section.attributes.get("id") for section in read([done(BODY, 30.0)]).all("section")}


def test_rows_stand_in_the_order_of_the_catalogue_with_costs_and_walks():
    records = [done(model, 30 + 0.1 * place) for place, model in enumerate(ROWS)]
    (table,) = build_scan_paths(records)
    assert [row.model for row in table.rows] == list(ROWS)
    assert [row.group for row in table.rows] == [BY_SUM] * 10 + [MERGES] * 2
    root = read(records)
    first, second = row_of(root, "scan-paths", "raster: rows, columns, both reversed", BY_SUM), row_of(root, "scan-paths", "zigzag", BY_SUM)
    assert first["retrained-0-PSNR-Y"] == ["30.000"]
    assert second["retrained-0-PSNR-Y"][0].startswith("30.200 from the baseline: +0.200")
    assert second["params"][0].startswith("905.0")
    section = root.one("details", id="scan-paths").text
    assert "read by the fused scan of images" in section
    assert "read through gathered sequences" in section
    assert "The paper states" not in section
    assert "differences-scan-paths" in {node.attributes.get("id") for node in root.all("figure")}


def test_with_one_seed_nothing_can_be_told():
    text = sentence(grid({ROWS[3]: 5.0}, 1))
    assert "with one seed" in text
    assert "hilbert" in text
    assert "nothing can be told of the paths" in text
    assert "interval" not in text


def test_with_several_seeds_it_says_which_paths_stand_apart_and_what_chance_does():
    text = sentence(grid({ROWS[3]: 5.0}, 4))
    assert text.startswith("With 4 seeds, no path differs from rows and columns by more than 5.000 dB (PSNR-Y; hilbert)")
    assert "the 95 % interval over seeds leaves out zero for hilbert." in text
    assert "up to 45 of 100 such tables" in text  # nine paths at 5 %


def test_equal_paths_are_not_told_apart():
    assert "every interval holds zero" in sentence(grid({}, 4))


def test_paths_that_are_rows_and_columns_on_the_training_s_crops_are_named():
    text = sentence(grid({}, 2))  # crops of 16 low-quality pixels
    assert "of 16 × 16 pixels that all were trained on, windows-16 and windows-32 are rows and columns" in text
    for side in (8, 16, 17, 32, 48):
        visits = {name: {tuple(path.raster(side, side)) for path in paths} for name, paths in PATHS.items()}
        assert {name for name, size in WINDOWS.items() if size >= side} == {
            name for name, visited in visits.items() if visited == visits["raster"]
        } - {"raster"}


def test_a_trivial_baseline_is_no_path():
    scores = tuple(ImageScore(image=name, metrics={"PSNR-Y": 20.0, "SSIM-Y": 0.5}) for name in IMAGES)
    bicubic = Trivial(name="bicubic", scores=scores)
    records = [record.model_copy(update={"trivial": bicubic}) for record in grid({}, 2)]
    (table,) = build_scan_paths(records)
    assert "bicubic" in {row.model for row in table.rows}
    assert "bicubic" not in sentence(records)


def test_merges_are_no_paths_and_what_is_missing_is_said():
    records = [done(BODY, 30.0), done(ROWS[1], 30.1), done("mambair-light-x2.gated", 39.0)]
    text = sentence(records)
    assert "by more than 0.100 dB (PSNR-Y; diagonal)" in text
    assert "8 of 9 paths have not been measured" in text
    assert "nothing can be told" in sentence([done(ROWS[1], 30.1)])


def test_other_pages_stay_as_they_are():
    assert build_scan_paths(made.quick_grid()) == ()
