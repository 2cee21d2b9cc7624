"""`python -m suite data`: what is here, and what is wrong with it."""

import json

import numpy as np
import pytest
from PIL import Image
from places import OUTSIDE

from suite.cli import main
from suite.core.errors import Exit
from suite.data.check.checks import Report
from suite.data.check.inspection import Remembered, facts_of
from suite.data.check.leaks import find_leaks
from suite.data.resize import imresize


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SUITE_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def check(capsys):
    def run(*words):
        code = main.main(["data", "check", "--json", *map(str, words)])
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
    (note,) = (note for note in found["sets"][0]["notes"] if note.startswith("x2"))
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
    assert "1 image, where the set has 5" in found["sets"][0]["wrong"][0]


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
    "as it was": ("identical", lambda image, path: save(path.with_suffix(".png"), image)),
    "in another format": ("identical", lambda image, path: save(path.with_suffix(".bmp"), image)),
    "cut to a multiple of 8": ("identical", lambda image, path: save(path.with_suffix(".png"), image[:56, :56])),
    "compressed again": ("near-identical", lambda image, path: Image.fromarray(image).save(path.with_suffix(".jpg"), quality=70)),
    "enlarged": ("near-identical", lambda image, path: Image.fromarray(image).resize((120, 120)).save(path.with_suffix(".png"))),
}


@pytest.mark.parametrize("copy", COPIES)
def test_a_test_image_that_was_trained_on_is_a_leak(tmp_path, check, copy):
    kind, write = COPIES[copy]
    for number in range(4):
        save(tmp_path / f"WED/{number}.png", texture(60, seed=number))
        save(tmp_path / f"SR/Set5/HR/{number}.png", texture(60, seed=10 + number))
    save(tmp_path / "SR/Set5/HR/copy.png", texture(60, seed=2))
    (tmp_path / "WED/2.png").unlink()
    write(texture(60, seed=2), tmp_path / "WED/two")
    code, found = check("WED", "Set5", "--root", tmp_path)
    (leak,) = found["shared"]
    assert leak["serious"]
    assert {"identical": leak["identical"], "near-identical": leak["near_identical"]} == {"identical": 0, "near-identical": 0, kind: 1}
    assert code == Exit.NOT_READY


def test_what_is_known_of_a_file_is_not_computed_again_until_it_changes(tmp_path, monkeypatch):
    from suite.data.check import inspection

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
    assert main.main(["data", "list", "--json", "--root", str(tmp_path)]) == Exit.DONE
    rows = {(row["set"], row["split"]): row for row in json.loads(capsys.readouterr().out)}
    assert (rows["Set5", "test"]["found"], rows["Set5", "test"]["images"]) == (1, 5)
    assert rows["Urban100", "test"]["layout"] == "not found"
    assert main.main(["data", "show", "b100"]) == Exit.DONE
    shown = capsys.readouterr().out
    assert shown.startswith("BSD100:")
    assert "    SR/BSD100/   (or BSD100, BSD100_SwinIR, testsets/BSD100, benchmark/BSD100)\n      HR/NAME.png   (target)\n" in shown
    assert "      LR_bicubic/X{s}/NAMEx{s}.png   (low quality)\n" in shown


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
    if not OUTSIDE.is_dir():
        pytest.skip(f"needs the real images in {OUTSIDE}")
    _, found = check(OUTSIDE / folder)
    notes = {note.partition(",")[0]: note for note in found["sets"][0]["notes"] if note.startswith("x")}
    assert notes.keys() == expected.keys()
    assert all(rule in notes[scale] for scale, rule in expected.items())


@pytest.mark.outside
def test_real_sets_are_fine_and_both_copies_of_set5_are_seen(check):
    if not OUTSIDE.is_dir():
        pytest.skip(f"needs the real images in {OUTSIDE}")
    code, found = check("--root", OUTSIDE)
    assert "9 targets are in it twice (3.png and 4.png" in " ".join(rows_of(found, "Rain100L")["notes"])
    assert (code, found["fine"], found["shared"]) == (Exit.DONE, True, [])
    sets = {(one["set"], one["taken"]): one for one in found["sets"]}
    assert {name for name, _ in sets} >= {"Set5", "Kodak24", "Classic5", "Rain100L", "RealSRSet"}
    assert all(one["images"] == one["expected"] for one in sets.values())
    assert all("pixels are those that the card knows" in "".join(one["notes"]) for one in sets.values())
    rules = {taken: [note for note in sets["Set5", taken]["notes"] if note.startswith("x")] for taken in (True, False)}
    assert [("mirrored border, 8 bit" in note, "floating point" in note) for note in rules[True]] == [(True, False)] * 3 + [(False, True)]
    assert all("5 of 5 low-quality images made with replicated border" in note for note in rules[False])
    assert len(rules[False]) == 3


