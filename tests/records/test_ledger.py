"""The ledger: nothing torn, nothing overwritten, nothing lost."""

import json
import multiprocessing
import os
import subprocess
import sys
import time

import pytest
from fake_cells import record, spec

from suite.core import files
from suite.core.errors import Exit, SuiteError
from suite.records import index
from suite.records.ledger import Ledger, pick_standing

SPEC = spec("some-model")


@pytest.fixture
def ledger(tmp_path):
    return Ledger(tmp_path / "runs")


def test_an_absent_folder_is_an_empty_ledger(ledger):
    assert ledger.entries() == []
    assert list(ledger.records()) == []
    assert not ledger.done(SPEC.fingerprint)
    assert ledger.attempts(SPEC.fingerprint) == 0
    assert ledger.latest(SPEC.fingerprint) is None
    assert not ledger.folder.exists()


def test_a_record_comes_back_as_it_went_in(ledger):
    made = record(SPEC, score=28.123456789012345)
    path = ledger.add(made)
    assert path.name == f"{SPEC.fingerprint}.001.done.json"
    assert ledger.latest(SPEC.fingerprint) == made
    assert list(ledger.records()) == [made]
    assert ledger.done(SPEC.fingerprint)


def test_failed_then_done(ledger):
    ledger.add(record(SPEC, status="failed", error="first"))
    ledger.add(record(SPEC, status="failed", attempt=2, error="second"))
    assert not ledger.done(SPEC.fingerprint)
    assert ledger.attempts(SPEC.fingerprint) == 2
    assert ledger.latest(SPEC.fingerprint).error == "second"
    ledger.add(record(SPEC, attempt=3))
    assert ledger.done(SPEC.fingerprint)
    assert ledger.latest(SPEC.fingerprint).attempt == 3
    assert [entry.status for entry in ledger.entries()] == ["failed", "failed", "done"]
    assert [found.attempt for found in ledger.records()] == [3]


def test_a_done_record_stands_before_a_later_failed_one(ledger):
    ledger.add(record(SPEC))
    ledger.add(record(SPEC, status="failed", attempt=2, error="later"))
    assert ledger.done(SPEC.fingerprint)
    assert ledger.latest(SPEC.fingerprint).status == "done"


@pytest.mark.parametrize("status", ["done", "failed"])
def test_an_attempt_is_never_overwritten(ledger, status):
    path = ledger.add(record(SPEC))
    before = path.read_bytes()
    with pytest.raises(SuiteError, match="never overwritten"):
        ledger.add(record(SPEC, status=status, score=99.0))
    assert path.read_bytes() == before
    assert len(ledger.entries()) == 1


def test_a_file_that_appears_meanwhile_is_not_overwritten(ledger, monkeypatch):
    path = ledger.add(record(SPEC))
    before = path.read_bytes()
    monkeypatch.setattr(Ledger, "_files", lambda *_: ([], set()))  # as if the other driver wrote after the check
    with pytest.raises(SuiteError, match="cannot be written"):
        ledger.add(record(SPEC, score=99.0))
    assert path.read_bytes() == before
    assert [path.name for path in ledger.folder.iterdir()] == [path.name]


def test_without_hard_links_the_file_is_renamed(ledger, monkeypatch):
    def refuse(*_):
        raise OSError(files.NO_HARD_LINKS[0], "no hard links here")

    monkeypatch.setattr(os, "link", refuse)
    made = record(SPEC)
    ledger.add(made)
    assert list(ledger.records()) == [made]


def test_a_full_disk_leaves_nothing_torn(ledger, monkeypatch):
    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(SuiteError, match="No space left on device") as caught:
        ledger.add(record(SPEC))
    assert caught.value.exit is Exit.NOT_READY
    assert list(ledger.folder.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_found_before_work(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(SuiteError, match="cannot be written") as caught, Ledger(tmp_path / "file" / "runs").locked():
        pytest.fail("locked a ledger that cannot be written")
    assert caught.value.exit is Exit.NOT_READY


def test_half_written_files_are_ignored_and_cleared_by_the_next_run(ledger):
    made = record(SPEC)
    ledger.add(made)
    torn = [folder / f"{files.TEMPORARY}torn" for folder in (ledger.folder, ledger.work, ledger.weights)]
    for path in torn:
        path.parent.mkdir(exist_ok=True)
        path.write_text('{"schema_version": 1, "fing')
    (ledger.folder / "notes.txt").write_text("not ours")
    assert list(ledger.records()) == [made]
    with ledger.locked():
        assert not any(path.exists() for path in torn)
    assert (ledger.folder / "notes.txt").exists()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "not a readable record"),
        ('{"schema_version": 99}', "newer suite"),
        ("\udc80", "cannot be read"),
        (json.dumps(None), "not a readable record"),
    ],
)
def test_unreadable_files_are_named_and_the_rest_is_read(ledger, text, reason):
    good = record(spec("other-model"))
    ledger.add(good)
    broken = ledger.folder / f"{SPEC.fingerprint}.001.done.json"
    broken.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(SuiteError, match=reason) as caught:
        list(ledger.records())
    assert str(broken) in str(caught.value)
    told = []
    assert list(ledger.records(told.append)) == [good]
    assert len(told) == 1


