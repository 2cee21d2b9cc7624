"""Pictures of records: files named by their content, read again only whole, from folders that anyone may have filled."""

import base64
import hashlib
import json
import multiprocessing
import os
import re
import shutil
import stat

import pytest
import synthetic_records as made
from page_reader import read

from suite.cli import main
from suite.core import files
from suite.core.errors import Exit, SuiteError
from suite.records import pictures as module
from suite.records.ledger import Ledger
from suite.records.load import load
from suite.records.pictures import PICTURES_FOLDER, Png, UnreadablePicture, check_pictures
from suite.records.record import dump
from suite.report import report

RECORD = made.done(made.VMAMBAIR[0])
OTHER = made.done(made.VMAMBAIR[1])
OLD = RECORD.model_copy(update={"crops": tuple(crop.model_copy(update={"whole": None}) for crop in RECORD.crops)})  # no whole was kept


@pytest.fixture
def ledger(tmp_path):
    held = Ledger(tmp_path / "runs")
    held.add(RECORD)
    return held


def folder_of(ledger):
    return ledger.folder / PICTURES_FOLDER


def file_of(ledger, png):
    return folder_of(ledger) / f"{png.sha256}.png"


def the_record(ledger):
    (found,) = ledger.records()
    return found


def as_schema_2(record):
    """The text of a record as it was written before pictures were files."""
    raw = json.loads(dump(record)) | {"schema_version": 2}
    texts = {png.sha256: base64.b64encode(png.data).decode() for png in record.pictures}
    for crop in raw["crops"]:
        del crop["whole"]
        crop |= {name: texts[crop[name]] for name in ("input_png", "output_png", "target_png")}
    raw["receptive_field"]["map_png"] = texts[raw["receptive_field"]["map_png"]]
    return json.dumps(raw)


def test_a_record_names_its_pictures_and_the_ledger_keeps_them(ledger):
    assert the_record(ledger) == RECORD
    assert [png.read() for png in the_record(ledger).pictures] == [png.data for png in RECORD.pictures]
    names = {f"{png.sha256}.png" for png in RECORD.pictures}
    assert {path.name for path in folder_of(ledger).iterdir()} == names
    assert all(hashlib.sha256(path.read_bytes()).hexdigest() == path.stem for path in folder_of(ledger).iterdir())
    (file,) = ledger.folder.glob("*.json")
    assert not any(base64.b64encode(png.data[:30]).decode() in file.read_text() for png in RECORD.pictures)
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder_of(ledger).iterdir()} == {0o644}


