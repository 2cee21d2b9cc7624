"""How long one image takes a network, in this process: the first call, a warm-up, samples, and what a call holds at its peak.

Times are those of a forward pass in inference mode on an image of noise, in float32. A full-size network takes a processor seconds a call,
so few calls are made there: FEWEST_SAMPLES of suite.measure.timing and a warm-up of one or more. The record holds every one.
"""

from __future__ import annotations

from collections.abc import Callable
from statistics import fmean
from typing import TYPE_CHECKING

from suite.measure import timing
from suite.records.profile import NO_BACKEND, Latency, ProfileSpec

if TYPE_CHECKING:
    from torch import Tensor, nn


def latency(spec: ProfileSpec, seconds: float) -> Latency:
    """The times of `spec`, sampled for about `seconds`; raises torch's OutOfMemoryError on a GPU where it does not fit."""
    call = call_of(network_of(spec.model, spec.backend, spec.device), image(spec))
    cold = timing.once(call, spec.device)
    samples = timing.measure(call, spec.device, seconds)
    peak = timing.peak_memory_bytes(call, spec.device)
    low, high = samples.quartiles
    others = [found.others for found in samples.rounds if found.others is not None]
    return Latency(
        cold_ms=cold * 1e3,
        warm_up=samples.warm_up,
        samples_ms=tuple(second * 1e3 for found in samples.rounds for second in found.seconds),
        median_ms=samples.median * 1e3,
        quartiles_ms=(low * 1e3, high * 1e3),
        noisy=samples.noisy,
        others=fmean(others) if others else None,
        peak_memory_mib=None if peak is None else peak / 2**20,
    )


def network_of(model: str, backend: str, device: str) -> nn.Module:
    """The network `model` at full size, on its device and scan backend, for inference."""
    import models
    from suite.measure.costs.count import subject_named

    network = subject_named(model).network
    if backend != NO_BACKEND:
        models.set_scan_backend(network, backend)
    return network.to(device).eval()


def image(spec: ProfileSpec) -> Tensor:
    """(1, C, H, W) of uniform noise in 0..1, the same every time."""
    import torch

    from suite.study.baselines import BASELINES

    channels = BASELINES[spec.model].channels if spec.model in BASELINES else _channels(spec.model)
    return torch.rand(1, channels, *spec.input_size, generator=torch.Generator().manual_seed(0)).to(spec.device)


def _channels(model: str) -> int:
    import models

    return models.card(model).config.channels


def call_of(network: Callable[[Tensor], Tensor], x: Tensor) -> Callable[[], object]:
    """The forward pass as a call without arguments."""
    import torch

    def call() -> object:
        with torch.inference_mode():
            return network(x)

    return call