def test_a_file_that_is_not_what_its_name_says_is_refused(ledger):
    path = ledger.add(record(SPEC))
    path.rename(path.with_name(f"{SPEC.fingerprint}.002.done.json"))
    with pytest.raises(SuiteError, match="not what its name says"):
        list(ledger.records())


def test_one_run_at_a_time(ledger):
    hold = "import sys, suite.records.ledger as l\nwith l.Ledger(sys.argv[1]).locked():\n print('held', flush=True)\n sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", hold, str(ledger.folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(SuiteError, match=f"process {holder.pid}") as caught, ledger.locked():
            pytest.fail("locked a ledger that is held")
        assert caught.value.exit is Exit.NOT_READY
        assert ledger.entries() == []  # reading needs no lock
        holder.kill()
    with ledger.locked():  # a killed run holds nothing
        pass


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="forks")
def test_a_process_that_the_holder_forked_does_not_hold_the_lock(ledger):
    fork = multiprocessing.get_context("fork")
    begun = fork.Event()
    with ledger.locked():  # as those that make batches, which live on for some seconds where their parent is killed
        forked = fork.Process(target=lambda: (begun.set(), time.sleep(60)), daemon=True)
        forked.start()
        assert begun.wait(60)
    with ledger.locked():
        assert forked.is_alive()
    forked.kill()
    forked.join()


def test_the_work_folder_goes_when_the_cell_is_done(ledger):
    folder = ledger.work_folder(SPEC.fingerprint)
    assert folder == ledger.folder / "work" / SPEC.fingerprint
    folder.mkdir(parents=True)
    (folder / "checkpoint.pt").touch()
    ledger.clear_work(SPEC.fingerprint)
    assert not folder.exists()
    ledger.clear_work(SPEC.fingerprint)


def test_the_default_ledger_named_by_its_path_is_the_same(monkeypatch, tmp_path):
    default = Ledger()
    default.folder.mkdir(parents=True)
    (tmp_path / "link").symlink_to(default.folder)
    monkeypatch.chdir(default.folder.parent.parent)
    for path in (default.folder, "results/runs", "results/../results/runs", tmp_path / "link"):
        named = Ledger(path)
        places = (named.weights, named.work, named.logs)
        assert [place.resolve() for place in places] == [place.resolve() for place in (default.weights, default.work, default.logs)]
    assert Ledger(default.folder / "other").weights == default.folder / "other" / "weights"


def test_the_default_ledger_is_the_checkout_s(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    default = Ledger()
    assert default.folder.parts[-2:] == ("results", "runs")
    assert default.work.parts[-2:] == ("results", "work")
    assert Ledger("relative").folder == tmp_path / "relative"


@pytest.mark.parametrize(
    ("attempts", "standing"),
    [
        ([("failed", 1)], ("failed", 1)),
        ([("failed", 1), ("failed", 2)], ("failed", 2)),
        ([("done", 1), ("failed", 2)], ("done", 1)),
        ([("failed", 1), ("done", 2), ("failed", 3)], ("done", 2)),
        ([("done", 1), ("done", 2)], ("done", 2)),
        ([("done", 2), ("failed", 3), ("done", 10)], ("done", 10)),
    ],
)
def test_the_ledger_the_index_and_the_report_pick_the_same_attempt(ledger, attempts, standing):
    records = [record(SPEC, status=status, attempt=number) for status, number in attempts]
    for one in records:
        ledger.add(one)
    latest = ledger.latest(SPEC.fingerprint)
    assert (latest.status, latest.attempt) == standing
    assert list(ledger.records()) == [latest] == list(pick_standing(reversed(records)))
    (row,) = index.read_rows(ledger, wanted=("status", "attempt"))
    assert (row["status"], row["attempt"]) == standing
