"""What a budget brings to a run: its number of seeds where none are named, and how weights begin."""

import json

from suite.cli import main
from suite.core.errors import Exit


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
