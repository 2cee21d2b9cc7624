"""Settings group runs, and words never do: improving a sentence moves no column and no picture."""

import itertools

import pytest
import synthetic_records as made

from suite.report import pictures
from suite.report.settings import describe, group_by_setting, setting_heading, setting_of
from suite.report.tables import build
from suite.report.tables.layout import lay_out
from suite.study import published

FULL, V1 = made.VMAMBAIR[:2]
TWO = [made.done(FULL), made.done(V1), made.done(FULL, backend="cpp"), made.done(V1, backend="cpp")]


def retrained(records, key="vmambair-4"):
    table = next(table for table in build.build_tables(published.load_all(), records) if table.published.id == key)
    heads = [head for head in lay_out(table).groups if head.kind == "retrained"]
    return [column for column in table.columns if column.kind == "retrained"], heads


def changed(record, **fields):
    spec = record.spec.model_copy(update=fields)
    return record.model_copy(update={"spec": spec, "fingerprint": spec.fingerprint})


OTHERS = ({"backend": "cpp"}, {"test_set": "/data/photos"}, {"protocol": "sr-y@2"}, {"mixup": 0.5}, {"task": "sr-x4"})


@pytest.mark.parametrize("changes", [{"seed": 4}, {"model": V1}, *OTHERS])
def test_a_setting_is_all_of_a_run_but_its_model_and_its_seed(changes):
    spec = made.spec(FULL)
    alike = setting_of(spec) == setting_of(spec.model_copy(update=changes))
    assert alike == (not changes.keys() - {"model", "seed"})
    assert set(setting_of(spec).fields) == set(type(spec).model_fields) - {"model", "plugin", "seed"}


def test_settings_of_the_same_words_stay_apart(monkeypatch):
    for module in (build, pictures):
        monkeypatch.setattr(module, "describe", lambda _: ("the same", "the same"))
    columns, heads = retrained(TWO)
    assert len({column.outline for column in columns}) == len(heads) == 2
    assert {column.detail.rpartition("; ")[2] for column in columns} == {"the same"}
    assert len(pictures.compare_pictures(TWO, build.build_tables(published.load_all(), TWO)).sets) == 2


def test_one_setting_stays_one_column_whatever_its_words_are(monkeypatch):
    count = itertools.count()
    monkeypatch.setattr(build, "describe", lambda _: ("title", f"words {next(count)}"))
    columns, heads = retrained(TWO[:2], "vmambair-2")
    assert len({column.detail for column in columns}) == len(columns) == heads[0].colspan > 1
    assert (len({column.outline for column in columns}), len(heads)) == (1, 1)


def test_fields_are_named_where_the_words_would_be_the_same():
    groups = group_by_setting([*TWO, changed(TWO[0], test_set="/data/photos")])
    words = [describe(setting.outline(groups))[1].split("; ", 3)[3:] for setting in groups]
    assert words == [["backend numba; test_set photos"], ["backend cpp; test_set photos"], ["backend numba; test_set /data/photos"]]
    assert setting_heading(next(iter(groups))) == "real-sr-x4, quick budget; test set photos; width 16, depth ÷3; 300 iterations"


def test_records_of_a_setting_go_by_model_and_seed():
    records = [made.done(V1, seed=1), made.done(FULL, seed=2), made.done(V1, seed=0), made.done(FULL, backend="cpp")]
    found = [[(record.spec.model, record.spec.seed) for record in members] for members in group_by_setting(records).values()]
    assert found == [[(V1, 0), (V1, 1), (FULL, 2)], [(FULL, 0)]]
