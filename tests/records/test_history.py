"""Records of every schema version and kind load for ever: one sample of each in tests/history/, never changed once it is there.

A new kind, or a raised schema, gets a row in SAMPLES and a file: `python tests/records/test_history.py` writes those that are missing.
"""

import base64
import hashlib
import json
import sys

import evaluations
import pytest
import scan_records
import synthetic_records
from places import HISTORY

from suite.records import load as load_module
from suite.records.kinds.evaluation import Evaluation
from suite.records.kinds.profile import ProfileRecord
from suite.records.kinds.scan import ScanRecord
from suite.records.load import load
from suite.records.pictures import PICTURES_FOLDER
from suite.records.record import RECORD_SCHEMA, DataFiles, Record, TestData, dump

SAMPLES = {
    "record-1.json": (1, Record),
    "record-2-run.json": (2, Record),
    "record-2-scan.json": (2, ScanRecord),
    "record-3-run.json": (3, Record),
    "record-3-scan.json": (3, ScanRecord),
    "record-3-profile.json": (3, ProfileRecord),
    "record-4-run.json": (4, Record),
    "record-4-scan.json": (4, ScanRecord),
    "record-4-profile.json": (4, ProfileRecord),
    "record-5-run.json": (5, Record),
    "record-5-scan.json": (5, ScanRecord),
    "record-5-profile.json": (5, ProfileRecord),
    "record-6-run.json": (6, Record),
    "record-6-scan.json": (6, ScanRecord),
    "record-6-profile.json": (6, ProfileRecord),
    "record-6-evaluation.json": (6, Evaluation),
}
PICTURES = HISTORY / PICTURES_FOLDER
PICTURED = {"run.json": 7, "evaluation.json": 3}  # how many pictures a sample names
MAKERS = {
    Record: lambda: synthetic_records.done(synthetic_records.VMAMBAIR[0]).model_copy(
        update={
            "test_data": TestData(card="photos", expected=6, measured=6, state="verified"),
            "train_data": TestData(card="photos", expected=5, measured=5, state="verified"),
            "data_files": (DataFiles(split="train", name="photos", files=5, sha256="5" * 64),),
        }
    ),
    ScanRecord: lambda: scan_records.record(times=(scan_records.timing(), scan_records.skipped(work="forward+backward"))),
    Evaluation: lambda: evaluations.evaluation("mambair-sr-x2", sha="ab" * 32, test_set="photos").model_copy(
        update={"crops": synthetic_records.done(synthetic_records.VMAMBAIR[0]).crops[:1]}
    ),
    ProfileRecord: lambda: synthetic_records.profile("mambair-light-x2", latency=900.0),
}


@pytest.mark.parametrize("name", SAMPLES)
def test_a_sample_loads_as_what_it_was(name):
    version, kind = SAMPLES[name]
    text = (HISTORY / name).read_text(encoding="utf-8")
    raw = json.loads(text)
    found = load(text, origin=name, pictures=PICTURES)
    assert raw["schema_version"] == version
    assert type(found) is kind
    assert found.schema_version == RECORD_SCHEMA
    assert found.fingerprint == raw["fingerprint"] == found.spec.fingerprint  # a cell's key never changes
    assert load(dump(found), origin=name) == found
    assert len(found.pictures) == next((count for end, count in PICTURED.items() if name.endswith(end)), 0)
    for picture in found.pictures:
        assert hashlib.sha256(picture.read()).hexdigest() == picture.sha256


@pytest.mark.parametrize("name", SAMPLES)
def test_no_value_of_a_sample_is_lost(name):
    raw = json.loads((HISTORY / name).read_text(encoding="utf-8"))
    now = json.loads(dump(load(json.dumps(raw), origin=name)))

    def lost(before, after, where):
        if isinstance(before, dict):
            return [line for key, value in before.items() for line in lost(value, after.get(key), f"{where}.{key}")]
        if isinstance(before, list) and len(before) == len(after):
            pairs = enumerate(zip(before, after, strict=True))
            return [line for place, (one, other) in pairs for line in lost(one, other, f"{where}[{place}]")]
        if where.endswith("_png") and before != after:  # text in base64 until schema 2, and a file's sha256 since
            return [] if hashlib.sha256(base64.b64decode(before, validate=True)).hexdigest() == after else [where]
        return [] if before == after else [where]

    assert lost({key: value for key, value in raw.items() if key != "schema_version"}, now, "") == []


def test_every_schema_version_has_a_sample_and_an_upgrade():
    assert {version for version, _ in SAMPLES.values()} == set(range(1, RECORD_SCHEMA + 1)), (
        "`python tests/records/test_history.py` writes it"
    )
    assert set(load_module.UPGRADES) == set(range(1, RECORD_SCHEMA))


def test_every_sample_is_named_here():
    files = {path.name for path in HISTORY.glob("record-*.json")}
    assert set(SAMPLES) <= files


if __name__ == "__main__":
    for name, (version, kind) in SAMPLES.items():
        if version == RECORD_SCHEMA and not (HISTORY / name).exists():
            record = MAKERS[kind]()
            (HISTORY / name).write_text(dump(record) + "\n", encoding="utf-8")
            for picture in record.pictures:
                picture.keep(PICTURES)
            sys.stdout.write(f"written: {name}\n")
