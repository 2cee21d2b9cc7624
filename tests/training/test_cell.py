"""A cell from spec to record: with which weights, on which images, and that neither passes, workers nor a stop change its numbers.

Everything is computed again by hand: the moving average from the weights after each step, PSNR from pixels, a step of AdamW from its
gradient. The network has stochastic depth (the tiny ones of the catalogue have one block, which is never dropped), and begins with weights
whose scans weigh: as they are drawn, they move an output by 1e-4 of itself, and what is done to them would not be seen.
"""

import copy
import dataclasses
import functools
import json
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from kept_weights import find_kept
from places import ROOT, SUPPORT
from small_pictures import write_splits

from models.parts.layers import StochasticDepth, depth_draws
from suite.core.stop import StopFlag, Stopped
from suite.data.feed.training_set import load_training
from suite.data.photos import load_crops
from suite.data.resize import imresize
from suite.data.sets import load_images, load_pairs
from suite.measure.costs import count as cost
from suite.measure.inference.restorer import network_of
from suite.measure.quality.receptive_field import receptive_field
from suite.records.cell import CellContext
from suite.records.record import Record
from suite.records.spec import RunSpec
from suite.study.protocols import protocol
from suite.study.tasks import task
from suite.training import checkpoints, loop
from suite.training.batches import SharedBatches
from suite.training.cell import run_cell
from suite.training.checkpoints import Checkpoints
from suite.training.prepare import make_sampler
from suite.training.share import Share
from suite.training.start import read_starting_weights

pytestmark = pytest.mark.usefixtures("one_thread", "cheap_cost")
SR_Y = protocol("sr-y")
SPLITS = ("train", "validation", "test")
PHOTOS = {f"{split}_set": "photo-crops" for split in SPLITS}


count = functools.cache(cost.count_full_size)


@pytest.fixture
def cheap_cost(monkeypatch):
    """The cost of the full network takes seconds to count and is no matter here."""
    monkeypatch.setattr(cost, "count_full_size", lambda _: count("mambair-light-x2-tiny"))


@pytest.fixture
def sets(tmp_path):
    return write_splits(tmp_path) | {"start": loud_weights(tmp_path)}


def loud_weights(folder):
    """A file of weights whose scan branches make 1 % of the output."""
    torch.manual_seed(0)
    weights = network_of(spec({})).state_dict()
    for name in weights:
        if name.endswith(("scan.in_proj.weight", "scan.out_proj.weight")):
            weights[name] *= 10
    torch.save(weights, folder / "loud.pt")
    return str(folder / "loud.pt")


def spec(sets, **fields):
    base = {"model": "mambair-light-x2", "task": "sr-x2", "budget": "quick", "backend": "numba", "protocol": "sr-y@1"}
    blocks = {"width": 16, "depth_divisor": 2}  # six, five of which are dropped at times
    small = {"iterations": 4, "batch": 4, "patch": 16, "lr": 1e-3}
    return RunSpec(**(base | blocks | small | sets | fields))


def context(folder, **fields):
    return CellContext(work=folder / "work", threads=1, launcher="inline", backend_reason="a test", **fields)


@dataclasses.dataclass
class Watched:
    """What was seen of a cell while it ran."""

    run: loop.Training | None = None
    start: dict = dataclasses.field(default_factory=dict)
    weights: list = dataclasses.field(default_factory=list)  # after each step
    gradients: list = dataclasses.field(default_factory=list)
    batches: list = dataclasses.field(default_factory=list)  # low and high
    draws: list = dataclasses.field(default_factory=list)  # of stochastic depth
    record: Record | None = None


