"""Trainings: one for all test sets and protocols, another where anything else differs, and found by the names of before."""

import json

import pytest
from places import HISTORY

from suite.cli.main import main
from suite.core.errors import Exit
from suite.records.ledger import Ledger, older_weights_file
from suite.records.record import Record
from suite.records.spec import EVALUATION, RunSpec
from suite.records.trainings import TrainingKey, Trainings, choose_trainers

OTHER = {  # a value of each field of a training that BASE does not have
    "backend": "numba", "device": "cuda", "model": "mambair-sr-x2.mlp", "task": "light-sr-x2", "budget": "paper", "seed": 1,
    "dtype": "bfloat16", "width": 16, "depth_divisor": 2, "iterations": 9, "batch": 2, "patch": 32, "lr": 2e-3, "milestones": (2,),
    "betas": (0.9, 0.999), "ema_decay": 0.9, "clip_norm": 0.5, "recipe": "sr-x2/paper", "loss": "charbonnier", "optimiser": "adamw",
    "weight_decay": 0.1, "periods": (4,), "floors": (1e-6,), "stages": ((4, 16, 1),), "mixup": 1.2, "discriminator_lr": 1e-4,
    "start": "file.pt", "degrade_on": "device", "first_weights": "interpolation", "warm_up": 2, "plugin": "a" * 64,
    "train_set": "DF2K", "validation_set": "DIV2K",
}  # fmt: skip
WITH = {"periods": {"floors": (1e-6,)}, "floors": {"periods": (4,)}, "discriminator_lr": {"loss": "l1+perceptual+gan"}}


def spec(**fields):
    small = {"model": "mambair-sr-x2", "task": "sr-x2", "budget": "quick", "backend": "reference", "protocol": "sr-y@1"}
    return RunSpec(**(small | {"iterations": 4, "batch": 1, "patch": 16, "lr": 1e-3} | fields))


def done(of, **fields):
    return Record(fingerprint=of.fingerprint, spec=of, status="done", **fields)


def test_a_training_is_the_same_for_every_test_set_and_protocol_and_its_identity_never_changes():
    asked = [spec(test_set=name, protocol=rule) for name in ("photos", "Set5") for rule in ("sr-y@1", "sr-y@2")]
    assert {Trainings().identify(of) for of in asked} == {"9224d1cf08782964"}


@pytest.mark.parametrize("field", sorted(set(RunSpec.model_fields) - EVALUATION))
def test_whatever_else_differs_is_another_training(field):
    with_others = WITH.get(field, {})
    one, other = spec(), spec(**with_others, **{field: OTHER[field]})
    assert Trainings().identify(one) != Trainings().identify(other)


def test_what_a_training_begins_with_is_named_by_its_training_not_by_the_evaluation():
    firsts = [spec(test_set=name) for name in ("photos", "Set5")]
    seconds = [spec(model="mambair-sr-x3", task="sr-x3", start=first.fingerprint, test_set=first.test_set) for first in firsts]
    known = Trainings([*firsts, *seconds])
    assert len({known.identify(second) for second in seconds}) == 1
    assert {known.start_key(second) for second in seconds} == {known.key(first) for first in firsts}
    assert len({Trainings(seconds).identify(second) for second in seconds}) == 2  # nothing is known of what they begin with
    assert Trainings(seconds).start_key(seconds[0]) is None
    other = spec(model="mambair-sr-x3", task="sr-x3", start=spec(seed=1).fingerprint)
    assert Trainings([spec(seed=1), other]).identify(other) != known.identify(seconds[0])


def test_the_identity_in_a_record_stands_where_what_it_began_with_is_gone():
    first = spec()
    second = spec(model="mambair-sr-x3", task="sr-x3", start=first.fingerprint)
    identity = Trainings([first, second]).identify(second)
    assert Trainings().identify(second) != identity == Trainings([second], [done(second, training=identity)]).identify(second)


def test_files_are_named_for_people_and_found_by_older_names(tmp_path):
    of, again = spec(), spec(test_set="Set5")
    key = Trainings([of], [done(again)]).key(of)
    assert key.weights_file(tmp_path).name == f"mambair-sr-x2_quick_seed0_{key.fingerprint[:8]}.pt"
    assert Trainings().key(spec(task="light-sr-x2")).stem == "mambair-sr-x2_light-sr-x2_quick_seed0"
    assert Trainings().key(spec(model="../x y")).stem == "..-x-y_sr-x2_quick_seed0"
    assert key.names == (key.fingerprint, of.fingerprint, again.fingerprint)
    assert key.find_weights(tmp_path) is None
    for path in (older_weights_file(tmp_path, again.fingerprint), key.weights_file(tmp_path)):
        path.touch()
        assert key.find_weights(tmp_path) == path