def test_cells_share_a_picture_s_file_and_it_is_written_once(ledger):
    shared = file_of(ledger, RECORD.crops[0].input_png)
    before = shared.stat()
    ledger.add(OTHER)
    assert (shared.stat().st_ino, shared.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert {png.sha256 for one in (RECORD, OTHER) for png in one.pictures} == {path.stem for path in folder_of(ledger).iterdir()}


def test_pictures_travel_with_their_record_from_a_worker(tmp_path):
    here, there = multiprocessing.Pipe()
    there.send(RECORD)
    Ledger(tmp_path).add(here.recv())
    assert [png.read() for png in the_record(Ledger(tmp_path)).pictures] == [png.data for png in RECORD.pictures]


def test_a_record_of_another_ledger_brings_its_pictures(ledger, tmp_path):
    Ledger(tmp_path / "other").add(the_record(ledger))
    shutil.rmtree(ledger.folder)
    assert [png.read() for png in the_record(Ledger(tmp_path / "other")).pictures] == [png.data for png in RECORD.pictures]


@pytest.mark.parametrize("version", [1, 2])
def test_an_old_record_is_read_with_its_pictures_and_stays_as_it_is(tmp_path, version):
    file = tmp_path / f"{RECORD.fingerprint}.001.done.json"
    text = as_schema_2(OLD)
    if version == 1:
        text = json.dumps({key: value for key, value in json.loads(text).items() if key != "kind"} | {"schema_version": 1})
    file.write_text(text)
    file.chmod(0o444)
    tmp_path.chmod(0o555)
    try:
        found = the_record(Ledger(tmp_path))
    finally:
        tmp_path.chmod(0o700)
    assert found == OLD
    assert [png.read() for png in found.pictures] == [png.data for png in OLD.pictures]
    assert report.page_text([found]) == report.page_text([OLD])
    assert file.read_text() == text
    assert list(tmp_path.iterdir()) == [file]


def test_an_old_picture_that_was_none_is_kept_and_is_told_on_the_page():
    raw = json.loads(as_schema_2(OLD))
    raw["crops"][0]["output_png"] = "not base64 é"
    found = load(json.dumps(raw), origin="here")
    assert found.crops[0].output_png.data == "not base64 é".encode()
    assert "the record holds no readable picture" in next(read([found]).all(class_="strip")).text


@pytest.mark.parametrize("where", ["crops", "receptive_field"])
@pytest.mark.parametrize("value", [None, 1, [], {}])
def test_an_old_picture_of_another_type_makes_the_record_unreadable(where, value):
    raw = json.loads(as_schema_2(RECORD))
    if where == "crops":
        raw["crops"][0]["input_png"] = value
    else:
        raw["receptive_field"]["map_png"] = value
    with pytest.raises(SuiteError, match="here is not a readable record"):
        load(json.dumps(raw), origin="here")


NAMES = ["", "../../x", "/etc/passwd", "a" * 63, "a" * 65, "A" * 64, "g" * 64, "a" * 64 + "\n", "a" * 63 + "/", None, 7, "é" * 64]


@pytest.mark.parametrize("name", NAMES)
def test_a_picture_s_name_is_never_a_path(name):
    raw = json.loads(dump(RECORD))
    raw["crops"][0]["output_png"] = name
    with pytest.raises(SuiteError, match="here is not a readable record"):
        load(json.dumps(raw), origin="here")


def shown(records):
    """The sha256 of every picture on the page of `records`."""
    sources = [node.attributes["src"].removeprefix("data:image/png;base64,") for node in read(records).all("img")]
    return [hashlib.sha256(base64.b64decode(source)).hexdigest() for source in sources]


def missing(path):
    path.unlink()


def damaged(path):
    data = bytearray(path.read_bytes())
    data[-20] ^= 1
    path.write_bytes(data)


def torn(path):
    path.write_bytes(path.read_bytes()[:-10])


def pipe(path):
    path.unlink()
    os.mkfifo(path)


def huge(path):
    with path.open("wb") as file:
        file.truncate(2**33)


def a_folder(path):
    path.unlink()
    path.mkdir()


HARMS = {missing: "is missing", damaged: "is damaged", torn: "is damaged", pipe: "is missing", a_folder: "is missing", huge: "16 MiB"}


@pytest.mark.parametrize(("harm", "reason"), HARMS.items(), ids=lambda one: getattr(one, "__name__", ""))
@pytest.mark.parametrize("which", ["output_png", "map_png"])
def test_a_picture_that_cannot_be_read_is_named_and_the_rest_is_shown(ledger, tmp_path, capsys, harm, reason, which):
    png = RECORD.receptive_field.map_png if which == "map_png" else RECORD.crops[0].output_png
    others = [found for found in shown([RECORD]) if found != png.sha256]
    harm(file_of(ledger, png))
    with pytest.raises(UnreadablePicture, match=f"{PICTURES_FOLDER}/{png.sha256}.png.*{reason}"):
        next(found for found in the_record(ledger).pictures if found == png).read()
    assert main.main(["report", "--ledger", str(ledger.folder), "--out", str(tmp_path / "page")]) == Exit.DONE
    told = capsys.readouterr().err
    if reason == "is missing":
        assert f"left out: 1 picture that a record names is missing: {PICTURES_FOLDER}/{png.sha256}.png. Copy" in told
    assert re.search(f"the picture {png.sha256[:12]}… .*{reason}", (tmp_path / "page" / "index.html").read_text())
    assert shown(ledger.records()) == others
    assert main.main(["list", "records", "--ledger", str(ledger.folder)]) == Exit.DONE  # needs no picture


def test_without_the_folder_of_pictures_the_rest_is_shown_and_they_are_counted(ledger, tmp_path, capsys):
    ledger.add(OTHER)
    count = len(list(folder_of(ledger).iterdir()))
    shutil.rmtree(folder_of(ledger))
    assert main.main(["report", "--ledger", str(ledger.folder), "--out", str(tmp_path / "page"), "--format", "all"]) == Exit.DONE
    told = capsys.readouterr().err
    assert f"left out: {count} pictures that records name are missing" in told
    assert told.count(".png") == module.NAMED
    assert f" and {count - module.NAMED} more" in told


def test_no_file_but_a_png_gets_to_the_page(ledger):
    secret = Png.of(b"<svg onload=alert(1)>" + bytes(40))
    (folder_of(ledger) / f"{secret.sha256}.png").write_bytes(secret.data)
    raw = json.loads(dump(RECORD))
    raw["crops"][0]["output_png"] = raw["receptive_field"]["map_png"] = secret.sha256
    found = load(json.dumps(raw), origin="here", pictures=folder_of(ledger))
    page = report.page_text([found])
    assert base64.b64encode(secret.data).decode()[:40] not in page
    assert page.count("is not a PNG") >= 2


def test_pictures_are_written_before_the_record_that_names_them(ledger, monkeypatch):
    moved = []
    put = files.put_in_place

    def killed(file, path, **how):
        moved.append(path.suffix)
        if path.suffix == ".json":
            raise KeyboardInterrupt
        put(file, path, **how)

    monkeypatch.setattr(files, "put_in_place", killed)
    with pytest.raises(KeyboardInterrupt):
        ledger.add(OTHER)
    monkeypatch.undo()
    assert moved[-1] == ".json"
    assert set(moved[:-1]) == {".png"}
    assert list(ledger.records()) == [RECORD]
    ledger.add(OTHER)  # what was left is used
    assert list(ledger.records()) in ([RECORD, OTHER], [OTHER, RECORD])


def test_a_full_disk_leaves_no_record_without_its_pictures(tmp_path, monkeypatch):
    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    ledger = Ledger(tmp_path / "runs")
    with pytest.raises(SuiteError, match="No space left on device"):
        ledger.add(RECORD)
    assert [path.name for path in ledger.folder.rglob("*")] == [PICTURES_FOLDER]


def test_a_damaged_file_is_written_anew_by_the_next_cell_with_that_picture(ledger):
    png = OTHER.crops[0].input_png
    assert png in RECORD.pictures
    damaged(file_of(ledger, png))
    ledger.add(OTHER)
    assert all(found.read() for one in ledger.records() for found in one.pictures)


def test_what_a_killed_writer_left_is_cleared_by_the_next_run(ledger):
    left = folder_of(ledger) / f"{files.TEMPORARY}{2**22 + 1}-x.png"
    left.touch()
    with ledger.locked():
        assert not left.exists()
    assert the_record(ledger) == RECORD


def test_readable_pictures_are_not_told():
    check_pictures(RECORD.pictures, pytest.fail)