@pytest.mark.outside
def test_photographs_of_different_things_are_not_near_identical():
    if not OUTSIDE.is_dir():
        pytest.skip(f"needs the real images in {OUTSIDE}")
    facts = {path: facts_of(path) for name in ("Kodak24", "RealSRSet", "Classic5") for path in sorted((OUTSIDE / name).iterdir())}
    for path, one in facts.items():
        rest = {other: fact for other, fact in facts.items() if other != path}
        reports = [Report("a", "train", "", path.parent, targets={path: one}), Report("b", "test", "", path.parent, targets=rest)]
        assert find_leaks(reports) == []


def rows_of(found, name):
    (row,) = (one for one in found["sets"] if one["set"] == name)
    return row


def test_a_known_overlap_is_told_and_no_fault(tmp_path, check):
    for number in range(3):
        for name in ("Rain100L", "Rain100H"):
            save(tmp_path / f"test/{name}/target/{number}.png", texture(seed=number))
            save(tmp_path / f"test/{name}/input/{number}.png", texture(seed=number + (20 if name == "Rain100L" else 30)))
    _, found = check("--root", tmp_path)
    (both,) = found["shared"]
    assert (both["identical"], both["known"], both["serious"]) == (3, "the clean images", False)


def test_a_part_of_a_training_set_that_holds_a_test_set_is_serious_though_known(tmp_path, check):
    save(tmp_path / "BSD500/a.png", texture())
    save(tmp_path / "CBSD68/b.png", texture())
    _, found = check("--root", tmp_path)
    (both,) = found["shared"]
    assert both["serious"]
    assert "validation part" in both["known"]


def test_an_image_that_is_in_a_set_twice_is_noted(tmp_path, check):
    for name, seed in (("a", 0), ("b", 1), ("c", 0)):
        save(tmp_path / f"mine/{name}.png", texture(seed=seed))
    code, found = check(tmp_path / "mine")
    assert code == Exit.DONE
    assert "1 target is in it twice (a.png and c.png)" in found["sets"][0]["notes"]


def test_unmatched_files_are_counted_and_three_named(tmp_path, check):
    for number in range(6):
        save(tmp_path / f"Rain100L/target/{number}.png", texture(seed=number))
    save(tmp_path / "Rain100L/input/0.jpg", texture(seed=9))
    save(tmp_path / "Rain100L/input/other.png", texture(seed=8))
    code, found = check("Rain100L", "--root", tmp_path)
    assert code == Exit.NOT_READY
    wrong = " ".join(rows_of(found, "Rain100L")["wrong"])
    assert "5 high-quality without low-quality" in wrong
    assert "1.png, 2.png, 3.png ..." in wrong
    assert "1 low-quality without high-quality" in wrong
    assert "other.png" in wrong


SIZES = {
    "of another scale": (48, 12, "a: 12x12 is 1/4 of 48x48); their folder is one of x2"),
    "of the whole target": (49, 25, "25x25 is no whole part of 49x49: 1/2 rounded up, of a target that was not cut"),
    "cut otherwise": (48, 23, "23x23 is no whole part of 48x48)"),
}


@pytest.mark.parametrize("case", SIZES)
def test_sizes_that_do_not_fit_are_explained(tmp_path, check, case):
    high, low, said = SIZES[case]
    save(tmp_path / "Set5/HR/a.png", np.zeros((high, high, 3), np.uint8))
    save(tmp_path / "Set5/LR_bicubic/X2/ax2.png", np.zeros((low, low, 3), np.uint8))
    code, found = check("Set5", "--root", tmp_path)
    assert code == Exit.NOT_READY
    assert any(said in line for line in rows_of(found, "Set5")["wrong"])


def test_targets_cut_for_every_scale_at_once_are_noted(tmp_path, check):
    for number in range(5):
        save(tmp_path / f"Set5/GTmod12/{number}.png", texture(seed=number))
        save(tmp_path / f"Set5/LRbicx2/{number}.png", imresize(texture(seed=number), 1 / 2))
    code, found = check("Set5", "--root", tmp_path)
    assert code == Exit.DONE
    assert any("multiples of 12" in note for note in rows_of(found, "Set5")["notes"])


