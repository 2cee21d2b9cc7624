"""`python -m suite compare`: what may be compared, what is said of it, and how it exits."""

import csv
import io
import json

import numpy as np
import pytest
import synthetic_records as made

from suite import cli, stats
from suite.errors import Exit
from suite.ledger import Ledger
from suite.record import ImageScore, ProtocolUsed

BASE, OTHER, THIRD = made.VMAMBAIR[:3]
DIGEST = {"test (photos)": "ab" * 32}


def run_of(model, *, shift=0.0, noise=0.02, images=24, seed=0, checksums=DIGEST, metric="PSNR-Y", **fields):
    """A done record whose images differ in difficulty by the same amounts for all models, moved by `shift`."""
    base = made.done(model, seed=seed, crops=False)
    spec = base.spec.model_copy(update=fields)
    own = np.random.default_rng([seed, len(model), int(1e3 * abs(shift))]).normal(0, noise, images)
    values = 28 + 3 * np.sin(np.arange(images)) + own - own.mean() + shift
    name, _, version = spec.protocol.partition("@")
    return base.model_copy(
        update={
            "spec": spec,
            "fingerprint": spec.fingerprint,
            "scores": tuple(ImageScore(image=f"{place}", metrics={metric: float(value)}) for place, value in enumerate(values)),
            "protocol": ProtocolUsed(name=name, version=int(version), statement=""),
            "provenance": made.provenance(data_checksums=checksums),
        }
    )


