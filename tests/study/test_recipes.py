"""Recipes against the releases' options and the papers' text; and training by them in miniature: all losses, all stages, all passes."""

import numpy as np
import pytest
import torch
from kept_weights import find_kept
from small_pictures import write_splits
from torch import nn

from models import MODELS
from models.base import count_parameters
from models.parts.discriminator import Discriminator
from models.parts.layers import depth_draws
from suite.core import tensors
from suite.core.errors import SuiteError
from suite.data.degrade.degradations import degradation
from suite.data.feed.sampler import PatchSampler
from suite.data.sets import load_images
from suite.measure.inference.restorer import network_of
from suite.records.cell import CellContext
from suite.records.record import Record
from suite.records.spec import RunSpec
from suite.records.trainings import Trainings
from suite.runner import plan
from suite.study.recipes import RECIPES, list_accounts, recipe
from suite.study.tasks import TASKS
from suite.training import loop, losses
from suite.training.cell import run_cell
from suite.training.rates import discriminator_learning_rate, learning_rate, stage_at

pytestmark = pytest.mark.usefixtures("one_thread")

# Of the releases' options: thousands of iterations, patches, global batches, learning rate, weight decay, thousands of each period.
PROGRESSIVE = {
    "real-denoise/released": ((92, 64, 48, 36, 36, 24), (64, 40, 32, 16, 8, 8), 3e-4, 1e-4, (92, 208)),
    "derain/released": ((92, 64, 48, 36, 36, 24), (64, 40, 24, 16, 8, 8), 3e-4, 1e-4, (92, 208)),
    "derain/released-second": ((36, 24, 24, 24, 24, 24), (64, 40, 24, 16, 8, 8), 1e-4, 5e-5, (48, 96)),
    "derain/released-long": ((92, 64, 64, 64, 64, 48), (64, 40, 24, 16, 8, 8), 3e-4, 1e-4, (144, 288)),
}


@pytest.mark.parametrize("name", PROGRESSIVE)
def test_progressive_recipes_are_the_released_ones(name):
    thousands, batches, lr, decay, periods = PROGRESSIVE[name]
    row = recipe(name)
    total = row.iterations / 1000
    assert [stage.part * total for stage in row.stages] == pytest.approx(thousands)
    assert [stage.patch for stage in row.stages] == [128, 160, 192, 256, 320, 384]
    assert tuple(stage.batch for stage in row.stages) == batches
    assert (row.lr, row.weight_decay, row.optimiser, row.betas, row.clip_norm) == (lr, decay, "adamw", (0.9, 0.999), 0.01)
    assert [period * total for period in row.periods] == pytest.approx(periods)
    assert row.mixup == (1.2 if name.startswith("real") else 0)


def test_gan_recipes_begin_where_the_first_stage_ends():
    for task, thousands in (("gan-sr-x4", 300), ("real-sr-x4", 400)):
        row = recipe(f"{task}/released-gan")
        assert (row.iterations, row.loss, row.discriminator_lr, row.ema_decay) == (1000 * thousands, "l1+perceptual+gan", 1e-4, 0.999)
        assert row.start.recipe == f"{task}/released"
    paper = recipe("real-sr-x4/paper")
    assert (paper.iterations, paper.lr, paper.batch, paper.patch, paper.start) == (300_000, 1e-4, 72, 256, None)


def test_where_paper_and_release_differ_both_stand():
    assert list_accounts("sr-x4") == ("released", "paper", "mambairv2", "mair")
    assert (recipe("sr-x4/released").patch, recipe("sr-x4/paper").patch) == (192, 256)
    assert (recipe("sr-x3/released").batch, recipe("sr-x3/paper").batch) == (64, 32)
    assert recipe("sr-x2/paper").betas == (0.9, 0.999)
    assert "never falls" in recipe("real-sr-x4/released-gan").defect


def test_every_row_is_sound():
    for row in RECIPES.values():
        assert row.task in TASKS
        assert row.start is None or row.start.recipe in RECIPES
        assert not row.stages or sum(stage.part for stage in row.stages) == pytest.approx(1)
        assert len(row.periods) == len(row.floors)
        scale = TASKS[row.task].scale
        assert all(patch % scale == 0 for patch in (row.patch, *(stage.patch for stage in row.stages)))
        assert row.source
        assert row.start is None or not row.start.model or row.start.model.partition("-")[0] in {name.partition("-")[0] for name in MODELS}
    assert {row.task for row in RECIPES.values()} == set(TASKS)


