"""What counts as done: a record that loads, of data that are still those it was made with."""

import contextlib
import io
import json
import os
import shutil

import fake_cells
import pytest
from small_pictures import write_image
from synthetic_records import provenance

from suite.cli import main
from suite.core import machine
from suite.core.errors import Exit
from suite.data import digests
from suite.data.digests import make_manifest
from suite.data.feed.training_set import checksum, load_training, pair_images
from suite.data.sets import load_pairs
from suite.records import cell as records_cell
from suite.records.cell import CellContext
from suite.records.ledger import Ledger
from suite.records.record import dump
from suite.runner.attempt import CELL_VARIABLE
from suite.runner.estimate import LOST
from suite.runner.standing import CHANGED, look_up
from suite.study.protocols import protocol
from suite.study.tasks import task
from suite.training.prepare import describe_files

SR, RULE = task("sr-x2"), protocol("sr-y@1")
SPLITS = ("train", "validation", "test")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SUITE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "digests"


@pytest.fixture
def sets(tmp_path):
    """Training images in one folder, pairs for validation and test; no two alike."""
    for place, split in enumerate(SPLITS):
        for number in range(2):
            seed = 10 * place + number
            write_image(tmp_path / split / "HR" / f"{split}{number}.bmp", 16, seed)
            if split != "train":
                write_image(tmp_path / split / "LR" / f"{split}{number}.bmp", 8, seed)
    return {f"{split}_set": str(tmp_path / split) for split in SPLITS}


@pytest.fixture
def ledger(tmp_path):
    return Ledger(tmp_path / "runs")


def files_of(spec):
    return {split: make_manifest(name, split, SR, RULE).files for split, name in spec.sets.items()}


def record_of(spec, *, old=False, attempt=1):
    """A done record of the data as they are: with checksums of files, or as of before schema 5 of pixels alone."""
    if not old:
        return fake_cells.record(spec, attempt=attempt).model_copy(update={"data_files": describe_files(spec, files_of(spec))})
    pixels = {f"train ({spec.train_set})": checksum(load_training(spec.train_set, SR).images)}
    for split in SPLITS[1:]:
        name = spec.sets[split]
        pixels[f"{split} ({name})"] = checksum(pair_images(load_pairs(name, split, SR, RULE)))
    return fake_cells.record(spec, attempt=attempt, provenance=provenance(data_checksums=pixels))


def standing_of(spec, ledger):
    found = look_up([spec], ledger)
    return found.states[spec.fingerprint], found.changed.get(spec.fingerprint, "")


def swap(path):
    before = path.stat()
    write_image(path, 16 if path.parent.name == "HR" else 8, 99)
    assert path.stat().st_size == before.st_size
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 1))


def add(path):
    shutil.copy(path, path.with_name("one-more.bmp"))
    write_image(path.with_name("one-more.bmp"), 16 if path.parent.name == "HR" else 8, 98)


def rename(path):
    path.rename(path.with_name("renamed.bmp"))


CHANGES = {"swapped": swap, "added": add, "removed": lambda path: path.unlink(), "renamed": rename}


@pytest.mark.parametrize("old", [False, True], ids=["files", "pixels"])
@pytest.mark.parametrize(("split", "side"), [("train", "HR"), ("validation", "HR"), ("validation", "LR"), ("test", "HR"), ("test", "LR")])
@pytest.mark.parametrize("what", CHANGES)
def test_a_cell_whose_data_changed_is_not_done_and_is_told(sets, ledger, what, split, side, old, tmp_path):
    spec = fake_cells.spec("m", **sets)
    ledger.add(record_of(spec, old=old))
    assert standing_of(spec, ledger) == ("done", "")
    path = tmp_path / split / side / f"{split}1.bmp"
    CHANGES[what](path)
    state, said = standing_of(spec, ledger)
    assert state == CHANGED
    assert said.startswith("its data changed: ")
    if what == "swapped" and not old:
        assert (
            said == f"its data changed: 1 file differs, e.g. {'hq' if side == 'HR' else 'lq'}/{split}1.bmp of the {split} images (changed)"
        )
    elif split == "train" and not old:
        assert {"added": "one-more.bmp", "removed": "train1.bmp", "renamed": "train1.bmp"}[what] in said
    elif what == "swapped":
        assert said.endswith(f"the {split} images of {str(tmp_path / split)!r} do not have the checksum that the record holds")
    elif split != "train":  # the other side has no partner
        assert "files are paired by name" in said
        assert {"added": "one-more.bmp", "removed": f"{split}1.bmp", "renamed": "renamed.bmp"}[what] in said


