"""A training that was stopped does not go on with other images: it names the file, leaves the checkpoint, and goes on with the old ones."""

import contextlib
import os
import shutil

import pytest
from small_pictures import write_image

from suite.core.errors import Exit, SuiteError
from suite.core.stop import StopFlag, Stopped
from suite.data.digests import make_manifest
from suite.measure.costs import count as cost
from suite.records.cell import CellContext
from suite.records.record import Record
from suite.records.spec import RunSpec
from suite.study.protocols import protocol
from suite.study.tasks import task
from suite.training.cell import run_cell
from suite.training.checkpoints import Checkpoints

pytestmark = pytest.mark.usefixtures("one_thread")
SIDES = {"train": ("HR",), "validation": ("HR", "LR"), "test": ("HR", "LR")}


@pytest.fixture(autouse=True)
def cheap_cost(monkeypatch, tmp_path):
    count = cost.count_full_size
    monkeypatch.setattr(cost, "count_full_size", lambda _: count("mambair-light-x2-tiny"))
    monkeypatch.setenv("SUITE_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def stopped(tmp_path):
    """A cell whose training was stopped after some of its steps, and where it lies."""
    for place, (split, sides) in enumerate(SIDES.items()):
        for side in sides:
            for number in range(2):
                write_image(tmp_path / "data" / split / side / f"{split}{number}.bmp", 32 if side == "HR" else 16, 10 * place + number)
    sets = {f"{split}_set": str(tmp_path / "data" / split) for split in SIDES}
    small = {"task": "sr-x2", "budget": "quick", "backend": "numba", "iterations": 6, "batch": 1, "patch": 16, "lr": 1e-4}
    spec = RunSpec(model="mambair-light-x2-tiny", protocol="sr-y@1", **small, **sets)
    where = CellContext(work=tmp_path / "work", threads=1, launcher="inline", backend_reason="a test")
    with contextlib.suppress(Stopped):
        for event in run_cell(spec, where):
            if event.state == "training":
                StopFlag.of(where.work).set()
    StopFlag.of(where.work).clear()
    return spec, where


def go_on(spec, where):
    *_, last = run_cell(spec, where)
    return last


def swap(path):
    before = path.stat()
    write_image(path, 32 if path.parent.name == "HR" else 16, 99)
    assert path.stat().st_size == before.st_size
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 1))


def add(path):
    write_image(path.with_name("one-more.bmp"), 32 if path.parent.name == "HR" else 16, 98)


CHANGES = {
    "swapped": (swap, "{split}1.bmp"),
    "added": (add, "one-more"),
    "removed": (lambda path: path.unlink(), "{split}1"),
    "renamed": (lambda path: path.rename(path.with_name("renamed.bmp")), "{split}1"),
}


def test_a_stopped_training_goes_on_with_its_own_data_alone(stopped, tmp_path):
    spec, where = stopped
    data, checkpoints = tmp_path / "data", Checkpoints(where.work, spec.fingerprint)
    shutil.copytree(data, tmp_path / "kept")
    files = [one.path.name for one in checkpoints.files()]
    for split, sides in SIDES.items():
        for both in (False, True):
            for what, (change, named) in CHANGES.items():
                for side in sides if both else sides[-1:]:
                    change(data / split / side / f"{split}1.bmp")
                with pytest.raises(SuiteError, match=named.format(split=split)) as caught:
                    go_on(spec, where)
                assert caught.value.exit is Exit.NOT_READY
                if both or what == "swapped" or split == "train":  # else one side has no partner, which is refused before
                    said = str(caught.value)
                    assert said.startswith(f"the data of {spec.label} are not those that it began with: ")
                    assert "Put the old data back and run the same command, or begin anew" in said
                    assert said.endswith(f"remove the folder {where.work}.")
                assert [one.path.name for one in checkpoints.files()] == files
                shutil.rmtree(data)
                shutil.copytree(tmp_path / "kept", data)
    record = go_on(spec, where)
    assert isinstance(record, Record)
    assert record.status == "done"
    for one in record.data_files:
        now = make_manifest(one.name, one.split, task(spec.task), protocol(spec.protocol))
        assert (one.name, one.sha256, one.files) == (spec.sets[one.split], now.sha256, len(now.files))
    assert [one.split for one in record.data_files] == ["train", "validation", "test"]
    assert [one.files for one in record.data_files] == [2, 4, 4]


def test_after_the_work_folder_is_removed_it_begins_anew_with_the_new_data(stopped, tmp_path):
    spec, where = stopped
    swap(tmp_path / "data" / "train" / "HR" / "train0.bmp")
    with pytest.raises(SuiteError, match=r"hq/train0\.bmp of the train images \(changed\)"):
        go_on(spec, where)
    shutil.rmtree(where.work)
    assert len(go_on(spec, where).iteration_seconds) == 6


def test_a_checkpoint_of_before_there_were_checksums_goes_on(stopped):
    spec, where = stopped
    checkpoints = Checkpoints(where.work, spec.fingerprint)
    state = checkpoints.latest(lambda _: None)
    assert 0 < state["iteration"] < spec.iterations
    assert set(state.pop("files")) == set(SIDES)
    for one in checkpoints.files():
        one.path.unlink()
    checkpoints.save(state["iteration"], state)
    record = go_on(spec, where)
    assert (record.status, len(record.data_files)) == ("done", 3)
