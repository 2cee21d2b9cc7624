"""One training, several evaluations: real cells of a tiny network, in this process; what is trained is counted."""

import pytest
import torch
from fake_cells import record
from small_pictures import write_folder, write_splits

from suite.core import tensors
from suite.core.errors import SuiteError
from suite.measure.costs import count
from suite.records.cell import CellContext, Progress
from suite.records.ledger import Ledger, older_weights_file
from suite.records.spec import RunSpec
from suite.records.trainings import Trainings
from suite.runner import estimate
from suite.runner.execute import How, execute
from suite.training import cell, checkpoints, storage
from suite.training.cell import run_cell
from suite.training.checkpoints import Checkpoints

pytestmark = pytest.mark.usefixtures("one_thread")
HOW = How("inline", 1, "a test")


@pytest.fixture
def sets(tmp_path):
    return write_splits(tmp_path)


@pytest.fixture(autouse=True)
def trained(monkeypatch):
    """The iterations that each training began at, in order."""
    tiny, train, begun = count.count_full_size("mambair-light-x2-tiny"), cell.train, []
    monkeypatch.setattr(count, "count_full_size", lambda _: tiny)

    def watched(run, *args, **named):
        told = named.pop("begun")
        return train(run, *args, **named, begun=lambda: (begun.append(run.iteration), told()))

    monkeypatch.setattr(cell, "train", watched)
    return begun


@pytest.fixture
def ledger(tmp_path):
    return Ledger(tmp_path / "runs")


def spec(sets, protocol="sr-y@1", **fields):
    small = {"iterations": 4, "batch": 1, "patch": 16, "lr": 1e-3, "ema_decay": 0.9, "backend": "numba", "budget": "quick"}
    return RunSpec(**({"model": "mambair-light-x2-tiny", "task": "sr-x2", "protocol": protocol} | small | sets | fields))


def records_of(ledger):
    return {record.fingerprint: record for record in ledger.records()}


def test_two_protocols_and_two_test_sets_train_once_and_each_is_what_a_training_of_its_own_gives(sets, ledger, tmp_path, trained):
    others = {"test_set": write_folder(tmp_path / "other", 2, 7)}
    asked = [spec(sets), spec(sets, "sr-y-rounded@2"), spec(sets | others)]
    outcome = execute(asked, ledger, HOW)
    assert (outcome.done, outcome.failed, trained) == (3, 0, [0])
    records = records_of(ledger)
    first = records[asked[0].fingerprint]
    assert (len(first.training), first.trained_by) == (16, "")
    assert len({tuple(score.metrics.values()) for held in records.values() for score in held.scores}) > 4
    for of in asked[1:]:
        apart, held = Ledger(tmp_path / of.fingerprint), records[of.fingerprint]
        execute([of], apart, HOW)
        alone = records_of(apart)[of.fingerprint]
        for field in ("scores", "crops", "receptive_field", "training", "trained_params", "test_data", "cost"):
            assert getattr(held, field) == getattr(alone, field)
        assert (held.trained_by, alone.trained_by) == (first.fingerprint, "")
        assert held.provenance.data_checksums == alone.provenance.data_checksums
        assert (held.history, held.iteration_seconds) == (first.history, first.iteration_seconds)
    assert trained == [0, 0, 0]
    assert [path.name for path in ledger.weights.iterdir()] == [f"mambair-light-x2-tiny_sr-x2_quick_seed0_{first.training[:8]}.pt"]
    assert list(ledger.work.iterdir()) == []


def test_a_run_that_is_killed_between_two_evaluations_goes_on_with_the_second(sets, ledger, trained, monkeypatch):
    asked, add = [spec(sets), spec(sets, "sr-y-rounded@2")], Ledger.add

    def killed(self, record):
        if self.entries():
            raise KeyboardInterrupt
        return add(self, record)

    monkeypatch.setattr(Ledger, "add", killed)
    with pytest.raises(KeyboardInterrupt):
        execute(asked, ledger, HOW)
    assert [entry.fingerprint for entry in ledger.entries()] == [asked[0].fingerprint]
    monkeypatch.setattr(Ledger, "add", add)
    expected = estimate.estimate_runs(asked, ledger)
    assert expected.evaluated_only == {asked[1].fingerprint: "trained already, evaluate only"}
    outcome = execute(asked, ledger, HOW)
    assert (outcome.skipped, outcome.done, trained) == (1, 1, [0])
    assert records_of(ledger)[asked[1].fingerprint].trained_by == asked[0].fingerprint