def test_both_sides_of_a_new_pair_are_told(sets, ledger, tmp_path):
    spec = fake_cells.spec("m", **sets)
    ledger.add(record_of(spec))
    for side in ("HR", "LR"):
        add(tmp_path / "test" / side / "test0.bmp")
    swap(tmp_path / "train" / "HR" / "train0.bmp")
    said = standing_of(spec, ledger)[1]
    assert said == "its data changed: 3 files differ, e.g. hq/train0.bmp of the train images (changed)"


def test_without_the_cache_differences_are_told_and_not_named(sets, ledger, cache, tmp_path):
    spec = fake_cells.spec("m", **sets)
    ledger.add(record_of(spec))
    shutil.rmtree(cache)
    assert standing_of(spec, ledger) == ("done", "")
    shutil.rmtree(cache)
    swap(tmp_path / "test" / "LR" / "test0.bmp")
    assert "4 files with other checksums; which differ is not known any more" in standing_of(spec, ledger)[1]


def test_old_data_that_are_put_back_are_done_again(sets, ledger, tmp_path):
    spec = fake_cells.spec("m", **sets)
    ledger.add(record_of(spec))
    path = tmp_path / "test" / "HR" / "test0.bmp"
    kept = path.read_bytes()
    swap(path)
    assert standing_of(spec, ledger)[0] == CHANGED
    path.write_bytes(kept)
    assert standing_of(spec, ledger) == ("done", "")


def test_a_second_look_hashes_nothing(sets, ledger, monkeypatch, tmp_path):
    spec, seen = fake_cells.spec("m", **sets), []
    for number in range(500):
        shutil.copy(tmp_path / "train" / "HR" / "train0.bmp", tmp_path / "train" / "HR" / f"more{number}.bmp")
    ledger.add(record_of(spec))
    hash_one = digests._hash_bytes
    monkeypatch.setattr(digests, "_hash_bytes", lambda path: seen.append(path.name) or hash_one(path))
    assert standing_of(spec, ledger) == ("done", "")
    assert seen == []
    swap(tmp_path / "train" / "HR" / "more77.bmp")
    assert standing_of(spec, ledger)[0] == CHANGED
    assert seen == ["more77.bmp"]


def test_data_that_are_not_here_are_told_and_the_record_counts(sets, ledger, tmp_path, capsys):
    spec = fake_cells.spec("m", **sets)
    ledger.add(record_of(spec))
    (tmp_path / "train").rename(tmp_path / "away")
    assert standing_of(spec, ledger) == ("done", "")
    assert "1 done cell has data that cannot be compared on this machine" in capsys.readouterr().err


def test_a_record_without_checksums_is_done(sets, ledger):
    spec = fake_cells.spec("m", **sets)
    ledger.add(fake_cells.record(spec))
    assert standing_of(spec, ledger) == ("done", "")


