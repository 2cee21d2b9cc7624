"""The rehearsal: what does not fit is told apart from what is wrong, with what would fit; and it leaves no trace."""

import copy

import pytest
import torch
from fake_cells import random_perceptual
from fake_cells import spec as small

from suite.core.errors import Exit, SuiteError
from suite.training import loop, losses, rehearsal
from suite.training.share import Share

pytestmark = pytest.mark.usefixtures("one_thread")
STAGES = ((2, 32, 8), (2, 48, 4), (2, 64, 1))


def begun(model="vmambair-derain-tiny", share=None, **fields):
    """A run at its start, as the worker with this share has it, but without the others."""
    run = loop.begin(small(model, **({"task": "derain"} | fields)))
    run.share = share or Share()
    return run


@pytest.mark.parametrize(
    ("share", "expected"),
    [(Share(), (2, 48, 4)), (Share(1, 2), (2, 48, 2)), (Share(1, 2, 1), (3, 64, 1)), (Share(0, 1, 3), (2, 48, 3))],
)
def test_the_largest_pass_is_that_of_the_worker_in_question(share, expected):
    assert rehearsal.largest_pass(begun(share=share, stages=STAGES)) == expected


def room_for(monkeypatch, images, recomputed_images):
    """Passes of more images run out of memory; gives those that were tried."""
    tried, changed = [], []

    def one_pass(_run, patch, size):
        tried.append((patch, size))
        if size > (recomputed_images if changed else images):
            raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(rehearsal, "one_pass", one_pass)
    monkeypatch.setattr(rehearsal, "recompute_blocks", changed.append)
    return tried


@pytest.mark.parametrize(
    ("images", "recomputed", "already", "advice"),
    [
        (2, 8, False, "--micro-batch 2 does, or --recompute."),
        (3, 5, False, "--micro-batch 2 does, or --recompute with --micro-batch 4."),
        (0, 8, False, "--recompute does."),
        (1, 8, True, "--micro-batch 1 does."),
        (0, 0, False, "not even one image does, with or without --recompute. Choose a smaller patch"),
    ],
)
def test_what_would_fit_is_found_by_halves(monkeypatch, images, recomputed, already, advice):
    run = begun(batch=16, patch=32, share=Share(0, 2))
    tried = room_for(monkeypatch, images, recomputed)
    with pytest.raises(SuiteError) as caught:
        rehearsal.rehearse(run, recompute=already)
    assert str(caught.value).startswith(
        f"stage 1 of {run.spec.label} (patch 32, 8 images a pass) does not fit the memory of its cpu; {advice}"
    )
    assert caught.value.exit is Exit.NOT_READY
    assert tried[:2] == [(32, 8), (32, 4)]


def test_what_fits_is_tried_once(monkeypatch):
    tried = room_for(monkeypatch, 8, 8)
    rehearsal.rehearse(begun(batch=8, patch=32), recompute=False)
    assert tried == [(32, 8)]


def test_another_error_is_not_taken_for_a_lack_of_memory(monkeypatch):
    def wrong(*_):
        raise RuntimeError("a defect")

    monkeypatch.setattr(rehearsal, "one_pass", wrong)
    with pytest.raises(RuntimeError, match="a defect"):
        rehearsal.rehearse(begun(batch=2), recompute=False)


@pytest.mark.parametrize(
    "fields",
    [
        {"model": "mambair-light-x2", "width": 16, "depth_divisor": 3, "task": "sr-x2", "ema_decay": 0.9},  # stochastic depth
        {"model": "mambair-jpeg-tiny", "task": "jpeg-10"},  # one channel
        {"model": "vmambair-derain-tiny", "task": "jpeg-10"},  # three channels on grey images
        {"model": "vmambair-realsr-x4-tiny", "task": "sr-x4", "loss": "l1+perceptual+gan", "discriminator_lr": 1e-3, "patch": 32},
    ],
)
def test_a_rehearsal_leaves_no_trace(monkeypatch, fields):
    monkeypatch.setattr(losses, "load_perceptual_loss", random_perceptual)
    run = begun(batch=2, **fields)
    before = copy.deepcopy(run.state())
    rehearsal.rehearse(run, recompute=False)
    assert all(parameter.grad is None for parameter in run.network.parameters())
    after = run.state()
    assert str(before) == str(after)
    modules = [run.network] if run.adversary is None else [run.network, run.adversary.network]
    kept = [before["network"]] if run.adversary is None else [before["network"], before["adversary"]["network"]]
    for module, state in zip(modules, kept, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(module.state_dict().values(), state.values(), strict=True))
    assert torch.equal(before["rng"], torch.get_rng_state())
