"""Finding a set in the layouts that people keep, pairing its files by name, and .mat files."""

import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from suite.core.errors import Exit, SuiteError
from suite.data.cards import card, cards
from suite.data.layouts import locate as locate_module
from suite.data.layouts.locate import file_pairs, locate
from suite.data.layouts.pairing import only_pairs, pair_up
from suite.data.mat_files import block_names, describe_mat, read_block
from suite.data.sets import pair_sources
from suite.study.protocols import protocol
from suite.study.tasks import TASKS


def picture(path, seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (12, 12, 3), dtype=np.uint8)).save(path)


# files, set, split, kind, scale, level, (image's name, target, low-quality file) of each pair
TREES = {
    "DIV2K, by its numbers": (
        ("DIV2K/HR/0001.png", "DIV2K/HR/0801.png", "DIV2K/LR_bicubic/X2/0001x2.png", "DIV2K/LR_bicubic/X2/0801x2.png"),
        ("DIV2K", "validation", "sr", 2, None),
        [("0801", "DIV2K/HR/0801.png", "DIV2K/LR_bicubic/X2/0801x2.png")],
    ),
    "DIV2K's validation as a test set": (
        ("DIV2K_valid_HR/0801.png", "DIV2K_valid_LR_bicubic/X4/0801x4.png"),
        ("DIV2K100", "test", "sr", 4, None),
        [("0801", "DIV2K_valid_HR/0801.png", "DIV2K_valid_LR_bicubic/X4/0801x4.png")],
    ),
    "DF2K from its parts": (
        ("DIV2K/DIV2K_train_HR/0001.png", "Flickr2K/Flickr2K_HR/000001.png"),
        ("DF2K", "train", "sr", 2, None),
        [("DIV2K/0001", "DIV2K/DIV2K_train_HR/0001.png", None), ("Flickr2K/000001", "Flickr2K/Flickr2K_HR/000001.png", None)],
    ),
    "OST and DF2K from their parts": (
        ("DIV2K/DIV2K_train_HR/0001.png", "Flickr2K/Flickr2K_HR/000001.png", "OutdoorSceneTrain_v2/sky/sky_1.png"),
        ("DF2K+OST", "train", "real-sr", 4, None),
        [
            ("DIV2K/0001", "DIV2K/DIV2K_train_HR/0001.png", None),
            ("Flickr2K/000001", "Flickr2K/Flickr2K_HR/000001.png", None),
            ("OST/sky/sky_1", "OutdoorSceneTrain_v2/sky/sky_1.png", None),
        ],
    ),
    "DF2K, MambaIR": (
        ("DF2K/HR/0001.png", "DF2K/LR_bicubic/X3/0001x3.png"),
        ("DF2K", "train", "sr", 3, None),
        [("0001", "DF2K/HR/0001.png", "DF2K/LR_bicubic/X3/0001x3.png")],
    ),
    "OST, a folder a category": (
        ("OutdoorSceneTrain_v2/sky/sky_1.png", "OutdoorSceneTrain_v2/plant/plant_1.png"),
        ("OST", "train", "real-sr", 4, None),
        [("plant/plant_1", "OutdoorSceneTrain_v2/plant/plant_1.png", None), ("sky/sky_1", "OutdoorSceneTrain_v2/sky/sky_1.png", None)],
    ),
    "SelfExSR, HR and LR in one folder": (
        (
            "data/Set5/image_SRF_4/img_001_SRF_4_HR.png",
            "data/Set5/image_SRF_4/img_001_SRF_4_LR.png",
            "data/Set5/image_SRF_4/img_001_SRF_4_A.png",
        ),
        ("Set5", "test", "sr", 4, None),
        [("img_001", "data/Set5/image_SRF_4/img_001_SRF_4_HR.png", "data/Set5/image_SRF_4/img_001_SRF_4_LR.png")],
    ),
    "a folder a scale": (
        ("Set5/x3/HR/img_001_SRF_3_HR.png", "Set5/x3/LR/img_001_SRF_3_LR.png"),
        ("Set5", "test", "sr", 3, None),
        [("img_001", "Set5/x3/HR/img_001_SRF_3_HR.png", "Set5/x3/LR/img_001_SRF_3_LR.png")],
    ),
    "RCAN": (
        ("HR/Manga109/x4/A_HR_x4.png", "LR/LRBI/Manga109/x4/A_LRBI_x4.png"),
        ("Manga109", "test", "sr", 4, None),
        [("A", "HR/Manga109/x4/A_HR_x4.png", "LR/LRBI/Manga109/x4/A_LRBI_x4.png")],
    ),
    "Restormer, training": (
        ("Datasets/train/Rain13K/target/1.jpg", "Datasets/train/Rain13K/input/1.jpg"),
        ("Rain13K", "train", "derain", 1, None),
        [("1", "Datasets/train/Rain13K/target/1.jpg", "Datasets/train/Rain13K/input/1.jpg")],
    ),
    "the rain sets' own names": (
        ("Rain100H/norain-001.png", "Rain100H/rainy/rain-001.png"),
        ("Rain100H", "test", "derain", 1, None),
        [("001", "Rain100H/norain-001.png", "Rain100H/rainy/rain-001.png")],
    ),
    "MambaIR, training denoisers": (("DFWB_RGB/HQ/1.png",), ("DFWB", "train", "denoise", 1, 25), [("1", "DFWB_RGB/HQ/1.png", None)]),
    "MambaIR, training JPEG": (
        ("DFWB_CAR/HQ/1.png", "DFWB_CAR/LQ/10/1.jpg"),
        ("DFWB", "train", "jpeg", 1, 10),
        [("1", "DFWB_CAR/HQ/1.png", "DFWB_CAR/LQ/10/1.jpg")],
    ),
    "LIVE1": (
        ("CAR/LIVE1/LIVE1_HQ/a.bmp", "CAR/LIVE1/LIVE1_LQ/40/a.jpg"),
        ("live1", "test", "jpeg", 1, 40),
        [("a", "CAR/LIVE1/LIVE1_HQ/a.bmp", "CAR/LIVE1/LIVE1_LQ/40/a.jpg")],
    ),
    "BSD500, by its own splits": (
        ("BSR/BSDS500/data/images/val/1.jpg", "BSR/BSDS500/data/images/train/2.jpg"),
        ("BSDS500", "train", "denoise", 1, 15),
        [("2", "BSR/BSDS500/data/images/train/2.jpg", None)],
    ),
    "SIDD, crops": (
        ("SIDD/train/target_crops/1.png", "SIDD/train/input_crops/1.png"),
        ("SIDD", "train", "real-denoise", 1, None),
        [("1", "SIDD/train/target_crops/1.png", "SIDD/train/input_crops/1.png")],
    ),
    "AIM 2019": (
        ("AIM19/valid-gt-clean/0.png", "AIM19/valid-input-noisy/0.png"),
        ("AIM2019", "test", "real-sr", 4, None),
        [("0", "AIM19/valid-gt-clean/0.png", "AIM19/valid-input-noisy/0.png")],
    ),
}


