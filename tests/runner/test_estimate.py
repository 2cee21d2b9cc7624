"""Estimates: from what ran here before, and never without saying from what."""

import pytest
from fake_cells import ran, spec

from suite.core import machine
from suite.records.ledger import Ledger
from suite.runner import estimate as estimate_module
from suite.runner.estimate import EARLIER, ROUGH, SIMILAR, UNKNOWN, estimate_runs

MODEL, OTHER = "mambair-sr-x2", "mambair-sr-x2.mlp"


@pytest.fixture
def ledger(tmp_path):
    return Ledger(tmp_path)


def test_the_same_network_here_comes_first(ledger):
    ledger.add(ran(spec(MODEL, seed=7), seconds=2.0))
    ledger.add(ran(spec(OTHER), seconds=20.0))
    found = estimate_runs([spec(MODEL, iterations=100)], ledger)
    assert found.seconds == 2.0 * 100 + 30
    assert found.basis == EARLIER
    assert found.disk_mib == pytest.approx(65e6 / 2**20 + estimate_module.RECORD_MIB)


def test_copies_of_several_workers_are_counted_where_they_lie(ledger, monkeypatch):
    monkeypatch.setattr(machine, "count_cores", lambda: 4)
    ledger.add(ran(spec(MODEL, seed=7)))
    cells, one = [spec(MODEL, iterations=100, seed=seed) for seed in range(3)], 16.25e6 / 2**20
    records = 3 * estimate_module.RECORD_MIB
    alone, here, elsewhere = (estimate_runs(cells, ledger, *words) for words in ((), (2,), (2, "s3://bucket/folder")))
    assert alone.disk_mib == pytest.approx(3 * 4 * one + records)
    assert here.disk_mib == pytest.approx(2 * 5 * one + records)  # two cells at a time
    assert elsewhere.disk_mib == pytest.approx(2 * one + records)
    assert elsewhere.storage_mib == pytest.approx(2 * 4 * one)
    assert [alone.storage_mib, here.storage_mib] == [0.0, 0.0]
    assert f"and {elsewhere.storage_mib:.0f} MiB in the storage" in elsewhere.sentence(2)
    assert elsewhere.as_dict(2)["storage_mib"] == elsewhere.storage_mib


def test_other_networks_at_the_same_size_come_next(ledger):
    ledger.add(ran(spec(OTHER), seconds=4.0))
    found = estimate_runs([spec(MODEL, iterations=100)], ledger)
    assert (found.seconds, found.basis) == (430.0, SIMILAR)


@pytest.mark.parametrize("past", [ran(spec(OTHER), here=False), ran(spec(OTHER, width=24)), ran(spec(OTHER, backend="numba"))])
def test_other_machines_sizes_and_backends_tell_nothing(ledger, past):
    ledger.add(past)
    found = estimate_runs([spec(MODEL)], ledger)
    assert (found.seconds, found.basis) == (None, UNKNOWN)
    assert "time unknown" in found.sentence(2)


def test_the_rough_rule_goes_with_iterations_pixels_and_width(ledger):
    def seconds(**fields):
        found = estimate_runs([spec(MODEL, **({"backend": "numba", "width": 24, "depth_divisor": 3} | fields))], ledger)
        assert found.basis == ROUGH
        return found.seconds - estimate_module.REST_SECONDS

    base = seconds(iterations=100)
    assert base > 0
    assert seconds(iterations=200) == pytest.approx(2 * base)
    assert seconds(iterations=100, batch=3) == pytest.approx(3 * base)
    assert seconds(iterations=100, patch=32) == pytest.approx(4 * base)
    assert seconds(iterations=100, width=48) == pytest.approx(2 * base)


def test_what_is_done_costs_nothing(ledger):
    ledger.add(ran(spec(MODEL)))
    found = estimate_runs([spec(MODEL)], ledger)
    assert found.seconds == found.disk_mib == 0.0
    assert found.sentence(2) == "nothing is left to do"


def test_the_sentence_divides_by_the_cells_at_a_time_and_counts_each_basis(ledger):
    ledger.add(ran(spec(MODEL), seconds=2.0))
    cells = [spec(MODEL, iterations=100), spec(OTHER, iterations=100)]
    found = estimate_runs(cells, ledger)
    assert found.basis == f"{EARLIER} (1 of 2 cells); {SIMILAR} (1 of 2 cells)"
    assert found.sentence(2).startswith("about 3 min 50 s, 2 at a time, about ")
    assert found.sentence(None).startswith("about 7 min 40 s of computing, ")
    assert found.as_dict(2)["wall_seconds"] == 230.0
    assert found.as_dict(None)["wall_seconds"] is None


def test_a_file_that_cannot_be_read_does_not_stop_an_estimate(ledger):
    path = ledger.add(ran(spec(MODEL)))
    path.write_text("{")
    assert estimate_runs([spec(MODEL, iterations=100)], ledger).basis == UNKNOWN
