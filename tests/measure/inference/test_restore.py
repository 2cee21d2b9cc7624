"""Restoring files: modes, sizes, places, and everything that is refused before the first image."""

import argparse
import io

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import models
from suite.cli.measure import restore as verb_restore
from suite.core import tensors
from suite.core.errors import Exit, SuiteError
from suite.core.output import Output
from suite.data.colour import quantise
from suite.data.resize import imresize
from suite.measure.inference import restore as restoring
from suite.measure.inference.restorer import restorer_of
from suite.records.spec import RunSpec
from suite.training import loop

pytestmark = pytest.mark.usefixtures("one_thread")

MODES = ("1", "L", "LA", "P", "RGB", "RGBA")


def restore(*words):
    parser = argparse.ArgumentParser()
    verb_restore.add_arguments(parser)
    stream = io.StringIO()
    code = verb_restore.run(parser.parse_args([str(word) for word in words]), Output(stream))
    return code, stream.getvalue()


def picture(mode="RGB", size=(20, 12), seed=0):
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 4), dtype=np.uint8)
    pixels[..., 3] |= 1  # nothing is hidden
    return Image.fromarray(pixels).convert("RGB").convert(mode) if mode in ("1", "P") else Image.fromarray(pixels).convert(mode)


def write(path, image=None, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    (image or picture()).save(path, **options)
    return path


def opened(path):
    with Image.open(path) as image:
        image.load()
    return image


BICUBIC = ("--model", "bicubic", "--task", "sr-x2")


@pytest.fixture
def weights(tmp_path):
    """A tiny network for deraining with random weights, as the verb's words."""
    torch.manual_seed(0)
    torch.save(models.create("vmambair-derain-tiny").state_dict(), tmp_path / "weights.pt")
    return ("--model", "vmambair-derain-tiny", "--weights", tmp_path / "weights.pt", "--backend", "reference", "--device", "cpu")


# What the file says it is


def test_a_file_that_this_suite_trained_says_which_network_it_is_of_and_how_it_was_narrowed(tmp_path):
    narrow = {"width": 16, "depth_divisor": 3, "iterations": 1, "batch": 1, "patch": 16, "lr": 1e-3, "backend": "reference"}
    of = RunSpec(model="mambair-light-x2", task="light-sr-x2", budget="quick", protocol="sr-y@1", **narrow)
    run = loop.begin(of)
    path = run.key.weights_file(tmp_path)
    loop.save_weights(path, run)
    source = write(tmp_path / "in.png")
    words = ("--weights", path, "--backend", "reference", "--device", "cpu")
    code, out = restore(source, tmp_path / "out.png", *words)
    assert (code, out) == (Exit.DONE, f"1 of 1 images restored by mambair-light-x2: {tmp_path / 'out.png'}\n")
    expected = quantise(restorer_of(run.network)(np.array(opened(source))))
    np.testing.assert_array_equal(np.array(opened(tmp_path / "out.png")), expected)
    assert restore(source, tmp_path / "named.png", "--model", of.model, *words)[0] is Exit.DONE
    assert (tmp_path / "named.png").read_bytes() == (tmp_path / "out.png").read_bytes()


def test_without_a_model_the_file_has_to_say_one(tmp_path, weights):
    source = write(tmp_path / "in.png")
    with pytest.raises(SuiteError, match=r"--model is not given: name one of `list models`, or give --weights FILE"):
        restore(source, tmp_path / "out.png")
    with pytest.raises(SuiteError, match=r"weights.pt does not say which network it is of\. Name the network with --model"):
        restore(source, tmp_path / "out.png", *weights[2:])
    tensors.save_weights(tmp_path / "x.pt", {"a": torch.zeros(1)}, {"model": "mine", "width": "wide"})
    with pytest.raises(SuiteError, match="says that it is of 'mine', which is not in the catalogue"):
        restore(source, tmp_path / "out.png", "--weights", tmp_path / "x.pt")


# Modes


@pytest.mark.parametrize("mode", MODES)
def test_every_mode_is_restored_and_keeps_what_it_has(tmp_path, mode):
    source = write(tmp_path / "in.png", picture(mode))
    assert restore(source, tmp_path / "out.png", *BICUBIC)[0] is Exit.DONE
    out = opened(tmp_path / "out.png")
    assert out.size == (40, 24)
    assert out.mode == {"1": "L", "P": "RGB"}.get(mode, mode)
    colours = {"1": "L", "P": "RGB"}.get(mode, mode)
    expected = imresize(np.array(opened(source).convert(colours)), 2)  # alpha is enlarged like any channel
    np.testing.assert_array_equal(np.array(out), expected)


@pytest.mark.parametrize("mode", MODES)
def test_a_network_restores_every_mode_at_its_size(tmp_path, weights, mode):
    source = write(tmp_path / "in.png", picture(mode, (13, 5)))
    assert restore(source, tmp_path / "out.png", *weights)[0] is Exit.DONE
    out = opened(tmp_path / "out.png")
    assert out.size == (13, 5)
    if mode.endswith("A"):
        np.testing.assert_array_equal(np.array(out)[..., -1], np.array(opened(source))[..., -1])


def test_a_transparent_palette_keeps_its_transparency(tmp_path):
    image = picture("P")
    source = write(tmp_path / "in.png", image, transparency=image.getpixel((0, 0)))
    restore(source, tmp_path / "out.png", *BICUBIC)
    out = opened(tmp_path / "out.png")
    assert out.mode == "RGBA"
    assert np.array(out)[..., 3].min() == 0


def test_an_orientation_is_applied_and_a_profile_kept(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter turn
    source = write(tmp_path / "in.jpg", picture(), exif=exif, icc_profile=b"a profile", quality=95)
    restore(source, tmp_path / "out.png", *BICUBIC)
    out = opened(tmp_path / "out.png")
    assert out.size == (24, 40)
    assert out.info["icc_profile"] == b"a profile"


@pytest.mark.parametrize(
    ("image", "name", "message"),
    [
        (Image.fromarray(np.zeros((9, 9), np.uint16)), "deep.png", "16 bits a channel"),
        (Image.new("CMYK", (9, 9)), "print.tif", "mode CMYK"),
        (Image.new("F", (9, 9)), "float.tif", "mode F"),
    ],
)
def test_what_would_be_changed_by_a_rule_of_ours_is_refused(tmp_path, image, name, message):
    source = write(tmp_path / name, image)
    with pytest.raises(SuiteError, match=message) as caught:
        restore(source, tmp_path / "out.png", *BICUBIC)
    assert caught.value.exit is Exit.NOT_READY
    assert not (tmp_path / "out.png").exists()


def test_colour_is_not_given_to_a_grey_network(tmp_path):
    torch.save(models.create("mambair-jpeg-tiny").state_dict(), tmp_path / "weights.pt")
    words = ("--model", "mambair-jpeg-tiny", "--weights", tmp_path / "weights.pt", "--backend", "reference", "--device", "cpu")
    with pytest.raises(SuiteError, match="is a colour image, and the model restores grey ones"):
        restore(write(tmp_path / "in.png"), tmp_path / "out.png", *words)
    assert restore(write(tmp_path / "grey.png", picture("L")), tmp_path / "out.png", *words)[0] is Exit.DONE


# Transparency


def logo(colour=(250, 240, 230), hidden=(0, 0, 0)):
    """A hard-edged square of one colour on `hidden`, which cannot be seen."""
    pixels = np.zeros((16, 18, 4), np.uint8)
    pixels[..., :3] = hidden
    pixels[5:11, 4:12] = (*colour, 255)
    return Image.fromarray(pixels)


@pytest.mark.parametrize("hidden", [(0, 0, 0), (255, 0, 255)])
@pytest.mark.parametrize("words", [(), ("--tile", "feathered", "--tile-size", "32")])
def test_what_cannot_be_seen_leaves_no_fringe(tmp_path, hidden, words):
    source = write(tmp_path / "in.png", logo(hidden=hidden))
    restore(source, tmp_path / "out.png", *BICUBIC, *words)
    out = np.array(opened(tmp_path / "out.png"))
    assert {*map(tuple, out[out[..., 3] > 0][:, :3])} == {(250, 240, 230)}
    np.testing.assert_array_equal(out[..., 3], imresize(np.array(logo())[..., 3], 2))


def test_a_palette_s_and_a_grey_image_s_hidden_colours_are_spread_over_too(tmp_path):
    grey = Image.merge("LA", [logo().convert("L"), logo().getchannel("A")])
    palette = Image.fromarray((np.array(logo())[..., 3] > 0).astype(np.uint8)).convert("P")
    palette.putpalette([0, 0, 0, 250, 240, 230])
    for name, image, how in (("grey.png", grey, {}), ("palette.png", palette, {"transparency": 0})):
        restore(write(tmp_path / name, image, **how), tmp_path / "out.png", *BICUBIC, "--overwrite")
        out = np.array(opened(tmp_path / "out.png"))
        assert len({*map(tuple, out[out[..., -1] > 0][:, :-1])}) == 1


@given(st.integers(0, 2**32 - 1), st.integers(1, 9), st.integers(1, 9))
def test_bleeding_changes_no_pixel_that_is_seen_and_takes_the_nearest_for_the_others(seed, height, width):
    rng = np.random.default_rng(seed)
    colour = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    alpha = rng.integers(0, 2, (height, width), dtype=np.uint8) * 9
    found, seen = restoring.bleed(colour, alpha), np.argwhere(alpha > 0)
    if not len(seen):
        np.testing.assert_array_equal(found, colour)
        return
    for row, column in np.ndindex(height, width):
        far = np.square(seen - (row, column)).sum(axis=1)
        nearest = {tuple(colour[tuple(place)]) for place in seen[far == far.min()]}
        assert tuple(found[row, column]) in nearest


# Very large images


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
def test_a_large_image_is_restored_in_tiles_as_it_is_whole(tmp_path, monkeypatch, capsys, mode):
    source = write(tmp_path / "in.png", picture(mode, (150, 90)))
    restore(source, tmp_path / "whole.png", *BICUBIC)
    monkeypatch.setattr(restoring, "WHOLE_AT_MOST", 150 * 90 - 1)
    sizes = []
    real = restoring.imresize
    monkeypatch.setattr(restoring, "FEATHERED_SIZE", 64)
    monkeypatch.setattr(
        "suite.measure.quality.evaluate.imresize", lambda low, *how, **more: sizes.append(low.shape) or real(low, *how, **more)
    )
    assert restore(source, tmp_path / "tiles.png", *BICUBIC)[0] is Exit.DONE
    assert {size[:2] for size in sizes} == {(64, 64)}
    assert "an image of 150x90 pixels is restored in feathered tiles of 64 pixels" in capsys.readouterr().err
    whole, tiles = (np.array(opened(tmp_path / f"{name}.png")).astype(int) for name in ("whole", "tiles"))
    assert np.abs(whole - tiles).max() <= 2  # a tile's border knows no neighbours, and hardly counts


def test_the_authors_tiles_are_left_as_asked_for():
    assert restoring.tile_of_large("authors", None) is None
    assert restoring.tile_of_large("whole", None) == 256
    assert restoring.tile_of_large("feathered", 100) == 100


# Places


def tree(folder, *names):
    for number, name in enumerate(names):
        write(folder / name, picture(seed=number))
    return folder


def test_a_folder_keeps_its_places_and_leaves_other_files_alone(tmp_path):
    source = tree(tmp_path / "in", "a.png", "deep/er/b.jpg", "deep/c.bmp", ".hidden/d.png")
    (source / "notes.txt").write_text("no image")
    code, out = restore(source, tmp_path / "out", *BICUBIC, "--suffix", "_x2")
    assert code is Exit.DONE
    found = sorted(str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*") if path.is_file())
    assert found == ["a_x2.png", "deep/c_x2.png", "deep/er/b_x2.png"]
    assert out == f"3 of 3 images restored by bicubic: {tmp_path / 'out'}\n"


def test_linked_folders_keep_their_places_too(tmp_path):
    tree(tmp_path / "data", "deep/a.png")
    source = tree(tmp_path / "in", "b.png")
    (source / "A").symlink_to(tmp_path / "data")
    (source / "loop").symlink_to(source)
    code, out = restore(source, tmp_path / "out", *BICUBIC)
    assert (code, out) == (Exit.DONE, f"2 of 2 images restored by bicubic: {tmp_path / 'out'}\n")
    assert sorted(path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.png")) == ["A/deep/a.png", "b.png"]


def test_targets_in_a_folder_beside_their_low_quality_files_are_left(tmp_path, capsys):
    source = tree(tmp_path / "in", "set/GT/a.png", "set/GT/b.png", "set/LQ/ax2.png", "set/LQ/bx2.png", "high/c.png", "low/d.png")
    code, out = restore(source, tmp_path / "out", *BICUBIC)
    assert (code, out.split(" images")[0]) == (Exit.DONE, "4 of 4")  # c and d are no pair, whatever their folders are called
    assert "2 targets are not restored (set/GT/a.png, set/GT/b.png)" in capsys.readouterr().err
    assert not (tmp_path / "out/set/GT").exists()


def test_nothing_is_overwritten_without_being_told(tmp_path, monkeypatch):
    source = tree(tmp_path / "in", "a.png", "b.png")
    keep = write(tmp_path / "out" / "b.png", picture(size=(3, 3)))
    before = keep.read_bytes()
    monkeypatch.setattr(restoring, "restore_file", lambda *_, **__: pytest.fail("an image was computed"))
    with pytest.raises(SuiteError, match=r"1 of 2 restored images are there already: .*b\.png.* --overwrite replaces them"):
        restore(source, tmp_path / "out", *BICUBIC)
    assert keep.read_bytes() == before
    monkeypatch.undo()
    assert restore(source, tmp_path / "out", *BICUBIC, "--overwrite")[0] is Exit.DONE
    assert keep.read_bytes() != before


@pytest.mark.parametrize(
    ("source", "target", "words", "message", "code"),
    [
        ("in", "in", (), "are the same folder", Exit.USAGE),
        ("in", "in/out", (), "lies in IN", Exit.USAGE),
        ("in/a.png", "in/a.png", (), "would be replaced", Exit.USAGE),
        ("in/a.png", "in", ("--overwrite",), "would be replaced", Exit.USAGE),
        ("in", "file.png", (), "is a folder, and OUT", Exit.USAGE),
        ("in/a.png", "out.jpg", (), "is not a .png file", Exit.USAGE),
        ("nowhere", "out", (), "there is no image and no folder", Exit.NOT_READY),
        ("empty", "out", (), "there are no images in", Exit.NOTHING),
        ("in", "out", ("--suffix", "a/b"), "holds no slash", Exit.USAGE),
        ("twice", "out", (), "would both become", Exit.USAGE),
        ("cases", "out", (), "would both become .*, where case and the form of accents do not count", Exit.USAGE),
        ("in", "linked", (), r"lies in IN, which in/L leads to", Exit.USAGE),
        ("in", "out", ("--task", "derain"), "take identity", Exit.USAGE),
    ],
)
def test_what_cannot_be_meant_is_refused(tmp_path, monkeypatch, source, target, words, message, code):
    monkeypatch.chdir(tmp_path)
    tree(tmp_path, "in/a.png", "file.png", "twice/a.png", "twice/a.jpg", "cases/a.png", "cases/A.png", "linked/b.png")
    (tmp_path / "in/L").symlink_to("../linked")
    (tmp_path / "empty").mkdir()
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(SuiteError, match=message) as caught:
        restore(source, target, *BICUBIC, *words)
    assert caught.value.exit is code
    assert sorted(tmp_path.rglob("*")) == before


def test_a_model_must_be_known_and_have_what_it_needs(tmp_path):
    source = write(tmp_path / "in.png")
    with pytest.raises(SuiteError, match="bicubic restores by a task's scale"):
        restore(source, tmp_path / "out.png", "--model", "bicubic")
    with pytest.raises(SuiteError, match="Did you mean 'mambair-sr-x2'"):
        restore(source, tmp_path / "out.png", "--model", "mambair-sr-x22", "--task", "sr-x2")
    with pytest.raises(SuiteError, match="needs --weights"):
        restore(source, tmp_path / "out.png", "--model", "mambair-sr-x2", "--backend", "reference", "--device", "cpu")
    with pytest.raises(SuiteError, match="enlarges 2 times, the task 4 times"):
        restore(source, tmp_path / "out.png", "--model", "mambair-sr-x2", "--task", "sr-x4")


# Broken images


def test_a_broken_image_does_not_stop_the_others(tmp_path, capsys):
    source = tree(tmp_path / "in", "a.png", "b.png", "c.png")
    whole = (source / "b.png").read_bytes()
    (source / "b.png").write_bytes(whole[: len(whole) // 2])
    code, out = restore(source, tmp_path / "out", *BICUBIC)
    assert code is Exit.INCOMPLETE
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.png", "c.png"]
    assert out.splitlines() == [
        f"2 of 3 images restored by bicubic: {tmp_path / 'out'}",
        f"not restored: {source / 'b.png'}",
    ]
    assert f"not restored: {source / 'b.png'} cannot be read as an image" in capsys.readouterr().err


@settings(max_examples=25)
@given(
    names=st.lists(st.sampled_from(["a.png", "a.jpg", "b.PNG", "x/a.png", "x/y/c.bmp"]), unique=True, min_size=1),
    suffix=st.sampled_from(["", "_x2"]),
)
def test_every_image_of_a_tree_gets_one_place_or_the_tree_is_refused(names, suffix, tmp_path_factory):
    base = tmp_path_factory.mktemp("tree")
    for name in names:
        (base / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (base / "in" / name).write_bytes(b"not opened")
    clash = {"a.png", "a.jpg"} <= set(names)
    try:
        jobs = restoring.plan_restorations(base / "in", base / "out", suffix, overwrite=False).jobs
    except SuiteError:
        assert clash
        return
    assert not clash
    assert {job.source for job in jobs} == {base / "in" / name for name in names}
    assert len({job.target for job in jobs}) == len(names)
    for job in jobs:
        assert job.target.parent.relative_to(base / "out") == job.source.parent.relative_to(base / "in")


# Real ones


@pytest.mark.outside
def test_real_photographs_of_mixed_modes(outside, tmp_path):
    source = tmp_path / "in"
    source.mkdir()
    for name in ("Lincoln", "building", "pattern"):
        (source / f"{name}.png").symlink_to(outside / "RealSRSet" / f"{name}.png")
    assert restore(source, tmp_path / "out", *BICUBIC)[0] is Exit.DONE
    for path in source.iterdir():
        small, large = opened(path), opened(tmp_path / "out" / path.name)
        assert large.size == tuple(2 * side for side in small.size)
