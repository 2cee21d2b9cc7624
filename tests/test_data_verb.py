"""`python -m suite data`: what is here, and what is wrong with it."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from suite import cli
from suite.data.inspection import Remembered, facts_of
from suite.data.resize import imresize
from suite.errors import Exit

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SUITE_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def check(capsys):
    def run(*words):
        code = cli.main(["data", "check", "--json", *map(str, words)])
        captured = capsys.readouterr()
        return code, json.loads(captured.out) if captured.out else captured.err

    return run


def texture(side=48, seed=0):
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (side // 6, side // 6, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC))


def save(path, image):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path)


RULES = {"mirrored border, 8": ("mirror", "uint8"), "replicated": ("replicate", "uint8"), "floating point": ("mirror", "float")}


@pytest.mark.parametrize("rule", RULES)
def test_the_rule_of_low_quality_images_is_recognised(tmp_path, check, rule):
    border, between = RULES[rule]
    for number in range(5):
        image = texture(seed=number)
        save(tmp_path / f"SR/Set5/HR/{number}.png", image)
        save(tmp_path / f"SR/Set5/LR_bicubic/X2/{number}x2.png", imresize(image, 1 / 2, border=border, between=between))
    code, found = check("Set5", "--root", tmp_path)
    (note,) = found["sets"][0]["notes"]
    assert "x2, 5 of 5" in note
    assert rule in note
    assert code == Exit.DONE


def test_other_low_quality_images_are_wrong_and_named(tmp_path, check):
    for number in range(5):
        image = texture(seed=number)
        save(tmp_path / f"SR/Set5/HR/{number}.png", image)
        small = np.asarray(Image.fromarray(image).resize((24, 24), Image.Resampling.NEAREST))
        save(tmp_path / f"SR/Set5/LR_bicubic/X2/{number}x2.png", small)
    code, found = check("Set5", "--root", tmp_path)
    assert code == Exit.NOT_READY
    assert all("none of MATLAB's three rules" in line for line in found["sets"][0]["wrong"])


def test_a_wrong_count_is_wrong(tmp_path, check):
    save(tmp_path / "Set5/a.png", texture())
    code, found = check("Set5", "--root", tmp_path)
    assert code == Exit.NOT_READY
    assert "1 images, where the set has 5" in found["sets"][0]["wrong"][0]


ODD = {
    "truncated.png": lambda path: path.write_bytes(path.read_bytes()[:200]),
    "empty.png": lambda path: path.write_bytes(b""),
    "text.png": lambda path: path.write_text("no image"),
    "deep.png": lambda path: Image.fromarray(np.arange(48 * 48, dtype=np.uint16).reshape(48, 48)).save(path),
    "ink.jpg": lambda path: Image.new("CMYK", (48, 48)).save(path),
    "clear.png": lambda path: Image.new("RGBA", (48, 48), (9, 9, 9, 9)).save(path),
}


@pytest.mark.parametrize("name", ODD)
def test_odd_files_are_named(tmp_path, check, name):
    save(tmp_path / "mine/fine.png", texture())
    save(tmp_path / "mine" / name, texture(seed=1))
    ODD[name](tmp_path / "mine" / name)
    code, found = check(tmp_path / "mine")
    assert code == Exit.NOT_READY
    (line,) = found["sets"][0]["wrong"]
    assert name in line


COPIES = {
    "identical": lambda image, path: save(path.with_suffix(".png"), image),
    "near-identical": lambda image, path: Image.fromarray(image).save(path.with_suffix(".jpg"), quality=70),
}


@pytest.mark.parametrize("kind", COPIES)
def test_a_test_image_that_was_trained_on_is_a_leak(tmp_path, check, kind):
    for number in range(4):
        save(tmp_path / f"WED/{number}.png", texture(seed=number))
        save(tmp_path / f"SR/Set5/HR/{number}.png", texture(seed=10 + number))
    save(tmp_path / "SR/Set5/HR/copy.png", texture(seed=2))
    (tmp_path / "WED/2.png").unlink()
    COPIES[kind](texture(seed=2), tmp_path / "WED/two")
    code, found = check("WED", "Set5", "--root", tmp_path)
    (leak,) = found["shared"]
    assert (leak["kind"], leak["images"], leak["serious"]) == (kind, 1, True)
    assert code == Exit.NOT_READY


def test_what_is_known_of_a_file_is_not_computed_again_until_it_changes(tmp_path, monkeypatch):
    from suite.data import inspection

    path, store = tmp_path / "a.png", tmp_path / "facts.json"
    save(path, texture())
    known = Remembered(store)
    assert dict(known.facts([path]))[path] == facts_of(path)
    known.save()
    looked = []
    monkeypatch.setattr(inspection, "facts_of", lambda path: looked.append(path) or facts_of(path))
    assert dict(Remembered(store).facts([path]))[path] == facts_of(path)
    assert looked == []
    save(path, texture(side=60))
    assert dict(Remembered(store).facts([path]))[path].height == 60
    assert looked == [path]
    store.write_text("{", encoding="utf-8")
    assert dict(Remembered(store).facts([path]))[path].height == 60


def test_nothing_found_is_exit_code_5(tmp_path, check):
    (tmp_path / "empty").mkdir()
    code, said = check("--root", tmp_path / "empty")
    assert code == Exit.NOTHING
    assert "SUITE_DATA" in said


def test_an_unknown_set_and_a_missing_root_are_refused(tmp_path, check):
    assert check("Urban10")[0] == Exit.USAGE
    assert check("--root", tmp_path / "none")[0] == Exit.NOT_READY


def test_list_and_show(tmp_path, capsys):
    save(tmp_path / "Set5/baby.png", texture())
    assert cli.main(["data", "list", "--json", "--root", str(tmp_path)]) == Exit.DONE
    rows = {(row["set"], row["split"]): row for row in json.loads(capsys.readouterr().out)}
    assert (rows["Set5", "test"]["found"], rows["Set5", "test"]["images"]) == (1, 5)
    assert rows["Urban100", "test"]["layout"] == "not found"
    assert cli.main(["data", "show", "b100"]) == Exit.DONE
    shown = capsys.readouterr().out
    assert shown.startswith("BSD100:")
    assert "SR/BSD100/HR  with  SR/BSD100/LR_bicubic/X{s}" in shown


@pytest.mark.outside
@pytest.mark.parametrize(
    ("folder", "expected"),
    [
        (
            "Set5_SwinIR",
            {"x2": "mirrored border, 8 bit", "x3": "mirrored border, 8 bit", "x4": "mirrored border, 8 bit", "x8": "floating point"},
        )
    ],
)
def test_matlabs_images_are_known_by_their_rule(check, folder, expected):
    if not DATA.is_dir():
        pytest.skip(f"needs the real images in {DATA}")
    _, found = check(DATA / folder)
    notes = {note.partition(",")[0]: note for note in found["sets"][0]["notes"]}
    assert notes.keys() == expected.keys()
    assert all(rule in notes[scale] for scale, rule in expected.items())


@pytest.mark.outside
def test_real_sets_are_fine_and_share_what_they_share(check):
    if not DATA.is_dir():
        pytest.skip(f"needs the real images in {DATA}")
    code, found = check("Set5", "RealSRSet", "Rain100L", "--root", DATA, "--quick")
    assert code == Exit.DONE
    assert all("replicated border" in note for one in found["sets"] for note in one["notes"])
