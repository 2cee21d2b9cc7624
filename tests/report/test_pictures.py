"""The comparison of pictures as a model: what stands on the page once, what is left out, and which images rank worst."""

import json
import os
import re

import pytest
import synthetic_records as made
from evaluations import evaluation
from page_reader import read
from worst_images import worst

from suite.cli import main
from suite.core.paths import ROOT
from suite.data.cards import card
from suite.records.ledger import Ledger
from suite.records.pictures import Png
from suite.records.record import Crop, ImageScore, Measured
from suite.report import pictures, report
from suite.report.settings import setting_of
from suite.report.tables.build import build_tables as tables_of
from suite.study import published

FULL, V1 = made.VMAMBAIR[:2]


def built(records, **limits):
    return pictures.compare_pictures(records, tables_of(published.load_all(), records), **limits)


HEAD = made.png(96, 96).data[:24]


def picture():
    """Noise with a PNG's head, of about the size of a real detail of 96x96 pixels."""
    return Png.of(HEAD + os.urandom(2 * 96 * 96))


def with_crops(record, *crops):
    return record.model_copy(update={"crops": crops})


def test_methods_are_the_input_every_network_and_the_target():
    found = built(made.quick_grid(2))
    assert [one.title for one in found.sets] == ["real-sr-x4, quick budget", "sr-x2, quick budget"]
    first = found.sets[0]
    assert [method.label for method in first.methods] == ["input", "VmambaIR (Ours)", *(f"VmambaIR-V{n}" for n in range(1, 5)), "target"]
    assert first.methods[2].what == f"{V1}, seed 0"
    assert first.detail == "test set photos; width 16, depth ÷3; 300 iterations"
    record = made.done(FULL)
    assert first.images[0].tiles[1].values == tuple(record.scores[0].metrics.values())
    assert [image.name for image in first.images] == list(made.IMAGES)
    assert [image.pictured for image in first.images] == [True] * 2 + [False] * 4


def test_nothing_to_compare_without_a_picture():
    assert built([]) is None
    assert built(made.quick_grid(crops=False)) is None
    assert built([made.failed(FULL, "RuntimeError: boom")]) is None


def test_a_set_is_one_set_of_conditions():
    records = [made.done(FULL), made.done(V1), made.done(FULL, backend="cpp"), made.done(V1, budget="paper", test_set="NTIRE2020-T1")]
    found = built(records)
    assert len(found.sets) == len({setting_of(record.spec) for record in records}) == 3
    assert [one.detail for one in found.sets[:2]] == [
        f"test set photos; width 16, depth ÷3; 300 iterations; backend {name}" for name in ("cpp", "numba")
    ]
    assert found.sets[2].title == "real-sr-x4, paper budget"
    assert found.sets[2].detail.startswith("test set NTIRE2020-T1; ")
    assert len({one.key for one in found.sets}) == 3


def test_the_lowest_seed_that_is_done_is_shown():
    found = built([made.failed(FULL, "boom", seed=0), made.done(FULL, seed=2), made.done(FULL, seed=1)])
    assert found.sets[0].methods[1].what == f"{FULL}, seed 1"


def test_a_model_of_no_table_goes_by_its_own_name():
    record = made.done(FULL)
    other = record.model_copy(update={"spec": record.spec.model_copy(update={"model": "vmambair-realsr-x4-tiny"})})
    assert [method.label for method in built([other, record]).sets[0].methods[1:3]] == ["VmambaIR (Ours)", "vmambair-realsr-x4-tiny"]


def test_a_picture_is_on_the_page_once():
    root = read(made.quick_grid(3))
    images = [node.attributes for node in root.one("section", id="compare").all("img")]
    assert len({image["src"] for image in images}) == len({image["id"] for image in images}) == len(images) == 1 + 11 + 1
    assert all(image["id"].startswith("picture-") for image in images)
    again = list(root.all("a", class_="nopicture"))
    assert len(again) == 2 * (7 + 8) - len(images)  # two images of two sets; every other place is a link to the first


def test_the_grid_stands_alone():
    section = read(made.quick_grid()).one("section", id="compare")
    strip = next(section.all("figure", class_="strip"))
    assert [tile.one("span").text for tile in strip.all("li")][::6] == ["input", "target"]
    value = made.done(FULL).scores[0].metrics
    assert f"PSNR-Y {value['PSNR-Y']:.2f} dB" in list(strip.all("li"))[1].text
    assert all(image.attributes["width"] == "24" for image in strip.all("img"))
    assert "hidden" in section.one(id="compare-tool").attributes


def test_a_picture_that_cannot_be_read_is_told():
    record = made.done(FULL)
    for broken in map(Png.of, ("not base64 é".encode(), b"GIF89a" + bytes(30), b"")):
        strip = read([with_crops(record, record.crops[0].model_copy(update={"output_png": broken}))]).one(class_="strip")
        assert "the record holds no readable picture" in strip.text
        assert len(list(strip.all("img"))) == 2


