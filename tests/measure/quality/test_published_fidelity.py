"""PSNR and SSIM of files whose numbers are known: published ones, MATLAB's by image, and those in the names of files."""

import csv
import io

import numpy as np
import pytest
from PIL import Image

from suite.core.parallel import map_ordered
from suite.data.colour import luma
from suite.data.images import read_image
from suite.data.resize import imresize, mod_crop
from suite.measure.quality.fidelity import psnr, score, ssim
from suite.study.protocols import protocol

SET5 = ("baby", "bird", "butterfly", "head", "woman")
FLOAT_Y, ROUNDED_Y, PLANE_Y = protocol("sr-y"), protocol("sr-y-rounded"), protocol("sr-y-plane")


def means(scores):
    return [float(np.mean([score[key] for score in scores])) for key in ("PSNR-Y", "SSIM-Y")]


@pytest.mark.outside
@pytest.mark.parametrize(
    ("model", "scale", "expected"),
    [
        ("RCAN", 2, (38.274, 0.9614)),  # published: 38.27
        ("RCAN", 3, (34.742, 0.9299)),  # 34.74
        ("RCAN", 4, (32.634, 0.9002)),  # 32.63
        ("RCANplus", 2, (38.332, 0.9617)),  # 38.33
        ("RCANplus", 3, (34.853, 0.9305)),  # 34.85
        ("RCANplus", 4, (32.732, 0.9013)),  # 32.73
    ],
)
def test_a_published_model_s_outputs_score_as_published(outside, model, scale, expected):
    folder = outside / "RCAN_Set5_results"
    scores = [
        score(
            FLOAT_Y,
            read_image(folder / model / f"x{scale}" / f"{name}_{model}_x{scale}.png"),
            read_image(folder / "HR" / f"x{scale}" / f"{name}_HR_x{scale}.png"),
            scale,
        )
        for name in SET5
    ]
    found = means(scores)
    assert found[0] == pytest.approx(expected[0], abs=5e-4)
    assert found[1] == pytest.approx(expected[1], abs=5e-5)


@pytest.mark.outside
@pytest.mark.parametrize(
    ("scale", "float_y", "rounded_y", "y_only"),
    [
        (2, (33.673, 0.9303), 33.640, (33.661, 0.9299)),
        (3, (30.403, 0.8689), 30.385, (30.392, 0.8682)),
        (4, (28.429, 0.8111), 28.416, (28.421, 0.8104)),
    ],
)
def test_three_protocols_give_three_baselines(outside, scale, float_y, rounded_y, y_only):
    scores, rounded, plane = [], [], []
    for name in SET5:
        hq = mod_crop(read_image(outside / "Set5_SwinIR" / "HR" / f"{name}.png"), scale)
        enlarged = imresize(imresize(hq, 1 / scale), scale)
        scores.append(score(FLOAT_Y, enlarged, hq, scale))
        rounded.append(score(ROUNDED_Y, enlarged, hq, scale))
        # The older way: 8-bit Y alone, its low-resolution version kept in floating point, the result rounded.
        y = np.floor(luma(hq) + 0.5)
        again = imresize(imresize(y, 1 / scale, between="float"), scale, between="float")
        plane.append(score(PLANE_Y, again[..., None] / 255, hq, scale))
    assert means(scores) == [pytest.approx(float_y[0], abs=5e-4), pytest.approx(float_y[1], abs=5e-5)]
    assert means(rounded)[0] == pytest.approx(rounded_y, abs=6e-4)  # the known values are cut, not rounded, to three decimals
    assert means(plane) == [pytest.approx(y_only[0], abs=5e-4), pytest.approx(y_only[1], abs=5e-5)]


