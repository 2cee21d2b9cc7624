"""What the scans do inside networks, pixel by pixel and by hand in float64, where they weigh.

As MambaIR is drawn, its scans move the output by 1e-4 of itself, and what goes wrong in them is lost among tolerances. Here their branches
make more than 1 % of the output.
"""

import types

import numpy as np
import pytest
import torch

import models
from models.parts.oss import OmniSelectiveScan
from models.parts.s6 import DirectionalS6, PlanarS6
from models.parts.vss import VisionStateSpace
from models.scan import BackendUnavailable, resolve_backend

pytestmark = pytest.mark.usefixtures("one_thread")
LIGHT, CLASSIC, UNET, VMAMBAIR = "mambair-light-x4-tiny", "mambair-sr-x2-tiny", "mambair-realdn-tiny", "vmambair-realsr-x4-tiny"
NETWORKS = [LIGHT, "mambair-light-x2-tiny.generation-1", CLASSIC, f"{CLASSIC}.one-direction", f"{CLASSIC}.two-direction", UNET, VMAMBAIR]
TOLERANCE = 5e-6  # of the norm of the output; 1.3e-7 to 2e-7 are measured


def walks_of(count, height, width):
    """The pixels of an image in the order of each direction (MambaIR, section 3.5): rows, columns, and both backwards."""
    rows = [(i, j) for i in range(height) for j in range(width)]
    columns = [(i, j) for j in range(width) for i in range(height)]
    return {1: [rows], 2: [rows, rows[::-1]], 4: [rows, columns, rows[::-1], columns[::-1]]}[count]


def recurrence(s6, k, inputs, bias=True):
    """The outputs of direction k for a sequence of inputs (L, C): delta, B and C of each step from its input (Mamba, algorithm 2)."""
    x_proj, dt_proj, dt_bias, A_log, D = (
        getattr(s6, name).detach().double().numpy() for name in ("x_proj", "dt_proj", "dt_bias", "A_log", "D")
    )
    directions, channels, rank = dt_proj.shape
    A = -np.exp(A_log.reshape(directions, channels, -1)[k])
    state, found = np.zeros_like(A), []
    for u in inputs:
        low_rank, B, C = np.split(x_proj[k] @ u, [rank, rank + A.shape[1]])
        delta = np.log1p(np.exp(dt_proj[k] @ low_rank + (dt_bias[k] if bias else 0)))
        state = np.exp(delta[:, None] * A) * state + (delta * u)[:, None] * B
        found.append(state @ C + D.reshape(directions, channels)[k] * u)
    return np.stack(found)


def planar(s6, image, fault=""):
    """PlanarS6 of an image (C, H, W): each direction walks over it, and what it leaves at a pixel is added up there."""
    _, height, width = image.shape
    walks = walks_of(s6.directions, height, width)
    if fault == "rows for columns":
        walks = [walks[place ^ 1] for place in range(len(walks))] if len(walks) == 4 else walks[::-1]
    found = np.zeros_like(image)
    for k, walk in enumerate(walks):
        outputs = recurrence(s6, k, [image[:, i, j] for i, j in walk], bias=fault != "no dt bias")
        for (i, j), y in zip(walk, outputs, strict=True):
            found[:, i, j] += y
    return found


def sequences(s6, stacked, fault=""):
    """DirectionalS6 of sequences (K, C, L)."""
    order = range(len(stacked))[:: -1 if fault == "rows for columns" else 1]
    return np.stack([recurrence(s6, k, stacked[k].T, bias=fault != "no dt bias").T for k in order])


def by_hand(network, fault=""):
    """Puts the scans by hand in the place of the network's own."""
    for module in network.modules():
        if isinstance(module, DirectionalS6):
            scan = planar if isinstance(module, PlanarS6) else sequences

            def forward(self, x, scan=scan):
                made = [scan(self, one.detach().double().numpy(), fault) for one in x]
                return torch.from_numpy(np.stack(made)).to(x.dtype)

            module.forward = types.MethodType(forward, module)
    return network


def loud(name):
    """A network whose scans weigh: no branch is faint, steps are long enough for the state to count, and no two directions are alike."""
    torch.manual_seed(0)
    network = models.create(name).eval()
    gain = 1 if name == UNET else 10  # of so many blocks, the faint ones are loud together
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, VisionStateSpace):  # VmambaIR's are loud as they are drawn
                module.in_proj.weight.mul_(gain)
                module.out_proj.weight.mul_(gain)
            if isinstance(module, DirectionalS6):
                module.dt_bias.copy_(torch.linspace(-3, 1, module.dt_bias.numel()).view_as(module.dt_bias))
                module.x_proj.mul_(3)
                module.A_log.add_(0.3 * torch.randn_like(module.A_log))
                module.D.mul_(0.5)
    return network


def picture(network):
    side = (8, 16) if network.size_multiple > 1 else (5, 7)
    return torch.from_numpy(np.random.default_rng(0).random((1, network.channels, *side), dtype=np.float32))


def output(network):
    with torch.inference_mode():
        return network(picture(network)).double()


def without_scans(name):
    """The network, whose scan branches give nothing."""
    network = loud(name)
    for module in network.modules():
        if isinstance(module, VisionStateSpace | OmniSelectiveScan):
            module.register_forward_hook(lambda _module, _inputs, y: torch.zeros_like(y))
    return network


@pytest.mark.parametrize("backend", ["reference", "numba", "cpp"])
@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_is_what_its_scans_by_hand_make_of_it(name, backend):
    try:
        resolve_backend(backend, "cpu")
    except BackendUnavailable as error:
        pytest.skip(str(error))
    network = loud(name)
    models.set_scan_backend(network, backend)
    found, expected = output(network), output(by_hand(loud(name)))
    assert (found - expected).norm() < TOLERANCE * expected.norm()


@pytest.mark.parametrize("name", NETWORKS)
def test_what_goes_wrong_in_a_scan_is_far_beyond_the_tolerance(name):
    expected = output(by_hand(loud(name)))
    assert (output(without_scans(name)) - expected).norm() > 0.01 * expected.norm()
    for fault in ("no dt bias", "rows for columns"):
        if not (fault == "rows for columns" and name.endswith("one-direction")):
            assert (output(by_hand(loud(name), fault)) - expected).norm() > 100 * TOLERANCE * expected.norm(), fault