BROKEN = {
    "empty": lambda _: b"",
    "cut": lambda text: text[: len(text) // 2],
    "NUL-filled": lambda text: b"\0" * len(text),
    "NUL at the end": lambda text: text[:-200] + b"\0" * 200,
    "UTF-16": lambda text: text.decode().encode("utf-16"),
    "a list": lambda _: b"[]",
    "deep": lambda _: b"[" * 100_000,
    "of no numbers": lambda text: json.dumps(json.loads(text) | {"scores": []}).encode(),
}


@pytest.mark.parametrize("how", BROKEN)
def test_a_record_that_does_not_load_is_not_done_and_the_attempt_before_it_counts(ledger, how, capsys):
    spec = fake_cells.spec("m")
    path = ledger.add(fake_cells.record(spec))
    text = path.read_bytes()
    path.write_bytes(BROKEN[how](text))
    assert standing_of(spec, ledger) == ("new", "")
    assert not ledger.done(spec.fingerprint)
    if how != "of no numbers":
        assert path.name in capsys.readouterr().err
    path.rename(path.with_name(path.name.replace("001", "002")))
    path.write_bytes(text)
    assert (standing_of(spec, ledger), ledger.done(spec.fingerprint)) == (("done", ""), True)
    if how != "of no numbers":
        assert ledger.latest(spec.fingerprint).attempt == 1
        assert [record.attempt for record in ledger.records(lambda _error: None)] == [1]


def test_a_record_with_a_byte_order_mark_is_read(ledger):
    spec = fake_cells.spec("m")
    path = ledger.add(fake_cells.record(spec))
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert standing_of(spec, ledger) == ("done", "")
    assert dump(ledger.latest(spec.fingerprint)).encode() == path.read_bytes()[3:]


@pytest.fixture
def command(tmp_path, monkeypatch, sets):
    """Runs `run` over one cell of fakes in this process; gives its exit code, its output and what it told."""
    monkeypatch.setenv(CELL_VARIABLE, fake_cells.CELL)
    words = ["run", "--grid", "ablations", "--only", "mambair-sr-x2.mlp", "--launcher", "inline", "--device", "cpu", "--json"]
    words += ["--ledger", str(tmp_path / "runs"), "--report", str(tmp_path / "page")]
    words += [word for name, folder in sets.items() for word in ("--set", f"{name}={folder}")]

    def run(*more):
        out, told = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(told):
            code = main.main([*words, *more])
        return code, json.loads(out.getvalue()), told.getvalue()

    return run


def test_run_leaves_a_changed_cell_says_so_and_measures_it_when_asked(command, ledger, tmp_path):
    code, found, _ = command()
    assert (code, len(found["records"])) == (Exit.DONE, 1)
    done = ledger.latest(found["records"][0]["fingerprint"])
    next(ledger.folder.glob("*.done.json")).unlink()
    ledger.add(done.model_copy(update={"data_files": describe_files(done.spec, files_of(done.spec))}))
    assert command()[0] == Exit.DONE

    swap(tmp_path / "test" / "HR" / "test1.bmp")
    code, found, told = command("--dry-run")
    assert (code, [row["state"] for row in found["cells"]]) == (Exit.DONE, [CHANGED])
    code, found, told = command()
    assert code == Exit.INCOMPLETE
    assert found["outcome"] == "0 of 1 cells done, 1 done with data that have changed since (--again runs them)"
    assert "its data changed: 1 file differs, e.g. hq/test1.bmp of the test images (changed): --again" in told
    assert len(list(ledger.folder.glob("*.json"))) == 1

    code, found, told = command("--again")
    assert (code, found["outcome"]) == (Exit.DONE, "1 of 1 cells done")
    assert sorted(path.name[16:] for path in ledger.folder.glob("*.json")) == [".001.done.json", ".002.done.json"]
    assert command("--again")[1]["outcome"] == "1 of 1 cells done (1 before)"  # the second has no checksums, being a fake


@pytest.mark.parametrize("how", ["empty", "NUL-filled", "of no numbers"])
def test_run_measures_a_cell_again_whose_record_does_not_load(command, ledger, how):
    command()
    path = next(ledger.folder.glob("*.json"))
    path.write_bytes(BROKEN[how](path.read_bytes()))
    state = LOST if how == "of no numbers" else "new"  # that one still says that it was trained; a fake leaves no weights
    assert command("--dry-run")[1]["cells"][0]["state"] == state
    code, found, _ = command()
    assert (code, found["outcome"], len(found["records"])) == (Exit.DONE, "1 of 1 cells done", 1)


def test_run_says_why_its_records_name_no_commit_and_they_do_too(command, monkeypatch, tmp_path):
    monkeypatch.setattr(machine, "find_commit", lambda: machine.Commit("unknown", None, "git is not installed, or not on PATH"))
    assert "the records will not name the suite's commit: git is not installed, or not on PATH." in command()[2]
    context = CellContext(work=tmp_path, threads=1, launcher="inline", backend_reason="a test")
    made = records_cell.provenance(context, records_cell.now(), {}, "numba")
    assert (made.commit, made.no_commit, made.version) == ("unknown", "git is not installed, or not on PATH", machine.find_version())
    assert made.version[0].isdigit()
