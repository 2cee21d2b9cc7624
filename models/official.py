"""Loading the authors' checkpoints: their class names, constructor keywords and parameter names, strictly.

    network = from_official("MambaIR", {"upscale": 2, ...}, torch.load(file, weights_only=True))

`ARCHITECTURES` says how a class of theirs becomes a configuration of ours; `official_names` how our parameters are
called there; both are declared by the designs. The names are facts about public checkpoints; nothing here is their code.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from torch import Tensor

from models import build
from models.base import RestorationNet
from models.catalog import design_of
from models.checkpoints import BARE, find_tensors
from models.design import Config, OfficialClass
from models.designs import DESIGNS, Live
from models.keywords import Keywords, OfficialMismatch
from models.lookup import lookup

COUNTER = "num_batches_tracked"  # of batches, by a normalisation in training
ARCHITECTURES: Mapping[str, OfficialClass] = Live(lambda: {row.name: row for design in DESIGNS for row in design.official})


def official_names(network: RestorationNet) -> dict[str, str]:
    """Return the authors' name of each parameter of `network`, keyed by ours."""
    names, rules = {}, design_of(network.config).rules(network.config)
    for ours in network.state_dict():
        theirs = ours
        for pattern, replacement in rules:
            theirs = re.sub(pattern, replacement, theirs)
        names[ours] = theirs
    return names


def from_official(arch: str, config: Mapping[str, object], state: Mapping[str, object]) -> RestorationNet:
    """Build our network with the authors' weights.

    `arch` is a class name of `ARCHITECTURES`, `config` its constructor's keywords, `state` a checkpoint, in which its
    tensors are found (models.checkpoints). Raises `UnknownName` for another class and `OfficialMismatch` for a keyword or a
    parameter that does not fit; every key is used.
    """
    network = build(configuration(arch, config))
    load_official(network, state)
    return network


def configuration(arch: str, config: Mapping[str, object]) -> Config:
    """Return our configuration of the authors' class `arch` with the keywords `config`; raises as `from_official` does."""
    row = lookup("official architecture", arch, ARCHITECTURES)
    keywords = Keywords(arch, config)
    ours = row.configure(keywords)
    keywords.finish()
    return ours


def load_official(network: RestorationNet, checkpoint: object) -> str:
    """Load the authors' weights into `network`, strictly; return where in the checkpoint they lay."""
    names = official_names(network)
    found = find_tensors(checkpoint, fits=lambda state: has_names(state, network, names.values()))
    _load_strictly(network, found.state, names, found.where)
    return found.where


def load_weights(network: RestorationNet, checkpoint: object) -> str:
    """Load weights under our names or the authors', strictly; return where in the checkpoint they lay."""
    found = find_tensors(checkpoint, fits=lambda state: has_names(state, network, names_like(network, state).values()))
    load_state(network, found.state, found.where)
    return found.where


def load_state(network: RestorationNet, state: Mapping[str, Tensor], where: str = BARE) -> tuple[str, ...]:
    """Load weights under our names or the authors', strictly; return the counters among them that the network does not have.

    `where` is said in `OfficialMismatch`, which uses the names of the file, whichever those are.
    """
    return _load_strictly(network, state, names_like(network, state), where)


def names_like(network: RestorationNet, state: Mapping[str, object]) -> dict[str, str]:
    """Return the authors' or our names of each parameter of `network`, keyed by ours: those that `state` has more of, or is more like."""
    parts = {part for name in state for part in name.split(".")}

    def likeness(names: Mapping[str, str]) -> tuple[int, int]:
        return len(state.keys() & set(names.values())), len(parts & {part for name in names.values() for part in name.split(".")})

    return max(official_names(network), {name: name for name in network.state_dict()}, key=likeness)


def has_names(state: Mapping[str, object], network: RestorationNet, names: Iterable[str]) -> bool:
    """Return True if `state` has all `names` of the network's parameters (in the order of its state dict) that hold floating point."""
    wanted = zip(names, network.state_dict().values(), strict=True)
    return all(name in state for name, value in wanted if value.is_floating_point())


def _load_strictly(network: RestorationNet, state: Mapping[str, Tensor], names: Mapping[str, str], where: str) -> tuple[str, ...]:
    """Load `state`, in which our parameter `name` is called `names[name]`; `OfficialMismatch` unless all fits.

    Whole numbers follow from the configuration, or count the batches of a training: a file may leave them out, and such counters of layers
    that our network does not have are left, and returned.
    """
    wanted = network.state_dict()
    optional = {names[ours] for ours, value in wanted.items() if not value.is_floating_point()}
    missing = [theirs for theirs in names.values() if theirs not in state and theirs not in optional]
    beyond = sorted(set(state) - set(names.values()))
    counters = tuple(name for name in beyond if name.rpartition(".")[2] == COUNTER)
    there = [(theirs, state[theirs], wanted[ours]) for ours, theirs in names.items() if theirs in state]
    misshapen = [
        f"{name} is {tuple(held.shape)}, the network has {tuple(own.shape)}" for name, held, own in there if held.shape != own.shape
    ]
    whole = [f"{name} is {held.dtype}" for name, held, own in there if own.is_floating_point() and not held.is_floating_point()]
    kinds = {"missing": missing, "unexpected": [name for name in beyond if name not in counters], "misshapen": misshapen}
    problems = [
        f"{len(found)} {kind}: {', '.join(found[:3])}{', ...' if len(found) > 3 else ''}"
        for kind, found in (kinds | {"not of floating point": whole}).items()
        if found
    ]
    if problems:
        raise OfficialMismatch(f"the checkpoint ({where}, {len(state)} tensors) does not fit the network: {'; '.join(problems)}.")
    network.load_state_dict({ours: state.get(theirs, wanted[ours]) for ours, theirs in names.items()}, strict=True)
    return counters
