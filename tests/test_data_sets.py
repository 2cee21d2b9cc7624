"""Data sets from folders, checksums, the leak check, and the training sampler."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from suite.data.degradations import DEGRADATIONS
from suite.data.images import encode_png
from suite.data.photos import SPLITS
from suite.data.resize import imresize, mod_crop
from suite.data.sampler import PatchSampler
from suite.data.sets import Pair, check_disjoint, checksum, load_images, load_pairs, pair_images, resolve_folder
from suite.errors import Exit, SuiteError

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


@pytest.mark.parametrize("degradation", [X2, BLIND], ids=lambda row: row.name)
def test_photos_come_as_pairs(degradation):
    pairs = load_pairs("photos", "validation", degradation)
    assert [pair.name for pair in pairs] == ["rocket"]
    original = dict(load_images("photos", "validation"))["rocket"]
    np.testing.assert_array_equal(pairs[0].hq, mod_crop(original, degradation.scale))
    np.testing.assert_array_equal(pairs[0].lq, degradation.for_image(pairs[0].hq, 0, "rocket"))


def test_the_test_seed_changes_the_low_quality_side_alone():
    one, same, other = (load_pairs("photos", "validation", BLIND, seed)[0] for seed in (0, 0, 1))
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
    pairs = load_pairs(str(fill(tmp_path, lr_pattern, hr_pattern)), "test", X4)
    assert [pair.name for pair in pairs] == ["a", "b", "matrix2"]
    for number, pair in enumerate(pairs):
        np.testing.assert_array_equal(pair.hq, random_image(33, 24, 3, seed=number)[:32])
        np.testing.assert_array_equal(pair.lq, random_image(8, 6, 3, seed=100 + number))


def test_order_of_files_does_not_decide(tmp_path):
    # "b" sorts before "bx", but "b_LR" before "bx_LR" only where "_" sorts before "x": positions would lie.
    pairs = load_pairs(str(fill(tmp_path, "LR/{name}x4.png", names=("b", "b1", "bx"))), "test", X4)
    assert {pair.name: int(pair.lq.sum()) for pair in pairs} == {
        name: int(random_image(8, 6, 3, seed=100 + number).sum()) for number, name in enumerate(("b", "b1", "bx"))
    }


def test_unpaired_files_are_counted_with_three_examples(tmp_path):
    fill(tmp_path, "LR/{name}x4.png")
    for name in ("p", "q", "r", "s"):
        write(tmp_path / "HR" / f"{name}.png", random_image(32, 24, 3))
    write(tmp_path / "LR" / "lone.png", random_image(8, 6, 3))
    with pytest.raises(SuiteError, match=r"4 high-quality without low-quality in .*HR \(p\.png, q\.png, r\.png \.\.\.\)") as caught:
        load_pairs(str(tmp_path), "test", X4)
    assert "1 low-quality without high-quality" in str(caught.value)
    assert "lone.png" in str(caught.value)
    assert caught.value.exit is Exit.NOT_READY


def test_two_candidates_are_refused(tmp_path):
    fill(tmp_path, "LR/{name}x4.png")
    write(tmp_path / "LR" / "a.png", random_image(8, 6, 3))
    with pytest.raises(SuiteError, match="fits several low-quality files: a, ax4"):
        load_pairs(str(tmp_path), "test", X4)


def test_a_size_that_does_not_fit_is_said(tmp_path):
    fill(tmp_path, "LR/{name}x4.png")
    write(tmp_path / "LR" / "bx4.png", random_image(7, 6, 3))
    with pytest.raises(SuiteError, match=r"bx4\.png is 6x7 pixels.*24x32, which is not 4 times as large"):
        load_pairs(str(tmp_path), "test", X4)


def test_the_bicubic_folder_is_for_bicubic_tasks_alone(tmp_path):
    fill(tmp_path, "LR_bicubic/X4/{name}x4.png")
    made = load_pairs(str(tmp_path), "test", BLIND)
    np.testing.assert_array_equal(made[0].lq, BLIND.for_image(made[0].hq, 0, "a"))
    with pytest.raises(SuiteError, match="has X4, but no X2"):
        load_pairs(str(tmp_path), "test", X2)
    fill(tmp_path, "LR/{name}x4.png")
    with pytest.raises(SuiteError, match=r"both LR/ and LR_bicubic/"):
        load_pairs(str(tmp_path), "test", X4)


@pytest.mark.parametrize("subfolder", ["HR", "."])
def test_low_quality_images_are_made_where_there_are_none(tmp_path, subfolder):
    image = random_image(33, 27, 3)
    write(tmp_path / subfolder / "a.png", image)
    (pair,) = load_pairs(str(tmp_path), "test", X4)
    np.testing.assert_array_equal(pair.hq, image[:32, :24])
    np.testing.assert_array_equal(pair.lq, imresize(pair.hq, 1 / 4))
    assert [name for name, _ in load_images(str(tmp_path), "train")] == ["a"]


def test_targets_may_not_be_missing(tmp_path):
    write(tmp_path / "LR" / "a.png", random_image(8, 8, 3))
    with pytest.raises(SuiteError, match=r"LR/ but no HR/"):
        load_pairs(str(tmp_path), "test", X4)


def test_an_image_smaller_than_the_scale_is_said(tmp_path):
    write(tmp_path / "a.png", random_image(3, 30, 3))
    with pytest.raises(SuiteError, match="'a' is 30x3 pixels: too small for scale 4"):
        load_pairs(str(tmp_path), "test", X4)


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
    degradation = DEGRADATIONS[f"bicubic-x{scale}"]
    swinir = load_pairs(str(outside / "Set5_SwinIR"), "test", degradation)
    assert [pair.name for pair in swinir] == ["baby", "bird", "butterfly", "head", "woman"]
    for pair in swinir:
        np.testing.assert_array_equal(pair.lq, degradation.for_image(pair.hq, 0, pair.name))
    selfexsr = load_pairs(str(outside / "Set5" / f"x{scale}"), "test", degradation)
    assert [pair.name for pair in selfexsr] == [f"img_00{number}" for number in range(1, 6)]


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


# The training sampler


def ramp(height, width):
    """Brightness that grows downwards, with marked columns: shows how a patch was turned."""
    image = np.zeros((height, width, 3), np.uint8)
    image[..., 0] = np.linspace(0, 255, height, dtype=np.uint8)[:, None]
    image[..., 1] = np.linspace(0, 120, width, dtype=np.uint8)[None, :]
    return image


@pytest.mark.parametrize("degradation", [X4, BLIND], ids=lambda row: row.name)
def test_a_batch_depends_on_seed_iteration_and_index_alone(degradation):
    images = load_images("photos", "validation")
    sampler, again = (PatchSampler(images, degradation, 32, 7, rotate=True) for _ in range(2))
    first = sampler.batch(5, 4)
    sampler.batch(6, 4)
    for low, high in (again.batch(5, 4), sampler.batch(5, 4)):
        np.testing.assert_array_equal(low, first[0])
        np.testing.assert_array_equal(high, first[1])
    np.testing.assert_array_equal(sampler.batch(5, 2)[0], first[0][:2])
    assert first[0].shape == (4, 3, 8, 8)
    assert first[1].shape == (4, 3, 32, 32)
    assert all(side.dtype == np.float32 and side.min() >= 0 and 0.1 < side.max() <= 1 and side.flags.c_contiguous for side in first)
    others = [sampler.batch(6, 4), PatchSampler(images, degradation, 32, 8, rotate=True).batch(5, 4)]
    assert all((other[1] != first[1]).any() for other in others)
    assert len({item.tobytes() for item in first[1]}) == 4


@settings(max_examples=30)
@given(st.integers(16, 70), st.integers(16, 70), st.booleans(), st.integers(0, 100))
def test_patches_of_a_deterministic_pair_are_aligned_cuts(height, width, rotate, iteration):
    image = random_image(height, width, 3, seed=height)
    sampler = PatchSampler([("a", image)], X4, 16, 0, rotate=rotate)
    low, high = sampler.pair(iteration, 0)
    low_whole = imresize(mod_crop(image, 4), 1 / 4)
    places = [
        (top, left)
        for top in range(low_whole.shape[0] - 3)
        for left in range(low_whole.shape[1] - 3)
        if sorted(low_whole[top : top + 4, left : left + 4].ravel()) == sorted(low.ravel())
    ]
    assert places
    turns = [(low, high)]
    if rotate:
        turns += [(a.swapaxes(0, 1), b.swapaxes(0, 1)) for a, b in turns]
        turns += [(a[::-1], b[::-1]) for a, b in turns]
    turns += [(a[:, ::-1], b[:, ::-1]) for a, b in turns]
    assert any(
        np.array_equal(a, low_whole[top : top + 4, left : left + 4])
        and np.array_equal(b, image[4 * top : 4 * top + 16, 4 * left : 4 * left + 16])
        for top, left in places
        for a, b in turns
    )


def test_patches_of_the_blind_degradation_lie_over_each_other():
    sampler = PatchSampler(load_images("photos", "test"), BLIND, 64, 0, rotate=True)
    errors = {(0, 0): [], (0, 1): [], (1, 0): [], (0, -1): [], (-1, 0): []}
    for iteration in range(8):
        low, high = sampler.batch(iteration, 4)
        means = high.reshape(4, 3, 16, 4, 16, 4).mean(axis=(3, 5))
        for (down, right), found in errors.items():
            shifted = np.roll(low, (down, right), axis=(2, 3))
            found.append(np.square(shifted - means)[:, :, 1:-1, 1:-1].mean(axis=(1, 2, 3)))
    totals = {shift: float(np.median(np.concatenate(found))) for shift, found in errors.items()}
    assert min(totals, key=totals.get) == (0, 0)


@pytest.mark.parametrize("degradation", [X4, BLIND], ids=lambda row: row.name)
@pytest.mark.parametrize("rotate", [True, False])
def test_flips_and_rotations_are_the_recipe_s(degradation, rotate):
    sampler = PatchSampler([("ramp", ramp(80, 80))], degradation, 32, 0, rotate=rotate)
    seen = set()
    for iteration in range(60):
        _, high = sampler.pair(iteration, 0)
        red, green = high[..., 0].astype(int), high[..., 1].astype(int)
        upright = bool((np.diff(red, axis=1) == 0).all())
        down = red[-1, 0] > red[0, 0] if upright else red[0, -1] > red[0, 0]
        right = green[0, -1] > green[0, 0] if upright else green[-1, 0] > green[0, 0]
        seen.add((upright, bool(down), bool(right)))
    assert len(seen) == (8 if rotate else 2)
    if not rotate:
        assert seen == {(True, True, True), (True, True, False)}


def test_a_random_degradation_sees_more_than_the_patch():
    seen = []

    def note(hq, _rng):
        seen.append(hq.shape)
        return hq[::4, ::4]

    spy = replace(BLIND, apply=note)
    PatchSampler([("a", random_image(300, 300, 3))], spy, 128, 0, rotate=False).pair(0, 0)
    PatchSampler([("a", random_image(150, 300, 3))], spy, 128, 0, rotate=False).pair(0, 0)
    PatchSampler([("a", random_image(500, 500, 3))], spy, 256, 0, rotate=False).pair(0, 0)
    assert seen == [(200, 200, 3), (148, 200, 3), (400, 400, 3)]


def test_what_cannot_be_sampled_is_said():
    with pytest.raises(SuiteError, match="patch of 30 pixels is not a multiple of the scale 4"):
        PatchSampler([("a", random_image(64, 64, 3))], X4, 30, 0, rotate=True)
    with pytest.raises(SuiteError, match="there is no training image"):
        PatchSampler([], X4, 32, 0, rotate=True)
    with pytest.raises(SuiteError, match="'a' is 64x31 pixels, smaller than the patch of 32"):
        PatchSampler([("a", random_image(31, 64, 3))], X4, 32, 0, rotate=True)