@pytest.mark.outside
def test_matlab_s_numbers_of_single_images_are_met_to_the_last_digit(outside):
    with (outside / "known_answers" / "selfexsr_per_image.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["set"] == "Set5" and row["method"] == "bicubic"]
    assert len(rows) == 15
    for row in rows:
        scale = int(row["scale"])
        stem = outside / "Set5" / f"x{scale}" / "{side}" / f"{row['image']}_SRF_{scale}_{{side}}.png"
        hq, lq = (read_image(type(stem)(str(stem).format(side=side))) for side in ("HR", "LR"))
        found = score(ROUNDED_Y, imresize(lq, scale, border="replicate"), hq, scale)
        assert found["PSNR-Y"] == pytest.approx(float(row["psnr"]), abs=1e-6)
        assert found["SSIM-Y"] == pytest.approx(float(row["ssim"]), abs=1.5e-6)


@pytest.mark.outside
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("I03", (21.1136, 0.6993)),
        ("I04", (20.9872, 0.9978)),
        ("I06", (27.0139, 0.9989)),
        ("I08", (23.3003, 0.9669)),
        ("I19", (21.6187, 0.6519)),
    ],
)
def test_calibrated_pairs_of_a_quality_data_base(outside, name, expected):
    paths = [outside / "IQA_calibration" / side / f"{name}.bmp" for side in ("dist_dir", "ref_dir")]
    assert psnr(*(read_image(path) for path in paths)) == pytest.approx(expected[0], abs=5.1e-5)
    grey = [np.asarray(Image.open(path).convert("L")) for path in paths]
    assert ssim(*grey) == pytest.approx(expected[1], abs=1e-4)


@pytest.mark.outside
@pytest.mark.parametrize(
    ("quality", "expected"), [(10, (27.82, 0.7595)), (20, (30.12, 0.8344)), (30, (31.48, 0.8666)), (40, (32.43, 0.8849))]
)
def test_jpeg_of_the_classic_images_scores_as_known(outside, quality, expected):
    scores = []
    for path in sorted((outside / "Classic5").glob("*.bmp")):
        picture = Image.open(path)
        buffer = io.BytesIO()
        picture.save(buffer, "JPEG", quality=quality)
        output, target = (np.asarray(image)[..., None] for image in (Image.open(buffer), picture))
        scores.append(score(protocol("jpeg-grey"), output, target, 1))
    assert len(scores) == 5
    found = [np.mean([one[metric] for one in scores]) for metric in ("PSNR-grey", "SSIM-grey")]
    assert found == [pytest.approx(expected[0], abs=0.0051), pytest.approx(expected[1], abs=5.1e-5)]


@pytest.mark.outside
def test_rainy_images_themselves_score_as_known(outside):
    folder = outside / "Rain100L"
    rules = [protocol(name) for name in ("derain-y", "derain-matlab", "color-dn-rgb")]

    def scored(path):
        output, target = read_image(folder / "input" / path.name), read_image(path)
        return [score(rule, output, target, 1) for rule in rules]

    found = list(map_ordered(scored, sorted((folder / "target").glob("*.png"))))
    assert len(found) == 100
    float_y, rounded_y, rgb = ([float(np.mean([one[rule][metric] for one in found])) for metric in found[0][rule]] for rule in range(3))
    assert float_y == [pytest.approx(26.903, abs=6e-4), pytest.approx(0.8384, abs=6e-5)]
    assert rgb[0] == pytest.approx(25.523, abs=6e-4)
    assert rounded_y[0] < float_y[0]


@pytest.mark.outside
@pytest.mark.parametrize(("file", "grey_image"), [("gray/05_noisy_1478.png", True), ("color/163085_noisy_1499.png", False)])
def test_noisy_files_have_the_psnr_of_their_names(outside, file, grey_image):
    """The clean image is what the known noise leaves; where 8 bit cut it off, it is what the denoisers of the same folder agree on.

    The names of the denoised files are checked in tests/data/degrade/test_noise.py, where nothing was cut off.
    """
    path = outside / "KAIR_denoising_known" / file
    noisy = np.asarray(Image.open(path)).astype(float)
    drawn = np.random.RandomState(0).normal(0, 50 / 255, noisy.shape) * 255
    denoised = np.mean([np.asarray(Image.open(other)) for other in path.parent.glob("*.png") if other != path], axis=0)
    inside = (noisy > 0) & (noisy < 255)
    clean = np.where(inside, np.rint(noisy - drawn), denoised)
    assert (noisy.ndim == 2) == grey_image
    assert psnr(noisy, clean) == pytest.approx(int(path.stem.rsplit("_", 1)[1]) / 100, abs=0.04)