def test_another_input_of_the_same_name_is_not_put_beside_the_first():
    full, v1 = made.done(FULL), made.done(V1)
    other = with_crops(v1, v1.crops[0].model_copy(update={"input_png": made.png(shift=77)}))
    first, second = built([with_crops(full, full.crops[0]), other]).sets[0].images[:2]
    assert (first.name, second.name) == ("astronaut", "astronaut (other data, 2)")
    assert [bool(tile.picture) for tile in first.tiles] == [True, True, False, True]
    assert first.tiles[2].note == second.tiles[1].note == "measured on another input or target of this name"
    assert set(first.tiles[2].values) == {None}


def scored(model, metric, values):
    record = made.done(model)
    return record.model_copy(update={"scores": tuple(ImageScore(image=n, metrics={metric: v}) for n, v in values.items())})


def test_worst_images_of_a_set():
    values = {"astronaut": 30.0, "chelsea": 25.0, "coffee": 28.0}
    found = built([scored(FULL, "PSNR-Y", values), scored(V1, "PSNR-Y", {"astronaut": 31.0, "chelsea": 25.5, "coffee": 27.0})]).sets[0]
    assert [name for name, _ in worst(found, "PSNR-Y", FULL)] == ["chelsea", "coffee", "astronaut"]
    assert worst(found, "PSNR-Y", FULL, V1, 2) == [("astronaut", -1.0), ("chelsea", -0.5)]
    lower = built([scored(FULL, "LPIPS-alex", values)]).sets[0]
    assert [name for name, _ in worst(lower, "LPIPS-alex", FULL, count=1)] == ["astronaut"]


def test_the_hardest_images_of_every_set_stay_and_the_rest_are_named_with_the_command():
    names = made.IMAGES
    records = []
    for model in (FULL, V1, made.MAMBAIR[0]):
        crops = [Crop(image=name, input_png=picture(), output_png=picture(), target_png=picture()) for name in names]
        records.append(with_crops(made.done(model), *crops))
    # the inputs and targets of one set are the same
    ends = {crop.image: crop for crop in records[0].crops}
    shared = [
        crop.model_copy(update={"input_png": ends[crop.image].input_png, "target_png": ends[crop.image].target_png})
        for crop in records[1].crops
    ]
    records[1] = with_crops(records[1], *shared)
    found = built(records, limit_mib=0.4)
    embedded = [[image.name for image in one.images if image.embedded] for one in found.sets]
    ranked = [[name for name, _ in worst(s, "PSNR-Y", s.methods[1].key, count=None)] for s in found.sets]
    assert all(embedded)
    assert [set(names_) for names_ in embedded] == [set(order[: len(names_)]) for order, names_ in zip(ranked, embedded, strict=True)]
    size = sum(len(tile.picture.png) for s in found.sets for image in s.images for tile in image.tiles if tile.first)
    assert size <= 0.4 * 2**20 < found.needed_mib * 2**20
    assert found.left_out == 12 - sum(map(len, embedded))
    text = " ".join(report.page_text(records, 0.4).split())
    assert f"{found.left_out} images are left out" in text
    assert f"python -m suite report --pictures {-int(-found.needed_mib // 1)}" in text
    assert all(name in text for one in found.sets for name in one.left_out)
    assert built(records, limit_mib=100).left_out == 0


def test_the_command_on_the_page_shows_every_picture(tmp_path):
    ledger = tmp_path / "runs"
    for record in made.quick_grid():
        Ledger(ledger).add(record)
    small = ["report", "--ledger", str(ledger), "--out", str(tmp_path / "page"), "--pictures", "0.004"]
    assert main.main(small) == 0
    page = (tmp_path / "page" / "index.html").read_text(encoding="utf-8")
    assert "images are left out: the pictures" in page
    words = re.search(r"python -m suite (report --pictures \d+)<", page).group(1).split()
    assert main.main([*words, *small[1:5]]) == 0
    page = (tmp_path / "page" / "index.html").read_text(encoding="utf-8")
    assert "left out: the pictures" not in page
    assert page.count('id="picture-') == 13


def test_the_help_tells_the_bound_of_the_pictures(capsys):
    with pytest.raises(SystemExit):
        main.main(["report", "--help"])
    assert f"(default: {pictures.PICTURES_MIB:g})" in " ".join(capsys.readouterr().out.split())


@pytest.mark.slow
def test_a_page_of_a_thousand_records_is_below_15_mb():
    ends = [(picture(), picture()) for _ in range(2)]
    models = made.VMAMBAIR + made.MAMBAIR
    records = []
    for number in range(1000):
        model, other = models[number % len(models)], number // len(models)
        where = {"seed": other % 3, "test_set": f"set{other // 3}"}  # 31 data sets with up to 3 seeds
        crops = [
            Crop(image=name, input_png=low, output_png=picture(), target_png=high)
            for name, (low, high) in zip(made.IMAGES, ends, strict=False)
        ]
        records.append(with_crops(made.done(model, crops=False, **where), *crops))
    text = report.page_text(records)
    assert len(text.encode()) < 15e6
    assert "images are left out" in text
    assert 300 < text.count('id="picture-') < 4 + 31 * 22  # some, and not all


