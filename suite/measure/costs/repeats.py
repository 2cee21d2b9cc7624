"""Equal blocks of a row: a trace passes through the first alone, and counts it as often as there are such blocks.

fvcore's trace takes time that grows faster than the blocks (it inlines scope after scope), and networks of this family are one block over
and over, or two by turns. Blocks are equal where their modules, their parameters' shapes and their settings are, and where they stand in
one `nn.Sequential`, take one shape and give it. Chances, such as stochastic depth's, may differ: they cost nothing.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor, nn


@dataclass(frozen=True)
class Repeats:
    """How often each block that is passed through stands in its row, by its module's name; blocks may hold others."""

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
    """Have `network` pass through the first of equal blocks of a row alone, within the block; `example` is an input."""
    found = list(_found(network, ""))
    left_out: list[_Repeat] = []
    try:
        for one in found:
            setattr(one.row, one.key, nn.Identity())
        left_out = _decide(network, found, example)
        yield Repeats({name: 1 + count for name, count in Counter(one.first for one in left_out).items()})
    finally:
        for one in found:
            setattr(one.row, one.key, one.block)


@dataclass(frozen=True)
class _Repeat:
    """A block that equals an earlier one of its row: it may be left out, if both take one shape and this one gives it."""

    first: str
    path: str
    row: nn.Sequential
    key: str
    block: nn.Module


def _decide(network: nn.Module, found: Sequence[_Repeat], example: Tensor) -> list[_Repeat]:
    """Return which repeats are left out, seen in one pass that leaves them out already; the others are put back in their places.

    A block gives the shape that it takes where its first does: so a repeat is passed over where what reaches it has that shape.
    """
    kept: dict[str, tuple[int, ...]] = {}  # shapes that first blocks take and give, by name
    left_out = {one.path: one for one in found}

    def see_first(name: str, given: tuple[Tensor, ...], made: Tensor) -> None:
        if len(given) == 1 and given[0].shape == made.shape:
            kept[name] = tuple(made.shape)

    def see_repeat(one: _Repeat, given: tuple[Tensor, ...]) -> Tensor | None:
        if len(given) == 1 and kept.get(one.first) == tuple(given[0].shape):
            return None
        left_out.pop(one.path, None)
        return one.block(*given)

    firsts = {one.first for one in found}
    hooks = [
        network.get_submodule(name).register_forward_hook(lambda _, given, made, name=name: see_first(name, given, made)) for name in firsts
    ]
    hooks += [network.get_submodule(one.path).register_forward_hook(lambda _, given, __, one=one: see_repeat(one, given)) for one in found]
    try:
        network(example)
    finally:
        for hook in hooks:
            hook.remove()
    for one in found:
        if one.path not in left_out:
            setattr(one.row, one.key, one.block)
    return list(left_out.values())


def _found(module: nn.Module, name: str) -> Iterator[_Repeat]:
    """Yield what may be left out, not looking into it."""
    firsts: dict[tuple[object, ...], str] = {}
    for key, child in module.named_children():
        path = f"{name}.{key}".lstrip(".")
        kind = _kind(child) if isinstance(module, nn.Sequential) else None
        if kind in firsts:
            yield _Repeat(firsts[kind], path, module, key, child)
        else:
            firsts |= {kind: path} if kind else {}
            yield from _found(child, path)


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
