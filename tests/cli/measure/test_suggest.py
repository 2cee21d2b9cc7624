"""The verb suggest, from an empty folder: counts and times are made up, so that it takes no seconds; and what it refuses."""

import argparse
import json
import math
import statistics
import tempfile

import numpy as np
import outside
import pytest
from PIL import Image

import models
from suite.cli import main
from suite.cli.measure import suggest_samples
from suite.core import machine
from suite.core.errors import Exit
from suite.measure.costs import cell, points
from suite.measure.costs.printed import scale_of
from suite.measure.costs.traffic import Traffic, WatchedTraffic
from suite.records import machines
from suite.records.kinds.profile import Latency, ProfileCost
from suite.report.suggestions import candidates
from suite.study.baselines import BASELINES
from suite.study.tasks import task

MS = 1e-9  # a multiply-add takes, on the made-up machine


def count(model, size):
    """Counts in proportion to the pixels, another number for each network."""
    each = 1e4 * (1 + sum(map(ord, model)) % 50)
    conv, scans = each * math.prod(size), 0.3 * each * math.prod(size)
    return ProfileCost(
        params=int(each),
        parts=(),
        macs=conv + scans,
        by_operator={"conv": conv, "selective_scan": scans},
        flops=2 * conv + scans,
        scan_macs=scans,
        unsupported={"aten::add": 40},
        conventions={},
    )


def time_of(spec):
    ms = MS * count(spec.model, spec.input_size).macs
    mib = math.prod(spec.input_size) * scale_of(spec.model) / 1e3
    return Latency(
        cold_ms=ms,
        warm_up=2,
        samples_ms=(ms,) * 3,
        median_ms=ms,
        quartiles_ms=(ms, ms),
        noisy=False,
        others=0.0,
        peak_memory_mib=mib,
    )


@pytest.fixture
def timed(monkeypatch):
    """The cells that were timed."""
    found = []

    def take(spec):
        found.append((spec.model, spec.input_size))
        return time_of(spec), ""

    monkeypatch.setattr(cell, "time_in_process", take)
    return found


@pytest.fixture
def few(monkeypatch):
    """Fewer candidates, where it does not matter which."""
    every = candidates.list_candidates
    monkeypatch.setattr(candidates, "list_candidates", lambda task: every(task)[:2] + every(task)[-3:])


@pytest.fixture
def suggest(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))  # two tests at a time are no two timing runs
    monkeypatch.setattr(machines, "machines_folder", lambda: tmp_path / "machines")
    monkeypatch.setattr(machines, "shipped_folder", lambda name: tmp_path / "shipped" / name)
    monkeypatch.setattr(points, "START_SECONDS", 0.0)
    monkeypatch.setattr(cell, "count_cost", count)
    monkeypatch.setattr(points, "count_cost", count)
    monkeypatch.setattr(points, "traffic_kept", lambda model: WatchedTraffic(1, 1, Traffic(0.0, 4e3 * scale_of(model), 40.0)))
    monkeypatch.setattr(points, "least_side", lambda _: 16)

    monkeypatch.setattr(machine, "find_commit", lambda: machine.Commit("c0ffee", False))  # git takes its time, for every record

    def call(*words, task="sr-x4", ledger=tmp_path / "runs"):
        size = [] if "--size" in words else ["--size", "100x200"]
        code = main.main(["suggest", "--task", task, *size, "--ledger", str(ledger), *map(str, words), "--backend", "reference"])
        return code, *capsys.readouterr()

    return call


@pytest.mark.usefixtures("timed")
def test_an_answer_has_all_networks_of_the_task_and_says_what_each_value_is(suggest):
    code, out, _ = suggest("--json", "--seconds", 60)
    assert code == Exit.DONE
    found = json.loads(out)
    names = {one["model"] for one in found["networks"]}
    assert {"mambair-sr-x4", "mambair-light-x4", "mambairv2-base-x4", "rcan-x4", "swinir-light-x4"} <= names
    assert not names & set(models.names(tiny=True))
    assert not any("." in name or "x2" in name or "vmambair" in name for name in names)
    assert (found["input_size"], found["output_size"]) == ([100, 200], [400, 800])
    assert found["compared_by"]["metric"] == "PSNR-Y"
    printed = next(one for one in found["networks"] if one["model"] == "mambair-sr-x4")["quality"]
    assert (printed["kind"], printed["source"]) == ("printed", "MambaIR, Table 3")
    assert next(one for one in found["networks"] if one["model"] == "hat-x4")["quality"] is None
    for one in found["networks"]:
        assert one["latency_ms"]["basis"] == "other sizes"
        assert one["latency_ms"]["value"] == pytest.approx(MS * one["macs"], rel=1e-3)
    assert found["left_one_out"]["latency"]["other sizes"]["largest"] == pytest.approx(0, abs=1e-3)


