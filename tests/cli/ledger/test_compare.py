"""`python -m suite compare`: what may be compared, what is said of it, and how it exits."""

import csv
import io
import json

import numpy as np
import pytest
import synthetic_records as made

from suite.cli import main
from suite.core.errors import Exit
from suite.core.statistics import intervals, stats
from suite.records.ledger import Ledger
from suite.records.record import ImageScore, ProtocolUsed
from suite.report import versus

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
        code = main.main(["compare", *map(str, words)])
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


def both_seeds(model, **how):
    """Two records of one shift, a training apart from each other by little."""
    return [run_of(model, seed=seed, **how) for seed in (0, 1)]


def given(model, **how):
    """A record of weights that were not trained but given."""
    return run_of(model, iterations=0, start=f"{model}.pth", **how)


def test_better_worse_and_no_difference(ledger, compare):
    where = held(ledger, *both_seeds(BASE), *both_seeds(OTHER, shift=-0.15), *both_seeds(THIRD, shift=0.003, noise=0.1))
    code, found = lines(compare, f"{BASE}.*", BASE, *where)
    assert code == Exit.DONE
    assert {line["variant"]: line["verdict"] for line in found} == {OTHER: "worse", THIRD: "no difference shown"}
    assert {(line["of"], line["seeds"], line["interval_over"]) for line in found} == {("designs", 2, "seeds and images")}
    assert lines(compare, BASE, OTHER, *where)[1][0]["verdict"] == "better"


def test_one_seed_gives_the_numbers_of_the_records_and_no_verdict(ledger, compare):
    first, second, third = run_of(BASE), run_of(OTHER, shift=-0.15), run_of(THIRD, shift=0.003, noise=0.1)
    where = held(ledger, first, second, third)
    code, found = lines(compare, f"{BASE}.*", BASE, *where)
    assert code == Exit.DONE
    assert {line["verdict"] for line in found} == {"one seed: cannot tell"}
    assert {line["reason"] for line in found} == {"interval and p are over images alone"}
    line = next(line for line in found if line["variant"] == OTHER)
    assert (line["images"], line["seeds"], line["baseline"], line["metric"], line["test"]) == (24, 1, BASE, "PSNR-Y", "wilcoxon")
    assert (line["of"], line["interval_over"], line["interval_covers"]) == ("designs", "images", intervals.measured_cover(24))
    assert line["difference"] == pytest.approx(second.mean("PSNR-Y") - first.mean("PSNR-Y"))
    assert line["interval_low"] < line["difference"] < line["interval_high"] < 0
    differences = [a.metrics["PSNR-Y"] - b.metrics["PSNR-Y"] for a, b in zip(second.scores, first.scores, strict=True)]
    assert [line["interval_low"], line["interval_high"]] == pytest.approx(intervals.interval_ends(np.array([differences])))
    assert line["p"] == line["p_wilcoxon_images"] == stats.wilcoxon_p(differences)
    assert line["p_holm"] == pytest.approx(min(1, 2 * line["p"]))
    assert line["variant_cells"] == second.fingerprint
    out = compare(OTHER, BASE, *where)[1]
    assert "run --seeds 3" in out
    assert "(approximate: covers 91 %)" in out


def test_given_weights_are_compared_as_they_are(ledger, compare):
    where = held(ledger, given(BASE), given(OTHER, shift=-0.15), run_of(THIRD, shift=0.15, iterations=0))
    _, (line,) = lines(compare, OTHER, BASE, *where)
    assert (line["of"], line["verdict"], line["test"], line["interval_over"]) == ("weights", "worse", "wilcoxon", "images")
    assert "worse (of these weights, not of the designs" in compare(OTHER, BASE, *where)[1]
    _, (line,) = lines(compare, THIRD, BASE, *where)  # one that begins at random is what its seed made of it
    assert (line["of"], line["verdict"]) == ("designs", "one seed: cannot tell")


def test_two_cells_by_their_fingerprints_are_two_sets_of_weights(ledger, compare):
    one, other = run_of(OTHER, shift=0.15), run_of(BASE)
    where = held(ledger, one, other)
    verdicts = [lines(compare, a, b, *where)[1][0] for a in (one.fingerprint, OTHER) for b in (other.fingerprint, BASE)]
    assert [line["verdict"] for line in verdicts] == ["better", *["one seed: cannot tell"] * 3]
    assert [line["of"] for line in verdicts] == ["weights", *["designs"] * 3]


def test_what_no_verdict_rests_on_corrects_no_other_p(ledger, compare):
    where = held(ledger, *both_seeds(BASE), *both_seeds(OTHER, shift=-0.15), run_of(THIRD, shift=0.1))
    two, one = sorted(lines(compare, f"{BASE}.*", BASE, *where)[1], key=lambda line: line["variant"] != OTHER)
    assert (two["seeds"], two["p_holm"], one["seeds"], one["p_holm"]) == (2, two["p"], 1, one["p"])


