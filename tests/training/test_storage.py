"""The storage of several workers' checkpoints after a kill: what Ray cannot read any more is gone on from all the same."""

import json

import pytest

from suite.core.errors import SuiteError
from suite.training import checkpoints, storage

CELL, OTHER = "0123456789abcdef", "fedcba9876543210"


@pytest.fixture
def cell(tmp_path):
    """The cell's folder, with the checkpoints of two iterations; the clock was set back between them."""
    folder = tmp_path / CELL
    for name, iteration in (("checkpoint_2026-03-02", 7), ("checkpoint_2026-03-01", 9)):
        made(folder / name, iteration)
    (folder / ".validate_storage_marker").touch()
    return folder


def made(folder, iteration, fingerprint=CELL):
    folder.mkdir(parents=True)
    checkpoints.save(folder, {"fingerprint": fingerprint, "iteration": iteration})


def snapshot(cell, *names):
    held = {"checkpoint_results": [{"checkpoint_dir_name": name} for name in names], "latest_checkpoint_result": None}
    (cell / storage.SNAPSHOT).write_text(json.dumps(held))


def left(cell):
    return sorted(path.name for path in cell.glob("checkpoint*"))


@pytest.mark.parametrize("text", ["", '{"checkpoint_results": [{"check', "[]", '{"checkpoint_results": 3}'])
@pytest.mark.parametrize("as_uri", [False, True])
def test_a_torn_snapshot_is_removed_and_the_newest_whole_checkpoint_stays(cell, text, as_uri):
    place = cell.parent.as_uri() if as_uri else str(cell.parent)
    (cell / storage.SNAPSHOT).write_text(text)
    begin, said = storage.mend_folder(place, CELL, CELL)
    assert begin == "checkpoint_2026-03-01"  # by its iteration, not by the clock
    assert " ".join(said).startswith("Ray's list of checkpoints was torn")
    assert left(cell) == [begin]
    with storage.open_checkpoint(place, CELL, begin).as_directory() as folder:
        assert checkpoints.load(cell / begin, CELL)["iteration"] == 9
        assert folder.endswith(begin)
    assert storage.mend_folder(place, CELL, CELL)[0] == begin  # where it is killed again before Ray has a new one


def test_a_snapshot_that_names_what_is_gone_is_no_better(cell):
    snapshot(cell, "checkpoint_2026-03-01", "checkpoint_2026-03-09")
    assert storage.mend_folder(str(cell.parent), CELL, CELL)[0] == "checkpoint_2026-03-01"
    assert not (cell / storage.SNAPSHOT).exists()


def test_a_good_snapshot_is_ray_s_and_what_it_does_not_name_goes(cell):
    snapshot(cell, "checkpoint_2026-03-02")
    before = (cell / storage.SNAPSHOT).read_text()
    assert storage.mend_folder(str(cell.parent), CELL, CELL) == ("", [])
    assert left(cell) == ["checkpoint_2026-03-02", storage.SNAPSHOT]
    assert (cell / storage.SNAPSHOT).read_text() == before


def test_a_checkpoint_that_is_cut_short_or_another_cell_s_is_passed_over(cell):
    whole = cell / "checkpoint_2026-03-01" / checkpoints.SINGLE_FILE
    whole.write_bytes(whole.read_bytes()[:-100])
    made(cell / "checkpoint_2026-03-03", 99, OTHER)
    (cell / "checkpoint_2026-03-04").mkdir()
    begin, said = storage.mend_folder(str(cell.parent), CELL, CELL)
    assert begin == "checkpoint_2026-03-02"
    assert said == ["going on from the newest whole one, checkpoint_2026-03-02"]
    assert left(cell) == [begin]


def test_where_none_is_whole_it_is_said_that_all_begins_anew(cell):
    for path in cell.glob(f"*/{checkpoints.SINGLE_FILE}"):
        path.write_bytes(b"")
    (cell / storage.SNAPSHOT).write_text("")
    begin, said = storage.mend_folder(str(cell.parent), CELL, CELL)
    assert begin == ""
    assert said[-1] == "none is whole: the training begins anew"
    assert left(cell) == []
    assert storage.open_checkpoint(str(cell.parent), CELL, begin) is None


def test_a_new_storage_is_nothing_to_mend(tmp_path):
    assert storage.mend_folder(str(tmp_path / "none"), CELL, CELL) == ("", [])


def test_finished_cells_are_removed_and_others_stay(cell):
    place = str(cell.parent)
    (cell.parent / OTHER).mkdir()
    storage.remove_cells(place, {CELL, "0" * 16})
    assert [path.name for path in cell.parent.iterdir()] == [OTHER]
    storage.remove_cells(str(cell.parent / "none"), {CELL})
    with pytest.raises(SuiteError, match="finished cells in nowhere://x cannot be removed now"):
        storage.remove_cells("nowhere://x", {CELL})
