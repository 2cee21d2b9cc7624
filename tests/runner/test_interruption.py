"""Runs in processes of their own, killed and stopped: no cell is lost, nothing stays behind, the same command continues."""

import contextlib
import http.client
import importlib.util
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile

import fake_cells
import killing
import pytest
from places import ROOT, SUPPORT
from processes import PATIENCE, alive, command_line, descendants, listening_elsewhere, ray_folders, wait_for

from suite.core.errors import Exit
from suite.runner.attempt import CELL_VARIABLE

pytestmark = pytest.mark.slow


def command(folder, launcher):
    picked = [
        "--only",
        "no-conv",
        "--only",
        "direction",
        "--set",
        "iterations=3",
        "--backend",
        "reference",
        "--device",
        "cpu",
        "--cpus-per-cell",
        "1",
    ]
    where = ["--launcher", launcher, "--ledger", str(folder / "runs"), "--report", str(folder / "report")]
    return [sys.executable, str(SUPPORT / "fake_suite.py"), "run", "--grid", "mambair-tables-1-2", *picked, *where]


@contextlib.contextmanager
def started(folder, launcher, behaviours, *words, **variables):
    """The command, running; killed at the end, if it has not ended. `behaviours` by model; the others are good."""
    (folder / "home").mkdir(exist_ok=True)
    found = filter(None, [str(SUPPORT), str(ROOT), os.environ.get("PYTHONPATH")])
    paths = {"PYTHONPATH": os.pathsep.join(found), "HOME": str(folder / "home")}
    environment = os.environ | paths | {fake_cells.VARIABLE: json.dumps(behaviours)} | variables
    with subprocess.Popen(
        [*command(folder, launcher), *words], env=environment, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def done_files(folder):
    return sorted((folder / "runs").glob("*.done.json"))


def checkpoints(folder, name="checkpoint"):
    return list((folder / "runs" / "work").glob(f"*/{name}"))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc")
def test_a_killed_driver_and_a_stopped_one_lose_no_cell(tmp_path):
    slow = {"mambair-sr-x2.one-direction": "slow", "mambair-sr-x2.two-direction": "slow"}
    with started(tmp_path, "ray", slow) as driver:
        wait_for(lambda: len(done_files(tmp_path)) == 2 and checkpoints(tmp_path), "two cells to be done and one to be under way")
        family = descendants(driver.pid)
        assert len(family) > 3
        assert listening_elsewhere(family) == []
        family -= {process for process in family if "Agent" in command_line(process)}  # Ray's two agents idle for a minute more
        driver.send_signal(signal.SIGKILL)
        driver.wait()
    wait_for(lambda: not any(map(alive, family)), "Ray's processes to die with their driver")
    assert len(ray_folders(driver.pid)) == 1
    before = {path: (path.stat().st_ino, path.read_bytes()) for path in done_files(tmp_path)}
    for path in checkpoints(tmp_path):
        path.unlink()

    with started(tmp_path, "ray", slow) as second:
        wait_for(lambda: checkpoints(tmp_path), "a cell to be under way again")
        family = descendants(second.pid)
        second.send_signal(signal.SIGTERM)
        output, errors = second.communicate(timeout=PATIENCE)
    assert second.returncode == Exit.TERMINATED, errors
    assert output.startswith("2 of 4 cells done (2 before), stopped by SIGTERM; the same command continues; report: ")
    assert "Traceback" not in errors
    assert checkpoints(tmp_path, "saved")
    wait_for(lambda: not any(map(alive, family)), "Ray's processes to end with their driver")
    assert ray_folders(driver.pid) == ray_folders(second.pid) == []  # the killed driver's is cleared, too

    with started(tmp_path, "inline", {}) as third:
        output, errors = third.communicate(timeout=PATIENCE)
    assert third.returncode == Exit.DONE, errors
    assert output.startswith("4 of 4 cells done (2 before); report: ")
    assert {path: (path.stat().st_ino, path.read_bytes()) for path in before} == before
    assert len(done_files(tmp_path)) == 4
    assert not checkpoints(tmp_path)
    assert not (tmp_path / "home" / ".ray").exists()


CLUSTER = """
import ray, sys
limits = {"num_cpus": 1, "include_dashboard": False, "object_store_memory": 100 * 2**20}
ray.init(address="local", **limits, _node_ip_address="127.0.0.1", _temp_dir=sys.argv[1])
print(ray.get_runtime_context().gcs_address, flush=True)
sys.stdin.read()
"""


def test_a_cluster_that_is_there_is_joined_asked_to_stop_over_the_network_and_left_as_it_was(tmp_path):
    ray = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0123", "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_USAGE_STATS_ENABLED": "0"}
    cells = {fake_cells.VARIABLE: json.dumps({"mambair-sr-x2.no-conv": "slow"}), "PYTHONPATH": f"{SUPPORT}{os.pathsep}{ROOT}"}
    cells[CELL_VARIABLE] = fake_cells.CELL
    with (
        tempfile.TemporaryDirectory(prefix="t", dir="/tmp") as folder,  # Ray's sockets need a short path
        subprocess.Popen(
            [sys.executable, "-c", CLUSTER, folder], env=os.environ | ray | cells, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as cluster,
    ):
        address = cluster.stdout.readline().strip()
        with started(tmp_path, "ray", {}, "--address", address, **ray, SUITE_TEST_DISK="another") as driver:
            wait_for(lambda: checkpoints(tmp_path), "a cell to be under way")
            driver.send_signal(signal.SIGTERM)
            output, errors = driver.communicate(timeout=PATIENCE)
        assert driver.returncode == Exit.TERMINATED, errors
        assert "stopped by SIGTERM; the same command continues" in output
        assert len(checkpoints(tmp_path, "saved")) == 1
        with started(tmp_path, "ray", {}, "--address", address, **ray) as driver:
            output, errors = driver.communicate(timeout=PATIENCE)
        assert driver.returncode == Exit.DONE, errors
        assert output.startswith("4 of 4 cells done")
        assert cluster.poll() is None
        cluster.communicate(timeout=PATIENCE)


def test_ctrl_c_ends_in_order_and_the_same_command_continues(tmp_path):
    with started(tmp_path, "inline", {"mambair-sr-x2.no-conv-no-ca": "slow"}) as driver:
        wait_for(lambda: checkpoints(tmp_path), "the second cell to be under way")
        driver.send_signal(signal.SIGINT)
        output, errors = driver.communicate(timeout=PATIENCE)
    assert driver.returncode == Exit.INTERRUPTED, errors
    assert output.startswith("1 of 4 cells done, stopped by SIGINT; the same command continues; report: ")
    assert "Traceback" not in errors
    assert "SIGINT: running cells finish their step and save, 30 s at most; a second signal ends at once." in errors
    assert (tmp_path / "report" / "index.html").is_file()
    assert len(done_files(tmp_path)) == len(checkpoints(tmp_path, "saved")) == 1
    assert not checkpoints(tmp_path, "stop")


def test_a_second_ctrl_c_kills_at_once(tmp_path):
    with started(tmp_path, "inline", {"mambair-sr-x2.no-conv": "deaf"}) as driver:
        wait_for(lambda: checkpoints(tmp_path), "the first cell to be under way")
        driver.send_signal(signal.SIGINT)
        wait_for(lambda: checkpoints(tmp_path, "stop"), "the cell to be asked")
        driver.send_signal(signal.SIGINT)
        driver.communicate(timeout=PATIENCE)
    assert driver.returncode == Exit.INTERRUPTED


def test_a_cell_that_cannot_be_broken_off_ends_with_the_process_after_two_grace_periods(tmp_path):
    with started(tmp_path, "inline", {"mambair-sr-x2.no-conv": "stubborn"}, SUITE_TEST_GRACE="0.5") as driver:
        wait_for(lambda: checkpoints(tmp_path), "the first cell to be under way")
        driver.send_signal(signal.SIGTERM)
        driver.communicate(timeout=PATIENCE)
    assert driver.returncode == Exit.TERMINATED
    assert checkpoints(tmp_path, "asked")


@pytest.mark.parametrize("launcher", ["ray", "inline"])
def test_a_batch_system_s_warning_to_every_process_reaches_only_the_driver_and_the_cells_save(tmp_path, launcher):
    slow = {"mambair-sr-x2.no-conv": "slow"}
    with started(tmp_path, launcher, slow) as driver:
        wait_for(lambda: checkpoints(tmp_path), "a cell to be under way")
        for process in [*descendants(driver.pid), driver.pid]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGUSR1)
        output, errors = driver.communicate(timeout=PATIENCE)
    assert driver.returncode == Exit.PREEMPTED == 138, errors
    assert "stopped by SIGUSR1; the same command continues; report: " in output or "no report" in output
    assert checkpoints(tmp_path, "saved")
    assert not checkpoints(tmp_path, "stop")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc")
def test_the_dashboard_is_for_this_machine_alone_and_wants_its_token(tmp_path):
    if importlib.util.find_spec("aiohttp_cors") is None:
        pytest.skip("needs what Ray's dashboard needs: pip install -e '.[dashboard]'")
    with started(tmp_path, "ray", {"mambair-sr-x2.no-conv": "slow"}, "--dashboard") as driver:
        line = next(line for line in driver.stderr if line.startswith("Ray's dashboard, on this machine alone: "))
        port, token = re.search(r"http://127\.0\.0\.1:(\d+), token (\w{64})$", line.strip()).groups()
        wait_for(lambda: checkpoints(tmp_path), "a cell to be under way")
        assert listening_elsewhere(descendants(driver.pid)) == []
        answers = []
        for headers in ({}, {"Authorization": f"Bearer {token}"}):
            connection = http.client.HTTPConnection("127.0.0.1", int(port), timeout=PATIENCE)
            connection.request("GET", "/api/version", headers=headers)
            answers.append(connection.getresponse().status)
            connection.close()
        assert answers == [401, 200]
        driver.send_signal(signal.SIGTERM)
        driver.communicate(timeout=PATIENCE)
    assert driver.returncode == Exit.TERMINATED


@pytest.mark.parametrize("launcher", ["ray", "inline"])
def test_a_cell_that_does_not_listen_is_killed_after_the_grace_period_alone(tmp_path, launcher):
    deaf = {"mambair-sr-x2.no-conv": "deaf"}
    with started(tmp_path, launcher, deaf, "--only", "no-conv", "--max-hours", str(4 / 3600), SUITE_TEST_GRACE="2") as driver:
        output, errors = driver.communicate(timeout=PATIENCE)
    assert driver.returncode == Exit.INCOMPLETE, errors
    assert "stopped: the time limit is reached; the same command continues" in output
    assert "the time limit is reached: running cells finish their step and save, 2 s at most" in errors


def test_a_second_run_on_one_ledger_is_told_which_process_holds_it(tmp_path):
    with started(tmp_path, "inline", {"mambair-sr-x2.no-conv": "slow"}) as first:
        wait_for(lambda: checkpoints(tmp_path), "the first cell to be under way")
        with started(tmp_path, "inline", {}) as second:
            output, errors = second.communicate(timeout=PATIENCE)
        assert (second.returncode, output) == (Exit.NOT_READY, "")
        assert f"another run (process {first.pid}) is writing to the ledger {tmp_path / 'runs'}. Wait until it ends, stop it, or" in errors
        assert done_files(tmp_path) == []
        first.send_signal(signal.SIGTERM)
        first.communicate(timeout=PATIENCE)
    assert first.returncode == Exit.TERMINATED


def test_a_run_with_a_failed_cell_says_so_and_still_reports(tmp_path):
    with started(tmp_path, "inline", {"mambair-sr-x2.no-conv": "raises"}) as driver:
        output, errors = driver.communicate(timeout=PATIENCE)
    assert driver.returncode == Exit.INCOMPLETE
    assert output.startswith("3 of 4 cells done, 1 failed, the same command tries the rest again; report: ")
    assert "mambair-sr-x2.no-conv · seed 0: failed, ValueError: this cell is broken" in errors


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc")
def test_three_kills_of_real_cells_lose_nothing(tmp_path):
    """The driver, a process that makes batches, and the driver again; tests/runner/test_random_kills.py has thirty."""
    sets, toll, chance = killing.small_sets(tmp_path / "pictures"), killing.Toll(), random.Random(1)  # noqa: S311 - to be drawn again
    whole, folder = tmp_path / "undisturbed", tmp_path / "killed"
    aims = ({"driver": ("writing",)}, {"loader": ("profiling",)}, {"driver": ("evaluating",)})
    settings = [killing.Setting(("--launcher", "inline"), aim, only="mambair-sr-x2.no-conv-no-ca") for aim in aims]
    for place in (whole, folder):
        place.mkdir()
    killing.finish(whole, sets, settings[0], killing.Toll())
    for setting in settings:
        killing.struck(folder, sets, setting, 1, chance, toll)
    killing.finish(folder, sets, settings[0], toll)
    assert toll.kills.total() == 3
    killing.assert_as_undisturbed(folder, whole, toll)