@pytest.mark.usefixtures("timed", "few")
def test_those_that_fit_come_first_and_nothing_is_measured_twice(suggest, timed):
    names = candidates.list_candidates(task("sr-x4"))
    middle = 1.001 * statistics.median(MS * count(name, (100, 200)).macs for name in names)
    code, out, _ = suggest("--json", "--max-ms", middle, "--max-mib", 100, "--seconds", 60)
    assert code == Exit.DONE
    fits = [one["fits"] for one in json.loads(out)["networks"]]
    assert fits == [True, True, True, False, False]
    before = len(timed)
    assert before == len(set(timed))
    again = suggest("--json", "--max-ms", middle, "--max-mib", 100, "--seconds", 60)
    assert len(timed) == before
    assert json.loads(again[1]) == json.loads(out)


@pytest.mark.usefixtures("timed", "few")
def test_where_none_fits_the_nearest_are_told_with_what_would(suggest):
    code, out, _ = suggest("--max-ms", 0.5, "--seconds", 60, "--wide")
    assert code == Exit.DONE
    assert "None of" in out
    assert out.count("times the limit. Pictures of up to about ") == 3
    assert "Tiles take no less time." in out
    assert "A GPU may do it; how long one takes is not known here" in out
    assert "Error of leaving one out, time of a network measured at another size" in out
    found = json.loads(suggest("--json", "--max-ms", 0.5, "--seconds", 0)[1])
    for one in found["nearest"]:
        height, width = one["would_fit"]["size"]
        assert MS * count(one["model"], (height, width)).macs == pytest.approx(0.5, rel=0.1)
        assert width == pytest.approx(2 * height, abs=1)
        assert one["would_fit"]["tile"] is None


@pytest.mark.usefixtures("timed", "few")
def test_a_tile_is_named_where_memory_alone_is_short(suggest):
    found = json.loads(suggest("--json", "--max-mib", 20, "--seconds", 60)[1])
    for one in found["nearest"]:
        assert one["would_fit"]["tile"] ** 2 * 4 / 1e3 == pytest.approx(20, rel=0.1)


@pytest.mark.usefixtures("timed", "few")
def test_without_a_measurement_nothing_is_made_up(suggest, timed):
    code, out, _ = suggest("--seconds", 0, "--max-ms", 100, "--wide")
    assert code == Exit.DONE
    assert timed == []
    assert "nothing was measured on this machine" in out
    assert "Of none of the" in out
    assert "~" not in out.partition("~: estimated")[0]


@pytest.mark.usefixtures("timed", "few")
def test_few_seconds_leave_calls_for_the_next_time(suggest, timed, monkeypatch):
    monkeypatch.setattr(points, "START_SECONDS", 1e6)
    _, out, _ = suggest("--seconds", 60, "--wide")
    assert timed == []
    monkeypatch.setattr(points, "START_SECONDS", 0.0)
    suggest("--seconds", 60)
    assert len(timed) == 10
    assert "nothing was measured" in out


@pytest.mark.usefixtures("timed", "few")
def test_times_of_a_machine_alike_are_used(suggest, tmp_path):
    suggest("--seconds", 60)
    here = points.describe_here()
    time = machines.MachineTime(
        model="mambair-sr-x4",
        input_size=(100, 200),
        backend="reference",
        device="cpu",
        threads=here.cores,
        median_ms=77.0,
        quartiles_ms=(76.0, 78.0),
        samples=5,
        torch="2",
        date="2026-01-02",
        commit="c0ffee",
    )
    for cpu, kept in ((here.cpu, True), ("another", False)):
        folder = tmp_path / "machines"
        folder.mkdir(exist_ok=True)
        one = here.model_copy(update={"cpu": cpu, "times": (time,)})
        (folder / one.file).write_text(one.model_dump_json(by_alias=True))
        networks = json.loads(suggest("--json", "--seconds", 0)[1])["networks"]
        told = next(row for row in networks if row["model"] == "mambair-sr-x4")["latency_ms"]
        assert (told["basis"] == "measured" and told["value"] == 77.0) == kept
        (folder / one.file).unlink()


@pytest.mark.usefixtures("timed", "few")
def test_a_page_has_the_chart_with_its_slider(suggest, tmp_path):
    page = tmp_path / "out" / "page.html"
    code, out, _ = suggest("--seconds", 60, "--page", page)
    text = page.read_text()
    assert code == Exit.DONE
    assert f"Page: {page}" in out
    assert 'class="budget"' in text
    assert 'data-name="mambair-sr-x4"' in text
    assert "Error of leaving one out" in text


def test_another_level_has_its_own_numbers(suggest):
    found = json.loads(suggest("--json", "--seconds", 0, task="denoise-50")[1])
    one = next(row for row in found["networks"] if row["model"] == "mambair-denoise")["quality"]
    assert one["value"] < 33  # at sigma 50, not 15
    assert {"dncnn", "drunet", "mambairv2-denoise"} <= {row["model"] for row in found["networks"]}
    assert found["output_size"] == found["input_size"]


