"""Data sets from folders and cards, checksums, and the leak check."""

from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest

from models.lookup import UnknownName
from suite.core.errors import Exit, SuiteError
from suite.data.cards import SPLITS
from suite.data.degrade.degradations import DEGRADATIONS
from suite.data.feed.sampler import PatchSampler
from suite.data.feed.training_set import check_disjoint, checksum, load_training, pair_images
from suite.data.images import encode_png
from suite.data.pairs import Pair
from suite.data.resize import imresize, mod_crop
from suite.data.sets import canonical_name, load_images, load_pairs, resolve_folder
from suite.measure.inference import ensemble
from suite.study.protocols import protocol
from suite.study.tasks import TASKS

RULE = protocol("sr-y")
TO_X2, TO_X4, REAL = (TASKS[name] for name in ("sr-x2", "sr-x4", "real-sr-x4"))
X2, X4, BLIND = (DEGRADATIONS[name] for name in ("bicubic-x2", "bicubic-x4", "blind-x4"))


def random_image(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def write(path, image):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode_png(image))


def fill(folder, lr_pattern, hr_pattern="{name}.png", scale=4, names=("a", "b", "matrix2")):
    """HR and LR files under the patterns; the LR files are random, so that they cannot be taken for made ones."""
    for number, name in enumerate(names):
        write(folder / "HR" / hr_pattern.format(name=name), random_image(8 * scale + 1, 6 * scale, 3, seed=number))
        write(folder / lr_pattern.format(name=name), random_image(8, 6, 3, seed=100 + number))
    return folder


# Named sets


@pytest.mark.parametrize(("task", "degradation"), [(TO_X2, X2), (REAL, BLIND)], ids=["sr-x2", "real-sr-x4"])
def test_photos_come_as_pairs(task, degradation):
    pairs = load_pairs("photos", "validation", task, RULE)
    assert [pair.name for pair in pairs] == ["hubble_deep_field"]
    original = dict(load_images("photos", "validation"))["hubble_deep_field"]
    np.testing.assert_array_equal(pairs[0].hq, mod_crop(original, degradation.scale))
    np.testing.assert_array_equal(pairs[0].lq, degradation.for_image(pairs[0].hq, 0, "hubble_deep_field"))


def test_the_test_seed_changes_the_low_quality_side_alone():
    one, same, other = (load_pairs("photos", "validation", REAL, RULE, seed)[0] for seed in (0, 0, 1))
    assert checksum(pair_images([one])) == checksum(pair_images([same]))
    assert (one.lq != other.lq).any()
    np.testing.assert_array_equal(one.hq, other.hq)


def test_an_unknown_split_is_said():
    with pytest.raises(SuiteError, match=r"no split 'val'\. Known: test, train, validation"):
        load_images("photos", "val")


# Folders


@pytest.mark.parametrize(
    ("hr_pattern", "lr_pattern"),
    [
        ("{name}.png", "LR/{name}.png"),
        ("{name}.png", "LR/{name}x4.png"),
        ("{name}.png", "LR_bicubic/X4/{name}x4.png"),
        ("{name}.png", "LR_bicubic/X4/{name}_LRBI_x4.png"),
        ("{name}_HR_x4.png", "LR/{name}_LRBI_x4.png"),
        ("{name}_SRF_4_HR.png", "LR/{name}_SRF_4_LR.png"),
        ("{name}.png", "LR/{name}.bmp"),
    ],
)
def test_files_are_paired_by_name(tmp_path, hr_pattern, lr_pattern):
    pairs = load_pairs(str(fill(tmp_path, lr_pattern, hr_pattern)), "test", TO_X4, RULE)
    assert [pair.name for pair in pairs] == ["a", "b", "matrix2"]
    for number, pair in enumerate(pairs):
        np.testing.assert_array_equal(pair.hq, random_image(33, 24, 3, seed=number)[:32])
        np.testing.assert_array_equal(pair.lq, random_image(8, 6, 3, seed=100 + number))


def test_order_of_files_does_not_decide(tmp_path):
    # "b" sorts before "bx", but "b_LR" before "bx_LR" only where "_" sorts before "x": positions would lie.
    pairs = load_pairs(str(fill(tmp_path, "LR/{name}x4.png", names=("b", "b1", "bx"))), "test", TO_X4, RULE)
    assert {pair.name: int(pair.lq.sum()) for pair in pairs} == {
        name: int(random_image(8, 6, 3, seed=100 + number).sum()) for number, name in enumerate(("b", "b1", "bx"))
    }


