"""Values of records measured again: what agrees, what does not, and what cannot be measured and why."""

import json

import numpy as np
import pytest
from PIL import Image

from suite.cli import main
from suite.core.errors import Exit
from suite.measure.quality.again import Remeasurer, allowed_difference, draw_images
from suite.records.ledger import Ledger


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("sets") / "mine"
    place.mkdir()
    for number in range(3):
        values = np.random.default_rng(number).integers(0, 256, (24, 32, 3), dtype=np.uint8)
        Image.fromarray(values).save(place / f"{number}.png")
    return place


@pytest.fixture(scope="module")
def ledger(folder, tmp_path_factory):
    held = Ledger(tmp_path_factory.mktemp("ledger"))
    assert main.main(["evaluate", "bicubic", "--task", "sr-x2", "--data", str(folder), "--ledger", str(held.folder)]) == Exit.DONE
    return held


@pytest.fixture
def record(ledger):
    (found,) = ledger.records()
    return found


def again(record, ledger, data, count=3):
    records = {"records/one.json": record}
    return list(Remeasurer(records, data, (), ledger.weights, print).measure(draw_images(records, count, 0)))


def with_value(record, value):
    first, *others = record.scores
    return record.model_copy(update={"scores": (first.model_copy(update={"metrics": first.metrics | {"PSNR-Y": value}}), *others)})


def test_what_was_measured_is_found_again_wherever_the_folder_lies(record, ledger, folder):
    for data in (folder, folder.parent):
        found = again(record, ledger, data)
        assert [one.state for one in found] == ["agrees"] * 3
        assert all(one.stored == one.found for one in found)


def test_a_value_that_is_off_by_more_than_half_a_printed_digit_differs(record, ledger, folder):
    value = record.scores[0].metrics["PSNR-Y"]
    for off, state in ((0.004, "agrees"), (0.006, "differs")):
        found = again(with_value(record, value + off), ledger, folder)
        assert sorted(one.state for one in found) == sorted(["agrees", "agrees", state])
    assert allowed_difference("SSIM-Y") == 0.00005


def test_other_images_are_not_measured_and_it_is_said_why(record, ledger, folder, tmp_path):
    for name in "012":
        Image.new("RGB", (32, 24)).save(tmp_path / f"{name}.png")
    for data, why in ((tmp_path, "have the digest"), (None, "name yours with --data"), (tmp_path / "none", "holds no folder mine")):
        (found,) = again(record, ledger, data, 1)
        assert found.state == "not measured"
        assert why in found.why
    other = record.model_copy(update={"protocol": record.protocol.model_copy(update={"statement": "as it pleases"})})
    assert "what this checkout does not say" in again(other, ledger, folder, 1)[0].why


def test_a_network_without_its_weights_is_not_measured(record, ledger, folder):
    spec = record.spec.model_copy(update={"model": "mambair-sr-x2-tiny", "weights": "ab" * 32, "backend": "reference"})
    (found,) = again(record.model_copy(update={"spec": spec}), ledger, folder, 1)
    assert "there is no file of weights with the sha256 abababababab" in found.why


def test_every_record_is_drawn_from_before_any_a_second_time(record):
    few = record.model_copy(update={"scores": record.scores[:1]})
    records = {"a": record, "b": few, "c": record}
    for seed in range(20):
        drawn = draw_images(records, 3, seed)
        assert {one.file for one in drawn} == {"a", "b", "c"}
        assert drawn == draw_images(records, 3, seed)
    assert len(draw_images(records, 99, 0)) == 7
    assert len({one.image for seed in range(20) for one in draw_images({"a": record}, 1, seed)}) == 3


def test_verify_finds_false_values_from_which_everything_was_computed(record, ledger, folder, tmp_path, capsys):
    lies = Ledger(tmp_path / "lies")
    with lies.locked():
        lies.add(with_value(record, record.scores[0].metrics["PSNR-Y"] + 1))
    for held, code, said in ((ledger, Exit.DONE, "3 agree"), (lies, Exit.DRIFT, "2 agree, 1 do not")):
        path = tmp_path / f"{code}.zip"
        assert main.main(["bundle", str(path), "--ledger", str(held.folder), "--evidence", str(tmp_path / "none")]) == Exit.DONE
        capsys.readouterr()
        assert main.main(["verify", str(path), "--sample", "3", "--draw", "1", "--data", str(folder)]) == code
        out = capsys.readouterr().out
        assert said in out
        assert "do not agree" not in out.partition("RECORD ")[0]  # all follows from its values
        assert "`--draw 1` draws the same again" in out
    assert main.main(["verify", str(path), "--sample", "1", "--json"]) == Exit.INCOMPLETE  # without --data
    (one,) = json.loads(capsys.readouterr().out)["sample"]["images"]
    assert (one["state"], one["measured"]) == ("not measured", {})


MISUSED = {
    "no image": (("--sample", "0"), Exit.NOTHING, "must be at least 1"),
    "data without a sample": (("--data", "."), Exit.USAGE, "--data is for --sample"),
    "no such folder": (("--sample", "1", "--data", "nowhere"), Exit.NOT_READY, "there is no such folder"),
    "no such weights": (("--sample", "1", "--weights", "nowhere"), Exit.NOT_READY, "there is no such file or folder"),
    "a negative seed": (("--sample", "1", "--draw", "-1"), Exit.USAGE, "0 or more"),
}


@pytest.mark.parametrize("what", MISUSED)
def test_misuse_is_said_before_anything_is_read(what, capsys):
    words, code, message = MISUSED[what]
    assert main.main(["verify", "none.zip", *words]) == code
    assert message in capsys.readouterr().err
