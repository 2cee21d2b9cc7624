"""`python -m suite doctor`: what it finds, that nothing stops it, and that its output can be shown to anyone."""

import importlib
import json
import os
import re
import socket
import subprocess
import sys
import tomllib
import types
from importlib import metadata
from unittest import mock

import fake_checks
import pytest
import torch
from places import SUPPORT

from models.scan.backends import BACKENDS, BackendUnavailable
from suite.cli import main
from suite.core import machine
from suite.core.errors import Exit
from suite.core.paths import ROOT
from suite.core.redaction import redact
from suite.health.doctor import checks, packages, run
from suite.health.doctor.findings import Check, Diagnosis, Question
from suite.runner import cluster

NOTHING = Question()
HANGS = "signal.alarm(signal.alarm(0) > 50)\ntime.sleep(600)"  # where an alarm would end it after a minute, it does after a second


def instead(monkeypatch, *made):
    """These checks are made."""
    monkeypatch.setattr(checks, "CHECKS", made)


# Checks that do not end well


def test_a_check_that_crashes_is_a_line_and_the_rest_goes_on(monkeypatch):
    instead(
        monkeypatch,
        Check("one", fake_checks.well, "x"),
        Check("raises", fake_checks.raises),
        Check("dies", fake_checks.dies),
        Check("leaves", fake_checks.leaves),
        Check("hangs", fake_checks.hangs, seconds=0.5),
        Check("compiles", fake_checks.hangs, seconds=0.5, late="its first use compiles", mend="wait"),
        Check("silent", fake_checks.leaves_in_peace),
        Check("deep", fake_checks.dies, deep=True),
        Check("last", fake_checks.missing),
    )
    monkeypatch.setattr(os, "getloadavg", lambda: (9.0, 1.0, 1.0))
    monkeypatch.setattr(run, "count_cores", lambda: 2)
    found = run.diagnose()
    assert found[0] == Diagnosis("one", "ok", "subject x, ledger")
    assert [(one.check, one.state) for one in found[1:4]] == [(name, "problem") for name in ("raises", "dies", "leaves")]
    assert found[1].found == "the check failed: ValueError: this check is broken"
    assert "SIGABRT" in found[2].found
    assert "exit code 7" in found[3].found
    late = "not known: no answer within 0.5 s (this machine is busy (a load of 9 on 2 cores))"
    assert found[4] == Diagnosis("hangs", "warning", late, run.AGAIN)  # a limit of the doctor's is no fault of the installation
    assert found[5] == Diagnosis("compiles", "warning", late.replace("(this", "(its first use compiles; this"), "wait")
    assert all(one.mend for one in found[1:])
    silent = Diagnosis("silent", "problem", "the check ended with exit code 0", run.REPORT)
    assert found[6:] == [silent, Diagnosis("weights", "warning", "not there", "fetch them")]


@pytest.mark.parametrize(("loading", "seconds", "part"), [("os.abort()", 60, "SIGABRT"), (HANGS, 3, "within 3 s")])
def test_where_loading_pytorch_is_the_end_each_check_begins_by_itself(tmp_path, loading, seconds, part):
    (tmp_path / "torch.py").write_text(f"import os, signal, time\n{loading}\n")
    program = (
        "import fake_checks; from suite.health.doctor import checks, packages, run; from suite.health.doctor.findings import Check\n"
        f"checks.CHECKS = (Check('one', fake_checks.well), Check('imports', packages.check_imports, seconds={seconds}))\n"
        "for one in run.diagnose(): print(one.check, one.state, one.found, sep='|')"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (tmp_path, SUPPORT, ROOT)))}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environment, timeout=120)
    one, imports = done.stdout.splitlines()
    assert one == "one|ok|subject , ledger"
    assert imports.startswith("imports|problem|" if "SIG" in part else "imports|warning|not known")
    assert part in imports


def test_doctor_loads_nothing_heavy_by_itself():
    program = "import sys; from suite.cli.health import doctor as verb; from suite.health.doctor import checks, run; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    assert not {"torch", "numpy", "ray", "pydantic"} & set(done.stdout.split())


@pytest.mark.parametrize(("function", "code"), [("well", Exit.DONE), ("missing", Exit.DONE), ("raises", Exit.NOT_READY)])
def test_the_exit_code_is_6_where_something_needed_is_broken(function, code, monkeypatch, capsys):
    instead(monkeypatch, Check("a", getattr(fake_checks, function)))
    assert main.main(["doctor"]) == code
    head, row, last = capsys.readouterr().out.splitlines()
    assert head.split() == ["CHECK", "STATE", "FOUND", "FIX"][: len(head.split())]
    assert row.startswith(("a ", "weights "))
    assert "can be pasted into an issue" in last
    assert main.main(["doctor", "--json"]) == code
    assert json.loads(capsys.readouterr().out)["ok"] is (code == Exit.DONE)