def watched(of, where, monkeypatch, stop_at=0):
    """Runs a cell and looks at it from outside: at the training that begins, at each of its steps, and at the layers that drop."""
    seen = Watched()
    begin, step, drop = loop.begin, loop._step, StochasticDepth.forward

    def begun(*args, **named):
        seen.run = begin(*args, **named)
        seen.start = copy.deepcopy(seen.run.network.state_dict())
        return seen.run

    def stepped(run, low, high, work):
        seen.batches.append((low.clone(), high.clone()))
        found = step(run, low, high, work)
        seen.weights.append({name: value.clone() for name, value in run.network.named_parameters()})
        seen.gradients.append({name: value.grad.clone() for name, value in run.network.named_parameters()})
        return found

    def dropped(layer, x):
        if layer.training and layer.rate:
            seen.draws.append(None if layer.draws is None else layer.draws.clone())
        return drop(layer, x)

    with monkeypatch.context() as patch:
        patch.setattr(loop, "begin", begun)
        patch.setattr(loop, "_step", stepped)
        patch.setattr(StochasticDepth, "forward", dropped)
        for event in run_cell(of, where):
            seen.record = event
            if stop_at and seen.run is not None and seen.run.iteration == stop_at - 1:  # seen after the next step
                StopFlag.of(where.work).set()
    return seen


# What is measured


def averaged(weights, decay, steps):
    """The moving average after so many steps: the first step's weights, then decay of what was and the rest of what is."""
    found = {name: value.double() for name, value in weights[0].items()}
    for later in weights[1:steps]:
        found = {name: decay * value + (1 - decay) * later[name].double() for name, value in found.items()}
    return {name: value.float() for name, value in found.items()}


def restored_by(of, weights, low):
    network = network_of(of).eval()
    network.load_state_dict(weights, strict=True)
    with torch.no_grad():
        y = network(torch.from_numpy(low.transpose(2, 0, 1)[None] / np.float32(255)))
    return np.rint(255 * y[0].clamp(0, 1).numpy().transpose(1, 2, 0))


def psnr_y(output, target, border):
    """BT.601's Y in 16..235 of 8-bit RGB, without the border."""
    y = [16 + image.astype(np.float64) @ (65.481, 128.553, 24.966) / 255 for image in (output, target)]
    error = (y[0] - y[1])[border:-border, border:-border]
    return 10 * np.log10(255**2 / np.mean(error**2))


def quality(of, weights, pictures):
    """PSNR of each picture, restored from its half by a network of these weights in evaluation mode."""
    return [psnr_y(restored_by(of, weights, imresize(picture, 1 / 2)), picture, 2) for _, picture in pictures]


def pictures_of(of, split):
    name = getattr(of, f"{split}_set")
    return load_crops(split) if name == "photo-crops" else load_images(name, split)


@pytest.mark.parametrize("where", ["folders", "splits of one set"])
def test_a_record_holds_what_the_averaged_weights_make_of_the_test_images(where, sets, tmp_path, monkeypatch):
    of = spec(sets | (PHOTOS if where == "splits of one set" else {}), ema_decay=0.9)
    seen = watched(of, context(tmp_path), monkeypatch)
    average, test = averaged(seen.weights, 0.9, 4), pictures_of(of, "test")
    expected = quality(of, average, test)
    assert [score.image for score in seen.record.scores] == [name for name, _ in test]
    assert [score.metrics["PSNR-Y"] for score in seen.record.scores] == pytest.approx(expected, abs=2e-3)
    others = [quality(of, seen.weights[-1], test), quality(of, average, pictures_of(of, "validation"))]
    assert all(abs(other[0] - expected[0]) > 0.02 for other in others)  # would be seen

    kept = torch.load(find_kept(tmp_path / "weights", of), weights_only=True)["params_ema"]
    for name, value in average.items():
        torch.testing.assert_close(kept[name], value, rtol=1e-5, atol=1e-7)
    fields = []
    for weights in (kept, seen.weights[-1]):
        network = network_of(of)
        network.load_state_dict(weights)
        fields.append(receptive_field(network, load_pairs(of.test_set, "test", task(of.task), SR_Y)))
    assert seen.record.receptive_field == fields[0] != fields[1]


def test_validation_and_the_best_checkpoint_are_of_the_validation_images(sets, tmp_path, monkeypatch):
    of = spec(sets, ema_decay=0.9)
    seen = watched(of, context(tmp_path), monkeypatch)
    images = pictures_of(of, "validation")
    expected = [np.mean(quality(of, averaged(seen.weights, 0.9, steps), images)) for steps in (1, 2, 3, 4)]
    assert [point.validation["PSNR-Y"] for point in seen.record.history] == pytest.approx(expected, abs=2e-3)
    assert np.ptp(expected) > 0.02
    scores = [saved.score for saved in Checkpoints(tmp_path / "work", of.fingerprint).files() if saved.score is not None]
    assert max(scores) == pytest.approx(max(expected), abs=2e-3)


