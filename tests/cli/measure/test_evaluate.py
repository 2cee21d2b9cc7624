"""The verb `evaluate` at the terminal: what it records, and what it says where it cannot."""

import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

import models
from suite.cli import main
from suite.core.errors import Exit
from suite.core.files import sha256_of
from suite.data.sets import pair_sources
from suite.measure.quality import evaluate, evaluation
from suite.records.cell import CellContext
from suite.records.ledger import Ledger
from suite.runner import published
from suite.study import weights_register
from suite.study.protocols import protocol
from suite.study.tasks import task

pytestmark = pytest.mark.usefixtures("one_thread")
TINY = "mambair-sr-x2-tiny"
ROUTED = "mambairv2-light-x2-tiny"
BICUBIC = ("evaluate", "bicubic", "--task", "sr-x2")


@pytest.fixture
def folder(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (2, 32, 40, 3), dtype=np.uint8)
    (tmp_path / "mine").mkdir()
    for name, image in zip("ab", pixels, strict=True):
        Image.fromarray(image).save(tmp_path / "mine" / f"{name}.png")
    return tmp_path / "mine"


@pytest.fixture
def weights(tmp_path):
    torch.manual_seed(0)
    torch.save({"params": models.create(TINY).state_dict()}, tmp_path / "theirs.pth")
    return tmp_path / "theirs.pth"


@pytest.fixture
def ledger(tmp_path):
    return Ledger(tmp_path / "runs")


@pytest.fixture
def run(ledger, capsys):
    def call(*words):
        try:
            code = main.main([str(word) for word in (*words, "--ledger", ledger.folder)])
        except SystemExit as error:
            code = error.code
        out, err = capsys.readouterr()
        return code, out, err

    return call


def with_weights(folder, weights, *more):
    return ("evaluate", TINY, "--weights", weights, "--data", folder, "--backend", "reference", "--device", "cpu", *more)


def test_an_evaluation_is_recorded_with_all_that_it_rests_on(run, folder, weights, ledger):
    code, out, err = run(*with_weights(folder, weights))
    assert code == Exit.DONE
    (record,) = ledger.records()
    assert f"recorded: {ledger.folder / record.fingerprint}.001.done.json" in err
    spec, given = record.spec, record.weights
    assert (spec.model, spec.task, spec.test_set, spec.protocol) == (TINY, "sr-x2", str(folder), "sr-y@1")
    assert (spec.backend, spec.device, spec.tile, spec.ensemble, spec.routing, spec.seed) == ("reference", "cpu", "whole", False, "", 0)
    assert spec.weights == given.sha256 == sha256_of(weights)
    assert (given.file, given.bytes, given.which, given.names) == ("theirs.pth", weights.stat().st_size, "params", "suite")
    assert (given.design, given.configuration["dim"], given.state) == ("MambaIR", 16, "unknown")
    assert [score.image for score in record.scores] == ["a", "b"]
    assert record.inference == ("whole", "whole")
    assert record.test_data.measured == 2
    assert record.provenance.data_checksums == {f"test ({folder})": spec.data_digest}
    assert record.provenance.backend_reason
    assert f"{record.mean('PSNR-Y'):.4f}" in out


def test_the_checksum_is_the_one_that_trainings_keep_of_their_test_set(folder):
    from suite.data.feed.training_set import checksum, pair_images
    from suite.data.sets import load_pairs, pair_sources
    from suite.study.protocols import protocol
    from suite.study.tasks import task

    about = (str(folder), "test", task("sr-x2"), protocol("sr-y"))
    assert evaluation.digest_pairs(pair_sources(*about)) == checksum(pair_images(load_pairs(*about)))


@pytest.mark.parametrize("model", ["bicubic", "a network"])
def test_details_of_embedded_photographs_are_kept_and_of_no_folder(run, folder, weights, ledger, model):
    words = BICUBIC if model == "bicubic" else ("evaluate", "--weights", weights, TINY, "--task", "sr-x2")
    run(*words, "--data", folder)
    (record,) = ledger.records()
    assert record.crops == ()
    run(*words, "--data", "photos", "--limit", "1")
    (record,) = (one for one in ledger.records() if one.spec.test_set == "photos")
    (crop,) = record.crops
    pair = pair_sources("photos", "test", task("sr-x2"), protocol("sr-y"))[0].load()
    (expected,) = evaluate.crops([pair], [evaluate.quantise(evaluate.make_baseline("bicubic", 2)(pair.lq))], 2)
    assert crop.image == pair.name == record.scores[0].image
    assert (crop.input_png, crop.target_png) == (expected.input_png, expected.target_png)
    assert model != "bicubic" or crop == expected
    assert len(list((ledger.folder / "pictures").glob("*.png"))) == 4  # low, restored, target, and the whole target, small
    assert {one.sha256 for one in record.pictures} == {path.stem for path in (ledger.folder / "pictures").glob("*.png")}


