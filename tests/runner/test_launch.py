"""Launchers and whole runs: equal records, failures that stay where they are, and ends that lose nothing."""

import dataclasses
import json
import os
import signal
import socket
import sys
import tempfile
from pathlib import Path

import fake_cells
import numpy as np
import pytest
from fake_cells import spec
from PIL import Image
from places import SUPPORT
from processes import alive, command_line, descendants, ray_folders

from suite.core.errors import Exit, SuiteError
from suite.core.files import LOCK, take_lock
from suite.core.paths import ROOT
from suite.core.stop import Stop
from suite.records.cell import CellContext, Progress
from suite.records.ledger import Ledger
from suite.records.record import Record
from suite.records.trainings import Trainings
from suite.runner import attempt as attempt_module
from suite.runner import cluster, launch
from suite.runner.attempt import CELL_VARIABLE, attempt
from suite.runner.execute import How, execute

TINY = "mambair-sr-x2-tiny"


@pytest.fixture(autouse=True)
def fake(monkeypatch):
    monkeypatch.setenv(CELL_VARIABLE, fake_cells.CELL)


def context(folder, launcher="inline"):
    return CellContext(work=folder, threads=1, launcher=launcher, backend_reason="a test")


def jobs(folder, launcher, specs):
    return [cluster.Job(of, context(folder / of.fingerprint, launcher)) for of in specs]


def behave(monkeypatch, **behaviours):
    monkeypatch.setenv(fake_cells.VARIABLE, json.dumps(behaviours))


def records_of(events):
    return {event.spec.model: event for event in events if isinstance(event, Record)}


# One attempt


def attempted(tmp_path, of):
    *progress, last = attempt(of, context(tmp_path))
    assert all(isinstance(event, Progress) for event in progress)
    assert progress[0].state == "starting"
    return last


def test_an_error_becomes_a_failed_record_with_its_traceback_and_nobody_s_folders(tmp_path, monkeypatch):
    behave(monkeypatch, m="raises")
    last = attempted(tmp_path, spec("m"))
    assert last.status == "failed"
    assert last.error.startswith("Traceback")
    assert last.error.endswith("ValueError: this cell is broken")
    assert str(ROOT) not in last.error
    assert last.provenance.threads == 1
    assert last.provenance.machine["cores"] >= 1


def test_what_a_user_can_mend_is_recorded_without_a_traceback(tmp_path, monkeypatch):
    behave(monkeypatch, m="refuses")
    assert attempted(tmp_path, spec("m")).error == "SuiteError: this cell lacks its data; put them there."


def test_a_cell_that_ends_without_a_record_has_failed(tmp_path, monkeypatch):
    behave(monkeypatch, m="ends")
    assert "ended without a record" in attempted(tmp_path, spec("m")).error


def test_progress_is_thinned_out_but_no_state_is_lost(tmp_path):
    events = list(attempt(spec("m", iterations=5000), context(tmp_path)))
    assert [event.state for event in events[:2]] == ["starting", "training"]
    assert [event.state for event in events[-2:-1]] == ["evaluating"]
    assert len(events) < 200


def test_threads_are_held_in_this_process(tmp_path):
    import torch

    before = torch.get_num_threads()
    try:
        list(attempt(spec("m"), context(tmp_path)))
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)


def test_a_cell_waits_for_another_process_that_still_works_on_it(tmp_path, monkeypatch):
    monkeypatch.setattr(attempt_module, "OTHERS_SECONDS", 0.2)
    monkeypatch.setattr(attempt_module, "SECONDS_BETWEEN_PROGRESS", 0.1)
    with (tmp_path / LOCK).open("a+") as other:
        assert take_lock(other) is None
        first, *waits, last = attempt(spec("m"), context(tmp_path))
        assert {event.note for event in waits} == {f"waiting for process {os.getpid()}, which still works on it"}
        assert last.status == "failed"
        assert "it may belong to a run that was killed. Stop it" in last.error
        events = attempt(spec("m"), context(tmp_path))
        assert next(events) == first
        assert next(events).note
    assert list(events)[-1].status == "done"


# Launchers


