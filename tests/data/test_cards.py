"""Cards of data sets, and finding the user's copies in the layouts that people keep."""

import numpy as np
import pytest
from PIL import Image
from places import OUTSIDE

from models.lookup import UnknownName
from suite.core.errors import Exit, SuiteError
from suite.data import cards
from suite.data.check.checks import report_card
from suite.data.check.inspection import Remembered
from suite.data.feed.training_set import load_training
from suite.data.images import read_image
from suite.data.layouts.locate import file_pairs, locate
from suite.study.tasks import TASKS

# fmt: off
NAMES = (
    "DIV2K", "Flickr2K", "DF2K", "OST", "Set5", "Set14", "BSD100", "Urban100", "Manga109", "General100", "DIV2K100",
    "NTIRE2020-T1", "AIM2019", "RealSRSet", "Rain13K", "Rain100L", "Rain100H", "Test100", "Test1200", "Test2800", "CBSD68",
    "Kodak24", "McMaster", "WED", "BSD500", "SIDD", "DND", "Classic5", "LIVE1", "DFWB", "photos",
    "GoPro", "HIDE", "RealBlur-R", "RealBlur-J", "SOTS-indoor", "SOTS-outdoor", "ITS", "OTS", "DPDD", "DPDD-indoor", "DPDD-outdoor",
    "RealSR-x2", "RealSR-x3", "RealSR-x4", "LSDIR",
)
# fmt: on

CARD = """
schema = 2
name = "Few"
title = "t"
aliases = ["Some"]
what = "w"
origin = "o"
licence = "not stated"
kinds = ["sr"]
layouts = ["plain"]
[splits]
test = 2
[[layout]]
of = "MambaIR"
kinds = ["sr"]
places = ["{set}"]
hq = "HR"
lq = "LR_bicubic/X{s}"
lq_names = ["{}x{s}"]
[[version]]
of = "v"
[version.pixels]
a = "0000000000000000000000000000000000000000000000000000000000000000"
"""


def picture(path, side=12, seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)).save(path)


PACKAGED = """
schema = 2
name = "Few"
title = "t"
what = "w"
origin = "o"
licence = "l"
kinds = ["sr"]
package = "some"
[splits]
test = 1
[[image]]
name = "a"
file = "a.png"
split = "test"
content = "c"
credit = "c"
licence = "l"
source = "s"
size = [2, 3]
"""


@pytest.fixture
def few(tmp_path):
    path = tmp_path / "few.toml"

    def load(text=CARD):
        path.write_text(text, encoding="utf-8")
        return cards.load_card(path)

    return load


def test_every_set_that_a_task_or_the_papers_name_has_a_card():
    assert set(NAMES) <= set(cards.cards())
    for task in TASKS.values():
        for name in (*task.train_sets, *task.test_sets):
            assert cards.card(name).name == name


def test_names_and_aliases_are_told_apart_whatever_their_case():
    known = [name.casefold() for one in cards.cards().values() for name in (one.name, *one.aliases)]
    assert len(known) == len(set(known))
    assert cards.card("bsds100") is cards.card("B100") is cards.cards()["BSD100"]
    with pytest.raises(UnknownName, match="Urban100"):
        cards.card("Urban10")


# What the sets are known to hold.
COUNTS = {
    "DIV2K": {"train": 800, "validation": 100},
    "Flickr2K": {"train": 2650},
    "DF2K": {"train": 3450},
    "DFWB": {"train": 8594},
    "OST": {"train": 10324},
    "Set5": {"test": 5},
    "Set14": {"test": 14},
    "BSD100": {"test": 100},
    "Urban100": {"test": 100},
    "Manga109": {"test": 109},
    "General100": {"test": 100},
    "DIV2K100": {"test": 100},
    "RealSRSet": {"test": 20},
    "Rain13K": {"train": 13711},
    "Rain100L": {"test": 100},
    "Rain100H": {"test": 100},
    "Test100": {"test": 98},
    "Test1200": {"test": 1200},
    "Test2800": {"test": 2800},
    "CBSD68": {"test": 68},
    "Kodak24": {"test": 24},
    "McMaster": {"test": 18},
    "WED": {"train": 4744},
    "BSD500": {"train": 200, "validation": 100, "test": 200},
    "SIDD": {"train": 0, "validation": 1280},
    "DND": {"test": 50},
    "photos": {"train": 7, "validation": 1, "test": 6},
    "Classic5": {"test": 5},
    "LIVE1": {"test": 29},
    "GoPro": {"test": 1111, "train": 2103},
    "HIDE": {"test": 2025, "train": 6397},
    "RealBlur-R": {"test": 980, "train": 3758},
    "RealBlur-J": {"test": 980, "train": 3758},
    "SOTS-indoor": {"test": 500},
    "SOTS-outdoor": {"test": 500},
    "ITS": {"train": 13990},
    "OTS": {"train": 72135},
    "DPDD": {"test": 76, "train": 350, "validation": 74},
    "DPDD-indoor": {"test": 37},
    "DPDD-outdoor": {"test": 39},
    "RealSR-x2": {"test": 0, "train": 0},
    "LSDIR": {"train": 84991, "validation": 1000},
}