@pytest.mark.parametrize(("average", "recorded"), [(False, ""), (True, "params")])
def test_a_key_is_recorded_where_it_takes_other_weights(run, folder, weights, ledger, tmp_path, average, recorded):
    held = torch.load(weights, weights_only=True)["params"]
    other = {"params_ema": {name: value + 1e-3 for name, value in held.items()}} if average else {}
    torch.save({"params": held, **other}, tmp_path / "theirs.pth")
    code, _, err = run(*with_weights(folder, tmp_path / "theirs.pth", "--key", "params"))
    (record,) = ledger.records()
    assert (code, record.spec.key) == (Exit.DONE, recorded)
    assert ("the same weights are taken" in err) == (not recorded)


def test_a_second_evaluation_tells_what_is_recorded_and_measures_nothing(run, folder, weights, ledger, monkeypatch):
    first = run(*with_weights(folder, weights))
    with monkeypatch.context() as patch:
        patch.setattr(evaluate, "load_network", None)
        code, out, err = run(*with_weights(folder, weights))
        assert (code, out) == (Exit.DONE, first[1])
        assert "in the ledger since" in err
        assert "--again" in err
        document = json.loads(run(*with_weights(folder, weights, "--json"))[1])
        assert [one["measured"] for one in document["records"]] == ["before"]
    assert run(*with_weights(folder, weights, "--again"))[0] == Exit.DONE
    assert [entry.attempt for entry in ledger.entries()] == [1, 2]


@pytest.mark.parametrize("change", ["an image", "the weights", "the tiles", "the protocol"])
def test_what_is_otherwise_is_measured_anew(run, folder, weights, ledger, change):
    run(*with_weights(folder, weights))
    more = ()
    if change == "an image":
        Image.new("RGB", (40, 32)).save(folder / "b.png")
    elif change == "the weights":
        torch.manual_seed(1)
        torch.save({"params": models.create(TINY).state_dict()}, weights)
    else:
        more = ("--tile", "authors") if change == "the tiles" else ("--protocol", "sr-y-plane")
    code, _, err = run(*with_weights(folder, weights, *more))
    assert code == Exit.DONE
    assert "recorded: " in err
    assert len({entry.fingerprint for entry in ledger.entries()}) == 2


def test_without_a_record_the_ledger_is_neither_read_nor_written(run, folder, ledger):
    code, out, err = run(*BICUBIC, "--data", folder, "--no-record")
    assert code == Exit.DONE
    assert "PSNR-Y" in out
    assert "recorded" not in err
    assert not ledger.folder.exists()


@pytest.mark.parametrize("fault", ["locked", "read-only"])
def test_a_ledger_that_cannot_be_written_costs_the_record_and_not_the_numbers(run, folder, ledger, fault):
    if fault == "locked":
        with ledger.locked():
            code, out, err = run(*BICUBIC, "--data", folder)
        assert "is writing to the ledger" in err
    else:
        ledger.folder.parent.mkdir(exist_ok=True)
        ledger.folder.write_text("a file in its place")
        code, out, err = run(*BICUBIC, "--data", folder)
        assert "cannot be written" in err
    assert code == Exit.NOT_READY
    assert "mean" in out
    assert "NOT recorded, though measured" in err


def test_a_record_that_cannot_be_read_is_measured_again(run, folder, ledger):
    run(*BICUBIC, "--data", folder)
    (entry,) = ledger.entries()
    entry.path.write_text("{")
    code, _, err = run(*BICUBIC, "--data", folder)
    assert code == Exit.DONE
    assert str(entry.path) in err
    assert [one.attempt for one in ledger.entries()] == [1, 2]


