"""The code of an earlier commit: which one it is, that it lies apart and goes away, and why there is none."""

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from suite.core.errors import Exit, SuiteError
from suite.health.time import old_code

BASELINE = Path("results/baseline.json")
SCAN = "models/scan/backends"


def git(folder, *words):
    names = ("-c", "user.name=n", "-c", "user.email=e", "-c", "protocol.file.allow=always")
    return subprocess.run(["git", "-C", folder, *names, *words], check=True, capture_output=True, text=True).stdout.strip()


def write(folder, files):
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def commit(folder, **files):
    write(folder, files)
    git(folder, "add", ".")
    git(folder, "commit", "-m", "one more")
    return git(folder, "rev-parse", "HEAD")


@pytest.fixture
def repository(tmp_path):
    """Three commits; the second has the baseline. Gives the folder and the commits."""
    folder = tmp_path / "clone"
    folder.mkdir()
    git(folder, "init", "-b", "main")
    first = commit(folder, **{"models/__init__.py": "VERSION = 1", f"{SCAN}/numba_kernels.py": "kernels", "suite/x.py": ""})
    second = commit(folder, **{"models/__init__.py": "VERSION = 2", str(BASELINE): "{}"})
    third = commit(folder, **{"models/__init__.py": "VERSION = 3"})
    return folder, (first, second, third)


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """A folder for temporary files, and what is left in it."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def test_the_commit_of_the_baseline_is_the_last_that_changed_it(repository):
    folder, (_, second, _) = repository
    assert old_code.find_last_commit(BASELINE, folder) == second
    assert not old_code.is_changed(BASELINE, folder)
    write(folder, {str(BASELINE): "{ }"})
    assert old_code.is_changed(BASELINE, folder)
    assert old_code.find_last_commit(folder / BASELINE, folder) == second
    assert commit(folder) == old_code.find_last_commit(BASELINE, folder)


def test_a_revision_is_named_as_git_names_it(repository):
    folder, (first, second, third) = repository
    git(folder, "tag", "-a", "-m", "words", "v1", first)
    assert [old_code.find_commit(name, folder) for name in ("v1", "HEAD~1", "main")] == [first, second, third]


@pytest.mark.parametrize("name", ["nothing", "", "--output=x", "HEAD:models", "HEAD~99"])
def test_a_name_that_git_lacks_is_a_usage_error(repository, name):
    folder, _ = repository
    with pytest.raises(SuiteError, match="git knows no such commit") as refused:
        old_code.find_commit(name, folder)
    assert refused.value.exit == Exit.USAGE
    assert git(folder, "status", "--porcelain") == ""


def test_old_code_lies_apart_and_goes_away(repository, temporary, monkeypatch, tmp_path):
    folder, (first, *_) = repository
    monkeypatch.setenv("SUITE_CACHE", str(tmp_path / "users"))
    before = sorted((folder / ".git").rglob("*"))
    with old_code.lay_out(first, folder) as old:
        assert (old.tree / "models/__init__.py").read_text() == "VERSION = 1"
        assert not (old.tree / "suite").exists()
        assert old.tree.is_relative_to(temporary)
        assert Path(old.environment["SUITE_CACHE"]).is_relative_to(temporary)
        (old.tree / "models/__pycache__").mkdir()
    assert list(temporary.iterdir()) == []
    assert sorted((folder / ".git").rglob("*")) == before
    assert git(folder, "status", "--porcelain") == ""
    assert git(folder, "worktree", "list").count("\n") == 0


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, ValueError])
def test_nothing_is_left_when_it_is_broken_off(repository, temporary, error):
    folder, (first, *_) = repository
    with pytest.raises(error), old_code.lay_out(first, folder):
        raise error
    assert list(temporary.iterdir()) == []


def test_nothing_is_left_when_the_process_is_ended(repository, temporary):
    folder, (first, *_) = repository
    script = (
        "import sys, time\nfrom pathlib import Path\nfrom suite.health.time import old_code\n"
        f"with old_code.lay_out({first!r}, Path({str(folder)!r})) as old:\n print(old.tree, flush=True)\n time.sleep(60)"
    )
    environment = os.environ | {"TMPDIR": str(temporary), "PYTHONPATH": str(old_code.ROOT)}
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, env=environment) as process:
        tree = Path(process.stdout.readline().strip())
        assert tree.is_dir()
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == Exit.TERMINATED
    assert list(temporary.iterdir()) == []


def test_kernels_of_equal_sources_are_lent(repository, temporary, monkeypatch, tmp_path):
    folder, (first, *_) = repository
    monkeypatch.setenv("SUITE_CACHE", str(tmp_path / "users"))
    write(tmp_path / "users", {"scan/scan-0123.so": "library"})
    write(folder, {f"{SCAN}/__pycache__/numba_kernels.forward.nbi": "index"})
    with old_code.lay_out(first, folder) as old:
        assert (old.tree / SCAN / "__pycache__/numba_kernels.forward.nbi").read_text() == "index"
        assert (old.tree / SCAN / "numba_kernels.py").stat().st_mtime == (folder / SCAN / "numba_kernels.py").stat().st_mtime
        assert (Path(old.environment["SUITE_CACHE"]) / "scan/scan-0123.so").read_text() == "library"
    write(folder, {f"{SCAN}/numba_kernels.py": "other kernels"})
    with old_code.lay_out(first, folder) as old:
        assert not (old.tree / SCAN / "__pycache__").exists()
    assert list(temporary.iterdir()) == []


def test_its_environment_finds_it_first_and_writes_nothing_elsewhere(monkeypatch, tmp_path):
    for name in ("NUMBA_CACHE_DIR", "PYTHONPYCACHEPREFIX", "PYTHONPATH"):
        monkeypatch.setenv(name, "elsewhere")
    found = old_code.make_environment(tmp_path)
    assert (found["PYTHONPATH"], found["OMP_NUM_THREADS"]) == (str(tmp_path), "1")
    assert "elsewhere" not in found.values()


def test_a_shallow_clone_is_refused_with_what_mends_it(repository, tmp_path):
    folder, (first, second, third) = repository
    shallow = tmp_path / "shallow"
    subprocess.run(["git", "clone", "--depth", "1", folder.as_uri(), shallow], check=True, capture_output=True)
    with pytest.raises(SuiteError, match="git fetch --unshallow") as refused:
        old_code.find_last_commit(BASELINE, shallow)
    assert refused.value.exit == Exit.NOT_READY
    with pytest.raises(SuiteError, match="This clone is shallow: `git fetch --unshallow`"):
        old_code.find_commit(first, shallow)
    git(shallow, "fetch", "--deepen", "1")  # as far as the baseline's commit, whose own parent is missing: who changed it is not known
    with pytest.raises(SuiteError, match="shallow"):
        old_code.find_last_commit(BASELINE, shallow)
    git(shallow, "fetch", "--unshallow")
    assert old_code.find_last_commit(BASELINE, shallow) == second
    assert old_code.find_commit("HEAD", shallow) == third


def test_a_baseline_in_no_commit_is_said(repository):
    folder, _ = repository
    with pytest.raises(SuiteError, match="is in no commit of this repository"):
        old_code.find_last_commit(Path("results/other.json"), folder)
    with pytest.raises(SuiteError, match="--against REV"):
        old_code.find_last_commit(folder.parent / "outside.json", folder)


def test_a_commit_without_code_is_said(repository, temporary):
    folder, _ = repository
    git(folder, "rm", "-r", "-q", "models")
    empty = commit(folder)
    with pytest.raises(SuiteError, match=f"{empty[:10]} has no code to time"), old_code.lay_out(empty, folder):
        pass
    assert list(temporary.iterdir()) == []


def test_outside_a_repository_and_without_git_it_is_said(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    with pytest.raises(SuiteError, match="no git repository"):
        old_code.find_last_commit(BASELINE, tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SuiteError, match="git is not installed"):
        old_code.find_commit("HEAD", tmp_path)
