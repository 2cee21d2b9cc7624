"""Training in bfloat16: the scan's state, the weights and every measured number stay float32, and the loss falls."""

import numpy as np
import pytest
import torch
from fake_cells import spec as small
from PIL import Image
from torch.utils._python_dispatch import TorchDispatchMode

from suite.data.degrade.degradations import degradation
from suite.data.feed.sampler import PatchSampler
from suite.data.sets import load_images
from suite.measure.inference.restorer import restorer_of
from suite.training import loop

pytestmark = pytest.mark.usefixtures("one_thread")
MODELS = {"mambair-light-x2-tiny": ("sr-x2", "bicubic-x2"), "vmambair-realsr-x4-tiny": ("sr-x4", "bicubic-x4")}


def begun(model, **fields):
    return loop.begin(small(model, **{"task": MODELS[model][0], "dtype": "bfloat16", "patch": 32, "batch": 2} | fields))


class Scans(TorchDispatchMode):
    """Writes down the types of the tensors that go into the scan's own operators."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if "scan" in str(func):
            self.seen.append((str(func), [x.dtype for x in args if isinstance(x, torch.Tensor)]))
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("backend", ["reference", "numba"])
def test_weights_gradients_and_the_scan_s_constants_stay_float32(model, backend):
    run = begun(model, backend=backend)
    scale = run.network.scale
    low, high = torch.rand(2, 3, 32 // scale, 32 // scale), torch.rand(2, 3, 32, 32)
    with Scans() as scans:
        loss, _, output = loop.generator_loss(run, low, high)
        loss.backward()
    assert output.dtype == loss.dtype == torch.float32
    assert scans.seen
    for name, dtypes in scans.seen:
        assert torch.float32 in dtypes, name  # A, D and the bias of delta, in which the state is kept
    for parameter in run.network.parameters():
        assert parameter.dtype == torch.float32
        assert parameter.grad is None or parameter.grad.dtype == torch.float32


@pytest.mark.parametrize("model", MODELS)
def test_a_bfloat16_run_learns_and_is_measured_in_float32(model, tmp_path):
    random = np.random.default_rng(0)
    for index in range(2):
        smooth = np.kron(random.integers(0, 256, (8, 9, 3)), np.ones((8, 8, 1))).astype(np.uint8)
        Image.fromarray(smooth).save(tmp_path / f"{index}.png")
    run = begun(model, iterations=30, batch=1, backend="numba", lr=2e-3)
    sampler = PatchSampler(load_images(str(tmp_path), "train"), degradation(MODELS[model][1]), 32, 0, rotate=True)
    for _ in loop.train(run, sampler, [], tmp_path / "work"):
        pass
    assert run.history[-1].loss < 0.9 * run.history[0].loss
    picture = random.integers(0, 256, (16, 16, 3)).astype(np.uint8)
    plain = begun(model, dtype="float32", backend="numba")
    plain.network.load_state_dict(run.network.state_dict())
    measured = restorer_of(run.evaluated)(picture)
    assert measured.dtype == np.float32
    assert np.array_equal(measured, restorer_of(plain.evaluated)(picture))  # no autocast while it is measured


def test_tensorfloat_32_is_off_while_quality_is_measured(monkeypatch):
    run = begun("mambair-light-x2-tiny", dtype="float32")
    seen = []
    network = run.evaluated
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    network.register_forward_pre_hook(
        lambda *_: seen.append((torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32, torch.is_autocast_enabled("cpu")))
    )
    restorer_of(network)(np.zeros((16, 16, 3), np.uint8))
    assert seen == [(False, False, False)]
    assert torch.backends.cudnn.allow_tf32
