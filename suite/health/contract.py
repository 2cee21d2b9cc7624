"""CONTRACT: what every network has to do so that the suite can train, measure, count and compare it. `check-design` walks it.

A check is given the name of a network, runs its tiny sibling (some the network itself, to count it), and returns a sentence on what was
seen; it raises `Broken` with what is wrong, or whatever the network raises.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import torch
from torch import Tensor

import models
from models.base import RestorationNet, count_parameters
from models.catalog import TINY_DEPTH_DIVISOR, TINY_WIDTH
from models.official import official_names
from models.parts.layers import depth_draws
from models.parts.s6 import DirectionalS6
from models.scan.backends import BACKENDS, BackendUnavailable, resolve_backend
from suite.core.text import format_clock
from suite.health.probes.number import BUDGET, DATA, TRAINED_ON
from suite.health.probes.outside import plan_own_task
from suite.health.probes.training import train_in_miniature
from suite.measure.costs.count import count_subject, describe_subject, make_subject, trace
from suite.measure.costs.second_count import compare_counters
from suite.runner.estimate import estimate_roughly
from suite.runner.operations import get_count, training_operations
from suite.study.outside.plugin_files import describe_failure
from suite.study.outside.plugins import plugin_of
from suite.training.interpolation import begin_as_interpolation

SIDES = ((16, 24), (13, 18), (8, 25))  # pixels, more where the network takes no image so small: multiples of little, and of nothing
TRIES = 12  # draws of weights: a unit whose ReLU is shut has no gradient in one of them
CLOSE = {"rtol": 1e-4, "atol": 1e-5}  # of float32 sums in another order
REFERENCE = "reference"


class Broken(Exception):
    """A check that does not hold: says what was asked, what was found, and what to do."""


@dataclass(frozen=True)
class Check:
    """A row of the table; `what` is what it asks of a network."""

    name: str
    what: str
    run: Callable[[str], str]


@dataclass(frozen=True)
class CheckResult:
    """What a check says of a network."""

    check: str
    model: str
    holds: bool
    said: str


def check_networks(names: Iterable[str], checks: Sequence[Check]) -> Iterator[CheckResult]:
    """Yield what each check says of each network; a network that raises does not hold, whatever it raises."""
    for name in names:
        for check in checks:
            try:
                yield CheckResult(check.name, name, True, check.run(name))
            except Broken as error:
                yield CheckResult(check.name, name, False, str(error))
            except Exception as error:  # of code that is not ours
                plugin = plugin_of(name)
                yield CheckResult(check.name, name, False, describe_failure(error, plugin.file if plugin else None))


def _tiny_name(name: str) -> str:
    network, dot, suffix = name.partition(".")
    return f"{network}-tiny{dot}{suffix}"


def _make(name: str, *, backend: str = REFERENCE) -> RestorationNet:
    """Return the tiny sibling with fixed weights, in evaluation mode, without draws."""
    torch.manual_seed(0)
    network = models.create(_tiny_name(name)).eval()
    models.set_scan_backend(network, backend)
    models.set_routing(network, "argmax")
    return network


def _image(network: RestorationNet, height: int, width: int, batch: int = 1) -> Tensor:
    """Return noise of these sides, longer where the network takes no image so small."""
    least = network.config.smallest_side
    sides = (side if side >= least else least + side % 8 for side in (height, width))
    return torch.rand(batch, network.channels, *sides, generator=torch.Generator().manual_seed(1))


def _check_shapes(name: str) -> str:
    network = _make(name)
    for sides in SIDES:
        x = _image(network, *sides, batch=2)
        with torch.inference_mode():
            y = network(x)
        wanted = (2, network.channels, x.shape[2] * network.scale, x.shape[3] * network.scale)
        if tuple(y.shape) != wanted:
            raise Broken(f"an input of {tuple(x.shape)} gives {tuple(y.shape)}, and must give {wanted}: scale times the sides")
        if not torch.isfinite(y).all():
            raise Broken(f"an input of {tuple(x.shape)} in 0..1 gives values that are not finite")
    return f"{len(SIDES)} sizes, multiples of nothing among them, give {network.scale} times their sides"


def _check_dtypes(name: str) -> str:
    for dtype in (torch.float32, torch.float64):
        network = _make(name).to(dtype)
        with torch.inference_mode():
            y = network(_image(network, *SIDES[0]).to(dtype))
        if y.dtype != dtype:
            raise Broken(f"in {dtype} it gives {y.dtype}: make tensors with the input's dtype and device, e.g. x.new_zeros(...)")
    network = _make(name)
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        y = network(_image(network, *SIDES[0]))
    if not torch.isfinite(y.float()).all():
        raise Broken("under autocast to bfloat16 (--set dtype=bfloat16) its output is not finite")
    return "float32 and float64 give their own type, bfloat16's autocast finite values"


def _check_gradients(name: str) -> str:
    silent: set[str] | None = None
    for seed in range(TRIES):
        torch.manual_seed(seed)
        network = models.create(_tiny_name(name)).train()
        models.set_scan_backend(network, TRAINED_ON)
        if count := depth_draws(network, None):  # a dropped branch has no gradient
            depth_draws(network, torch.ones(count, 2))
        network(_image(network, *SIDES[0], batch=2)).square().mean().backward()
        found = {key: value.grad for key, value in network.named_parameters() if value.requires_grad}
        if wrong := [key for key, grad in found.items() if grad is not None and not torch.isfinite(grad).all()]:
            raise Broken(f"the gradient of {wrong[0]} is not finite")
        quiet = {key for key, grad in found.items() if grad is None or not grad.any()}
        silent = quiet if silent is None else silent & quiet
        if not silent:
            return f"{len(found)} parameters have finite gradients, none of them zero"
    raise Broken(f"{', '.join(sorted(silent or ())[:3])} never gets a gradient in {TRIES} draws: is it used, and not detached?")


def _check_batch(name: str) -> str:
    network = _make(name)
    x = _image(network, *SIDES[0], batch=2)
    with torch.inference_mode():
        both, alone = network(x), network(x[1:])
    if not torch.allclose(both[1:], alone, **CLOSE):
        raise Broken(
            f"an image restored beside another differs by {_furthest(both[1:], alone)} from itself alone: statistics over a batch?"
        )
    return "an image is restored alike alone and beside another"


def _check_determinism(name: str) -> str:
    one, other = _make(name), _make(name)
    x = _image(one, *SIDES[0])
    if drawn := [key for key, value in one.state_dict().items() if not torch.equal(value, other.state_dict()[key])]:
        raise Broken(f"{drawn[0]} has other values after the same torch.manual_seed: draw weights by torch alone")
    with torch.inference_mode():
        first, second = one(x), one(x)
    if not torch.equal(first, second):
        raise Broken(f"two calls in evaluation mode differ by {_furthest(first, second)}: draw only where self.training")
    return "the same seed gives the same weights, and two calls the same bits"


def _check_backends(name: str) -> str:
    network = _make(name)
    if not any(isinstance(module, DirectionalS6) for module in network.modules()):
        return "it has no scan of models.parts.s6: --backend changes nothing"
    x, agreed = _image(network, *SIDES[0]), []
    with torch.inference_mode():
        expected = network(x)
        for row in BACKENDS.values():
            if "cpu" not in row.devices or row.name == REFERENCE:
                continue
            try:
                resolve_backend(row.name, "cpu")
            except BackendUnavailable:
                continue
            models.set_scan_backend(network, row.name)
            y = network(x)
            if not torch.allclose(y, expected, **CLOSE):
                raise Broken(f"by {row.name} the output differs by {_furthest(y, expected)} from that by {REFERENCE}")
            agreed.append(row.name)
    return f"{', '.join(agreed)} agree with {REFERENCE}"


def _check_tiny(name: str) -> str:
    config = models.card(name).config
    small = config.narrowed(TINY_WIDTH, TINY_DEPTH_DIVISOR)
    if small.narrowed(TINY_WIDTH, 1) != small:
        raise Broken(f"narrowed({TINY_WIDTH}, 1) of its tiny sibling is another network: it must change the width and the depths alone")
    with torch.device("meta"):
        large, tiny = (count_parameters(models.build(one)) for one in (config, small))
    if tiny > large:
        raise Broken(f"its tiny sibling has {tiny:,} parameters, and it has {large:,}")
    stated = models.card(name).params
    if stated is not None and stated != large:
        raise Broken(f"its card says {stated:,} parameters, and it has {large:,}")
    return f"{_tiny_name(name)} has {tiny:,} parameters of {large:,}"


def _check_costs(name: str) -> str:
    torch.manual_seed(0)
    subject = describe_subject(models.create(_tiny_name(name)))
    counted = count_subject(subject)
    step = subject.scanned_multiple or subject.multiple
    side = 3 * counted.small[0][0][0]
    size = (side, side + step)
    predicted, traced = counted.at(size), trace(subject, size)
    if not math.isclose(predicted.macs, traced.macs, rel_tol=1e-9):
        raise Broken(
            f"at {size[0]}x{size[1]} it takes {traced.macs:,.0f} multiply-adds, and a straight line through two smaller sizes gives "
            f"{predicted.macs:,.0f}: costs at other sizes than were traced cannot be told"
        )
    apart = [line for line in compare_counters(subject, size, traced) if not line.agrees]
    if apart:
        one = apart[0]
        raise Broken(f"fvcore counts {one.first:,.0f} operations of {one.operators}, and PyTorch's counter {one.second or 0:,.0f}")
    full = count_subject(make_subject(name)).at((64, 64))
    return f"{full.macs / 1e9:.2f} GMACs at 64x64, a straight line in the pixels; two counters agree"


def _check_work(name: str) -> str:
    config = models.card(name).config
    small = config.narrowed(TINY_WIDTH, TINY_DEPTH_DIVISOR)
    if not (math.isfinite(config.work) and 0 < small.work <= config.work):
        raise Broken(f"work is {config.work!r}, and {small.work!r} of its tiny sibling: it is positive, and less of a smaller network")
    (quick,), (paper,) = (plan_own_task(name, budget)[-1:] for budget in ("quick", "paper"))
    rough = estimate_roughly(quick)
    time = f"quick: about {format_clock(rough)} on a processor (rule); " if rough is not None else ""
    return f"{time}paper: {training_operations(paper) / 1e15:.2g} peta-operations ({get_count(name).parameters:,} parameters)"


def _check_names(name: str) -> str:
    with torch.device("meta"):
        names = official_names(models.create(name))
    if len(set(names.values())) != len(names):
        twice = next(one for one in names.values() if list(names.values()).count(one) > 1)
        raise Broken(f"rules give two parameters the name {twice!r}")
    renamed = sum(ours != theirs for ours, theirs in names.items())
    return f"{renamed} of {len(names)} parameters have another name in the authors' code"


def _check_start(name: str) -> str:
    network = models.build(models.card(name).config.narrowed(TINY_WIDTH, TINY_DEPTH_DIVISOR)).eval()
    models.set_scan_backend(network, REFERENCE)
    begin_as_interpolation(network)
    side = max(32, network.config.smallest_side)
    slope = torch.linspace(0.2, 0.8, side)
    x = ((slope[:, None] + slope[None, :]) / 2).expand(1, network.channels, side, side).contiguous()
    with torch.inference_mode():
        y = network(x)
    wanted = torch.nn.functional.interpolate(x, scale_factor=network.scale, mode="bilinear") if network.scale > 1 else x
    inner = slice(4 * network.scale, -4 * network.scale)
    furthest = float((y - wanted)[..., inner, inner].abs().max())
    if furthest > 0.02:
        raise Broken(
            f"begun as an interpolation it is off by {furthest:.3f} on a slope of grey: colour_path() names other layers than colours pass"
        )
    return "it begins as an interpolation, as the budgets quick and evening want it"


def _check_training(name: str) -> str:
    sets = dict.fromkeys(("train_set", "validation_set", "test_set"), DATA)
    (spec,) = plan_own_task(name, BUDGET, sets)[-1:]
    with tempfile.TemporaryDirectory(prefix="suite-check-") as folder:
        numbers = list(train_in_miniature(spec.model_copy(update={"start": ""}), Path(folder)))
    losses = [number.value for number in numbers if number.kind == "loss"]
    if not losses or not all(isinstance(value, float) and math.isfinite(value) for value in losses):
        raise Broken(f"four steps of training on {spec.task} give the losses {losses}")
    return f"four steps on {spec.task}, and a measurement by {spec.protocol}"


def _furthest(one: Tensor, other: Tensor) -> str:
    return f"{float((one - other).abs().max()):.2g}"


CONTRACT: Mapping[str, Check] = MappingProxyType(
    {
        row.name: row
        for row in (
            Check("shapes", "an image of any size gives one of scale times its sides, finite", _check_shapes),
            Check("dtypes", "float32, float64 and bfloat16's autocast", _check_dtypes),
            Check("gradients", "every parameter learns", _check_gradients),
            Check("batch", "an image does not depend on those beside it", _check_batch),
            Check("determinism", "a seed gives the weights, and two calls the same bits", _check_determinism),
            Check("backends", "all scan backends of this processor give what the reference gives", _check_backends),
            Check("tiny sibling", "narrowed() gives a smaller network of the same design; parameters are as stated", _check_tiny),
            Check("costs", "operations are a straight line in the pixels, and two counters agree", _check_costs),
            Check("work", "what training takes can be told", _check_work),
            Check("names", "parameters have names of their own in the authors' code", _check_names),
            Check("quick start", "it can begin as an interpolation", _check_start),
            Check("training", "four steps on its task", _check_training),
        )
    }
)
