"""MambaIRv2's router taken away: what each way does to a small random network, what is seen of the router, and the command."""

import json
import math

import numpy as np
import pytest
import torch
from PIL import Image

import models
from models.networks.mambairv2 import AttentiveScan
from suite.cli import main
from suite.core.errors import Exit, SuiteError
from suite.data.pairs import Pair
from suite.measure.inference.restorer import restorer_of
from suite.measure.quality.evaluate import evaluate
from suite.measure.quality.routing import measure_routings
from suite.records.kinds.routing import Router, RoutingRecord, RoutingRun
from suite.records.ledger import Ledger
from suite.study.protocols import protocol
from suite.study.routing import WAYS

pytestmark = pytest.mark.usefixtures("one_thread")
RULE, TINY = protocol("sr-y"), "mambairv2-light-x4-tiny"


def network(**overrides):
    """A small network whose scans and prompts weigh, and whose router prefers some tokens."""
    torch.manual_seed(0)
    found = models.create(TINY, **overrides)
    with torch.no_grad():
        for module in found.modules():
            if isinstance(module, AttentiveScan):
                module.route[2].weight.mul_(40)
                module.leave.weight.mul_(20)
                module.dictionary.mul_(100)
                module.basis.mul_(30)
    models.set_scan_backend(found, "numba")
    return found


@pytest.fixture(scope="module")
def pairs():
    draw = np.random.default_rng(0)
    sizes = ((9, 12), (16, 11))
    return [
        Pair(str(n), draw.integers(0, 256, (h, w, 3), dtype=np.uint8), draw.integers(0, 256, (4 * h, 4 * w, 3), dtype=np.uint8))
        for n, (h, w) in enumerate(sizes)
    ]


def values(runs):
    return {(run.way, run.seed): [score.metrics["PSNR-Y"] for score in run.scores] for run in runs}


def measured(net, pairs, seeds=2):
    found = list(measure_routings(net, pairs, RULE, seeds))
    (router,) = [one for one in found if isinstance(one, Router)]
    return values(one for one in found if isinstance(one, RoutingRun)), router


def test_every_way_is_measured_with_all_seeds_where_it_draws_and_once_where_not(pairs):
    found, _ = measured(network(), pairs)
    assert list(found) == [(way.name, seed) for way in WAYS.values() for seed in range(2 if way.drawn else 1)]
    assert len({tuple(one) for one in found.values()}) == len(found), "each way and each seed gives another output"


def test_ways_do_what_they_say(pairs):
    net = network()
    found, _ = measured(net, pairs)
    again, _ = measured(net, pairs)
    assert found == again, "drawn by their seeds, wherever the generator stood"
    for name, fields in {"deterministic": {"routing": "argmax"}, "no-router": {"routing": "raster", "prompt": "none"}}.items():
        expected, _ = evaluate(restorer_of(network(**fields)), pairs, RULE, 4)
        assert found[name, 0] == [score.metrics["PSNR-Y"] for score in expected], name
    with torch.no_grad():
        for module in net.modules():
            if isinstance(module, AttentiveScan):
                module.route[2].weight.normal_()
                module.route[2].bias.normal_()
    other, _ = measured(net, pairs)
    unmoved = {way for way in WAYS if found[way, 0] == other[way, 0]}
    assert unmoved == {"uniform", "no-router"}, "these two ask the router nothing"


def test_an_image_does_not_depend_on_those_before_it(pairs):
    both, _ = measured(network(), pairs)
    second, _ = measured(network(), pairs[1:])
    assert {key: found[1:] for key, found in both.items()} == second


def test_the_network_is_routed_as_before_and_torch_draws_as_before(pairs):
    net = network()
    torch.manual_seed(5)
    before = torch.get_rng_state()
    measured(net, pairs)
    assert torch.equal(torch.get_rng_state(), before)
    assert {(module.routing, module.place) for module in net.modules() if isinstance(module, AttentiveScan)} == {("sampled", "C")}
    assert not any(module._forward_hooks for module in net.modules())


