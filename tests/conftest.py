"""Fixtures that several test files share, and what must be decided before the first import of a kernel."""

import contextlib
import os
import shutil

import browser as driver
import pytest
from hypothesis import settings
from places import OUTSIDE

from suite.runner.cluster import settle_environment

# Where there is no GPU, Triton's kernels run in its interpreter; Triton decides at its first import.
if shutil.which("nvidia-smi") is None:
    os.environ.setdefault("TRITON_INTERPRET", "1")

# Ray reads its environment at its first import, and each process of the tests imports all their files before it runs one.
settle_environment(local=True)

# No deadline: a shared machine is slow at times. No database: a run does not depend on earlier ones.
settings.register_profile("suite", deadline=None, database=None)
settings.load_profile("suite")


@pytest.fixture(scope="session")
def outside():
    """The folder of real images with known answers; for tests marked `outside`."""
    if not OUTSIDE.is_dir():
        pytest.skip(f"needs real images with known answers in {OUTSIDE}")
    return OUTSIDE


@pytest.fixture
def one_thread():
    """Torch on one thread: on a busy machine, two that wait for each other at every step of a small network take ten times as long."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def chromium():
    """One browser for all tests of a file."""
    with driver.started() as browser:
        yield browser


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """Gives the path of a scene's page, which is written once."""
    from browser_scenes import SCENES

    from suite.report import report

    written = {}

    def page(name):
        if name not in written:
            written[name] = report.write_report(SCENES[name](), tmp_path_factory.mktemp(name))
        return written[name]

    return page


@pytest.fixture
def use(chromium, pages):
    """Opens a scene's page in the browser; at the end every page must have stayed quiet."""
    with contextlib.ExitStack() as windows:
        opened = []

        def start(name="quick", **how):
            opened.append(windows.enter_context(driver.opened(chromium, pages(name), **how)))
            return opened[-1].page

        yield start
        for seen in opened:
            seen.clean()


@pytest.fixture
def homeless(monkeypatch, tmp_path):
    """A user whose number has no name and no home, with no folder of the suite's named: as a container of any user has it."""
    import pwd

    def unknown(number):
        raise KeyError(f"getpwuid(): uid not found: {number}")

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    for name in ("HOME", "XDG_CACHE_HOME", "SUITE_CACHE", "SUITE_WEIGHTS", "SUITE_DATA", "NUMBA_CACHE_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(autouse=True)
def _own_results(tmp_path_factory, monkeypatch):
    """No test writes to the checkout's ledger, or reads what is kept there: each has a folder of results of its own."""
    from suite.records import ledger

    folders = []

    def results():
        if not folders:
            folders.append(tmp_path_factory.mktemp("own") / "results")
        return folders[0]

    monkeypatch.setattr(ledger, "results_folder", results)
