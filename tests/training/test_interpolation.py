"""The start that a budget asks for: every network of the catalogue begins as an interpolation, or as the identity, and still learns."""

from itertools import product

import numpy as np
import pytest
import torch

import models
from models.designs import DESIGNS
from suite.core.errors import SuiteError
from suite.data.photos import load_crops
from suite.data.resize import imresize
from suite.measure.inference.restorer import restorer_of
from suite.records.spec import RunSpec
from suite.report.settings import setting_heading, setting_of
from suite.runner import plan
from suite.study.budgets import BUDGETS
from suite.training import loop
from suite.training.interpolation import begin_as_interpolation
from suite.training.rates import learning_rate

pytestmark = pytest.mark.usefixtures("one_thread")
PICTURE = dict(load_crops("test"))["chelsea"]
CARDS = {card.name: card for design in DESIGNS for card in (*design.networks, *design.ablations)}


def begun(name, width=16, *, noisy=False):
    """The network, narrowed as the quick budget does, and begun as an interpolation."""
    config = CARDS[name].config.narrowed(width, 6)
    torch.manual_seed(0)
    network = models.build(config)
    models.set_scan_backend(network, "numba")
    begin_as_interpolation(network, noisy=noisy)
    return network


def parabola_by_hand(picture, factors):
    """Each pixel becomes factor x factor, on the parabola through it and its neighbours along each axis, by one factor after another."""
    for factor, axis in product(factors, (0, 1)):
        padded = np.pad(picture, [(1, 1) if axis == one else (0, 0) for one in range(3)], mode="edge")
        left, middle, right = (np.take(padded, range(shift, shift + picture.shape[axis]), axis) for shift in range(3))
        phases = []
        for phase in range(factor):
            t = (phase + 0.5) / factor - 0.5
            phases.append(middle + t * (right - left) / 2 + t * t * (right + left - 2 * middle) / 2)
        larger = [length * factor if one == axis else length for one, length in enumerate(picture.shape)]
        picture = np.stack(phases, axis=axis + 1).reshape(larger)
    return picture


def psnr(one, other, border):
    inner = (slice(border, -border),) * 2
    return -10 * np.log10(np.mean((one[inner] - other[inner]) ** 2) + 1e-20)


def degraded(network):
    target = PICTURE[..., : network.channels].astype(np.float32) / 255
    return target, imresize(target, 1 / network.scale, between="float").astype(np.float32) if network.scale > 1 else target


@pytest.mark.parametrize("name", CARDS)
def test_every_network_of_the_catalogue_begins_as_an_interpolation_or_as_the_identity(name):
    network = begun(name)
    target, low = degraded(network)
    output, scale = restorer_of(network)(low), network.scale
    if scale == 1:
        np.testing.assert_allclose(output, low, atol=1e-6)
        return
    direct = getattr(network.config, "upsampler", "") == "pixelshuffledirect"
    expected = parabola_by_hand(low.astype(np.float64), (scale,) if direct or scale == 3 else (2,) * (scale // 2))
    assert psnr(output, expected, 2 * scale) > 55
    bicubic = imresize(low, scale, between="float")
    assert psnr(output, target, scale) > psnr(bicubic, target, scale) - 0.15


@pytest.mark.parametrize("name", ["vmambair-realsr-x4", "mambair-sr-x4", "mambair-light-x3"])
def test_noisy_inputs_are_enlarged_by_straight_lines(name):
    network = begun(name, noisy=True)
    _, low = degraded(network)
    image = torch.from_numpy(low).permute(2, 0, 1)[None]
    for factor in (3,) if network.scale == 3 else (2, 2):
        image = torch.nn.functional.interpolate(image, scale_factor=factor, mode="bilinear", align_corners=False)
    assert psnr(restorer_of(network)(low), image[0].permute(1, 2, 0).numpy(), 2 * network.scale) > 55


def test_the_start_is_the_seed_s_and_leaves_the_blocks_as_drawn():
    one, again = begun("mambair-sr-x2"), begun("mambair-sr-x2")
    torch.manual_seed(0)
    drawn = models.build(one.config).state_dict()
    changed = {name for name, value in one.state_dict().items() if not torch.equal(value, drawn[name])}
    assert {name.rpartition(".")[0] for name in changed} == {"shallow", "deep", "tail.before", "tail.upsample.convs.0", "tail.last"}
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in one.state_dict().items())
    tenth = one.tail.before.weight[20:] / drawn["tail.before.weight"][20:]
    torch.testing.assert_close(tenth, torch.full_like(tenth, 0.1))


@pytest.mark.parametrize("name", ["mambair-sr-x2", "mambair-light-x3", "vmambair-realsr-x4", "vmambair-derain"])
def test_every_layer_learns_from_such_a_start(name):
    """Within a few steps, where a layer waits for the one behind it, which began at zero; but a ReLU may let nothing pass."""
    network = begun(name).train()
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-3)
    low, high = torch.rand(2, 3, 16, 16), torch.rand(2, 3, 16 * network.scale, 16 * network.scale)
    first = {name: value.detach().clone() for name, value in network.named_parameters()}
    for _ in range(3):
        optimiser.zero_grad()
        (network(low) - high).abs().mean().backward()
        optimiser.step()
    still = [name for name, value in network.named_parameters() if torch.equal(value, first[name])]
    assert not [name for name in still if ".local.attention." not in name]