@pytest.mark.parametrize("case", ["as it is", "upper case"])
@pytest.mark.parametrize("tree", TREES)
def test_the_trees_that_people_have_are_found(tmp_path, tree, case):
    files, (name, split, kind, scale, level), expected = TREES[tree]

    def spelled(file):
        folder, _, last = file.rpartition("/")
        return f"{folder.upper() if case == 'upper case' and not tree.startswith('OST') else folder}/{last}".lstrip("/")

    for file in files:
        picture(tmp_path / spelled(file))
    pairs = file_pairs(name, split=split, kind=kind, scale=scale, level=level, root=tmp_path)
    wanted = [(image, tmp_path / spelled(high), None if low is None else tmp_path / spelled(low)) for image, high, low in expected]
    assert [(pair.name, pair.hq, pair.lq) for pair in pairs] == wanted


def test_every_first_layout_of_every_card_is_found_where_it_says(tmp_path):
    for one in cards().values():
        for way in one.layout or one.ways[:1]:
            for split, spelled in (way.splits or {next(iter(one.splits)): ""}).items():
                root = tmp_path / f"{one.name}-{split}-{one.ways.index(way)}"
                number = one.numbers.get(split, (1, 1))[0]
                for side, names in ((way.hq.replace("{high}", "GT"), way.hq_names), (way.lq.replace("{low}", "lq"), way.lq_names)):
                    folder = f"{way.places[0]}/{side}".replace("{set}", one.name).replace("{split}", spelled)
                    folder = folder.replace("{s}", "2").replace("{q}", "10")
                    if side.endswith(".mat"):
                        (root / folder).parent.mkdir(parents=True, exist_ok=True)
                        (root / folder).touch()
                    elif side:
                        name = (names[0] if names else "{}").replace("{}", f"{number:04d}").replace("{s}", "2")
                        picture(root / folder / f"{name}.png")
                assert any(found.split == split for found in locate(one, root, scale=2, level=10)), (one.name, way.of)


