"""A notebook's cells, one after another."""

import subprocess
import sys

import numpy as np
import outside
import pytest
import synthetic_records as made
from PIL import Image

from suite import api
from suite.records.ledger import Ledger
from suite.study.outside import plugins

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def unloaded():
    """What a cell loads goes when the notebook is closed."""
    with plugins.loaded([], installed=False):
        yield


def test_importing_it_loads_neither_torch_nor_pandas():
    code = "import sys; from suite import api; assert not {'torch', 'pandas', 'ray'} & set(sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.usefixtures("unloaded")
def test_a_design_is_loaded_counted_changed_and_counted_again(tmp_path):
    path = outside.write(tmp_path)
    assert api.load(path) == ("ladder-x4", "ladder-x4.one-direction")
    before = api.count("ladder-x4")
    outside.write(tmp_path, ("blocks: int = 4", "blocks: int = 2"))
    assert api.load(path) == ("ladder-x4", "ladder-x4.one-direction")
    after = api.count("ladder-x4")
    assert after.params < before.params
    assert after.macs < before.macs
    assert len(plugins.list_loaded()) == 1


def test_a_baseline_is_evaluated():
    found = api.evaluate("bicubic", task="sr-x2", data="photo-crops", limit=2)
    frame = found.frame()
    assert list(frame.columns) == ["PSNR-Y", "SSIM-Y"]
    assert len(frame) == 2
    assert found.mean["PSNR-Y"] == pytest.approx(frame["PSNR-Y"].mean())
    assert (found.task, found.protocol) == ("sr-x2", "sr-y@1")


def test_a_network_is_evaluated_with_its_weights(tmp_path):
    import torch

    import models

    torch.manual_seed(0)
    torch.save(models.create("mambair-light-x2-tiny").state_dict(), tmp_path / "w.pt")
    found = api.evaluate("mambair-light-x2-tiny", weights=tmp_path / "w.pt", data="photo-crops", limit=1)
    assert found.task == "light-sr-x2"
    assert len(found.images) == 1


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: api.evaluate("bicubic"), "needs a task"),
        (lambda: api.evaluate("mambair-sr-x22"), "Did you mean 'mambair-sr-x2'"),
        (lambda: api.evaluate("mambair-sr-x2"), "needs --weights FILE"),
        (lambda: api.evaluate("bicubic", task="sr-x2", limit=0), "at least 1"),
        (lambda: api.count("mambair"), "no model is called 'mambair'"),
        (lambda: api.count("vmambair-derain", size=(4, 4)), "at least 8 pixels"),
        (lambda: api.score("nowhere", "nowhere"), "nowhere"),
        (lambda: api.load("nowhere.py"), "there is no such file"),
    ],
)
def test_what_is_wrong_is_said(call, said):
    with pytest.raises((api.SuiteError, api.UnknownName)) as caught:
        call()
    assert said in str(caught.value)


def test_folders_are_scored(tmp_path):
    rng = np.random.default_rng(0)
    for folder in ("pred", "gt"):
        (tmp_path / folder).mkdir()
        Image.fromarray(rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)).save(tmp_path / folder / "a.png")
    found = api.score(tmp_path / "pred", tmp_path / "gt", protocol="sr-y", scale=2)
    assert set(found.sheets["sr-y@1"].mean) == {"PSNR-Y", "SSIM-Y"}


def test_records_are_a_frame_and_compared(tmp_path):
    ledger = Ledger(tmp_path)
    for record in (made.done(model, seed=seed) for model in made.MAMBAIR[:2] for seed in range(2)):
        ledger.add(record)
    frame = api.records(tmp_path)
    assert len(frame) == 4
    assert set(frame["model"]) == set(made.MAMBAIR[:2])
    (found,) = api.compare(made.MAMBAIR[1], made.MAMBAIR[0], ledger=tmp_path)
    assert found.found.seeds == 2
    assert api.compare(made.MAMBAIR[1], made.MAMBAIR[0], ledger=tmp_path, metrics=["SSIM-Y"])[0].metric == "SSIM-Y"
