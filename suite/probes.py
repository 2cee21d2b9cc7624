"""PROBES: the numbers that the gate watches, each group made by one function from fixed seeds on the processor.

A number has a kind, which says how it is compared (suite.gate.KINDS), and the version of what it rests on (a protocol's, a
degradation's): where that has changed, it is not comparable. The whole takes under three minutes on two cores; nothing is read but the
embedded photographs.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from models.base import RestorationNet
    from suite.spec import RunSpec
    from suite.tasks import Task

Kind = Literal["count", "digest", "known", "output", "loss", "quality"]
BUDGET, DATA = "smoke", "photo-crops"
SCANS = ("numba", "cpp")  # backends that are verified, where they run
SCAN_ELEMENTS = 60_000  # of the largest case that is verified
TRAINED_ON = "numba"  # runs everywhere
SIDE = 16  # pixels of the input of a network whose output is watched
FAINT = 1 / 64  # contrast of the second input: there an epsilon under a root weighs


@dataclass(frozen=True)
class Number:
    """A watched number; `rests_on` names the versions and data that make it comparable, `error` says why there is no value."""

    key: str
    kind: Kind
    value: float | str | None
    rests_on: str = ""
    error: str = ""


@dataclass(frozen=True)
class Probe:
    """A row of the table: a group of numbers."""

    name: str
    what: str
    numbers: Callable[[], Iterator[Number]]


def digest(*arrays: np.ndarray) -> str:
    """16 hexadecimal digits over shapes, types and bytes."""
    found = hashlib.sha256()
    for array in arrays:
        found.update(f"{array.shape} {array.dtype}".encode())
        found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()[:16]


def networks() -> Iterator[Number]:
    """Parameters of every network, what its layers are, and the multiply-adds of its tiny sibling by operator."""
    import torch

    import models
    from models.base import count_parameters
    from models.official import official_names
    from suite.cost import cost_of, trace_macs

    for name in models.names():
        with torch.device("meta"):
            network = models.create(name)
        yield Number(f"networks/{name}/parameters", "count", float(count_parameters(network)))
        layers = hashlib.sha256(repr(network).encode()).hexdigest()[:16]
        yield Number(f"networks/{name}/layers", "digest", layers)
        theirs = hashlib.sha256("\n".join(official_names(network).values()).encode()).hexdigest()[:16]
        yield Number(f"networks/{name}/official names", "digest", theirs)
    for name in models.names(tiny=True):
        torch.manual_seed(0)
        network = models.create(name)
        for operator, macs in sorted(trace_macs(network, (SIDE, SIDE)).items()):
            yield Number(f"networks/{name}/macs/{operator}", "count", float(macs))
        yield Number(f"networks/{name}/macs at 64x64", "count", cost_of(network, (64, 64)).macs)


def outputs() -> Iterator[Number]:
    """What tiny networks make of two fixed inputs, by the reference and the backend that runs everywhere; what they were drawn as."""
    import models

    random = np.random.default_rng(0)
    for name in models.names(tiny=True):
        network = _drawn(name)
        weights = sum(float(p.detach().double().abs().sum()) for p in network.parameters())
        yield Number(f"outputs/{name}/initial weights", "output", weights)
        grain = random.random((1, network.channels, SIDE, SIDE), dtype=np.float32)
        for backend in ("reference", TRAINED_ON):
            models.set_scan_backend(network, backend)
            for contrast, label in ((1.0, "plain"), (FAINT, "faint")):
                yield Number(f"outputs/{name}/{backend}/{label}", "output", _seen(network, 0.5 + contrast * (grain - 0.5)))
    yield _dropped(random.random((1, 3, SIDE, SIDE), dtype=np.float32))


def _dropped(picture: np.ndarray) -> Number:
    """In training, where stochastic depth leaves out the branch of the last blocks."""
    import torch

    import models
    from models.layers import depth_draws

    network = _drawn("mambair-sr-x2-tiny", depths=(3,))
    models.set_scan_backend(network, "reference")
    depth_draws(network.train(), torch.full((depth_draws(network, None), 1), 0.95))
    return Number("outputs/mambair-sr-x2-tiny/reference/stochastic depth", "output", _seen(network, picture))


def _drawn(name: str, **overrides: object) -> RestorationNet:
    """A network with weights twice as large as drawn, so that the bends of its activations show."""
    import torch

    import models

    torch.manual_seed(0)
    network = models.create(name, **overrides).eval()
    with torch.no_grad():
        for key, parameter in network.named_parameters():
            if key.endswith("weight") and parameter.dim() > 1:
                parameter.mul_(2)
    return network


def _seen(network: RestorationNet, picture: np.ndarray) -> float:
    """The output along a fixed direction: what is only moved about is seen, too."""
    import torch

    with torch.no_grad():
        y = network(torch.from_numpy(picture)).double().numpy()
    direction = np.random.default_rng(1).standard_normal(y.shape)
    return float((y * direction).sum() / np.linalg.norm(direction))


def scans() -> Iterator[Number]:
    """Whether each backend agrees with the reference in float64, forward and every gradient: "right", or what is off."""
    from models.scan.backends import BackendUnavailable, resolve_backend
    from suite import scan_check

    for backend in SCANS:
        key = f"scans/{backend}"
        try:
            resolve_backend(backend, "cpu")
        except BackendUnavailable as error:
            yield Number(key, "digest", None, error=f"{backend} does not run here: {error.reason}")
            continue
        wrong = [f"{found.name}: {', '.join(found.wrong)}" for found in scan_check.check(backend, "cpu", SCAN_ELEMENTS) if found.wrong]
        yield Number(key, "digest", "; ".join(wrong[:3]) or "right")


def data() -> Iterator[Number]:
    """Bytes of the low-quality test images and of the first training batches of every task."""
    from suite.data.degradations import degradation
    from suite.data.sampler import PatchSampler
    from suite.data.sets import load_pairs, load_training
    from suite.protocols import PROTOCOLS
    from suite.tasks import TASKS

    for task in TASKS.values():
        row = degradation(task.degradation)
        version = f"{row.name} v{row.version}"
        rule = PROTOCOLS[task.protocol]
        for pair in load_pairs(DATA, "test", task, rule)[:2]:
            yield Number(f"data/{task.name}/{pair.name}", "digest", digest(pair.lq, pair.hq), version)
        sampler = PatchSampler(load_training(DATA, task).images, row, 48, 0, rotate=task.recipe.rotate)
        for iteration in range(2):
            yield Number(f"data/{task.name}/batch {iteration}", "digest", digest(*sampler.batch(iteration, 2)), version)


def protocols() -> Iterator[Number]:
    """Every protocol's PSNR and SSIM of two made-up pairs, and how images are averaged."""
    from suite.metrics import fidelity
    from suite.protocols import PROTOCOLS

    for key, rule in PROTOCOLS.items():
        means: dict[str, list[float]] = {}
        for number, (output, target) in enumerate(_pairs(1 if rule.channel == "grey" else 3)):
            for metric, value in fidelity.score(rule, output, target, 4).items():
                means.setdefault(metric, []).append(value)
                yield Number(f"protocols/{rule.name}/{metric}/{number}", "known", value, key)
        for metric, values in means.items():
            yield Number(f"protocols/{rule.name}/{metric}/mean", "known", _mean(metric, values), key)