@pytest.mark.parametrize("name", COUNTS)
def test_counts_are_the_known_ones(name):
    assert cards.card(name).splits == COUNTS[name]
    again = cards.Card.model_validate(cards.card(name).model_dump(by_alias=True))
    assert again == cards.card(name)


def test_parts_and_shared_images_are_of_known_sets():
    for one in cards.cards().values():
        for part in one.parts:
            name, _, split = part.rpartition(":")
            assert split in cards.cards()[name].splits
        assert all(shared.set in cards.cards() for shared in one.shares)
    parts = [part.rpartition(":") for part in cards.card("DFWB").parts]
    assert sum(cards.card(name).splits[split] for name, _, split in parts) == cards.card("DFWB").splits["train"]


def test_cards_state_origin_licence_and_layouts():
    for one in cards.cards().values():
        assert one.origin
        assert one.licence
        assert one.image if one.package else len(list(cards.draw_layout(one, one.ways[0]))) >= 3


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('licence = "not stated"', 'licence = "not stated"\ncolour = 1', "colour: unknown key"),
        ('of = "MambaIR"', 'of = "MambaIR"\nsides = 2', "layout.0.sides: unknown key"),
        ('licence = "not stated"\n', "", "licence: Field required"),
        ('hq = "HR"', 'hq = "../HR"', "'../HR' leaves the data folder"),
        ('hq = "HR"', 'hq = "/data/HR"', "leaves the data folder"),
        ('hq = "HR"', 'hq = "C:/data"', "leaves the data folder"),
        ('hq = "HR"', 'hq = "~/data"', "leaves the data folder"),
        ('places = ["{set}"]', 'places = ["a/../../{set}"]', "leaves the data folder"),
        ('lq_names = ["{}x{s}"]', 'lq_names = ["../{}"]', "not a file name"),
        ('lq_names = ["{}x{s}"]', 'lq_names = ["x{s}"]', "not a file name"),
        ('hq = "HR"', 'hq = "{scale}"', "braces that mean nothing"),
        ('name = "Few"', 'name = "../Few"', "name: "),
        ('aliases = ["Some"]', 'aliases = [".."]', "aliases.0: "),
        ('kinds = ["sr"]\nplaces', "places", "for which kinds of task"),
        ('kinds = ["sr"]\nlayouts', 'kinds = ["blur"]\nlayouts', "kinds.0"),
        ('layouts = ["plain"]', 'layouts = ["plane"]', "no shared layout is called 'plane'. Did you mean 'plain'"),
        ("test = 2\n", "test = 2\n[numbers]\ntrain = [1, 2]\n", "no count of it is given"),
        ("test = 2", "testing = 2", "splits"),
        ('a = "0', 'a = "z', "version.0.pixels.a"),
        ("schema = 2", "schema = 1", "schema"),
        ('licence = "not stated"', 'licence = "not stated"\npackage = "some"', "lists its images, and no other does"),
        ("[[layout]]", "[[layout]", "not TOML"),
    ],
)
def test_a_faulty_card_is_refused_and_the_field_is_named(few, old, new, said):
    assert old in CARD
    few(CARD)
    with pytest.raises(SuiteError) as raised:
        few(CARD.replace(old, new, 1))
    assert said in str(raised.value)
    assert "few.toml" in str(raised.value)


def test_a_set_that_a_package_ships_has_images_and_no_layouts(few):
    assert few(PACKAGED).ways == ()
    for old, new, said in (
        ("test = 1", "test = 2", "the splits count other images"),
        ('split = "test"', 'split = "train"', "the splits count other images"),
        ('package = "some"', 'package = "some"\nlayouts = ["plain"]', "or names the package"),
        ('package = "some"\n', "", "lists its images, and no other does"),
        ('file = "a.png"', 'file = "../a.png"', "image.0.file"),
    ):
        with pytest.raises(SuiteError, match=said):
            few(PACKAGED.replace(old, new, 1))


