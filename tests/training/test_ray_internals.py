"""What is used of Ray beyond its public interface still does what is told of it: with a real Ray, two workers, and a killed cell.

`python -m pytest -m ray_internals` runs it, and the log of a dead worker in tests/runner/test_launch.py, in three minutes; fifteen minutes
of worse disturbances are in test_workers.py.
"""

import os
import sys

import pytest
from processes import descendants, listening_elsewhere
from small_pictures import write_splits
from together import events, job, kill, processes_named, rest, told, until

from suite.core.machine import count_cores
from suite.core.stop import Stop
from suite.data.feed.training_set import load_training
from suite.records.spec import RunSpec
from suite.study.protocols import protocol
from suite.study.tasks import task
from suite.training import loop, ray_internals, storage
from suite.training.prepare import load_data, prepare_training
from suite.training.share import Share

LONGEST_SECONDS = 900.0  # two minutes where nothing else runs: 158 s of processor time


@pytest.mark.slow
@pytest.mark.ray_internals
@pytest.mark.usefixtures("one_thread")
@pytest.mark.skipif(count_cores() < 2, reason="two workers need two processor cores")
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc")
def test_two_workers_train_as_one_though_their_cell_is_killed(tmp_path):
    of = RunSpec(
        model="mambair-light-x2-tiny",
        task="sr-x2",
        protocol="sr-y@1",
        budget="quick",
        backend="numba",
        iterations=12,
        batch=2,
        patch=16,
        lr=1e-4,
        **write_splits(tmp_path),
    )
    stop = Stop(seconds=LONGEST_SECONDS, grace=1.0)
    with told(), stop.armed():
        stream = events([job(tmp_path, of)], stop)
        assert until(stream, 4) == ["2 workers"]
        assert listening_elsewhere(descendants(os.getpid())) == []  # Ray, and the workers' meeting
        kill(processes_named(f"ray::cell-{of.fingerprint}"))  # leaves the workers' room to nobody
        iterations, record = rest(stream)
    assert not stop.time_up, "the room of the killed cell's workers was not given back, or this machine is very busy"
    assert record.status == "done", record.error
    assert min(iterations) > 1  # from a checkpoint
    assert record.provenance.data_checksums == load_data(of, task(of.task), protocol(of.protocol)).checksums

    run, sampler = prepare_training(of, job(tmp_path, of, count=1).context, Share(), load_training(of.train_set, task(of.task)))
    alone = [point.loss for point in loop.train(run, sampler, [], tmp_path) if point]
    assert [point.loss for point in record.history] == pytest.approx(alone, abs=1e-5, rel=1e-5)

    folder = tmp_path / "work" / of.fingerprint
    kept = {path.name for path in folder.glob(f"{ray_internals.CHECKPOINT_PREFIX}*/")}
    assert kept
    assert ray_internals.named_checkpoints((folder / ray_internals.SNAPSHOT).read_bytes()) == kept
    assert storage.mend_folder(str(folder.parent), folder.name, of.fingerprint) == ("", [])
    assert {path.name for path in folder.glob(f"{ray_internals.CHECKPOINT_PREFIX}*/")} == kept


def test_a_ray_that_does_not_tell_whose_room_is_free_is_reported(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray._private.state", None)
    assert "this Ray does not say which slots are free again (ModuleNotFoundError" in ray_internals.free_abandoned_groups()
