"""What people's folders hold beside plain images: every verb says the same of it, and none measures fewer without a word."""

import json
import os

import numpy as np
import pytest
from PIL import Image

from suite.cli import main
from suite.core.errors import Exit, SuiteError
from suite.data import opener
from suite.data.feed.training_set import load_training
from suite.measure.quality import evaluate
from suite.study.tasks import task

BICUBIC = ("--model", "bicubic", "--task", "sr-x2")


def noise(height=36, width=40, seed=0):
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))


@pytest.fixture
def folder(tmp_path):
    """Three plain images."""
    place = tmp_path / "mine"
    place.mkdir()
    for seed, name in enumerate("abc"):
        noise(seed=seed).save(place / f"{name}.png")
    return place


@pytest.fixture
def verbs(folder, tmp_path, capsys, monkeypatch):
    """Calls a verb on the folder: (exit code, all that it said)."""
    monkeypatch.setenv("SUITE_CACHE", str(tmp_path / "cache"))
    words = {
        "restore": ("restore", folder, tmp_path / "out", *BICUBIC),
        "evaluate": ("evaluate", "bicubic", "--task", "sr-x2", "--data", folder, "--no-record"),
        "score": ("score", "--pred", folder, "--gt", folder, "--protocol", "derain-y"),
        "data check": ("data", "check", folder),
    }

    def call(verb, *more):
        code = main.main([str(word) for word in (*words[verb], *more)])
        call.out, err = capsys.readouterr()
        return code, call.out + err

    return call


VERBS = ("restore", "evaluate", "score", "data check")
SOME = {"restore": Exit.INCOMPLETE}  # the others are restored; else nothing is measured


def several(path):
    noise().save(path, save_all=True, append_images=[noise(seed=1)])


ODD = {
    "z.webp": (several, "has 2 frames or pages"),
    "z.tif": (several, "has 2 frames or pages"),
    "y.png": (several, "has 2 frames or pages"),
    "x.tif": (lambda path: path.write_bytes(b"II*\0"), "cannot be read as an image"),
    "w.jpg": (lambda path: path.write_bytes(b""), "it is empty"),
    "v.png": (lambda path: noise(200, 200).save(path), "200x200 pixels, 0.04 megapixels"),
    "u.png": (lambda path: path.symlink_to("gone.png"), "a link to gone.png, which is not there"),
    "t.tiff": (lambda path: Image.new("CMYK", (40, 36)).save(path), "mode CMYK"),
}


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("name", ODD)
def test_an_image_that_cannot_be_taken_is_named_by_every_verb(folder, verbs, verb, name, monkeypatch):
    monkeypatch.setenv(opener.LIMIT, "0.03")
    make, said = ODD[name]
    make(folder / name)
    code, text = verbs(verb)
    assert code == SOME.get(verb, Exit.NOT_READY)
    assert str(folder / name) in text
    assert said in text
    assert "Traceback" not in text
    assert "\nmean " not in text


@pytest.mark.parametrize("verb", VERBS)
def test_what_is_left_out_is_named_and_counted_by_every_verb(folder, verbs, verb):
    (folder / "d.heic").write_bytes(b"x")
    (folder / "._a.png").write_bytes(b"x")
    (folder / "notes.txt").write_text("x")
    code, text = verbs(verb)
    assert code == Exit.DONE
    expected = "1 hidden (._a.png); 1 of a format that is not read here (d.heic); 1 without an image's ending (notes.txt)"
    assert f"3 left out in {folder}: {expected}" in text
    assert text.count("left out in") == 1
    if verb != "restore":
        verbs(verb, "--json")
        document = json.loads(verbs.out)
        notes = document["notes"] if verb == "score" else document["sets"][0]["notes"]
        assert any(expected in note for note in notes)


@pytest.mark.parametrize("verb", VERBS)
def test_a_folder_of_plain_images_needs_no_word(verbs, verb):
    code, text = verbs(verb)
    assert code == Exit.DONE
    assert "left out in" not in text


@pytest.mark.parametrize("verb", VERBS)
def test_rarer_endings_are_taken_by_every_verb(folder, verbs, verb):
    for name in ("d.jfif", "e.gif", "f.ppm", "g.jp2", "h.JPE", "i.TGA"):
        kind = {".jfif": "JPEG", ".jpe": "JPEG", ".tga": "TGA"}.get((folder / name).suffix.lower())
        noise().save(folder / name, format=kind)
    code, text = verbs(verb)
    assert code == Exit.DONE
    assert {"restore": "9 of 9 images restored", "score": "9 pairs by name", "data check": "9 images, fine"}.get(verb, "\ni  ") in text


