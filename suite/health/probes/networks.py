"""The networks: how many parameters, which layers and names, what they cost, and what their small siblings make of fixed inputs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial

import numpy as np
import torch

import models
from models.base import RestorationNet, count_parameters
from models.catalog import design_of
from models.official import official_names
from models.parts.layers import depth_draws
from suite.health.probes.nudge import nudge
from suite.health.probes.number import TRAINED_ON, Number, ProbePart, along_a_direction, digest_of
from suite.measure.costs.conventions import conventions_for
from suite.measure.costs.count import count_subject, describe_subject, make_subject, trace

COUNTED_SIDE = 16  # pixels of the input whose multiply-adds are watched
WATCHED_WHOLE = ("VmambaIR", "MambaIR")  # designs of which every network is watched
INPUT_HEIGHT, INPUT_WIDTH = 13, 18  # of the inputs whose outputs are watched: multiples of nothing, so that padding shows
FAINT = 1 / 64  # contrast of the second input: there an epsilon under a root weighs
# What weights are multiplied by as they were drawn. Twice the weights show the bends of activations; as drawn, MambaIR's scan
# makes up a thousandth of the output, and a wrong one would pass for rounding.
DRAWN, PROJECTION_IN, PROJECTION_OUT = 2.0, 3.0, 4.0


def gate_networks() -> list[str]:
    """Return the small networks whose costs and outputs the gate watches: all of `WATCHED_WHOLE`, and of every later design the first.

    A later design's other networks are held to its authors' code by the goldens, and watched by parameters, layers and names.
    """
    chosen: dict[str, str] = {}
    for name in models.names(tiny=True):
        design = design_of(models.card(name).config).name
        chosen.setdefault(name if design in WATCHED_WHOLE else design, name)
    return list(chosen.values())


def parts() -> tuple[ProbePart, ...]:
    """Return the parts: parameters of all, and costs."""
    return (
        ProbePart("parameters", lambda: list_parameters(models.names()), 4),
        ProbePart("costs", lambda: list_costs(gate_networks()), 14),
        ProbePart("conventions", _conventions, 3),
    )


def list_parameters(names: Iterable[str]) -> Iterator[Number]:
    """Yield how many parameters each network has, its layers and its official names."""
    for name in names:
        with torch.device("meta"):
            network = models.create(name)
        yield Number(f"networks/{name}/parameters", "count", float(count_parameters(network)))
        yield Number(f"networks/{name}/layers", "digest", digest_of(network))
        yield Number(f"networks/{name}/official names", "digest", digest_of(sorted(official_names(network).items())))


def list_costs(names: Iterable[str]) -> Iterator[Number]:
    """Count multiply-adds of small siblings by operator, and at another size."""
    for name in names:
        torch.manual_seed(0)
        subject = describe_subject(models.create(name))
        side = COUNTED_SIDE if subject.smallest_side <= COUNTED_SIDE else subject.smallest_side
        for operator, macs in sorted(trace(subject, (side, side)).by_operator.items()):
            yield Number(f"networks/{name}/macs/{operator}", "count", float(macs))
        yield Number(f"networks/{name}/macs at 64x64", "count", count_subject(subject).at((64, 64)).macs)


def _conventions() -> Iterator[Number]:
    """Count the first network, as published, of the designs that have conventions of their own, by every convention."""
    for name in dict.fromkeys(next(n for n in models.names() if n.startswith(design)) for design in ("vmambair", "mambair-")):
        counts = count_subject(make_subject(name)).at((64, 64))  # not of the cache: faults are injected
        yield Number(f"networks/{name}/flops at 64x64", "count", counts.flops)
        for convention in conventions_for(name):
            yield Number(f"networks/{name}/macs at 64x64 by {convention.name}", "count", convention.macs(counts))


def output_parts() -> tuple[ProbePart, ...]:
    """Return a part for each small network."""
    each = tuple(ProbePart(name, partial(list_outputs, name), 1) for name in gate_networks())
    return (*each, ProbePart("stochastic depth", _dropped, 1))


def list_outputs(name: str) -> Iterator[Number]:
    """Feed the network two inputs: by the reference in float64, where only the last digit is rounded, and by the scan that trains."""
    network = draw_network(name)
    weights = sum(float(p.detach().double().abs().sum()) for p in network.parameters())
    yield Number(f"outputs/{name}/initial weights", "output", weights)
    more = 8 if network.config.smallest_side > INPUT_HEIGHT else 0
    grain = np.random.default_rng(0).random((1, network.channels, INPUT_HEIGHT + more, INPUT_WIDTH + more))
    for backend, dtype, kind in ((TRAINED_ON, torch.float32, "output"), ("reference", torch.float64, "double")):
        models.set_scan_backend(network.to(dtype), backend)
        for contrast, label in ((1.0, "plain"), (FAINT, "faint")):
            yield Number(f"outputs/{name}/{backend}/{label}", kind, _seen(network, 0.5 + contrast * (grain - 0.5)))


def _dropped() -> Iterator[Number]:
    """Feed a network in training, where stochastic depth leaves out the branch of the last blocks."""
    name = "mambair-sr-x2-tiny"
    network = draw_network(name, depths=(3,)).double()
    models.set_scan_backend(network, "reference")
    depth_draws(network.train(), torch.full((depth_draws(network, None), 1), 0.95))
    picture = np.random.default_rng(0).random((1, 3, INPUT_HEIGHT, INPUT_WIDTH))
    yield Number(f"outputs/{name}/reference/stochastic depth", "double", _seen(network, picture))


def draw_network(name: str, depths: tuple[int, ...] | None = None) -> RestorationNet:
    """Return the network, of other `depths` if given, in evaluation mode with weights enlarged, and without random routes."""
    torch.manual_seed(0)
    network = enlarge_weights(models.create(name, **({"depths": depths} if depths else {})).eval())
    models.set_routing(network, "argmax")
    return network


def enlarge_weights(network: RestorationNet) -> RestorationNet:
    """Return `network` with larger weights than it has, so that activations bend and the scan is a fair share of the output."""
    with torch.no_grad():
        for key, parameter in network.named_parameters():
            if key.endswith("weight") and parameter.dim() > 1:
                parameter.mul_(DRAWN * (PROJECTION_OUT if key.endswith("out_proj.weight") else 1.0))
            elif key.endswith("x_proj"):
                parameter.mul_(PROJECTION_IN)
    return network


def _seen(network: RestorationNet, picture: np.ndarray) -> float:
    dtype = next(network.parameters()).dtype
    with torch.no_grad():
        return along_a_direction(network(torch.from_numpy(nudge(picture)).to(dtype)).double().numpy())
