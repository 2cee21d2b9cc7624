"""`bundle` and `verify`: an honest bundle is verified anywhere, and one that was changed in a digit is refused, with what was found."""

import hashlib
import json
import re
import subprocess
import sys

import pytest
import synthetic_records as made
from evaluations import evaluation
from places import ROOT

from suite.cli import main
from suite.core.archive import read_archive, write_archive
from suite.core.errors import Exit
from suite.records.ledger import Ledger
from suite.records.record import Trivial
from suite.report import recompute
from suite.report.recompute import compare_documents


@pytest.fixture(scope="module")
def ledger(tmp_path_factory):
    held = Ledger(tmp_path_factory.mktemp("ledger"))
    first, *others = (made.done(model, seed=seed) for model in made.MAMBAIR[:3] for seed in range(2))
    trivial = Trivial(name="bicubic", scores=first.scores, pictures={first.scores[0].image: made.png()})
    with held.locked():
        for record in (
            first.model_copy(update={"trivial": trivial}),
            *others,
            made.failed(made.MAMBAIR[0], "RuntimeError: out of memory", seed=7),
            evaluation(mean=30.4),
        ):
            held.add(record)
    return held


@pytest.fixture(scope="module")
def packed(ledger, tmp_path_factory):
    path = tmp_path_factory.mktemp("bundle") / "results.zip"
    assert bundled(ledger, path) == Exit.DONE
    return path


def bundled(ledger, path, *words):
    return main.main(["bundle", str(path), "--ledger", str(ledger.folder), "--evidence", str(ledger.folder / "none"), *words])


def forged(packed, path, change, *, digests=True):
    """The bundle with files changed by `change`, and the manifest's sha256 made anew, as a forger would."""
    files = read_archive(packed)
    change(files)
    if digests:
        manifest = json.loads(files["manifest.json"])
        about = {n: {"bytes": len(d), "sha256": hashlib.sha256(d).hexdigest()} for n, d in sorted(files.items()) if n != "manifest.json"}
        files["manifest.json"] = (json.dumps(manifest | {"files": about}, indent=1) + "\n").encode()
    write_archive(path, files)
    return path


def with_text(name, pattern, text):
    def change(files):
        file = next(one for one in sorted(files) if re.search(name, one) and re.search(pattern, files[one].decode()))
        files[file] = re.sub(pattern, text, files[file].decode(), count=1).encode()

    return change


def verified(path, capsys, *words):
    code = main.main(["verify", str(path), *words])
    found = capsys.readouterr()
    return code, found.out, found.err


def test_an_honest_bundle_is_verified_and_is_the_same_bytes_each_time(ledger, packed, tmp_path, capsys):
    assert bundled(ledger, tmp_path / "again.zip") == Exit.DONE
    assert (tmp_path / "again.zip").read_bytes() == packed.read_bytes()
    assert f"sha256 {hashlib.sha256(packed.read_bytes()).hexdigest()}" in capsys.readouterr().out
    code, out, _ = verified(packed, capsys)
    assert (code, "verified" in out, "do not agree" in out) == (Exit.DONE, True, False)
    code, out, _ = verified(packed, capsys, "--json")
    assert [one["what"] for one in json.loads(out)["checks"]] == ["files", "specs", *recompute.SECTIONS]


def test_what_is_in_it_can_be_read_without_the_suite(packed):
    files = read_archive(packed)
    results = json.loads(files["results.json"])["computed"]
    (name,) = (name for name, held in results["records"].items() if held["model"] == "bicubic")
    record = json.loads(files[name])
    values = [score["metrics"]["PSNR-Y"] for score in record["scores"]]
    assert results["records"][name]["means"]["PSNR-Y"] == pytest.approx(sum(values) / len(values), abs=1e-6) == 30.4
    assert record["protocol"]["statement"]
    assert record["provenance"]["data_checksums"]
    assert not [name for name in files if name.endswith(".png")]
    trained = [json.loads(data) for name, data in files.items() if name.startswith("records/")]
    assert [one["crops"] for one in trained if one["kind"] == "run"] == [[]] * (len(trained) - 1)
    assert '"seeds": [' in files["results.json"].decode()