def test_the_network_and_its_task_are_recognised(run, folder, weights, tmp_path):
    torch.manual_seed(0)
    card = models.card("mambair-light-x2")
    torch.save(models.build(card.config).state_dict(), tmp_path / "light.pth")
    code, out, err = run("evaluate", "--weights", tmp_path / "light.pth", "--data", folder, "--device", "cpu", "--no-record")
    assert code == Exit.DONE
    assert "is of mambair-light-x2" in err
    assert out.startswith("mambair-light-x2 · light-sr-x2 · ")
    code, out, _ = run("evaluate", TINY, "--weights", weights, "--data", folder, "--device", "cpu", "--no-record")
    assert out.startswith(f"{TINY} · sr-x2 · ")


def refusals(tmp_path):
    torch.save({"params": {"a": torch.zeros(3)}}, tmp_path / "other.pth")
    (tmp_path / "text.pth").write_text("no weights")
    yield "nothing named", ("evaluate",), Exit.USAGE, "Give MODEL, or --weights FILE"
    yield "no such file", ("evaluate", "--weights", "none.pth"), Exit.NOT_READY, "there is no weights file none.pth"
    yield "not weights", ("evaluate", "--weights", tmp_path / "text.pth"), Exit.NOT_READY, "text.pth"
    yield "of no network", ("evaluate", "--weights", tmp_path / "other.pth"), Exit.NOT_READY, "loads as no model here"
    yield "a baseline without a task", ("evaluate", "bicubic"), Exit.USAGE, "--task"
    yield "weights of a baseline", (*BICUBIC, "--weights", tmp_path / "other.pth"), Exit.USAGE, "has no weights"
    yield (
        "another scale",
        ("evaluate", "mambair-sr-x4", "--task", "sr-x2", "--weights", tmp_path / "other.pth"),
        Exit.USAGE,
        "enlarges 4 times",
    )
    yield "an unknown set", (*BICUBIC, "--data", "Set55"), Exit.NOT_READY, "Set55"
    yield "an option of the grid", (*BICUBIC, "--only", "x"), Exit.USAGE, "--only is for --grid"
    yield "once more and not at all", (*BICUBIC, "--again", "--no-record"), Exit.USAGE, "--no-record"
    yield "the grid and a model", (*BICUBIC, "--grid", "published"), Exit.USAGE, "MODEL and --task"
    yield "the grid and no such folder", ("evaluate", "--grid", "published", "--in", "nowhere"), Exit.NOT_READY, "nowhere"


def test_what_cannot_be_is_refused_with_a_way_on(run, tmp_path, ledger):
    for name, words, code, said in refusals(tmp_path):
        found = run(*words)
        assert found[0] == code, name
        assert said in found[2], name
    assert not ledger.folder.exists()


def test_a_set_with_fewer_images_than_its_card_counts_is_named(run, folder, tmp_path, monkeypatch):
    (tmp_path / "Set5" / "HR").mkdir(parents=True)
    for file in folder.iterdir():
        shutil.copy(file, tmp_path / "Set5" / "HR")
    monkeypatch.setenv("SUITE_DATA", str(tmp_path))
    said = "2 of the 5 images that its card counts"
    assert said in run(*BICUBIC, "--data", "Set5")[2]
    assert said not in run(*BICUBIC, "--data", "Set5", "--limit", 1)[2]
    assert said not in run(*BICUBIC, "--data", tmp_path / "Set5")[2]


# Every published network at once.


