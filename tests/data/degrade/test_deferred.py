"""Degradation left to the device: the crops and plans of the sampler, whoever makes them; shared, mixed, stopped and gone on with alike."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from small_pictures import write_folder

from suite.cli import main
from suite.core.errors import Exit, SuiteError
from suite.data.degrade import blind_torch
from suite.data.degrade.blind import draw_plan
from suite.data.degrade.deferred import Deferred
from suite.data.degrade.degradations import DEGRADATIONS
from suite.data.feed.loader import Loader
from suite.data.feed.sampler import PatchSampler
from suite.data.sets import load_images
from suite.records.spec import RunSpec
from suite.report.settings import setting_heading, setting_of
from suite.runner import plan as planner
from suite.training import checkpoints
from suite.training.batches import make_batches, make_mixed_batch
from suite.training.loop import begin, train
from suite.training.share import Share

pytestmark = pytest.mark.usefixtures("one_thread")

BLIND = DEGRADATIONS["blind-x4"]
SIZES = ((120, 90), (70, 140), (200, 200))  # the second is smaller than a crop of 100 pixels
IMAGES = [(f"image {n}", np.random.default_rng(n).integers(0, 256, (*size, 3), dtype=np.uint8)) for n, size in enumerate(SIZES)]


def sampler_of(row=BLIND, patch=64, **more):
    return PatchSampler(IMAGES, row, patch, 3, rotate=True, **more)


def spec_of(**changes):
    fields = {"model": "vmambair-realsr-x4-tiny", "task": "real-sr-x4", "budget": "quick", "backend": "reference", "protocol": "real-sr@1"}
    fields |= {"iterations": 4, "batch": 6, "patch": 64, "lr": 1e-3, "seed": 3, "degrade_on": "device"}
    return RunSpec(**fields | changes)


def batch(iteration, share=None, sampler=None, workers=0, **changes):
    make, finish = make_batches(spec_of(**changes), sampler or sampler_of(), share or Share())
    _, low, high, _ = next(iter(Loader(make, iteration, iteration + 1, workers=workers, finish=finish)))
    return low, high


def test_crops_and_plans_are_those_that_workers_degrade():
    seen = []

    def spy(window, rng):
        seen.append((window.copy(), draw_plan(blind_torch_row(), rng)))
        return window[::4, ::4]

    def blind_torch_row():
        return BLIND.on_device.draw.args[0]

    sampler_of(replace(BLIND, apply=spy)).raw(5, range(4))
    made = sampler_of().deferred(5, range(4))
    assert made.crops.dtype == np.uint8
    for crop, job, (window, plan) in zip(made.crops, made.jobs, seen, strict=True):
        assert np.array_equal(crop[:, : job.height, : job.width].transpose(1, 2, 0), window)
        assert not crop[:, job.height :].any()
        assert (job.plan.first.factor, job.plan.second.quality) == (plan.first.factor, plan.second.quality)
        assert 0 <= job.top <= job.height // 4 - 16
    assert len({job.seed for job in made.jobs}) == 4


def test_patches_are_cut_where_they_belong():
    made = sampler_of().deferred(0, range(6))
    low, high = made.carried_out("cpu")
    assert (low.dtype, low.shape, high.shape) == (torch.float32, (6, 3, 16, 16), (6, 3, 64, 64))
    sizes, seeds = [(job.height, job.width) for job in made.jobs], [job.seed for job in made.jobs]
    whole = blind_torch.carry_out([job.plan for job in made.jobs], torch.from_numpy(made.crops), sizes, seeds, 4)
    for number, job in enumerate(made.jobs):
        assert torch.equal(low[number], whole[number][:, job.top :, job.left :][:, :16, :16] / 255)
        crop = torch.from_numpy(made.crops[number])
        assert torch.equal(high[number], crop[:, 4 * job.top :, 4 * job.left :][:, :64, :64] / 255)


@pytest.mark.parametrize("workers", [1, 2])
def test_batches_do_not_depend_on_the_number_of_workers(workers):
    for iteration in (0, 7):
        assert all(map(torch.equal, batch(iteration), batch(iteration, workers=workers)))
    assert not torch.equal(batch(0)[0], batch(7)[0])


def test_ranks_see_their_own_places_and_stages_their_patch():
    stages = ((2, 64, 6), (2, 48, 5))
    for iteration, patch in ((0, 64), (3, 48)):
        low, high = batch(iteration, stages=stages)
        assert high.shape[-1] == patch
        parts = [batch(iteration, Share(rank, 4), stages=stages) for rank in range(4)]
        assert torch.equal(torch.cat([part[0] for part in parts]), low)
        assert torch.equal(torch.cat([part[1] for part in parts]), high)


def test_images_are_mixed_after_their_degradation_with_the_same_shares_and_partners():
    plain, mix = spec_of(), spec_of(mixup=1.2)
    ways = set()
    for iteration in range(6):
        low, high = batch(iteration)
        found = batch(iteration, mixup=1.2)
        parts = [batch(iteration, Share(rank, 2), mixup=1.2) for rank in range(2)]
        assert all(torch.equal(torch.cat(side), whole) for side, whole in zip(zip(*parts, strict=True), found, strict=True))

        class Degraded:  # a sampler that has these images
            def take(self, _iteration, places, low=low, high=high):
                return low.numpy()[list(places)], high.numpy()[list(places)]

            raw = take

        for spec, ours in ((plain, (low, high)), (mix, found)):
            wanted = make_mixed_batch(spec, Degraded(), iteration, 6, range(6))
            np.testing.assert_allclose(ours[0].numpy(), wanted[0], atol=1e-6)
            np.testing.assert_allclose(ours[1].numpy(), wanted[1], atol=1e-6)
        ways.add(torch.equal(found[1], high))
    assert ways == {True, False}


def test_what_cannot_be_deferred():
    low = [image[::4, ::4] for _, image in IMAGES]
    assert make_batches(spec_of(), sampler_of(low=low), Share())[1] is None  # the user's own low-quality images stay
    assert make_batches(spec_of(degrade_on="worker"), sampler_of(), Share())[1] is None
    with pytest.raises(SuiteError, match=r"noise-25 has no version for a device.* blind-x4 has one"):
        make_batches(spec_of(), sampler_of(DEGRADATIONS["noise-25"]), Share())
    make, _ = make_batches(spec_of(), sampler_of(), Share())
    with pytest.raises(ValueError, match="need to be finished"):
        next(iter(Loader(make, 0, 1)))


def broken(_rng):
    raise ZeroDivisionError("no way")


@pytest.mark.parametrize("workers", [0, 1])
def test_a_plan_that_cannot_be_drawn_is_named(workers, monkeypatch):
    monkeypatch.setattr("suite.data.feed.sampler.on_device", lambda _name: replace(BLIND.on_device, draw=broken))
    message = r"patch 0 of iteration 4, of the training image 'image \d', cannot be made by 'blind-x4': ZeroDivisionError: no way"
    with pytest.raises(SuiteError, match=message) as error:
        batch(4, workers=workers)
    assert error.value.exit is Exit.INCOMPLETE


def test_stopping_and_going_on_gives_the_same_weights_bit_for_bit(tmp_path):
    spec = spec_of(train_set=write_folder(tmp_path / "train", 2, 0, blocks=(14, 13)), iterations=3, batch=1, patch=32)
    sampler = PatchSampler(load_images(spec.train_set, "train"), BLIND, spec.patch, spec.seed, rotate=False)
    straight, interrupted, resumed = begin(spec), begin(spec), begin(spec)
    for _ in train(straight, sampler, [], tmp_path / "straight"):
        pass
    steps = train(interrupted, sampler, [], tmp_path / "work")
    next(steps)
    checkpoints.save(tmp_path / "work", interrupted.state())
    for _ in train(resumed, sampler, [], tmp_path / "work", loaders=1):
        pass
    pairs = zip(straight.network.state_dict().values(), resumed.network.state_dict().values(), strict=True)
    assert all(torch.equal(one, other) for one, other in pairs)
    other = begin(spec.model_copy(update={"degrade_on": "worker"}))
    for _ in train(other, sampler, [], tmp_path / "other"):
        pass
    assert other.history[-1].loss != straight.history[-1].loss


def degraded_on(device, budget, only=(), **changes):
    options = {"seeds": 1, "only": list(only), "changes": changes, "backend": "reference", "device": device}
    return {spec.task: spec.degrade_on for spec in planner.plan_cells("tasks", budget=budget, **options)}


@pytest.mark.parametrize("budget", ["smoke", "quick", "standard", "paper"])
def test_who_is_degraded_where(budget):
    assert set(degraded_on("cpu", budget).values()) == {"worker"}
    on_gpu = {task for task, where in degraded_on("cuda", budget).items() if where == "device"}
    assert on_gpu == ({"real-sr-x4"} if budget in ("standard", "paper") else set())
    assert degraded_on("cuda", budget, ["real-sr-x4"], degrade_on="worker") == {"real-sr-x4": "worker"}
    assert degraded_on("cpu", budget, ["real-sr-x4"], degrade_on="device") == {"real-sr-x4": "device"}
    with pytest.raises(SuiteError, match=r"rain has no version for a device.* blind-x4 has one.*--only") as error:
        degraded_on("cpu", budget, degrade_on="device", only=["derain"])
    assert error.value.exit is Exit.USAGE


def test_the_default_is_no_part_of_the_fingerprint_and_the_choice_is():
    plain = spec_of(degrade_on="worker")
    assert "degrade_on" not in RunSpec.model_validate(plain.model_dump(exclude={"degrade_on"})).model_dump(exclude_defaults=True)
    assert RunSpec.model_validate(plain.model_dump(exclude={"degrade_on"})).fingerprint == plain.fingerprint
    assert spec_of().fingerprint != plain.fingerprint


def test_a_dry_run_says_where_crops_are_degraded(tmp_path, capsys):
    words = ("run", "--grid", "tasks", "--only", "mambair-realsr-x4", "--dry-run", "--json", "--device", "cpu", "--ledger", str(tmp_path))
    assert main.main([*words, "--set", "degrade_on=device"]) == 0
    said = capsys.readouterr()
    assert [cell["degrade_on"] for cell in json.loads(said.out)["cells"]] == ["device"]
    assert "1 of 1 cells (real-sr-x4) degrade their training crops on the cpu device" in said.err
    assert main.main(words) == 0
    said = capsys.readouterr()
    assert "degrade" not in said.out + said.err


def test_the_report_s_heading_says_so():
    said = [setting_heading(setting_of(spec_of(degrade_on=where))) for where in ("worker", "device")]
    assert said[1] == said[0] + "; crops degraded on the cpu device"


def test_a_batch_of_crops_is_sent_whole():
    made = sampler_of().deferred(0, range(3))
    assert isinstance(made, Deferred)
    assert (made.degradation, made.scale, made.patch, made.mix) == ("blind-x4", 4, 64, None)
    assert made.crops.shape[0] == len(made.jobs) == 3
