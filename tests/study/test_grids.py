"""The grid of scan paths: which rows it has, and that paths are compared at equal cost."""

import dataclasses

import pytest

import models
from models.designs.mambair import SCAN_PATHS
from models.scan.paths import PATHS
from suite.measure.costs.count import count_model
from suite.study.grids import GRIDS, is_published

ROWS = GRIDS["scan-paths"].models
BODY, *CHANGED = ROWS
BY_PATH = [name for name in CHANGED if models.card(name).change[0] == "paths"]
MERGES = [name for name in CHANGED if models.card(name).change[0] == "merge"]


def test_every_path_of_the_table_has_a_row_and_every_merge():
    assert [models.card(name).change[1] for name in BY_PATH] == list(SCAN_PATHS) == [name for name in PATHS if name != "raster"]
    assert [models.card(name).change[1] for name in MERGES] == ["groups", "gated"]  # beside the body's sum
    assert models.card(BODY).config.paths is None, "the body scans along the raster paths"


def test_a_row_changes_one_field_of_the_body():
    body = models.card(BODY).config
    for name in CHANGED:
        field, value = models.card(name).change
        assert models.card(name).config == dataclasses.replace(body, **{field: value})


def test_no_paper_prints_the_rows_and_the_ablations_leave_them_out():
    for name in CHANGED:
        assert models.card(name).own
        assert not is_published(name, models.card(name).task)
    assert not set(CHANGED) & set(GRIDS["ablations"].models)
    assert is_published(BODY, models.card(BODY).task)


def tiny(name):
    return name.replace("-x2", "-x2-tiny")


@pytest.mark.parametrize("size", [tiny, pytest.param(str, marks=pytest.mark.slow)], ids=["narrowed", "published"])
def test_all_paths_cost_the_same_and_merges_their_own(size):
    costs = {name: (count_model(size(name)).params, count_model(size(name)).at((64, 64)).by_operator) for name in ROWS}
    for name in BY_PATH:
        assert costs[name] == costs[BODY], name
    for name in MERGES:
        assert costs[name] != costs[BODY], name


def test_a_narrowed_scan_in_groups_has_a_multiple_of_four_channels():
    config = models.card("mambair-light-x2.groups").config
    for width in range(1, 400):
        narrowed = config.narrowed(width, 6)
        channels, before = int(narrowed.expand * width), int(config.expand * width)
        assert channels % 4 == 0, width
        assert before <= channels < before + 4, width
    assert int(config.expand * config.dim) == 72, "as published it has one already"