# layout's owner, files, card, kind, scale, level, whether low-quality files are found
TREES = {
    "MambaIR, SR": (("SR/Set5/HR/baby.png", "SR/Set5/LR_bicubic/X2/babyx2.png"), "Set5", "sr", 2, None, True),
    "MambaIR, Manga109": (("SR/Manga109/HR/A.png", "SR/Manga109/LR_bicubic/X4/A_LRBI_x4.png"), "Manga109", "sr", 4, None, True),
    "an alias, another case": (("sr/b100/hr/1.png", "sr/b100/lr_bicubic/x2/1x2.png"), "BSDS100", "sr", 2, None, True),
    "BasicSR": (("Set14/GTmod12/a.png", "Set14/LRbicx4/a.png"), "Set14", "sr", 4, None, True),
    "SelfExSR": (("Urban100/image_SRF_2/i_SRF_2_HR.png", "Urban100/image_SRF_2/i_SRF_2_LR.png"), "Urban100", "sr", 2, None, True),
    "DIV2K": (("DIV2K/DIV2K_train_HR/0001.png", "DIV2K/DIV2K_train_LR_bicubic/X4/0001x4.png"), "DIV2K", "sr", 4, None, True),
    "targets alone": (("Set5/baby.bmp",), "Set5", "sr", 2, None, False),
    "MambaIR, noise": (("ColorDN/CBSD68HQ/1.png",), "CBSD68", "denoise", 1, 25, False),
    "MambaIR, JPEG": (("CAR/classic5/Classic5_HQ/a.bmp", "CAR/classic5/Classic5_LQ/10/a.jpg"), "classic5", "jpeg", 1, 10, True),
    "JPEG of another quality": (("CAR/classic5/Classic5_HQ/a.bmp", "CAR/classic5/Classic5_LQ/10/a.jpg"), "classic5", "jpeg", 1, 20, False),
    "Restormer": (("Datasets/test/Rain100L/target/1.png", "Datasets/test/Rain100L/input/1.jpg"), "Rain100L", "derain", 1, None, True),
    "real pairs": (("NTIRE2020/track1-valid-gt/0.png", "NTIRE2020/track1-valid-input/0.png"), "NTIRE2020", "real-sr", 4, None, True),
    "Restormer, motion": (("Datasets/test/GoPro/target/1.png", "Datasets/test/GoPro/input/1.png"), "GoPro", "motion-deblur", 1, None, True),
    "HI-Diff, an alias": (("RealBlur_J/test/target/1.png", "RealBlur_J/test/input/1.png"), "RealBlur-J", "motion-deblur", 1, None, True),
    "MMagic": (("HIDE/test/sharp/1.png", "HIDE/test/blur/1.png"), "HIDE", "motion-deblur", 1, None, True),
    "defocus": (("test/DPDD/target/1.png", "test/DPDD/inputC/1.png"), "DPDD", "defocus-deblur", 1, None, True),
    "RealSR": (("RealSR/test_x2/HR/C_1_HR.png", "RealSR/test_x2/LR/C_1_LR2.png"), "RealSR-x2", "same-size-sr", 1, None, True),
    "RealSR, two folders": (("RealSR-x4/HR/C_1.png", "RealSR-x4/LR/C_1.png"), "RealSR-x4", "same-size-sr", 1, None, True),
    "targets for another task": (("SR/Set5/HR/a.png", "SR/Set5/LR_bicubic/X2/ax2.png"), "Set5", "denoise", 1, 15, False),
}


@pytest.mark.parametrize("tree", TREES)
def test_layouts_are_found_and_files_paired_by_name(tmp_path, tree):
    files, name, kind, scale, level, low = TREES[tree]
    for file in files:
        picture(tmp_path / file)
    split = next(iter(cards.card(name).splits))
    (pair,) = file_pairs(name, split=split, kind=kind, scale=scale, level=level, root=tmp_path)
    assert pair.hq is not None
    assert pair.hq == tmp_path / files[0]
    assert pair.lq == (tmp_path / files[1] if low else None)


def test_hazy_files_share_their_target(tmp_path):
    for file in ("gt/1400.png", "gt/1401.png", "hazy/1400_1.png", "hazy/1400_2.png", "hazy/1401_1.png"):
        picture(tmp_path / "SOTS/indoor" / file, seed=hash(file) % 100)
    pairs = file_pairs("SOTS-indoor", split="test", kind="dehaze", root=tmp_path)
    found = [(pair.name, pair.hq.name, pair.lq.name) for pair in pairs]
    assert found == [
        ("1400_1", "1400.png", "1400_1.png"),
        ("1400_2", "1400.png", "1400_2.png"),
        ("1401_1", "1401.png", "1401_1.png"),
    ]
    picture(tmp_path / "SOTS/indoor/hazy/1402_1.png")
    with pytest.raises(SuiteError, match=r"1402_1\.png"):
        file_pairs("SOTS-indoor", split="test", kind="dehaze", root=tmp_path)


