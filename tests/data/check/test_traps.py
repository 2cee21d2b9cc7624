"""Known traps of data sets: said by `data check` of a copy and by `evaluate` of what it measures, in the same words."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from suite.cli import main
from suite.core.errors import Exit
from suite.data.cards import card, cards
from suite.data.check.traps import card_of, warn_of_faulty_copy, warn_of_grey
from suite.data.images import three_channels
from suite.data.layouts import mixed
from suite.data.resize import imresize
from suite.study.protocols import protocol


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SUITE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(mixed, "_said", set())


def texture(seed, height=48, width=48):
    coarse = np.random.default_rng(seed).integers(0, 256, (height // 6, width // 6, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))


def save(path, image):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path)


def evaluated(capsys, data, name, *words):
    model = "identity" if name.startswith("jpeg") else "bicubic"
    assert main.main(["evaluate", model, "--task", name, "--data", str(data), "--json", *words]) == Exit.DONE
    said = capsys.readouterr()
    (found,) = json.loads(said.out)["sets"]
    assert all(f"{data}: {text}. " in said.err for text in found["notes"])
    return found["notes"]


def checked(capsys, *words):
    main.main(["data", "check", *map(str, words), "--json"])
    (report,) = json.loads(capsys.readouterr().out)["sets"]
    return report


# Urban100: SelfExSR's files for x2


def urban(root, *, half, low_of_original=True, layout="image_SRF_2"):
    """Three photographs of 1024 pixels, in SelfExSR's way for x2: halved, beside the low-resolution files for x4."""
    for number in range(1, 4):
        original = texture(number, 384, 1024)
        target = imresize(original, 1 / 2) if half else original
        low = imresize(original, 1 / 4) if half and low_of_original else imresize(target, 1 / 2)
        save(root / "Urban100" / layout / f"img_{number:03d}_SRF_2_HR.png", target)
        save(root / "Urban100" / layout / f"img_{number:03d}_SRF_2_LR.png", low)
    return root / "Urban100" / layout


NAMED = "targets of 512 pixels on the longer side (median): half the set's size, as SelfExSR's files for x2 (image_SRF_2) have them"


@pytest.mark.parametrize("by", ["name", "folder", "a folder of the same name"])
def test_selfexsr_s_urban100_for_x2_is_named_by_evaluate_and_data_check(tmp_path, capsys, monkeypatch, by):
    folder = urban(tmp_path, half=True, layout="" if by.startswith("a folder") else "image_SRF_2")
    monkeypatch.setenv("SUITE_DATA", str(tmp_path))
    notes = evaluated(capsys, "Urban100" if by == "name" else folder, "sr-x2")
    if by == "name":  # a folder may hold any part of a set
        assert notes.pop() == "3 of the 100 images that its card counts: no printed number is of these alone"
    named, rule = notes
    assert named.startswith(NAMED)
    assert "bicubic at x2 reads 0.22 dB below the published row" in named
    assert rule.startswith("x2, 3 of 3 low-quality images (img_001_SRF_2_LR.png, ")
    assert "made by none of MATLAB's three rules" in rule
    report = checked(capsys, "Urban100" if by == "name" else folder)
    assert {named, rule} <= set(report["wrong"])


def test_a_half_size_copy_is_named_whatever_its_low_resolution_files(tmp_path, capsys):
    notes = evaluated(capsys, urban(tmp_path, half=True, low_of_original=False), "sr-x2")
    assert [note.startswith(NAMED) for note in notes] == [True]


def test_the_set_itself_is_not_called_faulty(tmp_path, capsys):
    folder = urban(tmp_path, half=False)
    assert evaluated(capsys, folder, "sr-x2") == []
    assert checked(capsys, folder)["wrong"] == []


def test_low_resolution_images_of_no_rule_are_said_of_any_folder(tmp_path, capsys):
    for number in range(5):
        save(tmp_path / "HR" / f"{number}.png", texture(number))
        save(tmp_path / "LR" / f"{number}.png", texture(number)[::2, ::2])
    (note,) = evaluated(capsys, tmp_path, "sr-x2")
    assert note.startswith("x2, 3 of 3 low-quality images looked at, of 5 (0.png, 1.png, 2.png) made by none of MATLAB's three rules; ")


def test_a_faulty_copy_is_told_by_most_of_its_sizes():
    urban100 = card("Urban100")
    small, large = (512, 384), (768, 1024)
    assert warn_of_faulty_copy(urban100, [small, small, large])
    assert warn_of_faulty_copy(urban100, [small, large, large]) == []
    assert warn_of_faulty_copy(urban100, []) == []


def test_a_card_is_found_by_name_and_by_the_folders_above():
    assert card_of("b100") is card("BSD100")
    assert card_of(Path("/data/Urban100/image_SRF_2")) is card("Urban100")
    assert card_of(Path("/data/CAR/LIVE1/LIVE1_HQ")) is card("LIVE1")
    assert card_of(Path("/Set5/a/b/c/mine")) is None
    assert card_of("mine") is None


# Published numbers of grey images


def live1(root, kind):
    for number in range(3):
        image = texture(number)
        plane = image[..., 1]
        save(root / "LIVE1" / f"{number}.png", {"colour": image, "grey": plane, "equal": three_channels(plane[..., None])}[kind])
    return root / "LIVE1"


COLOUR = "3 files (0.png, 1.png, 2.png) are colour, and published numbers are of grey images: made by MATLAB's rgb2ycbcr"
EQUAL = "3 files (0.png, 1.png, 2.png) are grey, in three equal channels: jpeg-grey takes the plane, jpeg-matlab takes them for colour"


@pytest.mark.parametrize(
    ("kind", "found", "by_grey", "by_matlab"),
    [("colour", [COLOUR], [COLOUR], []), ("grey", [], [], []), ("equal", [EQUAL], [], [EQUAL])],
)
def test_colour_files_of_a_set_whose_published_numbers_are_grey_are_told(tmp_path, capsys, kind, found, by_grey, by_matlab):
    folder = live1(tmp_path, kind)
    report = checked(capsys, folder)
    assert [note for note in report["notes"] if "grey images" in note or "equal channels" in note] == [
        next(note for note in report["notes"] if note.startswith(one)) for one in found
    ]
    assert report["wrong"] == ["3 images, where the set has 29"]
    for key, expected in (("jpeg-grey", by_grey), ("jpeg-matlab", by_matlab)):
        notes = evaluated(capsys, folder, "jpeg-10", "--protocol", key)
        assert [note.startswith(one) for note, one in zip(notes, expected, strict=True)] == [True] * len(expected)


def test_sets_whose_published_numbers_are_of_colour_are_not_warned_of(tmp_path, capsys):
    for number in range(3):
        save(tmp_path / "Kodak24" / f"{number}.png", texture(number))
    assert not any("published numbers" in note for note in checked(capsys, tmp_path / "Kodak24")["notes"])
    assert evaluated(capsys, tmp_path / "Kodak24", "jpeg-10") == []
    assert {one.name for one in cards().values() if one.grey} == {"LIVE1", "Classic5"}
    assert warn_of_grey(card("Kodak24"), {"a.png": "colour", "b.png": "equal"}) == []
    assert warn_of_grey(None, {"b.png": "equal"}, protocol("jpeg-matlab")) != []