@pytest.fixture
def at_hand(folder, weights, tmp_path, monkeypatch):
    """One published network, whose file is here, and one of its test sets."""
    register = weights_register.load()
    (file,) = [one for one in register.files if one.name == "mambair-sr-x2"]
    mine = file.model_copy(update={"sha256": sha256_of(weights), "origin": "made up", "bytes": weights.stat().st_size})
    other = next(one for one in register.files if one.name == "mambair-sr-x3")
    monkeypatch.setattr(weights_register, "load", lambda: register.model_copy(update={"files": (mine, other)}))
    monkeypatch.setattr(published, "model_of", lambda *_: (TINY, ""))
    (tmp_path / "data" / "Set5" / "HR").mkdir(parents=True)
    for image in folder.iterdir():
        shutil.copy(image, tmp_path / "data" / "Set5" / "HR")
    monkeypatch.setenv("SUITE_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("SUITE_WEIGHTS", str(tmp_path / "none"))
    return ("evaluate", "--grid", "published", "--in", tmp_path, "--launcher", "inline", "--backend", "reference", "--device", "cpu")


def test_the_grid_measures_what_is_here_lists_what_is_missing_and_goes_on(run, at_hand, ledger):
    code, out, _ = run(*at_hand, "--dry-run", "--wide")
    assert code == Exit.DONE
    assert "3 cells, 0 done" in out
    code, out, err = run(*at_hand, "--wide")
    assert code == Exit.DONE
    assert "3 of 3 cells done" in out
    assert "evaluating" in err  # progress
    assert "images of Set14" in out
    assert "python -m suite data show Set14" in out
    records = {(record.spec.model, record.spec.task): record for record in ledger.records()}
    assert set(records) == {(TINY, "sr-x2"), ("bicubic", "sr-x2"), ("bicubic", "sr-x3")}
    given = records[TINY, "sr-x2"].weights
    assert (given.entry, given.state) == ("mambair-sr-x2", "verified")
    code, out, _ = run(*at_hand)
    assert "3 of 3 cells done (3 before)" in out
    assert len(ledger.entries()) == 3
    document = json.loads(run(*at_hand, "--only", "bicubic", "--json")[1])
    assert {record["spec"]["model"] for record in document["records"]} == {"bicubic"}
    assert any(one["what"] == "images of Set14" for one in document["missing"])


def test_a_grid_that_is_interrupted_goes_on_through_ray(run, at_hand, ledger, monkeypatch):
    """Interrupted behind its first record; the same command measures the others alone, in processes of Ray."""
    add = Ledger.add

    def interrupted(self, record):
        if self.entries():
            raise KeyboardInterrupt
        return add(self, record)

    monkeypatch.setattr(Ledger, "add", interrupted)
    assert run(*at_hand)[0] == Exit.INTERRUPTED
    (first,) = ledger.records()
    monkeypatch.setattr(Ledger, "add", add)
    assert "3 cells, 1 done" in run(*at_hand, "--dry-run")[1]
    code, out, _ = run(*at_hand, "--launcher", "ray")
    assert code == Exit.DONE
    assert "3 of 3 cells done (1 before)" in out
    launchers = {record.fingerprint: record.provenance.launcher for record in ledger.records()}
    assert launchers.pop(first.fingerprint) == "inline"
    assert list(launchers.values()) == ["ray", "ray"]
    assert len(ledger.entries()) == 3


def test_the_grid_and_the_verb_make_the_same_cell(run, at_hand, weights, ledger):
    run(*at_hand, "--only", TINY)
    code, _, err = run(*with_weights("Set5", weights, "--task", "sr-x2"))
    assert code == Exit.DONE
    assert "in the ledger since" in err
    assert len(ledger.entries()) == 1


def test_an_image_that_changes_meanwhile_fails_the_cell(run, at_hand, ledger, tmp_path, monkeypatch):
    made = evaluation.make_spec

    def swap(job, images):
        spec = made(job, images)
        monkeypatch.setattr(evaluation, "make_spec", made)
        Image.new("RGB", (40, 32)).save(tmp_path / "data" / "Set5" / "HR" / "b.png")
        return spec

    monkeypatch.setattr(published, "make_spec", swap)
    assert run(*at_hand, "--only", TINY)[0] == Exit.INCOMPLETE
    (record,) = ledger.records()
    assert record.status == "failed"
    assert "its images are no longer what was asked for" in record.error


def test_nothing_at_hand_lists_what_is_missing(run, at_hand, monkeypatch, tmp_path):
    monkeypatch.setenv("SUITE_DATA", str(tmp_path / "none"))
    code, out, err = run(*at_hand)
    assert code == Exit.NOTHING
    assert "images of Set5" in out
    assert "see what is missing" in err


@pytest.mark.parametrize("routing", ["released", "deterministic"])
def test_a_cell_is_measured_by_the_routing_that_it_was_planned_with(folder, tmp_path, routing):
    """As a process of Ray does it: from the cell alone."""
    torch.manual_seed(0)
    torch.save({"params": models.create(ROUTED).state_dict()}, tmp_path / "routed.pth")
    row, rule = task("sr-x2"), protocol("sr-y")
    inference = evaluate.Inference(backend="reference", device="cpu", seed=3, routing=routing)
    job = evaluate.EvaluationJob(ROUTED, row, rule, tmp_path / "routed.pth", inference)
    spec = evaluation.make_spec(job, evaluation.examine_images(str(folder), pair_sources(str(folder), "test", row, rule)))
    context = CellContext(tmp_path / "work", 1, "inline", "a test", given=tmp_path / "routed.pth")
    *_, record = evaluation.run_evaluation(spec, context)
    assert record.spec == spec
    assert (spec.routing, spec.seed) == (("argmax", 3) if routing == "deterministic" else ("sampled", 3))
