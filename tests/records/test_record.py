"""Records: exact on the way out and in, finite, and readable for ever."""

import json
import math

import pytest
from fake_cells import record, spec
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from suite.core.errors import Exit, SuiteError
from suite.records import load as load_module
from suite.records.load import load
from suite.records.record import RECORD_SCHEMA, HistoryPoint, ImageScore, Record, dump

SPEC = spec("some-model")
FINITE = st.floats(allow_nan=False, allow_infinity=False)


@given(st.lists(FINITE, min_size=1, max_size=5), st.lists(FINITE, max_size=5), st.text(max_size=20))
def test_every_number_comes_back_to_the_last_bit(scores, losses, error):
    made = Record(
        fingerprint=SPEC.fingerprint,
        spec=SPEC,
        status="done",
        scores=tuple(ImageScore(image=str(i), metrics={"PSNR-Y": value}) for i, value in enumerate(scores)),
        history=tuple(HistoryPoint(iteration=i, loss=value) for i, value in enumerate(losses)),
        error=error,
    )
    assert load(dump(made), origin="here") == made


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_result_that_is_not_finite_is_none(value):
    with pytest.raises(ValidationError, match="finite"):
        ImageScore(image="image", metrics={"PSNR-Y": value})
    with pytest.raises(ValidationError, match="finite"):
        HistoryPoint(iteration=1, loss=value)


def test_the_mean_counts_each_image_once():
    scores = tuple(ImageScore(image=str(value), metrics={"PSNR-Y": value}) for value in (20.0, 30.0, 31.0))
    assert record(SPEC).model_copy(update={"scores": scores}).mean("PSNR-Y") == 27.0


def test_older_schemas_are_upgraded_step_by_step(monkeypatch):
    monkeypatch.setattr(load_module, "RECORD_SCHEMA", RECORD_SCHEMA + 2)
    steps = {
        RECORD_SCHEMA: lambda raw: raw | {"schema_version": RECORD_SCHEMA + 1, "launched_by": "ray"},
        RECORD_SCHEMA + 1: lambda raw: {key: value for key, value in raw.items() if key != "launched_by"} | {"error": raw["launched_by"]},
    }
    monkeypatch.setattr(load_module, "UPGRADES", steps)
    assert load(dump(record(SPEC)), origin="here").error == "ray"


def test_a_newer_schema_names_the_file_and_what_to_do():
    raw = json.loads(dump(record(SPEC))) | {"schema_version": RECORD_SCHEMA + 1}
    with pytest.raises(SuiteError, match=r"runs/x\.json.*Update the checkout") as caught:
        load(json.dumps(raw), origin="runs/x.json")
    assert caught.value.exit is Exit.NOT_READY


@pytest.mark.parametrize("change", [{"status": "perhaps"}, {"unknown": 1}, {"fingerprint": None}])
def test_a_record_that_does_not_fit_names_the_file(change):
    raw = json.loads(dump(record(SPEC))) | change
    with pytest.raises(SuiteError, match="here is not a readable record"):
        load(json.dumps(raw), origin="here")


def test_a_field_of_the_spec_is_part_of_the_fingerprint_and_its_order_is_not():
    values = SPEC.model_dump()
    assert type(SPEC)(**dict(reversed(values.items()))).fingerprint == SPEC.fingerprint
    others = [SPEC.model_copy(update={"seed": 1}), SPEC.model_copy(update={"lr": 2e-3}), SPEC.model_copy(update={"backend": "numba"})]
    assert len({SPEC.fingerprint, *(other.fingerprint for other in others)}) == 4
