"""What was measured is told whatever the terminal, the names of files and the disk: nothing is lost at the last step."""

import csv
import errno
import io
import json
import os
import subprocess
import sys

import numpy as np
import pytest
import synthetic_records as made
from PIL import Image

from suite.cli import main
from suite.core import files, output
from suite.core.errors import Exit, SuiteError
from suite.core.paths import ROOT
from suite.core.text import readable
from suite.measure.quality.saving import UNFINISHED
from suite.records.ledger import Ledger
from suite.records.load import load
from suite.records.record import dump

BAD = os.fsdecode(b"im\xe4ge")  # Latin-1, as an old archive writes it
TEXT = "bicubic · sr-x2 · Δ −0.5 dB\n"
EVALUATE = ("evaluate", "bicubic", "--task", "sr-x2", "--data")


@pytest.fixture
def run(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("SUITE_CACHE", str(tmp_path / "cache"))

    def call(*words):
        code = main.main([str(word) for word in words])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


@pytest.fixture
def folder(tmp_path):
    """A folder whose name is no UTF-8, and one of its two images."""
    place = tmp_path / os.fsdecode(b"s\xe4t")
    place.mkdir()
    drawn = np.random.default_rng(0)
    for name in (BAD, "other"):
        Image.fromarray(drawn.integers(0, 256, (24, 26, 3), dtype=np.uint8)).save(place / f"{name}.png")
    return place


@pytest.fixture
def full(monkeypatch):
    """Turn on and off that every disk is full."""
    kept, state = files.put_in_place, {"full": True}

    def put(file, path, *, overwrite=True):
        if state["full"]:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        kept(file, path, overwrite=overwrite)

    monkeypatch.setattr(files, "put_in_place", put)
    return state


def stream(encoding, errors="strict"):
    return io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors=errors, write_through=True)


# Names


@pytest.mark.parametrize("as_json", [True, False])
def test_names_that_are_no_utf8_are_measured_printed_and_recorded(run, folder, tmp_path, as_json):
    ledger = tmp_path / "ledger"
    code, out, err = run(*EVALUATE, folder, "--ledger", ledger, *["--json"] * as_json)
    assert code == Exit.DONE, err
    names = (
        [one["image"] for one in json.loads(out)["sets"][0]["images"]] if as_json else [line.partition(" ")[0] for line in out.splitlines()]
    )
    assert r"im\xe4ge" in names
    (record,) = Ledger(ledger).records()
    assert {score.image for score in record.scores} == {r"im\xe4ge", "other"}
    assert record.spec.test_set.endswith(r"s\xe4t")
    assert run("list", "records", "--ledger", ledger)[0] == Exit.DONE
    assert run("report", "--ledger", ledger, "--evidence", tmp_path, "--out", tmp_path / "page", "--format", "all")[0] == Exit.DONE


def test_names_that_are_no_utf8_are_scored_checked_and_restored(run, folder, tmp_path):
    assert run("score", "--pred", folder, "--gt", folder, "--no-perceptual", "--csv", tmp_path / "x.csv")[0] == Exit.DONE
    rows = list(csv.DictReader(io.StringIO((tmp_path / "x.csv").read_text(encoding="utf-8"))))
    assert any("ge" in row["image"] and row["value"] for row in rows)
    assert run("score", "--pred", folder, "--gt", folder, "--no-perceptual", "--protocol", "sr-y", "--scale", "2")[0] == Exit.DONE
    assert json.loads(run("score", "--pred", folder, "--gt", folder, "--no-perceptual", "--json")[1])["gt"] == str(folder)
    assert run("data", "check", folder)[0] == Exit.DONE
    (folder / f"{BAD}2.png").write_bytes(b"broken")
    code, _, err = run("restore", folder, tmp_path / "out", "--model", "bicubic", "--task", "sr-x2")
    assert code == Exit.INCOMPLETE
    assert r"im\xe4ge2.png" in err
    assert (tmp_path / "out" / f"{BAD}.png").is_file()


def test_a_name_is_the_same_text_in_every_locale():
    raw = "é".encode() + b"\xe4"
    assert {readable(raw.decode(encoding, "surrogateescape")) for encoding in ("utf-8", "ascii")} == {"é\\xe4"}
    assert readable("café − ok") == "café − ok"


def test_a_record_of_a_folder_that_is_no_utf8_comes_back_as_it_was(tmp_path):
    record = made.done("mambair-sr-x2", 38.0, crops=False, test_set=str(tmp_path / BAD))
    text = dump(record)
    text.encode()
    back = load(text, origin="here", pictures=tmp_path)
    assert (back.spec, back.fingerprint) == (record.spec, record.spec.fingerprint)


# Terminals and logs


@pytest.mark.parametrize(("encoding", "shown"), [("utf-8", TEXT), ("ascii", "bicubic - sr-x2 - \\u0394 -0.5 dB\n"), ("latin-1", None)])
def test_every_encoding_takes_every_text(monkeypatch, encoding, shown):
    taken = stream(encoding)
    monkeypatch.setattr(sys, "stdout", taken)
    output.open_streams()
    out = output.Output(sys.stdout)
    out.write(TEXT)
    if shown:
        assert taken.buffer.getvalue().decode(encoding) == shown
    taken.buffer.seek(0)
    taken.buffer.truncate()
    held = {"name": BAD, "text": TEXT}
    out.document(held)
    assert json.loads(taken.buffer.getvalue().decode(encoding)) == held


