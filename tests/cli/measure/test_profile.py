"""The verb profile: selection, records, times in a process of their own, sweeps, the claim for V4, full attention."""

import json
import math
import platform
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

import models
from models.lookup import UnknownName
from suite.cli import main
from suite.core.errors import Exit, SuiteError
from suite.core.process import ChildDied
from suite.measure.costs import attention as attention_cost
from suite.measure.costs import cell, claim_v4, grid
from suite.measure.costs.count import count_model, sum_flops
from suite.measure.costs.grid import Reached, TimingOptions, explain_stop, extrapolate
from suite.measure.timing import hold_machine
from suite.records import machines
from suite.records.cell import CellContext
from suite.records.kinds.profile import Latency, ProfileRecord
from suite.records.load import load
from suite.records.record import dump
from suite.report import report
from suite.runner.attempt import failed_record

TINY = "mambair-light-x2-tiny"
TIMING = TimingOptions("reference", "cpu", 1, 0.05)


@pytest.fixture(autouse=True)
def own_lock(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))  # two tests at a time are no two timing runs


@pytest.fixture
def run(tmp_path, capsys):
    def call(*words):
        code = main.main(["profile", *map(str, words), *([] if "--claim" in words else ["--ledger", str(tmp_path / "runs")])])
        return code, *capsys.readouterr()

    return call


def latency(median=10.0, mib=20.0):
    return Latency(
        cold_ms=5 * median,
        warm_up=2,
        samples_ms=(median,) * 3,
        median_ms=median,
        quartiles_ms=(median, median),
        noisy=False,
        others=0.0,
        peak_memory_mib=mib,
    )


def test_names_patterns_and_baselines_select():
    assert grid.select_models(["all"]) == models.names()
    assert grid.select_models([TINY, "esrgan", TINY]) == [TINY, "esrgan"]
    assert grid.select_models(["mambair-sr-x2"]) == ["mambair-sr-x2"]
    light = ["mambair-light-x3", "mambairv2-light-x3", "eamamba-light-x3", "tpmambasr-light-x3", "swinir-light-x3"]
    assert grid.select_models(["*light-x3"]) == light
    with pytest.raises(UnknownName, match="swinir-light-x2"):
        grid.select_models(["swinirlight"])


@pytest.mark.parametrize(
    ("model", "size"),
    [
        ("mambair-light-x2", (360, 640)),
        ("mambair-light-x3", (240, 426)),
        ("mambair-light-x4", (180, 320)),
        ("mambair-denoise", (720, 1280)),
    ],
)
def test_720p_is_the_input_of_that_output(model, size):
    assert grid.resolve_size(model, "720p") == size


def test_a_cost_is_recorded_once_and_shown_again(run, tmp_path):
    words = (TINY, "--size", "720p", "--size", "32x48", "--parts", "--conventions")
    code, out, _ = run(*words)
    assert code == Exit.DONE
    assert all(part in out for part in ("360x640", "32x48", "thop", "groups"))
    assert run(*words)[1] == out
    held = sorted((tmp_path / "runs").glob("*.json"))
    assert len(held) == 2
    record = load(held[0].read_text(), origin="here")
    assert isinstance(record, ProfileRecord)
    assert load(dump(record), origin="here") == record
    assert (record.latency, record.latency_reason, record.source, record.label) == (None, "not asked", "suite", TINY)
    assert (record.spec.machine, record.spec.threads, record.spec.backend, record.spec.device) == ("", 0, "none", "cpu")
    assert sum(part.params for part in record.cost.parts) == record.cost.params
    assert math.isclose(sum(record.cost.by_operator.values()), record.cost.macs)
    assert record.cost.flops == sum_flops(record.cost.by_operator)


def test_both_counters_are_compared_and_a_difference_is_an_exit_code(run, monkeypatch):
    code, out, _ = run(TINY, "--check")
    assert code == Exit.DONE
    assert "same" in out
    assert "DIFFERENT" not in out
    monkeypatch.setattr("suite.measure.costs.second_count.ONE_SIDED", {})
    code, out, _ = run(TINY, "--check", "--json")
    assert code == Exit.DRIFT
    assert not json.loads(out)["agree"]


def test_records_of_profiles_are_listed_and_the_report_is_made_beside_them(run, tmp_path, capsys):
    run(TINY)
    assert main.main(["list", "records", "--ledger", str(tmp_path / "runs")]) == Exit.DONE
    assert f"{TINY} at 64x64" in capsys.readouterr().out
    records = [load(path.read_text(), origin="here") for path in (tmp_path / "runs").glob("*.json")]
    assert report.write_report(records, tmp_path / "html").is_file()


