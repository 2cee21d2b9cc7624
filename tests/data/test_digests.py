"""Checksums of the files of a set: what they cover, which file differs, and that a file is hashed once."""

import os
import shutil
import string

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from small_pictures import write_image

from suite.core.errors import SuiteError
from suite.core.look import one_look
from suite.data import digests, images, photos
from suite.data.digests import Manifest, check_same_files, digest_pixels, list_changes, make_manifest, recall_files
from suite.data.feed.training_set import checksum, load_training, pair_images
from suite.data.sets import load_pairs
from suite.study.protocols import protocol
from suite.study.tasks import task

SR, RULE = task("sr-x2"), protocol("sr-y@1")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SUITE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "digests"


@pytest.fixture
def hashed(monkeypatch):
    """The files that are hashed, in order."""
    seen = []

    def seeing(hash_one):
        return lambda path: seen.append(path.name) or hash_one(path)

    for name in ("_hash_bytes", "_hash_pixels"):
        monkeypatch.setattr(digests, name, seeing(getattr(digests, name)))
    return seen


@pytest.fixture
def folder(tmp_path):
    """HR of 16 and LR of 8 pixels a side, three of each, seeded by their names."""
    for side, size in (("HR", 16), ("LR", 8)):
        for seed, name in enumerate(("a", "b", "c")):
            write_image(tmp_path / "set" / side / f"{name}.bmp", size, seed)
    return tmp_path / "set"


def manifest_of(folder, split="test", of=SR, rule=RULE):
    return make_manifest(str(folder), split, of, rule)


def changes(folder, before):
    return list_changes("test", before.files, manifest_of(folder).files)


def test_a_file_is_hashed_once_whatever_asks_for_it(folder, hashed):
    first = manifest_of(folder)
    assert sorted(hashed) == ["a.bmp", "a.bmp", "b.bmp", "b.bmp", "c.bmp", "c.bmp"]
    hashed.clear()
    assert manifest_of(folder) == first
    assert set(manifest_of(folder, "train").files) == {f"hq/{name}.bmp" for name in "abc"}  # LR is not read for training
    assert hashed == []


def swap(folder, side):
    """Another picture of the same size in bytes and, by its dates, of the same age."""
    path = folder / side / "b.bmp"
    before = path.stat()
    write_image(path, 16 if side == "HR" else 8, 77)
    assert path.stat().st_size == before.st_size
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def rename(folder, old, new):
    for side in ("HR", "LR"):
        (folder / side / f"{old}.bmp").rename(folder / side / f"{new}.bmp")


@pytest.mark.parametrize("side", ["HR", "LR"])
def test_a_swapped_file_is_named_and_it_alone_is_hashed_again(folder, side, hashed):
    before = manifest_of(folder)
    hashed.clear()
    swap(folder, side)
    assert changes(folder, before) == [f"{'hq' if side == 'HR' else 'lq'}/b.bmp of the test images (changed)"]
    assert hashed == ["b.bmp"]


def test_added_removed_and_renamed_files_are_named(folder, hashed):
    before = manifest_of(folder)
    hashed.clear()
    for side in ("HR", "LR"):
        shutil.copy(folder / side / "a.bmp", folder / side / "d.bmp")
    assert changes(folder, before) == [f"{side}/d.bmp of the test images (new)" for side in ("hq", "lq")]
    for side in ("HR", "LR"):
        (folder / side / "d.bmp").unlink()
    assert changes(folder, before) == []
    rename(folder, "b", "bb")
    said = changes(folder, before)
    assert said[:2] == [f"{side}/b.bmp of the test images (removed)" for side in ("hq", "lq")]
    assert said[2:] == [f"{side}/bb.bmp of the test images (new)" for side in ("hq", "lq")]
    rename(folder, "bb", "b")
    assert manifest_of(folder).sha256 == before.sha256


def test_two_images_that_change_places_are_another_set(folder):
    before = manifest_of(folder)
    for old, new in (("a", "x"), ("b", "a"), ("x", "b")):
        rename(folder, old, new)
    assert len(changes(folder, before)) == 4
    assert manifest_of(folder).sha256 != before.sha256


def test_a_set_that_is_moved_is_the_same_set(folder, tmp_path):
    before = manifest_of(folder)
    folder.rename(tmp_path / "elsewhere")
    assert manifest_of(tmp_path / "elsewhere") == before


@pytest.mark.parametrize("damage", [b"", b"{", b"[1]", b'{"a.bmp": 3}', b"\0" * 40])
def test_a_damaged_cache_is_made_again(folder, cache, damage):
    before = manifest_of(folder)
    for path in cache.rglob("*.json"):
        path.write_bytes(damage)
    assert manifest_of(folder) == before
    assert manifest_of(folder) == before


def test_a_cache_that_cannot_be_written_costs_time_alone(folder, tmp_path, monkeypatch):
    before = manifest_of(folder)
    monkeypatch.setenv("SUITE_CACHE", str(tmp_path / "other"))
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "digests").touch()  # no folder
    assert manifest_of(folder) == before
    assert recall_files(before.sha256) is None