# Privacy


@pytest.mark.parametrize(
    ("commit", "state", "found"),
    [
        (machine.Commit("0123456789abcdef", True), "ok", "commit 0123456789ab, with uncommitted changes"),
        (machine.Commit("unknown", None, "git is not installed, or not on PATH"), "warning", "git is not installed, or not on PATH"),
        (machine.Commit("unknown", None, f"{machine.NO_ANSWER} within 20 s"), "warning", "within 20 s"),
        (machine.Commit("unknown", None, f"refused (`{machine.TRUST} FOLDER`)"), "warning", f"refused (`{machine.TRUST} FOLDER`)"),
    ],
)
def test_the_commit_that_records_name_or_why_they_name_none(monkeypatch, commit, state, found):
    monkeypatch.setattr(machine, "find_commit", lambda: commit)
    (one,) = checks.check_commit(NOTHING)
    assert (one.state, one.found.endswith(found)) == (state, True)
    assert machine.find_version() in one.found
    if machine.TRUST in commit.reason:
        assert one.mend == f"{machine.TRUST} {ROOT}"
    if machine.NO_ANSWER in commit.reason:
        assert "again" in one.mend


def test_neither_output_tells_who_where_or_what_is_secret(tmp_path, monkeypatch, capsys):
    home = tmp_path / "alice.smith"
    planted = {
        "HOME": str(home),
        "USER": "alicesmith",
        "LOGNAME": "alicesmith",
        "HOSTNAME": "quietbox.lab.example",
        "HF_TOKEN": "correct horse battery",
        "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI",
        "RAY_ADDRESS": "10.1.2.3:6379",
        "HTTPS_PROXY": "http://alicesmith:hunter22@proxy.lab.example:3128",
        "SUITE_DATA": str(home / "data"),
        "SUITE_CACHE": str(home / "cache"),
    }
    planted["RAY_AUTH_MODE"] = "token"  # a choice, no secret: the suite itself sets it when it starts Ray
    tell = {
        "TELL_PATH": str(home / "data" / "alicesmith-sets"),
        "TELL_OTHER_HOME": "/home/bob/x and /Users/carol/y",
        "TELL_HOST": "quietbox.lab.example and quietbox",
        "TELL_ADDRESS": "10.1.2.3:6379, http://dave:pw@host/x, 192.168.0.7",
        "TELL_ENVIRONMENT": "correct horse battery, wJalrXUtnFEMI, hf_abcdefghijklmnopqrstuv",
        "TELL_WORDS": "512 tokens",
    }
    (home / "data").mkdir(parents=True)
    for name, value in (planted | tell).items():
        monkeypatch.setenv(name, value)
    told = [Check("tells", fake_checks.tells)]
    told += [check for check in checks.CHECKS if check.name in ("python", "ray", "disk", "data sets", "package names")]
    instead(monkeypatch, *told)
    secret = ["alice", "smith", "bob", "carol", "dave", "quietbox", "lab.example", "horse", "wJalr", "hf_abc", "hunter", "10.1.2"]
    secret += ["192.168", str(tmp_path)]
    for words in ([], ["--json"]):
        main.main(["doctor", *words])
        out, err = capsys.readouterr()
        assert "~/data" in out
        assert "512 tokens" in out
        assert [word for word in secret if word.lower() in (out + err).lower()] == []


def test_versions_and_loopback_are_no_addresses():
    text = "torch 2.14.1, fvcore 0.1.5.post20221221, driver 535.104.05, 127.0.0.1:80"
    assert redact(text) == text


# Findings


def test_a_torchvision_of_another_torch_is_said_with_the_command_that_fixes_it(monkeypatch):
    versions = {"torch": "2.7.1+cu126", "torchvision": "0.21.0"}
    monkeypatch.setattr(metadata, "version", lambda name: versions.get(name, "9"))
    monkeypatch.setattr(metadata, "requires", lambda _: ["numpy", "torch==2.6.0"])
    (found,) = packages._torchvision_for_another_torch()
    assert (found.state, found.mend.partition(" (")[0]) == ("problem", "pip install --upgrade torch torchvision")
    assert "torchvision 0.21.0 was built for torch 2.6.0, and torch 2.7.1+cu126" in found.found
    monkeypatch.setattr(metadata, "requires", lambda _: ["torch (==2.7.1)"])
    assert packages._torchvision_for_another_torch() == []


