"""The networks: how many parameters, which layers and names, what they cost, and what their small siblings make of fixed inputs."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from suite.health.probes.nudge import nudge
from suite.health.probes.number import TRAINED_ON, Number, Part, along_a_direction, digest_of

if TYPE_CHECKING:
    from models.base import RestorationNet

SIDE = 16  # pixels of the input whose multiply-adds are watched
HEIGHT, WIDTH = 13, 18  # of the inputs whose outputs are watched: multiples of nothing, so that padding shows
FAINT = 1 / 64  # contrast of the second input: there an epsilon under a root weighs
# What weights are multiplied by as they were drawn. Twice the weights show the bends of activations; as drawn, MambaIR's scan
# makes up a thousandth of the output, and a wrong one would pass for rounding.
DRAWN, PROJECTION_IN, PROJECTION_OUT = 2.0, 3.0, 4.0


def parts() -> tuple[Part, ...]:
    """Parameters of all, and costs."""
    return Part("parameters", _parameters, 4), Part("costs", _costs, 14), Part("conventions", _conventions, 3)


def _parameters() -> Iterator[Number]:
    import torch

    import models
    from models.base import count_parameters
    from models.official import official_names

    for name in models.names():
        with torch.device("meta"):
            network = models.create(name)
        yield Number(f"networks/{name}/parameters", "count", float(count_parameters(network)))
        yield Number(f"networks/{name}/layers", "digest", digest_of(network))
        yield Number(f"networks/{name}/official names", "digest", digest_of(sorted(official_names(network).items())))


def _costs() -> Iterator[Number]:
    """Multiply-adds of the small siblings by operator, and at another size."""
    import torch

    import models
    from suite.measure.costs.count import cost_of, trace_macs

    for name in models.names(tiny=True):
        torch.manual_seed(0)
        network = models.create(name)
        for operator, macs in sorted(trace_macs(network, (SIDE, SIDE)).items()):
            yield Number(f"networks/{name}/macs/{operator}", "count", float(macs))
        yield Number(f"networks/{name}/macs at 64x64", "count", cost_of(network, (64, 64)).macs)


def _conventions() -> Iterator[Number]:
    """Costs of each design's first network, as published, by every convention."""
    import models
    from suite.measure.costs.conventions import conventions_for
    from suite.measure.costs.count import catalogue_subject, counts_at

    for name in dict.fromkeys(next(n for n in models.names() if n.startswith(design)) for design in ("vmambair", "mambair")):
        counts = counts_at(catalogue_subject(name), (64, 64))
        yield Number(f"networks/{name}/flops at 64x64", "count", counts.flops)
        for convention in conventions_for(name):
            yield Number(f"networks/{name}/macs at 64x64 by {convention.name}", "count", convention.macs(counts))


def output_parts() -> tuple[Part, ...]:
    """A part for each small network."""
    import models

    each = tuple(Part(name, partial(_outputs, name), 1) for name in models.names(tiny=True))
    return (*each, Part("stochastic depth", _dropped, 1))


def _outputs(name: str) -> Iterator[Number]:
    """Outputs for two inputs: by the reference in float64, where only rounding of the last digit is left, and by the scan that trains."""
    import torch

    import models

    network = drawn(name)
    weights = sum(float(p.detach().double().abs().sum()) for p in network.parameters())
    yield Number(f"outputs/{name}/initial weights", "output", weights)
    grain = np.random.default_rng(0).random((1, network.channels, HEIGHT, WIDTH))
    for backend, dtype, kind in ((TRAINED_ON, torch.float32, "output"), ("reference", torch.float64, "double")):
        models.set_scan_backend(network.to(dtype), backend)
        for contrast, label in ((1.0, "plain"), (FAINT, "faint")):
            yield Number(f"outputs/{name}/{backend}/{label}", kind, _seen(network, 0.5 + contrast * (grain - 0.5)))


def _dropped() -> Iterator[Number]:
    """In training, where stochastic depth leaves out the branch of the last blocks."""
    import torch

    import models
    from models.parts.layers import depth_draws

    name = "mambair-sr-x2-tiny"
    network = drawn(name, depths=(3,)).double()
    models.set_scan_backend(network, "reference")
    depth_draws(network.train(), torch.full((depth_draws(network, None), 1), 0.95))
    picture = np.random.default_rng(0).random((1, 3, HEIGHT, WIDTH))
    yield Number(f"outputs/{name}/reference/stochastic depth", "double", _seen(network, picture))


def drawn(name: str, **overrides: object) -> RestorationNet:
    """Return the network in evaluation mode with weights enlarged."""
    import torch

    import models

    torch.manual_seed(0)
    return enlarged(models.create(name, **overrides).eval())


def enlarged(network: RestorationNet) -> RestorationNet:
    """Return `network` with larger weights than it has, so that activations bend and the scan is a fair share of the output."""
    import torch

    with torch.no_grad():
        for key, parameter in network.named_parameters():
            if key.endswith("weight") and parameter.dim() > 1:
                parameter.mul_(DRAWN * (PROJECTION_OUT if key.endswith("out_proj.weight") else 1.0))
            elif key.endswith("x_proj"):
                parameter.mul_(PROJECTION_IN)
    return network


def _seen(network: RestorationNet, picture: np.ndarray) -> float:
    import torch

    dtype = next(network.parameters()).dtype
    with torch.no_grad():
        return along_a_direction(network(torch.from_numpy(nudge(picture)).to(dtype)).double().numpy())
