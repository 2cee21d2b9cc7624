"""The README: its paths exist, and its commands are accepted."""

import re
import shlex

import pytest

from suite.cli import main
from suite.core.paths import ROOT

README = (ROOT / "README.md").read_text()
MADE_BY_RUNS = ("results/work/CELL/stop", "results/runs", "results/runs/pictures", "results/mine")
PATHS = sorted(set(re.findall(r"(?<![\w/.-])((?:suite|tests|models|results|reports|datasets)/[\w./*-]*)", README)))
COMMANDS = re.findall(r"^ +(?:srun )?python -m suite ((?:.*\\\n)*.*)$", README, re.MULTILINE)


@pytest.mark.parametrize("path", PATHS)
def test_a_path_exists(path):
    assert path in MADE_BY_RUNS or any(ROOT.glob(path.rstrip("."))), path


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_is_accepted(command):
    words = shlex.split(command.replace("\\\n", ""), comments=True)
    words = words[: words.index("||")] if "||" in words else words
    if words != ["--help"]:
        assert main.parser().parse_args(words).verb == words[0]
