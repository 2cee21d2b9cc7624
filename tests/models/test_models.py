"""One contract for every row of the catalogue, walked in its tiny size; and what an ablation promises."""

import dataclasses
import subprocess
import sys

import pytest
import torch

import models
from models.base import ModelInputError
from models.designs.vmambair import VmambaIRConfig
from models.parts.layers import StochasticDepth

TINY = models.names(tiny=True)
ORDER_ALONE, ROUTER = ("mambairv2-light-x2-tiny.no-prompt",), (".route.", ".dictionary", ".basis")  # an order has no gradient
ABLATIONS = [name for name in models.names() if models.card(name).parent]


def large_enough(name, *sides):
    """Sides of which those that the network takes no image of are longer, and no more a multiple of anything than they were."""
    least = models.card(name).config.smallest_side
    return [side if side >= least else least + side % 8 for side in sides]


def still(network):
    """The network without draws, so that two calls can be compared."""
    models.set_routing(network, "argmax")
    return network


def gradients(network, x):
    for module in network.modules():  # a dropped branch has no gradient
        if hasattr(module, "rate"):
            module.rate = 0.0
    y = network(x)
    y.square().mean().backward()
    return y, {name: value.grad for name, value in network.named_parameters()}


@pytest.mark.parametrize("name", TINY)
def test_contract(name):
    card = models.card(name)
    silent = None
    height, width = large_enough(name, 13, 18)
    for seed in range(12):  # channel attention of this width has one hidden unit, whose ReLU may be shut
        torch.manual_seed(seed)
        x = torch.rand(2, card.config.channels, height, width)
        y, found = gradients(models.create(name).train(), x)
        assert y.shape == (2, card.config.channels, height * card.scale, width * card.scale)
        assert torch.isfinite(y).all()
        found = {p: g for p, g in found.items() if not (name in ORDER_ALONE and any(part in p for part in ROUTER))}
        assert [p for p, g in found.items() if g is None or not torch.isfinite(g).all()] == []
        silent = {p for p, g in found.items() if not g.any()} & (silent if silent is not None else found.keys())
        if not silent:
            break
    assert silent == set()


@pytest.mark.parametrize("name", TINY)
def test_padding_is_cropped_away_and_batches_are_independent(name):
    torch.manual_seed(0)
    network = still(models.create(name).eval())
    x = torch.rand(2, network.channels, *large_enough(name, 16, 8))
    with torch.inference_mode():
        both = network(x)
        single = network(x[1:])
    torch.testing.assert_close(both[1:], single, atol=1e-5, rtol=1e-4)


def test_stochastic_depth_drops_or_enlarges_a_branch_and_leaves_its_mean():
    layer = StochasticDepth(0.3).train()
    x = torch.rand(4, 2, 3, 5)
    layer.draws = torch.tensor([0.1, 0.69, 0.71, 0.95])
    torch.testing.assert_close(layer(x), x / 0.7 * torch.tensor([1.0, 1.0, 0.0, 0.0]).view(4, 1, 1, 1))
    layer.draws = None
    torch.manual_seed(0)
    assert layer(torch.ones(20_000, 1)).mean().item() == pytest.approx(1, abs=0.02)
    assert torch.equal(layer.eval()(x), x)


MULTIPLES = {  # of which a design takes sides
    "VmambaIR": 8, "MambaIRUNet": 8, "MambaIR": 1, "MaIR": 1, "MaIRUNet": 8, "EAMamba": 8, "EAMambaSR": 1, "EVSSM": 4,
    "MambaIRv2": 16, "TPMambaSR": 16,
}  # fmt: skip
MIRRORED = ("MambaIRv2", "TPMambaSR")  # with the last row and column once more, as released


def reflected(length, multiple, *, again):
    """Places of a side that is continued to a multiple, the last pixel as a mirror: 0 1 2 3 4 | 3 2 1, or `again` 0 1 2 3 4 | 4 3 2."""
    last = length - 1 if again else length - 2
    return [*range(length), *range(last, last - (-length % multiple), -1)]


