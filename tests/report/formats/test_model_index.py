"""Results for model cards: the keys and types that Hugging Face's reader asks for, and the report's own means."""

import re

import pytest
import synthetic_records as made
import yaml
from evaluations import SHA, evaluation

from suite.cli import main
from suite.core.errors import Exit, SuiteError
from suite.records.ledger import Ledger
from suite.report.formats.model_index import make_index, render_index

URL = "https://example.org/results"
RECORDS = (
    evaluation(mean=30.4),
    evaluation(mean=31.5, test_set="Set14"),
    evaluation("mambair-sr-x2", sha=SHA, mean=38.2),
    evaluation("mambair-sr-x2", sha=SHA, mean=38.3, ensemble=True),
    *(made.done(made.MAMBAIR[0], 26.0 + seed, seed=seed) for seed in range(3)),
    made.failed(made.MAMBAIR[1], "RuntimeError: out of memory"),
    made.profile(made.MAMBAIR[0]),
)
CARD = yaml.safe_load(render_index(make_index(RECORDS, URL)))["model-index"]


def check(value, wanted, where="model-index"):
    """Hold `value` to a form: a type, the form of a list's items, or the forms of an object's keys, of which those with ? may be absent."""
    if isinstance(wanted, list):
        assert isinstance(value, list), where
        assert value, where
        for place, one in enumerate(value):
            check(one, wanted[0], f"{where}[{place}]")
    elif isinstance(wanted, dict):
        assert isinstance(value, dict), where
        assert set(value) <= {key.rstrip("?") for key in wanted}, where
        for key, form in wanted.items():
            if key.rstrip("?") in value or not key.endswith("?"):
                check(value[key.rstrip("?")], form, f"{where}.{key}")
    else:
        assert type(value) is wanted, where


FORM = [
    {
        "name": str,
        "results": [
            {
                "task": {"type": str, "name?": str},
                "dataset": {"type": str, "name": str, "config?": str, "split?": str, "revision?": str, "args?": dict},
                "metrics": [{"type": str, "value": float, "name?": str, "config?": str, "args?": dict}],
                "source?": {"name": str, "url": str},
            }
        ],
    }
]


def test_it_has_the_form_of_model_cards():
    check(CARD, FORM)
    assert {metric["type"] for entry in CARD for result in entry["results"] for metric in result["metrics"]} == {"psnr", "ssim"}
    assert {result["task"]["type"] for entry in CARD for result in entry["results"]} == {"image-to-image"}


def test_the_reader_of_model_cards_takes_it():
    repocard = pytest.importorskip("huggingface_hub.repocard_data")
    for entry in CARD:
        name, results = repocard.model_index_to_eval_results([entry])
        assert name == entry["name"]
        assert len(results) == sum(len(result["metrics"]) for result in entry["results"])
        assert {(one.source_name is None, one.source_url) for one in results} == {(False, URL)}
        assert repocard.eval_results_to_model_index(name, results)[0]["name"] == name


def test_values_are_the_report_s_means_with_seeds_and_interval():
    by_name = {entry["name"]: entry["results"] for entry in CARD}
    assert [result["dataset"]["name"] for result in by_name["bicubic"]] == ["Set5", "Set14"]
    assert by_name["bicubic"][0]["metrics"][0]["value"] == pytest.approx(30.4)
    given, ensemble = (name for name in by_name if re.match(r"mambair-sr-x2\+? \(origin unknown", name))
    assert (given.startswith("mambair-sr-x2 "), ensemble.startswith("mambair-sr-x2+ ")) == (True, True)
    (trained,) = (results for name, results in by_name.items() if "quick budget" in name)
    psnr = trained[0]["metrics"][0]
    assert (psnr["type"], psnr["name"], psnr["args"]["seeds"]) == ("psnr", "PSNR-Y (dB)", [0, 1, 2])
    assert psnr["value"] == pytest.approx(27.0)
    low, high = psnr["args"]["interval_95_over_seeds"]  # Student's t of two degrees of freedom: 4.303 / sqrt(3)
    assert (low, high) == (pytest.approx(27 - 2.4841, abs=1e-3), pytest.approx(27 + 2.4841, abs=1e-3))
    assert len(CARD) == 4


def test_what_measured_no_quality_makes_no_card():
    with pytest.raises(SuiteError, match="nothing to show") as refused:
        make_index([made.profile(made.MAMBAIR[0])], URL)
    assert refused.value.exit == Exit.NOTHING


def test_the_verb_writes_it_and_says_what_does_not_go_together(tmp_path, capsys):
    held = Ledger(tmp_path / "ledger")
    with held.locked():
        held.add(RECORDS[0])
    where = ["--ledger", str(held.folder), "--evidence", str(tmp_path / "none")]
    words = ["export", "bicubic", str(tmp_path / "card.yml"), "--format", "model-index"]
    assert main.main([*words, *where, "--source", URL]) == Exit.DONE
    assert "1 result of 1 network" in capsys.readouterr().out
    assert yaml.safe_load((tmp_path / "card.yml").read_text())["model-index"][0]["results"][0]["source"]["url"] == URL
    assert main.main([*words, *where]) == Exit.USAGE  # it is there
    for more, code, message in (
        (["--overwrite", "--model", "bicubic"], Exit.USAGE, "--model is not for --format model-index; it is for weights"),
        (["--overwrite", "--format", "official", "--source", URL], Exit.USAGE, "--source is not for --format official"),
    ):
        assert main.main([*words, *more]) == code
        assert message in capsys.readouterr().err
    assert main.main(["export", "none", str(tmp_path / "x"), "--format", "official"]) == Exit.USAGE
    assert "--model NAME is needed" in capsys.readouterr().err
    weights = tmp_path / "theirs.pth"
    weights.write_bytes(b"weights")
    assert main.main(["export", str(weights), str(tmp_path / "x.yml"), "--format", "model-index", *where]) == Exit.NOTHING
    assert "no record measured the weights" in capsys.readouterr().err
