"""LPIPS against its authors' example and calibrated pairs, and what happens where its weights are not, or are wrong."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from suite.core.errors import SuiteError
from suite.data.images import read_image
from suite.measure.quality import available, perceptual
from suite.measure.quality.available import explain_absence
from suite.measure.quality.perceptual import BACKBONES, distance
from suite.study.protocols import METRICS, protocol

pytest.importorskip("lpips")

SET5 = ("baby", "bird", "butterfly", "head", "woman")


@pytest.fixture
def empty(tmp_path, monkeypatch):
    """Neither torch's cache nor the suite's holds anything; gives the suite's."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("SUITE_CACHE", str(tmp_path / "cache"))
    (tmp_path / "cache" / "lpips").mkdir(parents=True)
    return tmp_path / "cache" / "lpips"


@pytest.fixture
def alex(outside, empty):
    """The convolutions of AlexNet are in the suite's cache."""
    shutil.copy(outside / "lpips" / "alex_features.npz", empty / "alex_features.npz")


def changed(outside, empty, **arrays):
    """The file of AlexNet's convolutions with some arrays replaced (None: left out) in the suite's cache."""
    with np.load(outside / "lpips" / "alex_features.npz") as archive:
        held = {name: archive[name] for name in archive.files}
    held |= {name.replace("_", "."): array for name, array in arrays.items()}
    np.savez(empty / "alex_features.npz", **{name: array for name, array in held.items() if array is not None})


@pytest.mark.outside
@pytest.mark.usefixtures("alex")
def test_the_authors_example(outside):
    ref, p0, p1 = (read_image(outside / "LPIPS_imgs" / f"ex_{name}.png") for name in ("ref", "p0", "p1"))
    assert distance("LPIPS-alex", p0, ref) == pytest.approx(0.7219, abs=5.1e-5)
    assert distance("LPIPS-alex", p1, ref) == pytest.approx(0.1376, abs=5.1e-5)
    assert distance("LPIPS-alex", ref, ref) == 0
    assert distance("LPIPS-alex", p0 / 255, ref / 255) == pytest.approx(distance("LPIPS-alex", p0, ref), abs=1e-6)


@pytest.mark.outside
@pytest.mark.parametrize(("name", "expected"), [("I03", 0.7237), ("I04", 0.2572), ("I06", 0.0508), ("I08", 0.0521), ("I19", 0.4253)])
@pytest.mark.usefixtures("alex")
def test_calibrated_pairs_of_a_quality_data_base(outside, name, expected):
    pair = [read_image(outside / "IQA_calibration" / side / f"{name}.bmp") for side in ("dist_dir", "ref_dir")]
    assert distance("LPIPS-alex", *pair) == pytest.approx(expected, abs=1.1e-4)


@pytest.mark.outside
@pytest.mark.usefixtures("alex")
def test_a_published_model_s_outputs_and_a_protocol_with_an_unavailable_metric(outside):
    row = protocol("gan-sr")
    folder = outside / "RCAN_Set5_results"
    found = [
        available.measure_quality(
            row, read_image(folder / "RCAN" / "x4" / f"{name}_RCAN_x4.png"), read_image(folder / "HR" / "x4" / f"{name}_HR_x4.png"), 4
        )
        for name in SET5
    ]
    assert all(tuple(one) == ("PSNR-Y", "SSIM-Y", "LPIPS-alex") for one in found)
    assert np.mean([one["LPIPS-alex"] for one in found]) == pytest.approx(0.1692, abs=5.1e-5)
    assert list(available.list_unavailable(row)) == ["LPIPS-vgg"]


@pytest.mark.parametrize("metric", BACKBONES)
def test_without_weights_it_is_unavailable_with_one_command(metric, empty):
    why = explain_absence(metric)
    assert BACKBONES[metric].file in why
    assert f"{BACKBONES[metric].net}_features.npz" in why
    assert why.count("`") == 2
    assert f"import {BACKBONES[metric].constructor}" in why
    with pytest.raises(SuiteError, match="needs the weights"):
        distance(metric, np.zeros((64, 64, 3), np.uint8), np.zeros((64, 64, 3), np.uint8))
    assert not (empty.parent.parent / "torch").exists()


