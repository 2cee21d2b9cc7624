"""Weights of others and for others: read in every wrapping, refused with a reason, written so that nothing is lost."""

import json
import os
import pickle
import re
from collections import OrderedDict

import pytest
import torch
from golden_cases import CASES, recipe_weights
from places import GOLDEN

import models
from models.official import from_official, official_names
from suite.cli import main
from suite.core import tensors
from suite.core.errors import Exit, SuiteError
from suite.core.files import sha256_of
from suite.measure.inference import weights
from suite.training import checkpoints

pytestmark = pytest.mark.usefixtures("one_thread")
TINY = "mambair-sr-x2-tiny"


def ours(model=TINY):
    torch.manual_seed(0)
    return models.create(model).state_dict()


def theirs(model=TINY):
    names = official_names(models.create(model))
    return {names[key]: value for key, value in ours(model).items()}


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) and one[key].dtype == other[key].dtype for key in one)


@pytest.fixture
def export(capsys):
    def run(*words):
        code = main.main(["export", *map(str, words)])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


# For others


@pytest.mark.parametrize("model", models.names(tiny=True))
def test_every_network_goes_out_and_comes_back_bit_for_bit(tmp_path, export, model):
    torch.save(ours(model), tmp_path / "ours.pt")
    assert export(tmp_path / "ours.pt", tmp_path / "a.pth", "--model", model)[0] == Exit.DONE
    written = torch.load(tmp_path / "a.pth", weights_only=True)
    assert list(written) == ["params"]
    assert same(written["params"], theirs(model))
    assert export(tmp_path / "a.pth", tmp_path / "b.safetensors", "--model", model, "--format", "safetensors")[0] == Exit.DONE
    back = models.create(model)
    used = weights.give_weights(back, weights.read_weights(tmp_path / "b.safetensors"), model)
    assert (used.which, used.names, used.said) == ("params", "authors", model)
    assert same(back.state_dict(), ours(model))


@pytest.mark.parametrize("form", ["official", "safetensors"])
@pytest.mark.parametrize("case", CASES)
def test_the_golden_networks_go_out_and_come_back_bit_for_bit(tmp_path, case, form):
    recipe = json.loads((GOLDEN / f"{case}.json").read_text())
    state = recipe_weights(recipe)
    network = from_official(recipe["arch"], recipe["config"], state)
    weights.write_weights(tmp_path / "file", network, case, form, "params_ema")
    found = weights.read_weights(tmp_path / "file")  # told apart by what is in them
    assert found.which == "params_ema"
    own = {name: value for name, value in found.state.items() if name in state or value.is_floating_point()}
    assert same(own, state)  # besides, whole numbers that follow from the configuration
    again = from_official(recipe["arch"], recipe["config"], found.state)
    assert same(again.state_dict(), network.state_dict())


def test_what_is_written_says_what_it_is(tmp_path, export):
    torch.save({"params": theirs(), "params_ema": theirs()}, tmp_path / "theirs.pth")
    out = tmp_path / "new" / "x.safetensors"
    code, text, err = export(tmp_path / "theirs.pth", out, "--model", TINY, "--format", "safetensors", "--json")
    found = json.loads(text)
    assert code == Exit.DONE
    assert "weights: params_ema of" in err
    assert "tensors under the authors' names; params left aside" in err
    assert (found["key"], found["loaded"]["names"], found["tensors"]) == ("params_ema", "authors", len(theirs()))
    assert found["sha256"] == sha256_of(out)
    assert tensors.read(out)["metadata"] == {"format": "pt", "model": TINY, "format_version": "1", "key": "params_ema"}
    assert [path.name for path in out.parent.iterdir()] == ["x.safetensors"]


def test_nothing_is_overwritten_unasked(tmp_path, export):
    torch.save(ours(), tmp_path / "ours.pt")
    (tmp_path / "out.pth").write_text("precious")
    words = (tmp_path / "ours.pt", tmp_path / "out.pth", "--model", TINY)
    code, _, err = export(*words)
    assert (code, (tmp_path / "out.pth").read_text()) == (Exit.USAGE, "precious")
    assert "is not overwritten" in err
    assert export(*words, "--overwrite", "--key", "params_ema")[0] == Exit.DONE
    assert list(torch.load(tmp_path / "out.pth", weights_only=True)) == ["params_ema"]
    assert "is a folder" in export(tmp_path / "ours.pt", tmp_path, "--model", TINY)[2]
    (tmp_path / "locked").touch()
    code, _, err = export(tmp_path / "ours.pt", tmp_path / "locked" / "x.pth", "--model", TINY)
    assert code == Exit.NOT_READY
    assert "cannot be written: " in err


# Of others


