"""Several workers train a cell as one does, whatever befalls them: over gloo, by Ray Train, on processors alone."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile

import fake_cells
import pytest
import torch
from kept_weights import find_kept
from places import ROOT, SUPPORT
from processes import PATIENCE, descendants, listening_elsewhere, parent_of
from small_pictures import write_splits
from together import events, job, kill, processes_named, rest, told, until

from suite.core.errors import Exit
from suite.core.machine import count_cores
from suite.core.stop import Stop, StopFlag
from suite.data.feed.training_set import load_training
from suite.records.record import Record
from suite.records.spec import RunSpec
from suite.study.tasks import task
from suite.training import checkpoints, loop, losses, storage, workers
from suite.training.prepare import prepare_training
from suite.training.share import Share

pytestmark = [
    pytest.mark.slow,
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.skipif(count_cores() < 2, reason="two workers need two processor cores"),
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc"),
]


def specs(sets):
    """Cells by name: both designs, all that one batch has in common for its images, and both sides of a GAN."""
    x2 = {
        "task": "sr-x2",
        "model": "mambair-light-x2-tiny",
    }  # of one block, never dropped: test_cell.py has stochastic depth
    x4 = {"task": "sr-x4", "model": "vmambair-realsr-x4-tiny"}
    base = {"budget": "quick", "backend": "numba", "protocol": "sr-y@1", "iterations": 50, "batch": 4, "patch": 16, "lr": 1e-4} | sets
    gan = {"loss": "l1+perceptual+gan", "discriminator_lr": 1e-5, "ema_decay": 0.9, "batch": 2, "patch": 32, "iterations": 4}
    return {
        "mambair": RunSpec(**base | x2 | {"mixup": 1.2, "stages": ((25, 16, 4), (25, 24, 2))}),
        "vmambair": RunSpec(**base | x4 | {"batch": 3, "patch": 32, "ema_decay": 0.9, "clip_norm": 0.5}),  # 1 image and 2
        "passes": RunSpec(**base | x2 | {"seed": 1}),
        "gan": RunSpec(**base | x4 | gan),
    }


@pytest.fixture(scope="module")
def cells(tmp_path_factory):
    return specs(write_splits(tmp_path_factory.mktemp("pictures")))


@pytest.fixture(scope="module")
def together(cells, tmp_path_factory):
    """The state that two undisturbed workers, without Ray, leave of each cell."""
    folder = tmp_path_factory.mktemp("together")
    micro = {"passes": 1}
    (folder / "specs.json").write_text(json.dumps({name: (of.model_dump(mode="json"), micro.get(name, 0)) for name, of in cells.items()}))
    environment = os.environ | {"PYTHONPATH": f"{SUPPORT}{os.pathsep}{ROOT}", "GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1"}
    both = [subprocess.Popen([sys.executable, str(SUPPORT / "gloo_pair.py"), str(rank), str(folder)], env=environment) for rank in range(2)]
    assert [process.wait(timeout=2 * PATIENCE) for process in both] == [0, 0]
    return {name: checkpoints.load(folder / name, of.fingerprint) for name, of in cells.items()}


@pytest.mark.parametrize("name", ["mambair", "vmambair", "passes", "gan"])
def test_two_workers_train_as_one(name, cells, together, tmp_path, monkeypatch):
    monkeypatch.setattr(losses, "load_perceptual_loss", fake_cells.random_perceptual)
    of, two = cells[name], together[name]
    run, sampler = prepare_training(of, job(tmp_path, of, count=1).context, Share(), load_training(of.train_set, task(of.task)))
    for _ in loop.train(run, sampler, [], tmp_path):
        pass
    one = run.state()
    assert [point["iteration"] for point in two["history"]] == [point["iteration"] for point in one["history"]]
    assert two["history"][0]["loss"] == pytest.approx(one["history"][0]["loss"], rel=1e-6)
    assert [point["loss"] for point in two["history"]] == pytest.approx([point["loss"] for point in one["history"]], abs=1e-5, rel=1e-5)
    assert [point["parts"] for point in two["history"]] == [pytest.approx(point["parts"], rel=1e-4) for point in one["history"]]
    assert_close(two["network"], one["network"], loop.begin(of).network)
    if of.ema_decay:
        assert_close(two["average"], one["average"], loop.begin(of).average)
    if name == "gan":
        assert_close(two["adversary"]["network"], one["adversary"]["network"], loop.begin(of).adversary.network)


def assert_close(ours, theirs, start):
    """Two states are nearer to each other than to where they began, by far."""
    apart = moved = 0.0
    for key, before in start.state_dict().items():
        if before.is_floating_point():
            apart += (ours[key] - theirs[key]).double().square().sum().item()
            moved += (ours[key] - before).double().square().sum().item()
    assert apart**0.5 < 0.01 * moved**0.5


def assert_undisturbed(record, folder, of, state):
    """The cell ended as two workers leave it whom nothing befalls, bit for bit."""
    assert record.status == "done", record.error
    assert [point.loss for point in record.history] == [point["loss"] for point in state["history"]]
    kept = torch.load(find_kept(folder / "work" / "weights", of), weights_only=True)["params"]
    assert all(torch.equal(value, state["network"][name]) for name, value in kept.items())
    assert len(record.iteration_seconds) == of.iterations


def test_a_killed_worker_and_a_stop_cost_no_bit(cells, together, tmp_path):
    of, stop = cells["mambair"], Stop()
    where = {"storage": (tmp_path / "storage").as_uri()}
    with told():
        stream = events([job(tmp_path, of, **where)], stop)
        notes = until(stream, 12)
        assert notes == ["2 workers"]
        assert listening_elsewhere(descendants(os.getpid())) == []
        kill({max(processes_named("RayTrainWorker"))})
        until(stream, 30)
        StopFlag.of(tmp_path / "work" / of.fingerprint).set()
        assert not any(isinstance(event, Record) for event in stream)  # it has saved, and is unfinished
        shutil.rmtree(tmp_path / "work")  # nothing but the storage is needed
        iterations, record = rest(events([job(tmp_path, of, **where)]))
    assert_undisturbed(record, tmp_path, of, together["mambair"])
    assert record.history[-1].validation
    assert min(iterations) > 12
    assert list((tmp_path / "storage" / of.fingerprint).glob("checkpoint_*/checkpoint.pt"))
    storage.remove_cells(where["storage"], {of.fingerprint})
    assert list((tmp_path / "storage").iterdir()) == []
    storage.remove_cells(where["storage"], {of.fingerprint})


def test_workers_do_not_go_on_with_other_images(tmp_path):
    (tmp_path / "data").mkdir()
    of = specs(write_splits(tmp_path / "data"))["passes"]
    with told():
        stream = events([job(tmp_path, of)])
        until(stream, 12)
        StopFlag.of(tmp_path / "work" / of.fingerprint).set()
        assert not any(isinstance(event, Record) for event in stream)
        StopFlag.of(tmp_path / "work" / of.fingerprint).clear()
        shutil.copy(tmp_path / "data" / "train" / "train0.png", tmp_path / "data" / "train" / "train2.png")
        *_, record = events([job(tmp_path, of)])
    assert record.status == "failed"
    assert "hq/train2.png of the train images (new)" in record.error
    assert f"remove the folder {tmp_path / 'work' / of.fingerprint}." in record.error


CLUSTER = """
import os, sys
from ray.cluster_utils import Cluster
os.makedirs(os.environ["RAY_TMPDIR"] + "/ray")
each = {"num_cpus": 1, "object_store_memory": 80 * 2**20, "node_ip_address": "127.0.0.1"}
cluster = Cluster(initialize_head=True, head_node_args={**each, "include_dashboard": False})
for _ in range(2):
    cluster.add_node(**each)