def test_counts_that_are_met_elsewhere_are_explained(tmp_path):
    from suite.data.cards import card
    from suite.data.check import checks

    chosen = card("Test2800").model_copy(update={"splits": {"test": 1}, "also": {"2": "one file more"}})
    for number in range(2):
        save(tmp_path / f"Test2800/target/{number}.jpg", texture(seed=number))
        save(tmp_path / f"Test2800/input/{number}.jpg", texture(seed=number + 5))
    (report,) = checks.report_card(chosen, tmp_path, Remembered(tmp_path / "store.json"))
    assert report.wrong == []
    assert "2 images, where the set has 1: one file more" in report.notes


def test_a_jpeg_file_called_png_and_grey_files_are_noted(tmp_path, check):
    save(tmp_path / "mine/a.png", texture())
    Image.fromarray(texture(seed=1)).save(tmp_path / "mine/b.png", format="JPEG")
    Image.fromarray(texture(seed=2)[..., 0]).save(tmp_path / "mine/c.png")
    code, found = check(tmp_path / "mine")
    assert code == Exit.DONE
    notes = " ".join(found["sets"][0]["notes"])
    assert "1 file (b.png): a JPEG file, whatever its name" in notes
    assert "1 file (c.png): grey" in notes


def test_a_folder_of_pairs_is_checked_in_its_layout(tmp_path, check):
    for side, seed in (("target", 0), ("input", 5)):
        for number in range(2):
            save(tmp_path / f"mine/{side}/{number}.png", texture(seed=seed + number))
    save(tmp_path / "mine/input/1.png", texture(side=54))
    code, found = check(tmp_path / "mine")
    assert code == Exit.NOT_READY
    (wrong,) = found["sets"][0]["wrong"]
    assert "1 of 2 pairs do not fit by their sizes, width x height (1: 54x54 is larger than its target, 48x48); the other 1 are of" in wrong
    (tmp_path / "mine/none").mkdir()
    assert "no folder of targets (HR, GT, HQ, target, sharp, high and the like, in any case" in check(tmp_path / "mine/none")[1]


def test_fine_says_what_was_compared(tmp_path, capsys, check):
    for number in range(2):
        save(tmp_path / f"mine/hr/{number}.png", texture(seed=number))
        save(tmp_path / f"mine/lr/{number}.png", imresize(texture(seed=number), 1 / 4))
    code, found = check(tmp_path / "mine")
    assert (code, found["sets"][0]["compared"]) == (Exit.DONE, [{"scale": 4, "pairs": 2}])
    main.main(["data", "check", str(tmp_path / "mine"), str(tmp_path / "mine/hr")])
    said = capsys.readouterr().out.splitlines()
    assert said[0] == f"mine (test): 2 images, fine: 2 pairs of x4 compared ({tmp_path}/mine/hr, layout of hr/ and lr/)"
    assert any("hr (test): 2 images, fine: targets alone, no pairs to compare" in line for line in said)


UNFIT = {
    "rounded up": (
        (50, 49),
        (13, 13),
        "a: 13x13 is no whole part of 49x50: 1/4 rounded up, of a target that was not cut to a multiple of 4",
    ),
    "of no scale": ((48, 48), (23, 23), "a: 23x23 is no whole part of 48x48"),
    "larger": ((48, 48), (96, 96), "a: 96x96 is larger than its target, 48x48"),
    "turned": ((48, 24), (24, 48), "a: 48x24 is its target, 24x48, turned by 90 degrees"),
    "too small": ((9, 12), (9, 12), "1 target is too small to be measured (a: 12x9): 11x11 pixels are needed"),
}


@pytest.mark.parametrize("case", UNFIT)
@pytest.mark.parametrize("sides", [("HR", "LR"), ("target", "input"), ("GT", "LQ")])
def test_pairs_that_fit_no_scale_are_wrong_in_every_layout(tmp_path, check, case, sides):
    high, low, said = UNFIT[case]
    for side, size in zip(sides, (high, low), strict=True):
        save(tmp_path / f"mine/{side}/a.png", np.zeros((*size, 3), np.uint8))
    code, found = check(tmp_path / "mine")
    assert (code, [said in line for line in found["sets"][0]["wrong"]]) == (Exit.NOT_READY, [True])


def test_a_pair_of_another_scale_than_the_others_is_wrong_and_named(tmp_path, check):
    for name, scale in (("a", 2), ("b", 2), ("c", 4)):
        save(tmp_path / f"mine/HR/{name}.png", texture())
        save(tmp_path / f"mine/LR/{name}.png", imresize(texture(), 1 / scale))
    (wrong,) = check(tmp_path / "mine")[1]["sets"][0]["wrong"]
    assert "1 of 3 pairs do not fit by their sizes, width x height (c: 12x12 is 1/4 of 48x48); the other 2 are of x2" in wrong


