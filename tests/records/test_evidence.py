"""Evidence: kept with the code, beside the user's own ledger, which wins; without pictures, without paths; withdrawn and not forgotten."""

import json
import subprocess

import pytest
from evaluations import evaluation
from synthetic_records import done, png, provenance

from suite.cli import main
from suite.core.errors import Exit, SuiteError
from suite.core.paths import ROOT
from suite.data.cards import card
from suite.records import evidence
from suite.records.index import read_rows
from suite.records.ledger import Ledger
from suite.records.load import load
from suite.records.record import Crop, Trivial, dump

FULL = "vmambair-realsr-x4"


def pictured(*images, test_set="photos"):
    """An evaluation of bicubic with a detail of each of `images`."""
    names = images or tuple(crop.image for crop in done(FULL).crops)
    crops = tuple(Crop(image=name, input_png=png(), output_png=png(shift=7), target_png=png(shift=8)) for name in names)
    return evaluation(test_set=test_set).model_copy(update={"crops": crops})


@pytest.fixture
def own(tmp_path):
    return Ledger(tmp_path / "runs")


@pytest.fixture
def kept(tmp_path):
    return Ledger(tmp_path / "evidence")


@pytest.fixture
def verb(own, kept, capsys):
    def call(*words):
        code = main.main(["records", *map(str, words), "--ledger", str(own.folder), "--evidence", str(kept.folder)])
        out, err = capsys.readouterr()
        return code, out, err

    return call


def test_an_evaluation_is_read_as_it_was_written():
    record = evaluation("mambair-sr-x2", sha="ab" * 32)
    assert load(dump(record), origin="x") == record
    assert record.pictures == ()


def test_records_are_kept_by_name_and_read_beside_the_ledger_which_wins(own, kept, verb):
    old, new = evaluation(mean=33.0), evaluation(mean=33.7)
    own.add(old)
    code, out, _ = verb("keep", "bicubic")
    assert code == Exit.DONE
    assert f"kept: {old.fingerprint}.001.done.json" in out
    assert verb("keep", old.fingerprint)[0] == Exit.DONE  # again: it is there
    assert [record.mean("PSNR-Y") for record in evidence.read_records(Ledger(own.folder.parent / "none"), kept.folder)] == [
        pytest.approx(33.0)
    ]
    own.add(new.model_copy(update={"attempt": 2}))
    assert [record.mean("PSNR-Y") for record in evidence.read_records(own, kept.folder)] == [pytest.approx(33.7)]
    code, _, err = verb("keep", "bicubic")
    assert code == Exit.USAGE
    assert "records retract" in err


def test_what_failed_here_does_not_hide_what_is_kept(own, kept):
    record = evaluation()
    kept.add(record)
    own.add(record.model_copy(update={"status": "failed", "scores": (), "error": "no memory"}))
    (found,) = evidence.read_records(own, kept.folder)
    assert found.status == "done"


def test_pictures_stay_behind_unless_they_may_be_passed_on(kept, tmp_path):
    first, second = (crop.image for crop in done(FULL).crops)
    trivial = Trivial(name="bicubic", scores=done(FULL).scores, pictures={first: png(), second: png(shift=3)})
    for record in (done(FULL).model_copy(update={"trivial": trivial}), pictured()):
        evidence.keep(record, kept.folder, pictures=())
        found = kept.latest(record.fingerprint)
        assert found.crops == ()
        assert found.scores == record.scores
        assert {one.sha256 for one in found.pictures} <= {getattr(getattr(record, "receptive_field", None), "map_png", png()).sha256}
        shown = Ledger(tmp_path / f"shown {record.kind}")
        evidence.keep(record, shown.folder, pictures=[first])
        found = shown.latest(record.fingerprint)
        assert found.crops == record.crops[:1]
        assert getattr(found, "trivial", None) in (None, trivial.model_copy(update={"pictures": {first: png()}}))
        evidence.keep(record, shown.folder, pictures=())  # it is there: pictures are not what tells records apart


def test_pictures_are_kept_of_images_that_anyone_may_pass_on_and_of_those_asked_for(own, kept, verb):
    record = pictured("chelsea", "ihc", "rocket")
    own.add(record)
    code, _, err = verb("keep", "bicubic", "--pictures", "ihc")
    assert code == Exit.USAGE
    assert "It can of: chelsea, rocket." in err
    assert verb("keep", "bicubic", "--pictures", "lena")[0] == Exit.USAGE
    assert verb("keep", "bicubic", "--pictures", "rocket")[0] == Exit.DONE
    assert [crop.image for crop in kept.latest(record.fingerprint).crops] == ["rocket"]
    evidence.retract(next(iter(kept.entries())), "one picture more")
    assert verb("keep", "bicubic")[0] == Exit.DONE
    assert [crop.image for crop in kept.latest(record.fingerprint).crops] == ["chelsea", "rocket"]
    elsewhere = pictured("chelsea", test_set="Set5")  # of a card that says nothing
    own.add(elsewhere)
    verb("keep", elsewhere.fingerprint)
    assert kept.latest(elsewhere.fingerprint).crops == ()


