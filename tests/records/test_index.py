"""The ledger's index says what the files say, whatever becomes of either, and `list records` and pandas read it."""

import csv
import io
import json
import multiprocessing
import os
import stat

import pytest
import scan_records
import synthetic_records as made

from suite.cli import main
from suite.cli.ledger import list as listing
from suite.core import files
from suite.core.errors import Exit, SuiteError
from suite.records import index
from suite.records.frame import frame
from suite.records.ledger import LISTED_COLUMNS, Ledger
from suite.records.record import dump
from suite.records.summary import summarise
from suite.study import versions

FAILURE = "Traceback (most recent call last):\n  here\nValueError: no"
RUNS = [made.done(made.VMAMBAIR[0], seed=seed) for seed in range(3)]


@pytest.fixture
def ledger(tmp_path):
    held = Ledger(tmp_path / "runs")
    for record in [
        *RUNS,
        made.failed(made.VMAMBAIR[1], FAILURE),
        scan_records.record(),
    ]:
        held.add(record)
    return held


def file_of(ledger):
    return ledger.folder / index.INDEX_FILE


def cells(ledger):
    return [row["cell"] for row in index.read_rows(ledger)]


def by_reading(ledger):
    """The rows without an index."""
    return [{name: summarise(record).get(name) for name in LISTED_COLUMNS} for record in ledger.records()]


def test_the_index_says_what_the_files_say(ledger):
    assert index.read_rows(ledger) == by_reading(ledger)  # made
    assert index.read_rows(ledger) == by_reading(ledger)  # read
    assert stat.S_IMODE(file_of(ledger).stat().st_mode) == 0o644
    assert [entry.fingerprint for entry in ledger.entries()] == cells(ledger)


def test_an_index_that_is_up_to_date_is_all_that_is_read(ledger, monkeypatch):
    expected = index.read_rows(ledger)
    monkeypatch.setattr(Ledger, "read", lambda *_: pytest.fail("read a record"))
    monkeypatch.setattr(index, "replacing", lambda *_: pytest.fail("wrote the index"))
    assert index.read_rows(ledger) == expected


def test_records_that_come_change_and_go_are_seen(ledger):
    index.read_rows(ledger)
    new = made.done(made.MAMBAIR[0])
    path = ledger.add(new)
    assert new.fingerprint in cells(ledger)
    before = path.stat()
    raw = json.loads(path.read_text()) | {"error": "xx"}
    path.write_text(json.dumps(raw | {"error": None}))
    other = path.read_text().replace('"seed": 0', '"seed": 7')
    path.write_text(other)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))  # as an archive or a careful hand would set it
    assert next(row for row in index.read_rows(ledger) if row["cell"] == new.fingerprint)["seed"] == 7
    path.unlink()
    assert index.read_rows(ledger) == by_reading(ledger)
    assert new.fingerprint not in cells(ledger)


def test_the_standing_attempt_is_listed_and_every_attempt_can_be_had(ledger):
    again = made.failed(made.VMAMBAIR[0], "later", seed=0)
    ledger.add(again)
    assert index.read_rows(ledger) == by_reading(ledger)
    assert len(frame(ledger)) == 5
    every = frame(ledger, every_attempt=True)
    assert len(every) == 6
    assert list(every[every.cell == again.fingerprint].status) == ["done", "failed"]


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"\xff\xfe", b"[]\n", b'{"made_by": 1}\n', b"null\n", "one line short", "another count", "other code"],
)
def test_a_damaged_index_or_one_of_other_code_is_made_again(ledger, content):
    expected = index.read_rows(ledger)
    file = file_of(ledger)
    whole = file.read_text()
    changed = {
        "one line short": whole[: whole.rindex("\n", 0, len(whole) - 1) - 4],
        "another count": whole.replace('"records":5', '"records":4'),
        "other code": whole.replace(f'"made_by":{versions.INDEX}', '"made_by":0').replace("quick", "wrong"),
    }
    file.write_bytes(content if isinstance(content, bytes) else changed[content].encode())
    assert index.read_rows(ledger) == expected
    assert len(frame(ledger)) == 5
    assert file.read_text() == whole