def with_differences(values):
    """Two sets of given weights whose images differ by just these amounts."""
    base = given(BASE, images=len(values))
    scores = tuple(
        ImageScore(image=score.image, metrics={"PSNR-Y": score.metrics["PSNR-Y"] + value})
        for score, value in zip(base.scores, values, strict=True)
    )
    return base, given(OTHER).model_copy(update={"scores": scores})


def test_where_p_and_interval_disagree_it_is_said(ledger, compare, tmp_path):
    """Ranks see many small losses, which one large gain outweighs in the mean; and few ranks see nothing, where the mean is clear."""
    ranks = [-0.01 - 0.001 * place for place in range(20)] + [1.0]
    _, (line,) = lines(compare, OTHER, BASE, *held(ledger, *with_differences(ranks)))
    assert line["p"] < 0.05
    assert line["interval_low"] < 0 < line["interval_high"]
    assert line["verdict"] == "no difference shown"
    assert line["reason"] == "the interval holds 0, though Wilcoxon's test of ranks finds a difference"
    mean = [-0.01, 0.3, 0.35, 0.4, 0.45, 1.0]
    _, (line,) = lines(compare, OTHER, BASE, *held(Ledger(tmp_path / "mean"), *with_differences(mean)))
    assert line["p"] > 0.05
    assert line["interval_low"] > 0
    assert (line["verdict"], line["reason"][:26]) == ("no difference shown", "Wilcoxon's test of ranks f")


def test_an_interval_of_one_comparison_is_said_to_be_of_one(ledger, compare):
    shifts = dict(zip((OTHER, THIRD, *made.VMAMBAIR[3:]), (0.11, 0.0, 0.001, 0.002), strict=True))
    records = [run_of(model, seed=seed, shift=shift) for model, shift in shifts.items() for seed in (0, 1)]
    where = held(ledger, *(run_of(BASE, seed=seed, shift=0.012 * seed) for seed in (0, 1)), *records)
    line = next(line for line in lines(compare, f"{BASE}.*", BASE, *where)[1] if line["variant"] == OTHER)
    assert line["p"] < 0.05 < line["p_holm"]
    assert line["interval_low"] > 0
    assert line["verdict"] == "no difference shown"
    assert line["reason"] == "the interval is of one comparison: as one of 4, Holm's p is too large"


def test_equal_designs_are_called_different_in_one_of_twenty_tables_at_most(monkeypatch):
    """Three variants that are the baseline, two or three trainings of each that differ by 0.05 dB; and of one training none ever is."""
    monkeypatch.setattr(stats, "smallest_detectable", lambda *_: None)  # which takes time, and decides nothing
    generator, wrong, runs = np.random.default_rng(2), {1: 0, 2: 0, 3: 0}, 200
    cells = {(model, seed): run_of(model, seed=seed, images=14) for model in made.VMAMBAIR[:4] for seed in range(3)}
    names = [score.image for score in cells[BASE, 0].scores]

    def trained(model, seed):
        values = generator.normal(0, 0.05) + generator.normal(0, 0.1, len(names))
        scores = tuple(ImageScore.model_construct(image=name, metrics={"PSNR-Y": value}) for name, value in zip(names, values, strict=True))
        return cells[model, seed].model_copy(update={"scores": scores})

    for _ in range(runs):
        records = {place: trained(*place) for place in cells}
        for seeds in wrong:
            sides = [versus.Side(tuple(records[model, seed] for seed in range(seeds))) for model in made.VMAMBAIR[:4]]
            found = versus.compare_sides(sides[1:], sides[:1], ("PSNR-Y",), same_model=False)
            wrong[seeds] += any(one.verdict in ("better", "worse") for one in found)
    assert wrong[1] == 0
    assert max(wrong.values()) / runs <= 0.05 + 3 * (0.05 * 0.95 / runs) ** 0.5


def test_a_metric_of_which_less_is_better(ledger, compare):
    where = held(ledger, *both_seeds(BASE, metric="LPIPS-alex"), *both_seeds(OTHER, metric="LPIPS-alex", shift=-0.15))
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
    where = held(ledger, *both_seeds(BASE), *both_seeds(OTHER, shift=0.15, test_set="elsewhere/photos", backend="cpp"))
    code, (line,) = lines(compare, OTHER, BASE, *where)
    assert (code, line["verdict"], line["notes"]) == (Exit.DONE, "better", "backend cpp, numba")