def test_unpaired_files_are_counted_with_three_examples(tmp_path):
    fill(tmp_path, "LR/{name}x4.png")
    for name in ("p", "q", "r", "s"):
        write(tmp_path / "HR" / f"{name}.png", random_image(32, 24, 3))
    write(tmp_path / "LR" / "lone.png", random_image(8, 6, 3))
    with pytest.raises(SuiteError, match=r"4 high-quality without low-quality in .*HR \(p\.png, q\.png, r\.png \.\.\.\)") as caught:
        load_pairs(str(tmp_path), "test", TO_X4, RULE)
    assert "1 low-quality without high-quality" in str(caught.value)
    assert "lone.png" in str(caught.value)
    assert caught.value.exit is Exit.NOT_READY


def test_two_candidates_are_refused(tmp_path):
    fill(tmp_path, "LR/{name}x4.png")
    write(tmp_path / "LR" / "a.png", random_image(8, 6, 3))
    with pytest.raises(SuiteError, match="fits several low-quality files: a, ax4"):
        load_pairs(str(tmp_path), "test", TO_X4, RULE)


def test_a_size_that_does_not_fit_is_said(tmp_path):
    fill(tmp_path, "LR/{name}x4.png")
    write(tmp_path / "LR" / "bx4.png", random_image(7, 6, 3))
    with pytest.raises(SuiteError, match=r"bx4\.png is 6x7 pixels.*24x32, which is not 4 times as large"):
        load_pairs(str(tmp_path), "test", TO_X4, RULE)


def test_the_bicubic_folder_is_for_bicubic_tasks_alone(tmp_path):
    fill(tmp_path, "LR_bicubic/X4/{name}x4.png")
    made = load_pairs(str(tmp_path), "test", REAL, RULE)
    np.testing.assert_array_equal(made[0].lq, BLIND.for_image(made[0].hq, 0, "a"))
    with pytest.raises(SuiteError, match=r"has LR_bicubic/X4/, but no X2\. Add it"):
        load_pairs(str(tmp_path), "test", TO_X2, RULE)
    fill(tmp_path, "LR/{name}x4.png")
    with pytest.raises(SuiteError, match=r"both LR/ and LR_bicubic/X4/; keep the one"):
        load_pairs(str(tmp_path), "test", TO_X4, RULE)


@pytest.mark.parametrize("subfolder", ["HR", "."])
def test_low_quality_images_are_made_where_there_are_none(tmp_path, subfolder):
    image = random_image(33, 27, 3)
    write(tmp_path / subfolder / "a.png", image)
    (pair,) = load_pairs(str(tmp_path), "test", TO_X4, RULE)
    np.testing.assert_array_equal(pair.hq, image[:32, :24])
    np.testing.assert_array_equal(pair.lq, imresize(pair.hq, 1 / 4))
    assert [name for name, _ in load_images(str(tmp_path), "train")] == ["a"]


def test_a_folder_that_is_called_like_a_set_may_hold_its_images_directly(tmp_path):
    for name in ("AIM2019", "Rain100L", "GoPro"):
        write(tmp_path / name / "a.png", random_image(33, 27, 3))
        assert [pair.name for pair in load_pairs(str(tmp_path / name), "test", TO_X4, RULE)] == ["a"]


def test_targets_may_not_be_missing(tmp_path):
    write(tmp_path / "LR" / "a.png", random_image(8, 8, 3))
    with pytest.raises(SuiteError, match=r"LR/ but no folder with the targets; they go into HR/ or GT/"):
        load_pairs(str(tmp_path), "test", TO_X4, RULE)


def test_an_image_smaller_than_the_scale_is_said(tmp_path):
    write(tmp_path / "a.png", random_image(3, 30, 3))
    with pytest.raises(SuiteError, match=r"a.png is 30x3 pixels: too small for scale 4"):
        load_pairs(str(tmp_path), "test", TO_X4, RULE)


def test_relative_folders_are_looked_up_here_and_then_under_suite_data(tmp_path, monkeypatch):
    here, data = tmp_path / "here", tmp_path / "data"
    (data / "Set5").mkdir(parents=True)
    here.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.delenv("SUITE_DATA", raising=False)
    with pytest.raises(SuiteError, match=r"no folder is called 'Set5'.*\$SUITE_DATA, .* is not set.*Data sets: photos") as caught:
        resolve_folder("Set5")
    assert caught.value.exit is Exit.NOT_READY
    monkeypatch.setenv("SUITE_DATA", str(data))
    assert resolve_folder("Set5") == (data / "Set5").resolve()
    (here / "Set5").mkdir()
    assert resolve_folder("Set5") == (here / "Set5").resolve()
    with pytest.raises(SuiteError, match=f"{here}.* and {data}"):
        resolve_folder("Set6")
    with pytest.raises(SuiteError, match="looked for a folder at /nowhere/at/all"):
        resolve_folder("/nowhere/at/all")


