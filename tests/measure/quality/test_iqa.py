"""pyiqa's metrics against their calibration, and our PSNR and SSIM against pyiqa's; what happens where it is not installed."""

import csv
import math
import sys

import numpy as np
import pytest

from suite.core.errors import SuiteError
from suite.data.colour import luma
from suite.data.images import read_image
from suite.measure.quality import available, iqa
from suite.measure.quality.fidelity import psnr, ssim
from suite.study.protocols import METRICS

PYIQA = [name for name, row in METRICS.items() if row.package == "pyiqa"]
NAMES = ("I03", "I04", "I06", "I08", "I19")
CALIBRATION = {"BRISQUE": 0.1, "MUSIQ": 0.02, "NIMA": 0.02}  # relative tolerance; pyiqa's own summary lists deviations as large


@pytest.fixture
def absent(monkeypatch):
    """pyiqa is not installed."""
    monkeypatch.setitem(sys.modules, "pyiqa", None)
    iqa._made.cache_clear()
    yield
    iqa._made.cache_clear()


@pytest.fixture
def pyiqa(monkeypatch):
    """The package, which warns of its own dependencies when it is imported."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("pyiqa", reason="needs the extra iqa", exc_type=ImportError)


def calibrated_pairs(outside):
    return [[read_image(outside / "IQA_calibration" / side / f"{name}.bmp") for side in ("dist_dir", "ref_dir")] for name in NAMES]


@pytest.mark.parametrize("metric", PYIQA)
@pytest.mark.usefixtures("absent")
def test_without_the_package_it_is_unavailable_with_one_command(metric):
    why = available.explain_absence(metric)
    assert why.count("`") == 2
    assert "`pip install 'ssm-restoration-suite[iqa]'`" in why
    assert "non-commercial" in why
    image = np.zeros((64, 64, 3), np.uint8)
    with pytest.raises(SuiteError, match="cannot be imported"):
        available.measure_metric(metric, image, image)


def test_nothing_is_fetched():
    import urllib.error
    import urllib.request

    before = urllib.request._opener
    with iqa._no_download(), pytest.raises(urllib.error.URLError, match="not fetched while measuring"):
        urllib.request.urlopen("https://localhost/weights.pth", timeout=1)
    assert urllib.request._opener is before


@pytest.mark.usefixtures("pyiqa")
def test_the_folder_of_cards_does_not_hide_the_package_of_its_name():
    import datasets  # ours has no __init__.py, so the installed package, which pyiqa imports, goes before it

    assert datasets.__file__.endswith("__init__.py")
    assert hasattr(datasets, "load_dataset")


@pytest.mark.usefixtures("pyiqa")
def test_directions_and_kinds_are_pyiqa_s():
    from pyiqa.default_model_configs import DEFAULT_CONFIGS

    for metric in PYIQA:
        theirs = DEFAULT_CONFIGS[iqa.their_name(metric)]
        assert theirs["metric_mode"] == ("FR" if METRICS[metric].reference else "NR")
        assert theirs.get("lower_better", False) == (METRICS[metric].better == "lower")


@pytest.mark.usefixtures("pyiqa")
def test_the_licence_is_said_once(capsys):
    iqa._say_licence.cache_clear()
    iqa._made.cache_clear()
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    for metric in ("GMSD", "FSIM", "GMSD"):
        available.measure_metric(metric, image, image)
    out, err = capsys.readouterr()
    assert err.count("Noncommercial") == 1
    assert out == ""


@pytest.mark.outside
@pytest.mark.parametrize("metric", PYIQA)
@pytest.mark.usefixtures("pyiqa")
def test_calibrated_pairs_score_as_known(outside, metric):
    """By pyiqa's published summary of its own values; skipped where a metric's weights were not fetched."""
    with (outside / "known_answers" / "iqa_pytorch_calibration_summary.csv").open() as file:
        known = {row["Method"]: [float(row[f"{name}.bmp"]) for name in NAMES] for row in csv.DictReader(file)}
    expected = known.get(f"{iqa.their_name(metric)}(ours)")
    if expected is None:
        pytest.skip(f"no calibrated values of {metric} are known")
    if (why := available.explain_absence(metric)) is not None:
        pytest.skip(why)
    found = [available.measure_metric(metric, *pair) for pair in calibrated_pairs(outside)]
    assert found == pytest.approx(expected, rel=CALIBRATION.get(metric, 0.01), abs=2e-4)


@pytest.mark.outside
def test_our_psnr_and_ssim_beside_pyiqa_s(outside, pyiqa):
    """Equal where the definitions coincide; their Y spans 255 levels where ours spans 219."""
    import torch

    theirs = {name: pyiqa.create_metric(name, device="cpu") for name in ("psnr", "psnry")}
    yiq = np.array([0.299, 0.587, 0.114])
    for output, target in calibrated_pairs(outside):
        tensors = [torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255 for image in (output, target)]
        assert psnr(output, target) == pytest.approx(float(theirs["psnr"](*tensors)), abs=2e-3)
        # Without a border left out, ours on BT.601 Y; the weights are the same, the span is not.
        full_range = psnr(output @ yiq, target @ yiq)
        if full_range < 40:  # beyond, single precision and its small constant show
            assert full_range == pytest.approx(float(theirs["psnry"](*tensors)), abs=2e-3)
        assert psnr(luma(output), luma(target)) - full_range == pytest.approx(20 * math.log10(255 / 219), abs=1e-3)


@pytest.mark.outside
def test_our_ssim_on_pyiqa_s_y_is_pyiqa_s(outside, pyiqa):
    import torch

    theirs = pyiqa.create_metric("ssim", device="cpu")
    yiq = np.array([0.299, 0.587, 0.114])
    for output, target in calibrated_pairs(outside):
        tensors = [torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255 for image in (output, target)]
        found = float(theirs(*tensors))
        assert ssim(np.rint(output @ yiq), np.rint(target @ yiq)) == pytest.approx(found, abs=2e-3)