@pytest.fixture
def ledger(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return Ledger(tmp_path / "runs")


@pytest.fixture
def compare(capsys):
    def call(*words):
        code = cli.main(["compare", *map(str, words)])
        out, err = capsys.readouterr()
        return code, out, err

    return call


def held(ledger, *records):
    for record in records:
        ledger.add(record)
    return ("--ledger", ledger.folder)


def lines(compare, *words):
    code, out, _ = compare(*words, "--json")
    return code, json.loads(out)["comparisons"]


def test_better_worse_and_no_difference_with_numbers_that_are_those_of_the_records(ledger, compare):
    first, second, third = run_of(BASE), run_of(OTHER, shift=-0.15), run_of(THIRD, shift=0.003, noise=0.1)
    where = held(ledger, first, second, third)
    code, found = lines(compare, f"{BASE}.*", BASE, *where)
    assert code == Exit.DONE
    assert {line["variant"]: line["verdict"] for line in found} == {OTHER: "worse", THIRD: "no difference shown"}
    line = next(line for line in found if line["variant"] == OTHER)
    assert (line["images"], line["seeds"], line["baseline"], line["metric"], line["test"]) == (24, 1, BASE, "PSNR-Y", "wilcoxon")
    assert line["difference"] == pytest.approx(second.mean("PSNR-Y") - first.mean("PSNR-Y"))
    assert line["interval_low"] < line["difference"] < line["interval_high"] < 0
    differences = [a.metrics["PSNR-Y"] - b.metrics["PSNR-Y"] for a, b in zip(second.scores, first.scores, strict=True)]
    assert line["p"] == line["p_wilcoxon_images"] == stats.wilcoxon(differences)
    assert line["p_holm"] == pytest.approx(min(1, 2 * line["p"]))
    assert line["variant_cells"] == second.fingerprint
    assert lines(compare, BASE, OTHER, *where)[1][0]["verdict"] == "better"


def test_a_metric_of_which_less_is_better(ledger, compare):
    where = held(ledger, run_of(BASE, metric="LPIPS-alex"), run_of(OTHER, metric="LPIPS-alex", shift=-0.15))
    assert lines(compare, OTHER, BASE, *where)[1][0]["verdict"] == "better"
    assert lines(compare, OTHER, BASE, "--metric", "lpips-ALEX", *where)[1][0]["metric"] == "LPIPS-alex"
    code, found = lines(compare, OTHER, BASE, "--metric", "PSNR-Y", *where)
    assert (code, found[0]["reason"]) == (Exit.NOTHING, "a record holds no PSNR-Y of every image")


def test_seeds_are_a_level_of_their_own(ledger, compare):
    records = [
        run_of(model, seed=seed, shift=shift) for seed in range(3) for model, shift in ((BASE, 0.0), (OTHER, (-0.4, 0.0, 0.1)[seed]))
    ]
    code, (line,) = lines(compare, OTHER, BASE, *held(ledger, *records))
    assert (code, line["seeds"], line["test"]) == (Exit.DONE, 3, "two levels")
    assert line["p_wilcoxon_images"] < 0.001 < 0.05 < line["p"]
    assert line["verdict"] == "no difference shown"


OBSTACLES = {
    "protocol version": ({"protocol": "sr-y@2"}, "other protocol version (sr-y@2, sr-y@1)"),
    "protocol": ({"protocol": "sr-rgb@1"}, "other protocol (sr-rgb@1, sr-y@1)"),
    "budget": ({"budget": "standard"}, "other budget (standard, quick)"),
    "iterations": ({"iterations": 600, "width": 32}, "other budget (iterations 600, 300; width 32, 16)"),
    "checksum": ({"checksums": {"test (photos)": "cd" * 32}}, "other test data (checksum cdcdcdcd, abababab)"),
    "set of no checksum": ({"checksums": {}, "test_set": "Set5"}, "other test data (Set5, photos)"),
    "images": ({"images": 20}, "other images (20 of 24 in common)"),
    "seed": ({"seed": 5}, "no seed in common (5; 0)"),
    "task": ({"task": "sr-x2"}, "other task (sr-x2, real-sr-x4)"),
}


@pytest.mark.parametrize("case", OBSTACLES)
def test_what_is_not_comparable_says_why_and_exits_5(ledger, compare, case):
    fields, reason = OBSTACLES[case]
    where = held(ledger, run_of(BASE), run_of(OTHER, shift=-0.15, **fields))
    code, (line,) = lines(compare, OTHER, BASE, *where)
    assert (code, line["verdict"], line["reason"], line["p"]) == (Exit.NOTHING, "not comparable", reason, None)
    assert reason in compare(OTHER, BASE, *where)[1]


def test_the_same_data_in_another_place_and_another_backend_are_comparable_and_named(ledger, compare):
    where = held(ledger, run_of(BASE), run_of(OTHER, shift=0.15, test_set="elsewhere/photos", backend="cpp"))
    code, (line,) = lines(compare, OTHER, BASE, *where)
    assert (code, line["verdict"], line["notes"]) == (Exit.DONE, "better", "backend cpp, numba")


def test_of_several_conditions_the_one_that_fits_is_taken(ledger, compare):
    where = held(ledger, run_of(BASE, iterations=600), run_of(BASE), run_of(BASE, backend="cpp"), run_of(OTHER, shift=0.15))
    code, (line,) = lines(compare, OTHER, BASE, *where)
    assert (code, line["verdict"], line["notes"]) == (Exit.DONE, "better", "")


def test_few_images_are_said_to_be_few(ledger, compare):
    where = held(ledger, *(run_of(model, shift=-0.2 * place, images=6) for place, model in enumerate((BASE, OTHER, THIRD))))
    found = lines(compare, f"{BASE}.*", BASE, *where)[1]
    assert {line["reason"] for line in found} == {"one seed on 6 images: Holm p cannot be below 0.0625"}
    assert lines(compare, OTHER, BASE, *where)[1][0]["verdict"] == "worse"  # alone, 0.031
    other = Ledger(ledger.folder.parent / "few")
    where = held(other, run_of(BASE, images=3), run_of(OTHER, images=3, shift=1))
    code, (line,) = lines(compare, OTHER, BASE, *where)
    assert (code, line["verdict"]) == (Exit.DONE, "no difference shown")
    assert line["reason"] == "3 images tell nothing of others; 5 are the fewest"


def test_seeds_that_failed_or_stand_alone_are_named(ledger, compare):
    failed = made.failed(OTHER, "ValueError: no", seed=2)
    records = [run_of(model, seed=seed, shift=0.2 * (model == OTHER)) for seed in (0, 1) for model in (BASE, OTHER)]
    code, (line,) = lines(compare, OTHER, BASE, *held(ledger, *records, run_of(BASE, seed=4), failed))
    assert (code, line["seeds"], line["notes"]) == (Exit.DONE, 2, "without seed 2, 4")


def test_two_ledgers_are_compared_model_by_model(ledger, compare, tmp_path):
    other = Ledger(tmp_path / "before")
    held(ledger, run_of(BASE, shift=0.1), run_of(OTHER))
    held(other, run_of(BASE), run_of(THIRD))
    code, found = lines(compare, ledger.folder, other.folder)
    assert code == Exit.DONE
    assert {line["variant"]: line["verdict"] for line in found} == {BASE: "better", OTHER: "not comparable"}
    assert next(line for line in found if line["variant"] == OTHER)["reason"] == f"the baseline has no done record of {OTHER}"
    assert lines(compare, other.folder, other.folder)[1][0]["p"] == 1.0  # a ledger with itself: no difference, and no error


def test_fingerprints_mean_single_cells(ledger, compare):
    one, two = run_of(OTHER, seed=0, shift=0.1), run_of(OTHER, seed=1)
    where = held(ledger, run_of(BASE), run_of(BASE, seed=1), one, two)
    _, (line,) = lines(compare, one.fingerprint, BASE, *where)
    assert (line["variant_cells"], line["seeds"], line["notes"]) == (one.fingerprint, 1, "without seed 1")


def test_table_and_csv(ledger, compare, tmp_path):
    where = held(ledger, run_of(BASE), run_of(OTHER, shift=-0.15))
    code, out, _ = compare(OTHER, BASE, *where)
    head, row, legend = out.splitlines()
    assert code == Exit.DONE
    for title in ("VARIANT", "IMAGES", "SEEDS", "DIFFERENCE", "INTERVAL", "P", "HOLM P", "MDD", "VERDICT"):
        assert title in head
    assert row.startswith(OTHER)
    assert row.endswith("worse")
    assert legend.startswith("A - B; 95 % interval")
    rows = list(csv.DictReader(io.StringIO(compare(OTHER, BASE, "--csv", "-", *where)[1])))
    assert (rows[0]["verdict"], float(rows[0]["difference"]) < -0.1) == ("worse", True)
    assert compare(OTHER, BASE, "--csv", tmp_path / "found.csv", *where)[1] == f"comparisons: {tmp_path / 'found.csv'}\n"


ERRORS = {
    "unknown model": (("swinir", BASE), Exit.NOTHING, "swinir is none of its cells and models"),
    "unknown cell": (("0" * 16, BASE), Exit.NOTHING, "0000000000000000 is none of its cells"),
    "a model with itself": ((BASE, BASE), Exit.NOTHING, "the same records"),
    "several baselines": ((BASE, "vmambair"), Exit.USAGE, "B is one baseline"),
    "unknown metric": ((OTHER, BASE, "--metric", "PSNR"), Exit.USAGE, "'PSNR-Y'"),
    "two documents": ((OTHER, BASE, "--json", "--csv", "-"), Exit.USAGE, "ask for one"),
}


@pytest.mark.parametrize("case", ERRORS)
def test_a_user_s_error_is_one_message_and_its_code(ledger, compare, case):
    words, code, part = ERRORS[case]
    where = held(ledger, run_of(BASE), run_of(OTHER))
    found, out, err = compare(*words, *where)
    assert (found, out, len(err.splitlines())) == (code, "", 1)
    assert part in err


def test_empty_ledgers_and_a_ledger_beside_folders_are_refused(ledger, compare, tmp_path):
    (tmp_path / "empty").mkdir()
    held(ledger, run_of(BASE))
    code, _, err = compare(ledger.folder, tmp_path / "empty")
    assert (code, "holds no run that is done" in err) == (Exit.NOTHING, True)
    code, _, err = compare(ledger.folder, ledger.folder, "--ledger", ledger.folder)
    assert (code, "two ledgers of their own" in err) == (Exit.USAGE, True)
