"""Verdicts on a printed quality of one network, from made-up evaluations."""

import pytest
from evaluations import SHA, evaluation

from suite.cli.ledger.plan import replay_run
from suite.records.record import ImageScore, ProtocolUsed, Record, TestData
from suite.report.claims.judge import judge_claims
from suite.report.commands import train_command
from suite.report.tables import given
from suite.study.claims import load_claims, tables_by_id
from suite.study.protocols import protocol

CLAIM, ROW = "mambairv2-3-light-x4-set5", "mambairv2-3/mambairv2-light-x4"


def judged(*records):
    (found,) = (one for one in judge_claims(load_claims(), records) if one.claim.id == CLAIM)
    return found


def weighed(mean, **fields):
    return evaluation("mambairv2-light-x4", "light-sr-x4", mean=mean, sha=SHA, **{"backend": "cpp", "routing": "sampled"} | fields)


def trained(spec, mean):
    """A training under the paper's conditions, of this mean."""
    rule = protocol(spec.protocol)
    return Record(
        fingerprint=spec.fingerprint,
        spec=spec,
        status="done",
        protocol=ProtocolUsed(name=rule.name, version=rule.version, statement=rule.statement),
        scores=tuple(ImageScore(image=f"{place}", metrics={"PSNR-Y": mean}) for place in range(5)),
        test_data=TestData(card="Set5", expected=5, measured=5, state="verified"),
        train_data=TestData(card=spec.train_set, expected=800, measured=800, state="verified"),
    )


@pytest.fixture
def authors(monkeypatch):
    """The weights of `weighed` are the authors' file of the row."""
    register = given.load_register()
    file = register.files[0].model_copy(update={"sha256": SHA, "rows": (ROW,)})
    monkeypatch.setattr(given, "load_register", lambda: register.model_copy(update={"files": (file,)}))


@pytest.mark.usefixtures("authors")
@pytest.mark.parametrize(
    ("mean", "word"), [(32.51, "holds"), (32.559, "holds"), (32.462, "holds"), (32.57, "does not hold"), (32.4, "does not hold")]
)
def test_the_authors_weights_decide_within_what_counts_as_reproduced(mean, word):
    record = weighed(mean)
    part = judged(record).parts[0]
    assert (part.word, part.printed, part.evidence, part.records) == (word, 32.51, "weights", (record.fingerprint,))
    assert part.measured == pytest.approx(mean)


@pytest.mark.usefixtures("authors")
def test_every_printed_value_has_to_hold():
    found = judged(weighed(32.51))
    assert [part.word for part in found.parts] == ["holds", "not tested"]  # its SSIM was not measured
    assert found.word == "not tested"


def test_another_s_weights_of_the_network_are_named_and_no_verdict():
    part = judged(weighed(32.54)).parts[0]
    assert (part.word, part.evidence) == ("not tested", "weights")
    assert part.measured == pytest.approx(32.54)
    assert part.reason.startswith("measured with weights that are not known to be the authors': origin unknown")


@pytest.mark.usefixtures("authors")
def test_what_was_measured_otherwise_is_no_evidence():
    for other in ({"protocol": "derain-matlab@2"}, {"test_set": "Set14"}, {"routing": "argmax"}):
        part = judged(weighed(32.51, **other)).parts[0]
        assert (part.word, part.measured) == ("not tested", None)


@pytest.mark.usefixtures("authors")
def test_one_training_gives_no_verdict_and_two_seeds_do():
    command = train_command(tables_by_id()["mambairv2-3"], "mambairv2-light-x4", "light-sr-x4", seeds=2, test_set="Set5")
    runs = [trained(spec, 32.53) for spec in replay_run(command) if spec.model == "mambairv2-light-x4"]
    assert len(runs) == 2
    assert (judged(runs[0]).parts[0].word, judged(runs[0]).parts[0].evidence) == ("too close to tell", "training")
    assert judged(*runs).parts[0].word == "holds"
    assert judged(runs[0], weighed(32.4)).parts[0].word == "does not hold", "the authors' file says more than one training"


def test_without_records_the_command_that_decides_is_named():
    found = judged()
    assert found.word == "not tested"
    assert found.commands == ("python -m suite evaluate mambairv2-light-x4 --task light-sr-x4 --weights FILE --data Set5",)
