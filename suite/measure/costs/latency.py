"""Timing a network on one image, in this process: the first call, a warm-up, samples, and the memory of a call at its peak.

Times are those of a forward pass in inference mode on an image of noise, in float32. A full-size network takes a processor seconds a call,
so few calls are made there: FEWEST_SAMPLES of suite.measure.timing and a warm-up of one or more. The record holds every one.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from statistics import fmean
from typing import Any

import torch
from torch import Tensor, nn

import models
from suite.core.process import Say
from suite.measure import timing
from suite.measure.costs.count import make_subject
from suite.records.kinds.profile import NO_BACKEND, Latency, ProfileSpec
from suite.study.baselines import BASELINES
from suite.study.outside import plugins


def answer(asked: dict[str, Any], say: Say) -> None:
    """Time {"spec": ..., "seconds": ..., "threads": ...} in a process of its own: say "latency" or, where it does not fit, "reason"."""
    torch.set_num_threads(asked["threads"])
    try:
        with plugins.loaded((), installed=False):
            say("latency", measure_latency(ProfileSpec.model_validate(asked["spec"]), asked["seconds"]).model_dump(mode="json"))
    except torch.OutOfMemoryError as error:
        say("reason", f"did not fit: {str(error).splitlines()[0]}")


def measure_latency(spec: ProfileSpec, seconds: float) -> Latency:
    """Take the times of `spec`, sampled for about `seconds`; raises torch's OutOfMemoryError on a GPU where it does not fit."""
    call = make_call(make_network(spec.model, spec.backend, spec.device), make_image(spec))
    cold = timing.time_once(call, spec.device)
    samples = timing.take_samples(call, spec.device, seconds)
    peak = timing.measure_peak_memory(call, spec.device)
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


def make_network(model: str, backend: str, device: str) -> nn.Module:
    """Make the network `model` at full size, on its device and scan backend, for inference."""
    network = make_subject(model).network
    if backend != NO_BACKEND:
        models.set_scan_backend(network, backend)
    return network.to(device).eval()


def make_image(spec: ProfileSpec) -> Tensor:
    """Make (1, C, H, W) of uniform noise in 0..1, the same every time."""
    channels = BASELINES[spec.model].channels if spec.model in BASELINES else models.card(spec.model).config.channels
    return torch.rand(1, channels, *spec.input_size, generator=torch.Generator().manual_seed(0)).to(spec.device)


def make_call(network: Callable[[Tensor], Tensor], x: Tensor) -> Callable[[], object]:
    """Return the forward pass as a call without arguments."""
    return torch.inference_mode()(partial(network, x))