def test_without_an_average_the_weights_of_the_last_step_are_measured(sets, tmp_path, monkeypatch):
    of = spec(sets, milestones=(2,))
    seen = watched(of, context(tmp_path), monkeypatch)
    expected = quality(of, seen.weights[-1], pictures_of(of, "test"))
    assert [score.metrics["PSNR-Y"] for score in seen.record.scores] == pytest.approx(expected, abs=2e-3)
    told = [json.loads(line) for line in (tmp_path / "logs" / f"{of.fingerprint}.jsonl").read_text().splitlines()]
    rates = {line["iteration"]: line["learning rate"] for line in told if "learning rate" in line}
    assert rates == {1: 1e-3, 2: 1e-3, 3: 5e-4, 4: 5e-4}  # those of the steps, not of the next


def test_a_cell_begins_with_the_weights_that_it_names(sets, tmp_path, monkeypatch):
    given = torch.load(sets["start"], weights_only=True)
    of = spec(sets, iterations=1)
    seen = watched(of, context(tmp_path), monkeypatch)
    assert all(torch.equal(seen.start[name], given[name]) for name in given)
    assert (seen.record.started_from.tensors, seen.record.started_from.left) == (len(given), ())
    other = spec(sets, model="mambair-light-x4", task="sr-x4", patch=32, recipe="light-sr-x4/released")  # takes what fits
    run = loop.begin(other, None, read_starting_weights(other, tmp_path))
    drawn = loop.begin(other.model_copy(update={"start": ""})).network.state_dict()
    assert run.started_from.left == ("tail.last.bias", "tail.last.weight")
    for name, value in run.network.state_dict().items():
        assert torch.equal(value, drawn[name] if name in run.started_from.left else given[name]), name


def test_training_goes_on_in_training_mode_after_a_validation(sets, tmp_path):
    of, row = spec(sets, iterations=2), task("sr-x2")
    run, sampler = loop.begin(of), make_sampler(of, row, load_training(of.train_set, row))
    steps = loop.train(run, sampler, load_pairs(of.validation_set, "validation", row, SR_Y), tmp_path)
    assert [(bool(point.validation), run.network.training) for point in steps] == [(True, True)] * 2


# What does not change the numbers


def distance(ours, theirs):
    """Of two sets of tensors, as a share of their size."""
    apart = sum((ours[name] - theirs[name]).double().square().sum().item() for name in theirs)
    return (apart / sum(value.double().square().sum().item() for value in theirs.values())) ** 0.5


MIXED = {"mixup": 1.2, "seed": 3}


def test_uneven_passes_are_the_whole_batch(sets, tmp_path, monkeypatch):
    of = spec(sets, iterations=2, **MIXED)
    whole = watched(of, context(tmp_path / "whole"), monkeypatch)
    parts = watched(of, context(tmp_path / "parts", micro_batch=3), monkeypatch)
    assert [len(draws) for draws in parts.draws[:10]] == [3] * 5 + [1] * 5
    assert distance(parts.gradients[0], whole.gradients[0]) < 1e-5
    assert [point.loss for point in parts.record.history] == pytest.approx([point.loss for point in whole.record.history], rel=1e-5)
    assert any((draws > 0.9).any() for draws in whole.draws)  # something was dropped


def test_a_cell_that_was_stopped_and_goes_on_is_the_same_bits(sets, tmp_path, monkeypatch):
    of = spec(sets, iterations=5, ema_decay=0.9, optimiser="adamw", weight_decay=0.1, milestones=(3,), **MIXED)
    straight = watched(of, context(tmp_path / "straight"), monkeypatch)
    where = context(tmp_path / "halted")
    with pytest.raises(Stopped, match="at iteration 2"):
        watched(of, where, monkeypatch, stop_at=2)
    StopFlag.of(where.work).clear()
    second = watched(of, where, monkeypatch)
    for ours, theirs in zip(second.batches, straight.batches[2:], strict=True):
        assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))
    assert second.record.scores == straight.record.scores
    assert second.record.history == straight.record.history
    assert len(second.record.iteration_seconds) == 5
    files = [find_kept(tmp_path / name / "weights", of) for name in ("straight", "halted")]
    kept = [torch.load(path, weights_only=True)["params_ema"] for path in files]
    assert all(torch.equal(kept[0][name], kept[1][name]) for name in kept[0])