@pytest.mark.outside
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_published_folders_load_as_they_are(outside, scale):
    task, degradation = TASKS[f"sr-x{scale}"], DEGRADATIONS[f"bicubic-x{scale}"]
    swinir = load_pairs(str(outside / "Set5_SwinIR"), "test", task, RULE)
    assert [pair.name for pair in swinir] == ["baby", "bird", "butterfly", "head", "woman"]
    for pair in swinir:
        np.testing.assert_array_equal(pair.lq, degradation.for_image(pair.hq, 0, pair.name))
    selfexsr = load_pairs(str(outside / "Set5" / f"x{scale}"), "test", task, RULE)
    assert [pair.name for pair in selfexsr] == [f"img_00{number}" for number in range(1, 6)]


# Other tasks' folders


DERAIN, JPEG, DENOISE = (TASKS[name] for name in ("derain", "jpeg-10", "denoise-25"))


def rainy(folder, low="input", high="target", shape=(9, 7, 3)):
    for number, name in enumerate(("1", "10", "2")):
        write(folder / high / f"{name}.png", random_image(*shape, seed=number))
        write(folder / low / f"{name}.png", random_image(*shape, seed=100 + number))
    return str(folder)


@pytest.mark.parametrize(("low", "high"), [("input", "target"), ("LR", "HR"), ("input", "HR")])
def test_pairs_of_one_size_are_never_cropped(tmp_path, low, high):
    pairs = load_pairs(rainy(tmp_path, low, high), "test", DERAIN, protocol("derain-y"))
    assert [pair.name for pair in pairs] == ["1", "10", "2"]
    for number, pair in enumerate(pairs):
        np.testing.assert_array_equal(pair.hq, random_image(9, 7, 3, seed=number))
        np.testing.assert_array_equal(pair.lq, random_image(9, 7, 3, seed=100 + number))


def test_pairs_of_one_size_must_have_one(tmp_path):
    folder = rainy(tmp_path)
    write(tmp_path / "input" / "1.png", random_image(9, 8, 3))
    with pytest.raises(SuiteError, match=r"1\.png is 8x9 pixels .*1\.png is 7x9, which is of another size"):
        load_pairs(folder, "test", DERAIN, protocol("derain-y"))


def test_two_folders_of_one_side_are_refused(tmp_path):
    rainy(tmp_path)
    rainy(tmp_path, "LR", "HR")
    with pytest.raises(SuiteError, match="has both HR/ and target/"):
        load_pairs(str(tmp_path), "test", DERAIN, protocol("derain-y"))


def test_noise_is_added_in_the_order_of_the_protocol_and_alike_for_every_image_of_a_size(tmp_path):
    for name in ("a", "b"):
        write(tmp_path / f"{name}.png", random_image(9, 7, 3))
    bgr, rgb = (load_pairs(str(tmp_path), "test", DENOISE, protocol(rule)) for rule in ("color-dn-bgr", "color-dn-rgb"))
    np.testing.assert_array_equal(bgr[0].lq, bgr[1].lq)
    clean = bgr[0].hq / np.float32(255)
    np.testing.assert_allclose((bgr[0].lq - clean)[..., ::-1], rgb[0].lq - clean, atol=1e-6)
    assert bgr[0].lq.dtype == np.float32
    assert bgr[0].hq.shape == (9, 7, 3)


def test_grey_tasks_read_and_make_one_channel():
    (pair,) = load_pairs("photos", "validation", JPEG, protocol("jpeg-grey"))
    assert pair.hq.shape == pair.lq.shape == (872, 1000, 1)
    assert (pair.hq != pair.lq).any()


def test_training_uses_real_pairs_where_the_task_is_about_them(tmp_path):
    folder = rainy(tmp_path, shape=(24, 26, 3))
    real = load_training(folder, DERAIN)
    assert [name for name, _ in real.images] == ["1", "10", "2"]
    np.testing.assert_array_equal(real.low[1], random_image(24, 26, 3, seed=101))
    assert load_training(str(tmp_path / "target"), DERAIN).low is None
    assert load_training(folder, DENOISE).low is None
    sampler = PatchSampler(real.images, DEGRADATIONS["rain"], 16, 0, rotate=True, low=real.low)
    low, high = sampler.pair(0, 0)
    wholes = [(real.low[number], image) for number, (_, image) in enumerate(real.images)]
    assert any(cut_from(low, high, *whole) for whole in wholes)


def cut_from(low, high, low_whole, high_whole):
    """Whether the patches are the same window of both, turned alike."""
    for turn in range(8):
        turned = [ensemble.turn_back(patch, turn) for patch in (low, high)]
        for top in range(low_whole.shape[0] - 15):
            for left in range(low_whole.shape[1] - 15):
                window = slice(top, top + 16), slice(left, left + 16)
                if np.array_equal(turned[0], low_whole[window]) and np.array_equal(turned[1], high_whole[window]):
                    return True
    return False


