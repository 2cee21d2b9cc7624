"""The authors' own code decides: outputs, gradients, names and counts (tests/golden; recipes in its README)."""

import gzip
import json

import numpy as np
import pytest
import torch
from golden_cases import CASES, noise, recipe_weights
from places import GOLDEN

import models
from models.base import count_parameters
from models.official import OfficialMismatch, from_official, official_names

RELEASES = {
    release: facts
    for path in sorted(GOLDEN.glob("official_state_dicts*.json.gz"))
    for release, facts in json.loads(gzip.decompress(path.read_bytes())).items()
}
SEEN = 1e-5, 1e-4  # of outputs and of norms of gradients: a wrong eps of a norm gives more


@pytest.mark.parametrize("backend", ["reference", "numba"])
@pytest.mark.parametrize("case", CASES)
def test_outputs_and_gradients_match_the_authors_code(case, backend):
    recipe = json.loads((GOLDEN / f"{case}.json").read_text())
    network = from_official(recipe["arch"], recipe["config"], recipe_weights(recipe)).eval()
    models.set_scan_backend(network, backend)
    if "MambaIRv2" in recipe["arch"]:
        models.set_routing(network, "argmax")  # as the case was made
    if "tile_sides" in recipe:
        network.set_tiles(recipe["tile_sides"])
    x = np.clip(0.5 + 0.25 * noise(recipe["salt"] + "input", recipe["input_shape"]), 0, 1).astype(np.float32)
    output = network(torch.from_numpy(x))

    expected = np.load(GOLDEN / f"{case}.npz")["output"]
    error = np.linalg.norm(output.detach().numpy() - expected) / np.linalg.norm(expected)
    assert error < SEEN[0]

    cotangent = torch.from_numpy(noise(recipe["salt"] + "cotangent", tuple(output.shape)))
    (output * cotangent).mean().backward()
    names = official_names(network)
    gradients = {names[ours]: parameter.grad for ours, parameter in network.named_parameters()}
    assert set(gradients) == set(recipe["grad_norm"])
    # A bias before a normalisation, or before what takes constants away, has a gradient of rounding noise alone.
    floor = 1e-6 * max(norm for norm in recipe["grad_norm"].values() if norm is not None)
    for name, norm in recipe["grad_norm"].items():
        assert float(gradients[name].norm()) == pytest.approx(norm, rel=SEEN[1], abs=floor), name


@pytest.mark.parametrize("release", RELEASES)
def test_full_size_releases_have_the_authors_names_shapes_and_counts(release):
    facts = RELEASES[release]
    with torch.device("meta"):
        state = {name: torch.empty(shape) for name, shape in facts["state_dict"].items()}
        network = from_official(facts["arch"], facts["config"], state)
    names = official_names(network)
    shapes = {names[ours]: list(value.shape) for ours, value in network.state_dict().items()}
    assert shapes == facts["state_dict"]
    assert count_parameters(network) == facts["n_params"]


@pytest.mark.parametrize("name", [n for n in models.names() if models.card(n).params is not None])
def test_published_parameter_counts_are_exact(name):
    with torch.device("meta"):
        assert count_parameters(models.create(name)) == models.card(name).params


def small():
    recipe = json.loads((GOLDEN / "mambair_light_x4.json").read_text())
    return recipe["arch"], recipe["config"], recipe_weights(recipe)


@pytest.mark.parametrize(
    "wrap", [lambda s: s, lambda s: {"params": s}, lambda s: {"params_ema": s, "params": {}}, lambda s: {"state_dict": s}]
)
@pytest.mark.parametrize("prefix", ["", "module."])
def test_checkpoints_load_in_every_wrapping(wrap, prefix):
    arch, config, state = small()
    network = from_official(arch, config, wrap({prefix + name: value for name, value in state.items()}))
    assert torch.equal(network.shallow.weight, state["conv_first.weight"])


def test_a_checkpoint_that_does_not_fit_is_described():
    arch, config, state = small()
    state["conv_first.extra"] = state.pop("conv_first.bias")
    state["norm.weight"] = torch.zeros(7)
    with pytest.raises(OfficialMismatch) as error:
        from_official(arch, config, state)
    message = str(error.value)
    assert "1 missing: conv_first.bias" in message
    assert "1 unexpected: conv_first.extra" in message
    assert "1 misshapen: norm.weight is (7,), the network has (32,)" in message


@pytest.mark.parametrize(
    ("arch", "config", "message"),
    [
        ("MambaIRv7", {}, "Did you mean 'MambaIR'"),
        ("MambaIR", {"embed_dims": 60}, "Did you mean 'embed_dim'"),
        ("MambaIR", {"resi_connection": "3conv"}, "only resi_connection='1conv'"),
        ("Mamber32", {"dim": 16}, "needs the keyword 'num_blocks'"),
    ],
)
def test_unknown_classes_and_keywords_are_named(arch, config, message):
    with pytest.raises((OfficialMismatch, models.UnknownName), match=message):
        from_official(arch, config, {})