@pytest.mark.parametrize("verb", VERBS)
def test_a_link_that_may_have_been_a_folder_is_a_fault(folder, verbs, verb):
    (folder / "part2").symlink_to("/nowhere/part2")
    code, text = verbs(verb)
    assert code == SOME.get(verb, Exit.NOT_READY)
    assert "part2" in text
    assert "not there" in text


@pytest.mark.parametrize("verb", VERBS)
def test_a_folder_that_must_not_be_read_is_a_fault(folder, verbs, verb, monkeypatch):
    real = os.scandir

    def scandir(path):
        if str(path) == str(folder):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    code, text = verbs(verb)
    assert code == Exit.NOT_READY
    assert str(folder) in text
    assert "Permission denied" in text


@pytest.mark.parametrize("verb", VERBS)
def test_the_option_lets_a_large_image_in(verbs, verb, monkeypatch):
    monkeypatch.setenv(opener.LIMIT, "0.001")
    code, text = verbs(verb)
    assert code == SOME.get(verb, Exit.NOT_READY)
    assert "--max-megapixels 1" in text
    assert verbs(verb, "--max-megapixels", "1")[0] == Exit.DONE


@pytest.mark.parametrize("text", ["0", "-1", "nan", "many"])
def test_the_option_takes_a_number_above_0(verbs, capsys, text):
    with pytest.raises(SystemExit) as caught:
        verbs("restore", "--max-megapixels", text)
    assert caught.value.code == Exit.USAGE
    assert "is not a number of millions of pixels above 0" in capsys.readouterr().err


# Training


def test_a_training_set_is_not_read_in_part(folder, capsys):
    (folder / "notes.txt").write_text("x")
    assert len(load_training(str(folder), task("derain")).images) == 3
    assert f"1 left out in {folder}: 1 without an image's ending (notes.txt)" in capsys.readouterr().err
    (folder / "d.png").symlink_to("gone.png")
    with pytest.raises(SuiteError, match=r"1 of the files cannot be read: .*d\.png \(a link to gone\.png, which is not there\)"):
        load_training(str(folder), task("derain"))


# Sentences that name the image


def test_an_image_too_small_for_the_protocol_is_named(folder, verbs):
    noise(9, 9).save(folder / "small.png")
    code, text = verbs("evaluate")
    assert code == Exit.NOT_READY
    assert f"{folder / 'small.png'}: an image of 8x8x3 pixels is too small for sr-y@1" in text


@pytest.mark.parametrize("verb", ["restore", "evaluate"])
def test_values_that_are_not_finite_name_image_and_network(folder, verbs, verb, monkeypatch):
    monkeypatch.setattr(
        evaluate, "make_baseline", lambda *_: lambda picture: np.full((2 * len(picture), 2 * picture.shape[1], 3), np.nan, np.float32)
    )
    code, text = verbs(verb, *(("--tile", "feathered") if verb == "evaluate" else ()))
    assert code == SOME.get(verb, Exit.NOT_READY)
    assert f"{folder / 'a.png'}: bicubic gives values that are not finite" in text


def test_an_image_that_cannot_be_opened_by_this_user_is_named_before_anything_is_measured(folder, verbs, monkeypatch):
    real = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: str(path) != str(folder / "b.png") and real(path, mode))
    for verb in ("evaluate", "score"):
        code, text = verbs(verb)
        assert code == Exit.NOT_READY
        assert f"1 of the files cannot be read: {folder / 'b.png'}" in text


# Colour that was lost on the way


def test_grey_predictions_of_colour_targets_are_said(folder, tmp_path, capsys):
    (tmp_path / "pred").mkdir()
    for path in sorted(folder.iterdir()):
        with Image.open(path) as image:
            image.convert("L" if path.stem == "b" else "RGB").save(tmp_path / "pred" / path.name)
    words = ("score", "--pred", tmp_path / "pred", "--gt", folder, "--protocol", "derain-y")
    assert main.main([str(word) for word in words]) == Exit.DONE
    assert "of 1 pair (b) one image is a grey file and the other has colours" in capsys.readouterr().err


def test_a_low_quality_image_that_lost_its_colour_is_said_by_check_and_evaluate(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("SUITE_CACHE", str(tmp_path / "cache"))
    for side in ("target", "input"):
        (tmp_path / "set" / side).mkdir(parents=True)
        for seed, name in enumerate("ab"):
            lost = side == "input" and name == "b"
            noise(seed=seed).convert("L" if lost else "RGB").save(tmp_path / "set" / side / f"{name}.png")
    assert main.main(["data", "check", str(tmp_path / "set")]) == Exit.NOT_READY
    assert "1 pair of which one image is grey and the other colour (b)" in capsys.readouterr().out
    assert main.main(["evaluate", "identity", "--task", "derain", "--data", str(tmp_path / "set"), "--no-record"]) == Exit.DONE
    assert "of 1 pair (b) one image is a grey file and the other has colours" in capsys.readouterr().err
