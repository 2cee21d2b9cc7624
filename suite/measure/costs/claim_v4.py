"""VmambaIR's claim for V4: 1x1 convolutions make the network 8.6 % faster than linear layers and reshapes (section 5.5).

Both are called in turn, A B B A (suite.measure.timing.call_in_turn); each two neighbours are a pair, and the ratio of a pair
is the time with linear layers by the time with convolutions. The interval is that of a median from ranks: no distribution is assumed.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import nn

from models.parts.oss import LinearProjection
from suite.core.process import Say
from suite.core.statistics import stats
from suite.measure import timing
from suite.measure.costs.latency import make_call, make_network

CLAIM = 0.086  # share of time saved, or of speed gained: the paper says "enhancement in computational speed"
CONVOLUTION, LINEAR = "vmambair-realsr-x4", "vmambair-realsr-x4.linear-projection"
PROJECTION_WIDTH, PROJECTION_SIZE = 48, (64, 64)  # of the projection alone: the first level's, 48 to 96 channels on 64x64
FEWEST_PAIRS = stats.FEWEST_RANKS  # below, ranks give no 95 % interval
REPEATED = 5e-3  # seconds that a timed call is repeated for where it is shorter


@dataclass(frozen=True)
class Asked:
    """What is compared: the networks or, with `alone`, their projection."""

    size: tuple[int, int]  # of the input, or of the features
    backend: str
    device: str
    seconds: float
    alone: bool = False


@dataclass(frozen=True)
class ClaimVerdict:
    """The median of the pairs' ratios less one, its 95 % interval, and what it says of the claim; medians in ms."""

    convolution_ms: float
    linear_ms: float
    gain: float
    interval: tuple[float, float] | None
    pairs: int

    @property
    def sentence(self) -> str:
        """The verdict in words."""
        if self.interval is None:
            return f"too few pairs for a verdict ({self.pairs})"
        low, high = self.interval
        if low <= 0 and high >= CLAIM:
            return f"cannot tell: neither no difference nor the printed {CLAIM:.1%} is excluded"
        if low <= CLAIM <= high:
            return f"agrees with the printed {CLAIM:.1%}"
        if low <= 0 <= high:
            return f"no difference is seen, where {CLAIM:.1%} is printed"
        if high < 0:
            return f"the convolutions are slower here, where they are printed as {CLAIM:.1%} faster"
        return f"the convolutions are faster here, by {'less' if high < CLAIM else 'more'} than the printed {CLAIM:.1%}"


def answer(asked: dict[str, Any], say: Say) -> None:
    """Time {"claim": ..., "threads": ...} in a process of its own, and say "pairs"."""
    torch.set_num_threads(asked["threads"])
    say("pairs", measure_pairs(Asked(**asked["claim"])))


def measure_pairs(asked: Asked) -> list[tuple[float, float]]:
    """Time both in turn for about `asked.seconds`, after a warm-up of both: pairs of seconds (convolution, linear)."""
    convolution, linear = _calls(asked)
    for call in (convolution, linear, convolution, linear):
        shortest = timing.time_once(call, asked.device)
    repeats = max(1, math.ceil(REPEATED / shortest))

    def seconds(call: timing.Call) -> float:
        return timing.time_once(lambda: [call() for _ in range(repeats)], asked.device) / repeats

    pairs: list[tuple[float, float]] = []
    begun = time.perf_counter()
    while len(pairs) < FEWEST_PAIRS or time.perf_counter() - begun < asked.seconds:
        pairs += zip(*timing.call_in_turn(partial(seconds, convolution), partial(seconds, linear)), strict=True)
    return pairs


def _calls(asked: Asked) -> tuple[timing.Call, timing.Call]:
    channels = PROJECTION_WIDTH if asked.alone else 3
    x = torch.rand(1, channels, *asked.size, generator=torch.Generator().manual_seed(0)).to(asked.device)
    if asked.alone:
        both = (nn.Conv2d(PROJECTION_WIDTH, 2 * PROJECTION_WIDTH, 1), LinearProjection(PROJECTION_WIDTH, 2 * PROJECTION_WIDTH))
        return tuple(make_call(module.to(asked.device).eval(), x) for module in both)
    return tuple(make_call(make_network(name, asked.backend, asked.device), x) for name in (CONVOLUTION, LINEAR))


def judge_claim(pairs: Sequence[tuple[float, float]]) -> ClaimVerdict:
    """Judge the claim by pairs of seconds (convolution, linear)."""
    gains = sorted(linear / convolution - 1 for convolution, linear in pairs)
    return ClaimVerdict(
        statistics.median(convolution for convolution, _ in pairs) * 1e3,
        statistics.median(linear for _, linear in pairs) * 1e3,
        statistics.median(gains),
        stats.median_interval(gains),
        len(pairs),
    )