@pytest.mark.parametrize("of", ["params", "params_ema", "state_dict", "bare"])
@pytest.mark.parametrize("make", [ours, theirs])
def test_both_families_are_read_in_every_wrapping(tmp_path, of, make):
    state = OrderedDict((f"module.{name}", value) for name, value in make().items())
    torch.save(state if of == "bare" else {of: state, "iter": 5}, tmp_path / "x.pth")
    network = models.create(TINY)
    used = weights.give_weights(network, weights.read_weights(tmp_path / "x.pth"), TINY)
    assert (used.which, used.names) == (of, "suite" if make is ours else "authors")
    assert same(network.state_dict(), ours())


def test_the_moving_average_goes_before_the_network(tmp_path):
    average = {"n_averaged": torch.tensor(3), **{f"module.{name}": value for name, value in ours().items()}}
    cell = {"fingerprint": "x", "iteration": 3, "network": {name: value * 0 for name, value in ours().items()}}
    for held, which in ((average, "average"), (None, "network")):
        checkpoints.save(tmp_path, cell | {"average": held})
        network = models.create(TINY)
        assert weights.give_weights(network, weights.read_weights(tmp_path / checkpoints.SINGLE_FILE), TINY).which == which
        assert same(network.state_dict(), ours()) == (which == "average")


def test_all_that_was_done_to_find_them_is_said_in_one_line(tmp_path):
    state = {f"model._orig_mod.{name}": value for name, value in theirs().items()} | {"criterion.weight": torch.ones(1)}
    counter = {"model._orig_mod.norm.num_batches_tracked": torch.tensor(3)}
    torch.save({"state_dict": state | counter, "epoch": 3, "optimizer_states": []}, tmp_path / "x.ckpt")
    network = models.create(TINY)
    used = weights.give_weights(network, weights.read_weights(tmp_path / "x.ckpt", model=TINY), TINY)
    assert same(network.state_dict(), ours())
    assert used.sentence(tmp_path / "x.ckpt") == (
        f"weights: state_dict of {tmp_path / 'x.ckpt'}, {len(theirs())} tensors under the authors' names; model._orig_mod. taken off them; "
        "criterion. (1 tensor), epoch, optimizer_states and norm.num_batches_tracked left aside"
    )


def test_counters_that_a_network_does_not_have_hide_it_from_nobody():
    state = theirs() | {"norm.num_batches_tracked": torch.tensor(3)}
    assert weights.find_fitting_model(state, like=TINY) == TINY


def test_the_key_takes_one_of_several(tmp_path, export):
    torch.save({"a": theirs(), "b": {name: value * 0 for name, value in theirs().items()}}, tmp_path / "x.pth")
    with pytest.raises(SuiteError, match=r"none stands out\. There are: a .* --key NAME takes one of them"):
        weights.read_weights(tmp_path / "x.pth", model=TINY)
    assert same(dict(weights.read_weights(tmp_path / "x.pth", "a").state), theirs())
    code, _, err = export(tmp_path / "x.pth", tmp_path / "y.pth", "--model", TINY)
    assert code == Exit.NOT_READY
    assert "--read-key NAME takes one of them" in err
    assert export(tmp_path / "x.pth", tmp_path / "y.pth", "--model", TINY, "--read-key", "a")[0] == Exit.DONE
    assert same(torch.load(tmp_path / "y.pth", weights_only=True)["params"], theirs())


def test_the_network_asked_for_is_found_under_a_name_that_nobody_knows(tmp_path):
    state = {f"odd.{name}": value for name, value in ours().items()} | {f"prior.{number}.weight": torch.ones(1) for number in range(3)}
    torch.save({"state_dict": state}, tmp_path / "x.ckpt")
    used = weights.give_weights(models.create(TINY), weights.read_weights(tmp_path / "x.ckpt", model=TINY), TINY)
    assert (used.prefix, used.others, used.names) == ("odd.", ("prior. (3 tensors)",), "suite")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda value: value.fill_(float("nan")), "1 of 41 tensors hold NaN or infinity: conv_first.bias"),
        (lambda value: value.fill_(float("inf")), "1 of 41 tensors hold NaN or infinity: conv_first.bias"),
        (lambda value: value.to(torch.int8), "1 of 41 tensors are not of floating point: conv_first.bias"),
        (lambda value: value.long(), "1 of 41 tensors are not of floating point: conv_first.bias"),
        (lambda value: value + 0j, "1 of 41 tensors are not of floating point: conv_first.bias"),
    ],
)
def test_tensors_that_no_network_can_use_are_named(tmp_path, change, message):
    state = theirs()
    state["conv_first.bias"] = change(state["conv_first.bias"].clone())
    torch.save({"params": state}, tmp_path / "x.pth")
    with pytest.raises(SuiteError, match=f"x.pth .params. cannot be used: {message}") as error:
        weights.give_weights(models.create(TINY), weights.read_weights(tmp_path / "x.pth"), TINY)
    assert error.value.exit is Exit.NOT_READY


