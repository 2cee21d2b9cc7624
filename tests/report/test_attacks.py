"""Attacks on what is compared with a printed number by what stands beside the recipe's fields: code, versions, names, ways of inference."""

import pytest
from evaluations import SHA, evaluation

from suite.records.record import ImageScore, ProtocolUsed, Record, TestData
from suite.report.commands import plan_training
from suite.report.comparable import find_differences
from suite.study.published import load_all
from suite.study.tasks import TEST_IMAGES

TABLES = {table.id: table for paper in load_all() for table in paper.tables}
LIGHT = ("mambair-4", "mambair-light-x2", "light-sr-x2", "Set5")
DERAIN = ("vmambair-3", "vmambair-derain", "derain", "Rain100L")


def column_of(table, test_set):
    return next(column for column in table.columns if test_set in column.test_sets)


def trained(place, *, spec=(), **fields):
    """The paper's own training, measured on the whole verified set, with changes of its spec and of the record."""
    table, model, task, test_set = TABLES[place[0]], *place[1:]
    one = plan_training(table, model, task, test_set=test_set)[-1].model_copy(update=dict(spec))
    name, version = one.protocol.split("@")
    count = TEST_IMAGES[test_set]
    held = {
        "fingerprint": one.fingerprint,
        "protocol": ProtocolUsed(name=name, version=int(version), statement="whole image without tiling."),
        "scores": tuple(ImageScore(image=f"{number:04}", metrics={"PSNR-Y": 30.0, "SSIM-Y": 0.9}) for number in range(count)),
        "test_data": TestData(card=test_set, expected=count, measured=count, state="verified"),
        "train_data": TestData(card=one.train_set, expected=800, measured=800, state="verified"),
    }
    return Record(**held | fields, spec=one, status="done")


def differences(place, record):
    table = TABLES[place[0]]
    return [str(one) for one in find_differences(record, column_of(table, place[3]), table)]


@pytest.mark.parametrize("place", [LIGHT, DERAIN], ids=lambda place: place[1])
def test_without_an_attack_it_is_compared(place):
    assert differences(place, trained(place)) == []


TRAININGS = {
    "an earlier version of the protocol": (DERAIN, {"spec": {"protocol": "derain-matlab@1"}}, "protocol derain-matlab@1"),
    "a network that a plug-in declares": (LIGHT, {"spec": {"plugin": "ef" * 32}}, "network of a plug-in"),
    "a training folder called /DIV2K": (LIGHT, {"spec": {"train_set": "/DIV2K"}, "train_data": None}, "training set the folder DIV2K"),
    "a test folder called /Set5": (LIGHT, {"spec": {"test_set": "/Set5"}, "test_data": None}, "test set the folder Set5"),
    "fields that were changed by hand": (LIGHT, {"fingerprint": "0123456789abcdef"}, "fields of the record"),
}


@pytest.mark.parametrize("name", TRAININGS)
def test_no_attack_on_a_training_is_compared(name):
    place, changes, said = TRAININGS[name]
    found = differences(place, trained(place, **changes))
    assert any(one.startswith(said) for one in found), found


EVALUATIONS = {
    "other weights of the same file": ({"key": "params"}, "weights of the file params"),
    "tiles that no image tells of": ({"tile": "feathered", "inference": ()}, "images restored in tiles (feathered)"),
    "a network that a plug-in declares": ({"plugin": "ef" * 32}, "network of a plug-in"),
}
GIVEN = ("mambair-3", "mambair-sr-x2", "sr-x2", "Set5")


@pytest.mark.parametrize("name", EVALUATIONS)
def test_no_attack_on_given_weights_is_compared(name):
    fields, said = EVALUATIONS[name]
    assert differences(GIVEN, evaluation(GIVEN[1], sha=SHA)) == []
    found = differences(GIVEN, evaluation(GIVEN[1], sha=SHA, **fields))
    assert any(one.startswith(said) for one in found), found
