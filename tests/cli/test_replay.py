"""Every command that the page and docs/plan.md print: replayed through the command line, it makes the cells that it stands beside."""

import html
import json
import re
import shlex
from functools import cache

import pytest
import synthetic_records as made
from page_reader import read

from suite.cli import main
from suite.cli.ledger.plan import replay_run
from suite.core.errors import Exit
from suite.core.paths import ROOT
from suite.records.planned import Choice, plan_family
from suite.records.record import Record, TestData
from suite.report import report
from suite.report.comparable import find_differences
from suite.study.grids import ModelOnTask
from suite.study.published import load_all
from suite.study.tasks import TASKS, TEST_IMAGES

DOC = (ROOT / "docs" / "plan.md").read_text()
PROGRAM = "python -m suite "
HERE = ("--backend", "reference", "--device", "cpu")


@pytest.fixture
def replay(capsys, tmp_path, monkeypatch):
    """The cells that a printed `run` command selects by `--dry-run`, by their fingerprints."""
    monkeypatch.chdir(tmp_path)

    def replayed(command):
        words = shlex.split(command)[3:]
        where = () if "--backend" in words else HERE
        assert main.main([*words, *where, "--dry-run", "--json", "--ledger", str(tmp_path / "none")]) == Exit.DONE, command
        return [row["cell"] for row in json.loads(capsys.readouterr().out)["cells"]]

    return replayed


def commands_of(records):
    """Every command on the page of these records: those that repeat cells, and those that would fill in the rest."""
    page = report.page_text(records)
    found = [html.unescape(text) for text in re.findall(r"<code[^>]*>(python -m suite [^<]*)</code>", page)]
    return list(dict.fromkeys(found))


@cache
def empty_page():
    return commands_of([])


def cells_of(records):
    """The list of cells: fingerprint and the command that repeats it."""
    root = read(records)
    for record in records:
        row = root.one("tr", id=f"cell-{record.fingerprint}")
        (command,) = [code.text for code in row.all("code") if code.text.startswith(PROGRAM)]
        yield record.fingerprint, command


def test_every_command_that_repeats_a_cell_makes_it(replay):
    changes = {"iterations": "40", "batch": "2", "train_set": "DIV2K", "lr": "0.0005"}
    light = ModelOnTask("mambair-light-x2", "light-sr-x2", published=True)
    odd = plan_family(ModelOnTask("mambair-sr-x2", "sr-x2", published=True), 1, Choice("quick", "reference", "cpu", "paper", changes))[-1]
    whole = plan_family(light, 0, Choice("paper", "reference", "cpu", "released", {}))[-1]
    records = [Record(fingerprint=one.fingerprint, spec=one, status="failed", error="stopped") for one in (odd, whole)]
    seen = list(cells_of(records))
    assert len(seen) == 2
    for fingerprint, command in seen:
        assert fingerprint in replay(command)


def test_every_command_on_a_page_is_accepted():
    records = [made.done(model) for model in made.MAMBAIR[:2]]
    found = [*empty_page(), *commands_of(records)]
    assert len(found) > 20
    for command in found:
        words = shlex.split(command)[3:]
        assert main.parser().parse_args(words).verb == words[0]


def places():
    """Quality cells of the tables that a training of ours may fill, one a network and task: others differ in the test set alone."""
    seen = set()
    for table in (table for paper in load_all() for table in paper.tables):
        for row, column in ((row, column) for row in table.rows if row.model for column in table.columns if column.kind == "quality"):
            key = (table.id, row.key, row.task or column.task or table.task)
            if column.test_sets and key not in seen:
                seen.add(key)
                yield pytest.param(table, row, column, key[2], id=".".join(key))


@pytest.mark.parametrize(("table", "row", "column", "on"), list(places()))
def test_what_would_fill_in_the_rest_is_comparable(table, row, column, on, replay):
    """From an empty ledger: the command beside the row selects a cell on the paper's training set by the recipe that the table needs."""
    names, set_ = {row.model, f"{row.model}@{on}"}, f"test_set={column.test_sets[0]}"
    wanted = [words for words in map(shlex.split, empty_page()) if {"run", table.grid, set_} <= set(words) and names & set(words)]
    commands = [shlex.join(words) for words in wanted if planned(shlex.join(words))[-1].task == on]  # of the table, and of claims
    assert commands
    for command in commands:
        specs = planned(command)
        assert [spec.fingerprint for spec in specs] == replay(command)
    count = TEST_IMAGES[column.test_sets[0]]
    if not count:
        return  # of a set whose size no source says: nothing is comparable
    score = made.done("mambair-sr-x2").scores[0]
    scores = tuple(score.model_copy(update={"image": str(number)}) for number in range(count))
    held = TestData(card=column.test_sets[0], expected=count, measured=count, state="verified")
    record = Record(fingerprint=specs[-1].fingerprint, spec=specs[-1], status="done", scores=scores, test_data=held)
    assert [str(one) for one in find_differences(record, column, table)] == []
    assert set(TASKS[on].train_sets) == set(specs[-1].train_set.split("+"))


def planned(command):
    return replay_run(command, backend="reference", device="cpu")


def test_every_run_in_the_documentation_is_replayed(replay):
    found = [line.strip() for line in DOC.splitlines() if line.strip().startswith(PROGRAM)]
    assert found
    for command in found:
        words = shlex.split(command)[3:]
        options = main.parser().parse_args(words)
        if options.verb == "run":
            assert replay(command) == [spec.fingerprint for spec in planned(command)]
            assert options.budget == "paper"