cluster.wait_for_nodes()
print(cluster.address, flush=True)
sys.stdin.read()
cluster.shutdown()
"""


@contextlib.contextmanager
def cluster():
    """Three machines of one processor each, on the loopback interface; gives the address and the process that holds them."""
    with (
        tempfile.TemporaryDirectory(prefix="t", dir="/tmp") as folder,  # Ray's sockets need a short path
        subprocess.Popen(
            [sys.executable, "-c", CLUSTER],
            env=os.environ | {"RAY_TMPDIR": folder},  # also of the file by which others find the cluster
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as holder,
    ):
        try:
            yield holder.stdout.readline().strip(), holder.pid
        finally:
            family = descendants(holder.pid)
            with contextlib.suppress(subprocess.TimeoutExpired):
                holder.communicate(timeout=PATIENCE)
            kill(family)


def test_a_machine_that_is_lost_costs_no_bit(cells, together, tmp_path):
    of = cells["mambair"]
    quiet = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_USAGE_STATS_ENABLED": "0"}  # its token is that of this process's other Rays
    paths = {"PYTHONPATH": f"{SUPPORT}{os.pathsep}{ROOT}", "GLOO_SOCKET_IFNAME": "lo"}
    with told(**quiet, **paths), cluster() as (address, holder):
        stream = events([job(tmp_path, of)], address=address)
        until(stream, 12)
        machines = {parent_of(worker) for worker in processes_named("RayTrainWorker", holder)}
        assert len(machines) == 2
        (cell,) = {parent_of(controller) for controller in processes_named("TrainController", holder)}
        lost = (machines - {cell}).pop()
        kill({lost, *descendants(lost)})
        iterations, record = rest(stream)
    assert_undisturbed(record, tmp_path, of, together["mambair"])
    assert min(iterations) > 1


def test_an_error_that_would_come_again_ends_the_cell_in_words(cells, tmp_path):
    broken = cells["mambair"].model_copy(update={"lr": 1e30, "iterations": 8, "stages": ()})
    with told():
        *_, record = events([job(tmp_path, broken)])
    assert record.status == "failed"
    assert record.error.startswith("SuiteError: the loss became")


def test_a_killed_controller_costs_no_bit(cells, together, tmp_path):
    of = cells["mambair"]
    with told():
        stream = events([job(tmp_path, of)])
        until(stream, 12)
        kill(processes_named("TrainController"))
        notes = until(stream, 20)
        assert notes == ["Ray's controller was lost, and all begin again; 2 workers"]
        iterations, record = rest(stream)
    assert_undisturbed(record, tmp_path, of, together["mambair"])
    assert min(iterations) > 12


def test_a_killed_cell_gets_its_room_back_and_costs_no_bit(cells, together, tmp_path):
    of = cells["mambair"]
    with told():
        stream = events([job(tmp_path, of)])
        until(stream, 12)
        kill(processes_named(f"ray::cell-{of.fingerprint}"))
        iterations, record = rest(stream)
    assert_undisturbed(record, tmp_path, of, together["mambair"])
    assert min(iterations) > 1


def test_a_snapshot_of_ray_s_that_a_kill_has_torn_is_mended_aloud(cells, together, tmp_path):
    of = cells["mambair"]
    with told():
        stream = events([job(tmp_path, of)])
        until(stream, 12)
        stream.close()  # as a kill: the cell and its workers are gone at once
        (tmp_path / "work" / of.fingerprint / storage.SNAPSHOT).write_text('{"checkpoint_results": [{"che')
        stream = events([job(tmp_path, of)])
        (note,) = until(stream, 1)
        assert "2 workers Ray's list of checkpoints was torn" in note
        assert "going on from the newest whole one, checkpoint_" in note
        iterations, record = rest(stream)
    assert_undisturbed(record, tmp_path, of, together["mambair"])
    assert min(iterations) > 1


def test_a_lost_worker_is_told_from_an_error():
    peer = RuntimeError("[/pytorch/third_party/gloo/gloo/transport/tcp/pair.cc:547] Connection closed by peer [127.0.0.1]:41321")
    assert workers._lost_another(peer)
    assert workers._lost_another(torch.distributed.DistBackendError("NCCL error"))
    assert not workers._lost_another(RuntimeError("CUDA out of memory"))
    assert not workers._lost_another(ValueError("gloo"))
    box = workers.Mailbox()
    box.refuse("first", int(Exit.NOT_READY))
    box.refuse("second", None)
    box.tell_checksums({"train": "0"})
    assert box.outcome() == ({"train": "0"}, ("first", 6))
    assert box.latest() is None