def _pairs(channels: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Outputs in floating point around 0..1, one of them nearly right, and their targets."""
    for number, error in enumerate((0.004, 0.12)):
        random = np.random.default_rng((channels, number))
        smooth = np.kron(random.random((7, 8, channels)), np.ones((8, 8, 1)))
        noise = random.standard_normal(smooth.shape)
        yield (smooth + error * noise).astype(np.float32), np.rint(255 * smooth).astype(np.uint8)


def _mean(metric: str, values: Sequence[float]) -> float:
    """As a record has it: over images."""
    from suite.record import ImageScore, Record
    from suite.spec import RunSpec

    spec = RunSpec(model="none", task="none", budget="none", backend="none", iterations=0, batch=1, patch=16, lr=1.0, protocol="none@1")
    scores = tuple(ImageScore(image=str(number), metrics={metric: value}) for number, value in enumerate(values))
    return Record(fingerprint=spec.fingerprint, spec=spec, status="done", scores=scores).mean(metric)


def inference() -> Iterator[Number]:
    """Tiles and self-ensemble, of a restorer that treats no two directions alike."""
    from suite.ensemble import ensembled
    from suite.tiling import TILINGS, tiled

    picture = np.random.default_rng(0).random((75, 110, 3)).astype(np.float32)

    def restore(image: np.ndarray) -> np.ndarray:
        shifted = 0.7 * image + 0.2 * np.roll(image, 1, axis=0) + 0.1 * np.roll(image, 2, axis=1)
        return np.repeat(np.repeat(shifted, 2, axis=0), 2, axis=1).astype(np.float32)

    direction = np.random.default_rng(1).standard_normal((150, 220, 3))
    for kind in TILINGS:
        yield Number(f"inference/{kind}", "output", float((tiled(restore, kind, 40)(picture) * direction).sum()))
    yield Number("inference/self-ensemble", "output", float((ensembled(restore)(picture) * direction).sum()))


def training() -> Iterator[Number]:
    """Losses of the first steps, and the quality after them, of both designs on every task, by their recipes in miniature."""
    with tempfile.TemporaryDirectory(prefix="suite-check-") as folder:
        for spec in smoke_cells():
            try:
                yield from _trained(spec, Path(folder))
            except Exception as error:  # any failure is a finding
                yield Number(f"training/{spec.task}/{spec.model}/loss 1", "loss", None, error=f"{type(error).__name__}: {error}")


def smoke_cells() -> list[RunSpec]:
    """A cell of each design for each task, as far as it has a network for it, behind the cells that it begins with."""
    from suite import grids

    chosen: dict[tuple[str, str], str] = {}
    for pairing in grids.PAIRINGS:
        chosen.setdefault((pairing.task, pairing.model.partition("-")[0]), f"{pairing.model}@{pairing.task}")
    sets = dict.fromkeys(("train_set", "validation_set", "test_set"), DATA)
    return grids.cells("tasks", budget=BUDGET, seeds=1, only=list(chosen.values()), changes=sets, backend=TRAINED_ON, device="cpu")


def _trained(spec: RunSpec, folder: Path) -> Iterator[Number]:
    from suite import evaluate, train
    from suite.batches import mixed
    from suite.cell import sampler_of
    from suite.data.sets import load_pairs, load_training
    from suite.networks import restorer_of
    from suite.protocols import protocol
    from suite.start import save_weights, starting_weights, weights_file
    from suite.tasks import task as task_row

    task, rule = task_row(spec.task), protocol(spec.protocol)
    rests_on = f"{rule.key}, {_degradation(task)}"
    run = train.begin(spec, None, starting_weights(spec, folder))
    sampler, key = sampler_of(spec, task, load_training(spec.train_set, task)), f"training/{spec.task}/{spec.model}"
    if spec.mixup:  # in four steps of two images it may happen to mix none
        parts = [part for iteration in range(4) for part in mixed(spec, sampler, iteration, 4, range(4))]
        yield Number(f"{key}/mixed batches", "digest", digest(*parts), rests_on)
    for _ in train.train(run, sampler, [], folder / spec.fingerprint):
        pass
    save_weights(weights_file(folder, spec.fingerprint), run)
    for point in run.history:
        yield Number(f"{key}/loss {point.iteration}", "loss", point.loss, rests_on)
    scores, _ = evaluate.evaluate(restorer_of(run.evaluated), load_pairs(spec.test_set, "test", task, rule)[:2], rule, task.scale)
    for score in scores:
        for metric, value in score.metrics.items():
            yield Number(f"{key}/{metric}/{score.image}", "quality", value, rests_on)


def _degradation(task: Task) -> str:
    from suite.data.degradations import degradation

    row = degradation(task.degradation)
    return f"{row.name} v{row.version}"


PROBES: Mapping[str, Probe] = MappingProxyType(
    {
        row.name: row
        for row in (
            Probe("networks", "parameters, layers, official names and multiply-adds of every network", networks),
            Probe("outputs", "what every tiny network makes of fixed inputs", outputs),
            Probe("scans", "each scan backend against float64", scans),
            Probe("data", "bytes of test images and training batches of every task", data),
            Probe("protocols", "every protocol's numbers of made-up pairs", protocols),
            Probe("inference", "tiles and self-ensemble", inference),
            Probe("training", "losses and quality of both designs on every task after a few steps", training),
        )
    }
)
