"""Counts in the cache: those that were traced, made once for a network, and anew where the code is another or a file is damaged."""

import dataclasses
import json

import pytest

from suite.measure.costs import kept
from suite.measure.costs.cell import count_cost
from suite.measure.costs.count import count_model, make_subject, trace
from suite.measure.costs.traffic import count_traffic

TINY = "mambair-light-x4-tiny"


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SUITE_CACHE", str(tmp_path))
    kept._count_once.cache_clear()
    yield tmp_path / kept.FOLDER
    kept._count_once.cache_clear()


@pytest.fixture
def counted(monkeypatch):
    """The networks that were traced."""
    found = []
    monkeypatch.setattr(kept, "count_model", lambda name: found.append(name) or count_model(name))
    return found


def again(name=TINY):
    """Count as another process would."""
    kept._count_once.cache_clear()
    return kept.count_kept(name)


@pytest.mark.parametrize("name", [TINY, "evssm-deblur-tiny", "mambairv2-light-x4-tiny"])
def test_what_is_read_is_what_was_traced(name, counted):
    first, second = again(name), again(name)
    assert first == second == count_model(name)
    assert counted == [name]


def test_the_cost_at_a_new_size_is_that_of_a_direct_trace_though_nothing_is_traced(counted):
    again()
    kept._count_once.cache_clear()
    found = count_cost(TINY, (24, 40))
    assert counted == [TINY]
    assert found.macs == pytest.approx(trace(make_subject(TINY), (24, 40)).macs, rel=1e-9)


def test_other_code_and_a_damaged_file_are_counted_anew(counted, cache, monkeypatch):
    again()
    (path,) = cache.rglob("*.cost.json")
    held = json.loads(path.read_text())
    for text in ("{", json.dumps({"params": 3}), json.dumps(held | {"small": held["small"][:1]}), json.dumps(held | {"colour": 1})):
        path.write_text(text)
        assert again() == count_model(TINY)
    assert len(counted) == 5
    monkeypatch.setattr(kept, "digest_code", lambda: "other")
    again()
    assert len(counted) == 6


def test_a_changed_plug_in_is_counted_anew(counted, monkeypatch):
    again()
    monkeypatch.setattr(kept, "digest_of", lambda _: "a" * 64)
    again()
    assert counted == [TINY, TINY]


def test_without_a_cache_the_count_is_the_same(counted, monkeypatch):
    monkeypatch.setattr(kept, "find_in_cache", lambda *_: None)
    assert again() == again() == count_model(TINY)
    assert len(counted) == 2


def test_every_field_of_a_count_is_kept():
    assert {field.name for field in dataclasses.fields(count_model(TINY))} == set(dataclasses.asdict(again()))


def test_traffic_is_kept_likewise(monkeypatch):
    made = []
    monkeypatch.setattr(kept, "count_traffic", lambda name: made.append(name) or count_traffic(name))
    found = []
    for _ in range(2):
        kept._traffic_once.cache_clear()
        found.append(kept.traffic_kept(TINY))
    assert found[0] == found[1] == count_traffic(TINY)
    assert made == [TINY]