def test_images_beside_the_folders_of_both_sides_are_named(tmp_path, check):
    for name in ("x.png", "GT/a.png", "LQ/a.png", "more/b.png"):
        save(tmp_path / "mine" / name, texture())
    (report,) = check(tmp_path / "mine")[1]["sets"]
    assert report["notes"] == [
        f"the targets are taken from GT/; other images in {tmp_path / 'mine'} are left out (x.png, more/).",
    ]


def test_the_sidd_blocks_are_counted_in_their_mat_files(tmp_path, check):
    from scipy.io import savemat

    place = tmp_path / "RealDN/SIDD"
    place.mkdir(parents=True)
    for side in ("Gt", "Noisy"):
        savemat(place / f"Validation{side}BlocksSrgb.mat", {f"Validation{side}BlocksSrgb": np.zeros((2, 3, 8, 8, 3), np.uint8)})
    code, found = check("SIDD", "--root", tmp_path)
    assert code == Exit.NOT_READY
    row = rows_of(found, "SIDD")
    assert row["wrong"] == ["6 images, where the set has 1280"]
    assert any("ValidationGtBlocksSrgb 2x3x8x8x3 uint8" in note for note in row["notes"])
    (place / "ValidationGtBlocksSrgb.mat").write_bytes(b"no")
    assert "cannot be read as a .mat file" in rows_of(check("SIDD", "--root", tmp_path)[1], "SIDD")["wrong"][0]


def test_the_rule_of_a_pair_is_remembered_until_a_file_changes(tmp_path, check, monkeypatch):
    from suite.data.check import inspection

    save(tmp_path / "Set5/HR/a.png", texture())
    save(tmp_path / "Set5/LR_bicubic/X2/ax2.png", imresize(texture(), 1 / 2))
    first = check("Set5", "--root", tmp_path)
    looked = []
    genuine = inspection.find_rule
    monkeypatch.setattr(inspection, "find_rule", lambda *about: looked.append(about) or genuine(*about))
    assert check("Set5", "--root", tmp_path) == first
    assert looked == []
    save(tmp_path / "Set5/LR_bicubic/X2/ax2.png", imresize(texture(), 1 / 2) // 2)
    again = rows_of(check("Set5", "--root", tmp_path)[1], "Set5")
    assert any("none of MATLAB's three rules" in line for line in again["wrong"])
    assert looked


@pytest.mark.parametrize("content", ["", "[]", "{", '{"files": 3}', '{"files": {"x": 1}, "pairs": []}', "\x00"])
def test_a_damaged_cache_is_done_without(tmp_path, content):
    path, store = tmp_path / "a.png", tmp_path / "facts.json"
    save(path, texture())
    store.write_text(content, encoding="utf-8")
    known = Remembered(store)
    assert dict(known.facts([path]))[path] == facts_of(path)
    known.save()
    held = json.loads(store.read_text(encoding="utf-8"))
    for entry in [entry for entry in held["files"].values() if isinstance(entry, dict)]:
        entry["is"]["height"] = "high"
    store.write_text(json.dumps(held), encoding="utf-8")
    assert dict(Remembered(store).facts([path]))[path] == facts_of(path)


def test_quick_counts_all_and_decodes_a_few(tmp_path, check, monkeypatch):
    from suite.data.check import inspection

    for number in range(5):
        save(tmp_path / f"Set5/{number}.png", texture(seed=number))
    looked = []
    monkeypatch.setattr(inspection, "facts_of", lambda path: looked.append(path) or facts_of(path))
    code, found = check("Set5", "--root", tmp_path, "--quick")
    assert (code, rows_of(found, "Set5")["images"], len(looked)) == (Exit.DONE, 5, 3)


def test_what_is_asked_for_and_missing_is_said(tmp_path, check):
    save(tmp_path / "Set5/a.png", texture())
    code, found = check("Urban100", "--root", tmp_path)
    assert code == Exit.NOT_READY
    assert found["missing"] == ["Urban100 is not here. `python -m suite data show Urban100` says where it is looked for."]


def test_people_read_lines(tmp_path, capsys):
    save(tmp_path / "Set5/a.png", texture())
    save(tmp_path / "WED/b.png", texture())
    assert main.main(["data", "check", "Set5", "WED", "Set14", "--root", str(tmp_path)]) == Exit.NOT_READY
    said = capsys.readouterr().out
    assert "Set5 (test): 1 of 5 images, 1 fault" in said
    assert "  wrong: 1 image, where the set has 5" in said
    assert "missing: Set14 is not here." in said
    assert "LEAK: 1 identical images in Set5 (test) and WED (train) (such as a.png and b.png)" in said
