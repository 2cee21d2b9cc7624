"""What protocols do with grey files: as MATLAB scripts, which take their plane, or as BasicSR, which repeats it. Values by hand.

A flat image of level 100 is compared with one of level 105. Planes as they are differ by 5. Y of three equal channels spans 219 of 255
levels: in floating point it differs by 5 * 219 / 255, and rounded it is 102 (of 101.88) and 106 (of 106.18), which differ by 4.
"""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kept_weights import find_kept
from PIL import Image

from suite.cli import main
from suite.core.errors import Exit, SuiteError
from suite.data.colour import in_grey, luma, quantise
from suite.data.feed.training_set import check_disjoint, load_training, pair_images
from suite.data.images import three_channels
from suite.data.resize import imresize
from suite.data.sets import load_pairs
from suite.measure.inference.restorer import restorer_of
from suite.measure.quality.evaluate import load_network
from suite.measure.quality.fidelity import psnr, score
from suite.records.cell import CellContext
from suite.records.record import Record
from suite.records.spec import RunSpec
from suite.study.protocols import PROTOCOLS, protocol
from suite.study.tasks import TASKS, task
from suite.training.cell import run_cell

LEVELS = 100, 105
PLANE, ROUNDED, FLOAT = (20 * math.log10(255 / error) for error in (5, 4, 5 * 219 / 255))
C1 = (0.01 * 255) ** 2
PLANE_SSIM, ROUNDED_SSIM = ((2 * a * b + C1) / (a**2 + b**2 + C1) for a, b in (LEVELS, (102, 106)))
MATLAB = tuple(row.name for row in PROTOCOLS.values() if row.grey == "plane")


def flat(path, mode, level, side=24):
    path.parent.mkdir(parents=True, exist_ok=True)
    colour = {"L": level, "LA": (level, 255), "RGB": (level,) * 3}[mode]
    Image.new(mode, (side, side), colour).save(path)


def textured(seed, *shape):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def luma_of_grey(plane):
    """MATLAB's rounded Y of three channels of these levels."""
    return np.floor(16 + plane * (219 / 255) + 0.5)


def told(capsys, *words):
    assert main.main([*map(str, words), "--json"]) == Exit.DONE
    return json.loads(capsys.readouterr().out)


def test_the_protocols_that_name_matlab_s_way_say_what_they_do_with_grey_files():
    assert set(MATLAB) == {"sr-y-rounded", "sr-y-plane", "derain-matlab", "jpeg-matlab"}
    for row in PROTOCOLS.values():
        claims = "MATLAB" in row.statement + "".join(row.changes)
        assert ("its plane as it is" in row.statement) == (row.grey == "plane" or row.channel == "grey")
        assert ("three equal channels" in row.statement) == (row.grey == "repeat" and row.channel != "grey")
        latest = protocol(row.name) is row
        assert not (claims and latest and row.channel == "Y") or row.grey == "plane"
    for name in ("sr-y-rounded", "sr-y-plane", "derain-matlab"):
        assert (protocol(name).version, protocol(f"{name}@1").grey) == (2, "repeat")


@pytest.mark.parametrize(
    ("name", "key", "expected"),
    [
        ("sr-x2", "sr-y-rounded", {"l": PLANE, "la": PLANE, "rgb": ROUNDED}),
        ("sr-x2", "sr-y-rounded@1", {"l": ROUNDED, "la": ROUNDED, "rgb": ROUNDED}),
        ("sr-x2", "sr-y", {"l": FLOAT, "la": FLOAT, "rgb": FLOAT}),
        ("derain", "derain-matlab", {"l": PLANE, "la": PLANE, "rgb": ROUNDED}),
        ("derain", "derain-matlab@1", {"l": ROUNDED, "la": ROUNDED, "rgb": ROUNDED}),
        ("derain", "derain-y", {"l": FLOAT, "la": FLOAT, "rgb": FLOAT}),
        ("real-denoise", "sidd-blocks", {"l": PLANE, "la": PLANE, "rgb": PLANE}),
    ],
)
def test_evaluate_takes_a_grey_file_as_the_protocol_says(tmp_path, capsys, name, key, expected):
    scale = task(name).scale
    for kind in expected:
        flat(tmp_path / "HR" / f"{kind}.png", kind.upper(), LEVELS[0], 24 * scale)
        flat(tmp_path / "LR" / f"{kind}.png", kind.upper(), LEVELS[1])
    model = "bicubic" if scale > 1 else "identity"
    found = told(capsys, "evaluate", model, "--task", name, "--data", tmp_path, "--protocol", key)
    values = {image["image"]: image["metrics"] for image in found["sets"][0]["images"]}
    assert {image: one[protocol(key).fidelity[0]] for image, one in values.items()} == pytest.approx(expected, abs=1e-5)
    if key in ("sr-y-rounded", "derain-matlab"):
        ssims = {image: one["SSIM-Y"] for image, one in values.items()}
        assert ssims == pytest.approx({"l": PLANE_SSIM, "la": PLANE_SSIM, "rgb": ROUNDED_SSIM}, abs=1e-9)


