"""Faults of data, numbers and clocks in runs of real cells: what is wrong is named, nothing of it is kept, and the same command goes on."""

import itertools
import time

import killing
import numpy as np
import pytest

from suite.cli import main
from suite.core.errors import Exit
from suite.records.ledger import Ledger
from suite.training import batches, cell

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread")]
INLINE = killing.Setting(("--launcher", "inline", "--set", "iterations=8"), {}, only="mambair-sr-x2.no-conv-no-ca")


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    return killing.small_sets(tmp_path_factory.mktemp("pictures"))


@pytest.fixture(autouse=True)
def quickly(monkeypatch):
    """Costs of a small network, and checkpoints all the time."""
    from suite.measure.costs import count as cost
    from suite.training import loop

    count = cost.count_full_size
    monkeypatch.setattr(cost, "count_full_size", lambda _: count("mambair-sr-x2-tiny"))
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", 0.0)


def run(folder, sets):
    """The exit code of the grid's command, in this process."""
    return main.main(killing.command(folder, sets, INLINE)[2:])


@pytest.fixture
def undisturbed(sets, tmp_path):
    (tmp_path / "undisturbed").mkdir()
    assert run(tmp_path / "undisturbed", sets) == Exit.DONE
    return tmp_path / "undisturbed"


def errors(folder):
    return [record.error for record in Ledger(folder / "runs").records() if record.status == "failed"]


@pytest.mark.parametrize("split", ["train", "test"])
def test_a_truncated_image_is_named_and_once_it_is_whole_the_same_command_goes_on(split, tmp_path):
    sets = killing.small_sets(tmp_path / "pictures")
    image = tmp_path / "pictures" / split / f"{split}1.png"
    whole = image.read_bytes()
    image.write_bytes(whole[: len(whole) // 2])
    assert run(tmp_path, sets) == Exit.INCOMPLETE
    found = errors(tmp_path)
    assert [error.startswith("SuiteError: ") and str(image) in error for error in found] == [True]
    image.write_bytes(whole)
    assert run(tmp_path, sets) == Exit.DONE
    assert errors(tmp_path) == []


@pytest.mark.parametrize("side", [0, 1])
def test_a_batch_with_a_nan_stops_its_cell_is_kept_and_leaves_no_trace_in_the_weights(side, sets, undisturbed, tmp_path, monkeypatch):
    make = batches.SharedBatches.__call__

    def spoilt(self, iteration):
        pictures = [np.array(each, dtype=np.float32) / 255 for each in make(self, iteration)]
        if iteration == 5:
            pictures[side][0, 0, 3, 3] = np.nan
        return tuple(pictures)

    with monkeypatch.context() as patch:
        patch.setattr(batches.SharedBatches, "__call__", spoilt)
        assert run(tmp_path, sets) == Exit.INCOMPLETE
    found = errors(tmp_path)
    assert ["the loss became nan at iteration 5" in error for error in found] == [True]
    assert len(list((tmp_path / "runs" / "work").glob("*/non-finite/batch.pt"))) == 1
    assert run(tmp_path, sets) == Exit.DONE
    killing.assert_as_undisturbed(tmp_path, undisturbed, killing.Toll())


def test_a_clock_that_jumps_changes_nothing_but_the_times(sets, undisturbed, tmp_path, monkeypatch):
    jumps, real = itertools.cycle((0.0, 1e7, -1e7)), time.time
    days = itertools.cycle(("2026-03-29T01:59:59+00:00", "2031-01-01T00:00:00+00:00", "1999-12-31T23:59:59+00:00"))
    with monkeypatch.context() as patch:
        patch.setattr(time, "time", lambda: real() + next(jumps))
        patch.setattr(cell, "now", lambda: next(days))
        assert run(tmp_path, sets) == Exit.DONE
        assert run(tmp_path, sets) == Exit.DONE  # estimates by records that ended before they began
    killing.assert_as_undisturbed(tmp_path, undisturbed, killing.Toll())
