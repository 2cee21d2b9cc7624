"""`python -m suite claims`: what it prints, which commands it names, and how it exits."""

import json
import shlex

import pytest
import synthetic_records as made

from suite.cli import main
from suite.cli.main import parser
from suite.core.errors import Exit
from suite.measure.costs import grid
from suite.records.ledger import Ledger
from suite.study.grids import GRIDS, selects

FULL, ONE_WAY = made.VMAMBAIR[:2]


@pytest.fixture
def claims(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ledger = Ledger(tmp_path / "runs")

    def call(*words, records=(), width=80):
        for record in records:
            ledger.add(record)
        monkeypatch.setenv("COLUMNS", str(width))
        code = main.main(["claims", "--ledger", str(ledger.folder), *words])
        out, err = capsys.readouterr()
        return code, out, err

    return call


def profiled():
    return made.profile(FULL, macs=19.45e9, conventions={"fvcore": 19.45e9, "half": 9.725e9}, layer_params=9_000_000)


def test_an_empty_ledger_tests_nothing_and_exits_with_0(claims):
    code, out, err = claims()
    assert code == Exit.DONE
    assert "holds no record" in err
    assert "of 185 claims 0 hold, 0 do not, 185 are not\ntested." in out
    assert out.count("[not tested]") == 185


def test_a_verdict_stands_with_its_evidence_and_the_exit_code_is_0_where_one_does_not_hold(claims):
    record = profiled()
    code, out, _ = claims("vmambair-2-vmambair", records=[record])
    assert code == Exit.DONE
    assert "[holds] vmambair-2-vmambair-params" in out
    assert "printed 10.50 M; measured 10.498 M; counted exactly" in out
    assert "[does not hold] vmambair-2-vmambair-macs" in out
    assert record.fingerprint in out
    assert "of 2 claims 1 hold, 1 do not, 0 are not tested." in " ".join(out.split())


def test_the_hint_stands_apart_from_the_verdict(claims):
    _, out, _ = claims("vmambair-4-v1", records=[made.done(model, seed=seed) for model in (FULL, ONE_WAY) for seed in range(3)])
    assert "[not tested] vmambair-4-v1" in out
    assert "At another budget, no verdict: agrees: PSNR-Y" in out
    assert "pairs" in out
    assert "of 1 ablations 1 agree" in out


@pytest.mark.parametrize("width", [60, 80, 100])
def test_all_but_commands_fits_the_terminal(claims, width):
    _, out, _ = claims(records=[profiled(), *(made.done(m, seed=s, crops=False) for m in made.VMAMBAIR for s in range(2))], width=width)
    assert not [line for line in out.splitlines() if len(line) > width and not line.startswith("  $ ")]


def test_claims_are_chosen_by_name_pattern_and_verdict(claims):
    records = [profiled()]
    listed = {
        word: claims(word, records=records if word == "holds" else ())[1].count("\n[") + 1
        for word in ("holds", "vmambair-4-v1", "*-restormer*")
    }
    assert listed == {"holds": 1, "vmambair-4-v1": 1, "*-restormer*": 5}
    code, _, err = claims("vmambair-9")
    assert code == Exit.USAGE
    assert "no claim is called 'vmambair-9'" in err
    assert "does not hold" in err


def test_json_is_one_document_with_every_number_unrounded(claims):
    code, out, _ = claims("--json", records=[profiled(), *(made.done(m, seed=s) for m in (FULL, ONE_WAY) for s in range(2))])
    document = json.loads(out)
    assert code == Exit.DONE
    assert len(document["claims"]) == 185 == sum(document["summary"]["verdicts"].values())
    by_id = {one["id"]: one for one in document["claims"]}
    assert by_id["vmambair-2-vmambair-params"]["values"][0]["measured"] == 10.497813
    ablation = by_id["vmambair-4-v1"]
    assert (ablation["verdict"], ablation["at another budget"]["word"]) == ("not tested", "agrees")
    assert {"sentence", "where", "row", "against", "differences", "evidence", "paper", "kind", "commands", "notes"} <= ablation.keys()
    assert by_id["vmambair-4-v2"]["at another budget"]["word"] == "cannot tell"


def test_a_record_that_cannot_be_read_is_left_out(claims, tmp_path):
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / f"{'0' * 16}.001.done.json").write_text("{")
    code, _, err = claims("vmambair-4-v1")
    assert code == Exit.DONE
    assert "left out" in err


def test_every_printed_command_is_one_of_the_suite_and_selects_the_claims_networks(claims):
    document = json.loads(claims("--json")[1])
    commands = {command for one in document["claims"] for command in one["commands"]}
    assert len(commands) > 50
    for command in commands:
        words = shlex.split(command)
        assert words[:3] == ["python", "-m", "suite"]
        options = parser().parse_args(words[3:])
        if options.verb == "profile":
            assert grid.select_models(options.model) == options.model
        elif options.verb == "run":
            held = GRIDS[options.grid].models
            assert {name for name in held for pattern in options.only if selects(pattern, name, held)} == set(options.only)
            assert dict(options.set)["train_set"] in ("DF2K", "DF2K+OST")
            assert (options.budget, options.seeds) == ("paper", 3)
        else:
            assert options.verb == "evaluate"
    undecidable = {one["id"] for one in document["claims"] if not one["commands"]}
    assert all(
        name.startswith(("mambair-4-eccv-", "mambair-4-manga109", "mambair-abstract", "mambair-3-manga109", "vmambair-4-v3-macs"))
        for name in undecidable
    )