def test_an_evaluation_that_fails_leaves_its_training_to_the_next(sets, ledger, trained, monkeypatch):
    asked, evaluate = [spec(sets), spec(sets, "sr-y-rounded@2")], cell.evaluate.evaluate

    def failing(restore, pairs, rule, *rest):
        if rule.key == "sr-y@1":
            raise SuiteError("this protocol fails")
        return evaluate(restore, pairs, rule, *rest)

    monkeypatch.setattr(cell.evaluate, "evaluate", failing)
    outcome = execute(asked, ledger, HOW)
    assert (outcome.failed, outcome.done) == (1, 1)
    assert trained == [0, 4]  # the second takes up the checkpoint of the last iteration


def stopped(of, context, at):
    """Runs the cell and leaves it as a kill at that iteration would, with a checkpoint of it."""
    for event in run_cell(of, context):
        if isinstance(event, Progress) and event.state == "training" and event.iteration == at:
            return
    raise AssertionError


def test_a_half_done_training_goes_on_for_another_evaluation(sets, ledger, tmp_path, trained):
    first, second = spec(sets), spec(sets, "sr-y-rounded@2")
    key = Trainings().key(first)
    stopped(first, CellContext(ledger.work_folder(key.fingerprint), 1, "inline", "a test", training=key), 2)
    assert execute([second], ledger, HOW).done == 1
    assert trained == [0, 2]
    straight = Ledger(tmp_path / "straight")
    execute([second], straight, HOW)
    assert records_of(ledger)[second.fingerprint].scores == records_of(straight)[second.fingerprint].scores


def older(folder, name):
    """Makes the checkpoints in `folder` as the version before had them: in a folder of the cell's name, without the training's."""
    for saved in Checkpoints(folder, "").files():
        state = torch.load(saved.path, weights_only=True)
        del state["training"]
        Checkpoints(folder.parent / name, name).save(state.pop("iteration"), state)
        saved.path.unlink()
    folder.rmdir()


@pytest.mark.parametrize("known", ["the same cell", "in the selection", "in the ledger"])
def test_an_older_half_done_training_goes_on(known, sets, ledger, trained):
    first, second = spec(sets), spec(sets, "sr-y-rounded@2")
    key = Trainings().key(first)
    stopped(first, CellContext(ledger.work_folder(key.fingerprint), 1, "inline", "a test", training=key), 2)
    (ledger.work_folder(key.fingerprint) / "log.jsonl").unlink()
    older(ledger.work_folder(key.fingerprint), first.fingerprint)
    if known == "in the ledger":
        ledger.folder.mkdir(exist_ok=True)
        ledger.add(record(first, status="failed", error="lost power"))
    asked = {"the same cell": [first], "in the selection": [second, first], "in the ledger": [second]}[known]
    execute(asked, ledger, HOW)
    assert trained == [0, 2]
    assert list(ledger.work.iterdir()) == []


def test_older_weights_are_measured_and_begun_with(sets, ledger, tmp_path, trained):
    first = spec(sets)
    execute([first], ledger, HOW)
    key = Trainings().key(first)
    held = torch.load(key.weights_file(ledger.weights), weights_only=True)
    about = {name: held["metadata"][name] for name in ("model", "fingerprint", "iteration", "recipe")}
    tensors.save_weights(older_weights_file(ledger.weights, first.fingerprint), held["params_ema"], about, averaged=True)
    key.weights_file(ledger.weights).unlink()
    [path] = ledger.folder.glob("*.json")
    path.write_text(path.read_text().replace(f'"training": "{key.fingerprint}"', '"training": ""'))

    on_another = sets | {"test_set": write_folder(tmp_path / "other", 2, 7)}
    again = spec(on_another)
    second = spec(on_another, start=again.fingerprint, lr=5e-4)
    outcome = execute([again, second], ledger, HOW)
    assert (outcome.done, trained) == (2, [0, 0])
    records = records_of(ledger)
    assert records[again.fingerprint].trained_by == first.fingerprint
    assert records[second.fingerprint].started_from.source == f"cell {again.fingerprint} (params_ema)"
    assert [path.name for path in sorted(ledger.weights.iterdir())] == sorted(
        [f"{first.fingerprint}.pt", Trainings([again, second]).key(second).weights_file(ledger.weights).name]
    )


