"""Kinds of GPU: found by their drivers' names, and peak rates that fit together."""

import pytest

from models.lookup import UnknownName
from suite.study.accelerators import ACCELERATORS, DEFAULT_KIND, accelerator, is_kind


@pytest.mark.parametrize(
    ("gpu", "kind"),
    [
        ("NVIDIA A100-SXM4-80GB", "A100"),
        ("NVIDIA H100 80GB HBM3, NVIDIA H100 80GB HBM3", "H100"),
        ("NVIDIA GeForce RTX 4090", "RTX 4090"),
        ("Tesla V100-SXM2-32GB", "V100"),
        ("NVIDIA L4", "L4"),
    ],
)
def test_a_drivers_name_is_of_one_kind(gpu, kind):
    assert [name for name in ACCELERATORS if is_kind(gpu, name)] == [kind]


def test_a_longer_name_is_another_kind():
    assert not is_kind("NVIDIA L40S", "L4")
    assert not is_kind("NVIDIA A1000", "A100")


def test_kinds_are_found_in_any_case_and_others_are_suggested():
    assert accelerator("rtx 4090").name == "RTX 4090"
    with pytest.raises(UnknownName, match="H100"):
        accelerator("H10")


def test_every_row_names_its_source_and_no_tensor_core_is_slower():
    assert DEFAULT_KIND in ACCELERATORS
    for row in ACCELERATORS.values():
        assert row.source
        assert row.peak("float32") == row.fp32 * 1e12
        assert row.bf16 is None or row.bf16 > row.fp32
    assert ACCELERATORS["V100"].peak("bfloat16") is None