@pytest.mark.parametrize(
    ("error", "mend"),
    [
        (ImportError("numpy.core.multiarray failed to import"), "built for another NumPy"),
        (ValueError("numpy.dtype size changed, may indicate binary incompatibility"), "built for another NumPy"),
        (RuntimeError("operator torchvision::nms does not exist"), "pip install --upgrade --force-reinstall numba"),
    ],
)
def test_a_package_that_cannot_be_imported_is_reinstalled(error, mend, monkeypatch):
    real = importlib.import_module

    def import_module(name):
        if name == "numba":
            raise error
        return real(name) if name in ("numpy", "torch") else None

    monkeypatch.setattr(importlib, "import_module", import_module)
    (found,) = packages.check_imports(NOTHING)
    assert found.state == "problem"
    assert found.found.startswith(f"numba cannot be imported ({type(error).__name__}: ")
    assert mend in found.mend


def test_packages_that_are_old_or_missing_are_named(monkeypatch):
    versions = {name: "99.0" for name, _ in packages.list_required()} | {"ray": "2.39.9"}
    del versions["lpips"]
    monkeypatch.setattr(packages, "find_version", versions.get)
    found = packages.check_packages(NOTHING)
    assert {one.found for one in found[1:]} == {"ray 2.39.9 is older than 2.51", "lpips is not installed"}
    assert {one.mend for one in found[1:]} == {"pip install --upgrade 'ray>=2.51'", "pip install --upgrade 'lpips>=0.1.4'"}


def test_versions_are_compared_as_numbers():
    assert packages.read_release("2.10.0+cpu") > packages.read_release("2.9")
    assert packages.read_release("2.6.0") == packages.read_release("2.6")


def test_a_gpu_that_torch_cannot_use_is_a_warning(monkeypatch):
    monkeypatch.setattr(machine, "describe_gpus", lambda: ["Some GPU, 8192 MiB, 535.1"])
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    (found,) = checks.check_gpu(NOTHING)
    assert found.state == "warning"
    assert found.found.startswith("torch cannot use the GPU: Some GPU, 8192 MiB, 535.1; torch ")
    assert ("driver" if torch.version.cuda else "a build for CUDA") in found.mend
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    assert [(one.state, one.mend) for one in checks.check_gpu(NOTHING)] == [("ok", "")]
    monkeypatch.setattr(machine, "describe_gpus", list)
    assert checks.check_gpu(NOTHING)[0].found.startswith("no NVIDIA GPU, so networks run on the processor; torch ")


def test_a_backend_that_is_wrong_is_a_problem_and_one_that_is_absent_a_warning(monkeypatch):
    assert checks.check_backend(Question("reference"))[0].state == "ok"
    absent = BackendUnavailable("cuda", "there is no GPU here.", "use a machine with one.")
    monkeypatch.setattr("models.scan.backends.resolve_backend", mock.Mock(side_effect=[absent, ("reference", "asked for by name")]))
    assert checks.check_backend(Question("cuda")) == [
        Diagnosis("", "warning", "does not run here: there is no GPU here.", "use a machine with one.")
    ]
    monkeypatch.setattr("suite.measure.scans.check.measure_errors", lambda *_: {"y": 1e-9, "dA": 0.5})
    (found,) = checks.check_backend(Question("reference"))
    assert found.state == "problem"
    assert "dA" in found.found


def test_a_missing_compiler_is_a_warning(monkeypatch):
    monkeypatch.setattr(checks.shutil, "which", lambda _: None)
    assert checks.check_compiler(NOTHING)[0].state == "warning"


def test_folders_without_room_or_access(tmp_path, monkeypatch):
    monkeypatch.setenv("SUITE_CACHE", str(tmp_path / "cache"))
    found = checks.check_disk(Question(ledger=str(tmp_path / "runs" / "deep")))
    assert [one.check for one in found] == ["disk: ledger", "disk: work", "disk: cache"]
    usage = type("Usage", (), {"free": 2**20})
    monkeypatch.setattr(checks.shutil, "disk_usage", lambda _: usage)
    assert {one.state for one in checks.check_disk(NOTHING)} == {"problem"}
    monkeypatch.setattr(checks.os, "access", lambda *_: False)
    assert "cannot be written" in checks.check_disk(NOTHING)[0].found


