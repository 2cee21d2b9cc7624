"""`claims --plan`: every command that it prints makes the cells that were planned, and docs/plan.md is what the code says."""

import json

import pytest
import synthetic_records as made

from suite.cli import main
from suite.cli.ledger.plan import make_plan, merge_commands, parse, replay_run, total_days
from suite.cli.ledger.plan_text import write_markdown
from suite.core.errors import Exit
from suite.core.paths import ROOT
from suite.records.ledger import Ledger
from suite.records.spec import RunSpec
from suite.report.claims.judge import judge_claims
from suite.runner.decide import training_key
from suite.study.claims import load_claims


@pytest.fixture(scope="module")
def plan():
    return make_plan(judge_claims(load_claims(), []), [], "A100")


@pytest.fixture
def call(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.delenv("SUITE_DATA", raising=False)

    def called(*words):
        code = main.main([*words, "--ledger", str(tmp_path / "runs")])
        out, err = capsys.readouterr()
        return code, out, err

    return called


def test_a_plan_has_ranges_and_says_that_they_are_not_measured(call):
    code, out, err = call("claims", "vmambair-4-v1", "--plan", "--gpus", "8", "--gpu-kind", "a100")
    assert code == Exit.DONE
    text = " ".join(out.split())
    assert "1. decides 1: vmambair-4-v1" in text
    assert "not measured: 5 to 40 % of 19.5 TFLOP/s in float32 (NVIDIA A100 Tensor Core GPU data sheet, SXM)" in text
    assert (
        "759 to 6,063 h of one A100 (not measured), on 8 GPUs 5.6 to 45 days" in text or "h of one A100 (not measured), on 8 GPUs" in text
    )
    assert "data: missing here: DF2K (3,450 images), OST (10,324 images), NTIRE2020-T1 (100 images)" in text
    assert "holds no record" in err


def test_a_plan_as_a_document(call):
    code, out, _ = call("claims", "--plan", "--gpus", "8", "--gpu-kind", "H100", "--json")
    document = json.loads(out)
    assert code == Exit.DONE
    assert (document["gpu"], document["gpus"], document["decided"]) == ("H100", 8, 0)
    decided = [name for step in document["steps"] for name in step["decides"]]
    assert sorted(decided) == sorted(document["total"]["decides"])
    assert len(decided) + len(document["no command of the suite decides"]) == 185
    low, high = document["total"]["gpu_hours"]
    assert high == pytest.approx(sum(step["gpu_hours"][1] for step in document["steps"]))
    assert document["total"]["days"][0] >= low / 24 / 8
    assert all(step["basis"] or not step["gpu_hours"][1] for step in document["steps"])


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--plan", "--gpus", "0"), Exit.NOTHING, "at least 1"),
        (("--plan", "--gpu-kind", "H10"), Exit.USAGE, "no kind of GPU is called 'H10'"),
        (("--markdown", "x.md"), Exit.USAGE, "--markdown is for --plan"),
    ],
)
def test_what_is_asked_in_vain(call, words, code, said):
    found, _, err = call("claims", *words)
    assert found == code
    assert said in err


def test_what_is_decided_is_not_planned(call, tmp_path):
    Ledger(tmp_path / "runs").add(made.profile("vmambair-realsr-x4", macs=19.45e9, conventions={"fvcore": 19.45e9}, layer_params=9_000_000))
    _, out, _ = call("claims", "vmambair-2-vmambair-params", "--plan", "--gpu-kind", "A100")
    assert "Decided before: 1." in out
    assert "decides" not in out


def test_a_training_that_is_done_is_not_planned_again():
    found = judge_claims(load_claims(), [])
    done = [made.done(model, 28.0, budget="paper", test_set="NTIRE2020-T1", seed=seed) for model in made.VMAMBAIR[:1] for seed in range(3)]
    keys = {training_key(one.spec) for one in done}
    planned = {piece.key for piece in make_plan(found, [], "A100").total().pieces}
    left = {piece.key for piece in make_plan(found, done, "A100").total().pieces}
    assert planned - left == keys


def test_every_run_of_the_plan_selects_what_was_planned(plan, call):
    """Through the command line: the cells that `run` would execute train what the plan counted, each once, and nothing else."""
    commands = [command for command in merge_commands(plan.total().commands) if parse(command).verb == "run"]
    specs = {}
    for command in commands:
        specs |= {spec.fingerprint: spec for spec in replay_run(command, backend="reference", device="cpu")}
        code, out, err = call(*command.split()[3:], "--dry-run", "--json", "--backend", "reference", "--device", "cpu")
        assert code == Exit.DONE
        assert "missing here" in err
        cells = [row["cell"] for row in json.loads(out)["cells"]]
        assert cells == [spec.fingerprint for spec in replay_run(command, backend="reference", device="cpu")]
    trained = [piece.key for piece in plan.total().pieces if piece.trains]
    assert len(trained) == len(set(trained))
    assert {training_key(spec) for spec in specs.values()} == set(trained)


def test_more_gpus_take_no_longer_and_never_less_than_the_longest(plan):
    days = [total_days(plan, gpus) for gpus in (1, 2, 8, 64, 1000)]
    assert days == sorted(days, reverse=True)
    longest = max(piece.seconds.low for piece in plan.total().pieces if piece.seconds)
    assert days[-1][0] * 86400 >= longest
    assert days[0][1] == pytest.approx(plan.total().hours[1] / 24)


def test_commands_are_merged_where_they_do_the_same():
    runs = ["python -m suite run --grid g --only a --set x=1 --only b", "python -m suite run --grid g --only a --set x=1 --only c"]
    assert merge_commands(runs) == ["python -m suite run --grid g --set x=1 --only a --only b --only c"]
    profiles = ["python -m suite profile a b --size 64x64", "python -m suite profile b c --size 64x64", "python -m suite profile a"]
    assert merge_commands(profiles) == ["python -m suite profile a b c --size 64x64", "python -m suite profile a"]
    others = ["python -m suite evaluate m --task t --weights FILE --data Set5"] * 2
    assert merge_commands(others) == others[:1]
    with pytest.raises(ValueError, match="none of run, evaluate, profile"):
        parse("python -m suite report")


def test_the_documentation_is_what_the_code_says():
    assert (ROOT / "docs" / "plan.md").read_text() == write_markdown()


def test_what_is_planned_is_the_paper_in_full(plan):
    assert plan.steps
    for command in plan.total().commands:
        if parse(command).verb == "run":
            assert all(isinstance(spec, RunSpec) and spec.budget == "paper" and not spec.width for spec in replay_run(command))
