"""Evaluations of given weights on the page, in claims and in comparisons: whose weights they are decides whether they are a verdict."""

import pytest
from evaluations import SHA, evaluation

from suite.records.ledger import Ledger
from suite.report import report, versus
from suite.report.claims import quality
from suite.report.claims.judge import judge_claims
from suite.report.measured import Status
from suite.report.tables import given
from suite.report.tables.build import build_tables
from suite.study import published
from suite.study.claims import load_claims, tables_by_id

CLASSIC = "mambair-sr-x2"
ENTRY = "mambair-sr-x2"  # of the register, whose sha256 the authors' repository does not say


@pytest.fixture
def known(monkeypatch):
    """The register knows the sha256 of the authors' file."""
    register = given.load_register()
    files = tuple(one.model_copy(update={"sha256": SHA, "origin": "made up"}) if one.name == ENTRY else one for one in register.files)
    monkeypatch.setattr(given, "load_register", lambda: register.model_copy(update={"files": files}))


def cell_of(records, table="mambair-3", row="mambair-x2", column="set5-psnr"):
    found = next(one for one in build_tables(published.load_all(), records) if one.published.id == table)
    index = next(i for i, one in enumerate(found.columns) if one.key == column)
    return next(one for one in found.rows if one.key == row).cells[index]


def judged(*records):
    return next(one for one in judge_claims(load_claims(), records) if one.claim.id == "mambair-3-x2-beats-swinir").parts[0]


@pytest.mark.usefixtures("known")
@pytest.mark.parametrize(("mean", "status"), [(38.57, Status.REPRODUCED), (38.30, Status.DEVIATES)])
def test_the_authors_own_file_is_held_against_the_printed_number(mean, status):
    cell = cell_of([evaluation(CLASSIC, mean=mean, sha=SHA)])
    assert (cell.status, cell.published) == (status, 38.57)
    assert cell.difference == pytest.approx(mean - 38.57)
    (note,) = cell.measured.notes
    assert note == "measured with given weights: mambair-sr-x2 of the register, verified (theirs.pth, sha256 abababab)"
    assert "--weights theirs.pth --data Set5" in cell.command


def test_a_file_as_it_was_first_downloaded_from_the_authors_is_theirs():
    cell = cell_of([evaluation(CLASSIC, mean=38.57, sha=SHA, state="seen first here", entry=ENTRY)])
    assert cell.status == Status.REPRODUCED
    assert "as first downloaded" in cell.measured.notes[0]


@pytest.mark.parametrize("state", ["unknown", "not verified", "changed"])
def test_another_s_weights_are_shown_and_named_and_no_verdict(state):
    cell = cell_of([evaluation(CLASSIC, mean=38.57, sha=SHA, state=state, entry=ENTRY if state != "unknown" else "")])
    assert cell.status == Status.OTHERS
    assert cell.difference == pytest.approx(0)
    assert "no verdict on the authors' file" in cell.measured.notes[1]
    part = judged(evaluation(CLASSIC, mean=38.57, sha=SHA, state=state))
    assert (part.word, part.evidence) == ("not tested", "weights")
    assert "not known to be the authors'" in part.reason
    assert part.measured == pytest.approx(0.15)


@pytest.mark.usefixtures("known")
def test_the_file_of_another_row_is_not_this_row_s():
    assert given.is_authors(evaluation(CLASSIC, sha=SHA), *place("mambair-3", "mambair-x2"))
    assert not given.is_authors(evaluation(CLASSIC, sha=SHA), *place("mambair-3", "mambair-x3"))
    assert not given.is_authors(evaluation(CLASSIC, sha="cd" * 32), *place("mambair-3", "mambair-x2"))


def place(table, row):
    paper = next(one for one in published.load_all() if one.key == "mambair")
    return paper.table(table), paper.table(table).row(row)


@pytest.mark.usefixtures("known")
def test_the_authors_file_goes_before_another_s_and_a_claim_is_judged_by_it():
    other, theirs = evaluation(CLASSIC, mean=39.0, sha="cd" * 32), evaluation(CLASSIC, mean=38.57, sha=SHA)
    assert cell_of([other, theirs]).measured.records == (theirs,)
    part = judged(other, theirs)
    assert (part.word, part.evidence, part.records) == ("holds", "weights", (theirs.fingerprint,))
    assert judged(evaluation(CLASSIC, mean=38.30, sha=SHA)).word == "does not hold"


def test_several_seeds_of_what_a_network_draws_give_an_interval():
    network, sha = "mambairv2-light-x4", "ab" * 32
    seeds = [
        evaluation(network, "light-sr-x4", sha=sha, mean=mean, seed=seed, routing="sampled")
        for seed, mean in enumerate((32.5, 32.54, 32.58))
    ]
    other = evaluation(network, "light-sr-x4", sha="cd" * 32, mean=20.0, routing="sampled")
    found = next(
        cell.measured
        for table in build_tables(published.load_all(), [*seeds, other])
        for row in table.rows
        for cell in row.cells
        if cell.measured and cell.measured.records[0].spec.weights == sha
    )
    assert found.estimate.mean == pytest.approx(32.54)
    assert found.estimate.interval == pytest.approx(
        (32.54 - 4.3027 * 0.04 / 3**0.5, 32.54 + 4.3027 * 0.04 / 3**0.5), abs=1e-4
    )  # Student's t
    assert found.records == tuple(seeds)
    assert found.notes[-1] == "mean of 3 seeds of what it draws where it restores, 32.5000 to 32.5800"
    assert found.origin.command.count("--seed") == 2  # seed 0 is the default