def cells(grid="tasks", budget="paper", **changes):
    options = {"seeds": 1, "only": [], "changes": {}, "backend": "reference", "device": "cpu"} | changes
    return plan.plan_cells(grid, budget=budget, **options)


def test_the_schedules_are_the_papers():
    (derain,) = cells(only=["vmambair-derain@derain"])
    assert [learning_rate(derain, at) for at in (0, 91_999)] == pytest.approx([3e-4, 3e-4])  # the first period's floor is where it begins
    assert learning_rate(derain, 92_000 + 104_000) == pytest.approx((3e-4 + 1e-6) / 2)
    assert learning_rate(derain, 299_999) == pytest.approx(1e-6, rel=1e-3)
    assert [stage_at(derain, at) for at in (0, 91_999, 92_000, 299_999)] == [(128, 64), (128, 64), (160, 40), (384, 8)]
    first, second = cells(only=["vmambair-derain@derain"], account="released-second")
    assert (first, second.start) == (derain, derain.fingerprint)
    assert learning_rate(second, 47_999) == pytest.approx(2.85e-4, rel=1e-3)  # it rises: the defect of the release
    assert learning_rate(second, 150_000) == pytest.approx(1e-6)  # the periods are over
    (sr,) = cells(only=["mambair-sr-x2"])
    assert [learning_rate(sr, at) for at in (249_999, 250_000, 499_999)] == [2e-4, 1e-4, 2e-4 / 16]
    adam = torch.optim.Adam([nn.Parameter(torch.zeros(1))], lr=2e-4)
    steps = torch.optim.lr_scheduler.MultiStepLR(adam, [3, 5], 0.5)
    small = sr.model_copy(update={"milestones": (3, 5)})
    for at in range(8):
        assert learning_rate(small, at) == adam.param_groups[0]["lr"]
        adam.step()
        steps.step()


def test_the_cosine_of_evssm_is_torch_s():
    (evssm,) = cells(only=["evssm-deblur"])
    assert (evssm.periods, evssm.floors, evssm.loss, evssm.betas) == ((300_000,), (1e-7,), "l1+fft", (0.9, 0.9))
    assert learning_rate(evssm, 0) == pytest.approx(1e-3)
    assert learning_rate(evssm, 150_000) == pytest.approx((1e-3 + 1e-7) / 2)
    adam = torch.optim.AdamW([nn.Parameter(torch.zeros(1))], lr=1e-3)
    steps = torch.optim.lr_scheduler.CosineAnnealingLR(adam, 20, eta_min=1e-7)
    small = evssm.model_copy(update={"periods": (20,), "iterations": 20})
    for at in range(20):
        assert learning_rate(small, at) == pytest.approx(adam.param_groups[0]["lr"], rel=1e-9)
        adam.step()
        steps.step()


def test_restarts_and_constants_of_the_later_recipes():
    mair, eamamba = (cells(only=[f"{name}-deblur"])[0] for name in ("mair", "eamamba"))
    assert [learning_rate(eamamba, at) for at in (0, 137_999)] == pytest.approx([3e-4, 3e-4])
    assert learning_rate(eamamba, 138_000 + 156_000) == pytest.approx((3e-4 + 1e-6) / 2)
    assert learning_rate(eamamba, 449_999) == pytest.approx(1e-6, rel=1e-3)
    assert [stage_at(eamamba, at) for at in (0, 138_000, 449_999)] == [(128, 64), (160, 40), (384, 8)]
    assert learning_rate(mair, 718_249) > 1.2e-6  # its cosine is longer than its training
    assert stage_at(mair, 718_249) == (256, 8)
    (real,) = cells(only=["eamamba-realsr"])
    assert {learning_rate(real, at) for at in (0, 15_000, 29_999)} == {3e-4}


def test_the_first_step_of_evssm_by_hand(folders):
    """AdamW: the weight decays by lr * wd, then goes lr against the sign of the gradient; the gradient is cut to a norm of 0.01 before."""
    of = spec(folders, optimiser="adamw", lr=1e-3, weight_decay=1e-3, betas=(0.9, 0.9), clip_norm=0.01)
    weight = nn.Parameter(torch.tensor([1.0, -2.0]))
    optimiser = loop._optimiser(of, [weight], of.lr)
    weight.grad = torch.tensor([3.0, -4.0])
    assert torch.nn.utils.clip_grad_norm_([weight], of.clip_norm).item() == pytest.approx(5)
    assert weight.grad.tolist() == pytest.approx([0.006, -0.008], rel=1e-4)
    optimiser.step()
    decayed = [1 - 1e-6, -2 + 2e-6]
    assert weight.tolist() == pytest.approx([decayed[0] - 1e-3, decayed[1] + 1e-3], abs=1e-7)
    assert optimiser.state[weight]["exp_avg_sq"].tolist() == pytest.approx([0.1 * 0.006**2, 0.1 * 0.008**2], rel=1e-4)


