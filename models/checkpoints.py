"""Finding a network's tensors in anyone's checkpoint.

    found = find_tensors(torch.load(file, weights_only=True))
    found.state, found.where, found.prefix, found.left

A network may lie anywhere: in the bare file, under a key (`params`, `state_dict`, `model`, `net`), in one key within another, in a list,
or beside others under names that begin with `model.` or `net_g.`. Wrappers leave prefixes (`module.`, `_orig_mod.`), which are taken off.
What belongs to no network (optimisers, losses, discriminators, counters, numbers) is left, and said. The words below are facts about public
checkpoints; no network of the catalogue has a first part of a name that is one of them (tests/models/test_checkpoints.py).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass

import torch
from torch import Tensor

from models.keywords import OfficialMismatch

BARE = "bare"  # what a file is called that is the mapping of tensors itself
# Put before names by DistributedDataParallel, torch.compile, FSDP and activation checkpointing, also in the midst of them.
LEFT_BY_WRAPPERS = re.compile(r"(?:(?<=\.)|^)(?:module|_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.")
# What holds the network to restore with, where something else lies beside it.
NETWORKS = re.compile(
    r"(\w*model(_g)?|net|network|net_?g|g|gen|generator|student|teacher|backbone|restorer|params|state_dict)", re.IGNORECASE
)
AVERAGES = re.compile(r"(?i:(?:^|[_.])(?:ema|avg|averaged?|swa)(?:[_.]|$))|[a-zG]EMA(?![a-z])")
COMPANIONS = re.compile(
    r"(\w*loss(es)?(_\w+)?|loss_?fn\w*|criteri(on|a)(_\w+)?|cri_\w+|percep\w*|lpips\w*|vgg\w*|disc(_\w+)?|discriminator\w*|net_?d(_\w+)?|d|d_net"
    r"|critic|adversar(y|ial)\w*|\w*metrics?|\w*(psnr|ssim)\w*|dists|fid|optim\w*|\w*sched\w*|(grad_|amp_)?scaler|amp|(\w+_)?rng(_\w+)?"
    r"|callbacks|loops)",
    re.IGNORECASE,
)
METADATA = "metadata"  # of a file of this suite's, or of safetensors: no part of what is said to be left


@dataclass(frozen=True)
class Found:
    """Named tensors of a network, and what was done to find them."""

    state: dict[str, Tensor]
    where: str  # the keys that lead to it, joined by dots; BARE where the file is the mapping itself
    prefix: str  # taken off the names, in words; "" where there was none
    left: tuple[str, ...]  # what lies beside it, in words

    @property
    def is_average(self) -> bool:
        """True of a moving average of the weights."""
        return bool(AVERAGES.search(self.where) or AVERAGES.search(self.prefix))


class NetworkNotFound(OfficialMismatch):
    """A checkpoint in which no mapping of tensors, or no one of several, can be said to be the network's; lists them with their counts."""


def find_tensors(checkpoint: object, key: str = "", fits: Callable[[Mapping[str, Tensor]], bool] | None = None) -> Found:
    """Return the tensors of the one network in `checkpoint`, a mapping or a list, as torch reads them.

    Of the same network twice, the moving average is taken. Of several networks, the one that `fits`. `key` names what is wanted instead:
    keys joined by dots, and perhaps the beginning of names. Raises `NetworkNotFound` where there is none, or none that stands out.
    """
    held = _at(checkpoint, key) if key else checkpoint
    if held is None:
        raise NetworkNotFound(f"nothing is called {key!r} in it. {_list_mappings(checkpoint)}")
    every = list(_walk(held, tuple(filter(None, [key]))))
    if not every:
        raise NetworkNotFound(f"{_name(key)} holds no tensors of a network. {_list_mappings(checkpoint)}")
    named = [one for one in every if any("." in name and value.is_floating_point() for name, value in one.state.items())] or every
    if fits is not None and len(named) == 1 and not fits(named[0].state) and (parts := _by_first_part(named[0], fits)):
        every = [*parts, *(one for one in every if one is not named[0])]  # it lies under a name that nobody knows
        named = parts
    chosen = _choose(named, fits)
    if chosen is None:
        raise NetworkNotFound(f"{len(named)} mappings in it could be the network's, and none stands out. {_list_mappings(checkpoint)}")
    beside = [_say(one) for one in every if one is not chosen]
    return Found(chosen.state, chosen.where, chosen.prefix, (*chosen.left, *beside, *_siblings(checkpoint, chosen, every)))


