"""The commands of the README and of docs/ run: dry, or on tiny networks and images."""

import re
import shlex

import numpy as np
import outside
import pytest
import synthetic_records as made
from PIL import Image

import models
from suite.cli import main
from suite.core.errors import Exit
from suite.core.paths import ROOT
from suite.records.ledger import Ledger

PAGES = (ROOT / "README.md", *sorted(path for path in (ROOT / "docs").glob("*.md") if path.name != "plan.md"))
# Commands that take minutes, fetch a file or need one that is recognised, and the tests that run what they run.
ELSEWHERE = {
    "check": "tests/health/test_gate.py",
    "check-design": "tests/health/test_contract.py",
    "compare --plugin": "tests/cli/test_outside.py",
    "doctor": "tests/health/test_doctor.py",
    "export FILE card.yml": "tests/report/formats/test_model_index.py",
    "evaluate --grid": "tests/cli/measure/test_evaluate.py",
    "evaluate --weights": "tests/cli/measure/test_evaluate.py",
    "profile --claim": "tests/cli/measure/test_profile.py",
    "records keep": "tests/records/test_evidence.py",
    "records retract": "tests/records/test_evidence.py",
    "run --grid routing": "tests/measure/quality/test_routing.py",
    "scan --ahead-of-time": "tests/cli/measure/test_scan.py",
    "suggest": "tests/cli/measure/test_suggest.py",
    "verify": "tests/cli/ledger/test_bundle.py",
    "weights get": "tests/cli/measure/test_weights.py",
}


def words_of(command):
    words = shlex.split(command.replace("\\\n", ""), comments=True)
    return words[: words.index("||")] if "||" in words else words


def list_commands():
    """The commands of the pages, each once, whatever is said beside it."""
    text = "\n".join(page.read_text() for page in PAGES)
    found = re.findall(r"^ +(?:srun )?python -m suite ((?:.*\\\n)*.*)$", text, re.MULTILINE)
    return sorted({shlex.join(words_of(command)) for command in found})


def shorten(words):
    """The command as it is run here: dry where that is to be had, else of a tiny network."""
    verb, *rest = words
    if verb == "scan":
        verb, rest = "run", ["--grid", "backends", *rest]
    if verb == "run":
        rest = [*rest, "--dry-run"]
    if verb in ("profile", "restore", "evaluate"):
        tiny = {name: f"{name}-tiny" for name in models.names()} | {"all": "mambair-light-x2-tiny"}
        rest = [tiny.get(word, word) for word in rest]
    if verb == "profile":
        rest += ["--seconds", "0.01", "--longest", "0.01"]
    return in_ledger([verb, *rest])


def in_ledger(words):
    """The command with a ledger of its own, where its verb has one: nothing is written to the project's."""
    try:
        main.parser().parse_args([*words, "--ledger", "runs"])
    except SystemExit:
        return words
    return [*words, "--ledger", "runs"]


def write_images(folder, *names, side=48):
    folder.mkdir(parents=True)
    for name in names:
        Image.fromarray(np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)).save(folder / name)


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """One for all commands: the scan is compiled into it."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def home(tmp_path, cache, monkeypatch):
    """A folder with all that the README's commands name, and nothing of the project's to be written to."""
    monkeypatch.chdir(tmp_path)
    for name, folder in (("DATA", tmp_path / "data"), ("WEIGHTS", tmp_path / "weights"), ("CACHE", cache)):
        monkeypatch.setenv(f"SUITE_{name}", str(folder))
    for name in ("Set5", "Urban100"):
        write_images(tmp_path / "data" / name, "a.png", "b.png")
    write_images(tmp_path / "results" / "mine", "a.png")
    write_images(tmp_path / "path" / "to" / "HR", "a.png")
    write_images(tmp_path / "path" / "to" / "photographs", "a.png")
    Image.new("RGB", (8, 8), (200, 100, 0)).save(tmp_path / "photo.jpg")
    outside.write(tmp_path)
    ledger = Ledger(tmp_path / "runs")
    for record in (made.done(model, seed=seed) for model in made.MAMBAIR[:3] for seed in range(2)):
        ledger.add(record)
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize("command", [one for one in list_commands() if not one.startswith(tuple(ELSEWHERE))])
def test_a_command_runs(command, home, capsys):
    words = words_of(command)
    if words == ["--help"]:
        with pytest.raises(SystemExit, match="0"):
            main.main(words)
        return
    if {"swinir-light-x2", "esrgan"} & set(words):
        pytest.importorskip("spandrel")
    if "FILE" in words:
        import torch

        name = words[words.index("--model") + 1] if "--model" in words else words[1]
        torch.save(models.create(f"{name}-tiny").state_dict(), home / "FILE")
    found_odd = Exit.NOT_READY if words[:2] == ["data", "check"] else Exit.DONE  # sets of two images are not what their cards say
    assert main.main(shorten(words)) == found_odd
    assert capsys.readouterr().out or words[0] == "restore"


@pytest.mark.parametrize("path", sorted(set(ELSEWHERE.values())))
def test_what_is_not_run_here_has_tests(path):
    assert (ROOT / path).is_file()