def test_data_for_the_script_are_those_of_the_grid():
    root = read(made.quick_grid())
    data = json.loads(root.one("section", id="compare").attributes["data-comparison"])
    places = {node.attributes["id"] for node in root.one("section", id="compare").all("img")}
    for one in data["sets"]:
        for image in one["images"]:
            assert len(image["pictures"]) == len(image["values"]) == len(one["methods"])
            assert {picture for picture in image["pictures"] if picture} <= places
            assert image["embedded"] == any(image["pictures"])


def given(model="bicubic", task="light-sr-x4", *, shift=0, mean=30.0, names=("astronaut",), **fields):
    """An evaluation on embedded photographs with details of `names`; inputs and targets of all are the same."""
    crops = [Crop(image=name, input_png=made.png(), output_png=made.png(shift=shift), target_png=made.png(shift=90)) for name in names]
    record = evaluation(model, task, test_set="photos", mean=mean, **fields)
    scores = tuple(one.model_copy(update={"image": name}) for one, name in zip(record.scores, made.IMAGES, strict=False))
    return record.model_copy(update={"scores": scores, "crops": tuple(crops)})


NETWORK = "mambairv2-light-x4"


def test_given_weights_stand_beside_bicubic_and_the_original():
    records = [given(NETWORK, sha="ab" * 32, shift=1, routing="sampled"), given(shift=2, mean=28.0), made.done(FULL)]
    trained, found = built(records).sets
    assert trained.title == "real-sr-x4, quick budget"
    assert (found.title, found.detail) == ("light-sr-x4, given weights", "test set photos; sr-y@1")
    assert [method.label for method in found.methods] == ["input", "bicubic", "MambaIRv2-light", "target"]
    assert found.methods[2].what == f"{NETWORK}; weights: origin unknown (theirs.pth, sha256 abababab); routing sampled"
    assert found.commands == (f"python -m suite restore PHOTO.png OUT.png --model {NETWORK} --weights theirs.pth",)
    pictured = next(image for image in found.images if image.name == "astronaut")
    assert pictured.embedded
    assert [tile.picture is not None for tile in pictured.tiles] == [True] * 4
    assert pictured.tiles[2].values[0] > pictured.tiles[1].values[0]
    section = read(records).one("section", id="compare")
    assert found.commands[0] in section.text
    assert "origin unknown (theirs.pth, sha256 abababab)" in section.text


def test_ways_of_given_weights_stand_apart_and_equal_ones_once():
    fields = {"sha": "ab" * 32}
    records = [given(NETWORK, **fields, routing="sampled", seed=seed, shift=seed + 1) for seed in (1, 0)]
    records += [given(NETWORK, **fields, routing="argmax"), given(NETWORK, **fields, routing="sampled", backend="cpp", seed=2)]
    (found,) = built(records).sets
    assert [method.what.rpartition("; ")[2] for method in found.methods[1:-1]] in (
        ["routing sampled", "routing argmax"],
        ["routing argmax", "routing sampled"],
    )
    place = next(number for number, method in enumerate(found.methods) if "sampled" in method.what)
    shown = next(image for image in found.images if image.name == "astronaut").tiles[place]
    assert shown.picture.id == f"picture-{made.png(shift=1).sha256[:16]}"  # of seed 0
    assert len({method.key for method in found.methods}) == len(found.methods)


def test_a_baseline_alone_is_no_set_and_other_images_are_another():
    assert built([given()]) is None
    both = [given(NETWORK, sha="ab" * 32), given(NETWORK, sha="ab" * 32, data_digest="ef" * 32, shift=4)]
    assert len(built(both).sets) == 2


def test_the_page_shows_a_photograph_that_mambairv2_light_restored_beside_bicubic_and_the_original():
    records = list(Ledger(ROOT / "results" / "evidence").records())
    measured = [record for record in records if isinstance(record, Measured)]
    found = next(one for one in built(measured).sets if any(method.key.startswith(NETWORK) for method in one.methods))
    assert found.detail == "test set photos; sr-y@1"
    names = [method.key.rpartition("-")[0] if method.key.startswith(NETWORK) else method.key for method in found.methods]
    place, bicubic = names.index(NETWORK), names.index("bicubic")
    shown = [image for image in found.images if image.embedded]
    assert shown
    for image in shown:
        assert card("photos").may_pass_on(image.name)
        assert all(image.tiles[number].picture for number in (0, bicubic, place, -1))
        assert image.tiles[place].values[0] > image.tiles[bicubic].values[0] + 1  # dB
    text = read(records).one("section", id="compare").text
    assert "team40_mambairv2light.pth, sha256 3e80def7" in text