def test_of_several_conditions_the_one_that_fits_is_taken(ledger, compare):
    where = held(ledger, run_of(BASE, iterations=600), run_of(BASE), run_of(BASE, backend="cpp"), run_of(OTHER, shift=0.15))
    code, (line,) = lines(compare, OTHER, BASE, *where)
    assert (code, line["seeds"], line["notes"]) == (Exit.DONE, 1, "")


def test_few_images_are_said_to_be_few(ledger, compare):
    where = held(ledger, *(given(model, shift=-0.2 * place, images=6) for place, model in enumerate((BASE, OTHER, THIRD))))
    found = lines(compare, f"{BASE}.*", BASE, *where)[1]
    assert {line["reason"] for line in found} == {"on 6 images Holm p cannot be below 0.0625"}
    line = lines(compare, OTHER, BASE, *where)[1][0]
    assert (line["verdict"], line["interval_covers"]) == ("worse", 0.87)  # alone, 0.031


@pytest.mark.parametrize(
    ("records", "verdict"),
    [(given, "no difference shown"), (run_of, "one seed: cannot tell"), (both_seeds, "no difference shown")],
)
def test_five_images_are_too_few(ledger, compare, records, verdict):
    held_of = [records(model, images=5, shift=shift) for model, shift in ((BASE, 0), (OTHER, 1))]
    where = held(ledger, *(record for of in held_of for record in (of if isinstance(of, list) else [of])))
    code, (line,) = lines(compare, OTHER, BASE, *where)
    assert (code, line["verdict"], line["interval_low"], line["interval_over"], line["p"]) == (Exit.DONE, verdict, None, None, None)
    assert line["reason"] == "5 images are too few to say anything about others; at least 6 are needed"


def test_seeds_that_failed_or_stand_alone_are_named(ledger, compare):
    failed = made.failed(OTHER, "ValueError: no", seed=2)
    records = [run_of(model, seed=seed, shift=0.2 * (model == OTHER)) for seed in (0, 1) for model in (BASE, OTHER)]
    code, (line,) = lines(compare, OTHER, BASE, *held(ledger, *records, run_of(BASE, seed=4), failed))
    assert (code, line["seeds"], line["notes"]) == (Exit.DONE, 2, "without seed 2, 4")


def test_two_ledgers_are_compared_model_by_model(ledger, compare, tmp_path):
    other = Ledger(tmp_path / "before")
    held(ledger, *both_seeds(BASE, shift=0.1), run_of(OTHER))
    held(other, *both_seeds(BASE), run_of(THIRD))
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
    where = held(ledger, *both_seeds(BASE, images=48), *both_seeds(OTHER, shift=-0.15, images=48))
    code, out, _ = compare(OTHER, BASE, *where)
    head, row, legend = out.splitlines()
    assert code == Exit.DONE
    for title in ("VARIANT", "IMAGES", "SEEDS", "DIFFERENCE", "INTERVAL", "OVER", "P", "HOLM P", "MDD", "VERDICT"):
        assert title in head
    assert row.startswith(OTHER)
    assert row.endswith("worse")
    assert legend.startswith("A - B; 95 % interval")
    rows = list(csv.DictReader(io.StringIO(compare(OTHER, BASE, "--csv", "-", *where)[1])))
    assert (rows[0]["verdict"], float(rows[0]["difference"]) < -0.1) == ("worse", True)
    assert compare(OTHER, BASE, "--csv", tmp_path / "found.csv", *where)[1] == f"comparisons: {tmp_path / 'found.csv'}\n"


ERRORS = {
    "unknown model": (("swinir", BASE), Exit.NOTHING, "swinir matches no cell and no model"),
    "unknown cell": (("0" * 16, BASE), Exit.NOTHING, "0000000000000000 matches no cell"),
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


@pytest.mark.parametrize("there", [True, False])
def test_a_ledger_without_records_is_said_to_hold_none(compare, tmp_path, there):
    if there:
        (tmp_path / "empty").mkdir()
    code, _, err = compare(BASE, OTHER, "--ledger", tmp_path / "empty")
    assert (code, "holds 0 runs of 0 models" in err, len(err.splitlines())) == (Exit.NOTHING, True, 1)


def test_empty_ledgers_and_a_ledger_beside_folders_are_refused(ledger, compare, tmp_path):
    (tmp_path / "empty").mkdir()
    held(ledger, run_of(BASE))
    code, _, err = compare(ledger.folder, tmp_path / "empty")
    assert (code, "holds no run that is done" in err) == (Exit.NOTHING, True)
    code, _, err = compare(ledger.folder, ledger.folder, "--ledger", ledger.folder)
    assert (code, "two ledgers of their own" in err) == (Exit.USAGE, True)