CHANGES = {
    "a value of an image": (
        with_text(r"records/.*done", r'("PSNR-Y": \d+\.\d)(\d)', lambda m: m[1] + str((int(m[2]) + 1) % 10)),
        "means > PSNR-Y",
    ),
    "the last digit of a value": (
        with_text(r"records/.*done", r'("PSNR-Y": \d+\.\d+)(\d)(?=[,\s])', lambda m: m[1] + str((int(m[2]) + 5) % 10)),
        "content_sha256",
    ),
    "a mean": (
        with_text("results", r'("means": \{\s*"PSNR-Y": \d+\.\d+)(\d)', lambda m: m[1] + str((int(m[2]) + 3) % 10)),
        "records > records/",
    ),
    "an interval": (
        with_text("results", r'("interval_low": -?\d+\.\d+)(\d)', lambda m: m[1] + str((int(m[2]) + 3) % 10)),
        "comparisons > .*interval_low",
    ),
    "digits behind the last": (with_text("results", r'("interval_low": -?\d+\.\d+)', r"\g<1>1"), "interval_low"),
    "a verdict": (with_text("results", r'"verdict": "not tested"', '"verdict": "holds"'), "claims > verdicts > "),
    "the sum of verdicts": (with_text("results", r"(claims )(\d+)( hold)", lambda m: f"{m[1]}{int(m[2]) + 1}{m[3]}"), "claims > summary"),
    "a cell of a table": (with_text("results", r'("mean": \d+\.)(\d)', lambda m: m[1] + str((int(m[2]) + 1) % 10)), "tables > "),
    "a seed": (with_text("results", r'("seeds": \[\s*)0', r"\g<1>5"), "tables > .*seeds"),
    "a time": (with_text(r"records/.*done", r'"train_seconds": 31', '"train_seconds": 32'), "content_sha256"),
    "a loss": (with_text(r"records/.*done", r'("loss": 0\.\d+)(\d)', lambda m: m[1] + str((int(m[2]) + 3) % 10)), "content_sha256"),
    "a spec": (with_text(r"records/.*done", r'"lr": 0.0002', '"lr": 0.0004'), "its spec has the fingerprint"),
}


def test_digits_that_were_changed_with_their_digests_are_refused_by_the_numbers(packed, tmp_path, capsys):
    """All in one bundle but that of a spec, which makes other comparisons: to compute everything anew takes half a second."""
    others = {what: change for what, change in CHANGES.items() if what != "a spec"}

    def change(files):
        for one, _ in others.values():
            one(files)

    path = forged(packed, tmp_path / "forged.zip", change)
    code, out, _ = verified(path, capsys, "--json")
    problems = [text for one in json.loads(out)["checks"] for text in one["problems"]]
    assert (code, json.loads(out)["verdict"]) == (Exit.DRIFT, "refused")
    for what, (_, where) in others.items():
        assert any(re.search(where, text) for text in problems), what
    code, out, _ = verified(forged(packed, tmp_path / "spec.zip", CHANGES["a spec"][0]), capsys)
    assert (code, CHANGES["a spec"][1] in out) == (Exit.DRIFT, True)
    single = forged(packed, tmp_path / "single.zip", CHANGES["a mean"][0])
    code, out, _ = verified(single, capsys)
    assert code == Exit.DRIFT
    assert re.search(r"records > records/\S+ > means > PSNR-Y: [\d.]+ is written there, and the records give [\d.]+\n", out)
    assert "refused. The records do not give the numbers" in out


@pytest.mark.parametrize("what", CHANGES)
def test_a_digit_that_was_changed_alone_is_refused_by_its_digest(packed, tmp_path, capsys, what):
    code, out, err = verified(forged(packed, tmp_path / "forged.zip", CHANGES[what][0], digests=False), capsys)
    assert (code, out) == (Exit.DRIFT, "")
    assert re.search(r"was changed: (records/\S+|results)\.json has the sha256 [0-9a-f]{64} .* and the manifest says [0-9a-f]{64}", err)


def nested(files):
    name = next(one for one in files if one.startswith("records/"))
    files[name] = b"[" * 200_000 + b"]" * 200_000


ODD = {
    "a file too many": (lambda files: files.update({"readme.txt": b"hello"}), "readme.txt is no file of a bundle"),
    "no results": (lambda files: files.pop("results.json"), "does not name results.json"),
    "nesting without end": (nested, "nested too deeply|not a readable record"),
    "a name twice": (with_text("records/", r'"attempt": 1,', '"attempt": 1, "attempt": 1,'), "a name twice"),
    "results of no bundle": (with_text("results", r'"made_with"', '"made_by"'), "other parts"),
    "results of another commit": (with_text("results", r'"version": "', '"version": "1'), "what it says of its making has the sha256"),
    "results of a newer suite": (with_text("results", r'"schema_version": 1', '"schema_version": 2'), "Update the checkout"),
    "a record that is none": (with_text("records/", r'"kind": "run"', '"kind": "walk"'), "not a readable record"),
    "a record under another's name": (with_text("records/", r'"attempt": 1,', '"attempt": 2,'), "holds attempt 2 of cell"),
}