def test_workers_share_the_places_of_a_batch(sets):
    of = spec(sets, batch=5, **MIXED)
    sampler = make_sampler(of, task(of.task), load_training(of.train_set, task(of.task)))
    for iteration in range(3):
        whole = SharedBatches(of, sampler, Share())(iteration)
        shares = [SharedBatches(of, sampler, Share(rank, 2))(iteration) for rank in range(2)]
        assert [len(share[0]) for share in shares] == [2, 3]
        for side, parts in zip(whole, zip(*shares, strict=True), strict=True):
            np.testing.assert_array_equal(np.concatenate(parts), side)


def test_two_ranks_of_a_share_train_as_one(sets, tmp_path, monkeypatch):
    of = spec(sets, iterations=3, batch=3, ema_decay=0.9, clip_norm=0.5, lr=1e-4, **MIXED)  # one image and two
    (tmp_path / "specs.json").write_text(json.dumps({"shared": (of.model_dump(mode="json"), 0)}))
    environment = os.environ | {"PYTHONPATH": f"{SUPPORT}{os.pathsep}{ROOT}", "GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1"}
    both = [
        subprocess.Popen([sys.executable, str(SUPPORT / "gloo_pair.py"), str(rank), str(tmp_path)], env=environment) for rank in range(2)
    ]
    one = watched(of, context(tmp_path / "one"), monkeypatch)
    assert [process.wait(timeout=300) for process in both] == [0, 0]
    two = checkpoints.load(tmp_path / "shared", of.fingerprint)
    assert [point["loss"] for point in two["history"]] == pytest.approx([point.loss for point in one.record.history], rel=1e-5)
    moved = distance(one.start, one.weights[-1])
    assert distance(two["network"], {name: value.detach() for name, value in one.weights[-1].items()}) < 0.01 * moved
    average = {name.removeprefix("module."): value for name, value in two["average"].items() if name.startswith("module.")}
    assert distance(average, averaged(one.weights, 0.9, 3)) < 0.01 * moved


# What a seed decides