def pictures(folder):
    """A folder with one small picture of noise, a different one for each folder."""
    folder.mkdir()
    pixels = np.random.default_rng(len(folder.name)).integers(0, 256, size=(48, 48, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(folder / "noise.png")
    return folder


@pytest.fixture(scope="module")
def streamed(tmp_path_factory):
    """One Ray session over every kind of cell, from a working folder that holds nothing; the same cells inline; processes of before."""
    folder = tmp_path_factory.mktemp("launchers")
    small = {f"{split}_set": str(pictures(folder / split)) for split in ("train", "validation", "test")}
    specs = [
        *(spec("good", seed=seed) for seed in range(2)),
        *(spec(kind) for kind in ("raises", "refuses", "dies", "dies once", "ends")),
        spec(TINY, iterations=2, **small),
    ]
    kinds = {kind: kind for kind in ("raises", "refuses", "dies", "dies once", "ends")} | {TINY: "real"}
    others = descendants(os.getpid())  # of other tests
    with pytest.MonkeyPatch.context() as patch:
        behave(patch, **kinds)
        patch.setenv("PYTHONPATH", str(SUPPORT))
        patch.setenv(CELL_VARIABLE, fake_cells.CELL)
        patch.chdir(folder)
        on_ray = list(launch.run(jobs(folder / "ray", "ray", specs), "ray", Stop()))
        survivors = [of for of in specs if not of.model.startswith("dies")]
        inline = list(launch.run(jobs(folder / "inline", "inline", survivors), "inline", Stop()))
    return specs, on_ray, inline, others


@pytest.mark.slow
def test_every_cell_ends_in_one_record_whatever_befalls_it(streamed):
    specs, on_ray, *_ = streamed
    ended = [event.fingerprint for event in on_ray if isinstance(event, Record)]
    assert sorted(ended) == sorted(of.fingerprint for of in specs)
    states = {model: found.status for model, found in records_of(on_ray).items()}
    failed = dict.fromkeys(("raises", "refuses", "dies", "ends"), "failed")
    assert states == failed | {"good": "done", "dies once": "done", TINY: "done"}


@pytest.mark.slow
@pytest.mark.ray_internals
def test_a_worker_that_dies_twice_leaves_its_reason_and_last_words(streamed):
    error = records_of(streamed[1])["dies"].error
    assert "lost 2 times" in error
    assert "last words of the worker" in error


@pytest.mark.slow
def test_a_worker_s_own_error_reaches_the_record(streamed):
    found = records_of(streamed[1])
    assert found["raises"].error.endswith("ValueError: this cell is broken")
    assert found["refuses"].error == "SuiteError: this cell lacks its data; put them there."


@pytest.mark.slow
def test_inline_and_ray_give_equal_records(streamed):
    _, on_ray, inline, _ = streamed
    by_ray = {event.fingerprint: event for event in on_ray if isinstance(event, Record)}
    for found in (event for event in inline if isinstance(event, Record)):
        other = by_ray[found.fingerprint]
        same = {"spec", "status", "attempt", "protocol", "scores", "cost", "trained_params", "crops"}
        assert found.model_dump(include=same) == other.model_dump(include=same)
        assert [(p.iteration, p.loss, p.validation) for p in found.history] == [(p.iteration, p.loss, p.validation) for p in other.history]
        assert found.provenance.threads == other.provenance.threads == 1
    assert records_of(inline)[TINY].scores


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc")
def test_ray_leaves_nothing_behind(streamed):
    *_, others = streamed
    left = [command_line(process) for process in descendants(os.getpid()) - others if alive(process)]
    assert [command for command in left if "multiprocessing.resource_tracker" not in command] == []  # Python's own, one a process
    assert ray_folders(os.getpid()) == []


def test_no_job_is_no_work():
    assert list(launch.run([], "ray", Stop())) == []


def test_ray_that_is_missing_is_an_error_with_the_way_round(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(SuiteError, match="--launcher inline") as caught:
        list(launch.run(jobs(tmp_path, "ray", [spec("m")]), "ray", Stop()))
    assert caught.value.exit is Exit.NOT_READY


def test_ray_that_does_not_start_is_an_error_with_the_reason(tmp_path, monkeypatch):
    import ray

    def fail(**_):
        raise ConnectionError("no port is free\nsecond line")

    monkeypatch.setattr(ray, "init", fail)
    with pytest.raises(SuiteError, match=r"ConnectionError: no port is free\. `--launcher inline`") as caught:
        list(launch.run(jobs(tmp_path, "ray", [spec("m")]), "ray", Stop()))
    assert caught.value.exit is Exit.NOT_READY


@pytest.mark.slow
def test_an_address_where_no_ray_answers_is_an_error_in_time(tmp_path, monkeypatch):
    monkeypatch.setattr(cluster, "JOIN_SECONDS", 3.0)
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = f"127.0.0.1:{other.getsockname()[1]}"
        with pytest.raises(SuiteError, match="nothing there answered as a Ray cluster"):
            list(launch.run(jobs(tmp_path, "ray", [spec("m")]), "ray", Stop(), address=address))
    with pytest.raises(SuiteError, match="cannot stream"):
        list(launch.run(jobs(tmp_path, "ray", [spec("m")]), "ray", Stop(), address="ray://127.0.0.1:9"))


@pytest.mark.parametrize(
    ("traceback", "cause"),
    [
        (
            "[12:00:00 W] gcs_client.cc: no\nTraceback (most recent call last):\n  File ...\n"
            "RuntimeError: Failed to connect. Last error: Traceback (most recent call last):\n  File ...\n"
            "ray.exceptions.AuthenticationError: the token is missing.\n\nThe above exception was ...\n"
            "Traceback (most recent call last):\n  File ...\nConnectionError: Failed to connect to Ray",
            "ray.exceptions.AuthenticationError: the token is missing",
        ),
        ("Killed\n", "Killed"),
        ("", "no reason given"),
    ],
)
def test_the_cause_is_found_in_what_ray_prints(traceback, cause):
    assert cluster._cause(traceback) == cause


def test_a_job_that_no_machine_can_take_is_an_error_and_not_a_wait(tmp_path):
    class Cluster:
        @staticmethod
        def nodes():
            return [{"Alive": True, "Resources": {"CPU": 2.0}}, {"Alive": False, "Resources": {"CPU": 64.0, "GPU": 8.0}}]

    cluster.check_room(Cluster, jobs(tmp_path, "ray", [spec("m")]))
    with pytest.raises(SuiteError, match="needs 1 CPUs and 1 GPUs on one machine, and Ray has: 2 CPUs, 0 GPUs"):
        cluster.check_room(Cluster, jobs(tmp_path, "ray", [spec("m", device="cuda")]))


def test_workers_of_a_cell_need_room_at_the_same_time(tmp_path):
    class Cluster:
        @staticmethod
        def nodes():
            return [{"Alive": True, "Resources": {"CPU": cpus, "GPU": gpus}} for cpus, gpus in ((5.0, 4.0), (3.0, 0.0))]

    def shared(device="cpu", **fields):
        of = spec("m", device=device)
        return cluster.Job(of, dataclasses.replace(context(tmp_path, "ray"), threads=2, **fields))

    cluster.check_room(Cluster, [shared(workers=3)])  # 2 and 1
    assert cluster.own_resources(shared(workers=3)) == (0, 0)
    assert cluster.count_jobs_at_once(Cluster, [shared(workers=3)] * 5) == 1
    with pytest.raises(SuiteError, match="room for 4 workers of 2 CPUs and 0 GPUs each, and Ray has: 5 CPUs, 4 GPUs; 3 CPUs, 0 GPUs"):
        cluster.check_room(Cluster, [shared(workers=4)])
    cluster.check_room(Cluster, [shared("cuda", workers=2, gpus=2)])
    with pytest.raises(SuiteError, match="room for 3 workers of 2 CPUs and 1 GPUs"):
        cluster.check_room(Cluster, [shared("cuda", workers=3, gpus=1)])


def test_folders_of_killed_runs_are_removed_and_those_in_use_are_not(monkeypatch):
    with tempfile.TemporaryDirectory(prefix="t", dir="/tmp") as base:
        monkeypatch.setattr(cluster, "Path", lambda text: Path(base) if text == "/tmp" else Path(text))  # noqa: S108
        left = Path(base) / f"{cluster.FOLDER_PREFIX}left"
        left.mkdir()
        (left / ".lock").write_text("1")
        with cluster._temporary_folder() as first, cluster._temporary_folder() as second:
            assert not left.exists()
            assert first.is_dir()
            assert second.is_dir()
        assert list(Path(base).iterdir()) == []


# Whole runs, in this process


def test_a_run_records_failures_goes_on_and_tries_again(tmp_path, monkeypatch):
    ledger = Ledger(tmp_path / "runs")
    specs = [spec("first"), spec("second"), spec("third"), spec("first")]
    how = How("inline", 1, "a test")
    behave(monkeypatch, second="raises")
    outcome = execute(specs, ledger, how)
    assert (outcome.skipped, outcome.done, outcome.failed, outcome.unfinished) == (0, 2, 1, 0)
    assert outcome.exit is Exit.INCOMPLETE
    assert outcome.sentence == "2 of 3 cells done, 1 failed, the same command tries the rest again"
    assert [path.name for path in ledger.work.iterdir()] == [Trainings(specs).identify(specs[1])]
    behave(monkeypatch)
    outcome = execute(specs, ledger, how)
    assert (outcome.skipped, outcome.done, outcome.failed) == (2, 1, 0)
    assert outcome.exit is Exit.DONE
    assert outcome.sentence == "3 of 3 cells done (2 before)"
    assert [entry.attempt for entry in ledger.entries() if entry.fingerprint == specs[1].fingerprint] == [1, 2]
    assert list(ledger.work.iterdir()) == []
    assert execute(specs, ledger, how).skipped == 3


def test_checkpoints_that_a_killed_run_left_of_a_cell_that_is_done_are_removed(tmp_path):
    ledger, of = Ledger(tmp_path / "runs"), spec("m")
    ledger.add(fake_cells.record(of))
    stored = tmp_path / "storage" / of.fingerprint / "checkpoint_1"
    for folder in (ledger.work_folder(of.fingerprint), stored):
        folder.mkdir(parents=True)
        (folder / "checkpoint.pt").touch()
    how = How("inline", 1, "a test", storage=str(tmp_path / "storage"))
    assert execute([of], ledger, how).skipped == 1
    assert list(ledger.work.iterdir()) == list((tmp_path / "storage").iterdir()) == []


def test_checkpoints_that_cannot_be_removed_are_told_and_cost_no_cell(tmp_path, capsys):
    how = How("inline", 1, "a test", storage="nowhere://x")
    assert execute([spec("first"), spec("second")], Ledger(tmp_path / "runs"), how).done == 2
    assert "in nowhere://x cannot be removed now" in capsys.readouterr().err


def test_a_run_that_would_not_fit_the_disk_does_not_start(tmp_path):
    how = How("inline", 1, "a test", disk_mib=1e12)
    with pytest.raises(SuiteError, match="MiB free") as caught:
        execute([spec("m")], Ledger(tmp_path / "runs"), how)
    assert caught.value.exit is Exit.NOT_READY
    how = How("inline", 1, "a test", storage=str(tmp_path / "storage"), storage_mib=1e12)
    with pytest.raises(SuiteError, match="or use another folder with --storage PATH"):
        execute([spec("m")], Ledger(tmp_path / "runs"), how)


def test_a_record_that_cannot_be_written_stops_the_run_and_keeps_the_checkpoint(tmp_path, monkeypatch):
    def full(*_):
        raise SuiteError("the disk is full", exit=Exit.NOT_READY)

    ledger = Ledger(tmp_path / "runs")
    monkeypatch.setattr(Ledger, "add", full)
    with pytest.raises(SuiteError, match="the disk is full"):
        execute([spec("first"), spec("second")], ledger, How("inline", 1, "a test"))
    assert [folder.name for folder in ledger.work.iterdir()] == [Trainings().identify(spec("first"))]
    with ledger.locked():  # given back
        pass


def test_signals_are_given_back(tmp_path):
    before = signal.getsignal(signal.SIGTERM)
    execute([spec("m")], Ledger(tmp_path / "runs"), How("inline", 1, "a test"))
    assert signal.getsignal(signal.SIGTERM) is before
