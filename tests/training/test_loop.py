"""Training stops and goes on without a trace, guards against NaN, and keeps test images out of sight."""

import json

import numpy as np
import pytest
import torch
from small_pictures import write_splits

from suite.core.errors import SuiteError
from suite.data import sets
from suite.data.degrade.degradations import degradation
from suite.data.feed.sampler import PatchSampler
from suite.data.photos import load_photos
from suite.data.sets import load_images, load_pairs
from suite.records.cell import CellContext, Progress
from suite.records.load import load
from suite.records.record import Record, dump
from suite.records.spec import RunSpec
from suite.study.protocols import protocol
from suite.study.tasks import TASKS, task
from suite.training import checkpoints
from suite.training.cell import run_cell
from suite.training.loop import begin, train
from suite.training.tracking import Tracker

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def spec(tmp_path):
    sets = write_splits(tmp_path)
    return RunSpec(
        model="mambair-sr-x2-tiny",  # of one block, so without stochastic depth: tests/training/test_cell.py
        task="sr-x2",
        budget="quick",
        backend="reference",
        iterations=6,
        batch=2,
        patch=16,
        lr=1e-3,
        milestones=(3, 5),
        ema_decay=0.9,
        clip_norm=1.0,
        protocol="sr-y@1",
        **sets,
    )


def parts(spec):
    degrade = degradation("bicubic-x2")
    sampler = PatchSampler(load_images(spec.train_set, "train"), degrade, spec.patch, spec.seed, rotate=True)
    return sampler, load_pairs(spec.validation_set, "validation", task("sr-x2"), protocol("sr-y"))


def weights(run):
    return {**run.network.state_dict(), **{f"average.{k}": v for k, v in run.average.state_dict().items()}}


def test_stopping_and_going_on_gives_the_same_weights_bit_for_bit(spec, tmp_path):
    sampler, validation = parts(spec)
    straight = begin(spec)
    for _ in train(straight, sampler, validation, tmp_path / "straight"):
        pass

    interrupted = begin(spec)
    steps = train(interrupted, sampler, validation, tmp_path / "work")
    for _ in range(2):
        next(steps)
    checkpoints.save(tmp_path / "work", interrupted.state())
    torch.manual_seed(12345)  # whatever else the process did meanwhile
    resumed = begin(spec)
    for _ in train(resumed, sampler, validation, tmp_path / "work"):
        pass

    assert resumed.iteration == straight.iteration == 6
    assert all(torch.equal(a, b) for a, b in zip(weights(straight).values(), weights(resumed).values(), strict=True))
    assert [p.loss for p in resumed.history] == [p.loss for p in straight.history]
    assert resumed.history[-1].validation == straight.history[-1].validation
    assert [g["lr"] for g in resumed.optimiser.param_groups] == [1e-3 / 4]


def test_training_learns(spec, tmp_path):
    spec = spec.model_copy(update={"iterations": 40, "milestones": ()})
    run = begin(spec)
    for _ in train(run, *parts(spec), tmp_path / "work"):
        pass
    assert run.history[-1].loss < 0.6 * run.history[0].loss


def test_the_moving_average_is_what_is_measured(spec, tmp_path):
    run = begin(spec)
    for _ in train(run, *parts(spec), tmp_path / "work"):
        pass
    raw, average = run.network.shallow.weight, run.evaluated.shallow.weight
    assert run.evaluated is run.average.module
    assert not torch.equal(raw, average)


def test_a_loss_that_is_not_finite_stops_and_keeps_the_batch(spec, tmp_path):
    sampler, validation = parts(spec)
    run = begin(spec)
    with torch.no_grad():
        run.network.shallow.weight.fill_(float("nan"))
    with pytest.raises(SuiteError, match=r"the loss became nan at iteration 0 .*non-finite") as error:
        next(train(run, sampler, validation, tmp_path / "work"))
    assert "--set lr=0.0005" in str(error.value)
    kept = torch.load(tmp_path / "work" / "non-finite" / "batch.pt", weights_only=True)
    assert kept["low"].shape == (2, 3, 8, 8)
    assert torch.equal(kept["high"], torch.from_numpy(sampler.batch(0, 2)[1]))


def test_a_damaged_or_foreign_checkpoint_is_refused(tmp_path):
    checkpoints.save(tmp_path, {"fingerprint": "aaaa", "iteration": 3})
    with pytest.raises(SuiteError, match="belongs to the cell aaaa, not to bbbb"):
        checkpoints.load(tmp_path, "bbbb")
    path = tmp_path / checkpoints.SINGLE_FILE
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(SuiteError, match="is damaged"):
        checkpoints.load(tmp_path, "aaaa")
    assert checkpoints.load(tmp_path / "nowhere", "aaaa") is None


def context(tmp_path):
    return CellContext(work=tmp_path / "work", threads=1, launcher="inline", backend_reason="asked for by name")


def test_a_cell_ends_in_a_complete_record(spec, tmp_path):
    *progress, record = run_cell(spec, context(tmp_path))
    assert all(isinstance(event, Progress) for event in progress)
    assert {event.state for event in progress} >= {"profiling", "training", "evaluating"}
    assert isinstance(record, Record)
    assert record.status == "done"
    assert [score.image for score in record.scores] == ["test0", "test1"]
    assert set(record.scores[0].metrics) == {"PSNR-Y", "SSIM-Y"}
    assert len(record.iteration_seconds) == 6
    assert record.history[-1].iteration == 6
    assert record.cost.params == record.trained_params  # the tiny network is its own full size
    assert len(record.crops) == 2
    assert len(record.provenance.data_checksums) == 3
    assert load(dump(record), origin="the test") == record


