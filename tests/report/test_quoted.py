"""What another paper prints of times and memory, beside what was measured."""

import synthetic_records as made
from page_reader import read

from suite.records.machines import MachineFile, MachineTime
from suite.report.quoted import list_quoted
from suite.study.published import load_quoted_costs

LIGHT, LIGHT_V2 = "mambair-light-x4", "mambairv2-light-x4"
CALL = {"backend": "cpp", "device": "cpu", "threads": 2, "quartiles_ms": (1.0, 2.0), "samples": 3}
TIME = MachineTime(model=LIGHT_V2, input_size=(64, 64), median_ms=662.4, torch="2.8", date="2026-01-02", commit="c0ffee", **CALL)
MACHINE = MachineFile(schema=1, cpu="Some CPU", cores=2, memory_gib=7.5, instructions="AVX2", times=(TIME,))


def test_every_quoted_network_has_a_row_with_the_smallest_time_of_its_own():
    profiles = [made.profile(LIGHT, latency=800.0, size=(128, 128)), made.profile(LIGHT, latency=209.0), made.profile(LIGHT)]
    rows = {row["network"]: row for row in list_quoted(load_quoted_costs(), profiles, [MACHINE])}
    assert list(rows) == [cost.model for cost in load_quoted_costs().costs]
    assert rows[LIGHT]["printed by ESC, ms"] == "55.8"
    assert (rows[LIGHT]["measured, ms"], rows[LIGHT]["input (HxW)"]) == ("209.0", "64x64")
    assert rows[LIGHT]["on"] == "this ledger: cpu, cpp, 2 threads"
    assert (rows[LIGHT_V2]["measured, ms"], rows[LIGHT_V2]["measured, MiB"]) == ("662.4", None)
    assert rows[LIGHT_V2]["on"] == "Some CPU: cpu, cpp, 2 threads"
    assert rows["mambair-light-x3"]["measured, ms"] is None


def test_an_own_time_comes_before_one_of_another_machine():
    held = list_quoted(load_quoted_costs(), [made.profile(LIGHT_V2, latency=5.0)], [MACHINE])
    (row,) = (one for one in held if one["network"] == LIGHT_V2)
    assert row["measured, ms"] == "5.0"


def test_the_page_says_what_is_not_stated_and_compares_nothing():
    section = read([made.profile(LIGHT, latency=209.0)]).one(id="quoted")
    assert "compared with none" in section.text
    assert "GPU and size of the input" in section.text
    assert "209.0" in section.text
