"""A run of a whole grid counts the costs of the published networks, once; `--seeds` is the budget's where none are named."""

import json

import models
from suite.cli import main
from suite.cli.run import _count_costs
from suite.core.errors import Exit
from suite.records.ledger import Ledger
from suite.records.profile import ProfileRecord


def test_costs_are_counted_for_a_720p_output_and_once(tmp_path, monkeypatch):
    monkeypatch.setattr(models, "names", lambda: ["mambair-light-x4"])
    ledger = Ledger(tmp_path / "runs")
    first, second = _count_costs(ledger), _count_costs(ledger)
    assert (first.done, first.skipped, second.done, second.skipped) == (1, 0, 0, 1)
    (record,) = ledger.records()
    assert isinstance(record, ProfileRecord)
    assert record.spec.input_size == (180, 320)
    assert not record.spec.timed


def test_the_budget_says_how_many_seeds_a_run_has(tmp_path, capsys):
    words = ["run", "--grid", "ablations", "--only", "no-effn", "--device", "cpu", "--ledger", str(tmp_path), "--dry-run", "--json"]
    for more, expected in (
        (["--budget", "evening"], [0, 1, 2]),
        (["--budget", "evening", "--seeds", "1"], [0]),
        (["--budget", "quick"], [0]),
    ):
        assert main.main([*words, *more]) == Exit.DONE
        assert [cell["seed"] for cell in json.loads(capsys.readouterr().out)["cells"]] == expected


def test_the_list_of_budgets_says_how_weights_begin(capsys):
    assert main.main(["list", "budgets", "--json"]) == Exit.DONE
    rows = {row["name"]: row["first weights"] for row in json.loads(capsys.readouterr().out)}
    assert rows == {"smoke": "drawn", "quick": "interpolation", "evening": "interpolation", "standard": "drawn", "paper": "drawn"}