def test_a_time_is_taken_in_a_process_of_its_own(run):
    code, out, _ = run(TINY, "--size", "16x16", "--time", "--backend", "reference", "--threads", 1, "--seconds", 0.05, "--json")
    assert code == Exit.DONE
    record = ProfileRecord.model_validate(json.loads(out)["records"][0])
    found = record.latency
    assert found.cold_ms > 0
    assert found.warm_up >= 1
    assert len(found.samples_ms) >= 3
    assert found.quartiles_ms[0] <= found.median_ms <= found.quartiles_ms[1]
    assert record.spec.timed
    assert record.spec.machine
    assert record.provenance.threads == 1


def test_times_are_saved_to_the_file_of_the_machine_but_no_noisy_ones(run, monkeypatch, tmp_path):
    monkeypatch.setattr(machines, "machines_folder", lambda: tmp_path / "machines")
    monkeypatch.setattr(machines, "shipped_folder", lambda name: tmp_path / "shipped" / name)
    noisy = latency().model_copy(update={"noisy": True})
    monkeypatch.setattr(cell, "time_in_process", lambda spec: (noisy if spec.input_size == (32, 32) else latency(), ""))
    words = (TINY, "--time", "--save", "--backend", "reference", "--size")
    code, _, err = run(*words, "16x16", "--size", "32x32")
    assert code == Exit.DONE
    assert "1 time saved" in err
    assert "is noisy" in err
    (held,) = machines.read_machines(tmp_path / "machines")
    assert [(time.model, time.input_size, time.median_ms) for time in held.times] == [(TINY, (16, 16), 10.0)]
    text = next((tmp_path / "machines").iterdir()).read_text()
    assert not any(private in text for private in (str(tmp_path), platform.node(), str(Path.home())) if len(private) > 1)
    code, _, err = run(*words, "32x32")
    assert code == Exit.NOTHING
    assert "other programs used the machine during all of them" in err


def test_what_the_system_kills_did_not_fit(monkeypatch):
    def killed(*_):
        raise ChildDied("a test", -9, "")
        yield

    monkeypatch.setattr(cell, "ask", killed)
    assert cell.time_in_process(grid.make_spec(TINY, (16, 16), TIMING)) == (
        None,
        "did not fit: the process was killed, as the system does where memory ends",
    )


def test_a_cell_that_fails_is_a_profile_record(tmp_path):
    spec = grid.make_spec("esrgan", (64, 64), None)
    made = failed_record(spec, CellContext(tmp_path, 1, "inline", "a test"), datetime.now(UTC), "broken")
    assert isinstance(made, ProfileRecord)
    assert made.source == "spandrel"
    assert load(dump(made), origin="here") == made


def test_what_decides_a_time_and_not_a_cost_is_in_the_spec():
    counted, timed = (grid.make_spec(TINY, (16, 16), timing) for timing in (None, TIMING))
    assert counted.fingerprint == grid.make_spec(TINY, (16, 16), None).fingerprint
    assert counted.fingerprint != timed.fingerprint
    assert timed.backend == "reference"
    assert grid.make_spec("esrgan", (16, 16), TIMING).backend == "none"


def test_a_sweep_stops_where_the_next_size_would_take_too_long(run, monkeypatch, tmp_path):
    monkeypatch.setattr(cell, "time_in_process", lambda spec: (latency(spec.input_size[0] ** 2 / 100), ""))
    code, out, _ = run(TINY, "--sweep", "--longest", 0.2, "--backend", "reference", "--json")
    assert code == Exit.DONE
    found = json.loads(out)
    assert [record["spec"]["input_size"][0] for record in found["records"]] == [64, 96, 128]
    assert found["stopped"][TINY].startswith("stopped before 192x192: a call would take about 0.4 s")
    held = [load(path.read_text(), origin="here") for path in (tmp_path / "runs").glob("*.json")]
    assert {record.spec.input_size[0]: record.latency is None for record in held} == {64: False, 96: False, 128: False, 192: True}


def test_a_sweep_stops_before_memory_ends():
    reached = [Reached(100, 0.1, 500.0), Reached(200, 0.2, 900.0)]
    assert extrapolate([(100, 500.0), (200, 900.0)], 400) == pytest.approx(1700.0)
    assert explain_stop(reached, 400, 10.0, 1800.0).startswith("did not fit: it would need about 1700 MiB, and 1800")
    assert explain_stop(reached, 400, 10.0, 2000.0) == ""
    assert explain_stop(reached, 400, 10.0, None) == ""
    assert explain_stop([], 10**9, 0.1, 1.0) == ""