def test_weights_that_are_lost_are_trained_again_and_the_evaluation_that_is_done_stays(sets, ledger, trained):
    first, second = spec(sets), spec(sets, "sr-y-rounded@2")
    execute([first], ledger, HOW)
    Trainings().key(first).weights_file(ledger.weights).unlink()
    half = ledger.work_folder(Trainings().identify(first))
    half.mkdir()
    assert execute([first], ledger, HOW).skipped == 1
    assert half.is_dir()  # what another evaluation may have begun
    outcome = execute([first, second], ledger, HOW)
    assert (outcome.skipped, outcome.done, trained) == (1, 1, [0, 0])
    assert records_of(ledger)[second.fingerprint].trained_by == ""


def test_what_is_run_again_is_trained_again_and_then_measured(sets, ledger, trained):
    asked = [spec(sets), spec(sets, "sr-y-rounded@2")]
    execute(asked, ledger, HOW)
    assert execute(asked, ledger, HOW, again=True).done == 2
    assert trained == [0, 0]
    assert [entry.attempt for entry in ledger.entries()] == [1, 2, 1, 2]
    assert {record.trained_by for record in ledger.records()} == {"", asked[0].fingerprint}


def test_weights_of_another_cell_under_the_name_are_refused(sets, ledger):
    first, second = spec(sets), spec(sets, "sr-y-rounded@2")
    execute([first], ledger, HOW)
    path = Trainings().key(first).weights_file(ledger.weights)
    held = torch.load(path, weights_only=True)
    about = held["metadata"] | {"training": "0" * 16, "fingerprint": "1" * 16}
    tensors.save_weights(path, held["params_ema"], about, averaged=True)
    outcome = execute([second], ledger, HOW)
    assert outcome.failed == 1
    assert f"{path} holds the weights of the cell {'1' * 16}, not of {first.fingerprint}." in outcome.records[0].error


def test_a_training_whose_weights_are_gone_is_said_to_be_made_again(sets, ledger, trained):
    first, second = spec(sets), spec(sets, "sr-y-rounded@2")
    assert estimate.estimate_runs([first, second], ledger).lost == frozenset()
    execute([first], ledger, HOW)
    assert estimate.estimate_runs([first, second], ledger).lost == frozenset()
    Trainings().key(first).weights_file(ledger.weights).unlink()
    expected = estimate.estimate_runs([first, second], ledger)
    assert expected.lost == {second.fingerprint}
    assert not expected.evaluated_only
    assert not estimate.estimate_runs([first, second], ledger, done=set(), retrained={first.fingerprint}).lost  # asked for, not lost
    execute([first, second], ledger, HOW)
    assert trained == [0, 0]


def test_an_evaluation_alone_is_estimated_without_its_training(sets, ledger):
    first, second = spec(sets), spec(sets, "sr-y-rounded@2")
    both, one = estimate.estimate_runs([first, second], ledger), estimate.estimate_runs([first], ledger)
    assert both.seconds - one.seconds == pytest.approx(estimate.REST_SECONDS)
    assert both.disk_mib - one.disk_mib == pytest.approx(estimate.RECORD_MIB)
    assert both.evaluated_only == {second.fingerprint: "evaluate only"}
    long = [of.model_copy(update={"iterations": 10**6}) for of in (first, second)]
    execute([first], ledger, HOW)
    both, one = estimate.estimate_runs(long, ledger), estimate.estimate_runs(long[:1], ledger)
    assert 0 < both.seconds - one.seconds < 0.01 * one.seconds
    assert estimate.estimate_runs([first, second], ledger).basis == estimate.EARLIER


def test_a_storage_s_older_folder_is_found(tmp_path):
    place, state = str(tmp_path), {"fingerprint": "a" * 16, "iteration": 3}
    assert storage.find_cell(place, ("b" * 16, "a" * 16)) == "b" * 16
    (tmp_path / ("b" * 16)).mkdir()  # of this start, still empty
    checkpoints.save(tmp_path / ("a" * 16) / "checkpoint_1", state)
    assert storage.find_cell(place, ("b" * 16, "a" * 16)) == "a" * 16
    assert storage.mend_folder(place, "a" * 16, "c" * 16, ("b" * 16,)) == ("", [])
    checkpoints.save(tmp_path / ("a" * 16) / "checkpoint_1", state)
    assert storage.mend_folder(place, "a" * 16, "c" * 16, ("b" * 16, "a" * 16))[0] == "checkpoint_1"