@pytest.mark.parametrize(
    ("words", "code", "part"),
    [
        (("--seconds", -1), Exit.USAGE, "--seconds -1: it must be 0 to 3600"),
        (("--seconds", 0, "--metric", "PSNR-X"), Exit.USAGE, "--metric PSNR-X: no network for sr-x4 has a number for it"),
        (("--seconds", 0, "--test-set", "Set6"), Exit.USAGE, "'Set5'"),
        (("--seconds", 0, "--photos", "here"), Exit.USAGE, "belong together"),
        (("--seconds", 0, "--weights", "here.pth"), Exit.USAGE, "belong together"),
        (("--seconds", 0, "--photos", "here", "--weights", "here.pth"), Exit.USAGE, "name its file with --page"),
        (("--seconds", 0, "--photos", "nowhere", "--weights", "w.pth", "--page", "p.html"), Exit.NOT_READY, "--photos nowhere"),
        (("--seconds", 0, "--page", "."), Exit.USAGE, "is a folder"),
        (("--size", "1x1", "--seconds", 0, "--threads", 99999), Exit.USAGE, "--threads 99999"),
    ],
)
def test_a_user_s_error_is_one_message_and_its_code(suggest, words, code, part):
    found, out, err = suggest(*words)
    assert (found, out) == (code, "")
    assert part in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    "words",
    [("--max-ms", "0"), ("--max-ms", "soon"), ("--max-mib", "inf"), ("--max-mib", "nan"), ("--size", "4k"), ("--size", "0x5")],
)
def test_a_word_that_is_no_number_or_size_is_a_usage_error(suggest, words, capsys):
    with pytest.raises(SystemExit) as stopped:
        suggest(*words)
    assert stopped.value.code == Exit.USAGE
    assert words[1] in capsys.readouterr().err


def test_an_unknown_task_is_answered_with_the_nearest(suggest):
    code, _, err = suggest(task="sr-x5")
    assert code == Exit.USAGE
    assert "sr-x4" in err


@pytest.mark.usefixtures("timed", "few")
def test_photographs_are_refused_with_weights_of_another_task(suggest, tmp_path, monkeypatch):
    (tmp_path / "photos").mkdir()
    Image.new("RGB", (120, 100)).save(tmp_path / "photos" / "one.png")
    of = argparse.Namespace(said="mambair-sr-x2", state={})
    monkeypatch.setattr(suggest_samples, "read_weights", lambda _: of)
    words = ("--photos", tmp_path / "photos", "--weights", "w.pth", "--page", tmp_path / "p.html", "--seconds", 0)
    code, _, err = suggest(*words)
    assert code == Exit.USAGE
    assert "is of mambair-sr-x2, which does not fit sr-x4" in err


def test_without_spandrel_baselines_are_left_out_in_so_many_words(suggest, monkeypatch):
    import importlib.util

    kept = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "spandrel" else kept(name, *rest))
    code, out, err = suggest("--json", "--seconds", 0)
    assert code == Exit.DONE
    assert not {one["model"] for one in json.loads(out)["networks"]} & set(BASELINES)
    assert "spandrel is not installed" in err


@pytest.mark.parametrize(("seconds", "sides"), [(1.0, [96, 192, 192]), (1.1, [96, 96])])
def test_samples_are_larger_where_time_allows_and_say_what_they_took(seconds, sides, monkeypatch):
    """Two photographs, one restorer: a middle of 96 takes five times `seconds`, two of 192 eight times that, 40 or 44 s."""
    clock, seen = [0.0], []

    def restore(pixels):
        clock[0] += seconds * pixels[..., 0].size / 96**2 * 5
        seen.append(pixels.shape[0])
        return pixels.astype(np.float64) / 255, None

    monkeypatch.setattr(suggest_samples.time, "perf_counter", lambda: clock[0])
    photos = {name: np.zeros((192, 192, 3), np.uint8) for name in ("a.png", "b.png")}
    figures = suggest_samples._draw_all(photos, [("w.pth", argparse.Namespace(restore=restore), "mambair-sr-x4")], task("sr-x4"))
    assert seen == sides
    assert [figure.title for figure in figures] == ["Your photograph a.png.", "Your photograph b.png."]
    side = sides[-1]
    assert f"Its middle, {side}x{side} pixels, enlarged 4 times" in figures[0].caption
    assert figures[1].pictures[0].note == f"w.pth; {5 * seconds * (side / 96) ** 2:.1f} s"


def test_a_design_from_outside_is_suggested_beside_the_others(suggest, tmp_path):
    path = outside.write(tmp_path / "author", ("DESIGN =", f"{outside.PRINTED}DESIGN ="))
    code, out, _ = suggest("--json", "--seconds", 0, "--plugin", path, task="real-sr-x4")
    assert code == Exit.DONE
    assert "ladder-x4" in {one["model"] for one in json.loads(out)["networks"]}
    assert "ladder-x4" not in {one["model"] for one in json.loads(suggest("--json", "--seconds", 0, task="real-sr-x4")[1])["networks"]}