@pytest.mark.parametrize("what", ODD)
def test_what_is_no_bundle_is_refused_without_a_traceback(packed, tmp_path, capsys, what):
    change, message = ODD[what]
    code, _, err = verified(forged(packed, tmp_path / "odd.zip", change), capsys)
    assert code in (Exit.DRIFT, Exit.NOT_READY)
    assert re.search(message, err)
    assert "Traceback" not in err


def test_nothing_in_a_bundle_moves_the_cursor_of_a_terminal(packed, tmp_path, capsys):
    def change(files):
        results = json.loads(files["results.json"])
        results["computed"]["tables"]["\x1b[2Jgone"] = {}
        files["results.json"] = (json.dumps(results, indent=1) + "\n").encode()

    code, out, _ = verified(forged(packed, tmp_path / "x.zip", change), capsys)
    assert (code, "\x1b" in out, "\\x1b[2Jgone" in out) == (Exit.DRIFT, False, True)
    spelt = with_text("manifest", "records/", r"\\u001b[2J")
    code, out, err = verified(forged(packed, tmp_path / "x.zip", spelt, digests=False), capsys)
    assert (code, "\x1b" in err, "\\x1b[2J" in err) == (Exit.DRIFT, False, True)


def test_a_manifest_of_another_program_or_time(packed, tmp_path, capsys):
    for pattern, text, message in (
        ('"format": "', '"format": "x', "not one of a bundle"),
        ('"schema_version": 1', '"schema_version": 2', "Update the checkout"),
        ('"files": {', '"files":  {', "not written as a bundle's"),
    ):
        change = with_text("manifest", re.escape(pattern), text)
        assert re.search(message, verified(forged(packed, tmp_path / "x.zip", change, digests=False), capsys)[2])


def test_other_numbers_of_the_papers_are_no_forgery(packed, capsys, monkeypatch):
    monkeypatch.setattr(recompute, "digest_papers", lambda: "ab" * 32)
    code, out, _ = verified(packed, capsys)
    assert code == Exit.INCOMPLETE
    assert "the papers' numbers in this checkout are others" in out
    assert "check that out to verify the rest" in out


def test_what_tells_of_a_person_is_taken_out_and_said(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("HOME", "/home/nobody-else")
    monkeypatch.setenv("MY_TOKEN", "s3cr3t-value")
    held = Ledger(tmp_path / "ledger")
    with held.locked():
        record = made.done(made.MAMBAIR[0], test_set="/home/nobody-else/data/mine")
        said = made.provenance(no_commit="s3cr3t-value is not a commit", data_checksums={"test (/home/nobody-else/data/mine)": "ab" * 32})
        held.add(record.model_copy(update={"provenance": said}))
    assert bundled(held, tmp_path / "b.zip") == Exit.DONE
    assert "taken out of spec.test_set" in capsys.readouterr().err
    assert not re.search(b"nobody-else|s3cr3t", (tmp_path / "b.zip").read_bytes())
    code, out, _ = verified(tmp_path / "b.zip", capsys)
    assert (code, "without 1 whose folders were taken out" in out) == (Exit.DONE, True)


def test_records_are_chosen_by_name_and_nothing_is_overwritten(ledger, tmp_path, capsys):
    path = tmp_path / "some.zip"
    assert bundled(ledger, path, "--only", "bicubic", "--only", made.MAMBAIR[1]) == Exit.DONE
    assert sum(name.startswith("records/") for name in read_archive(path)) == 3
    assert bundled(ledger, path) == Exit.USAGE
    assert bundled(ledger, path, "--only", "mambare", "--overwrite") == Exit.NOTHING
    assert "Did you mean" in capsys.readouterr().err
    assert bundled(ledger, path, "--overwrite") == Exit.DONE
    assert bundled(ledger, tmp_path / "none" / "file" / ".." / ".." / "some.zip" / "x.zip") == Exit.NOT_READY
    assert bundled(Ledger(tmp_path / "empty"), tmp_path / "x.zip") == Exit.NOTHING


def test_neither_torch_nor_ray_is_needed(packed):
    code = (
        "import sys; from suite.cli import main; assert main.main(sys.argv[1:]) == 0;"
        "print({'torch', 'ray', 'jinja2', 'numba'} & set(sys.modules), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code, "verify", str(packed)], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "set()\n")


def test_of_two_lists_what_one_of_them_lacks_is_told():
    found = compare_documents({"unlike": [{"name": "loss"}, {"name": "width"}]}, {"unlike": [{"name": "width"}]})
    assert [*map(str, found)] == [
        "unlike > number of entries: 2 is written there, and the records give 1",
        'unlike: {"name": "loss"} is written there, and the records give nothing',
    ]
