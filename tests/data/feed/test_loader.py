"""Batches made ahead: the sampler's own whatever the number of workers, from any iteration; errors are named, no process stays."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from processes import alive, descendants, wait_for

from suite.core.errors import Exit, SuiteError
from suite.core.paths import ROOT
from suite.data.degrade.degradations import DEGRADATIONS
from suite.data.feed import loader as loading
from suite.data.feed.loader import Loader, Patches, default_workers
from suite.data.feed.sampler import PatchSampler

IMAGES = [(f"image {number}", np.random.default_rng(number).integers(0, 256, (70, 80, 3), dtype=np.uint8)) for number in range(5)]


def sampler_of(name="bicubic-x2", patch=16):
    return PatchSampler(IMAGES, DEGRADATIONS[name], patch, 3, rotate=True)


def stages(iteration):
    return (16, 6) if iteration < 12 else (32, 3)


@pytest.mark.parametrize("workers", [0, 1, 3])
@pytest.mark.parametrize("name", ["bicubic-x2", "noise-25"])
def test_batches_are_the_sampler_s_from_any_iteration(workers, name):
    sampler = sampler_of(name)
    before = torch.get_rng_state()
    seen = list(Loader(Patches(sampler, range(4)), 9, 16, workers=workers))
    assert torch.equal(torch.get_rng_state(), before)  # what the network trains with
    assert [iteration for iteration, *_ in seen] == list(range(9, 16))
    for iteration, low, high, waited in seen:
        for found, wanted in zip((low, high), sampler.batch(iteration, 4), strict=True):
            assert found.dtype == torch.float32
            assert np.array_equal(found.numpy(), wanted)
        assert 0 < waited < 60


@pytest.mark.parametrize("workers", [0, 2])
def test_patch_and_batch_change_with_the_iteration_and_are_shared_fairly(workers):
    sampler = sampler_of()
    for rank in range(3):
        make = Patches(sampler, range(rank, 6, 3), stages)
        for iteration, low, high, _ in Loader(make, 11, 13, workers=workers):
            patch, size = stages(iteration)
            whole = PatchSampler(IMAGES, DEGRADATIONS["bicubic-x2"], patch, 3, rotate=True).batch(iteration, size)
            assert np.array_equal(low.numpy(), whole[0][rank::3])
            assert np.array_equal(high.numpy(), whole[1][rank::3])


def test_another_patch_is_checked_like_the_first():
    sampler = sampler_of()
    assert sampler.at(16) is sampler
    with pytest.raises(SuiteError, match="not a multiple of the scale 2"):
        sampler.at(17)
    with pytest.raises(SuiteError, match="'image 0' is 80x70 pixels, smaller than the patch of 72"):
        sampler.at(72)


def broken(image, _rng):
    raise ZeroDivisionError(f"no way with {image.shape}")


@pytest.mark.parametrize("workers", [0, 2])
def test_a_patch_that_cannot_be_made_is_named(workers):
    sampler = PatchSampler(IMAGES, replace(DEGRADATIONS["noise-25"], apply=broken), 16, 0, rotate=True)
    others = descendants(os.getpid())  # of other tests
    message = r"patch 0 of iteration 4, of the training image 'image \d', cannot be made by 'noise-25': ZeroDivisionError: no way"
    with pytest.raises(SuiteError, match=message) as error:
        next(iter(Loader(Patches(sampler, range(2)), 4, 9, workers=workers)))
    assert error.value.exit is Exit.INCOMPLETE
    wait_for(lambda: not any(map(alive, descendants(os.getpid()) - others)), "the workers to end")


def fatal(sampler, iteration):
    if iteration == 5:
        os.kill(os.getpid(), signal.SIGKILL)
    return sampler.take(iteration, range(2))


def test_a_worker_that_dies_is_told_where_its_batch_is_asked_for():
    others = descendants(os.getpid())  # of other tests
    seen = []
    with pytest.raises(SuiteError, match=r"a process that makes batches died before iteration [345] was made"):
        seen.extend(iteration for iteration, *_ in Loader(partial(fatal, sampler_of()), 3, 20, workers=1))
    assert seen == [3, 4][: len(seen)]  # what it had made may be lost with it
    wait_for(lambda: not any(map(alive, descendants(os.getpid()) - others)), "the workers to end")


def test_closing_ends_the_workers_and_gives_signals_back():
    others = descendants(os.getpid())  # of other tests
    handler = signal.getsignal(signal.SIGCHLD)
    with Loader(Patches(sampler_of(), range(2)), 0, 10**6, workers=2) as batches:
        running = iter(batches)
        assert [next(running)[0] for _ in range(3)] == [0, 1, 2]
        assert sum(map(alive, descendants(os.getpid()) - others)) == 2
        assert signal.getsignal(signal.SIGCHLD) is handler
    with pytest.raises(SuiteError, match="closed before iteration 3"):
        next(running)
    wait_for(lambda: not any(map(alive, descendants(os.getpid()) - others)), "the workers to end")


ENDLESS = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # what a shell begins in the background ignores it
sys.path[:0] = ["tests/support", "tests/data/feed"]
from test_loader import Loader, Patches, sampler_of
for iteration, *_ in Loader(Patches(sampler_of(), range(2)), 0, 10**9, workers=2):
    print(iteration, flush=True)
    time.sleep(0.05)
"""


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_no_worker_outlives_a_process_that_is_stopped(number):
    process = subprocess.Popen(
        [sys.executable, "-c", ENDLESS], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stdout.readline() == "0\n"
    workers = descendants(process.pid)
    assert len(workers) == 2
    os.killpg(process.pid, number) if number == signal.SIGINT else process.send_signal(number)  # Ctrl-C reaches the workers, too
    _, err = process.communicate(timeout=60)
    assert process.returncode == -number
    assert err.count("Traceback") == (number == signal.SIGINT)  # of the process itself, none of its workers
    wait_for(lambda: not any(map(alive, workers)), "the workers to end")


def test_a_shortage_of_shared_memory_is_said(monkeypatch, tmp_path):
    assert loading._shortage(1) == ""
    assert "fit in the shared memory" in loading._shortage(2**62)
    monkeypatch.setattr(loading, "SHARED_MEMORY", tmp_path / "none")
    assert loading._shortage(2**62) == ""
    monkeypatch.setattr(loading, "_shortage", lambda _: "too little")
    with pytest.raises(SuiteError, match="too little"):
        next(iter(Loader(Patches(sampler_of(), range(2)), 0, 4, workers=1)))


def test_workers_by_default():
    assert default_workers(8, "cpu") == 0
    assert [default_workers(threads, "cuda") for threads in (1, 2, 8, 64)] == [1, 1, 7, 16]
    with pytest.raises(SuiteError, match="0 or more workers, not -1"):
        Loader(Patches(sampler_of(), range(2)), 0, 4, workers=-1)
    begun = time.monotonic()
    assert list(Loader(Patches(sampler_of(), range(2)), 4, 4, workers=2)) == []
    assert time.monotonic() - begun < 5
