"""Equal blocks in a row: a trace passes through the first alone, and counts it as often as there are blocks.

fvcore's trace takes time that grows faster than the blocks (it inlines scope after scope), and networks of this family are one block over
and over. Blocks are equal where their modules, their parameters' shapes and their settings are; they stand in an `nn.Sequential` and the
first gives the shape that it takes, so each of them gets the same. Chances, such as stochastic depth's, may differ: they cost nothing.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Repeats:
    """How often each block that is passed through stands in a row, by its module's name; blocks may hold others."""

    times: Mapping[str, int]

    def weight(self, module: str) -> int:
        """Return how often the whole network has what `module` is in the trace."""
        found = 1
        for name, times in self.times.items():
            if module == name or module.startswith(f"{name}."):
                found *= times
        return found

    def total(self, by_module: Mapping[str, Mapping[str, float]]) -> Counter[str]:
        """Sum the counts of the whole network from those of the trace by module, where a module's contain those of all in it."""
        found: Counter[str] = Counter(by_module[""])
        for name, times in self.times.items():
            more = self.weight(name) // times * (times - 1)
            found.update({operator: more * value for operator, value in by_module[name].items()})
        return found


@contextlib.contextmanager
def once_each(network: nn.Module, example: Tensor) -> Iterator[Repeats]:
    """Have `network` pass through the first of each row of equal blocks alone, within the block; `example` is an input."""
    times: dict[str, int] = {}
    rows = list(_found(network, "", times))
    keeping = _keeping(network, list(times), example)
    left_out = [(row, key, block) for first, row, key, block in rows if first in keeping]
    for row, key, _ in left_out:
        setattr(row, key, nn.Identity())
    try:
        yield Repeats({first: count for first, count in times.items() if first in keeping})
    finally:
        for row, key, block in left_out:
            setattr(row, key, block)


def _keeping(network: nn.Module, names: Sequence[str], example: Tensor) -> set[str]:
    """Find which of these modules give the shape that they take."""
    found: set[str] = set()

    def seen(name: str, given: tuple[Tensor, ...], made: Tensor) -> None:
        if len(given) == 1 and given[0].shape == made.shape:
            found.add(name)

    hooks = [network.get_submodule(name).register_forward_hook(lambda _, given, made, name=name: seen(name, given, made)) for name in names]
    shapes = {name: value.to("meta") for name, value in (*network.named_parameters(), *network.named_buffers())}
    try:
        torch.func.functional_call(network, shapes, (example.to("meta"),))  # nothing is computed
    finally:
        for hook in hooks:
            hook.remove()
    return found


def _found(module: nn.Module, name: str, times: dict[str, int]) -> Iterator[tuple[str, nn.Sequential, str, nn.Module]]:
    """Yield what may be left out, as (first of the row, row, key, block), not looking into it; fill `times` by the name of the first."""
    first, kind = "", None
    for key, child in module.named_children():
        path = f"{name}.{key}".lstrip(".")
        found = _kind(child) if isinstance(module, nn.Sequential) else None
        if found is not None and found == kind:
            times[first] = times.get(first, 1) + 1
            yield first, module, key, child
        else:
            first, kind = path, found
            yield from _found(child, path, times)


def _kind(block: nn.Module) -> tuple[object, ...]:
    """Describe what decides a block's cost: its modules, with the shapes of their parameters and their settings but for fractions."""
    return tuple(
        (
            name,
            type(module),
            tuple((key, tuple(value.shape)) for key, value in module.named_parameters(recurse=False)),
            tuple((key, value) for key, value in sorted(vars(module).items()) if isinstance(value, (int, str, tuple))),
        )
        for name, module in block.named_modules()
    )
