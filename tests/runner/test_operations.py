"""Operations of a training: the kept counts are those of the networks, and stages, scales and a GAN's other side are counted."""

import json

import pytest

from suite.core.paths import shipped_folder
from suite.records.planned import Choice, plan_family
from suite.runner import operations
from suite.runner.operations import DISCRIMINATOR, FEATURES, NetworkCount, count_network, get_count, training_operations
from suite.study.grids import GRIDS, ModelOnTask

KEPT = json.loads((shipped_folder("results") / operations.FILE).read_text())


def spec(model, task, account="released"):
    return plan_family(ModelOnTask(model, task, published=True), 0, Choice("paper", "numba", "cuda", account, {}))[-1]


def test_every_network_of_the_grids_is_kept():
    assert set(KEPT) == {pairing.model for grid in GRIDS.values() for pairing in grid.pairings} | {DISCRIMINATOR, FEATURES}


@pytest.mark.parametrize("name", ["mambair-light-x2", "mambair-light-x4", DISCRIMINATOR, FEATURES])
def test_kept_counts_are_those_of_the_network(name):
    assert get_count(name) == count_network(name)


@pytest.mark.slow
@pytest.mark.parametrize("name", list(KEPT)[::5])
def test_larger_networks_are_kept_as_counted(name):
    assert get_count(name) == count_network(name)


def test_a_network_that_is_not_kept_is_counted(monkeypatch):
    monkeypatch.setattr(operations, "_kept", dict)
    assert operations._get_once.__wrapped__("mambair-light-x2", "").parameters == 905_016


def test_the_count_goes_with_the_pixels_and_pads():
    count = NetworkCount(1, 8, (64, 128), (100.0, 180.0))
    assert count.at(8, 8) == 100
    assert count.at(8, 24) == 260
    assert count.at(9, 8) == count.at(16, 8)
    assert count.at(1, 1) == 100


def test_a_training_is_three_passes_of_every_image():
    of = spec("mambair-sr-x4", "sr-x4")
    assert training_operations(of) == pytest.approx(3 * get_count(of.model).at(48, 48) * 32 * 250_000)


def test_every_stage_counts_and_the_last_goes_on_to_the_end():
    of = spec("mambair-realdn", "real-denoise")
    count = get_count(of.model)
    whole = sum(steps * batch * count.at(patch, patch) for steps, patch, batch in of.stages)
    assert training_operations(of) == pytest.approx(3 * whole)
    patch, batch = of.stages[-1][1:]
    longer = of.model_copy(update={"iterations": of.iterations + 1000})
    assert training_operations(longer) - training_operations(of) == pytest.approx(3 * 1000 * batch * count.at(patch, patch))


def test_a_gan_recipe_has_its_other_side_at_full_size():
    of = spec("vmambair-sisr-x4", "gan-sr-x4", "released-gan")
    other = 8 * get_count(DISCRIMINATOR).at(256, 256) + 3 * get_count(FEATURES).at(256, 256)
    assert training_operations(of) == pytest.approx(64 * 300_000 * (3 * get_count(of.model).at(64, 64) + other))