def test_the_older_way_shrinks_a_grey_file_s_own_plane(tmp_path, capsys):
    plane = textured(0, 24, 32)
    Image.fromarray(plane).save(tmp_path / "grey.png")
    Image.fromarray(three_channels(plane[..., None])).save(tmp_path / "colour.png")
    found = {
        version: told(capsys, "evaluate", "bicubic", "--task", "sr-x2", "--data", tmp_path, "--protocol", f"sr-y-plane@{version}")
        for version in (1, 2)
    }
    values = {version: [one["metrics"]["PSNR-Y"] for one in document["sets"][0]["images"]] for version, document in found.items()}

    def older(y):
        again = imresize(imresize(y / 255, 1 / 2, between="float"), 2, between="float").clip(0, 1)
        return psnr(np.rint(again * 255)[2:-2, 2:-2], y[2:-2, 2:-2])

    narrow = luma_of_grey(plane)
    colour, grey_file = older(narrow), older(plane.astype(float))
    assert values == {1: pytest.approx([colour, colour], abs=1e-9), 2: pytest.approx([colour, grey_file], abs=1e-9)}
    assert colour - grey_file == pytest.approx(20 * math.log10(255 / 219), abs=0.05)


@given(st.integers(0, 1000), st.sampled_from([row.key for row in PROTOCOLS.values() if row.grey == "plane"]))
def test_one_channel_is_the_plane_and_three_equal_ones_are_colour(seed, key):
    row, planes = protocol(key), [textured(seed + number, 20, 21, 1) for number in (0, 1)]
    inside = slice(row.border(2), -row.border(2) or None)
    narrow = [luma_of_grey(plane) for plane in planes]
    assert score(row, *planes, 2)[row.fidelity[0]] == pytest.approx(psnr(*(plane[inside, inside] for plane in planes)), abs=1e-12)
    colours = [three_channels(plane) for plane in planes]
    assert score(row, *colours, 2)[row.fidelity[0]] == pytest.approx(psnr(*(plane[inside, inside] for plane in narrow)), abs=1e-12)


# Two folders


def scored(capsys, folder, key):
    words = ("score", "--pred", folder / "pred", "--gt", folder / "gt", "--scale", 2, "--protocol", key, "--no-perceptual")
    return told(capsys, *words)["protocols"][0]["images"]


@pytest.mark.parametrize(
    ("pred", "gt", "expected"),
    [
        ("L", "L", {"sr-y-rounded": PLANE, "derain-matlab": PLANE, "jpeg-matlab": PLANE, "jpeg-grey": PLANE, "sr-y": FLOAT}),
        ("RGB", "L", {"sr-y-rounded": PLANE, "derain-matlab": PLANE, "jpeg-matlab": PLANE, "jpeg-grey": PLANE, "sr-y": FLOAT}),
        ("L", "RGB", {"sr-y-rounded": ROUNDED, "derain-matlab": ROUNDED, "jpeg-matlab": ROUNDED, "jpeg-grey": PLANE, "sr-y": FLOAT}),
        ("RGB", "RGB", {"sr-y-rounded": ROUNDED, "derain-matlab": ROUNDED, "jpeg-matlab": ROUNDED, "jpeg-grey": PLANE, "sr-y": FLOAT}),
    ],
)
def test_score_takes_what_the_target_s_file_is(tmp_path, capsys, pred, gt, expected):
    flat(tmp_path / "pred" / "a.png", pred, LEVELS[1])
    flat(tmp_path / "gt" / "a.png", gt, LEVELS[0])
    for key, value in expected.items():
        (image,) = scored(capsys, tmp_path, key)
        assert image["metrics"][protocol(key).fidelity[0]] == pytest.approx(value, abs=1e-9), key