def test_cells_that_others_begin_with_come_first():
    specs = cells(only=["mambair-sr-x4@sr-x4"], budget="quick")
    assert [spec.label for spec in specs] == ["mambair-sr-x2 · seed 0", "mambair-sr-x4 · seed 0"]
    assert specs[1].start == specs[0].fingerprint
    assert cells(only=["vmambair-sisr-x4@sr-x4"], budget="quick")[0].start == ""  # x2 of that design does not exist
    specs = cells(only=["mambair-denoise@denoise-50"], changes={"iterations": "100"})
    assert [(spec.task, spec.iterations) for spec in specs] == [("denoise-15", 100), ("denoise-50", 100)]
    (alone,) = cells(only=["mambair-denoise@denoise-50"], changes={"start": ""})
    assert alone.start == ""
    with pytest.raises(SuiteError, match=r"derain has no recipe 'papper'\..*Did you mean 'paper'|derain has no recipe 'papper'"):
        cells(only=["derain"], account="papper")


def test_losses_by_hand():
    a, b = torch.zeros(1, 1, 2, 2), torch.tensor([[[[0.0, 0.3], [-0.3, 0.0]]]])
    assert losses.pixel_loss("l1", a, b).item() == pytest.approx(0.15)
    expected = (2 * 1e-3 + 2 * (0.09 + 1e-6) ** 0.5) / 4
    assert losses.pixel_loss("charbonnier", a, b).item() == pytest.approx(expected)
    # Sum and differences of 0.3 and -0.3 in a row and a column: 0, 0.6, -0.6, 0 times -1, without an imaginary part.
    transforms = np.array([[0.0, -0.6], [0.6, 0.0]])
    assert np.abs(np.fft.fft2(b[0, 0].numpy()) - transforms).max() == pytest.approx(0, abs=1e-6)
    assert losses.pixel_loss("l1+fft", a, b).item() == pytest.approx(0.15 + 0.1 * 1.2 / 8)  # 4 real parts and 4 imaginary ones
    assert losses.pixel_loss("l1+fft", b, a).item() == pytest.approx(losses.pixel_loss("l1+fft", a, b).item())
    assert losses.adversarial_loss(torch.zeros(1, 1, 4, 4), real=True).item() == pytest.approx(np.log(2))
    assert losses.adversarial_loss(torch.full((1, 1, 4, 4), 20.0), real=False).item() == pytest.approx(20.0, rel=1e-6)


def test_the_discriminator_is_the_published_one():
    network = Discriminator()
    assert count_parameters(network) == 4_376_897
    assert network(torch.rand(2, 3, 32, 40)).shape == (2, 1, 32, 40)
    with torch.no_grad():
        for _ in range(50):  # power iteration settles
            network(torch.rand(1, 3, 16, 16))
    for conv in (*network.down, *network.up, *network.flat):
        assert torch.linalg.matrix_norm(conv.weight.flatten(1), 2).item() == pytest.approx(1, abs=0.05)


def random_vgg():
    from torchvision.models import vgg19

    torch.manual_seed(0)
    return losses.Perceptual(vgg19(weights=None).features)


def test_the_perceptual_loss_compares_features_before_activation():
    loss = random_vgg()
    picture = torch.rand(1, 3, 32, 32)
    assert loss(picture, picture).item() == 0.0
    other = torch.rand(1, 3, 32, 32, requires_grad=True)
    loss(other, picture).backward()
    assert other.grad.abs().sum() > 0
    assert not any(parameter.requires_grad for parameter in loss.parameters())
    x, sums = (picture - loss.mean) / loss.deviation, 0.0
    y = (other.detach() - loss.mean) / loss.deviation
    for position, module in enumerate(loss.features):
        x, y = module(x), module(y)
        sums += dict(losses.VGG19_LAYERS).get(position, 0.0) * (x - y).abs().mean().item()
    assert loss(other, picture).item() == pytest.approx(sums, rel=1e-5)