@pytest.mark.parametrize("make", [ours, theirs])
def test_what_is_missing_and_what_is_there_is_said_in_the_names_of_the_file(tmp_path, monkeypatch, make):
    monkeypatch.setattr("models.MODELS", {TINY: models.MODELS[TINY]})
    torch.save({"params": {f"my_{name}": value for name, value in make().items()}}, tmp_path / "x.pth")
    with pytest.raises(SuiteError) as error:
        weights.give_weights(models.create(TINY), weights.read_weights(tmp_path / "x.pth"), TINY)
    missing = re.search(r"missing: ([\w.]+)", str(error.value))[1]
    assert missing == next(iter(make()))


def test_other_precisions_are_said(tmp_path):
    torch.save({name: value.half() for name, value in ours().items()}, tmp_path / "half.pt")
    used = weights.give_weights(models.create(TINY), weights.read_weights(tmp_path / "half.pt"), TINY)
    assert used.sentence(tmp_path).endswith("names; float16 made float32")


class Trap:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize("zipped", [True, False])
def test_a_file_that_would_run_code_is_refused_and_does_not_run(tmp_path, zipped, protocol):
    held = {"params": theirs(), "extra": Trap(tmp_path / "trap")}
    if zipped:
        torch.save(held, tmp_path / "x.pth", pickle_protocol=protocol)
    else:
        (tmp_path / "x.pth").write_bytes(pickle.dumps({"extra": held["extra"]}, protocol))
    with pytest.raises(SuiteError, match=r"could run code|not a checkpoint of tensors") as error:
        weights.read_weights(tmp_path / "x.pth")
    assert error.value.exit is Exit.NOT_READY
    assert not (tmp_path / "trap").exists()
    if zipped and protocol == 2:
        assert "asks for posix.mkdir beside its tensors" in str(error.value)


@pytest.mark.parametrize("make", [ours, theirs])
def test_weights_of_another_network_say_what_they_fit(tmp_path, make):
    torch.save({"params": make("mambair-sr-x3-tiny")}, tmp_path / "x3.pth")
    with pytest.raises(SuiteError) as error:
        weights.give_weights(models.create(TINY), weights.read_weights(tmp_path / "x3.pth"), TINY)
    message = str(error.value)
    assert "x3.pth does not fit mambair-sr-x2-tiny: the checkpoint (params, " in message
    assert "1 misshapen" in message or "2 misshapen" in message
    assert " missing" not in message  # of either's names: they are the same networks but for the last layers
    assert message.endswith("It fits mambair-sr-x3-tiny.")


def test_weights_that_fit_nothing_say_so_and_what_they_claim(tmp_path, monkeypatch):
    monkeypatch.setattr("models.MODELS", {TINY: models.MODELS[TINY]})
    tensors.write(tmp_path / "x.pt", {"params": {"a.weight": torch.zeros(3)}, "metadata": {"model": "mine"}})
    with pytest.raises(SuiteError, match=r"1 unexpected: a.weight\. The file says that it is of mine\. It fits no network"):
        weights.give_weights(models.create(TINY), weights.read_weights(tmp_path / "x.pt"), TINY)


@pytest.mark.parametrize(
    ("held", "message"),
    [
        ({"params": None}, r"holds no tensors of a network\. It holds: params \(NoneType\)\.$"),
        ({"model": {"a": 1}, "epoch": 3}, r"It holds: model \(dict\), epoch \(int\)\.$"),
        (
            {"a": {"x.weight": torch.ones(1)}, "b": {"y.weight": torch.ones(1)}},
            r"There are: a \(1 tensor\), b \(1 tensor\)\. --key NAME takes",
        ),
        ([1, 2], "holds a list"),
    ],
)
def test_a_file_without_weights_says_what_it_has(tmp_path, held, message):
    torch.save(held, tmp_path / "x.pt")
    with pytest.raises(SuiteError, match=message):
        weights.read_weights(tmp_path / "x.pt")


def test_a_damaged_safetensors_file_is_refused(tmp_path):
    tensors.write_safetensors(tmp_path / "x.safetensors", ours(), {})
    whole = (tmp_path / "x.safetensors").read_bytes()
    assert same(dict(weights.read_weights(tmp_path / "x.safetensors").state), ours())
    for content in (whole[:-10], b"", whole[:50], b"PK\x03\x04" + whole):
        (tmp_path / "x.safetensors").write_bytes(content)
        with pytest.raises(SuiteError, match="is damaged, or not a checkpoint of tensors"):
            weights.read_weights(tmp_path / "x.safetensors")
