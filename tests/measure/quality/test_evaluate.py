"""Measuring: baselines against known answers, weights of either naming, what does not fit, tiles and ensembles, and the verb."""

import argparse
import io
import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

import models
from models.official import official_names
from suite.cli.measure import evaluate as verb_evaluate
from suite.core.errors import Exit, SuiteError
from suite.core.output import Output
from suite.data.pairs import Pair
from suite.data.sets import pair_sources
from suite.measure.inference import ensemble
from suite.measure.inference.weights import Used
from suite.measure.quality import evaluate
from suite.study.protocols import protocol
from suite.study.tasks import TASKS, task

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "set").mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (32, 40, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "set" / "one.png")
    return str(tmp_path / "set")


def asked(*words):
    parser = argparse.ArgumentParser()
    verb_evaluate.add_arguments(parser)
    return parser.parse_args([str(word) for word in words])


def told(*words):
    """What the verb prints."""
    stream = io.StringIO()
    assert verb_evaluate.run(asked(*words), Output(stream)) is Exit.DONE
    return stream.getvalue()


def document(*words):
    return json.loads(told(*words, "--json"))


def measure(model, folder, weights=None, name="sr-x2", *more):
    words = (model, "--task", name, "--data", folder, "--backend", "reference", "--device", "cpu", *more)
    return document(*words, *(("--weights", weights) if weights else ()))


def images_of(found):
    return found["sets"][0]["images"]


# Known answers

BICUBIC = (("sr-x2", "sr-y", 33.673, 0.9303), ("sr-x3", "sr-y", 30.403, 0.8689), ("sr-x4", "sr-y", 28.429, 0.8111))
OTHER_PROTOCOLS = (("sr-x2", "sr-y-rounded", 33.640), ("sr-x3", "sr-y-rounded", 30.385), ("sr-x4", "sr-y-rounded", 28.416))
PLANE = (("sr-x2", "sr-y-plane", 33.661), ("sr-x3", "sr-y-plane", 30.392), ("sr-x4", "sr-y-plane", 28.421))


@pytest.mark.outside
@pytest.mark.parametrize(("name", "key", "psnr", "ssim"), [*BICUBIC, *((*row, None) for row in (*OTHER_PROTOCOLS, *PLANE))])
def test_bicubic_on_set5_under_three_protocols(outside, name, key, psnr, ssim):
    found = document("bicubic", "--task", name, "--data", outside / "Set5_SwinIR", "--protocol", key)
    assert [image["image"] for image in images_of(found)] == ["baby", "bird", "butterfly", "head", "woman"]
    mean = found["sets"][0]["mean"]
    assert mean["PSNR-Y"] == pytest.approx(psnr, abs=5.1e-4)
    if ssim:
        assert mean["SSIM-Y"] == pytest.approx(ssim, abs=5.1e-5)


@pytest.mark.outside
def test_the_input_of_rain100l_is_what_it_is(outside):
    found = document("identity", "--task", "derain", "--data", outside / "Rain100L", "--protocol", "derain-y")
    mean = found["sets"][0]["mean"]
    assert len(images_of(found)) == 100
    assert mean["PSNR-Y"] == pytest.approx(26.903, abs=5.1e-4)
    assert mean["SSIM-Y"] == pytest.approx(0.8384, abs=5.1e-5)


# Networks


def test_weights_load_under_our_names_and_the_authors(folder, tmp_path, capsys):
    network = models.create("mambair-sr-x2-tiny")
    ours, theirs = tmp_path / "ours.pt", tmp_path / "theirs.pt"
    torch.save(network.state_dict(), ours)
    names = official_names(network)
    torch.save({"params": {names[key]: value for key, value in network.state_dict().items()}}, theirs)
    mine, other = (measure("mambair-sr-x2-tiny", folder, file) for file in (ours, theirs))
    assert mine["sets"] == other["sets"]
    assert [(found["loaded"]["which"], found["loaded"]["names"]) for found in (mine, other)] == [("bare", "suite"), ("params", "authors")]
    assert f"weights: params of {theirs}" in capsys.readouterr().err


FOR_TASK = {(1, 3): "vmambair-derain-tiny", (1, 1): "mambair-jpeg-tiny"} | {(scale, 3): f"mambair-sr-x{scale}-tiny" for scale in (2, 3, 4)}


@pytest.mark.parametrize("name", TASKS)
def test_a_network_is_measured_on_every_task(name, tmp_path, monkeypatch):
    row = task(name)
    model = FOR_TASK[row.scale, row.channels]
    torch.manual_seed(0)
    torch.save(models.create(model).state_dict(), tmp_path / "weights.pt")
    picture = np.random.default_rng(0).integers(0, 256, (61, 57, 3), dtype=np.uint8)  # a multiple of nothing
    monkeypatch.setattr("suite.data.sets.SETS", {"photos": lambda _: [("x", picture)]})
    found = measure(model, "photos", tmp_path / "weights.pt", name)
    (image,) = images_of(found)
    assert set(protocol(row.protocol).fidelity) <= set(image["metrics"])
    assert found["protocol"] == row.protocol
    assert set(found["unavailable"]) | set(image["metrics"]) == set(protocol(row.protocol).metrics)
    assert found["published"] is False  # of a tiny sibling