def test_without_vgg19_a_gan_recipe_does_not_start(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(SuiteError, match=r"needs VGG19's weights, and .*vgg19-dcbb9e9d.pth is not there.*python -c"):
        losses.load_perceptual_loss()
    losses.vgg19_file().parent.mkdir(parents=True)
    losses.vgg19_file().write_bytes(b"cut off")
    with pytest.raises(SuiteError, match="is damaged: its sha256 begins with"):
        losses.load_perceptual_loss()


@pytest.fixture
def folders(tmp_path):
    return write_splits(tmp_path)


def spec(folders, **fields):
    base = {"model": "vmambair-derain-tiny", "task": "derain", "budget": "quick", "backend": "numba", "protocol": "derain-matlab@1"}
    small = {"iterations": 6, "batch": 4, "patch": 16, "lr": 1e-3}
    return RunSpec(**(base | small | folders | fields))


def context(tmp_path, work="work", **fields):
    return CellContext(work=tmp_path / work, threads=1, launcher="inline", backend_reason="asked for", **fields)


def finish(of, where):
    *_, record = run_cell(of, where)
    assert isinstance(record, Record)
    return record


def test_a_progressive_recipe_goes_through_all_its_stages(folders, tmp_path):
    stages = ((2, 16, 4), (2, 24, 2), (2, 32, 1))
    of = spec(folders, stages=stages, optimiser="adamw", weight_decay=1e-4, periods=(2, 4), floors=(1e-3, 1e-6), mixup=1.2)
    record = finish(of, context(tmp_path))
    assert [point.iteration for point in record.history] == [1, 2, 3, 4, 5, 6]
    kept = torch.load(find_kept(tmp_path / "weights", of), weights_only=True)
    digest = tensors.tensors_sha256(kept["params"])
    about = {"model": of.model, "fingerprint": of.fingerprint, "iteration": 6, "recipe": "", "tensors_sha256": digest}
    about |= {"task": "derain", "budget": "quick", "seed": 0, "width": 0, "depth_divisor": 1, "training": of.identify_training("")}
    assert kept["metadata"] == about


def test_a_gan_recipe_trains_both_sides_and_goes_on_bit_for_bit(folders, tmp_path, monkeypatch):
    monkeypatch.setattr(losses, "load_perceptual_loss", random_vgg)
    of = spec(
        folders, model="vmambair-realsr-x4-tiny", task="sr-x4", protocol="sr-y@1", loss="l1+perceptual+gan", discriminator_lr=1e-3,
        ema_decay=0.9, patch=32, batch=2, iterations=4,
    )  # fmt: skip
    sampler = PatchSampler(load_images(of.train_set, "train"), degradation("bicubic-x4"), of.patch, of.seed, rotate=False)
    straight, halted = loop.begin(of), loop.begin(of)
    before = [parameter.clone() for parameter in straight.adversary.network.parameters()]
    points = [point for point in loop.train(straight, sampler, [], tmp_path / "a") if point]
    assert set(points[0].parts) == {"pixels", "perceptual", "gan", "discriminator"}
    total = sum(points[0].parts[name] for name in ("pixels", "perceptual", "gan"))
    assert points[0].loss == pytest.approx(total)
    assert all(not torch.equal(a, b) for a, b in zip(before, straight.adversary.network.parameters(), strict=True))
    steps = iter((False, True))
    assert len(list(loop.train(halted, sampler, [], tmp_path / "b", stop=lambda: next(steps)))) == 2
    resumed = loop.begin(of)
    list(loop.train(resumed, sampler, [], tmp_path / "b"))
    for ours, theirs in ((straight.network, resumed.network), (straight.adversary.network, resumed.adversary.network)):
        assert all(torch.equal(a, b) for a, b in zip(ours.state_dict().values(), theirs.state_dict().values(), strict=True))
    assert discriminator_learning_rate(of, 3) == 1e-3


def test_the_two_sides_of_a_gan_want_the_opposite(folders, monkeypatch):
    """-log D(target) - log(1 - D(output)) for the discriminator, -log D(output) for the network; D is a sigmoid of the logits."""
    monkeypatch.setattr(losses, "load_perceptual_loss", random_vgg)
    gan = {"loss": "l1+perceptual+gan", "discriminator_lr": 1e-3}
    of = spec(folders, model="vmambair-realsr-x4-tiny", task="sr-x4", protocol="sr-y@1", patch=32, **gan)
    run = loop.begin(of)
    run.adversary.network.eval()  # spectral normalisation stays as it is
    low, high = torch.rand(2, 3, 8, 8), torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        run.adversary.network.last.bias.add_(1)  # so that it leans to one side
        total, parts, output = loop.generator_loss(run, low, high)
        found = loop.discriminator_loss(run.adversary, output, high)
        fake, real = (torch.sigmoid(run.adversary.network(image).double()) for image in (output, high))
    assert (fake.log().mean() - (1 - fake).log().mean()).abs() > 0.1
    assert found.item() == pytest.approx((-real.log().mean() - (1 - fake).log().mean()).item(), rel=1e-4)
    assert parts["gan"].item() == pytest.approx(-fake.log().mean().item(), rel=1e-4)
    assert parts["pixels"].item() == pytest.approx((output - high).abs().mean().item(), rel=1e-5)
    assert total.item() == pytest.approx(sum(parts[name].item() for name in ("pixels", "perceptual", "gan")), rel=1e-5)


@pytest.mark.parametrize("model", ["mambair-light-x2", "vmambair-realsr-x4-tiny"])
@pytest.mark.parametrize("how", ["passes", "recompute"])
def test_passes_and_recomputing_change_no_number(folders, tmp_path, model, how):
    scale = "x2" if "x2" in model else "x4"
    narrow = {} if model.endswith("tiny") else {"width": 16, "depth_divisor": 3}  # of two blocks, the second of which is dropped at times
    of = spec(folders, model=model, task=f"sr-{scale}", protocol="sr-y@1", patch=32, iterations=3, **narrow)
    assert bool(depth_draws(network_of(of), None)) == bool(narrow)
    sampler = PatchSampler(load_images(of.train_set, "train"), degradation(f"bicubic-{scale}"), of.patch, of.seed, rotate=True)
    changed = {"passes": {"share": loop.Share(micro_batch=1)}, "recompute": {"recompute": True}}[how]
    runs = [loop.begin(of), loop.begin(of, **changed)]
    for number, run in enumerate(runs):
        list(loop.train(run, sampler, [], tmp_path / str(number)))
    for a, b in zip(*(run.network.state_dict().values() for run in runs), strict=True):
        if how == "recompute":
            assert torch.equal(a, b)
        else:  # sums in another order; Adam makes much of a gradient near zero
            assert torch.isclose(a, b, rtol=1e-3, atol=2e-5).double().mean() > 0.99
    assert [p.loss for p in runs[0].history] == pytest.approx([p.loss for p in runs[1].history], rel=1e-5)


def test_a_run_begins_with_another_s_weights_and_says_so(folders, tmp_path):
    first = spec(folders, model="mambair-light-x2-tiny", task="sr-x2", protocol="sr-y@1", iterations=2)
    finish(first, context(tmp_path))
    second = spec(
        folders, model="mambair-light-x4-tiny", task="sr-x4", protocol="sr-y@1", iterations=1, patch=32, recipe="light-sr-x4/released",
        start=first.fingerprint,
    )  # fmt: skip
    begun = Trainings([first]).key(first)
    record = finish(second, context(tmp_path, "second", begins_with=begun))
    assert record.started_from.source == f"cell {first.fingerprint} (params)"
    assert record.started_from.left == ("tail.last.bias", "tail.last.weight")
    strict = second.model_copy(update={"recipe": ""})
    with pytest.raises(SuiteError, match=r"2 of .* tensors are missing or of another shape"):
        finish(strict, context(tmp_path, "strict", begins_with=begun))
    lost = second.model_copy(update={"start": "0" * 16})
    with pytest.raises(SuiteError, match=r"begins with the weights of cell 0000000000000000, .* is not there.*--set start="):
        finish(lost, context(tmp_path, "lost"))


def test_fields_that_came_later_leave_old_fingerprints_alone():
    plain = spec({}, train_set="photos")
    assert plain.fingerprint == spec({}, train_set="photos", loss="l1", start="").fingerprint
    assert plain.fingerprint != spec({}, train_set="photos", loss="charbonnier").fingerprint
    assert plain.fingerprint == "813601bf8f031875"  # as the code before these fields gave it


def test_a_damaged_start_is_told(folders, tmp_path):
    path = tmp_path / "weights" / f"{'1' * 16}.pt"
    path.parent.mkdir()
    path.write_bytes(b"nothing")
    of = spec(folders, start="1" * 16)
    with pytest.raises(SuiteError, match="a text that begins 'nothing', not a checkpoint"):
        finish(of, context(tmp_path, weights=path.parent))
    tensors.write(path, {"params": {"x": torch.zeros(1)}})
    with pytest.raises(SuiteError, match="does not fit the network that is to begin with it"):
        finish(of, context(tmp_path, weights=path.parent))
