"""Cells of the grid of scan paths, really run: what their records say of how the paths were walked."""

import pytest
import torch
from small_pictures import write_splits

import models
from suite.measure.costs import count
from suite.records.cell import CellContext
from suite.runner.plan import plan_cells
from suite.training.cell import run_cell


@pytest.mark.usefixtures("one_thread")
def test_cells_run_and_say_which_paths_were_fused_and_which_gathered(tmp_path, monkeypatch):
    cost = count.count_full_size("mambair-light-x2-tiny")
    monkeypatch.setattr(count, "count_full_size", lambda _: cost)
    asked = {"budget": "smoke", "seeds": 1, "changes": write_splits(tmp_path) | {"iterations": "1"}, "backend": "cpp", "device": "cpu"}
    only = ["mambair-light-x2", "mambair-light-x2.hilbert", "mambair-light-x2.groups"]
    records = []
    for spec in plan_cells("scan-paths", only=only, **asked):
        *_, record = run_cell(spec, CellContext(work=tmp_path / spec.model, threads=1, launcher="inline", backend_reason="a test"))
        records.append(record)
    raster = ("rows", "rows, reversed", "columns", "columns, reversed")
    hilbert = ("hilbert", "hilbert, rotated", "hilbert, mirrored", "hilbert, mirrored, rotated")
    assert records[0].walks == dict.fromkeys(raster, "fused")
    assert records[1].walks == dict.fromkeys(hilbert, "gathered")
    assert records[2].walks == dict.fromkeys(raster, "gathered")  # in groups the channels of a path are not those of the next
    assert records[0].trained_params == records[1].trained_params
    assert all(record.status == "done" and record.scores for record in records)


@pytest.mark.parametrize(("backend", "walk"), [("cpp", "fused"), ("numba", "gathered"), ("reference", "gathered")])
def test_a_backend_without_a_scan_of_images_is_given_sequences(backend, walk):
    network = models.create("mambair-light-x2-tiny")
    models.set_scan_backend(network, backend)
    assert set(models.describe_walks(network).values()) == {walk}


def test_a_merge_of_the_raster_paths_changes_the_merge_alone():
    torch.manual_seed(0)
    body = models.create("mambair-light-x2-tiny")
    named = models.create("mambair-light-x2-tiny", paths="raster")
    order = [0, 2, 1, 3]  # the fused scan has the two columns after the two rows' first
    state = {}
    for name, value in body.state_dict().items():
        part = name.rpartition(".")[2]
        if ".planar." not in name:
            state[name] = value
        elif part in ("A_log", "D"):
            state[name] = value.unflatten(0, (4, -1))[order].flatten(0, 1)
        else:
            state[name] = value[order]
    named.load_state_dict(state)
    image = torch.rand(1, 3, 9, 13)
    with torch.inference_mode():
        torch.testing.assert_close(named.eval()(image), body.eval()(image), rtol=1e-5, atol=1e-6)
    gated = models.create("mambair-light-x2-tiny.gated")
    assert models.describe_walks(gated).keys() == models.describe_walks(body).keys()
