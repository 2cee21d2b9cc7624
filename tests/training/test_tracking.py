"""Tracking: what is told, what is taken back when a training goes on, and that nothing of it stops a training."""

import contextlib
import importlib.util
import json
import subprocess
import sys
import time

import numpy as np
import pytest
from fake_cells import spec

from suite.core.errors import Exit, SuiteError
from suite.core.paths import ROOT
from suite.core.stop import Stopped
from suite.training import tracking
from suite.training.tracking import Tracker, _Lines, choose_trackers, make_tracker

SPEC = spec("mambair-sr-x2-tiny")
STRIP = np.zeros((8, 24, 3), np.uint8)


@pytest.fixture
def told():
    return []


def lines(path):
    found = [json.loads(line) for line in path.read_text().splitlines()]
    for line in found:
        assert line.pop("time") > 1.7e9
    return found


def iterations(path):
    return [line["iteration"] for line in lines(path) if "event" not in line]


def test_lines_hold_points_and_events_and_move_when_the_cell_is_done(tmp_path, told):
    work, logs = tmp_path / "work", tmp_path / "logs"
    track = make_tracker(work, logs, SPEC, (), told.append)
    track.begin(0)
    track.point(10, {"loss": 0.5, "loss/pixels": 0.25, "lr": 1e-4, "validation/PSNR-Y": 28.0, "odd": float("nan")})
    track.images(10, "validation", STRIP)
    assert lines(work / "log.jsonl") == [
        {"iteration": 0, "event": "begun", "tracking": []},
        {"iteration": 10, "loss": 0.5, "loss/pixels": 0.25, "lr": 1e-4, "validation/PSNR-Y": 28.0, "odd": None},
        {"iteration": 10, "event": "images", "name": "validation", "size": [8, 24]},
    ]
    track.close("done")
    final = logs / f"{SPEC.fingerprint}.jsonl"
    assert lines(final)[-1] == {"iteration": 10, "event": "done"}
    assert list(work.iterdir()) == []
    assert list(logs.iterdir()) == [final]
    assert told == []


@pytest.mark.parametrize("ended", ["stopped", "failed", None])
def test_going_on_doubles_no_point(tmp_path, told, ended):
    work, logs = tmp_path / "work", tmp_path / "logs"
    first = make_tracker(work, logs, SPEC, (), told.append)
    first.begin(0)
    for iteration in (10, 20, 30):
        first.point(iteration, {"loss": 1 / iteration})
    if ended:
        first.close(ended)
    else:  # killed while it wrote a line
        with (work / "log.jsonl").open("a") as file:
            file.write('{"iteration": 2')
    second = make_tracker(work, logs, SPEC, (), told.append)
    second.begin(15)
    assert iterations(work / "log.jsonl") == [10]
    for iteration in (20, 30, 40):
        second.point(iteration, {"loss": 1 / iteration})
    second.close("done")
    assert iterations(logs / f"{SPEC.fingerprint}.jsonl") == [10, 20, 30, 40]
    third = make_tracker(work, logs, SPEC, (), told.append)  # the driver died before the record was written
    third.begin(40)
    third.close("done")
    assert iterations(logs / f"{SPEC.fingerprint}.jsonl") == [10, 20, 30, 40]
    fourth = make_tracker(work, logs, SPEC, (), told.append)  # from the start
    fourth.begin(0)
    fourth.close("done")
    assert iterations(logs / f"{SPEC.fingerprint}.jsonl") == []
    assert told == []


class Broken:
    def begin(self, iteration):
        del iteration

    def point(self, *_):
        raise OSError(28, "No space left on device")

    images = close = point


def test_what_fails_says_so_once_and_the_rest_goes_on(tmp_path, told):
    track = Tracker({"broken": Broken(), "lines": _Lines(tmp_path / "log.jsonl", tmp_path / "logs" / "x.jsonl")}, told.append)
    track.begin(0)
    track.point(1, {"loss": 1.0})
    track.point(2, {"loss": 1.0})
    track.images(2, "validation", STRIP)
    track.close("done")
    assert told == ["tracking by broken has ended (OSError: [Errno 28] No space left on device); the training goes on."]
    assert iterations(tmp_path / "logs" / "x.jsonl") == [1, 2]


def test_a_folder_that_cannot_be_written_stops_nothing(tmp_path, told):
    (tmp_path / "file").touch()
    track = make_tracker(tmp_path / "file", tmp_path / "file", SPEC, ("tensorboard",), told.append)
    track.begin(0)
    track.point(1, {"loss": 1.0})
    track.close("done")
    assert len(told) == 2
    assert all(text.endswith("the training goes on.") for text in told)


@pytest.mark.parametrize(
    ("error", "status"), [(None, "done"), (Stopped, "stopped"), (KeyboardInterrupt, "stopped"), (ValueError, "failed")]
)
def test_what_ends_the_block_is_the_last_event(tmp_path, error, status):
    def train():
        with make_tracker(tmp_path / "work", tmp_path / "logs", SPEC, ()) as track:
            track.begin(0)
            if error:
                raise error("ended")

    with contextlib.suppress(Stopped, KeyboardInterrupt, ValueError):
        train()
    (log,) = tmp_path.rglob("*.jsonl")
    assert lines(log)[-1] == {"iteration": 0, "event": status}


def test_a_training_that_never_began_is_not_told(tmp_path):
    def refuse():
        with make_tracker(tmp_path / "work", tmp_path / "logs", SPEC, ("tensorboard",), pytest.fail):
            raise SuiteError("no checkpoint can be used")

    with pytest.raises(SuiteError):
        refuse()
    assert list(tmp_path.iterdir()) == []