def test_a_colour_prediction_of_a_grey_file_is_refused_where_its_plane_is_compared(tmp_path, capsys):
    flat(tmp_path / "gt" / "a.png", "L", 100)
    (tmp_path / "pred").mkdir()
    Image.fromarray(textured(0, 24, 24, 3)).save(tmp_path / "pred" / "a.png")
    words = ("score", "--pred", tmp_path / "pred", "--gt", tmp_path / "gt", "--scale", "2", "--no-perceptual")
    assert main.main([*map(str, words), "--protocol", "derain-matlab"]) == Exit.NOT_READY
    assert "a.png is a grey file, whose plane derain-matlab@2 compares as it is, and " in capsys.readouterr().err
    refused = told(capsys, *words)["not_applicable"]
    assert set(refused) == {protocol(name).key for name in MATLAB}
    assert scored(capsys, tmp_path, "derain-matlab@1")


def test_colour_low_quality_files_of_a_grey_target_are_refused(tmp_path):
    flat(tmp_path / "HR" / "a.png", "L", 100, 48)
    (tmp_path / "LR").mkdir()
    Image.fromarray(textured(0, 24, 24, 3)).save(tmp_path / "LR" / "a.png")
    with pytest.raises(SuiteError, match=r"LR/a\.png is a colour image, and its target .*HR/a\.png a grey file") as caught:
        load_pairs(str(tmp_path), "test", task("sr-x2"), protocol("sr-y-rounded"))
    assert caught.value.exit is Exit.NOT_READY
    (pair,) = load_pairs(str(tmp_path), "test", task("sr-x2"), protocol("sr-y"))
    assert pair.hq.shape == (48, 48, 3)


# Low-quality images of grey files, and training


COLOUR_ALONE = ("real-sr-x4", "real-denoise", "motion-deblur", "defocus-deblur", "dehaze-indoor", "dehaze-outdoor", "real-sr-same-size")