@pytest.mark.outside
@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"conv1_weight": np.zeros((64, 3, 3, 3), np.float32)}, "do not|size mismatch|not those"),
        ({"conv1_weight": np.zeros((64, 3, 11, 11), np.float32)}, "not those that torchvision trained"),
        ({"conv2_bias": None}, "conv2.bias is missing"),
        ({"conv2_bias": np.zeros(192)}, "conv2.bias is float64"),
        ({"conv6_bias": np.zeros(9, np.float32)}, "holds conv6.bias too"),
        ({"lin0": np.zeros(64, np.float32)}, "linear layer lin0"),
    ],
)
def test_a_file_that_does_not_fit_is_refused(outside, empty, arrays, message):
    changed(outside, empty, **arrays)
    assert "does not fit LPIPS-alex" in explain_absence("LPIPS-alex")
    with pytest.raises(SuiteError, match=message):
        distance("LPIPS-alex", np.zeros((64, 64, 3), np.uint8), np.zeros((64, 64, 3), np.uint8))


def test_shapes_are_checked_where_no_checksum_is_known(empty):
    sizes = [(64, 3), (64, 64), (128, 64), (128, 128), (256, 128), (256, 256), (256, 256), (512, 256), *[(512, 512)] * 5]
    arrays = {}
    for number, (out, into) in enumerate(sizes, start=1):
        arrays |= {
            f"conv{number}.weight": np.zeros((out, into, 1 if number == 9 else 3, 3), np.float32),
            f"conv{number}.bias": np.zeros(out, np.float32),
        }
    np.savez(empty / "vgg_features.npz", **arrays)
    assert "size mismatch for net.slice4.19.weight" in explain_absence("LPIPS-vgg")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut off", b"\x80\x04pickle"])
def test_a_broken_file_is_refused(empty, content):
    (empty / "alex_features.npz").write_bytes(content)
    assert "not a .npz archive" in explain_absence("LPIPS-alex")


@pytest.mark.usefixtures("empty")
def test_torch_s_file_is_recognised_by_its_checksum(tmp_path):
    folder = tmp_path / "torch" / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    (folder / BACKBONES["LPIPS-alex"].file).write_bytes(b"half a download")
    assert "its sha256 begins with" in explain_absence("LPIPS-alex")


ALEX = ((64, 3, 11), (192, 64, 5), (384, 192, 3), (256, 384, 3), (256, 256, 3))  # channels out, in, side of each convolution


@pytest.fixture
def made_up(monkeypatch, empty):
    """AlexNet's convolutions of our own making in torch's cache, whose checksum is put into the name; gives them by their names."""
    import dataclasses
    import hashlib

    import torch

    generator = torch.Generator().manual_seed(0)
    state = {"classifier.1.bias": torch.zeros(3)}
    for position, (out, into, side) in zip(BACKBONES["LPIPS-alex"].convolutions, ALEX, strict=True):
        state[f"features.{position}.weight"] = torch.randn(out, into, side, side, generator=generator) * (2 / (into * side**2)) ** 0.5
        state[f"features.{position}.bias"] = 0.1 * torch.randn(out, generator=generator)
    folder = empty.parent.parent / "torch" / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    torch.save(state, folder / "made.pth")
    digest = hashlib.sha256((folder / "made.pth").read_bytes()).hexdigest()
    name = f"alexnet-{digest[:8]}.pth"
    (folder / "made.pth").rename(folder / name)
    rows = dict(BACKBONES) | {"LPIPS-alex": dataclasses.replace(BACKBONES["LPIPS-alex"], file=name)}
    monkeypatch.setattr(perceptual, "BACKBONES", rows)
    return state


@pytest.mark.usefixtures("made_up")
def test_torch_s_file_gives_the_convolutions():
    assert explain_absence("LPIPS-alex") is None
    images = [np.random.default_rng(seed).integers(0, 256, (64, 64, 3), dtype=np.uint8) for seed in (0, 1)]
    assert distance("LPIPS-alex", *images) > 0
    assert distance("LPIPS-alex", images[0], images[0]) == 0


