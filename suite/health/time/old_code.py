"""The code of an earlier commit, laid out beside this one: which commit, and its `models` in a temporary folder that goes away again.

Nothing is written in the repository: `git archive` reads, and a worktree would not. What the old code compiles goes into the temporary
folder too; kernels whose sources are the same in both are lent to it, for Numba takes half a minute.
"""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import signal
import subprocess
import tarfile
import tempfile
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from models.cache import find_in_cache
from suite.core.errors import Exit, SuiteError
from suite.core.paths import ROOT
from suite.core.torch_state import thread_environment

GIT_SECONDS = 120  # an archive over a slow network folder
FOLDER = "models"  # of the code, all that is timed
CODE_PREFIX = "suite-gate-"  # of the temporary folder


@dataclass(frozen=True)
class OldCode:
    """A tree with `models` in it, and the environment in which it writes nothing elsewhere."""

    tree: Path
    environment: Mapping[str, str]


def find_commit(revision: str, root: Path = ROOT) -> str:
    """Return the commit that `revision` names; SuiteError (a usage error) where git knows none of that name."""
    require_repository(root)
    found = run_git(root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    if found.returncode:
        fetched = " This clone is shallow: `git fetch --unshallow` brings the rest." if _shallow(root) else ""
        raise SuiteError(f"--against {revision}: git knows no such commit. Name a commit, a branch or a tag.{fetched}")
    return found.stdout.decode().strip()


def find_last_commit(file: Path, root: Path = ROOT) -> str:
    """Return the last commit that changed `file`; SuiteError where there is no git, no such commit, or its history was not fetched."""
    require_repository(root)
    found = run_git(root, "log", "-1", "--format=%H", "--", str(file))
    commit = found.stdout.decode().strip()
    if found.returncode or not commit:
        raise SuiteError(
            f"{file} is in no commit of this repository ({_words(found) or 'git log names none'}), so there is no older code to time. "
            "Commit it, or name a commit by --against REV.",
            exit=Exit.NOT_READY,
        )
    if commit in _shallow(root):  # git takes the oldest commit that it has for the one that made every file
        raise SuiteError(
            f"this clone is shallow, and the commit that changed {file.name} was not fetched. "
            "`git fetch --unshallow` brings it (in a workflow: fetch-depth: 0).",
            exit=Exit.NOT_READY,
        )
    return commit


def is_changed(file: Path, root: Path = ROOT) -> bool:
    """Say whether `file` differs from what is committed."""
    return bool(run_git(root, "status", "--porcelain", "--", str(file)).stdout.strip())


@contextlib.contextmanager
def lay_out(commit: str, root: Path = ROOT) -> Iterator[OldCode]:
    """Lay out the code of `commit` in a temporary folder, removed whatever happens, short of SIGKILL; SuiteError where it has none."""
    with _ended_by_exception(), tempfile.TemporaryDirectory(prefix=CODE_PREFIX, ignore_cleanup_errors=True) as name:
        tree, cache = Path(name) / "code", Path(name) / "cache"
        found = run_git(root, "archive", "--format=tar", commit, FOLDER)
        if found.returncode:
            raise SuiteError(
                f"the commit {commit[:10]} has no code to time ({_words(found)}). Name another by --against REV.", exit=Exit.NOT_READY
            )
        with tarfile.open(fileobj=io.BytesIO(found.stdout)) as archive:
            archive.extractall(tree, filter="data")
        _lend(root, tree, cache)
        yield OldCode(tree, make_environment(tree) | {"SUITE_CACHE": str(cache)})


def make_environment(tree: Path) -> dict[str, str]:
    """Return this process's environment, changed so that Python finds `models` in `tree` first, on one thread, with one hash of strings."""
    # These would have compiled code written elsewhere, or other code found first.
    kept = {name: value for name, value in os.environ.items() if name not in ("NUMBA_CACHE_DIR", "PYTHONPYCACHEPREFIX", "PYTHONPATH")}
    return kept | thread_environment(1) | {"PYTHONPATH": str(tree), "PYTHONHASHSEED": "0"}


def _lend(root: Path, tree: Path, cache: Path) -> None:
    """Give the old code the compiled kernels that are of the same sources; where anything is amiss, it compiles its own."""
    (cache / "scan").mkdir(parents=True)
    kernels = find_in_cache("scan")
    with contextlib.suppress(OSError):  # the names hold digests of the sources
        for path in kernels.glob("*.so") if kernels else ():
            shutil.copy2(path, cache / "scan")
    here, there = root / FOLDER / "scan/backends", tree / FOLDER / "scan/backends"
    sources = {path.name: path.read_bytes() for path in here.glob("numba*.py")}
    if sources != {path.name: path.read_bytes() for path in there.glob("numba*.py")}:
        return
    with contextlib.suppress(OSError):
        for name in sources:  # Numba asks for the same time, too
            shutil.copystat(here / name, there / name)
        (there / "__pycache__").mkdir(exist_ok=True)
        for path in (here / "__pycache__").glob("numba*.nb?"):
            shutil.copy2(path, there / "__pycache__")


@contextlib.contextmanager
def _ended_by_exception() -> Iterator[None]:
    """Let SIGTERM end this process by an exception, as Ctrl-C does, so that folders are removed and processes ended."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(_signum: int, _frame: object) -> None:
        raise SystemExit(int(Exit.TERMINATED))

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def require_repository(root: Path) -> None:
    """Raise SuiteError where there is no git, or `root` is in no repository."""
    if shutil.which("git") is None:
        raise SuiteError("git is not installed, and it has the older commits. Install git.", exit=Exit.NOT_READY)
    found = run_git(root, "rev-parse", "--is-inside-work-tree")
    if found.returncode:
        raise SuiteError(
            f"the suite's code is in no git repository ({_words(found)}), so there are no older commits. Run it from a clone.",
            exit=Exit.NOT_READY,
        )


def _shallow(root: Path) -> str:
    """Return where a shallow clone's history ends: the commits that have no parents here; empty in a whole clone."""
    name = run_git(root, "rev-parse", "--git-path", "shallow").stdout.decode().strip()
    path = root / name
    return path.read_text(encoding="ascii") if name and path.is_file() else ""


def run_git(root: Path, *words: str) -> subprocess.CompletedProcess[bytes]:
    """Run git in `root`, whatever it ends with; SuiteError where it cannot be run or does not answer."""
    try:
        return subprocess.run(["git", "-C", str(root), *words], capture_output=True, timeout=GIT_SECONDS, check=False)  # noqa: S603, S607
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SuiteError(f"git does not answer ({error}). Repair it, or do without the older commits.", exit=Exit.NOT_READY) from error


def _words(done: subprocess.CompletedProcess[bytes]) -> str:
    lines = done.stderr.decode(errors="replace").strip().splitlines()
    return lines[-1].strip() if lines else ""