def test_two_timing_runs_at_a_time_are_refused():
    with hold_machine(), pytest.raises(SuiteError, match="is timing on this machine"), hold_machine():
        pass
    with hold_machine():
        pass


@pytest.mark.parametrize(
    ("words", "code", "part"),
    [
        ((), Exit.USAGE, "no MODEL is given"),
        ((TINY, "--save"), Exit.USAGE, "give --time or --sweep"),
        ((TINY, "--sweep", "--size", "64x64"), Exit.USAGE, "leave out --size"),
        ((TINY, "--time", "--threads", 99999), Exit.USAGE, "--threads 99999"),
        ((TINY, "--time", "--seconds", 0), Exit.USAGE, "--seconds 0"),
        ((TINY, "--time", "--backend", "numbo"), Exit.USAGE, "numba"),
        ((TINY, "--claim", "v4"), Exit.USAGE, "names its own networks"),
    ],
)
def test_a_user_s_error_is_one_message_and_its_code(run, words, code, part):
    found, out, err = run(*words)
    assert found == code
    assert part in err
    assert "Traceback" not in err
    assert out == ""


def test_the_interval_of_a_median_is_that_of_the_binomial_distribution():
    pairs = [(1.0, 1.0 + gain / 100) for gain in range(1, 26)]
    found = claim_v4.judge_claim(pairs)
    assert found.gain == pytest.approx(0.13)
    assert found.interval == pytest.approx((0.08, 0.18))  # ranks 8 and 18 of 25, as tables of the sign test have it
    assert claim_v4.judge_claim(pairs[:5]).interval is None


@pytest.mark.parametrize(
    ("gains", "part"),
    [
        ([0.08, 0.085, 0.09, 0.09] * 5, "agrees"),
        ([0.01, 0.02, 0.03] * 5, "by less than"),
        ([0.2, 0.21, 0.22] * 5, "by more than"),
        ([-0.1, -0.11, -0.12] * 5, "slower here"),
        ([-0.01, 0.01] * 8, "no difference"),
        ([-0.2, 0.3] * 8, "cannot tell"),
    ],
)
def test_a_verdict_on_v4(gains, part):
    assert part in claim_v4.judge_claim([(1.0, 1 + gain) for gain in gains]).sentence


@pytest.mark.usefixtures("one_thread")
def test_pairs_for_v4_are_of_calls_in_turn():
    asked = claim_v4.Asked((8, 8), "reference", "cpu", 0.01, alone=True)
    pairs = claim_v4.measure_pairs(asked)
    assert len(pairs) >= claim_v4.FEWEST_PAIRS
    assert all(convolution > 0 and linear > 0 for convolution, linear in pairs)


class Attention(nn.Module):
    """Global self-attention in the place of a VSSM, on (B, H, W, C)."""

    def __init__(self, width):
        super().__init__()
        self.attention = nn.MultiheadAttention(width, 4, bias=False, batch_first=True)

    def forward(self, x):
        tokens = x.flatten(1, 2)
        return self.attention(tokens, tokens, tokens, need_weights=True)[0].view(x.shape)


def operations(network, x):
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        network(x)
    return counter.get_total_flops()


@pytest.mark.parametrize(("width", "height", "side"), [(16, 3, 5), (60, 8, 8)])
def test_the_formula_of_attention_is_what_pytorch_counts(width, height, side):
    counted = operations(Attention(width), torch.zeros(1, height, side, width))
    assert counted == 2 * attention_cost.attention_macs(width, height * side)


@pytest.mark.parametrize("size", [(8, 8), (12, 20)])
def test_a_network_with_full_attention_costs_what_its_formula_says(size):
    network = models.create(TINY).train()
    for module in network.modules():
        if hasattr(module, "scan_norm"):
            module.scan = Attention(module.scan_norm.normalized_shape[0])
    assert operations(network, torch.zeros(1, 3, *size)) == pytest.approx(attention_cost.count_full_attention(TINY, size).flops)


def test_scans_grow_with_the_pixels_and_attention_with_their_square():
    sides = (256, 512, 1024)
    scans = [count_model(TINY).at((side, side)).flops for side in sides]
    attention = [attention_cost.count_full_attention(TINY, (side, side)).flops for side in sides]
    assert scans[2] / scans[1] == pytest.approx(4, rel=1e-3)
    assert attention[2] / attention[1] == pytest.approx(16, rel=0.02)
    with pytest.raises(SuiteError, match="no counterpart"):
        attention_cost.count_full_attention("vmambair-realsr-x4", (64, 64))