def test_several_copies_are_named_once_and_an_alias_goes_first(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(locate_module, "_said", set())
    picture(tmp_path / "Set5_SwinIR/HR/new.png")
    picture(tmp_path / "Set5_SwinIR/LR_bicubic/X2/newx2.png")
    picture(tmp_path / "Set5/x2/HR/old.png")
    picture(tmp_path / "Set5/x2/LR/old.png")
    for _ in range(2):
        assert [pair.name for pair in file_pairs("Set5", split="test", kind="sr", scale=2, root=tmp_path)] == ["new"]
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert f"Set5 (test) was found 2 times; using {tmp_path / 'Set5_SwinIR/HR'}, not {tmp_path / 'Set5/x2/HR'}" in said
    picture(tmp_path / "B100/HR/a.png")
    picture(tmp_path / "SR/BSD100/HR/b.png")
    assert [pair.name for pair in file_pairs("B100", split="test", kind="sr", scale=2, root=tmp_path)] == ["a"]
    assert [pair.name for pair in file_pairs("BSD100", split="test", kind="sr", scale=2, root=tmp_path)] == ["b"]


def test_a_layout_with_low_quality_files_is_taken_before_targets_alone(tmp_path):
    picture(tmp_path / "SR/Set5/HR/a.png")
    picture(tmp_path / "Set5/x2/HR/b.png")
    picture(tmp_path / "Set5/x2/LR/b.png")
    assert [pair.name for pair in file_pairs("Set5", split="test", kind="sr", scale=2, root=tmp_path)] == ["b"]
    assert [pair.name for pair in file_pairs("Set5", split="test", kind="sr", scale=4, root=tmp_path)] == ["a"]


def test_folders_of_usual_names_serve_the_tasks_that_a_set_is_for(tmp_path):
    for name in ("Set5/GT/a.png", "Set5/LQ/a.png", "Rain100L/HR/1.png", "Rain100L/LR/1.png"):
        picture(tmp_path / name)
    found = [
        file_pairs(name, split="test", kind=kind, scale=scale, root=tmp_path)[0].lq
        for name, kind, scale in (("Set5", "sr", 2), ("Set5", "denoise", 1), ("Rain100L", "derain", 1))
    ]
    assert found == [tmp_path / "Set5/LQ/a.png", None, tmp_path / "Rain100L/LR/1.png"]


def test_a_set_whose_part_is_missing_is_not_put_together(tmp_path):
    picture(tmp_path / "Flickr2K/Flickr2K_HR/000001.png")
    with pytest.raises(SuiteError, match=r"DF2K .* is not in") as caught:
        file_pairs("DF2K", split="train", kind="sr", scale=2, root=tmp_path)
    assert caught.value.exit is Exit.NOT_READY


STEMS = st.text(st.sampled_from("abAB_-01x"), min_size=1, max_size=6)


@given(st.sets(STEMS, min_size=1, max_size=8), st.sampled_from(["{}", "{}x2", "{}_x2", "{}_LR_x2", "{}_LRBI_x2"]), st.randoms())
def test_whatever_the_names_no_file_gets_a_wrong_partner(stems, pattern, random):
    high = [Path(f"hr/{stem}.png") for stem in sorted(stems)]
    low = [Path(f"lr/{pattern.replace('{}', stem)}.jpg") for stem in stems]
    random.shuffle(low)
    found = pair_up(high, low, scale=2, hq_names=("{}",), lq_names=(pattern,))
    pairs = {(hq.stem, lq.stem) for _, hq, lq in found.pairs}
    assert all(low_stem == pattern.replace("{}", stem) for stem, low_stem in pairs)
    assert len(pairs) == len(stems)
    usual = pair_up(high, low, scale=2)  # names that fit several are told, never guessed
    assert len(usual.pairs) == len(stems) or usual.problems()
    assert len({lq for _, _, lq in usual.pairs}) == len(usual.pairs)


@given(st.sets(STEMS.map(str.lower), min_size=2, max_size=8), st.data())
def test_a_file_that_is_missing_is_listed_and_nothing_moves_up(stems, data):
    gone = data.draw(st.sampled_from(sorted(stems)))
    high = [Path(f"hr/{stem}.png") for stem in sorted(stems)]
    low = [Path(f"lr/{stem}.png") for stem in sorted(stems - {gone})]
    found = pair_up(high, low, hq_names=("{}",), lq_names=("{}",))
    assert [path.stem for path in found.lonely_targets] == [gone]
    assert all(hq.stem == lq.stem for _, hq, lq in found.pairs)
    with pytest.raises(SuiteError, match="1 high-quality without low-quality"):
        only_pairs(found)


def mats(place, blocks):
    from scipy.io import savemat

    place.mkdir(parents=True, exist_ok=True)
    for side, held in blocks.items():
        savemat(place / f"Validation{side}BlocksSrgb.mat", {f"Validation{side}BlocksSrgb": held})


def test_sidd_s_blocks_are_pairs(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    blocks = {side: rng.integers(0, 256, (2, 3, 8, 8, 3), dtype=np.uint8) for side in ("Gt", "Noisy")}
    mats(tmp_path / "RealDN/SIDD", blocks)
    pairs = file_pairs("SIDD", split="validation", kind="real-denoise", root=tmp_path)
    assert [pair.name for pair in pairs] == ["01-01", "01-02", "01-03", "02-01", "02-02", "02-03"]
    np.testing.assert_array_equal(read_block(pairs[4].lq, pairs[4].block), blocks["Noisy"][1, 1])
    monkeypatch.setenv("SUITE_DATA", str(tmp_path))
    source = pair_sources("SIDD", "test", TASKS["real-denoise"], protocol("sidd-blocks"))[5]
    loaded = source.load()
    np.testing.assert_array_equal(loaded.hq, blocks["Gt"][1, 2])
    np.testing.assert_array_equal(loaded.lq, blocks["Noisy"][1, 2])


def test_dnd_s_files_are_inputs_without_targets(tmp_path):
    from scipy.io import savemat

    (tmp_path / "RealDN/DND/ValidationNoisyBlocksSrgb").mkdir(parents=True)
    for number in (1, 2):
        savemat(tmp_path / f"RealDN/DND/ValidationNoisyBlocksSrgb/{number:04d}.mat", {"Inoisy": np.zeros((4, 4, 3))})
    pairs = file_pairs("DND", split="test", kind="real-denoise", root=tmp_path)
    assert [(pair.name, pair.hq) for pair in pairs] == [("0001", None), ("0002", None)]
    assert describe_mat(pairs[0].lq).statement == "MATLAB up to 7: Inoisy 4x4x3 double"


def test_mat_files_that_cannot_be_used_are_named(tmp_path):
    from scipy.io import savemat

    savemat(tmp_path / "flat.mat", {"a": np.zeros((4, 4))})
    with pytest.raises(SuiteError, match=r"flat\.mat should hold one variable of uint8 blocks.*a 4x4 double"):
        block_names(tmp_path / "flat.mat")
    (tmp_path / "text.mat").write_text("no MATLAB file at all, but long enough to have a head of its own" * 9)
    (tmp_path / "new.mat").write_bytes(b"MATLAB 7.3".ljust(512, b" ") + b"\x89HDF\r\n\x1a\n")
    for name, said in (("text.mat", "cannot be read as a .mat file"), ("none.mat", "cannot be read"), ("new.mat", "7.3|h5py|mat file")):
        with pytest.raises(SuiteError, match=said) as caught:
            describe_mat(tmp_path / name)
        assert str(tmp_path / name) in str(caught.value)
        assert caught.value.exit is Exit.NOT_READY


def test_version_7_3_asks_for_h5py_where_it_is_missing(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "h5py", None)
    (tmp_path / "new.mat").write_bytes(b"MATLAB 7.3".ljust(512, b" ") + b"\x89HDF\r\n\x1a\n")
    with pytest.raises(SuiteError, match=r"new\.mat is .* version 7\.3.*`pip install 'h5py>=3\.10'`"):
        describe_mat(tmp_path / "new.mat")


def test_names_of_cards_cannot_be_folders_elsewhere(tmp_path):
    picture(tmp_path / "outside.png")
    (tmp_path / "data").mkdir()
    assert locate(card("Set5"), tmp_path / "data", scale=2) == []