def python(words, redirection="", **environment):
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("LC_", "LANG", "PYTHON"))}
    command = f'exec "$0" -m suite {words} {redirection}'
    environment = inherited | {"PYTHONPATH": str(ROOT)} | environment
    return subprocess.run(["sh", "-c", command, sys.executable], capture_output=True, env=environment, cwd=ROOT, timeout=120, check=False)


def test_an_evaluation_prints_where_only_ascii_is_taken(folder):
    place = folder.parent / "plain"
    folder.rename(place)
    done = python(f"evaluate bicubic --task sr-x2 --no-record --data {place}", LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")
    assert done.returncode == Exit.DONE, done.stderr
    assert b"bicubic - sr-x2 - " in done.stdout
    assert rb"im\xe4ge" in done.stdout


@pytest.mark.parametrize(
    ("words", "redirection", "code", "message"),
    [
        ("list models", "> /dev/full", Exit.NOT_READY, b"standard output cannot be written: No space left on device"),
        ("--help", "> /dev/full", Exit.NOT_READY, b"standard output cannot be written: No space left on device"),
        ("list models", ">&-", Exit.NOT_READY, b"standard output is closed"),
        ("list models", ">&- 2>&-", Exit.NOT_READY, b""),
        ("list models", "2>&-", Exit.DONE, b""),
        ("list models", "| head -n 1", Exit.DONE, b""),
    ],
)
def test_an_output_that_takes_nothing_is_one_sentence_and_a_code(words, redirection, code, message):
    if "/dev/full" in redirection and not os.path.exists("/dev/full"):  # noqa: PTH110
        pytest.skip("this system has no /dev/full")
    done = python(words, redirection)
    assert done.returncode == code
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == bool(message)


# Full disks


def test_images_that_cannot_be_saved_cost_no_number_and_a_second_try_writes_them(run, folder, tmp_path, full):
    words = (*EVALUATE, folder, "--no-record", "--save", tmp_path / "saved")
    code, out, err = run(*words)
    assert code == Exit.NOT_READY
    assert "mean" in out
    assert "not all images were saved: " in err
    assert err.count("No space left on device") == 1
    (saved,) = (tmp_path / "saved").iterdir()
    assert [one.name for one in saved.iterdir()] == [UNFINISHED]
    full["full"] = False
    code, again, _ = run(*words)
    assert (code, again) == (Exit.DONE, out)
    assert len([one.suffix for one in saved.iterdir()]) == 2
    code, _, err = run(*words)
    assert code == Exit.USAGE
    assert "is not empty; nothing is overwritten" in err


@pytest.mark.usefixtures("full")
def test_a_record_that_cannot_be_written_is_said_after_the_numbers(run, folder, tmp_path):
    code, out, err = run(*EVALUATE, folder, "--ledger", tmp_path / "ledger", "--json")
    assert code == Exit.NOT_READY
    assert json.loads(out)["sets"][0]["mean"]
    assert "NOT recorded, though measured" in err


@pytest.mark.usefixtures("full")
def test_scores_that_no_file_takes_are_printed(run, folder, tmp_path):
    code, out, err = run("score", "--pred", folder, "--gt", folder, "--no-perceptual", "--csv", tmp_path / "x.csv")
    assert code == Exit.NOT_READY
    assert list(csv.DictReader(io.StringIO(out)))
    assert "x.csv cannot be written: No space left on device. The scores are on standard output in its place." in err
    assert not (tmp_path / "x.csv").exists()


@pytest.mark.parametrize("form", ["html", "latex", "csv"])
def test_a_report_that_cannot_be_written_is_one_sentence(run, tmp_path, monkeypatch, form):
    ledger = Ledger(tmp_path / "ledger")
    ledger.add(made.done("mambair-sr-x2", 38.0))
    monkeypatch.setattr(files, "put_in_place", lambda *_, **__: (_ for _ in ()).throw(OSError(errno.ENOSPC, "No space left on device")))
    code, _, err = run("report", "--ledger", ledger.folder, "--evidence", tmp_path, "--out", tmp_path / "page", "--format", form)
    assert code == Exit.NOT_READY
    assert "cannot be written: No space left on device" in err
    assert list((tmp_path / "page").iterdir()) == []


def test_what_stands_where_a_file_is_written_stays_what_it_is(tmp_path):
    files.write_whole(tmp_path / "new" / "x", b"1", "")
    assert (tmp_path / "new" / "x").read_bytes() == b"1"
    with pytest.raises(SuiteError, match=r"cannot be written: .* Choose"):
        files.write_whole(tmp_path / "new", b"1", "Choose another.")
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    files.write_whole(tmp_path / "pipe", b"1", "")
    assert os.read(reader, 9) == b"1"
    os.close(reader)


@pytest.mark.parametrize("content", [b"", b"\0" * 400, b"{", b"\xef\xbb\xbf"], ids=["empty", "zeros", "cut", "mark alone"])
def test_a_record_that_cannot_be_read_never_counts_as_done(run, folder, tmp_path, content):
    words = (*EVALUATE, folder, "--ledger", tmp_path / "ledger")
    run(*words)
    (path,) = (tmp_path / "ledger").glob("*.done.json")
    whole = path.read_bytes()
    path.write_bytes(content)
    code, _, err = run(*words)
    assert code == Exit.DONE
    assert "recorded: " in err
    assert "left out: " in err
    assert len(list((tmp_path / "ledger").glob("*.002.done.json"))) == 1
    path.write_bytes(b"\xef\xbb\xbf" + whole)
    (tmp_path / "ledger" / path.name.replace(".001.", ".002.")).unlink()
    assert "in the ledger since" in run(*words)[2]