def test_data_sets_are_counted_by_name(tmp_path, monkeypatch):
    monkeypatch.delenv("SUITE_DATA", raising=False)
    assert [(one.check, one.state) for one in checks.check_data(NOTHING)] == [("data: photos", "ok"), ("", "warning")]
    monkeypatch.setenv("SUITE_DATA", str(tmp_path))
    assert checks.check_data(NOTHING)[1].found.startswith("0 of ")
    monkeypatch.setenv("SUITE_DATA", str(tmp_path / "none"))
    assert checks.check_data(NOTHING)[1].state == "problem"


def test_a_package_hidden_by_our_folder_is_a_problem(tmp_path, monkeypatch):
    assert checks.check_package_names(NOTHING)[0].state == "ok"
    (tmp_path / "datasets").mkdir()
    (tmp_path / "datasets" / "__init__.py").touch()
    monkeypatch.setattr(checks, "ROOT", tmp_path)
    assert checks.check_package_names(NOTHING)[0].mend == "rm datasets/__init__.py"


def test_weights_that_are_missing_come_with_one_command(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("SUITE_CACHE", str(tmp_path))
    found = checks.check_caches(NOTHING)
    assert [one.state for one in found] == ["ok", "warning", "warning", "warning"]
    assert all(one.mend.startswith('python -c "from torchvision.models import ') and one.mend.endswith('"') for one in found[1:])


def test_every_backend_is_checked_and_the_definition_alone_is_not_said_to_compile_or_fetch():
    assert tuple(BACKENDS) == checks.BACKENDS
    assert {check.subject for check in checks.CHECKS if check.late == checks.COMPILES} == set(BACKENDS) - {"reference"}


@pytest.mark.usefixtures("homeless")
def test_a_user_without_a_home_and_a_cache_that_cannot_be_made_are_warnings(tmp_path, monkeypatch):
    (cache,) = [one for one in checks.check_disk(Question(ledger=str(tmp_path))) if one.check == "disk: cache"]
    assert (cache.state, cache.mend) == ("warning", "export SUITE_CACHE=<a folder you may write to>")
    assert cache.found.startswith("this user has no home folder, so there is no cache folder: compiled kernels go to a temporary folder")
    assert checks.check_caches(NOTHING)[0].found.startswith("no cache folder")
    monkeypatch.setenv("SUITE_CACHE", str(tmp_path / "file" / "cache"))
    (tmp_path / "file").touch()
    assert checks.check_disk(Question(ledger=str(tmp_path)))[2].state == "warning"


def test_a_dead_cluster_in_the_variable_is_told_before_a_run_waits_for_it(monkeypatch):
    with socket.socket() as free:  # bound, and not listening
        free.bind(("127.0.0.1", 0))
        monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{free.getsockname()[1]}")
        ray, found = checks.check_ray(NOTHING)
    assert (ray.state, found.check, found.state) == ("ok", "ray: cluster", "warning")
    assert "nothing answers there (Connection refused)" in found.found
    assert found.mend.startswith("env -u RAY_ADDRESS ")


def test_what_is_required_is_read_from_the_package_where_there_is_no_checkout(monkeypatch):
    monkeypatch.setattr(checks, "is_installed", lambda: True)
    monkeypatch.setattr(packages, "is_installed", lambda: True)
    monkeypatch.setattr(metadata, "requires", lambda _: ["torch>=2.6", "ray[train]<2.61,>=2.51", "pyiqa>=0.1; extra == 'iqa'"])
    monkeypatch.setattr(metadata, "metadata", lambda _: {"Requires-Python": ">=3.11"})
    assert list(packages.list_required()) == [("torch", "2.6"), ("ray", "2.51")]
    assert packages.check_python(NOTHING)[0].state == "ok"
    assert checks.check_package_names(NOTHING)[0].state == "ok"


def test_in_a_checkout_every_lower_bound_is_found():
    needed = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
    assert [name for name, _ in packages.list_required()] == [re.match(r"[\w-]+", line)[0] for line in needed]


def test_ray_is_tried_as_a_run_starts_it(monkeypatch):
    asked = {}
    ray = types.SimpleNamespace(
        init=lambda **words: asked.update(words), shutdown=lambda: None, cluster_resources=lambda: {"CPU": 2.0}
    )  # fmt: skip
    monkeypatch.setattr(cluster, "import_ray", lambda *, local: ray if local else None)
    (found,) = checks.check_ray_start(Question())
    assert (found.state, found.found) == ("ok", "started on 127.0.0.1 with 2 processors, and ended")
    assert asked["_node_ip_address"] == "127.0.0.1"