PRIVATE = {
    "a folder": {"test_set": "/data/mine/Set5"},
    "a home": {"test_set": "/home/ann/Set5"},
}


@pytest.mark.parametrize("fields", PRIVATE.values(), ids=PRIVATE)
def test_a_path_of_this_machine_is_refused(kept, fields):
    with pytest.raises(SuiteError, match="belongs to this machine"):
        evidence.keep(evaluation(**fields), kept.folder, pictures=())
    assert not kept.folder.exists()


def test_a_host_s_name_is_refused(kept, monkeypatch):
    monkeypatch.setenv("HOSTNAME", "node-seventeen")
    record = evaluation().model_copy(update={"provenance": provenance(machine={"cpu": "of node-seventeen"})})
    with pytest.raises(SuiteError, match="node-seventeen"):
        evidence.keep(record, kept.folder, pictures=())


def test_only_what_was_measured_is_kept(kept, own, verb):
    failed = evaluation().model_copy(update={"status": "failed", "scores": (), "error": "no memory"})
    with pytest.raises(SuiteError, match="only what was measured"):
        evidence.keep(failed, kept.folder, pictures=())
    own.add(failed)
    assert verb("keep", "bicubic")[0] == Exit.NOTHING


def test_a_wrong_record_is_withdrawn_in_both_places_and_stays(own, kept, verb):
    record = evaluation(mean=99.0)
    own.add(record)
    verb("keep", "bicubic")
    code, out, _ = verb("retract", record.fingerprint, "--reason", "the images were swapped")
    assert code == Exit.DONE
    assert out.count("withdrawn") == 2
    for ledger in (own, kept):
        assert list(ledger.records()) == []
        assert not ledger.done(record.fingerprint)
        assert read_rows(ledger) == []
        assert len(list(ledger.folder.glob("*.done.json"))) == 1
        assert ledger.attempts(record.fingerprint) == 1  # its number is not given again
    assert evidence.read_records(own, kept.folder) == []
    rows = json.loads(verb("list", "--json")[1])["records"]
    assert [
        row["state"].startswith(f"withdrawn, in the {place}: the images were swapped (")
        for row, place in zip(rows, ("ledger", "evidence"), strict=True)
    ]
    own.add(evaluation(mean=33.7).model_copy(update={"attempt": 2}))
    verb("keep", "bicubic")
    assert [one.mean("PSNR-Y") for one in kept.records()] == [pytest.approx(33.7)]


def test_a_name_that_fits_nothing_and_a_reason_that_is_missing(verb, own):
    own.add(evaluation())
    code, _, err = verb("retract", "bicubik", "--reason", "x")
    assert code == Exit.NOTHING
    assert "'bicubic'" in err
    with pytest.raises(SystemExit):
        verb("retract", "bicubic")


def test_the_report_and_the_claims_read_evidence(own, kept, capsys, tmp_path):
    kept.add(evaluation(mean=33.673))
    words = ["--ledger", str(own.folder), "--evidence", str(kept.folder)]
    assert main.main(["report", *words, "--out", str(tmp_path / "page")]) == Exit.DONE
    assert "33.67" in (tmp_path / "page" / "index.html").read_text()
    assert main.main(["claims", *words]) == Exit.DONE
    assert "holds no record" not in capsys.readouterr().err


def test_evidence_of_the_checkout_loads_tells_of_no_machine_and_tracks_no_picture_that_it_may_not():
    folder = ROOT / "results" / "evidence"
    for record in Ledger(folder).records():
        assert evidence.find_private(record) == ""
        assert record.status == "done"
    tracked = subprocess.run(["git", "-C", ROOT, "ls-files", "-z"], capture_output=True, text=True, check=False).stdout.split("\0")
    if not any(tracked):
        pytest.skip("not a checkout of git")
    pictures = {
        name for name in tracked if name.lower().endswith((".png", ".jpg", ".jpeg", ".gif", ".webp", ".bmp", ".tif", ".tiff", ".mat"))
    }
    allowed = {
        f"results/evidence/pictures/{one.sha256}.png"
        for record in Ledger(folder).records()
        for crop in getattr(record, "crops", ())
        if card(record.spec.test_set).may_pass_on(crop.image)
        for one in crop.pictures
    }
    allowed |= {  # maps of gradients, which show no photograph
        f"results/evidence/pictures/{found.map_png.sha256}.png"
        for record in Ledger(folder).records()
        if (found := getattr(record, "receptive_field", None)) is not None
    }
    made = {name for name in pictures if name.startswith("tests/history/pictures/")}  # up, of no photograph
    shown = {"docs/page-light.png", "docs/page-dark.png"}  # the first screen of a report: words and a chart
    assert pictures - made <= allowed | shown
    assert all((ROOT / name).stat().st_size < 300_000 for name in shown)