@pytest.mark.parametrize(("logits", "entropy", "top"), [(0.0, math.log(64), 1 / 64), (1e4, 0.0, 1.0)])
def test_the_router_s_entropy_and_largest_probability(pairs, logits, entropy, top):
    net = network()
    with torch.no_grad():
        for module in net.modules():
            if isinstance(module, AttentiveScan):
                module.route[2].weight.zero_()
                module.route[2].bias.copy_(logits * (torch.arange(64) == 3))
    _, router = measured(net, pairs, seeds=1)
    assert (router.tokens, router.layers) == (64, sum(isinstance(module, AttentiveScan) for module in net.modules()))
    assert router.entropy == pytest.approx(entropy, abs=1e-6)
    assert router.top_probability == pytest.approx(top, abs=1e-6)


def test_a_network_without_a_router_is_refused(pairs):
    with pytest.raises(SuiteError, match="MambaIR has no router"):
        next(measure_routings(models.create("mambair-light-x4-tiny"), pairs, RULE, 1))


@pytest.fixture
def given(tmp_path):
    """A file of weights, a folder of images, a ledger, and the words of the command."""
    torch.save(network().state_dict(), tmp_path / "file.pth")
    (tmp_path / "own-images" / "HR").mkdir(parents=True)
    for number in range(2):
        pixels = np.random.default_rng(number).integers(0, 256, size=(40, 48, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "own-images" / "HR" / f"{number}.png")
    words = ["run", "--grid", "routing", "--weights", "file.pth", "--data", tmp_path / "own-images", "--seeds", "2", "--backend", "numba"]
    words += ["--only", TINY, "--ledger", tmp_path / "ledger", "--report", tmp_path / "page", "--cpus-per-cell", "1"]
    return tmp_path, [str(word) for word in words]


def test_the_command_measures_once_and_its_record_names_no_place_of_this_machine(given, monkeypatch, capsys):
    folder, words = given
    monkeypatch.chdir(folder)
    assert main.main([*words, "--dry-run"]) == Exit.DONE
    assert "new" in capsys.readouterr().out
    assert main.main(words) == Exit.DONE
    said = capsys.readouterr()
    assert "uniform" in said.out
    assert "no-prompt, seed 1: PSNR-Y" in said.err
    (record,) = Ledger(folder / "ledger").records()
    assert isinstance(record, RoutingRecord)
    assert (record.spec.model, record.spec.test_set, record.spec.seeds) == (TINY, "own-images", 2)
    (file,) = (folder / "ledger").glob("*.json")
    assert str(folder) not in file.read_text()
    assert file.stat().st_size < 20_000
    monkeypatch.setattr("suite.measure.quality.routing.measure_routings", None)
    assert main.main([*words, "--json"]) == Exit.DONE
    document = json.loads(capsys.readouterr().out)
    assert document["records"][0]["fingerprint"] == record.fingerprint
    page = (folder / "page" / "index.html").read_text()
    assert record.spec.weights in page
    assert main.main(["list", "records", "--ledger", str(folder / "ledger")]) == Exit.DONE
    assert "12 runs of 7 ways" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--budget", "quick"], "--budget cannot be given with --grid routing"),
        (["--seeds", "0"], "at least 1 seed"),
        (["--only", "mambair-light-x4-tiny"], "one model"),
    ],
)
def test_what_cannot_be_is_refused(given, monkeypatch, capsys, more, message):
    folder, words = given
    monkeypatch.chdir(folder)
    assert main.main([*words, *more]) != Exit.DONE
    assert message in capsys.readouterr().err


def test_weights_are_needed_here_and_refused_elsewhere(capsys):
    assert main.main(["run", "--grid", "routing"]) == Exit.USAGE
    assert "needs --weights FILE" in capsys.readouterr().err
    assert main.main(["run", "--grid", "ablations", "--weights", "x.pth"]) == Exit.USAGE
    assert "`python -m suite evaluate`" in capsys.readouterr().err
