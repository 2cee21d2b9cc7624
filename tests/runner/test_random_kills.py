"""A small grid, killed at random moments thirty times: driver, cells, loaders and workers; nothing is lost. The toll is printed (-s)."""

import random
import sys

import pytest
from killing import INLINE, RAY, SHARED, Setting, Toll, assert_as_undisturbed, finish, killed, small_sets

from suite.core.machine import count_cores

SEED = 20261128
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(count_cores() < 2, reason="two workers need two processor cores"),
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc"),
]
ALONE = Setting(("--launcher", "inline"), INLINE, seeds=2)
SPREAD = Setting(("--launcher", "ray"), RAY, seeds=2)
TOGETHER = Setting(("--launcher", "ray", "--workers-per-trial", "2"), SHARED)


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    return small_sets(tmp_path_factory.mktemp("pictures"))


@pytest.fixture(scope="module")
def undisturbed(sets, tmp_path_factory):
    """A folder for the grid of each kind: of one worker a cell, whoever launches it, and of two."""
    folders = {}
    for name, setting in (("one", ALONE), ("two", TOGETHER)):
        folders[name] = tmp_path_factory.mktemp(name)
        finish(folders[name], sets, setting, Toll())
    return folders


@pytest.mark.parametrize(
    ("setting", "reference", "kills", "each"),
    [
        pytest.param(ALONE, "one", 16, 4, id="inline"),
        pytest.param(SPREAD, "one", 8, 4, id="ray"),
        pytest.param(TOGETHER, "two", 6, 3, id="two workers"),
    ],
)
def test_nothing_is_lost_whatever_is_killed(setting, reference, kills, each, sets, undisturbed, tmp_path, request):
    chance, toll = random.Random(f"{SEED} {request.node.name}"), Toll()  # noqa: S311 - to be drawn again
    while toll.kills.total() < kills:
        folder = tmp_path / str(toll.rounds)
        folder.mkdir()
        killed(folder, sets, setting, min(each, kills - toll.kills.total()), chance, toll)
        assert_as_undisturbed(folder, undisturbed[reference], toll)
    sys.stdout.write(f"\n{request.node.name}, seed {SEED}: {toll}\n")
