"""What cells need that is missing here: said before they run, and nothing where all is here."""

import pytest
from fake_cells import spec
from PIL import Image

from suite.core import machine
from suite.core.text import format_clock
from suite.runner.cell_time import GpuClock
from suite.runner.estimate import estimate_roughly
from suite.runner.needs import describe_needs, describe_set, is_here, make_teller


@pytest.fixture
def data(tmp_path, monkeypatch):
    monkeypatch.setenv("SUITE_DATA", str(tmp_path))
    monkeypatch.setattr(machine, "list_gpus", list)

    def put(*names):
        for name in names:
            (tmp_path / name).mkdir(parents=True)
            Image.new("RGB", (8, 8)).save(tmp_path / name / "0001.png")

    return put


def test_what_is_here_is_not_told(data):
    data("Set5")
    assert list(describe_needs([spec("mambair-sr-x2", test_set="Set5")], [])) == []


@pytest.mark.usefixtures("data")
def test_missing_sets_are_named_once_with_their_images():
    cells = [spec("mambair-sr-x2", train_set="DF2K", test_set="Set5", seed=seed) for seed in range(3)]
    (said,) = describe_needs(cells, [])
    assert said.startswith("data missing here: DF2K (3,450 images), Set5 (5 images). ")


def test_a_set_is_here_if_all_of_its_parts_are(data):
    data("DIV2K/DIV2K_train_HR", "OutdoorSceneTrain_v2/sky")
    assert not is_here("DF2K+OST")
    data("Flickr2K/Flickr2K_HR")
    assert is_here("DF2K+OST")
    assert describe_set("DF2K+OST") == "DF2K+OST (13,774 images)"


def test_a_folder_is_here_if_it_exists(tmp_path):
    assert is_here(str(tmp_path))
    assert not is_here(str(tmp_path / "none"))


@pytest.mark.usefixtures("data")
def test_the_time_of_a_gpu_is_a_range_for_published_networks_alone():
    whole, narrow = spec("mambair-light-x2", task="light-sr-x2", device="cuda"), spec("mambair-sr-x2", device="cuda", width=16)
    (said,) = describe_needs([whole, narrow], [])
    assert said.startswith("1 cell takes ")
    assert "of one A100 (not measured: 5 to 40 % of 19.5 TFLOP/s in float32" in said
    assert said.endswith("of this machine no kind of GPU is known, so times are of one A100.")


@pytest.mark.usefixtures("data")
def test_the_weights_of_a_gans_loss_are_named(tmp_path, monkeypatch):
    from suite.training import losses

    monkeypatch.setattr(losses, "vgg19_file", lambda: tmp_path / "vgg19.pth")
    (said,) = describe_needs([spec("mambair-sr-x2", loss="l1+perceptual+gan", discriminator_lr=1e-4)], [])
    assert "VGG19's weights" in said


def test_a_command_s_needs_are_told_in_a_few_words(data):
    """Images of all stages and of the last one's test, a GPU's range as `claims --plan` has it, and what is missing here."""
    data("Set5", "DIV2K/DIV2K_train_HR")
    whole = {"device": "cuda", "train_set": "DIV2K", "iterations": 500_000, "batch": 32, "patch": 128}
    first = spec("mambair-light-x2", task="light-sr-x2", **whole)
    second = spec("mambair-light-x2", task="light-sr-x2", **whole | {"test_set": "Set5", "start": first.fingerprint})
    clock = GpuClock("A100", [])
    ends = [sum(getattr(clock.estimate_training(one), end) for one in (first, second)) / 3600 for end in ("low", "high")]
    tell = make_teller([])
    hours = " to ".join(f"{end:,.0f}" for end in ends)
    assert tell([first, second]) == f"DIV2K (900 images), Set5 (5 images); {hours} GPU-hours of one A100, not measured"
    gan = second.model_copy(update={"train_set": "DF2K", "loss": "l1+perceptual+gan", "discriminator_lr": 1e-4})
    assert tell([gan]).startswith("DF2K (3,450 images), Set5 (5 images), VGG19's weights; ")
    assert tell([gan]).endswith("; missing here: DF2K")


@pytest.mark.usefixtures("data")
def test_a_narrow_network_s_time_is_a_rule_for_processors():
    cells = [spec("mambair-sr-x2", seed=seed, width=16, backend="cpp", train_set="photos", test_set="photos") for seed in range(2)]
    total = sum(estimate_roughly(one) for one in cells)
    assert make_teller([])(cells) == f"photos (14 images); about {format_clock(total)} of one core, by a rule"
    on_gpu = [one.model_copy(update={"device": "cuda"}) for one in cells]
    assert make_teller([])(on_gpu) == "photos (14 images)"
