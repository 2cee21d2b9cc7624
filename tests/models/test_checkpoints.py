"""A network's tensors are found wherever they lie, under any prefix, and what is no network's is left and said."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import models
from models.checkpoints import AVERAGES, COMPANIONS, NETWORKS, NetworkNotFound, find_tensors
from models.official import official_names

NET = {f"layers.{number}.conv.{kind}": torch.full((2,), float(number)) for number in range(3) for kind in ("weight", "bias")}
NET |= {"conv_first.weight": torch.ones(2), "index": torch.arange(3)}
ZERO = {name: value * 0 for name, value in NET.items()}
LOSS = {"features.0.weight": torch.ones(4)}
OPTIMISER = {"state": {0: {"step": torch.tensor(3.0), "exp_avg": torch.ones(2)}}, "param_groups": [{"lr": 1.0}]}
WRAPPERS = ("module.", "_orig_mod.", "model.", "net_g.", "_fsdp_wrapped_module.", "my_restorer.")
KEYS = ("params", "params_ema", "state_dict", "model", "net", "checkpoint", "anything")


def under(*prefixes, net=NET):
    return {"".join(prefixes) + name: value for name, value in net.items()}


def same(state, net=NET):
    return state.keys() == net.keys() and all(torch.equal(state[name], net[name]) for name in net)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.sampled_from(KEYS), max_size=3),
    st.lists(st.sampled_from(WRAPPERS), max_size=4),
    st.sets(st.sampled_from(["optimizer", "epoch", "net_d", "loss.", "rng_state"])),
    st.booleans(),
)
def test_it_is_found_under_any_keys_and_any_prefixes(keys, prefixes, beside, listed):
    held = under(*prefixes)
    if "loss." in beside and prefixes:
        held |= {f"loss.{name}": value for name, value in LOSS.items()}
    for key in reversed(keys):
        held = {key: held}
    if keys:
        extra = {"optimizer": OPTIMISER, "epoch": 3, "net_d": LOSS, "rng_state": torch.zeros(9, dtype=torch.uint8)}
        held |= {name: value for name, value in extra.items() if name in beside}
    found = find_tensors([held, 3] if listed else held)
    assert same(found.state)
    assert found.where == (".".join([*(["0"] if listed else []), *keys]) or "bare")
    assert found.prefix == "".join(prefixes)
    told = " ".join(found.left)
    assert all(name in told for name in beside if (name != "loss." and keys) or (name == "loss." and prefixes))


@pytest.mark.parametrize(
    ("held", "where", "prefix"),
    [
        ({"params": ZERO, "params_ema": NET}, "params_ema", ""),
        ({"model": ZERO, "model_ema": NET}, "model_ema", ""),
        ({"net": ZERO, "netEMA": NET}, "netEMA", ""),
        ({"state_dict": under("model.", net=ZERO) | under("ema_model.")}, "state_dict", "ema_model."),
        ({"ema": under("online_model.", net=ZERO) | under("ema_model.") | {"step": torch.tensor(1)}}, "ema", "ema_model."),
        ({"n_averaged": torch.tensor(3), **under("module.")}, "bare", "module."),
        ({"state_dict": under("model.") | under("compiled._orig_mod.")}, "state_dict", "model."),  # the same, twice
        ({name.replace("layers.1.", "layers.1._orig_mod."): value for name, value in NET.items()}, "bare", "_orig_mod."),
        ({"generator": NET, "discriminator": LOSS, "opt": OPTIMISER}, "generator", ""),
        (
            {"state_dict": under("net_g.") | {"net_d.conv.weight": NET["conv_first.weight"], "cri_pix.w": torch.ones(1)}},
            "state_dict",
            "net_g.",
        ),
    ],
)
def test_of_several_the_networks_own_is_taken(held, where, prefix):
    found = find_tensors(held)
    assert same(found.state)
    assert (found.where, found.prefix) == (where, prefix)
    assert found.is_average == ("ema" in (where + prefix).lower())


def test_the_network_that_is_asked_for_is_known_by_its_names():
    def fits(state):
        return NET.keys() <= state.keys()

    prior = {f"{number}.weight": torch.ones(3) for number in range(4)}
    other = {"encoder.a.weight": torch.ones(3)}
    assert find_tensors({"one": NET, "two": other}, fits=fits).where == "one"
    found = find_tensors({"state_dict": under("odd.") | {f"prior.{name}": value for name, value in prior.items()}}, fits=fits)
    assert same(found.state)
    assert (found.prefix, found.left) == ("odd.", ("prior. (4 tensors)",))


@pytest.mark.parametrize(
    ("held", "message"),
    [
        ({"a": NET, "b": ZERO}, r"2 mappings .* none stands out\. There are: a \(8 tensors\), b \(8 tensors\)\."),
        ({"s": under("student.") | under("teacher.", net=ZERO)}, r"There are: s\.student \(8 tensors\), s\.teacher \(8 tensors\)\."),
        ({"epoch": 3, "model": None}, r"holds no tensors of a network\. It holds: epoch \(int\), model \(NoneType\)\."),
        ({"net_d": LOSS}, r"holds no tensors of a network\. There are: net_d \(1 tensor"),
        ([], "It is a list"),
        ({}, "It holds: nothing"),
    ],
)
def test_where_none_stands_out_they_are_listed(held, message):
    with pytest.raises(NetworkNotFound, match=message):
        find_tensors(held)


def test_a_key_takes_what_nothing_else_would():
    held = {"a": NET, "b": ZERO, "s": under("student.", net=ZERO) | under("teacher."), "net_d": LOSS, "l": [ZERO, NET]}
    for key in ("a", "s.teacher", "s.teacher.", "l.1"):
        found = find_tensors(held, key)
        assert same(found.state)
        assert found.where == key
        assert {"b", "net_d"} <= set(found.left)
    assert find_tensors(held, "net_d").state.keys() == {"0.weight"}
    assert find_tensors({"x": torch.ones(2), **NET}, "bare").where == "bare"
    with pytest.raises(NetworkNotFound, match=r"nothing is called 'c' in it\. There are: a \(8 tensors\)"):
        find_tensors(held, "c")


@pytest.mark.parametrize("name", [name for name in models.MODELS if name.endswith("-tiny")])
def test_no_network_has_a_name_that_is_taken_for_another_thing(name):
    with torch.device("meta"):
        network = models.create(name)
    for names in (list(network.state_dict()), list(official_names(network).values())):
        firsts = {name.partition(".")[0] for name in names}
        assert not [first for first in firsts if COMPANIONS.fullmatch(first) or NETWORKS.fullmatch(first) or AVERAGES.search(first)]
        found = find_tensors(dict.fromkeys(names, torch.ones(1)))
        assert (list(found.state), found.prefix, found.left) == (names, "", ())
