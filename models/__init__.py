"""The networks and the selective scan. Needs torch alone; never imports the suite.

    models.names()                                  every published network and every ablation
    models.card("mambair-sr-x2.no-conv")            what it is
    models.create("vmambair-realsr-x4", dim=24)     the network, with fields of its configuration replaced
    models.set_scan_backend(network, "numba")       which scan it runs

Importing this package imports no torch: `names` and `card` are instant.
"""

from __future__ import annotations

import dataclasses
import importlib
from typing import TYPE_CHECKING, Literal

from models.catalog import MODELS, design_of
from models.design import Config, ModelCard
from models.lookup import UnknownName, lookup, suggest

if TYPE_CHECKING:
    from torch import nn

    from models.base import RestorationNet
    from models.designs.mambairv2 import Routing

__all__ = [
    "MODELS",
    "OTHERS",
    "ModelCard",
    "UnknownName",
    "build",
    "card",
    "create",
    "describe_walks",
    "names",
    "set_routing",
    "set_scan_backend",
]

OTHERS = "`python -m suite list models` has them. A design from outside is there where its file is given with --plugin FILE."
Walk = Literal["fused", "gathered"]


def names(*, tiny: bool = False) -> list[str]:
    """Return the names of the catalogue, in its order: the networks as published, or their tiny siblings."""
    return [name for name, row in MODELS.items() if row.tiny == tiny]


def card(name: str) -> ModelCard:
    """Return the catalogue's row; raises `UnknownName` with suggestions."""
    if name not in MODELS:
        raise UnknownName(f"no model is called {name!r}.{suggest(name, MODELS)} {OTHERS}")
    return MODELS[name]


def create(name: str, **overrides: object) -> RestorationNet:
    """Build the network `name`, freshly initialised from torch's random state; `overrides` replace fields of its configuration."""
    config = card(name).config
    fields = {f.name for f in dataclasses.fields(config)}
    for field in overrides:
        if field not in fields:
            raise UnknownName(f"{type(config).__name__} has no field {field!r}.{suggest(field, fields)}")
    return build(dataclasses.replace(config, **overrides))


def build(config: Config) -> RestorationNet:
    """Build the network that a configuration describes."""
    found = design_of(config).classes[type(config)]
    if isinstance(found, str):
        module, _, name = found.partition(":")
        found = getattr(importlib.import_module(module), name)
    return found(config)


def set_scan_backend(network: nn.Module, name: str) -> None:
    """Make every scan of `network` run on the backend `name` (a name of models.scan.BACKENDS, or "auto")."""
    from models.parts.s6 import DirectionalS6
    from models.scan import BACKENDS

    if name != "auto":
        lookup("scan backend", name, BACKENDS)
    for module in network.modules():
        if isinstance(module, DirectionalS6):
            module.backend = name


def describe_walks(network: nn.Module) -> dict[str, Walk]:
    """Return how each path over the image is walked that `network` scans along: by the fused scan of images, or through gathered sequences.

    The fused scan is that of the network's backend, where it has one; a backend without is given gathered sequences, whatever the path.
    """
    from models.parts.s6 import PathS6, PlanarS6
    from models.scan.backends import BACKENDS, resolve_backend
    from models.scan.paths import RASTER

    found: dict[str, Walk] = {}
    for module in network.modules():
        if isinstance(module, PlanarS6 | PathS6):
            paths = RASTER[: module.directions] if isinstance(module, PlanarS6) else module.paths
            fused = isinstance(module, PlanarS6) or module.fused
            backend, _ = resolve_backend(module.backend, module.D.device.type)
            found |= {path.name: "fused" if fused and BACKENDS[backend].image else "gathered" for path in paths}
    return found


def set_routing(network: RestorationNet, name: Routing, *, prompt: bool = True) -> None:
    """Make every attentive scan of `network` route its pixels by `name`, a name of models.networks.mambairv2.ROUTINGS.

    The tokens' prompts are added where the configuration says; with `prompt` False they are not.
    """
    from models.networks.mambairv2 import ROUTINGS, AttentiveScan

    lookup("routing", name, ROUTINGS)
    for module in network.modules():
        if isinstance(module, AttentiveScan):
            module.routing, module.place = name, network.config.prompt if prompt else "none"
