"""Measuring from the command line's side: baselines, weights of either naming, and what does not fit."""

import numpy as np
import pytest
import torch
from PIL import Image

import models
from models.official import official_names
from suite import evaluate
from suite.data.sets import Pair
from suite.errors import Exit, SuiteError
from suite.protocols import protocol


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "set").mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (32, 40, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "set" / "one.png")
    return str(tmp_path / "set")


def measure(model, folder, weights=None, task="sr-x2"):
    return evaluate.evaluate_model(model, task, folder, weights, None, "reference")


@pytest.mark.outside
@pytest.mark.parametrize(("key", "psnr"), [("sr-y", 33.673), ("sr-y-rounded", 33.640)])
def test_bicubic_on_set5(outside, key, psnr):
    scores = evaluate.evaluate_model("bicubic", "sr-x2", str(outside / "Set5_SwinIR"), None, key, "reference")
    assert np.mean([score.metrics["PSNR-Y"] for score in scores]) == pytest.approx(psnr, abs=5e-4)


def test_weights_load_under_our_names_and_the_authors(folder, tmp_path):
    network = models.create("mambair-sr-x2-tiny")
    ours, theirs = tmp_path / "ours.pt", tmp_path / "theirs.pt"
    torch.save(network.state_dict(), ours)
    names = official_names(network)
    torch.save({"params": {names[key]: value for key, value in network.state_dict().items()}}, theirs)
    assert measure("mambair-sr-x2-tiny", folder, ours) == measure("mambair-sr-x2-tiny", folder, theirs)


def test_a_perfect_restorer_is_measured_as_perfect():
    picture = np.random.default_rng(0).integers(0, 256, (24, 24, 3), dtype=np.uint8)
    (score,), (output,) = evaluate.evaluate(lambda low: low, [Pair("x", picture, picture)], protocol("sr-y"), 1)
    assert score.metrics["SSIM-Y"] == pytest.approx(1)
    assert score.metrics["PSNR-Y"] == 100
    assert np.array_equal(output, picture)


def test_crops_show_the_same_window_of_input_output_and_target():
    target = np.full((300, 300, 3), 128, dtype=np.uint8)
    target[200:, 200:] = np.random.default_rng(0).integers(0, 256, (100, 100, 3), dtype=np.uint8)  # the only detail
    low = target[::2, ::2]
    (crop,) = evaluate.crops([Pair("x", low, target)], [target], 2)
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
    with pytest.raises(SuiteError, match="bicubic has no weights"):
        measure("bicubic", folder, tmp_path / "x3.pt")
    with pytest.raises(SuiteError, match="Did you mean 'bicubic'"):
        measure("bicubick", folder)
