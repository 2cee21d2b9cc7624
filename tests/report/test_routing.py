"""The table and the sentence of the grid of routing: from made-up records by hand, and the committed record."""

import math

import pytest
from page_reader import read

from suite.core.paths import ROOT
from suite.records.evidence import find_private
from suite.records.kinds.routing import Router, RoutingRecord, RoutingRun, RoutingSpec
from suite.records.ledger import Ledger
from suite.records.record import ImageScore, dump
from suite.report.grids.routing import tabulate_routing
from suite.study.routing import WAYS

SHA, EVEN = "ab" * 32, math.log(64)


def record(images, gains=None, *, entropy=EVEN, top=1 / 64):
    """Three seeds; a way is its gain better than released, whose seeds lie 0.01 dB apart and each of whose images has its own level."""
    spec = RoutingSpec(
        model="mambairv2-light-x4",
        task="light-sr-x4",
        protocol="sr-y@1",
        test_set="made-up",
        data="c" * 64,
        weights=SHA,
        seeds=3,
        backend="numba",
    )

    def scores(way, seed):
        level = 30 + (gains or {}).get(way, 0.0) + 0.01 * seed * WAYS[way].drawn
        wiggle = 0.001 * list(WAYS).index(way)
        return tuple(ImageScore(image=str(n), metrics={"PSNR-Y": level + n + wiggle * (-1) ** n, "SSIM-Y": 0.9}) for n in range(images))

    runs = [
        RoutingRun(way=way.name, seed=seed, scores=scores(way.name, seed)) for way in WAYS.values() for seed in range(3 if way.drawn else 1)
    ]
    router = Router(tokens=64, layers=20, entropy=entropy, top_probability=top)
    return RoutingRecord(fingerprint=spec.fingerprint, spec=spec, status="done", router=router, runs=tuple(runs), params=789_680)


def test_differences_are_paired_by_image_and_seed():
    table = tabulate_routing(record(8, {"uniform": 0.5}))
    by_name = {line.name: line for line in table.lines}
    assert list(by_name) == list(WAYS)
    assert by_name["released"].difference is None
    assert by_name["released"].ends == pytest.approx((33.5, 33.52))
    uniform = by_name["uniform"]
    assert uniform.difference.mean == pytest.approx(0.5)
    assert uniform.by_image == pytest.approx((0.498, 0.502))
    assert uniform.difference.interval[0] > 0.49
    assert by_name["deterministic"].difference.mean == pytest.approx(-0.01), "from the mean of the three seeds, 33.51"
    assert (by_name["deterministic"].seeds, uniform.seeds) == (1, 3)


def test_the_sentence_says_what_stands_apart_and_of_which_file():
    text = tabulate_routing(record(8, {"uniform": 0.5})).finding
    assert SHA in text
    assert "is practically uniform" in text
    assert "0.0156 (1/64 = 0.0156)" in text
    assert "by −0.010 (" in text
    assert "to 0.500 dB (uniform)" in text or "to +0.500 dB (uniform)" in text
    assert "leaves out zero for uniform" in text
    assert "3 seeds of the released draws lie 0.020 dB apart, and by no more do deterministic, permuted, raster, no-prompt" in text
    assert text.endswith("of other weights, the authors' among them, it says nothing.")
    assert "holds zero for every way" in tabulate_routing(record(8)).finding
    assert "is not uniform" in tabulate_routing(record(8, entropy=2.0, top=0.4)).finding


def test_five_images_give_no_interval_and_that_is_said():
    table = tabulate_routing(record(5))
    assert "So few images give no interval (6 are needed)" in table.finding
    assert all(line.difference.interval is None for line in table.lines[1:])
    assert table.rows[1]["95 % interval"] == "none: 5 images, 6 needed"


def test_the_page_shows_the_table_and_the_finding():
    root = read([record(8, {"uniform": 0.5})])
    text = root.one("section", id="routing").text
    assert "made-up, sr-y@1" in text
    assert "leaves out zero for uniform" in text
    assert "#routing" in {link.attributes["href"] for link in root.all("a")}


def test_the_committed_record_holds_what_the_log_says_and_no_place_of_a_machine():
    found = [one for one in Ledger(ROOT / "results" / "evidence").records() if isinstance(one, RoutingRecord)]
    assert found, "results/evidence has the record of the grid"
    for one in found:
        table = tabulate_routing(one)
        assert "is practically uniform" in table.finding
        assert abs(one.router.top_probability - 0.0160) < 0.0005
        means = {line.name: {name: value for name, value, _ in line.means} for line in table.lines}
        assert means["released"]["PSNR-Y"] == pytest.approx(32.54, abs=0.01)
        assert means["deterministic"]["PSNR-Y"] == pytest.approx(32.515, abs=0.01)
        assert table.finding in read([one]).one("section", id="routing").text
        log = (ROOT / "results" / "LOG.md").read_text(encoding="utf-8")
        assert all(f"{means[way]['PSNR-Y']:.3f}" in log for way in WAYS), "the log's table is the record's"
        assert not find_private(one)
        assert len(dump(one)) < 30_000
