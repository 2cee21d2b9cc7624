"""What is said of a machine, and what is not."""

import getpass
import json
import os
import platform
import subprocess

import pytest

from suite.core import machine
from suite.core.errors import SuiteError


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
    commit, dirty, _ = machine.find_commit(checkout)
    assert len(commit) == 40
    assert dirty is False
    (checkout / "file").write_text("2")
    assert machine.find_commit(checkout) == (commit, True, "")
    (checkout / "file").write_text("1")
    (checkout / "new").touch()
    assert machine.find_commit(checkout) == (commit, True, "")


def test_outside_a_checkout_and_without_git_the_commit_is_unknown(tmp_path, checkout, monkeypatch):
    outside = tmp_path.parent / "outside"
    outside.mkdir(exist_ok=True)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert machine.find_commit(outside) == ("unknown", None, "the suite's code lies in no git checkout")
    monkeypatch.setenv("PATH", "")
    assert machine.find_commit(checkout) == ("unknown", None, "git is not installed, or not on PATH")
    assert machine.list_gpus() == []


@pytest.mark.parametrize(("answer", "names"), [("A\nB\n", ["A", "B"]), ("", []), (None, [])])
def test_gpus_are_what_nvidia_smi_lists(monkeypatch, answer, names):
    monkeypatch.setattr(machine, "_output", lambda *_: answer)
    assert machine.list_gpus() == names


def test_without_a_gpu_the_device_is_the_cpu_and_torch_is_not_asked(monkeypatch):
    monkeypatch.setattr(machine, "list_gpus", list)
    assert machine.default_device() == "cpu"


def test_a_containers_memory_counts_where_it_is_less(monkeypatch, tmp_path):
    monkeypatch.setattr(machine, "Path", lambda _name: tmp_path)
    (tmp_path / "memory.max").write_text("1000000\n")
    (tmp_path / "memory.current").write_text("400000\n")
    assert machine._memory() == (1_000_000, 600_000)
    assert machine.find_free_mib("cpu") == 600_000 / 2**20
    (tmp_path / "memory.max").write_text("max\n")
    assert all(size > 1_000_000 for size in machine._memory())


def test_threads_are_all_cores_or_as_many_as_are_asked_for(monkeypatch):
    monkeypatch.setattr(machine, "count_cores", lambda: 4)
    assert [machine.choose_threads(asked) for asked in (None, 1, 4)] == [4, 1, 4]
    for asked in (0, 5):
        with pytest.raises(SuiteError, match=f"--threads {asked}: this machine has 4 cores, so it must be 1 to 4"):
            machine.choose_threads(asked)


def test_the_commit_is_that_of_the_code_whatever_the_working_folder_and_git_s_variables(checkout, tmp_path_factory, monkeypatch):
    expected = machine.find_commit(checkout)
    other = tmp_path_factory.mktemp("other")
    subprocess.run(["git", "init", other], check=True, capture_output=True)
    monkeypatch.chdir(other)
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):
        monkeypatch.setenv(name, str(other / ".git"))
    assert machine.find_commit(checkout) == expected
    monkeypatch.delenv("GIT_DIR")
    assert machine.find_commit(other) == ("unknown", None, "the checkout has no commit yet")


def test_a_repository_around_the_code_that_does_not_hold_it_names_no_commit(checkout):
    inside = checkout / "env" / "site-packages"
    (inside / "suite").mkdir(parents=True)
    (inside / "suite" / "__init__.py").touch()
    assert machine.find_commit(inside) == ("unknown", None, "the suite's code is no part of the git repository around it")


def test_a_checkout_of_another_user_is_told(checkout, monkeypatch):
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")  # git's own switch for this
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(checkout / "none"))
    reason = machine.find_commit(checkout).reason
    assert reason.startswith("git refuses the checkout, which belongs to another user: fatal: detected dubious ownership in repository at ")
    assert str(checkout) not in reason  # records hold it


def test_what_git_says_otherwise_is_quoted_without_paths():
    said = machine._explain_refusal("\nfatal: cannot open /srv/data/x/.git/HEAD or '/srv/my data/y': Input/output error\nmore\n")
    assert said == "git cannot read the checkout: fatal: cannot open FOLDER or FOLDER: Input/output error"
    assert machine._explain_refusal("") == "git cannot read the checkout: without a word"


def test_an_installed_suite_knows_the_commit_that_it_was_built_of(tmp_path, monkeypatch):
    monkeypatch.setattr(machine, "is_installed", lambda: True)
    monkeypatch.setattr(machine, "SHIPPED", tmp_path)
    assert machine.find_commit() == ("unknown", None, "the installed suite was not built in a git checkout")
    (tmp_path / "commit.json").write_text('{"name": "0123", "dirty": true}')
    assert machine.find_commit() == ("0123", True, "")
    (tmp_path / "commit.json").write_text("[]")
    assert machine.find_commit().reason


def test_the_version_is_that_of_the_project():
    assert f'version = "{machine.find_version()}"' in (machine.ROOT / "pyproject.toml").read_text(encoding="utf-8")