def test_tokens_are_drawn_as_released_or_the_most_likely_ones(folder, tmp_path):
    torch.manual_seed(0)
    network = models.create("mambairv2-light-x2-tiny")
    with torch.no_grad():
        network.groups[0].blocks[0].scan.dictionary.mul_(1e3)  # so that an 8-bit output shows the tokens
    torch.save(network.state_dict(), tmp_path / "weights.pt")

    def found(routing, seed):
        torch.manual_seed(seed)
        return measure("mambairv2-light-x2-tiny", folder, tmp_path / "weights.pt", "light-sr-x2", "--routing", routing)

    one, other = found("deterministic", 1), found("deterministic", 2)
    assert images_of(one) == images_of(other)
    assert (one["routing"], found("released", 1)["routing"]) == ("deterministic", "released")
    assert measure("bicubic", folder)["routing"] is None


@pytest.mark.parametrize("size", [(1, 1), (7, 3), (8, 9), (17, 30)])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_network_restores_any_size_and_grey(size, channels):
    for name in ("vmambair-derain-tiny", "mambair-sr-x2-tiny"):
        network = models.create(name)
        restore = evaluate.restorer_of(network)
        picture = np.random.default_rng(0).integers(0, 256, (*size, channels), dtype=np.uint8)
        assert restore(picture).shape == (size[0] * network.scale, size[1] * network.scale, channels)


def test_a_grey_plane_is_given_three_times_and_the_mean_is_taken():
    network = models.create("mambair-denoise-tiny")
    restore = evaluate.restorer_of(network)
    plane = np.random.default_rng(0).random((9, 11, 1), dtype=np.float32)
    np.testing.assert_allclose(restore(plane), restore(plane.repeat(3, axis=2)).mean(axis=2, keepdims=True), atol=1e-6)
    with pytest.raises(SuiteError, match="restores grey images; it was given a colour image"):
        evaluate.restorer_of(models.create("mambair-jpeg-tiny"))(plane.repeat(3, axis=2))


def test_a_perfect_restorer_is_measured_as_perfect():
    picture = np.random.default_rng(0).integers(0, 256, (24, 24, 3), dtype=np.uint8)
    (score,), (output,) = evaluate.evaluate(lambda low: low, [Pair("x", picture, picture)], protocol("sr-y"), 1)
    assert score.metrics["SSIM-Y"] == pytest.approx(1)
    assert score.metrics["PSNR-Y"] == 100
    assert np.array_equal(output, picture)


def test_crops_show_the_same_window_of_input_output_and_target():
    target = np.full((602, 518, 3), 128, dtype=np.uint8)
    target[350:, 262:] = np.random.default_rng(0).integers(0, 256, (252, 256, 3), dtype=np.uint8)  # the only detail
    low = target[::2, ::2]
    (crop,) = evaluate.crops([Pair("x", low, target)], [target], 2)
    assert crop.output_png == crop.target_png != crop.input_png
    assert crop.whole.size == (602, 518)
    assert crop.whole.region == (346, 262, 256, 256)  # no step of half a window, but the last place
    assert np.array_equal(decode(crop.target_png), target[346:, 262:])