def test_a_network_that_is_too_narrow_is_refused():
    with pytest.raises(SuiteError, match=r"a network of 4 features cannot begin as an interpolation: .* need 6") as caught:
        begun("mambair-light-x2", 4)
    assert "--set first_weights=drawn" in str(caught.value)


SPEC = {"model": "mambair-sr-x2", "task": "sr-x2", "budget": "quick", "backend": "numba", "protocol": "sr-y@1", "width": 16}
SPEC |= {"depth_divisor": 6, "iterations": 10, "batch": 2, "patch": 16, "lr": 1e-3}


def test_a_run_begins_so_where_its_spec_says_so_and_is_another_cell():
    drawn, ours = RunSpec(**SPEC), RunSpec(**SPEC, first_weights="interpolation")
    assert drawn.fingerprint != ours.fingerprint
    weights = {spec.first_weights: loop.begin(spec).network.state_dict() for spec in (drawn, ours)}
    begun_by_hand = begun("mambair-sr-x2").state_dict()
    assert all(torch.equal(value, begun_by_hand[name]) for name, value in weights["interpolation"].items())
    assert weights["drawn"]["deep.weight"].abs().max() > 0
    blind = RunSpec(**SPEC | {"model": "vmambair-realsr-x4", "task": "real-sr-x4"}, first_weights="interpolation")
    by_lines = begun("vmambair-realsr-x4", noisy=True).state_dict()
    assert all(torch.equal(value, by_lines[name]) for name, value in loop.begin(blind).network.state_dict().items())
    said = [setting_heading(setting_of(spec)) for spec in (drawn, ours)]
    assert ["begins as an interpolation" in text for text in said] == [False, True]


def test_no_record_of_before_is_another_cell():
    assert RunSpec(**SPEC).fingerprint == RunSpec(**SPEC, first_weights="drawn", warm_up=0).fingerprint
    assert RunSpec(**SPEC).fingerprint == "0a346d3924205721"


def test_the_learning_rate_rises_and_falls_to_nothing():
    spec = RunSpec(**SPEC | {"iterations": 100}, warm_up=20, periods=(100,), floors=(0.0,))
    rates = [learning_rate(spec, iteration) for iteration in range(100)]
    assert rates[0] == pytest.approx(1e-3 / 20)
    assert max(rates) == rates[19] == pytest.approx(1e-3 * (1 + np.cos(np.pi * 0.19)) / 2)
    assert rates[19:] == sorted(rates[19:], reverse=True)
    assert rates[-1] < 1e-6
    steps = [learning_rate(RunSpec(**SPEC, warm_up=5, milestones=(7,)), iteration) for iteration in range(10)]
    assert steps == pytest.approx([2e-4, 4e-4, 6e-4, 8e-4, *[1e-3] * 3, *[5e-4] * 3])


def test_no_run_under_the_papers_conditions_begins_so():
    assert BUDGETS["paper"].first_weights == BUDGETS["standard"].first_weights == BUDGETS["smoke"].first_weights == "drawn"
    options = {"seeds": 1, "only": [], "changes": {}, "backend": "reference", "device": "cpu"}
    for budget, expected in (("paper", {("drawn", 0)}), ("quick", {("interpolation", 20)})):
        assert {(spec.first_weights, spec.warm_up) for spec in plan.plan_cells("tasks", budget=budget, **options)} == expected
