"""Folders that hold targets and low-quality files together: every verb tells them apart in one way, or refuses with what was found."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from suite.cli import main
from suite.core.errors import Exit, SuiteError
from suite.data.feed.training_set import load_training
from suite.data.layouts import mixed
from suite.data.layouts.locate import file_pairs
from suite.data.layouts.mixed import both_sides
from suite.data.resize import imresize
from suite.data.sets import load_images, pair_sources
from suite.study.protocols import protocol
from suite.study.tasks import task


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SUITE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(mixed, "_said", set())


def texture(seed, side=48):
    coarse = np.random.default_rng(seed).integers(0, 256, (side // 6, side // 6, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC))


def save(path, image):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path)


def low_of(image, scale):
    return imresize(image, 1 / scale) if scale > 1 else image // 2


# how targets and low-quality files are called, and the scale
CONVENTIONS = {
    "SelfExSR": ("img_{}_SRF_4_HR", "img_{}_SRF_4_LR", 4),
    "DIV2K": ("{}", "{}x4", 4),
    "DIV2K, a track of NTIRE": ("{}", "{}x4d", 4),
    "a scale apart": ("{}", "{}_x2", 2),
    "a scale before": ("{}", "{}_2x", 2),
    "the target's scale, too": ("{}x1", "{}x2", 2),
    "RCAN": ("{}_HR_x3", "{}_LRBI_x3", 3),
    "RealSR": ("Canon_{}_HR", "Canon_{}_LR4", 4),
    "words, scale by the sizes": ("{}_HR", "{}_LR", 2),
    "glued": ("{}HR", "{}LR", 2),
    "one side marked": ("{}", "{}-lr", 4),
    "the target marked": ("{}_GT", "{}", 2),
    "in small letters, two words": ("{}.high-res", "{}.low-res", 2),
    "rain": ("norain-{}", "rain-{}", 1),
    "rain, glued": ("norain{}", "rain{}", 1),
    "gt and in": ("{}_gt", "{}_in", 1),
    "SIDD": ("GT_SRGB_{}", "NOISY_SRGB_{}", 1),
    "SIDD, in the middle": ("7_GT_SRGB_{}", "7_NOISY_SRGB_{}", 1),
    "target and input": ("{} target", "{} input", 1),
    "noise of a level": ("{}", "{}_noise25", 1),
    "blur": ("sharp_{}", "blurred_{}", 1),
}
TASK = {1: "derain", 2: "sr-x2", 3: "sr-x3", 4: "sr-x4"}


def filled(folder, convention, names=("001", "002", "010")):
    high, low, scale = CONVENTIONS[convention]
    for number, name in enumerate(names):
        save(folder / f"{high.format(name)}.png", texture(number))
        save(folder / f"{low.format(name)}.png", low_of(texture(number), scale))
    return scale


def called(capsys, *words):
    code = main.main([str(word) for word in words])
    said = capsys.readouterr()
    return code, said.out, said.err


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_pairs_in_one_folder_are_pairs_for_evaluate_and_data_check(tmp_path, capsys, convention):
    folder = tmp_path / "mine"
    scale = filled(folder, convention)
    high, low, _ = CONVENTIONS[convention]
    model = "bicubic" if scale > 1 else "identity"
    code, out, err = called(capsys, "evaluate", model, "--task", TASK[scale], "--data", folder, "--protocol", "derain-y", "--json")
    assert code == Exit.DONE
    assert f"{folder} holds targets and low-quality files together, 3 pairs by name (" in err
    found = [(source.hq.stem, source.lq.stem) for source in pair_sources(str(folder), "test", task(TASK[scale]), protocol("sr-y"))]
    assert sorted(found) == sorted((high.format(name), low.format(name)) for name in ("001", "002", "010"))
    assert len(json.loads(out)["sets"][0]["images"]) == 3
    code, out, _ = called(capsys, "data", "check", folder, "--json")
    (report,) = json.loads(out)["sets"]
    assert (code, report["images"], report["wrong"]) == (Exit.DONE, 3, [])
    assert report["layout"] == "targets and low-quality files in one folder"
    assert scale == 1 or f"x{scale}, 3 of 3 low-quality images made with mirrored border" in " ".join(report["notes"])


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_restore_leaves_targets_and_score_takes_them_alone(tmp_path, capsys, convention):
    folder = tmp_path / "mine"
    scale = filled(folder, convention)
    _, low, _ = CONVENTIONS[convention]
    model = "bicubic" if scale > 1 else "identity"
    code, out, err = called(capsys, "restore", folder, tmp_path / "out", "--model", model, "--task", TASK[scale])
    assert code == Exit.DONE
    assert out.startswith("3 of 3 images restored")
    assert "3 files are not restored" in err
    assert sorted(path.stem for path in (tmp_path / "out").iterdir()) == sorted(low.format(name) for name in ("001", "002", "010"))
    words = ("--pred", tmp_path / "out", "--gt", folder, "--scale", scale, "--protocol", "derain-y", "--json")
    code, out, err = called(capsys, "score", *words)
    assert (code, len(json.loads(out)["protocols"][0]["images"])) == (Exit.DONE, 3)
    evaluated = called(capsys, "evaluate", model, "--task", TASK[scale], "--data", folder, "--protocol", "derain-y", "--json")[1]
    means = [json.loads(text) for text in (out, evaluated)]
    assert means[0]["protocols"][0]["mean"] == pytest.approx(means[1]["sets"][0]["mean"])
    code, _, err = called(capsys, "score", "--pred", folder, "--gt", folder, "--protocol", "derain-y")
    assert code == Exit.NOT_READY
    assert "which are the predictions?" in err


CORES = st.sets(st.from_regex(r"[0-9]{1,2}[a-z]?[0-9]{1,2}", fullmatch=True), min_size=1, max_size=8)


@given(CORES, st.sampled_from(sorted(CONVENTIONS)), st.randoms())
def test_whatever_the_names_no_file_gets_a_wrong_partner(tmp_path_factory, cores, convention, random):
    high, low, _ = CONVENTIONS[convention]
    folder = tmp_path_factory.getbasetemp()
    paths = [folder / f"{pattern.format(core)}.png" for core in cores for pattern in (high, low)]
    random.shuffle(paths)
    found = both_sides(paths)
    assert {(pair.hq.stem, pair.lq.stem) for pair in found.found} == {(high.format(core), low.format(core)) for core in cores}
    assert found.others == ()
    for side in (high, low):  # a folder of one side
        assert both_sides([folder / f"{side.format(core)}.png" for core in cores]) is None


ONE_SIDE = (
    ("baby", "bird", "butterfly", "head", "woman"),
    ("butterfly", "butterfly2", "comic1", "comic2", "dped_crop00061"),
    ("kodim01", "kodim02", "kodim10"),
    ("img_1", "img_10", "img_001"),
    ("901", "901_1", "901_14"),
    ("img_001_SRF_4_HR", "img_002_SRF_4_HR"),
    ("high_tide", "low_tide", "big ben", "small ben"),
    ("rain-1", "rain-2"),
    ("0001x4", "0002x4"),
    ("a_LR", "b_HR"),
)


@pytest.mark.parametrize("stems", ONE_SIDE, ids=" ".join)
def test_a_folder_of_one_side_is_not_taken_for_both(tmp_path, stems):
    assert both_sides([tmp_path / f"{stem}.png" for stem in stems]) is None


REFUSED = {
    "a target without its low-quality file": ({"a": 1, "ax4": 4, "b": 1, "bx4": 4, "c": 1}, "1 file pairs with none (c.png)"),
    "a target that lacks one of two scales": ({"a": 1, "ax2": 2, "ax4": 4, "b": 1, "bx2": 2}, "1 high-quality without low-quality"),
    "a low-quality file without its target": ({"a_HR": 1, "a_LR": 4, "b_LR": 4}, "1 file pairs with none (b_LR.png)"),
    "two low-quality files of one target": ({"a_HR": 1, "a_LR": 4, "a_lq": 4}, "a_HR.png fits a_LR.png, a_lq.png"),
    "two targets of one low-quality file": ({"a_HR": 1, "a_GT": 1, "a_LR": 4}, "1 file pairs with none (a_"),
    "another scale": ({"a": 1, "ax2": 2}, "they are of x2, and x4 is asked for"),
    "one size": ({"a_gt": 1, "a_in": 1}, "they are of one size, and x4 is asked for"),
}


@pytest.mark.parametrize("case", REFUSED)
@pytest.mark.parametrize("place", ["", "HR"])
def test_what_does_not_pair_as_a_whole_is_refused_with_what_was_found(tmp_path, capsys, case, place):
    files, said = REFUSED[case]
    for name, scale in files.items():
        save(tmp_path / "mine" / place / f"{name}.png", low_of(texture(0), scale))
    code, _, err = called(capsys, "evaluate", "bicubic", "--task", "sr-x4", "--data", tmp_path / "mine")
    assert code == Exit.NOT_READY
    assert "holds targets and low-quality files together, " in err
    assert said in err
    assert "Put the targets into HR/" in err


def test_results_that_lie_beside_the_pairs_are_left_out_and_named(tmp_path, capsys):
    for name in ("img_001_SRF_4", "img_002_SRF_4"):
        save(tmp_path / f"{name}_HR.png", texture(0))
        save(tmp_path / f"{name}_LR.png", low_of(texture(0), 4))
        for method in ("bicubic", "SelfExSR", "A+"):
            save(tmp_path / f"{name}_{method}.png", texture(1))
    code, out, err = called(capsys, "evaluate", "bicubic", "--task", "sr-x4", "--data", tmp_path, "--json")
    assert code == Exit.DONE
    assert [image["image"] for image in json.loads(out)["sets"][0]["images"]] == ["img_001", "img_002"]
    assert (
        "taken as pairs. 6 other files are left out (img_001_SRF_4_A+.png, img_001_SRF_4_SelfExSR.png, img_001_SRF_4_bicubic.png ...)"
        in err
    )


def test_a_card_s_set_in_one_folder_is_told_apart_too(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("SUITE_DATA", str(tmp_path))
    filled(tmp_path / "Set5", "SelfExSR", [f"{number:03d}" for number in range(5)])
    filled(tmp_path / "Rain100L", "rain")
    code, out, _ = called(capsys, "evaluate", "bicubic", "--task", "sr-x4", "--data", "Set5", "--json")
    assert (code, len(json.loads(out)["sets"][0]["images"])) == (Exit.DONE, 5)
    assert called(capsys, "evaluate", "bicubic", "--task", "sr-x2", "--data", "Set5")[0] == Exit.NOT_READY
    code, out, _ = called(capsys, "evaluate", "identity", "--task", "derain", "--data", "Rain100L", "--json")
    assert [image["image"] for image in json.loads(out)["sets"][0]["images"]] == ["001", "002", "010"]
    sets = {one["set"]: one for one in json.loads(called(capsys, "data", "check", "--json")[1])["sets"]}
    assert (sets["Set5"]["images"], sets["Set5"]["wrong"]) == (5, [])
    assert sets["Rain100L"]["images"] == 3
    save(tmp_path / "Set5/BSD.png", texture(9))
    sets = {one["set"]: one for one in json.loads(called(capsys, "data", "check", "--json")[1])["sets"]}
    assert "1 file pairs with none (BSD.png)" in sets["Set5"]["wrong"]
    with pytest.raises(SuiteError, match=r"pairs? with none"):
        file_pairs("Set5", split="test", kind="sr", scale=4, root=tmp_path)


def test_folders_below_a_set_pair_within_themselves(tmp_path):
    for name in ("sky/1", "sky/1x4", "sea/1", "sea/1x4", "sea/2", "sea/2x4"):
        save(tmp_path / f"OST/{name}.png", low_of(texture(0), 4 if name.endswith("x4") else 1))
    pairs = file_pairs("OST", split="train", kind="real-sr", scale=4, root=tmp_path)
    assert [(pair.name, pair.lq.name) for pair in pairs] == [("sea/1", "1x4.png"), ("sea/2", "2x4.png"), ("sky/1", "1x4.png")]


def test_two_folders_that_both_hold_both_sides_are_refused(tmp_path):
    for side in ("target", "input"):
        filled(tmp_path / side, "rain")
    with pytest.raises(SuiteError, match="target holds targets and low-quality files together") as caught:
        pair_sources(str(tmp_path), "test", task("derain"), protocol("derain-y"))
    assert caught.value.exit is Exit.NOT_READY


def test_nothing_is_trained_on_as_a_target_that_is_none(tmp_path):
    filled(tmp_path, "DIV2K")
    assert [name for name, _ in load_training(str(tmp_path), task("sr-x4")).images] == ["001", "002", "010"]
    assert [name for name, _ in load_images(str(tmp_path), "train")] == ["001", "002", "010"]
    filled(tmp_path / "rain", "gt and in")
    rainy = load_training(str(tmp_path / "rain"), task("derain"))
    np.testing.assert_array_equal(rainy.low[1], texture(1) // 2)


def test_score_asks_for_the_scale_where_targets_are_of_several(tmp_path, capsys):
    for scale in (2, 4):
        save(tmp_path / f"gt/a_SRF_{scale}_HR.png", texture(scale))
        save(tmp_path / f"gt/a_SRF_{scale}_LR.png", low_of(texture(scale), scale))
    save(tmp_path / "pred/a.png", texture(4))
    words = ("score", "--pred", tmp_path / "pred", "--gt", tmp_path / "gt", "--protocol", "derain-y")
    code, _, err = called(capsys, *words)
    assert code == Exit.NOT_READY
    assert "of x2 and x4: say by --scale N which targets are meant" in err
    code, out, _ = called(capsys, *words, "--scale", 4, "--json")
    assert json.loads(out)["protocols"][0]["mean"]["PSNR-Y"] == 100


@pytest.mark.outside
def test_selfexsr_s_files_in_one_folder_score_as_in_two(outside, tmp_path, capsys):
    for side in ("HR", "LR"):
        for path in (outside / "Set5" / "x4" / side).iterdir():
            (tmp_path / path.name).write_bytes(path.read_bytes())
    means = []
    for folder in (outside / "Set5" / "x4", tmp_path):
        code, out, _ = called(capsys, "evaluate", "bicubic", "--task", "sr-x4", "--data", folder, "--json")
        assert code == Exit.DONE
        means.append(json.loads(out)["sets"][0]["mean"])
    assert means[0] == means[1]
    assert means[1]["PSNR-Y"] == pytest.approx(28.430, abs=1e-3)