def test_a_cell_is_trained_where_another_evaluation_is_done_and_its_weights_are_there(tmp_path):
    first, second, third = (spec(test_set=name) for name in ("photos", "Set5", "Set14"))
    asked = [second, third, spec(seed=1)]
    assert choose_trainers(asked, Trainings(asked, [done(first)]), tmp_path) == {second.fingerprint, asked[2].fingerprint}
    older_weights_file(tmp_path, first.fingerprint).touch()
    known = Trainings(asked, [done(first)])
    assert choose_trainers(asked, known, tmp_path) == {asked[2].fingerprint}
    own = TrainingKey(known.identify(first), known.key(first).stem, (first.fingerprint,))
    assert known.find_trained(second, tmp_path) == (first.fingerprint, own)
    failed = done(first).model_copy(update={"status": "failed"})
    assert choose_trainers(asked, Trainings(asked, [failed]), tmp_path) == {second.fingerprint, asked[2].fingerprint}


def test_the_record_of_the_cell_that_trained_comes_before_those_that_measured(tmp_path):
    first, second, third = sorted((spec(test_set=name) for name in ("photos", "Set5", "Set14")), key=lambda of: of.fingerprint)
    identity = Trainings().identify(first)
    Trainings().key(first).weights_file(tmp_path).touch()
    records = [done(first, training=identity, trained_by=second.fingerprint), done(second, training=identity)]
    assert Trainings([third], records).find_trained(third, tmp_path)[0] == second.fingerprint


# A ledger that an earlier version wrote: tests/history/ledger-4, two cells, of which the second begins with the first


SETS = ("--set", "test_set=photo-crops", "--set", "validation_set=photo-crops")
ASKED = ("--grid", "tasks", "--only", "mambair-sr-x3@sr-x3", "--budget", "smoke", "--backend", "numba", "--device", "cpu")


@pytest.fixture
def old_ledger(tmp_path):
    ledger = Ledger(tmp_path / "runs")
    ledger.folder.mkdir()
    for path in (HISTORY / "ledger-4").glob("*.json"):
        (ledger.folder / path.name).write_bytes(path.read_bytes())
    assert len(ledger.entries()) == 2
    return ledger


def plan(ledger, capsys, *words):
    code = main(["run", *ASKED, *words, "--launcher", "inline", "--ledger", str(ledger.folder), "--dry-run", "--json"])
    assert code == Exit.DONE
    return [cell["state"] for cell in json.loads(capsys.readouterr().out)["cells"]]


def test_an_old_ledger_trains_nothing(old_ledger, capsys):
    assert plan(old_ledger, capsys, *SETS) == ["data changed"] * 2  # by the photographs that were added since; no other cell, so not "new"


def test_an_old_ledger_s_trainings_are_measured_on_other_sets_without_training(old_ledger, capsys):
    words = ("--set", "validation_set=photo-crops", "--test-sets", "photo-crops", "photos")
    assert plan(old_ledger, capsys, *words) == [*["data changed"] * 2, *["weights gone"] * 2]
    old_ledger.weights.mkdir()
    for entry in old_ledger.entries():
        older_weights_file(old_ledger.weights, entry.fingerprint).touch()
    assert plan(old_ledger, capsys, *words) == [*["data changed"] * 2, *["trained already, evaluate only"] * 2]


def test_the_records_of_an_old_ledger_keep_their_fingerprints_and_share_no_training(old_ledger):
    records = list(old_ledger.records())
    assert [record.fingerprint for record in records] == [record.spec.fingerprint for record in records]
    first, second = sorted(records, key=lambda record: record.spec.task)
    assert (first.training, first.trained_by) == ("", "")
    known = Trainings((), records)
    assert known.start_key(second.spec) == known.key(first.spec)


def test_a_field_is_given_by_one_option(tmp_path, capsys):
    words = ("--set", "protocol=sr-y", "--protocols", "sr-y", "sr-y-rounded", "--ledger", str(tmp_path), "--dry-run")
    assert main(["run", *ASKED, *words]) == Exit.USAGE
    assert "protocol is given by --protocols and by --set. Name all of them with --protocols." in capsys.readouterr().err


def test_the_evaluations_of_one_training_take_no_threads_from_it(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("suite.core.machine.count_cores", lambda: 8)
    slots = []
    for words in ((), ("--test-sets", "photos", "photo-crops"), ("--seeds", "2")):
        common = ("--grid", "ablations", "--only", "mambair-sr-x2.mlp", "--device", "cpu", "--ledger", str(tmp_path), "--dry-run", "--json")
        assert main(["run", *common, "--backend", "numba", "--budget", "quick", *words]) == Exit.DONE
        slots.append(json.loads(capsys.readouterr().out)["estimate"]["cells_at_a_time"])
    assert slots == [1, 1, 2]
