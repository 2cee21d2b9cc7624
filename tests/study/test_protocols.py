"""PROTOCOLS and METRICS: what every row promises, and how a name is looked up."""

import dataclasses

import pytest

from suite.core.errors import SuiteError
from suite.study.protocols import METRICS, PROTOCOLS, PSNR_CAP, protocol

NAMES = {
    "sr-y",
    "sr-y-rounded",
    "sr-y-plane",
    "gan-sr",
    "real-sr",
    "derain-matlab",
    "derain-y",
    "derain-crop4",
    "color-dn-bgr",
    "color-dn-rgb",
    "sidd-blocks",
    "sidd-uint8",
    "jpeg-grey",
    "jpeg-matlab",
    "deblur-rgb",
    "float-rgb",
    "float-y",
    "ntire-rgb",
}


def test_every_protocol_is_found_by_key_and_its_latest_by_name():
    for key, row in PROTOCOLS.items():
        assert key == row.key
        assert protocol(key) is row
        assert protocol(row.name).version == max(other.version for other in PROTOCOLS.values() if other.name == row.name)
    assert {row.name for row in PROTOCOLS.values()} == NAMES


@pytest.mark.parametrize("row", PROTOCOLS.values(), ids=PROTOCOLS)
def test_every_row_says_what_it_does(row):
    assert len(row.changes) == row.version
    assert all(line.startswith(f"{number}: ") for number, line in enumerate(row.changes, start=1))
    assert set(row.metrics) <= set(METRICS)
    assert row.metrics == row.fidelity + row.perceptual
    assert all(METRICS[name].package == "" for name in row.fidelity)
    assert all(METRICS[name].package for name in row.perceptual)
    assert row.statement.endswith(".")
    assert "\n" not in row.statement
    assert ("rounded to 8 bit;" in row.statement.replace(",", ";")) == (row.quantise == "uint8")
    assert ("not rounded" in row.statement) == (row.quantise == "none")
    assert ("cut off to 8 bit" in row.statement) == (row.quantise == "uint8-up")
    assert ("as the scale left out" in row.statement) == (row.crop == "scale")
    assert ("volume" in row.statement) == (row.ssim == "volume-11")
    assert f"at most {PSNR_CAP:g} dB" in row.statement
    with pytest.raises(dataclasses.FrozenInstanceError):
        row.crop = 3


def test_no_two_rows_state_the_same():
    assert len({row.statement for row in PROTOCOLS.values()}) == len(PROTOCOLS)


def test_the_first_rows_state_what_records_already_hold_and_what_they_do_with_grey_files():
    common = (
        "Output clamped and rounded to 8 bit, whole image without tiling; PSNR (peak 255, at most 100 dB) and SSIM "
        "(11x11 Gaussian window, sigma 1.5, valid region) on BT.601 Y (16 to 235), {}; "
        "as many border pixels as the scale left out at each side; {}."
    )
    repeated, plane = (
        "a grey file taken for three equal channels",
        "of a grey file, its plane as it is (0 to 255), as MATLAB scripts take it",
    )
    rounded = "rounded to 8 bit as MATLAB's rgb2ycbcr does"
    assert protocol("sr-y@1").statement == common.format("kept in floating point", repeated)
    assert protocol("sr-y-rounded@1").statement == common.format(rounded, repeated)
    assert protocol("sr-y-rounded@2").statement == common.format(rounded, plane)


@pytest.mark.parametrize(("name", "scale", "border"), [("sr-y", 3, 3), ("gan-sr", 3, 4), ("derain-y", 3, 0), ("ntire-rgb", 2, 2)])
def test_the_border_is_the_scale_or_a_number(name, scale, border):
    assert protocol(name).border(scale) == border


def test_metrics_say_how_they_are_read():
    for name, row in METRICS.items():
        assert row.name == name
        assert row.unit == ("dB" if name.startswith("PSNR") else "")
        assert row.better == ("lower" if name.startswith(("LPIPS", "DISTS", "GMSD", "NIQE", "ILNIQE", "BRISQUE", "PI")) else "higher")
        assert row.reference or row.package == "pyiqa"


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("sr-z", "no protocol is called 'sr-z'.*Did you mean 'sr-y'"),
        ("sr-y@9", "has no version '9'. Known: sr-y@1"),
        ("sr-y@", "has no version after the @"),
    ],
)
def test_an_unknown_protocol_is_one_clear_message(key, message):
    with pytest.raises(SuiteError, match=message):
        protocol(key)