def test_targets_called_like_their_hazy_files_are_found_too(tmp_path):
    for file in ("GT/0005_0.8_0.04.jpg", "hazy/0005_0.8_0.04.jpg"):
        picture(tmp_path / "RESIDE-OUT/test" / file)
    (pair,) = file_pairs("SOTS-outdoor", split="test", kind="dehaze", root=tmp_path)
    assert (pair.hq.parent.name, pair.lq.parent.name) == ("GT", "hazy")


def test_pairs_of_hazy_files_are_counted_not_targets(tmp_path):
    for file in ("gt/1400.png", "hazy/1400_1.png", "hazy/1400_2.png"):
        picture(tmp_path / "SOTS/indoor" / file)
    (report,) = report_card(cards.card("SOTS-indoor"), tmp_path, Remembered(tmp_path / "known"))
    assert report.images == 2
    assert any("2 images" in line and "500" in line for line in report.wrong)


def test_training_takes_the_pairs_of_a_set(tmp_path, monkeypatch):
    """Of blur and haze as of rain: what the set's authors made, and not what the suite would make."""
    monkeypatch.setenv("SUITE_DATA", str(tmp_path))
    for side, seed in (("target", 0), ("input", 1)):
        picture(tmp_path / "GoPro/train" / side / "1.png", side=16, seed=seed)
    made = load_training("GoPro", TASKS["motion-deblur"])
    assert (made.low[0] != made.images[0][1]).any()
    np.testing.assert_array_equal(made.low[0], read_image(tmp_path / "GoPro/train/input/1.png"))


def test_real_photographs_have_no_targets(tmp_path):
    picture(tmp_path / "RealSRSet/frog.png")
    (pair,) = file_pairs("RealSRSet", split="test", kind="real-sr", scale=4, root=tmp_path)
    assert (pair.name, pair.hq) == ("frog", None)


def test_the_first_layout_of_the_card_is_taken(tmp_path):
    picture(tmp_path / "Set5/HR/other.png")
    picture(tmp_path / "SR/Set5/HR/first.png")
    assert [pair.name for pair in file_pairs("Set5", split="test", kind="sr", scale=2, root=tmp_path)] == ["first"]
    assert len(locate(cards.card("Set5"), tmp_path, scale=2)) > 1


def test_pairs_without_a_partner_are_listed(tmp_path):
    for name in ("a", "b"):
        picture(tmp_path / f"Rain100L/target/{name}.png")
    picture(tmp_path / "Rain100L/input/a.png")
    with pytest.raises(SuiteError, match=r"b\.png"):
        file_pairs("Rain100L", split="test", kind="derain", root=tmp_path)


def test_a_set_that_is_not_here_says_where_it_was_looked_for(tmp_path, monkeypatch):
    with pytest.raises(SuiteError, match="SR/Urban100/HR") as raised:
        file_pairs("Urban100", split="test", kind="sr", scale=2, root=tmp_path)
    assert raised.value.exit == Exit.NOT_READY
    monkeypatch.delenv("SUITE_DATA", raising=False)
    with pytest.raises(SuiteError, match="SUITE_DATA, which is not set"):
        file_pairs("Urban100", split="test", kind="sr", scale=2)


def test_a_training_set_is_no_test_set(tmp_path):
    picture(tmp_path / "DIV2K_train_HR/0001.png")
    with pytest.raises(SuiteError, match="no split 'test'"):
        file_pairs("DIV2K", split="test", kind="sr", scale=2, root=tmp_path)


@pytest.mark.outside
@pytest.mark.parametrize(
    ("name", "kind", "scale", "count", "low"),
    [
        ("Set5", "sr", 3, 5, True),
        ("Kodak24", "denoise", 1, 24, False),
        ("Classic5", "jpeg", 1, 5, False),
        ("Rain100L", "derain", 1, 100, True),
    ],
)
def test_real_sets_are_found_as_they_lie(name, kind, scale, count, low):
    if not OUTSIDE.is_dir():
        pytest.skip(f"needs the real images in {OUTSIDE}")
    pairs = file_pairs(name, split="test", kind=kind, scale=scale, level=10, root=OUTSIDE)
    assert len(pairs) == count
    assert all((pair.lq is not None) == low for pair in pairs)
