"""The view and the page of scan records, made up."""

import subprocess
import sys

import pytest
import scan_records as made
import synthetic_records
from page_reader import Reader
from places import SUPPORT

from suite.core.paths import ROOT
from suite.report import report
from suite.report.grids import scan_view


def test_the_reference_is_the_baseline_and_an_estimate_is_marked():
    (bench,) = scan_view.gather_benches(made.bench())
    rows = {(group.case, row.backend): row for group in bench.sequences for row in group.rows}
    assert (rows["light", "numba"].forward.ratio, rows["light", "numba"].forward.about) == (500.0, True)
    assert (rows["channel", "numba"].both.ratio, rows["channel", "numba"].both.about) == (5.0, False)
    assert rows["channel", "reference"].forward.ratio is None
    (walked, copied) = bench.images
    assert (walked.path, walked.rows[0].forward.ratio) == ("image", 2.5)
    assert (copied.path, copied.rows[0].forward.ratio) == ("image-copied", None)
    assert bench.noisy == 4
    assert [one.name for one in bench.absent] == ["triton"]


def test_the_ceiling_is_the_larger_of_moving_and_computing_by_the_best_that_was_measured():
    slower = made.CeilingsUsed(bandwidth_bytes_per_second=1e9, exponentials_per_second=1e9, exponentials_method="on a busy machine")
    one = made.record(times=[made.timing(median=1.0), made.timing("channel", median=1.0, moved_bytes=40_000_000)])
    other = made.record("cpp", findings=made.findings([], ceilings=slower))
    (bench,) = scan_view.gather_benches([one, other])
    found = {group.case: group.rows[0].forward for group in bench.sequences}
    assert (found["light"].share, found["light"].bound_by) == (pytest.approx(11_796_480 / 2e10 / 1e-3), "exponentials")
    assert (found["channel"].share, found["channel"].bound_by) == (pytest.approx(40e6 / 5e10 / 1e-3), "bandwidth")


def test_the_latest_record_of_a_backend_stands_and_an_incorrect_one_takes_its_times_away():
    old = made.record(times=[made.timing(median=9.0), made.timing("channel", median=1.0)])
    new = made.record(times=[made.timing(median=5.0)], finished="2026-03-03T10:00:00+00:00", spec_fields={"cases": ("light",)})

    def times(*records):
        (bench,) = scan_view.gather_benches(records)
        return {group.case: group.rows[0].forward.timing.median_ms for group in bench.sequences}

    assert times(new, old) == {"light": 5.0, "channel": 1.0}
    other = made.record(
        times=[made.timing(median=5.0)], finished="2026-03-03T10:00:00+00:00", spec_fields={"cases": ("light",), "software": "x"}
    )
    assert times(other, old) == {"light": 5.0}  # what other software did is not shown beside it
    assert times(old, made.incorrect(finished="2026-03-04T10:00:00+00:00", attempt=2)) == {}


def test_machines_devices_and_threads_are_apart():
    records = [made.record(), made.record(spec_fields={"threads": 1}), made.record(spec_fields={"device": "cuda", "machine": "g"})]
    assert [(bench.device, bench.threads) for bench in scan_view.gather_benches(records)] == [("cuda", 2), ("cpu", 2), ("cpu", 1)]


def read(records):
    reader = Reader()
    reader.feed(scan_view.scan_page_text(records, report.format_moment))
    reader.close()
    assert reader.open == [reader.root]
    return reader.root


def test_the_page_says_what_is_unavailable_disturbed_and_not_timed():
    root = read(made.bench())
    text = root.text
    for part in (
        "triton × unavailable there is no GPU. Fix: use a machine with one",
        "not timed it would take about 4.0 s a call",
        "≈ 500×",
        "4 times were disturbed",
        "2^x of a test",
        "12.5 s + 9.25 s",
        "Example CPU, 2 threads, float32",
        "2 March 2026, 10:04 UTC",
        "torch 2.6.0",
    ):
        assert part in text, part
    assert any(link.attributes["href"] == "index.html" for link in root.all("a"))


def test_the_page_asks_for_nothing_and_its_links_lead_somewhere():
    root = read([*made.bench(), made.incorrect(spec_fields={"threads": 1}), made.record(findings=None, status="failed", error="boom")])
    places = [node.attributes["id"] for node in root.all() if "id" in node.attributes]
    assert len(places) == len(set(places))
    for node in root.all():
        assert not {"style", "src"} & node.attributes.keys()
        assert not any(name.startswith("on") for name in node.attributes)
        if "href" in node.attributes:
            target = node.attributes["href"]
            assert target == "index.html" or target[1:] in places
    policy = next(meta.attributes["content"] for meta in root.all("meta") if "http-equiv" in meta.attributes)
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    for table in root.all("table"):
        assert table.one("caption").text


ATTACK = "</title></script><script>alert(1)</script><img src=x onerror=alert(1)>\"'`{{7*7}}"


def test_markup_in_scan_records_stays_text():
    one = made.timing(ATTACK, layer=ATTACK, shape=ATTACK)
    absent = (made.Absent(name=ATTACK, reason=ATTACK, remedy=ATTACK),)
    found = made.findings([one], absent=absent, verified=(made.verified(ATTACK),))
    provenance = synthetic_records.provenance(machine={"cpu": ATTACK}, packages={ATTACK: ATTACK}, commit=ATTACK)
    root = read([made.record(ATTACK, findings=found, provenance=provenance), made.incorrect()])
    assert len(list(root.all("script"))) == 1
    assert not list(root.all("img"))
    assert ATTACK in root.text


def test_the_page_needs_neither_torch_nor_ray(tmp_path):
    code = f"""
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "ray", "numba", "skimage", "PIL", "fvcore"):
            raise ImportError(name + " must not be imported for a report")
sys.meta_path.insert(0, Blocked())
sys.path[:0] = [{str(ROOT)!r}, {str(SUPPORT)!r}]
import scan_records as made
from pathlib import Path
from suite.report.report import write_report
write_report(made.bench(), Path({str(tmp_path)!r}))
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path)
    assert (tmp_path / "scan.html").stat().st_size > 10_000