def test_a_seed_decides_weights_batches_what_is_dropped_and_what_is_mixed(sets, tmp_path, monkeypatch):
    zero, again, one = (
        watched(spec(sets, mixup=1.2, seed=seed, start=""), context(tmp_path / name), monkeypatch)
        for name, seed in (("zero", 0), ("again", 0), ("one", 1))
    )
    drawn = [name for name, value in zero.start.items() if value.dim() > 1 and value.std() > 0 and "A_log" not in name]
    assert len(drawn) > 40
    assert all(torch.equal(zero.start[name], again.start[name]) for name in zero.start)
    assert not any(torch.equal(zero.start[name], one.start[name]) for name in drawn)

    assert all(torch.equal(a, b) for a, b in zip(sum(zero.batches, ()), sum(again.batches, ()), strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(sum(zero.batches, ()), sum(one.batches, ()), strict=True))

    assert len(zero.draws) == len(one.draws) == 4 * 5  # of each step, layer by layer
    assert all(torch.equal(a, b) for a, b in zip(zero.draws, again.draws, strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(zero.draws, one.draws, strict=True))
    assert len({tuple(draws.tolist()) for draws in zero.draws}) == 20  # no step and no layer draws as another
    assert depth_draws(network_of(spec(sets)), None) == 5

    assert zero.record.scores == again.record.scores != one.record.scores


def test_a_seed_decides_what_is_mixed_with_what(sets):
    """From patches that are the same, since their sampler has one seed."""
    of = spec(sets, mixup=1.2)
    sampler = make_sampler(of, task(of.task), load_training(of.train_set, task(of.task)))
    plain = SharedBatches(spec(sets), sampler, Share())
    made = [[SharedBatches(spec(sets, mixup=1.2, seed=seed), sampler, Share())(step)[1] for step in range(12)] for seed in (0, 1)]
    mixed = [[high.dtype == np.float32 for high in of_seed] for of_seed in made]
    assert all(3 <= sum(of_seed) <= 9 for of_seed in mixed)  # half of them
    assert mixed[0] != mixed[1]
    for step in range(12):
        if not mixed[0][step]:
            np.testing.assert_array_equal(made[0][step], plain(step)[1])
        elif mixed[1][step]:
            assert (made[0][step] != made[1][step]).any()


# An optimiser's step


def step_by_hand(of, start, gradient):
    """The first step of Adam (Kingma and Ba, algorithm 1) or AdamW (Loshchilov and Hutter, algorithm 2), whose moments are g and g^2."""
    p, g = start.double(), gradient.double()
    if of.optimiser == "adamw":
        p = p - of.lr * of.weight_decay * p
    else:
        g = g + of.weight_decay * p
    return p - of.lr * g / (g.abs() + 1e-8)


@pytest.mark.parametrize("clip_norm", [0.0, 1e-3])
def test_the_moments_are_those_of_the_clipped_gradient(clip_norm, sets, tmp_path, monkeypatch):
    of = spec(sets, iterations=1, betas=(0.8, 0.95), clip_norm=clip_norm)
    seen = watched(of, context(tmp_path), monkeypatch)
    whole = watched(of.model_copy(update={"clip_norm": 0.0}), context(tmp_path / "whole"), monkeypatch).gradients[0]
    norm = sum(value.double().square().sum().item() for value in whole.values()) ** 0.5
    assert norm > 2e-3
    factor = clip_norm / norm if clip_norm else 1.0
    for name, parameter in seen.run.network.named_parameters():
        expected, state = factor * whole[name].double(), seen.run.optimiser.state[parameter]
        assert (state["exp_avg"].double() - 0.2 * expected).norm() <= 1e-4 * expected.norm() + 1e-12
        assert (state["exp_avg_sq"].double() - 0.05 * expected**2).norm() <= 1e-4 * (expected**2).norm() + 1e-20


def test_each_step_s_gradient_and_loss_are_of_its_batch_alone_and_a_point_of_the_curve_is_their_mean(sets, tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "HISTORY_POINTS", 2)
    monkeypatch.setattr(loop, "VALIDATIONS", 1)
    of = spec(sets, model="mambair-light-x2-tiny", width=0, depth_divisor=1, start="")  # of one block, which is never dropped
    seen, losses = watched(of, context(tmp_path), monkeypatch), []
    for weights, (low, high), gradients in zip([seen.start, *seen.weights], seen.batches, seen.gradients, strict=False):
        network = network_of(of).train()
        network.load_state_dict(weights)
        loss = (network(low) - high).abs().mean()
        loss.backward()
        assert distance(gradients, {name: value.grad for name, value in network.named_parameters()}) < 1e-5
        losses.append(loss.item())
    assert len(losses) == 4
    points = [(point.iteration, point.loss, bool(point.validation)) for point in seen.record.history]
    assert points == [(2, pytest.approx(np.mean(losses[:2]), rel=1e-5), False), (4, pytest.approx(np.mean(losses[2:]), rel=1e-5), True)]


@pytest.mark.parametrize("optimiser", ["adam", "adamw"])
def test_weight_decay_pulls_as_the_optimiser_s_paper_says(optimiser, sets, tmp_path, monkeypatch):
    of = spec(sets, iterations=1, optimiser=optimiser, weight_decay=5.0, lr=1e-2)
    seen = watched(of, context(tmp_path), monkeypatch)
    for name, after in seen.weights[0].items():
        expected = step_by_hand(of, seen.start[name], seen.gradients[0][name])
        torch.testing.assert_close(after.detach().double(), expected, rtol=1e-4, atol=1e-6)
    without = of.model_copy(update={"weight_decay": 0.0})
    name = "shallow.weight"
    apart = step_by_hand(of, seen.start[name], seen.gradients[0][name]) - step_by_hand(without, seen.start[name], seen.gradients[0][name])
    assert apart.abs().max() > 1e-3  # would be seen