def test_a_small_target_is_shown_whole():
    target = np.random.default_rng(0).integers(0, 256, (63, 301, 3), dtype=np.uint8)
    (crop,) = evaluate.crops([Pair("x", target[: 63 // 4, : 301 // 4], target)], [target], 4)
    assert crop.whole.region[2:] == (60, 256)
    assert crop.whole.region[1] % 4 == 0
    assert decode(crop.output_png).shape == (60, 256, 3)


def test_the_thumbnail_is_of_the_whole_target():
    target = np.zeros((320, 640, 3), dtype=np.uint8)
    target[:, 320:] = 200
    (crop,) = evaluate.crops([Pair("x", target, target)], [target], 1)
    small = decode(crop.whole.thumbnail_png)
    assert small.shape == (80, 160, 3)
    assert np.array_equal(small, np.repeat([[[0] * 3] * 80 + [[200] * 3] * 80], 80, axis=0))


def decode(picture):
    return np.asarray(Image.open(io.BytesIO(picture.read())))


def test_crops_of_grey_and_noisy_images_can_be_shown():
    target = np.random.default_rng(0).integers(0, 256, (120, 130, 1), dtype=np.uint8)
    (crop,) = evaluate.crops([Pair("x", target / np.float32(255) + np.float32(0.5), target)], [target], 1)
    assert crop.output_png == crop.target_png != crop.input_png


@pytest.mark.parametrize("content", [b"", b"root:x:0:0", b"PK\x03\x04 not really a zip"])
def test_a_file_that_is_no_checkpoint_is_refused(folder, tmp_path, content):
    (tmp_path / "x.pt").write_bytes(content)
    with pytest.raises(SuiteError, match="not a checkpoint of tensors") as error:
        measure("mambair-sr-x2-tiny", folder, tmp_path / "x.pt")
    assert error.value.exit == Exit.NOT_READY


def test_what_does_not_fit_is_said(folder, tmp_path):
    torch.save(models.create("mambair-sr-x3-tiny").state_dict(), tmp_path / "x3.pt")
    with pytest.raises(SuiteError, match="does not fit mambair-sr-x2-tiny"):
        measure("mambair-sr-x2-tiny", folder, tmp_path / "x3.pt")
    with pytest.raises(SuiteError, match="there is no weights file"):
        measure("mambair-sr-x2-tiny", folder, tmp_path / "nowhere.pt")
    with pytest.raises(SuiteError, match="an untrained network measures nothing"):
        measure("mambair-sr-x2-tiny", folder)
    with pytest.raises(SuiteError, match="enlarges 3 times, the task 2 times"):
        measure("mambair-sr-x3-tiny", folder, tmp_path / "x3.pt")
    with pytest.raises(SuiteError, match="restores grey images, and denoise-25 is a task on colour images"):
        measure("mambair-jpeg-tiny", folder, tmp_path / "x3.pt", "denoise-25")
    with pytest.raises(SuiteError, match="bicubic has no weights"):
        measure("bicubic", folder, tmp_path / "x3.pt")
    with pytest.raises(SuiteError, match="Did you mean 'bicubic'"):
        measure("bicubick", folder)
    with pytest.raises(SuiteError, match="take identity"):
        measure("bicubic", folder, None, "derain")
    with pytest.raises(SuiteError, match="take bicubic"):
        measure("identity", folder)


# Inference


def tiny_weights(tmp_path, model="mambair-sr-x2-tiny"):
    torch.manual_seed(0)
    torch.save(models.create(model).state_dict(), tmp_path / "weights.pt")
    return tmp_path / "weights.pt"


def test_tiles_are_marked_and_their_cost_is_reported(tmp_path):
    weights = tiny_weights(tmp_path)
    (tmp_path / "big").mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (96, 160, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "big" / "one.png")
    big = str(tmp_path / "big")
    whole = measure("mambair-sr-x2-tiny", big, weights)
    tiled = measure("mambair-sr-x2-tiny", big, weights, "sr-x2", "--tile", "authors", "--tile-size", 40, "--tile-cost")
    (one,), (other,) = images_of(whole), images_of(tiled)
    assert (one["inference"], other["inference"]) == ("whole", "authors tiles of 40")
    assert other["tile_cost_db"] == pytest.approx(other["metrics"]["PSNR-Y"] - one["metrics"]["PSNR-Y"], abs=1e-9)
    assert other["tile_cost_db"] != 0
    assert tiled["sets"][0]["tile_cost_db"] == other["tile_cost_db"]
    text = told(
        *("mambair-sr-x2-tiny", "--task", "sr-x2", "--data", big, "--weights", weights, "--backend", "reference"), "--tile", "feathered"
    )
    assert "Inference: feathered tiles of 256; the protocol says whole." in text


def test_the_ensemble_is_marked_and_is_the_mean(folder, tmp_path):
    weights = tiny_weights(tmp_path)
    plus = measure("mambair-sr-x2-tiny", folder, weights, "sr-x2", "--self-ensemble", 8)
    assert plus["label"] == "mambair-sr-x2-tiny+"
    assert plus["inference"]["self_ensemble"] == 8
    row, rule = task("sr-x2"), protocol("sr-y")
    (source,) = pair_sources(folder, "test", row, rule)
    network, _ = evaluate.load_network("mambair-sr-x2-tiny", weights, "reference")
    pair = source.load()
    output = evaluate.prepare_output(ensemble.average_symmetries(evaluate.restorer_of(network))(pair.lq), rule)
    (image,) = images_of(plus)
    assert image["metrics"] == evaluate.score(rule, output, pair.hq, 2)


def test_running_out_of_memory_is_said_and_marked(folder, tmp_path, monkeypatch, capsys):
    weights = tiny_weights(tmp_path)
    forward = models.base.RestorationNet.forward

    def short(network, x):
        if x.shape[-1] * x.shape[-2] > 300:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
        return forward(network, x)

    monkeypatch.setattr(models.base.RestorationNet, "forward", short)
    monkeypatch.setattr("suite.measure.inference.tiling.FEATHERED_SIZE", 32)
    monkeypatch.setattr("suite.measure.inference.tiling.LEAST_SIZE", 16)
    (image,) = images_of(measure("mambair-sr-x2-tiny", folder, weights))
    assert image["inference"] == "feathered tiles of 16, memory ran out"
    assert "memory ran out on an image of 20x16 pixels (whole)" in capsys.readouterr().err


# The verb


def test_the_document_says_how_the_numbers_were_made(folder):
    found = measure("bicubic", folder)
    assert found["protocol"] == "sr-y@1"
    assert found["statement"] == protocol("sr-y").statement
    assert (found["backend"], found["backend_reason"]) == ("none", "bicubic scans nothing")
    assert found["unavailable"] == {}
    assert found["loaded"] is None
    assert measure("identity", folder, None, "jpeg-10")["jpeg_encoder"].startswith("Pillow")


def test_several_sets_a_limit_and_saved_images(folder, tmp_path):
    (tmp_path / "other").mkdir()
    for name in ("a", "b"):
        Image.fromarray(np.random.default_rng(1).integers(0, 256, (24, 24, 3), dtype=np.uint8)).save(tmp_path / "other" / f"{name}.png")
    saved = tmp_path / "saved"
    words = ("bicubic", "--task", "sr-x2", "--data", folder, tmp_path / "other", "--limit", 1)
    found = document(*words, "--save", saved)
    assert [(one["data"], [image["image"] for image in one["images"]]) for one in found["sets"]] == [
        (folder, ["one"]),
        (str(tmp_path / "other"), ["a"]),
    ]
    assert found["sets"] == document(*words)["sets"]  # in parallel, where nothing is saved
    assert sorted(str(path.relative_to(saved)) for path in saved.rglob("*.png")) == ["other/a.png", "set/one.png"]
    with pytest.raises(SuiteError, match="exists and is not empty; nothing is overwritten"):
        document(*words, "--save", saved)
    with pytest.raises(SuiteError, match="two of the sets have the same name"):
        document("bicubic", "--task", "sr-x2", "--data", folder, folder + "/../set", "--save", tmp_path / "new")


@pytest.mark.parametrize(
    ("words", "message", "code"),
    [
        (("--tile-cost",), "choose --tile", Exit.USAGE),
        (("--tile-size", "64"), "is for --tile authors", Exit.USAGE),
        (("--tile", "authors", "--tile-size", "3"), "at least 32", Exit.USAGE),
        (("--limit", "0"), "at least 1", Exit.NOTHING),
        (("--protocol", "sr-yy"), "sr-yy", Exit.USAGE),
    ],
)
def test_options_that_make_no_sense_are_refused(folder, words, message, code):
    with pytest.raises(SuiteError, match=message) as caught:
        measure("bicubic", folder, None, "sr-x2", *words)
    assert caught.value.exit is code


def test_a_gpu_that_is_not_there_is_said(folder, tmp_path, monkeypatch):
    monkeypatch.setattr("suite.core.machine.list_gpus", list)
    with pytest.raises(SuiteError, match="no GPU") as caught:
        document("mambair-sr-x2-tiny", "--task", "sr-x2", "--data", folder, "--weights", tiny_weights(tmp_path), "--device", "cuda")
    assert caught.value.exit is Exit.NOT_READY


class Drawing(torch.nn.Module):
    """A network that draws at random where it restores."""

    size_multiple, scale, channels = 1, 2, 3
    config = SimpleNamespace(smallest_side=1)

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def forward(self, x):
        return torch.rand(1, 3, 2 * x.shape[2], 2 * x.shape[3])


def test_a_network_that_draws_at_random_gives_the_numbers_of_its_seed_whatever_was_measured_before(folder, tmp_path, monkeypatch):
    used = Used("bare", "suite", 1, ("float32",), (), "")
    monkeypatch.setattr(evaluate, "load_network", lambda *_: (Drawing(), used))
    monkeypatch.setattr(evaluate, "find_routing", lambda *_: "sampled")
    (tmp_path / "w.pth").write_bytes(b"")
    other = Image.fromarray(np.full((32, 40, 3), 90, np.uint8))
    first = images_of(measure("mambair-sr-x2-tiny", folder, tmp_path / "w.pth", "sr-x2", "--no-record"))
    other.save(tmp_path / "set" / "before.png")
    both = images_of(measure("mambair-sr-x2-tiny", folder, tmp_path / "w.pth", "sr-x2", "--no-record"))
    assert both[1] == first[0]
    drawn = images_of(measure("mambair-sr-x2-tiny", folder, tmp_path / "w.pth", "sr-x2", "--no-record", "--seed", 1))
    assert drawn[1] != first[0]
