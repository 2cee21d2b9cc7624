"""Decoded images in one mapped file: the same pixels, checksums and batches as in memory, whole or not at all, once for all processes."""

import copy
import json
import multiprocessing
import pickle
import shutil
import threading
from collections import namedtuple

import numpy as np
import pytest
from PIL import Image

from suite.core.errors import Exit, SuiteError
from suite.data.degrade.degradations import degradation
from suite.data.feed import cache
from suite.data.feed.sampler import PatchSampler
from suite.data.feed.training_set import check_disjoint, checksum, load_training
from suite.study.tasks import task

NAMES = ("b", "a-1", "a", "c")  # neither their order nor that of their files is the checksum's


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SUITE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "decoded"


def picture(seed, height=40, width=48):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.fixture
def folder(tmp_path):
    for side in ("target", "input"):
        (tmp_path / "set" / side).mkdir(parents=True)
        for number, name in enumerate(NAMES):
            Image.fromarray(picture(number + 10 * (side == "input"), 40 + number, 48)).save(tmp_path / "set" / side / f"{name}.png")
    return tmp_path / "set"


def both(folder, name, monkeypatch):
    """The training set in memory, and mapped."""
    held = load_training(str(folder), task(name))
    monkeypatch.setattr(cache, "IN_MEMORY", 0)
    return held, load_training(str(folder), task(name))


def batch(train, name):
    row = task(name)
    return PatchSampler(train.images, degradation(row.degradation), 24, 0, rotate=True, low=train.low).batch(3, 6)


@pytest.mark.parametrize("name", ["derain", "sr-x2", "jpeg-10", "denoise-25", "real-sr-x4"])
def test_a_mapped_set_is_the_set_in_memory(folder, name, monkeypatch):
    where = folder if name == "derain" else folder / "target"
    held, mapped = both(where, name, monkeypatch)
    assert isinstance(held.images, list)
    assert isinstance(mapped.images, cache.NamedImages)
    assert [name for name, _ in held.images] == [name for name, _ in mapped.images]
    assert all(np.array_equal(one, other) for (_, one), (_, other) in zip(held.images, mapped.images, strict=True))
    assert checksum(held.images) == checksum(mapped.images)
    for one, other in zip(batch(held, name), batch(mapped, name), strict=True):
        np.testing.assert_array_equal(one, other)
    again = copy.deepcopy(mapped)  # by way of what pickling uses
    assert len(pickle.dumps(mapped)) < 2000  # its paths, not its pixels
    assert np.array_equal(again.images[2][1], held.images[2][1])


def test_images_are_recognised_without_reading_them(folder, monkeypatch):
    held, mapped = both(folder / "target", "sr-x2", monkeypatch)
    monkeypatch.setattr(cache.Mapped, "__getitem__", None)
    check_disjoint({"train": ("mine", mapped.images), "test": ("other", [("x", picture(99))])})
    with pytest.raises(SuiteError, match="'copy' of the test set"):
        check_disjoint({"train": ("mine", mapped.images), "test": ("other", [("copy", held.images[1][1][:40])])})


def test_what_is_there_is_not_decoded_again_and_a_changed_file_is(folder, monkeypatch, own_cache):
    monkeypatch.setattr(cache, "IN_MEMORY", 0)
    load_training(str(folder / "target"), task("sr-x2"))
    (target, low) = sorted(own_cache.glob("*/pixels"), key=lambda path: -path.stat().st_size)
    before = [path.stat().st_mtime_ns for path in (target, low)]
    load_training(str(folder / "target"), task("sr-x2"))
    load_training(str(folder / "target"), task("sr-x4"))  # the same targets
    assert [path.stat().st_mtime_ns for path in (target, low)] == before
    assert len(list(own_cache.glob("*/pixels"))) == 3
    Image.fromarray(picture(77)).save(folder / "target" / "a.png")
    assert np.array_equal(dict(iter(load_training(str(folder / "target"), task("sr-x2")).images))["a"], picture(77))


@pytest.mark.parametrize("damage", ["cut", "no index", "index", "another set", "pixels"])
def test_a_damaged_entry_is_made_anew_and_said(folder, damage, monkeypatch, own_cache, capsys):
    held, _ = both(folder / "target", "denoise-25", monkeypatch)
    (pixels,) = own_cache.glob("*/pixels")
    index = pixels.with_name("index.json")
    if damage == "cut":
        pixels.write_bytes(pixels.read_bytes()[:-1])
    elif damage == "no index":
        index.unlink()
    elif damage == "index":
        index.write_text(index.read_text()[:-20])
    elif damage == "another set":
        index.write_text(json.dumps(json.loads(index.read_text()) | {"written_for": "1 another"}))
    else:
        pixels.write_bytes(bytes(pixels.stat().st_size))
    assert "damaged" not in capsys.readouterr().err
    mapped = load_training(str(folder / "target"), task("denoise-25"))
    assert "is damaged" in capsys.readouterr().err
    assert all(np.array_equal(one, other) for (_, one), (_, other) in zip(held.images, mapped.images, strict=True))