def test_an_earlier_manifest_is_recalled_until_the_cache_is_gone(folder, cache):
    before = manifest_of(folder)
    assert recall_files(before.sha256) == before.files
    (cache / "sets" / f"{before.sha256}.json").write_text('{"hq/a.bmp": "0"}')
    assert recall_files(before.sha256) is None
    shutil.rmtree(cache)
    assert recall_files(before.sha256) is None


@pytest.mark.parametrize("name", ["photos", "photo-crops"])
def test_embedded_photographs_are_told_by_their_pixels(name, tmp_path, monkeypatch, hashed):
    before = make_manifest(name, "test", SR, RULE)
    assert len(before.files) == len(hashed) > 0
    held = tmp_path / "data"
    shutil.copytree(photos.photos_folder(), held)
    monkeypatch.setattr(photos, "photos_folder", lambda: held)
    first = photos.list_photo_files("test")[0]
    with first.open("ab") as file:
        file.write(b"\0" * 8)  # behind the picture's end: other bytes, the same pixels
    assert make_manifest(name, "test", SR, RULE) == before
    shutil.copy(photos.list_photo_files("train")[0], first)
    assert list_changes("test", before.files, make_manifest(name, "test", SR, RULE).files) == [
        f"hq/{first.name} of the test images (changed)"
    ]


@pytest.mark.parametrize("of", [SR, task("derain"), task("jpeg-10")], ids=lambda one: one.name)
@pytest.mark.parametrize("pairs", [True, False])
def test_the_checksum_of_pixels_is_that_of_records(folder, of, pairs):
    if of.scale == 1:
        shutil.rmtree(folder / "LR")
        shutil.copytree(folder / "HR", folder / "LR")
        write_image(folder / "LR" / "a.bmp", 16, 9)
    if not pairs:
        shutil.rmtree(folder / "LR")
    rule = protocol(of.protocol)
    for split in ("train", "test"):
        expected = load_training(str(folder), of).images if split == "train" else pair_images(load_pairs(str(folder), split, of, rule))
        for _ in range(2):
            manifest = manifest_of(folder, split, of, rule)
            assert digest_pixels(str(folder), split, of, rule, manifest) == checksum(expected)


def test_low_quality_files_count_for_training_where_they_are_read(folder):
    for name in "abc":
        shutil.copy(folder / "HR" / f"{name}.bmp", folder / "LR")
    assert len(manifest_of(folder, "train", task("derain"), protocol("derain-matlab@1")).files) == 6


def test_a_file_that_cannot_be_read_is_named(folder, monkeypatch):
    def refuse(_path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(digests, "sha256_of", refuse)
    with pytest.raises(SuiteError, match=r"a\.bmp cannot be read: Permission denied"):
        manifest_of(folder)


NAMES = st.text(string.ascii_letters + " ;\"'é\n", min_size=1, max_size=4)
FILES = st.dictionaries(NAMES, st.sampled_from("0123"), max_size=5)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(FILES, FILES)
def test_manifests_are_equal_where_nothing_differs_and_a_resumed_run_is_refused_where_something_does(before, now):
    differ = list_changes("train", before, now)
    assert (not differ) == (before == now) == (Manifest(before).sha256 == Manifest(now).sha256)
    assert len(differ) == len(set(before.items()) ^ set(now.items())) - sum(name in now and now[name] != before[name] for name in before)
    check_same_files({}, {"train": now}, "the cell", "begin anew")  # an old checkpoint holds none
    check_same_files({"train": before}, {}, "the cell", "begin anew")  # a worker that loads none
    if differ:
        with pytest.raises(SuiteError, match=rf"^the data of the cell .* {len(differ)} files? differs?, e\.g\. (?s:.*): begin anew\.$"):
            check_same_files({"train": before}, {"train": now}, "the cell", "begin anew")
    else:
        check_same_files({"train": before}, {"train": now}, "the cell", "begin anew")


def test_a_look_lists_each_folder_once_and_ends(folder, monkeypatch):
    """Cells of several tasks that read one folder list it once; what comes into it afterwards is seen."""
    listed = []
    monkeypatch.setattr(images, "_read_entries", lambda place, read=images._read_entries: listed.append(place) or read(place))
    with one_look():
        alone = [manifest_of(folder, "train", task(name), protocol(task(name).protocol)) for name in ("sr-x2", "sr-x3", "sr-x4")]
        both = manifest_of(folder)
    assert len(listed) == len(set(listed)) > 0
    assert {one.sha256 for one in alone} == {alone[0].sha256}
    assert len(both.files) == 6
    for side in ("HR", "LR"):
        shutil.copy(folder / side / "a.bmp", folder / side / "d.bmp")
    assert changes(folder, both) == ["hq/d.bmp of the test images (new)", "lq/d.bmp of the test images (new)"]


def test_a_set_that_is_as_it_was_is_not_written_again(folder, monkeypatch):
    before = manifest_of(folder)
    written = []
    monkeypatch.setattr(digests, "_write", lambda place, _held: written.append(place))
    assert manifest_of(folder) == before
    assert written == []
    (digests._place("sets", before.sha256)).write_bytes(b"{")
    manifest_of(folder)
    assert [place.stem for place in written] == [before.sha256]
