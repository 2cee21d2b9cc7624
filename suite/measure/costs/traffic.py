"""What a call writes and holds: the values that its operators write, how many run, and the bytes of results that are there at once.

A network runs on PyTorch's device `meta`, which knows shapes and computes nothing, so a size takes no more time than another. What a kernel
needs inside, and how the system's allocator rounds, is not seen: `suggest` fits one rate for that.
"""

from __future__ import annotations

import math
import weakref
from collections import Counter
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import models
from models.base import RestorationNet
from suite.measure.costs.count import Subject, make_subject

SIDE = 128  # pixels, about, of the image: several windows of those networks that have some
SCANNED_BY = "cpp"  # whose operators are seen, an image's scans as one; nothing of it is built or run
Size = tuple[int, int]


@dataclass(frozen=True)
class Traffic:
    """Of one call on one image, in float32."""

    written: float  # values that operators write, results that are views of others left out
    held: float  # bytes of results at once, at the peak; weights and the image are not among them
    calls: float  # operators that run


@dataclass(frozen=True)
class WatchedTraffic:
    """The traffic at one size, which gives that at any: what is written and held grows with the pixels, for multiples of `multiple`."""

    multiple: int
    pixels: int  # of the size that was watched
    traffic: Traffic

    def at(self, size: Size) -> Traffic:
        """Return the traffic at `size` (height, width), padded."""
        share = math.prod(-(-side // self.multiple) * self.multiple for side in size) / self.pixels
        return Traffic(share * self.traffic.written, share * self.traffic.held, self.traffic.calls)


def count_traffic(model: str) -> WatchedTraffic:
    """Count what the network `model` of the catalogue or of the baselines writes and holds."""
    subject = make_subject(model)
    multiple = max(subject.multiple, subject.scanned_multiple, 1)
    side = -(-max(SIDE, subject.smallest_side) // multiple) * multiple
    return WatchedTraffic(subject.multiple, side * side, watch(subject, (side, side)))


def watch(subject: Subject, size: Size) -> Traffic:
    """Watch one pass over an image of exactly `size`; one that cannot run on shapes alone, as it looks at values, is computed.

    The network's weights are lost.
    """
    try:
        return _watch(subject, size, "meta", SCANNED_BY)
    except Exception:  # of a plug-in's code: each operator without a rule for shapes has its own
        return _watch(subject, size, "cpu", "reference")


def _watch(subject: Subject, size: Size, device: str, backend: str) -> Traffic:
    network = subject.network.eval().to_empty(device=device)
    if device != "meta":  # whatever the weights: only what looks at values could tell
        for held in (*network.parameters(), *network.buffers()):
            held.data.zero_()
    if isinstance(network, RestorationNet):
        models.set_scan_backend(network, backend)
    seen, image = _Seen(), torch.zeros(1, subject.channels, *size, device=device)
    with torch.no_grad(), seen:
        network(image)
    return Traffic(float(seen.written), float(seen.peak), float(seen.calls))


class _Seen(TorchDispatchMode):
    """Adds up what operators write, and follows which results are alive: a result is there while a tensor refers to its memory."""

    def __init__(self) -> None:
        super().__init__()
        self.written = self.calls = self.now = self.peak = 0
        self._users: Counter[int] = Counter()
        self._bytes: dict[int, int] = {}

    def __torch_dispatch__(self, operator: Any, _types: Any, args: Any = (), kwargs: Any = None) -> object:  # noqa: ANN401 - PyTorch's own
        found = operator(*args, **(kwargs or {}))
        given = {one.untyped_storage()._cdata for one in tree_leaves((args, kwargs)) if isinstance(one, torch.Tensor)}
        self.calls += 1
        for one in tree_leaves(found):
            if isinstance(one, torch.Tensor):
                self._add(one, given)
        return found

    def _add(self, one: torch.Tensor, given: set[int]) -> None:
        memory = one.untyped_storage()
        key = memory._cdata
        if key not in self._bytes:
            if key in given:  # a view of a weight, or of the image
                return
            self._bytes[key] = memory.nbytes()
            self.now += memory.nbytes()
            self.peak = max(self.peak, self.now)
            self.written += one.numel()
        self._users[key] += 1
        weakref.finalize(one, self._release, key)

    def _release(self, key: int) -> None:
        self._users[key] -= 1
        if not self._users[key]:
            self.now -= self._bytes.pop(key)
            del self._users[key]