OTHERWISE = {
    "in tiles": {"inference": ("whole",) * 4 + ("authors, 2x2",)},
    "with a self-ensemble": {"ensemble": True},
    "by another protocol": {"protocol": "sr-y-plane@1"},
}


@pytest.mark.usefixtures("known")
@pytest.mark.parametrize("fields", OTHERWISE.values(), ids=OTHERWISE)
def test_what_was_measured_otherwise_is_not_compared(fields):
    cell = cell_of([evaluation(CLASSIC, mean=38.57, sha=SHA, **fields)])
    assert cell.measured is None
    assert cell.status == Status.RETRAINED
    assert cell.reason.startswith("given weights, measured otherwise: ")
    assert judged(evaluation(CLASSIC, mean=38.57, sha=SHA, **fields)).word == "not tested"


@pytest.mark.usefixtures("known")
def test_a_set_that_was_not_measured_is_not_run():
    cell = cell_of([evaluation(CLASSIC, mean=38.57, sha=SHA)], column="set14-psnr")
    assert (cell.status, cell.reason) == (Status.PUBLISHED, "not run")


def test_bicubic_has_a_row_above_those_of_its_task_and_no_rank():
    records = [evaluation(task=f"sr-x{scale}", mean=mean) for scale, mean in ((2, 33.673), (3, 30.403), (4, 28.429))]
    table = next(one for one in build_tables(published.load_all(), records) if one.published.id == "mambair-3")
    labels = [(row.group, row.label) for row in table.rows]
    for scale, mean in ((2, 33.673), (3, 30.403), (4, 28.429)):
        assert labels.count((f"×{scale}", "bicubic")) == 1
        assert next(group_label for group_label in labels if group_label[0] == f"×{scale}")[1] == "bicubic"
        cell = cell_of(records, row=f"bicubic-sr-x{scale}")
        assert cell.measured.estimate.mean == pytest.approx(mean)
        assert (cell.published, cell.status, cell.measured_rank) == (None, None, None)
        assert cell_of(records, row=f"bicubic-sr-x{scale}", column="set14-psnr").measured is None
    ablations = next(one for one in build_tables(published.load_all(), records) if one.published.id == "mambair-1")
    assert [row.label for row in ablations.rows].count("bicubic") == 1
    assert ablations.rows[0].label == "bicubic"
    page = report.page_text(records)
    assert "3 evaluations of given weights or of baselines" in page
    assert "python -m suite evaluate bicubic --task sr-x4 --data Set5" in page


def test_two_networks_weights_are_compared_image_by_image(tmp_path):
    ledger = Ledger(tmp_path)
    for model, mean, sha in ((CLASSIC, 34.15, SHA), ("mambair-sr-x2.mlp", 34.10, "cd" * 32)):
        ledger.add(evaluation(model, test_set="Urban100", mean=mean, sha=sha))
    one, other = (versus.find_sides(ledger, name) for name in ("mambair-sr-x2.mlp", CLASSIC))
    (found,) = versus.compare_sides(one, other, ["PSNR-Y"], same_model=False)
    assert found.of == "weights"
    assert found.found.images == 100
    assert found.found.mean == pytest.approx(-0.05)
    assert found.verdict == "worse"
    assert "weights cdcdcdcd, abababab" in found.notes


@pytest.mark.parametrize("theirs", ["of both", "of one"])
def test_two_networks_of_a_claim_are_judged_in_pairs_of_images_by_the_authors_files_alone(monkeypatch, theirs):
    register = given.load_register()
    rows = {SHA: ("mambair-1/mlp",), "cd" * 32: ("mambair-2/four",) if theirs == "of both" else ()}
    files = [register.files[0].model_copy(update={"sha256": sha, "origin": "made up", "rows": of}) for sha, of in rows.items()]
    monkeypatch.setattr(given, "load_register", lambda: register.model_copy(update={"files": tuple(files)}))
    held, claim = next((one, claim) for one in load_claims() for claim in one.claims if claim.id == "mambair-1-mlp")
    claim = claim.model_copy(update={"evidence": ("weights",), "direction": "better"})
    records = [
        evaluation("mambair-sr-x2.mlp", test_set="Urban100", mean=34.15, sha=SHA),
        evaluation(CLASSIC, test_set="Urban100", mean=34.65, sha="cd" * 32),
    ]
    part = next(one for one in quality.judge_quality(claim, held.matter, tables_by_id(), records) if one.what == "urban100")
    if theirs == "of one":
        assert part.word == "not tested"
        assert "not known to be the authors'" in part.reason
    else:
        assert (part.word, part.evidence) == ("holds", "weights")
        assert part.measured == pytest.approx(0.5)
        assert part.interval == pytest.approx((0.5, 0.5))
        assert "training noise: one set of weights each" in part.leaves_out