@dataclass(frozen=True)
class Found:
    name: str
    hq: object
    lq: object = None
    block: object = None


def test_a_card_s_name_is_asked_for_its_files(tmp_path, monkeypatch):
    asked = []

    def file_pairs(name, **about):
        asked.append((name, about))
        return [Found("a", tmp_path / "a.png")]

    def card(name):
        if name.lower() != "set5":
            raise UnknownName("no such card")
        return SimpleNamespace(name="Set5", splits={"test": 5}, scored_by="")

    monkeypatch.setattr("suite.data.sets.card", card)
    monkeypatch.setattr("suite.data.sets.file_pairs", file_pairs)
    write(tmp_path / "a.png", random_image(33, 27, 3))
    (pair,) = load_pairs("set5", "test", TO_X4, RULE)
    assert asked == [("Set5", {"split": "test", "kind": "sr", "scale": 4, "level": None})]
    assert pair.hq.shape == (32, 24, 3)
    assert canonical_name("set5") == "Set5"
    monkeypatch.chdir(tmp_path)
    (tmp_path / "set5").mkdir()
    assert canonical_name("./set5") == str(tmp_path / "set5")
    monkeypatch.setattr("suite.data.sets.file_pairs", lambda *_, **__: [Found("a", None)])
    with pytest.raises(SuiteError, match=r"Set5 has no targets \(1 image, e\.g\. a\).*suite restore"):
        load_pairs("Set5", "test", TO_X4, RULE)


def test_a_card_s_set_is_found_under_suite_data(tmp_path, monkeypatch):
    monkeypatch.setenv("SUITE_DATA", str(tmp_path))
    fill(tmp_path / "SR" / "Set5", "LR_bicubic/X4/{name}x4.png")
    pairs = load_pairs("set5", "test", TO_X4, RULE)
    assert [pair.name for pair in pairs] == ["a", "b", "matrix2"]
    np.testing.assert_array_equal(pairs[0].lq, random_image(8, 6, 3, seed=100))
    made = load_pairs("Set5", "test", REAL, RULE)  # its targets serve other tasks
    np.testing.assert_array_equal(made[0].lq, BLIND.for_image(made[0].hq, 0, "a"))
    write(tmp_path / "SIDD" / "val" / "target_crops" / "a.png", random_image(9, 7, 3))
    write(tmp_path / "SIDD" / "val" / "input_crops" / "a.png", random_image(9, 7, 3, seed=1))
    (pair,) = load_pairs("SIDD", "test", TASKS["real-denoise"], protocol("sidd-blocks"))
    np.testing.assert_array_equal(pair.lq, random_image(9, 7, 3, seed=1))
    with pytest.raises(SuiteError, match=r"Set14 .* is not in"):
        load_pairs("Set14", "test", TO_X4, RULE)


# Checksums and leaks


def test_a_checksum_covers_names_sizes_and_pixels_but_not_order():
    image = random_image(4, 6, 3)
    base = [("a", image), ("b", random_image(4, 6, 3, seed=1))]
    changed = image.copy()
    changed[0, 0, 0] ^= 1
    assert checksum(base) == checksum(base[::-1])
    assert len(checksum(base)) == 64
    others = [[("c", image), base[1]], [("a", changed), base[1]], [("a", image.reshape(6, 4, 3)), base[1]], base[:1]]
    assert len({checksum(base), *(checksum(other) for other in others)}) == 5
    pair = Pair("a", image[:2, :3], image)
    assert checksum(pair_images([pair])) != checksum(pair_images([Pair("a", changed[:2, :3], image)]))


def test_the_embedded_splits_share_nothing():
    check_disjoint({split: ("photos", load_images("photos", split)) for split in SPLITS})


def test_a_leak_is_found_by_name_and_by_pixels():
    image, other = random_image(50, 40, 3), random_image(50, 40, 3, seed=1)
    by_pixels = {"train": ("one", [("a", image)]), "test": ("two", [("x", other), ("b", mod_crop(image, 4))])}
    with pytest.raises(SuiteError, match=r"'b' of the test set 'two' is in the train set too \(as 'a'\)"):
        check_disjoint(by_pixels)
    with pytest.raises(SuiteError, match="'a' of the test set 'one'"):
        check_disjoint({"train": ("one", [("a", image)]), "test": ("one", [("a", other)])})
    check_disjoint({"train": ("one", [("0001", image)]), "test": ("two", [("0001", other)])})
    check_disjoint({"train": ("one", [("a", image), ("copy", image)])})
    small = image[:20, :20]
    with pytest.raises(SuiteError, match="must be different"):
        check_disjoint({"train": ("one", [("a", small)]), "validation": ("two", [("b", small.copy())])})