def test_an_index_that_is_torn_in_its_later_columns_is_made_again(ledger):
    expected = frame(ledger)
    file = file_of(ledger)
    whole = file.read_text()
    file.write_text(whole[: len(whole) * 2 // 3])
    assert frame(ledger).equals(expected)


def test_a_folder_that_cannot_be_written_is_listed_without_an_index(ledger, monkeypatch):
    def refuse(**_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(files.tempfile, "NamedTemporaryFile", refuse)
    assert index.read_rows(ledger) == by_reading(ledger)
    assert not file_of(ledger).exists()


def test_a_full_disk_leaves_the_old_index_and_nothing_torn(ledger, monkeypatch):
    index.read_rows(ledger)
    before = file_of(ledger).read_bytes()
    ledger.add(made.done(made.MAMBAIR[1]))

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(index.Path, "replace", full)
    assert len(index.read_rows(ledger)) == 6
    assert file_of(ledger).read_bytes() == before
    assert not list(ledger.folder.glob(".new-*"))


def test_unreadable_records_are_told_each_time_and_are_no_row(ledger):
    broken = ledger.folder / f"{'0' * 16}.001.done.json"
    broken.write_text("{")
    for _ in range(2):
        told = []
        assert len(index.read_rows(ledger, told.append)) == 5
        assert len(told) == 1
        assert str(broken) in str(told[0])
    with pytest.raises(SuiteError, match="not a readable record"):
        index.read_rows(ledger)


def write_and_list(folder, start):
    held = Ledger(folder)
    for seed in range(start, start + 8):
        held.add(made.done(made.VMAMBAIR[2], seed=seed, crops=False))
        index.read_rows(held)


def test_processes_that_write_and_list_at_once_end_with_every_record(ledger):
    context = multiprocessing.get_context("spawn")
    family = [context.Process(target=write_and_list, args=(ledger.folder, start)) for start in (0, 100)]
    for process in family:
        process.start()
    for process in family:
        process.join(60)
    assert [process.exitcode for process in family] == [0, 0]
    assert index.read_rows(ledger) == by_reading(ledger)
    assert len(cells(ledger)) == 5 + 16


def test_an_absent_or_empty_ledger_has_no_rows_and_gets_no_index(tmp_path):
    for folder in (tmp_path / "none", tmp_path):
        assert index.read_rows(Ledger(folder)) == []
        assert len(frame(Ledger(folder))) == 0
    assert list(tmp_path.iterdir()) == []


def test_a_frame_has_spec_means_costs_and_origin(ledger):
    held = frame(ledger)
    row = held[held.cell == RUNS[1].fingerprint].iloc[0]
    record = RUNS[1]
    assert (row.model, row.seed, row.width, row.lr, row.kind) == (record.spec.model, 1, 16, 2e-4, "run")
    assert row["PSNR-Y"] == record.mean("PSNR-Y")
    assert (row.params, row.macs, row.train_seconds) == (record.cost.params, record.cost.macs, record.train_seconds)
    assert (row.commit, row.total_seconds, row.images) == ("0123abc", 270.0, 6)
    assert row.made_on == "cpu Example CPU, cores 2, memory_gib 24.0"
    assert str(held.seed.dtype) == "Int64"  # scans have none, and it stays a whole number
    assert held[held.status == "failed"].error.tolist() == ["ValueError: no"]
    means = held[held.status == "done"].groupby("model")["PSNR-Y"].agg(["mean", "count"])
    assert means.loc[record.spec.model, "mean"] == pytest.approx(sum(r.mean("PSNR-Y") for r in RUNS) / 3)


def test_every_column_of_a_list_is_in_every_kind_s_summary():
    for record in (RUNS[0], scan_records.record(), scan_records.incorrect()):
        assert list(summarise(record))[: len(LISTED_COLUMNS)] == list(LISTED_COLUMNS)


def test_the_command_line_lists_and_writes_csv(ledger, tmp_path, capsys):
    where = ("--ledger", str(ledger.folder))
    assert main.main(["list", "records", *where]) == Exit.DONE
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 6
    assert lines[0].split() == [name.upper() for name in LISTED_COLUMNS]
    assert main.main(["list", "records", *where, "--csv", "-"]) == Exit.DONE
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [row["cell"] for row in rows] == cells(ledger)
    assert {float(row["PSNR-Y"]) for row in rows if row["PSNR-Y"]} == {record.mean("PSNR-Y") for record in RUNS}
    assert main.main(["list", "records", *where, "--csv", str(tmp_path / "held.csv")]) == Exit.DONE
    assert capsys.readouterr().out == f"records: {tmp_path / 'held.csv'}\n"
    assert main.main(["list", "models", "--csv", "-"]) == Exit.USAGE
    assert main.main(["list", "records", "--json", "--csv", "-"]) == Exit.USAGE
    capsys.readouterr()
    assert main.main(["list", "records", "--ledger", str(tmp_path / "none"), "--csv", "-"]) == Exit.DONE


def test_a_list_needs_no_pydantic_once_the_index_is_there(ledger):
    import subprocess
    import sys

    listing.records(ledger, pytest.fail)
    code = (
        "import sys; from suite.cli import main; main.main(['list', 'records', '--ledger', sys.argv[1]]); "
        "print([name for name in ('pydantic', 'numpy', 'torch', 'pandas') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code, str(ledger.folder)], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    assert dump(RUNS[0])
