"""What is said of a machine, and what is not."""

import getpass
import json
import os
import platform
import subprocess

import pytest

from suite.core import machine


def test_the_machine_is_described_without_its_user_or_its_name():
    facts = machine.describe_machine()
    assert facts["cores"] == machine.count_cores() >= 1
    assert facts["memory_gib"] > 0
    assert facts["python"] == platform.python_version()
    assert facts == machine.describe_machine()
    text = json.dumps([facts, machine.installed_packages(), machine.find_commit()])
    for private in (platform.node(), getpass.getuser(), os.path.expanduser("~")):  # noqa: PTH111
        assert f'"{private}"' not in text
    assert "/home" not in text


def test_versions_are_of_what_is_installed():
    found = machine.installed_packages()
    assert {"torch", "numpy", "numba", "ray"} <= set(found)
    assert set(found) <= set(machine.PACKAGES)
    assert all(version[0].isdigit() for version in found.values())


@pytest.fixture
def checkout(tmp_path):
    def git(*words):
        subprocess.run(["git", "-C", tmp_path, "-c", "user.name=n", "-c", "user.email=e", *words], check=True, capture_output=True)

    git("init")
    (tmp_path / "file").write_text("1")
    git("add", "file")
    git("commit", "-m", "first")
    return tmp_path


def test_a_commit_is_clean_until_something_changes(checkout):
    commit, dirty = machine.find_commit(checkout)
    assert len(commit) == 40
    assert dirty is False
    (checkout / "file").write_text("2")
    assert machine.find_commit(checkout) == (commit, True)
    (checkout / "file").write_text("1")
    (checkout / "new").touch()
    assert machine.find_commit(checkout) == (commit, True)


def test_outside_a_checkout_and_without_git_the_commit_is_unknown(tmp_path, checkout, monkeypatch):
    outside = tmp_path.parent / "outside"
    outside.mkdir(exist_ok=True)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert machine.find_commit(outside) == ("unknown", None)
    monkeypatch.setenv("PATH", "")
    assert machine.find_commit(checkout) == ("unknown", None)
    assert machine.list_gpus() == []


@pytest.mark.parametrize(("answer", "names"), [("A\nB\n", ["A", "B"]), ("", []), (None, [])])
def test_gpus_are_what_nvidia_smi_lists(monkeypatch, answer, names):
    monkeypatch.setattr(machine, "_output", lambda *_: answer)
    assert machine.list_gpus() == names


def test_without_a_gpu_the_device_is_the_cpu_and_torch_is_not_asked(monkeypatch):
    monkeypatch.setattr(machine, "list_gpus", list)
    assert machine.default_device() == "cpu"
