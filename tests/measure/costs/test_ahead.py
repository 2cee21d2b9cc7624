"""Networks counted by other processes: the same numbers, those of plug-ins too, and counted here where a process cannot."""

import os
from concurrent.futures import Future

import pytest
from outside import write

from suite.measure.costs import ahead, count, kept
from suite.measure.costs.ahead import choose_processes, counted_ahead
from suite.study.outside import plugins

TINY = ("mambairv2-light-x2-tiny", "tpmambasr-light-x2-tiny", "vmambair-realsr-x4-tiny")


@pytest.fixture(autouse=True)
def nothing_counted(monkeypatch, tmp_path):
    monkeypatch.setattr(count, "_COUNTED", {})
    monkeypatch.setenv("SUITE_CACHE", str(tmp_path / "cache"))
    kept._count_once.cache_clear()


def test_several_processes_give_the_numbers_of_one(monkeypatch):
    here = {name: count.count_subject(count.make_subject(name)) for name in TINY}
    monkeypatch.setattr(count, "make_subject", lambda name: pytest.fail(f"{name} is counted here"))
    with counted_ahead(TINY, 2):
        found = {name: count.count_model(name) for name in reversed(TINY)}
    assert found == here
    assert all(repr(found[name].at((64, 96))) == repr(here[name].at((64, 96))) for name in TINY)
    assert all(map(count.is_counted, TINY))


def test_what_the_cache_has_is_counted_by_nobody(monkeypatch):
    found = kept.count_kept(TINY[0])
    assert [kept.is_kept(name) for name in TINY[:2]] == [True, False]
    monkeypatch.setattr(count, "_COUNTED", {})
    monkeypatch.setattr(ahead, "asking_each", lambda *_: pytest.fail("a process is started"))
    kept._count_once.cache_clear()
    with counted_ahead(TINY[:1], 2):
        assert kept.count_kept(TINY[0]) == found


def test_what_no_process_counts_is_counted_here(monkeypatch):
    monkeypatch.setattr(ahead, "environment_for", lambda _threads: os.environ | {"PYTHONPATH": "/nowhere"})
    with counted_ahead(TINY[:1], 2):
        found = count.count_model(TINY[0])
    assert found == count.count_subject(count.make_subject(TINY[0]))


def test_an_error_comes_where_the_network_is_asked_for(monkeypatch):
    monkeypatch.setattr(count, "make_subject", lambda _name: 1 / 0)
    nobody = Future()
    nobody.set_result(None)
    with count.waiting_for({(TINY[0], ""): nobody}), pytest.raises(ZeroDivisionError):
        count.count_model(TINY[0])
    assert not count.is_counted(TINY[0])


def test_one_process_starts_none_and_few_networks_are_counted_here(monkeypatch):
    assert [choose_processes(networks, 2) for networks in (0, 1, 6, 11, 12, 94)] == [1, 1, 1, 1, 2, 2]
    assert choose_processes(94, 1) == 1
    assert choose_processes(94, 64) == ahead.MOST_PROCESSES
    monkeypatch.setattr(ahead, "asking_each", lambda *_: pytest.fail("a process is started"))
    with counted_ahead(TINY, 1), counted_ahead([], 8):
        assert not count.is_counted(TINY[0])


def test_a_network_of_a_plug_in_is_counted_by_its_code(tmp_path, monkeypatch):
    with plugins.loaded([str(write(tmp_path))], installed=False):
        here = count.count_subject(count.make_subject("ladder-x4"))
        monkeypatch.setattr(count, "make_subject", lambda name: pytest.fail(f"{name} is counted here"))
        with counted_ahead(["ladder-x4"], 2):
            assert count.count_model("ladder-x4") == here
