"""Samples, their statistics, memory, and the ceilings of the machine."""

import itertools
import sys
import time
from unittest import mock

import pytest
import torch

from models.scan.backends import BackendUnavailable
from models.scan.cases import CASES
from suite.measure import timing
from suite.measure.scans import ceilings
from suite.measure.timing import Samples
from suite.records.kinds.scan import ScanRound


def rounds(*pairs):
    return Samples(tuple(ScanRound(seconds=tuple(seconds), calls=1, others=others) for seconds, others in pairs), warm_up=2)


def test_statistics_are_of_the_quiet_rounds():
    found = rounds(([1.0, 2.0, 3.0], 0.0), ([90.0, 91.0], 0.5), ([4.0, 5.0], 0.12))
    assert not found.noisy
    assert found.used == (1.0, 2.0, 3.0, 4.0, 5.0)
    assert found.median == 3.0
    assert found.quartiles == (2.0, 4.0)


def test_too_few_quiet_samples_are_noisy_and_all_count():
    found = rounds(([1.0, 2.0], 0.0), ([90.0, 91.0, 92.0], 0.5))
    assert found.noisy
    assert found.median == 90.0


def test_a_few_samples_of_a_slow_call_need_not_be_five():
    assert not rounds(([1.0, 1.1, 1.2], 0.01)).noisy
    assert rounds(([1.0, 1.1, 1.2], 0.4)).noisy


def test_where_nothing_is_known_of_others_a_round_is_quiet():
    assert not rounds(([1.0] * 5, None)).noisy


def test_quartiles_of_one_sample_are_itself():
    assert timing.compute_quartiles([3.0]) == (3.0, 3.0)


def test_a_sleep_takes_as_long_as_it_sleeps():
    found = timing.take_samples(lambda: time.sleep(0.01), "cpu", 0.2)
    assert 0.01 <= found.median < 0.05
    assert all(one.calls == 1 for one in found.rounds)
    assert len(found.used) >= timing.FEWEST_SAMPLES


def test_short_calls_are_timed_many_at_a_time():
    calls = itertools.count()
    found = timing.take_samples(lambda: next(calls), "cpu", 0.05)
    assert found.rounds[0].calls > 100
    assert next(calls) >= sum(len(one.seconds) * one.calls for one in found.rounds)
    assert 0 < found.median < 1e-4


def test_rounds_are_repeated_while_others_use_the_machine(monkeypatch):
    shares = iter([0.9, 0.9, *[0.0] * 100])
    monkeypatch.setattr(timing, "_others", lambda _before, _after: next(shares))
    monkeypatch.setattr(timing, "ROUND_SECONDS", 0.02)
    found = timing.take_samples(lambda: time.sleep(0.002), "cpu", 0.06)
    assert [one.others for one in found.rounds[:3]] == [0.9, 0.9, 0.0]
    assert len(found.used) == sum(len(one.seconds) for one in found.rounds[2:])
    assert not found.noisy


def test_a_machine_that_never_gets_quiet_ends_the_measurement_all_the_same(monkeypatch):
    monkeypatch.setattr(timing, "_others", lambda _before, _after: 0.9)
    begun = time.perf_counter()
    assert timing.take_samples(lambda: time.sleep(0.002), "cpu", 0.05).noisy
    assert time.perf_counter() - begun < 3.0


def test_the_share_of_others_is_what_is_busy_and_not_ours():
    assert timing._others((100, 1000, 40), (160, 1200, 70)) == pytest.approx((60 - 30) / 200)
    assert timing._others((100, 1000, 40), (110, 1200, 70)) == 0.0  # clocks differ by a tick
    assert timing._others((100, 1000, 40), (100, 1000, 40)) is None
    assert timing._others(None, None) is None


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc")
def test_peak_memory_is_that_of_the_call():
    peak = timing.measure_peak_memory(lambda: torch.ones(40 * 2**20 // 4).add_(1), "cpu")
    if peak is None:
        pytest.skip("the kernel does not reset the peak here")
    assert 36 * 2**20 < peak < 60 * 2**20
    assert timing.measure_peak_memory(lambda: None, "cpu") < 4 * 2**20


def test_a_bandwidth_is_what_the_fastest_copy_reads_and_writes(monkeypatch):
    monkeypatch.setattr(ceilings, "CEILING_SECONDS", 0.05)
    monkeypatch.setattr(ceilings, "COPY_BYTES", {"cpu": 16 * 2**20})
    times, copied = iter([9.0, 2.0, 0.5, 1.0, *[3.0] * 10**6]), []

    def once(call, _device):
        copied.append(call())
        return next(times)

    monkeypatch.setattr(ceilings, "time_once", once)
    monkeypatch.setattr(ceilings, "module_of", mock.Mock(side_effect=BackendUnavailable("cpp", "no compiler.", "install one.")))
    found = ceilings.measure_ceilings("cpu")
    assert (copied[-1].numel() * 4, float(copied[-1].min())) == (16 * 2**20, 1.0)  # what was ones lies in the target
    assert found.exponentials_method == "torch.exp2, in a cache (the cpp backend is not available)"
    assert found.exponentials_per_second == ceilings.TORCH_VALUES * ceilings.TORCH_PASSES / 0.5
    assert found.bandwidth_bytes_per_second == 2 * 16 * 2**20 / 3.0


def test_a_gpus_exponentials_are_those_of_its_chain(monkeypatch):
    pytest.importorskip("triton")
    monkeypatch.setattr("suite.measure.scans.ceilings_triton.make_exp2_chain", lambda values: lambda: 2 * values)
    monkeypatch.setattr(ceilings, "_best", lambda _call, _device: 0.5)
    assert ceilings._exponentials_on_gpu() == (4 * 2**22, "2^x of the special function units, in registers")


def test_what_must_be_moved_and_computed():
    case = CASES["light"]
    rows, streams = 288 * 4096, 4 * 10 * 4096
    assert ceilings.count_moved_bytes(case, "forward") == 4 * (3 * rows + 2 * streams)
    assert ceilings.count_moved_bytes(case, "forward+backward") == 2 * ceilings.count_moved_bytes(case, "forward")
    assert ceilings.count_exponentials(case, "forward+backward") == 2 * 288 * 10 * 4096


def test_half_precision_moves_half():
    case = CASES["bfloat16"]
    assert ceilings.count_moved_bytes(case, "forward") == 2 * (3 * 2 * 24 * 130 + 2 * 2 * 2 * 8 * 130)