@pytest.mark.parametrize("name", TASKS)
def test_every_task_makes_a_grey_file_s_low_quality_image_or_says_why_not(tmp_path, name):
    row = task(name)
    Image.fromarray(textured(0, 48, 36)).save(tmp_path / "a.png")
    if name in COLOUR_ALONE:
        with pytest.raises(SuiteError, match=r"a\.png is a grey file, .* makes colour images alone"):
            load_pairs(str(tmp_path), "test", row, protocol("sr-y-rounded"))
        return
    (pair,) = load_pairs(str(tmp_path), "test", row, protocol("sr-y-rounded"))
    assert pair.hq.shape == (48, 36, 1)
    assert pair.lq.shape == (48 // row.scale, 36 // row.scale, 1)


def test_training_images_have_the_task_s_channels_whatever_the_protocol(tmp_path):
    for number in (0, 1):
        for side in ("target", "input"):
            (tmp_path / side).mkdir(exist_ok=True)
            shape = (24, 24) if number else (24, 24, 3)
            Image.fromarray(textured(number, *shape)).save(tmp_path / side / f"{number}.png")
    assert task("derain").protocol == protocol("derain-matlab").key
    assert protocol("derain-matlab").grey == "plane"
    found = load_training(str(tmp_path), task("derain"))
    assert [image.shape for _, image in found.images] == [low.shape for low in found.low] == [(24, 24, 3)] * 2


@pytest.mark.slow
def test_a_cell_is_measured_on_grey_and_colour_files_as_its_protocol_says(tmp_path):
    for number, shape in enumerate([(40, 40), (40, 40, 3), (40, 40, 3)]):
        folder = tmp_path / ("test" if number < 2 else "train")
        folder.mkdir(exist_ok=True)
        Image.fromarray(textured(number, *shape)).save(folder / f"{number}.png")
    few = {"iterations": 1, "batch": 1, "patch": 16, "lr": 1e-9, "backend": "numba", "device": "cpu", "budget": "quick"}
    sets = {"train_set": str(tmp_path / "train"), "validation_set": "photo-crops", "test_set": str(tmp_path / "test")}
    rule = protocol("derain-matlab")
    spec = RunSpec(model="vmambair-derain-tiny", task="derain", protocol=rule.key, **few, **sets)
    context = CellContext(tmp_path / "work", 1, "inline", "as asked")
    *_, record = run_cell(spec, context)
    assert isinstance(record, Record)
    assert (record.protocol.version, record.protocol.statement) == (2, rule.statement)
    network, _ = load_network(spec.model, find_kept(context.weights_folder, spec), "numba")
    restore = restorer_of(network)
    grey_pair, colour_pair = load_pairs(spec.test_set, "test", task("derain"), rule)
    assert (grey_pair.hq.shape, colour_pair.hq.shape) == ((40, 40, 1), (40, 40, 3))
    planes = [np.floor(luma(quantise(image)) + 0.5) for image in (restore(colour_pair.lq), colour_pair.hq)]
    expected = [psnr(quantise(restore(grey_pair.lq)), grey_pair.hq), psnr(*planes)]
    assert [one.metrics["PSNR-Y"] for one in record.scores] == pytest.approx(expected, abs=1e-4)
    assert record.receptive_field.images == 2


def test_a_grey_file_that_was_trained_on_in_colour_is_a_leak(tmp_path):
    plane = textured(0, 48, 48)
    Image.fromarray(plane).save(tmp_path / "a.png")
    pairs = load_pairs(str(tmp_path), "test", task("sr-x2"), protocol("sr-y-rounded"))
    with pytest.raises(SuiteError, match="is in the train set too"):
        check_disjoint({"train": ("one", [("b", three_channels(plane[..., None]))]), "test": ("two", pair_images(pairs))})


# JPEG: two ways from colour to grey


@pytest.mark.parametrize(("key", "level"), [("jpeg-grey", 141), ("jpeg-matlab", 137)])
def test_colour_is_made_grey_by_the_protocol_s_formula(tmp_path, key, level):
    """0.299 * 100 + 0.587 * 150 + 0.114 * 200 = 140.75, and 16 + (65.481 * 100 + 128.553 * 150 + 24.966 * 200) / 255 = 136.88."""
    Image.new("RGB", (24, 24), (100, 150, 200)).save(tmp_path / "a.png")
    (pair,) = load_pairs(str(tmp_path), "test", task("jpeg-10"), protocol(key))
    assert np.unique(pair.hq).tolist() == [level]
    assert in_grey(protocol(key), np.array([[(100, 150, 200)]], np.uint8)).tolist() == [[[level]]]


@pytest.mark.outside
@pytest.mark.parametrize("key", ["jpeg-grey", "jpeg-matlab"])
@pytest.mark.parametrize("quality", [10, 40])
def test_grey_files_are_the_published_input_under_both(outside, capsys, key, quality):
    found = told(capsys, "evaluate", "identity", "--task", f"jpeg-{quality}", "--data", outside / "Classic5", "--protocol", key)
    expected = {10: (27.82, 0.7595), 40: (32.43, 0.8849)}[quality]
    mean = found["sets"][0]["mean"]
    assert (mean["PSNR-grey"], mean["SSIM-grey"]) == (pytest.approx(expected[0], abs=0.0051), pytest.approx(expected[1], abs=5.1e-5))


@pytest.mark.outside
def test_colour_photographs_read_three_quarters_of_a_db_higher_by_matlab_s_grey(outside, capsys):
    words = ("evaluate", "identity", "--task", "jpeg-10", "--data", outside / "Kodak24", "--limit", 6)
    means = [told(capsys, *words, "--protocol", key)["sets"][0]["mean"]["PSNR-grey"] for key in ("jpeg-grey", "jpeg-matlab")]
    assert means[1] - means[0] == pytest.approx(0.75, abs=0.08)


def test_lists_say_which_gives_the_published_row(capsys):
    rows = {row["name"]: row["what"] for row in told(capsys, "list", "protocols")}
    assert "(27.77 dB at quality 10), which jpeg-matlab gives" in rows["jpeg-grey@1"]
    assert "gives the published row of LIVE1's JPEG input (27.77 dB at quality 10)" in rows["jpeg-matlab@1"]