@pytest.mark.parametrize("name", TINY)
@pytest.mark.parametrize(("height", "width"), [(13, 18), (8, 25)])
def test_what_fits_no_multiple_is_continued_by_reflection_and_cut_back(name, height, width):
    torch.manual_seed(0)
    network = still(models.create(name).eval())
    kind, (height, width) = type(network).__name__, large_enough(name, height, width)
    multiple, again = MULTIPLES[kind], kind in MIRRORED
    x = torch.rand(2, network.channels, height, width)
    longer = x[:, :, reflected(height, multiple, again=again)][..., reflected(width, multiple, again=again)]
    assert longer.shape[2] % multiple == longer.shape[3] % multiple == 0
    with torch.inference_mode():
        found, whole = network(x), network.restore(longer)
    expected = whole[..., : network.scale * height, : network.scale * width]
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["vmambair-realsr-x4-tiny", "mambair-jpeg-tiny"])
def test_a_wrong_channel_count_is_a_clear_error(name):
    network = models.create(name)
    with pytest.raises(ModelInputError, match=rf"takes images of {network.channels} channels.*\(1, 2, 16, 16\)"):
        network(torch.rand(1, 2, 16, 16))


def test_a_too_small_image_is_a_clear_error():
    with pytest.raises(ModelInputError, match="at least 8 x 8 pixels; it was given 7 x 30"):
        models.create("vmambair-derain-tiny")(torch.rand(1, 3, 7, 30))


@pytest.mark.parametrize("name", ABLATIONS)
def test_an_ablation_differs_from_its_parent_in_one_field_and_what_it_matches(name):
    card = models.card(name)
    config, parent = card.config, models.card(card.parent).config
    different = {f.name for f in dataclasses.fields(config) if getattr(config, f.name) != getattr(parent, f.name)}
    assert different == {card.change[0]} | {field for field, _ in card.matched}
    assert getattr(config, card.change[0]) == card.change[1]
    assert card.hypothesis


def test_every_network_has_a_tiny_sibling_of_the_same_design():
    assert len(TINY) == len(models.names())
    for name, tiny in zip(models.names(), TINY, strict=True):
        assert type(models.card(name).config) is type(models.card(tiny).config)
        assert models.card(tiny).task == models.card(name).task


def test_names_lists_what_the_papers_ablate():
    expected = {
        "vmambair-realsr-x4.one-way-scan",
        "vmambair-realsr-x4.no-channel-scan",
        "vmambair-realsr-x4.no-effn",
        "vmambair-realsr-x4.linear-projection",
        "mambair-sr-x2.no-conv",
        "mambair-sr-x2.no-conv-no-ca",
        "mambair-sr-x2.mlp",
        "mambair-sr-x2.one-direction",
        "mambair-sr-x2.two-direction",
        *(f"mambairv2-light-x2.{change}" for change in ("prompt-b", "no-prompt", "no-routing")),
        *(f"mair-small-x2.{change}" for change in ("stripe-8", "no-shift", "sum")),
        *(f"eamamba-denoise.{scan}" for scan in ("raster-sum", "raster", "raster-2", "zigzag", "diagonal", "hilbert", "morton")),
        *(f"evssm-deblur.{change}" for change in ("no-turns", "no-spectrum")),
        *(f"tpmambasr-light-x2.{change}" for change in ("raster", "no-high-frequencies")),
    }
    assert {name for name in ABLATIONS if not models.card(name).own} == expected


def test_unknown_names_and_fields_come_with_suggestions():
    with pytest.raises(models.UnknownName, match=r"Did you mean .*'mambair-sr-x2'"):
        models.create("mambair-sr-x22")
    with pytest.raises(models.UnknownName, match="Did you mean 'ffn'"):
        models.create("vmambair-derain", fnn="none")


def test_both_fusions_of_the_channel_scan_differ():
    torch.manual_seed(0)
    config = models.card("vmambair-derain-tiny").config
    multiply = models.build(config).eval()
    add = models.build(dataclasses.replace(config, channel_fusion="add")).eval()
    add.load_state_dict(multiply.state_dict())
    x = torch.rand(1, 3, 16, 16)
    with torch.inference_mode():
        assert not torch.allclose(multiply(x), add(x))


def test_the_linear_projection_computes_what_the_convolution_does():
    torch.manual_seed(0)
    config = VmambaIRConfig(scale=1, blocks=(1, 1, 1, 1), refinement=1, dim=16)
    conv = models.build(config).eval()
    linear = models.build(dataclasses.replace(config, projection="linear")).eval()
    linear.load_state_dict({k: v.reshape(linear.state_dict()[k].shape) for k, v in conv.state_dict().items()})
    x = torch.rand(1, 3, 16, 24)
    with torch.inference_mode():
        torch.testing.assert_close(linear(x), conv(x), atol=1e-5, rtol=1e-4)


def test_importing_the_catalogue_imports_no_torch():
    code = "import models, sys; models.names(); assert 'torch' not in sys.modules, 'torch was imported'"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
