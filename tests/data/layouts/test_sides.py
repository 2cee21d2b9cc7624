"""Folders called after their side: what a name says, and which folders are a layout together."""

import pytest

from suite.data.layouts.sides import read_name, say_there, usual_ways

NAMES = {
    "GT": ("high", "", None),
    "Ground Truth": ("high", "", None),
    "high-quality": ("high", "", None),
    "GTmod12": ("high", "", None),
    "HR_x4": ("high", "", 4),
    "DIV2K_train_HR": ("high", "div2k train", None),
    "target_crops": ("high", "", None),
    "DIV2K_train_HR_sub": ("high", "div2k train", None),
    "rainy_image": ("low", "", None),
    "blur_gamma": ("low", "gamma", None),
    "LQ": ("low", "", None),
    "lrx2": ("low", "", 2),
    "LR4": ("low", "", 4),
    "LR-2x": ("low", "", 2),
    "LRbicx3": ("low", "", 3),
    "LR_bicubic": ("low", "", None),
    "LR_bicubic_X4": ("low", "", 4),
    "DIV2K_valid_LR_bicubic": ("low", "div2k valid", None),
    "HR_train_x2": ("high", "train", 2),
    "X2": (None, "", 2),
    "3x": (None, "", 3),
    "set5": None,
    "x": None,
    "photos": None,
    "highway": None,
    "results": None,
}


@pytest.mark.parametrize("name", NAMES)
def test_a_name_says_side_core_and_scale(name):
    read = read_name(name)
    assert (read and (read.side, read.core, read.scale)) == NAMES[name]


@pytest.mark.parametrize("name", ["noisy25", "noise_sigma25", "LQ_25", "lq-q25", "25", "q25"])
def test_a_name_says_a_level(name):
    assert read_name(name).level == 25


def plant(base, *files):
    for file in files:
        path = base / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def ways(base):
    return [(way.high and way.high.name, way.low and way.low.name, way.problem) for way in usual_ways(base)]


SOUND = {
    "two folders": (("gt/a.png", "lq/a.png"), [("gt", "lq", "")]),
    "scales below": (("HR/a.png", "LR/X2/a.png", "LR/X4/a.png"), [("HR", "LR/X2", ""), ("HR", "LR/X4", "")]),
    "scales of both": (("HR/x2/a.png", "HR/x4/a.png", "LR/x4/a.png"), [("HR/x4", "LR/x4", "")]),
    "scales above": (("X2/GT/a.png", "X2/LQ/a.png"), [("X2/GT", "X2/LQ", "")]),
    "qualities": (("A_HQ/a.png", "A_LQ/10/a.jpg"), [("A_HQ", "A_LQ/10", "")]),
    "targets directly": (("a.png", "input/a.png"), [(None, "input", "")]),
    "targets alone": (("sharp/a.png", "other/a.png"), [("sharp", None, "")]),
    "two words more": (("ground_truth/a.png", "rainy_image/a.png"), [("ground_truth", "rainy_image", "")]),
    "another core": (("sharp/a.png", "blur/a.png", "blur_gamma/a.png"), [("sharp", "blur", "")]),
    "the only low-quality folder": (("sharp/a.png", "blur_gamma/a.png"), [("sharp", "blur_gamma", "")]),
    "levels in names": (("clean/a.png", "noisy_15/a.png", "noisy_50/a.png"), [("clean", "noisy_15", ""), ("clean", "noisy_50", "")]),
    "scales as numbers": (("HR/a.png", "LR/2/a.png"), [("HR", "LR/2", "")]),
    "patches": (("HR_sub/a.png", "LR_bicubic/X2_sub/a.png"), [("HR_sub", "LR_bicubic/X2_sub", "")]),
    "a folder of another set beside": (("HR/a.png", "LR/a.png", "old_LR/a.png"), [("HR", "LR", "")]),
    "no image in a folder of targets": (("a.png", "original/a.raw"), []),
    "other folders": (("a.png", "results/a.png"), []),
}


@pytest.mark.parametrize("case", SOUND)
def test_folders_of_both_sides_are_a_layout(tmp_path, case):
    files, expected = SOUND[case]
    plant(tmp_path, *files)
    assert ways(tmp_path) == expected


FAULTY = {
    "two folders of targets": (("HR/a.png", "gt/a.png", "LR/a.png"), "has both HR/ and gt/; keep the one that is meant"),
    "two of one name but for case": (("HR/a.png", "hr/a.png"), "has both HR/ and hr/"),
    "two low-quality folders of other cores": (("HR/a.png", "a_LR/a.png", "b_LR/a.png"), "has both a_LR/ and b_LR/"),
    "two low-quality folders": (("HR/a.png", "LR/a.png", "input/a.png"), "has both LR/ and input/"),
    "two sets": (("a_HR/1.png", "b_HR/1.png"), "holds several sets (a_HR, b_HR)"),
    "no low-quality image": (("HR/a.png", "LR/readme.txt"), "has LR/, but no images are in it"),
    "no targets": (("LR/a.png",), "has LR/ but no folder with the targets; they go into HR/ or GT/"),
    "no targets of the scale": (("HR/x2/a.png", "LR/x4/a.png"), "but no folder with the targets, only HR/x2/"),
}


@pytest.mark.parametrize("case", FAULTY)
def test_what_is_not_clear_is_a_problem_and_never_a_choice(tmp_path, case):
    files, said = FAULTY[case]
    plant(tmp_path, *files)
    (way,) = usual_ways(tmp_path)
    assert said in way.problem


def test_what_is_there_is_said(tmp_path):
    assert say_there(tmp_path) == "There is: nothing."
    plant(tmp_path, "test/GT/a.png", "more/b.png", "notes/c.txt", "readme.md")
    said = "targets and low-quality folders in test/; images in more/; the sub-folders notes/; 1 other files"
    assert say_there(tmp_path) == f"There is: {said}. Name the folder of one set."