def _name(key: str) -> str:
    return f"what is called {key!r}" if key else "it"


def _walk(held: object, path: tuple[str, ...]) -> Iterator[Found]:
    """Yield the mappings of tensors in `held`, each cleaned, but not those of companions."""
    if isinstance(held, Sequence) and not isinstance(held, str | bytes):
        held = dict(enumerate(held))
    if not isinstance(held, Mapping):
        return
    tensors = _tensors(held)
    if tensors:
        yield from _divide(tensors, ".".join(path) or BARE)
    for name, value in held.items():
        if not (isinstance(value, Tensor) or _is_companion(str(name), value)):
            yield from _walk(value, (*path, str(name)))


def _tensors(held: Mapping[object, object]) -> dict[str, Tensor]:
    return {name: value for name, value in held.items() if isinstance(name, str) and isinstance(value, Tensor)}


def _is_companion(name: str, value: object) -> bool:
    """Return True for what belongs to no network, by its name; and for an optimiser by what it holds, whatever it is called."""
    return bool(COMPANIONS.fullmatch(name)) or (isinstance(value, Mapping) and {"state", "param_groups"} <= value.keys())


def _divide(tensors: Mapping[str, Tensor], where: str) -> Iterator[Found]:
    """Yield the networks in one flat mapping, their prefixes taken off, each with what was left out beside it."""
    short = {LEFT_BY_WRAPPERS.sub("", name): name for name in tensors}
    names = short if len(short) == len(tensors) else {name: name for name in tensors}  # two that would become one stay as they are
    left = [name for name in tensors if "." not in name and (tensors[name].dim() == 0 or COMPANIONS.fullmatch(name))]  # counters, states
    parts = list(_parts({name: whole for name, whole in names.items() if whole not in left}, left))
    for part in parts:
        yield Found({name: tensors[whole] for name, whole in part.items()}, where, _taken_off(part), tuple(left))


def _parts(names: Mapping[str, str], left: list[str]) -> Iterator[dict[str, str]]:
    """Yield the networks among `names` (short to whole), without what all names of one begin with; add to `left` what belongs to none."""
    groups: dict[str, dict[str, str]] = {}
    for name, whole in names.items():
        first, dot, rest = name.partition(".")
        groups.setdefault(first if dot else "", {})[rest or name] = whole
    single = groups.pop("", {})  # tensors beside modules
    own = {first: group for first, group in groups.items() if not COMPANIONS.fullmatch(first)}
    if not own:  # a loss's network alone is what was asked for
        if names:
            yield dict(names)
        return
    left += [f"{first}. ({_count(group)})" for first, group in groups.items() if first not in own]
    if _are_networks(own):
        left += single
        for group in own.values():
            yield from _parts(group, left)
        return
    yield single | {f"{first}.{name}": whole for first, group in own.items() for name, whole in group.items()}


def _are_networks(groups: Mapping[str, Mapping[str, str]]) -> bool:
    """Return True where each first part of the names stands for a whole network.

    That is so where there is one alone, where all are called so, and where all hold the same names.
    """
    if not all(any("." in name for name in group) for group in groups.values()):  # a network has modules
        return False
    if len(groups) == 1 or all(NETWORKS.fullmatch(first) or AVERAGES.search(first) for first in groups):
        return True
    first, *others = groups.values()
    return not any(name.isdecimal() for name in groups) and all(group.keys() == first.keys() for group in others)


def _count(tensors: Sized) -> str:
    return "1 tensor" if len(tensors) == 1 else f"{len(tensors)} tensors"


def _taken_off(part: Mapping[str, str]) -> str:
    """Say which prefixes the names (short to whole) have lost."""
    heads = {whole.removesuffix(name) if whole.endswith(name) else LEFT_BY_WRAPPERS.search(whole)[0] for name, whole in part.items()}
    return " and ".join(sorted(heads - {""}))


def _choose(found: Sequence[Found], fits: Callable[[Mapping[str, Tensor]], bool] | None) -> Found | None:
    """Return the one that is the network's, or None."""
    if len({frozenset(_floating(one.state)) for one in found}) > 1:
        found = [one for one in found if fits is not None and fits(one.state)]
    if len(found) < 2:
        return found[0] if found else None
    for said in ("prefix", "where"):
        averages = [one for one in found if AVERAGES.search(getattr(one, said))]
        if len(averages) == 1:
            return averages[0]
    first, *others = found
    return first if all(_equal(first.state, other.state) for other in others) else None