def lpips_by_hand(state, images):
    """LPIPS (section 3.1, equation 1) on AlexNet: distances of unit-length features, weighted and averaged over places, layer by layer.

    `images` are uint8. The network takes -1..1, of which each channel is brought to ImageNet's mean and deviation.
    """
    import lpips
    import torch
    import torch.nn.functional as F

    linear = torch.load(Path(lpips.__file__).parent / "weights" / "v0.1" / "alex.pth", map_location="cpu", weights_only=True)
    shift, scale = (np.array(values) for values in ((-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)))
    features = []
    for image in images:
        x = torch.from_numpy(((image / 127.5 - 1 - shift) / scale).transpose(2, 0, 1)[None])
        layers = []
        for number, (position, stride, padding) in enumerate(((0, 4, 2), (3, 1, 2), (6, 1, 1), (8, 1, 1), (10, 1, 1))):
            x = F.max_pool2d(x, 3, 2) if number in (1, 2) else x
            weight, bias = (state[f"features.{position}.{part}"].double() for part in ("weight", "bias"))
            x = F.relu(F.conv2d(x, weight, bias, stride, padding))
            layers.append(x / x.square().sum(dim=1, keepdim=True).sqrt())
        features.append(layers)
    weights = [linear[f"lin{number}.model.1.weight"].double() for number in range(5)]
    return sum(float(((a - b).square() * weight).sum(dim=1).mean()) for a, b, weight in zip(*features, weights, strict=True))


@pytest.mark.parametrize("values", [(0, 256), (100, 140)], ids=["all values", "grey middle"])
def test_lpips_is_what_its_equation_gives(made_up, values):
    images = [np.random.default_rng(seed).integers(*values, (70, 61, 3), dtype=np.uint8) for seed in (0, 1)]
    expected = lpips_by_hand(made_up, images)
    assert expected > 0.001
    assert distance("LPIPS-alex", *images) == pytest.approx(expected, rel=1e-4)
    assert distance("LPIPS-alex", *(image / np.float32(255) for image in images)) == pytest.approx(expected, rel=1e-4)
    wrongly = lpips_by_hand(made_up, [image / 2 + 127.5 for image in images])  # 0..1 in the place of -1..1
    assert abs(wrongly / expected - 1) > 0.05
    row = available.measure_quality(protocol("gan-sr"), images[0], images[1], 4)
    assert row["LPIPS-alex"] == pytest.approx(expected, rel=1e-4)


@pytest.mark.outside
@pytest.mark.usefixtures("alex")
def test_what_cannot_be_measured_is_said():
    image = np.zeros((40, 40, 3), np.uint8)
    with pytest.raises(SuiteError, match=r"at least 31 pixels a side; these are 30x40 and 30x40"):
        distance("LPIPS-alex", image[:, :30], image[:, :30])
    with pytest.raises(SuiteError, match="of one size"):
        distance("LPIPS-alex", image, image[:35])
    with pytest.raises(ValueError, match=r"0\.\.1"):
        distance("LPIPS-alex", image + 2.0, image)
    with pytest.raises(ValueError, match="LPIPS takes"):
        distance("LPIPS-alex", image[..., 0], image[..., 0])
    grey_image = np.full((40, 40, 1), 9, np.uint8)
    assert distance("LPIPS-alex", grey_image, image) == distance("LPIPS-alex", grey_image.repeat(3, axis=2), image)
    assert distance("LPIPS-alex", image[:31, :31], image[:31, :31]) == 0


def test_every_metric_of_lpips_has_a_backbone():
    assert set(BACKBONES) == {name for name, row in METRICS.items() if row.package == "lpips"}
    with pytest.raises(ValueError, match="depends on a protocol"):
        available.measure_metric("PSNR-Y", np.zeros((1, 1, 3)), np.zeros((1, 1, 3)))
    assert available.explain_absence("SSIM-volume") is None
