"""What the C++ backend computes around a scan is what the layers compute, and only where nobody would miss them."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import models
from models.parts import vss
from models.parts.around import find_around
from models.scan.backends import BackendUnavailable, module_of

try:
    module_of("cpp")
except BackendUnavailable as error:
    pytest.skip(f"the C++ backend: {error.reason}", allow_module_level=True)

from models.scan.backends import cpp_around

SHAPES = [(1, 1, 1, 1), (2, 5, 7, 3), (1, 3, 2, 16), (2, 9, 4, 19), (1, 6, 11, 72), (1, 70, 2, 40)]  # around lanes and tasks


def _projected(shape):
    """Two halves of channels of one tensor, as a block's projection gives them, and values far out."""
    batch, height, width, channels = shape
    x = 3 * torch.randn(batch, height, width, 2 * channels)
    x[..., ::5] *= 30
    return x.chunk(2, dim=-1)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_convolution_and_its_silu(shape):
    torch.manual_seed(0)
    u, _ = _projected(shape)
    conv = nn.Conv2d(shape[-1], shape[-1], 3, padding=1, groups=shape[-1])
    with torch.no_grad():
        exact = F.silu(conv.double()(u.double().permute(0, 3, 1, 2))).permute(0, 2, 3, 1)
        conv.float()
        found = cpp_around.depthwise_silu(u, conv.weight, conv.bias)
    assert found.is_contiguous()
    torch.testing.assert_close(found.double(), exact, rtol=2e-6, atol=2e-5)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_norm_and_its_gate(shape):
    torch.manual_seed(0)
    x, gate = _projected(shape)
    x, norm = x.contiguous(), nn.LayerNorm(shape[-1])
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    with torch.no_grad():
        exact = F.layer_norm(x.double(), x.shape[-1:], norm.weight.double(), norm.bias.double()) * F.silu(gate.double())
        found = cpp_around.gated_norm(x, gate, norm.weight, norm.bias, norm.eps)
    torch.testing.assert_close(found.double(), exact, rtol=1e-5, atol=2e-4 if shape[-1] > 1 else 1e-3)


def _network():
    torch.manual_seed(0)
    network = models.create("mambair-light-x2-tiny").eval()
    models.set_scan_backend(network, "cpp")
    return network, torch.rand(2, 3, 17, 23)


def test_a_network_gives_the_same_with_and_without(monkeypatch):
    network, image = _network()
    with torch.no_grad():
        with_it = network(image)
        monkeypatch.setattr(vss, "find_around", lambda *_given: None)
        without = network(image)
    assert not torch.equal(with_it, without)  # it was in use
    torch.testing.assert_close(with_it, without, rtol=1e-5, atol=1e-6)
    assert network(image).requires_grad  # and gradients pass through the layers


def _conditions(**changed):
    given = {"x": torch.randn(1, 4, 4, 6), "planar": nn.Identity(), "layers": (nn.Conv2d(3, 3, 3), nn.LayerNorm(3))} | changed
    if "backend" not in changed:
        given["backend"] = "cpp"
    given["planar"].backend = given.pop("backend")
    return find_around(given["x"], given["planar"], given["layers"])


def _heard():
    layer = nn.LayerNorm(3)
    layer.register_forward_hook(lambda *_given: None)
    return layer


def test_it_is_used_without_gradients_alone():
    with torch.no_grad():
        assert _conditions() is cpp_around
    assert _conditions() is None


@pytest.mark.parametrize(
    "changed",
    [
        {"x": torch.randn(1, 4, 4, 6, dtype=torch.float64)},
        {"x": torch.randn(1, 4, 4, 6, device="meta")},
        {"x": torch.randn(1, 4, 6, 4).transpose(2, 3)},
        {"backend": "reference"},
        {"backend": "no such"},
        {"layers": (_heard(),)},
        {"layers": (nn.Identity(),)},
        {"layers": (nn.LayerNorm(3).double(),)},
    ],
    ids=["float64", "meta", "strided", "another backend", "an unknown one", "a hook", "another layer", "a wide layer"],
)
def test_it_is_not_used_where_something_else_is_asked_for(changed):
    with torch.no_grad():
        assert _conditions(**changed) is None


def test_operators_that_are_counted_are_the_layers_own():
    from torch.utils.flop_counter import FlopCounterMode

    with torch.no_grad(), FlopCounterMode(display=False):
        assert _conditions() is None