def _by_first_part(found: Found, fits: Callable[[Mapping[str, Tensor]], bool]) -> list[Found]:
    """Return the networks that fit among those whose names begin alike in what was found; the rest is left."""
    groups: dict[str, dict[str, Tensor]] = {}
    for name, value in found.state.items():
        first, _, rest = name.partition(".")
        groups.setdefault(first, {})[rest] = value
    prefix = found.prefix
    return [
        Found(
            group,
            found.where,
            f"{prefix}{first}.",
            (*found.left, *(f"{other}. ({_count(beside)})" for other, beside in groups.items() if other != first)),
        )
        for first, group in groups.items()
        if fits(group)
    ]


def _floating(state: Mapping[str, Tensor]) -> list[str]:
    return [name for name, value in state.items() if value.is_floating_point()]


def _equal(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(value, other[name]) for name, value in one.items())


def _say(found: Found) -> str:
    """Name what was not taken."""
    if not found.prefix:
        return ", ".join(found.state) if found.where == BARE else found.where
    where = "" if found.where == BARE else f"{found.where} "
    return f"{where}{found.prefix} ({_count(found.state)})"


def _siblings(checkpoint: object, chosen: Found, every: Sequence[Found]) -> list[str]:
    """Return the names beside the way to `chosen` that nothing else tells of."""
    told, names, held, above = {one.where for one in every}, [], checkpoint, ""
    way = "" if chosen.where == BARE else chosen.where
    while isinstance(held, Mapping | list | tuple):
        entries = dict(held) if isinstance(held, Mapping) else dict(enumerate(held))
        step = next((key for key in entries if way == str(key) or way.startswith(f"{key}.")), None)
        has_own = (above.removesuffix(".") or BARE) in told  # its tensors are told of
        for key, value in entries.items():
            whole = f"{above}{key}"
            said = has_own if isinstance(value, Tensor) else any(f"{one}.".startswith(f"{whole}.") for one in told)
            if key not in (step, METADATA) and not said:
                names.append(whole)
        if step is None:
            break
        held, way, above = entries[step], way.removeprefix(str(step)).removeprefix("."), f"{above}{step}."
    return names


def _at(held: object, key: str) -> object:
    """Return what `key` names in `held`: keys joined by dots, and perhaps the beginning of names; None where nothing is called so."""
    if isinstance(held, list | tuple):
        held = dict(enumerate(held))
    if not isinstance(held, Mapping):
        return None
    key = "" if key == BARE else key
    if not key:
        return _tensors(held) or None
    for name, value in held.items():
        if key == str(name) and not isinstance(value, Tensor):
            return value
        if key.startswith(f"{name}.") and (inner := _at(value, key.removeprefix(f"{name}."))) is not None:
            return inner
    begin = f"{key.removesuffix('.')}."
    return {name.removeprefix(begin): value for name, value in _tensors(held).items() if name.startswith(begin)} or None


def _list_mappings(checkpoint: object) -> str:
    """Say which mappings of tensors there are, companions too, with their counts."""
    found: dict[str, int] = {}

    def look(held: object, path: tuple[str, ...]) -> None:
        """Add the mappings of tensors in `held`, which lies at `path`, to what was found."""
        if isinstance(held, list | tuple):
            held = dict(enumerate(held))
        if not isinstance(held, Mapping):
            return
        tensors = _tensors(held)
        if tensors:
            firsts = [first for first, dot, _ in (name.partition(".") for name in tensors) if dot]
            kinds = {first: firsts.count(first) for first in dict.fromkeys(firsts)}
            apart = any(NETWORKS.fullmatch(first) or AVERAGES.search(first) or COMPANIONS.fullmatch(first) for first in kinds)
            if apart:
                found.update({".".join([*path, first]): count for first, count in kinds.items()})
            else:
                found[".".join(path) or BARE] = len(tensors)
        for name, value in held.items():
            if not (isinstance(value, Mapping) and {"state", "param_groups"} <= value.keys()):
                look(value, (*path, str(name)))

    look(checkpoint, ())
    if found:
        listed = [f"{name} ({count} tensor{'s' if count > 1 else ''})" for name, count in found.items()]
        return f"There are: {', '.join(listed)}."
    if isinstance(checkpoint, Mapping):
        inside = ", ".join(f"{name} ({type(value).__name__})" for name, value in list(checkpoint.items())[:8])
        return f"It holds: {inside or 'nothing'}{', ...' if len(checkpoint) > 8 else ''}."
    return f"It is a {type(checkpoint).__name__}."