def test_a_strip_shows_the_same_view_beside_each_other():
    low = np.arange(4 * 6, dtype=np.uint8).reshape(4, 6, 1)
    high = np.arange(8 * 12 * 3, dtype=np.uint8).reshape(8, 12, 3)
    made = tracking.make_strip([low, high], side=4)
    assert (made.dtype, made.shape) == (np.uint8, (4, 8, 3))
    assert np.array_equal(made[:, 4:], high[2:6, 4:8])
    assert np.array_equal(made[::2, :4:2], low[1:3, 2:4].repeat(3, axis=2))
    assert tracking.make_strip([low, high]).shape == (8, 24, 3)
    assert tracking.make_strip([low[:3], high[:7]]).shape == (6, 24, 3)


def test_warnings_go_to_standard_error(capsys):
    track = Tracker({"broken": Broken()})
    track.point(1, {})
    assert capsys.readouterr() == (
        "",
        "tracking by broken has ended (OSError: [Errno 28] No space left on device); the training goes on.\n",
    )


def test_nothing_is_loaded_before_a_training_begins():
    heavy = ("torch", "tensorboard", "mlflow", "grpc")
    probe = f"import sys, suite.training.tracking as t; t.choose_trackers(()); print([n for n in {heavy} if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout == "[]\n"


# TensorBoard


@pytest.fixture
def events():
    pytest.importorskip("tensorboard", reason="needs tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    def read(folder):
        accumulator = EventAccumulator(str(folder), size_guidance={"scalars": 0})
        accumulator.Reload()
        return accumulator

    return read


def test_tensorboard_shows_scalars_and_pictures_and_hides_what_is_done_again(tmp_path, told, events):
    for begin, points in ((0, (10, 20, 30)), (15, (20, 30, 40))):
        track = make_tracker(tmp_path / "work", tmp_path / "logs", SPEC, ("tensorboard",), told.append)
        track.begin(begin)
        for iteration in points:
            track.point(iteration, {"loss": 1 / iteration, "validation/PSNR-Y": 28.0})
        track.images(points[-1], "validation", STRIP)
        track.close("stopped")
        time.sleep(1.1)  # TensorBoard orders the files of a run by their names, which hold whole seconds
    (folder,) = (tmp_path / "logs" / "tensorboard").iterdir()
    assert folder.name == f"mambair-sr-x2-tiny-sr-x2-seed0-{SPEC.fingerprint[:8]}"
    found = events(folder)
    assert [event.step for event in found.Scalars("loss")] == [10, 20, 30, 40]
    assert [event.step for event in found.Images("validation")] == [40]
    assert told == []


def test_tensorboard_is_chosen_where_it_is_installed(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name == "tensorboard" or None)
    assert choose_trackers(()) == ("tensorboard",)
    with pytest.raises(SuiteError, match=r"MLflow is not installed. `pip install -e '\.\[mlflow\]'`") as caught:
        choose_trackers(("mlflow",))
    assert caught.value.exit is Exit.NOT_READY
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name == "mlflow" or None)
    assert choose_trackers(()) == ()
    assert choose_trackers(("mlflow",)) == ("mlflow",)
    with pytest.raises(SuiteError, match="pip install tensorboard"):
        choose_trackers(("tensorboard",))


# MLflow


@pytest.fixture
def mlflow(monkeypatch):
    """MLflow without the user's server, in a process that may be told to warn less."""
    if importlib.util.find_spec("mlflow") is None:
        pytest.skip("needs MLflow: pip install -e '.[mlflow]'")
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_ALLOW_FILE_STORE", *tracking.MLFLOW_SETTINGS):
        monkeypatch.setenv(name, "")  # given back after the test, whatever the tracker sets
        monkeypatch.delenv(name)


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # MLflow's own
def test_mlflow_keeps_one_run_a_cell_without_a_server(tmp_path, told, mlflow, monkeypatch):
    del mlflow
    for begin, points, status in ((0, (10, 20), "stopped"), (15, (20, 30), "done")):
        track = make_tracker(tmp_path / "work", tmp_path / "logs", SPEC, ("mlflow",), told.append)
        track.begin(begin)
        for iteration in points:
            track.point(iteration, {"loss": 1 / iteration, "validation/PSNR-Y": 28.0})
        track.images(points[-1], "validation", STRIP)
        track.close(status)
    assert told == []
    from mlflow.tracking import MlflowClient

    client = MlflowClient(tracking_uri=(tmp_path / "logs" / "mlruns").as_uri())
    experiment = client.get_experiment_by_name(tracking.EXPERIMENT)
    (run,) = client.search_runs([experiment.experiment_id])
    assert (run.info.run_name, run.info.status) == (SPEC.label, "FINISHED")
    assert run.data.params["model"] == SPEC.model
    assert [metric.step for metric in client.get_metric_history(run.info.run_id, "loss")] == [10, 20, 30]

    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "elsewhere").as_uri())
    track = make_tracker(tmp_path / "work", tmp_path / "logs", SPEC, ("mlflow",), told.append)
    track.begin(0)
    track.close("failed")
    assert (tmp_path / "elsewhere").is_dir()


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_a_server_that_is_gone_is_told_in_time(tmp_path, told, mlflow, monkeypatch):
    del mlflow
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    began = time.monotonic()
    track = make_tracker(tmp_path / "work", tmp_path / "logs", SPEC, ("mlflow",), told.append)
    track.begin(0)
    track.point(1, {"loss": 1.0})
    track.close("done")
    assert time.monotonic() - began < 20
    assert len(told) == 1
    assert told[0].startswith("tracking by mlflow has ended (")
    assert iterations(tmp_path / "logs" / f"{SPEC.fingerprint}.jsonl") == [1]
