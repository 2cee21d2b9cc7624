"""`python -m suite data speed`: what it measures, and what follows from it."""

import json

import pytest

from suite.cli import main
from suite.data.feed.speed import Speed


def test_speed_of_training_data(capsys):
    words = ("data", "speed", "sr-x2", "real-sr-x4", "--workers", "0", "--seconds", "0.01")
    assert main.main([*words, "--step-ms", "50", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [(one["task"], one["workers"]) for one in found] == [("sr-x2", 0), ("real-sr-x4", 0)]
    for one in found:
        assert one["batch_ms"] == pytest.approx(1000 * one["batch"] / one["samples_per_second"])
        assert one["waiting_share"] == pytest.approx(one["batch_ms"] / (one["batch_ms"] + 50))
    assert main.main([*words[:3], "--workers", "1", "--seconds", "0.01"]) == 0
    assert capsys.readouterr().out.splitlines()[0].split() == ["TASK", "PATCH", "BATCH", "WORKERS", "SAMPLES/S", "MS", "A", "BATCH"]
    for wrong in (("--workers", "-1"), ("--seconds", "0"), ("--step-ms", "nan")):
        assert main.main([*words[:3], *wrong]) == 2
        assert "workers are 0 or more" in capsys.readouterr().err


def test_a_device_s_part_is_measured_apart(capsys):
    words = ("data", "speed", "derain", "real-sr-x4", "--workers", "0", "--seconds", "0.01", "--device", "cpu")
    assert main.main([*words, "--step-ms", "50", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [(one["task"], one["device"]) for one in found] == [("derain", ""), ("real-sr-x4", ""), ("real-sr-x4", "cpu")]
    *others, left = found
    assert [one["device_ms"] for one in others] == [0, 0]
    assert left["device_ms"] > 0
    assert left["samples_per_second"] > 2 * others[1]["samples_per_second"]  # cutting and planning alone
    both = left["batch_ms"] + left["device_ms"]
    assert left["waiting_share"] == pytest.approx(both / (both + 50))


def test_a_gpu_that_is_not_here_is_refused(capsys, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert main.main(["data", "speed", "real-sr-x4", "--device", "cuda"]) == 6
    assert "finds no GPU" in capsys.readouterr().err


def test_workers_hide_what_they_make_while_the_network_computes():
    fed = Speed("x", 64, 10, 4, 100.0)  # a batch every 100 ms
    assert [fed.waiting(step) for step in (None, 25.0, 100.0, 400.0)] == [None, 0.75, 0.0, 0.0]
    assert Speed("x", 64, 10, 0, 100.0).waiting(400.0) == pytest.approx(0.2)
    left = Speed("x", 64, 10, 4, 100.0, "cuda", 20.0)  # the step is 20 ms longer, and workers have that time too
    assert [left.waiting(step) for step in (25.0, 60.0, 80.0, 180.0)] == pytest.approx([0.75, 0.4, 0.2, 0.1])