def test_a_full_disk_is_said_before_anything_is_written(folder, monkeypatch, own_cache):
    monkeypatch.setattr(cache, "IN_MEMORY", 0)
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**9, 10**9, 25_000))  # the targets alone would fit
    with pytest.raises(
        SuiteError, match=r"decoding 4 targets \(0.00 GiB\) and 4 bicubic-x2 images .* needs 0.00 GiB in .*decoded, and"
    ) as error:
        load_training(str(folder / "target"), task("sr-x2"))
    assert error.value.exit is Exit.NOT_READY
    assert not list(own_cache.glob("*/pixels"))


def test_a_truncated_image_is_named_and_leaves_nothing(folder, monkeypatch, own_cache):
    monkeypatch.setattr(cache, "IN_MEMORY", 0)
    whole = (folder / "target" / "b.png").read_bytes()
    (folder / "target" / "b.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(SuiteError, match=r"b\.png cannot be read as an image"):
        load_training(str(folder / "target"), task("sr-x2"))
    assert not [path for path in own_cache.iterdir() if path.is_dir()]


def test_sides_that_do_not_fit_are_named(folder, monkeypatch):
    monkeypatch.setattr(cache, "IN_MEMORY", 0)
    Image.fromarray(picture(0, 41, 48)).save(folder / "input" / "b.png")
    with pytest.raises(SuiteError, match=r"b\.png is 48x41 .* but its target 'b' is 48x40, which is of another size"):
        load_training(str(folder), task("derain"))


def make_once(folder, decoded):
    cache.IN_MEMORY = 0
    read = cache.open_entry

    def counted(entry, make):
        def one(number):
            with decoded.get_lock():
                decoded.value += 1
            return make(number)

        return read(entry, one)

    from suite.data.feed import mapped as training

    training.open_entry = counted
    load_training(str(folder / "target"), task("denoise-25"))


def test_two_processes_make_an_entry_once(folder, own_cache):
    context = multiprocessing.get_context("fork")
    decoded = context.Value("i", 0)
    pair = [context.Process(target=make_once, args=(folder, decoded)) for _ in range(2)]
    for process in pair:
        process.start()
    for process in pair:
        process.join()
    assert [process.exitcode for process in pair] == [0, 0]
    assert decoded.value == len(NAMES)
    assert len([path for path in own_cache.iterdir() if path.is_dir()]) == 1


def test_who_waits_says_for_whom_and_what_a_killed_process_left_is_cleared(own_cache, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(cache, "SECONDS_BETWEEN_LOOKS", 0.01)
    (tmp_path / "x").write_bytes(b"")
    entry = cache.make_entry("targets", ["x"], [[tmp_path / "x"]], "nothing", 100)
    (own_cache / f".{entry.key}.1").mkdir(parents=True)
    begun, go = threading.Event(), threading.Event()

    def hold():
        with cache._alone(entry):
            begun.set()
            go.wait()

    holder = threading.Thread(target=hold)
    holder.start()
    begun.wait()
    threading.Timer(0.1, go.set).start()
    assert np.array_equal(cache.open_entry(entry, lambda _: picture(0))[0], picture(0))
    holder.join()
    assert "waiting for process" in capsys.readouterr().err
    assert not (own_cache / f".{entry.key}.1").exists()


def test_a_cache_that_is_another_user_s_is_named_with_the_way_out(tmp_path, monkeypatch):
    entry = cache.make_entry("images", ["a"], [[]], "none", 3)
    assert entry.folder.parent == tmp_path / "cache" / "decoded"

    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    closed = r"cannot be written to .*decoded: Permission denied.*SUITE_CACHE"
    with monkeypatch.context() as patch:
        patch.setattr(cache.shutil, "rmtree", refuse)
        with pytest.raises(SuiteError, match=closed):
            cache._remove(entry)
        patch.setattr(cache.Path, "open", refuse)
        with pytest.raises(SuiteError, match=closed):
            cache.open_entry(entry, None)
    (tmp_path / "file").touch()
    monkeypatch.setenv("SUITE_CACHE", str(tmp_path / "file" / "c"))
    with pytest.raises(SuiteError, match=r"decoded into the cache once\. the cache folder .* cannot be made"):
        _ = entry.folder
