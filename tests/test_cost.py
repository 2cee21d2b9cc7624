"""Costs: the papers' figures in one convention, and the extrapolation that makes them cheap."""

import functools

import pytest

import models
from models.scan.op import scan_macs
from suite.cost import cost_of, full_size_cost, trace_macs
from suite.errors import SuiteError

counted = functools.cache(full_size_cost)  # a trace of a full-size network takes seconds

# From the authors' code, under fvcore's convention: VmambaIR at 64x64, MambaIR-light for an output of 1280x720.
KNOWN = {
    ("vmambair-realsr-x4", None): 19.45e9,
    ("mambair-light-x2", (360, 640)): 334.11e9,
    ("mambair-light-x3", (240, 427)): 149.09e9,
    ("mambair-light-x4", (180, 320)): 84.65e9,
    ("mambair-realdn", (256, 256)): 229.7e9,
    ("mambair-light-x2.generation-1", (360, 640)): 417.5e9,
    ("mambair-light-x2.generation-2", (360, 640)): 567.2e9,
}


@pytest.mark.parametrize(("model", "size"), KNOWN)
def test_known_costs(model, size):
    assert counted(model, size).macs == pytest.approx(KNOWN[model, size], rel=3e-3)


def test_without_the_plane_scan_vmambair_costs_what_its_own_script_counts():
    cost = counted("vmambair-realsr-x4")
    channel_scans = cost.scan_macs - counted("vmambair-realsr-x4.no-channel-scan").scan_macs
    assert cost.macs - (cost.scan_macs - channel_scans) == pytest.approx(15.67e9, rel=1e-3)


def test_v3_keeps_the_papers_cost_ratio_within_three_percent():
    ratio = counted("vmambair-realsr-x4.no-effn").macs / counted("vmambair-realsr-x4").macs
    assert ratio == pytest.approx(20.03 / 20.45, rel=0.03)


@pytest.mark.parametrize("name", ["vmambair-realsr-x4-tiny", "vmambair-derain-tiny.released", "mambair-sr-x2-tiny", "mambair-realdn-tiny"])
def test_two_small_traces_give_the_cost_at_any_size(name):
    network = models.create(name)
    assert cost_of(network, (40, 56)).macs == pytest.approx(sum(trace_macs(network, (40, 56)).values()), rel=1e-9)


def test_padding_is_part_of_the_cost():
    network = models.create("vmambair-derain-tiny")
    assert cost_of(network, (33, 64)).macs == cost_of(network, (40, 64)).macs


def test_uncounted_operators_are_listed():
    unsupported = counted("vmambair-realsr-x4").unsupported
    assert unsupported["aten::silu"] == 54
    assert "ssm::selective_scan" not in unsupported


def test_the_formula_of_the_scan():
    assert scan_macs(2, 3, 5, 7, skip=True) == 9 * 2 * 5 * 3 * 7 + 2 * 5 * 3
    assert scan_macs(2, 3, 5, 7, skip=False) == 9 * 2 * 5 * 3 * 7


def test_a_size_below_the_networks_is_refused():
    with pytest.raises(SuiteError, match="at least 8 pixels"):
        counted("vmambair-derain", (4, 64))
