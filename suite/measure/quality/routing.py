"""What MambaIRv2's router is worth in given weights: quality with the router, and with what takes its place at inference."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor, nn

import models
from models.base import RestorationNet
from models.networks.mambairv2 import AttentiveScan
from suite.core.errors import SuiteError
from suite.data.pairs import Pair
from suite.measure.inference.restorer import restorer_of
from suite.measure.quality.evaluate import evaluate
from suite.records.kinds.routing import Router, RoutingRun
from suite.study.protocols import Protocol
from suite.study.routing import RELEASED, WAYS, Way


class RouterWatch:
    """Sums entropy and largest probability of every router's answer, pixel by pixel."""

    def __init__(self) -> None:
        self.pixels, self.entropy, self.top, self.tokens = 0, 0.0, 0.0, 0

    def see(self, _module: nn.Module, _given: object, logits: Tensor) -> None:
        """Take in the logits (..., tokens) of a router; a forward hook."""
        log_p = logits.double().log_softmax(-1)
        self.pixels += log_p[..., 0].numel()
        self.entropy -= float((log_p.exp() * log_p).sum())
        self.top += float(log_p.amax(-1).exp().sum())
        self.tokens = logits.shape[-1]


@contextlib.contextmanager
def watch_routers(network: nn.Module) -> Iterator[RouterWatch]:
    """Watch every router of `network` within the block."""
    watch = RouterWatch()
    hooks = [module.route.register_forward_hook(watch.see) for module in _routed(network)]
    try:
        yield watch
    finally:
        for hook in hooks:
            hook.remove()


def measure_routings(
    network: RestorationNet, pairs: Sequence[Pair], rule: Protocol, seeds: int, ways: Sequence[Way] = tuple(WAYS.values())
) -> Iterator[RoutingRun | Router]:
    """Measure `network` on `pairs` in each of `ways`, with `seeds` seeds where it draws at random: a run after the other, and its router.

    Torch's generator is given the seed before each image, so that no image depends on those before it. Afterwards the network is routed as
    its configuration says.
    """
    layers = len(_routed(network))
    if not layers:
        raise SuiteError(f"{type(network).__name__} has no router: the grid routing is for networks of MambaIRv2.")
    restore = restorer_of(network)
    try:
        for way in ways:
            models.set_routing(network, way.routing, prompt=way.prompt)
            for seed in range(seeds if way.drawn else 1):

                def drawn(picture: np.ndarray, seed: int = seed) -> np.ndarray:
                    with torch.random.fork_rng(devices=[]):
                        torch.manual_seed(seed)
                        return restore(picture)

                with watch_routers(network) as watch:
                    scores, _ = evaluate(drawn, pairs, rule, network.scale)
                yield RoutingRun(way=way.name, seed=seed, scores=tuple(scores))
                if way.name == RELEASED and seed == 0:
                    means = {"entropy": watch.entropy / watch.pixels, "top_probability": watch.top / watch.pixels}
                    yield Router(tokens=watch.tokens, layers=layers, **means)
    finally:
        models.set_routing(network, network.config.routing)


def _routed(network: nn.Module) -> list[AttentiveScan]:
    return [module for module in network.modules() if isinstance(module, AttentiveScan)]