class Kill(BaseException):
    pass


@pytest.mark.parametrize("at", [3, 6])
def test_a_kill_between_a_checkpoint_and_its_line_costs_no_line(spec, tmp_path, monkeypatch, at):
    of, where = spec.model_copy(update={"iterations": 6}), context(tmp_path)
    tell = Tracker.point

    def killed(self, iteration, scalars):
        if iteration == at:
            raise Kill
        tell(self, iteration, scalars)

    with monkeypatch.context() as patch:
        patch.setattr(Tracker, "point", killed)
        with pytest.raises(Kill):
            list(run_cell(of, where))
    assert list(run_cell(of, where))[-1].status == "done"
    lines = [json.loads(line) for line in (tmp_path / "logs" / f"{of.fingerprint}.jsonl").read_text().splitlines()]
    assert [line["iteration"] for line in lines if "loss" in line] == [1, 2, 3, 4, 5, 6]
    assert [line["iteration"] for line in lines if line.get("event") == "images"] == [1, 2, 3, 4, 5, 6]


def test_two_runs_of_a_cell_give_equal_numbers(spec, tmp_path):
    first, second = (list(run_cell(spec, context(tmp_path / name)))[-1] for name in ("a", "b"))
    assert first.scores == second.scores
    assert first.history == second.history
    assert first.crops == second.crops


def test_a_test_set_that_was_trained_on_is_refused(spec, tmp_path):
    leaking = spec.model_copy(update={"test_set": spec.train_set})
    with pytest.raises(SuiteError, match="train"):
        list(run_cell(leaking, context(tmp_path)))


TINY_FOR = {(1, 3): "mambair-denoise-tiny", (1, 1): "mambair-jpeg-tiny"} | {(s, 3): f"mambair-sr-x{s}-tiny" for s in (2, 3, 4)}


@pytest.mark.parametrize("name", TASKS)
def test_every_task_trains_and_is_measured_on_the_embedded_photographs(name, tmp_path, monkeypatch):
    def small(split):  # corners of the photographs
        return [(split, np.ascontiguousarray(load_photos(split)[0][1][:72, :72]))]

    monkeypatch.setattr(sets, "SETS", {"photos": small})
    row = task(name)
    spec = RunSpec(
        model=TINY_FOR[row.scale, row.channels],
        task=name,
        budget="quick",
        backend="reference",
        iterations=1,
        batch=1,
        patch=8 * max(2, row.scale),
        lr=1e-3,
        protocol=row.protocol,
    )
    record = list(run_cell(spec, context(tmp_path)))[-1]
    assert set(record.scores[0].metrics) >= set(protocol(row.protocol).fidelity)
    assert record.history[-1].validation


def test_a_network_of_three_channels_learns_a_grey_task(spec, tmp_path):
    grey = spec.model_copy(update={"model": "vmambair-derain-tiny", "task": "jpeg-10", "protocol": "jpeg-grey@1", "iterations": 1})
    record = list(run_cell(grey, context(tmp_path)))[-1]
    assert set(record.scores[0].metrics) == {"PSNR-grey", "SSIM-grey"}
    assert len(record.crops) == 2


def test_a_network_of_three_channels_is_trained_by_the_mean_of_its_outputs_on_grey(spec):
    from suite.training.loop import generator_loss

    run = begin(spec.model_copy(update={"model": "vmambair-derain-tiny", "task": "jpeg-10", "protocol": "jpeg-grey@1"}))
    low, high = torch.rand(2, 1, 16, 16), torch.rand(2, 1, 16, 16)
    total, _, output = generator_loss(run, low, high)
    three = run.network(torch.cat([low, low, low], dim=1))
    assert (three[:, 0] - three[:, 1]).abs().max() > 1e-3
    torch.testing.assert_close(output, (three[:, :1] + three[:, 1:2] + three[:, 2:]) / 3)
    assert total.item() == pytest.approx((output - high).abs().mean().item(), rel=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_layers_compute_in_the_cell_s_dtype_and_the_loss_in_float32(spec, dtype):
    from suite.training.loop import generator_loss

    run, seen = begin(spec.model_copy(update={"dtype": dtype})), []
    run.network.deep.register_forward_hook(lambda _layer, _inputs, y: seen.append(y.dtype))
    total, _, output = generator_loss(run, torch.rand(1, 3, 8, 8), torch.rand(1, 3, 16, 16))
    assert seen == [getattr(torch, dtype)]
    assert total.dtype == output.dtype == torch.float32
    assert all(parameter.dtype == torch.float32 for parameter in run.network.parameters())


def test_a_picture_of_the_training_is_of_8_bit_whatever_the_images_are(spec):
    from suite.data.pairs import Pair
    from suite.training.cell import _strip

    target = np.full((16, 16, 3), 200, np.uint8)
    noisy = np.full((8, 8, 3), 1.2, np.float32)  # noise is not clipped
    shown = _strip(begin(spec), Pair("x", noisy, target))
    assert (shown.dtype, shown.shape) == (np.uint8, (16, 48, 3))
    assert (shown[0, 0, 0], shown[0, -1, 0]) == (255, 200)
