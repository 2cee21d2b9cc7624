"""Loading the authors' checkpoints: their class names, constructor keywords and parameter names, strictly.

    network = from_official("MambaIR", {"upscale": 2, ...}, torch.load(file, weights_only=True))

`ARCHITECTURES` says how a class of theirs becomes a configuration of ours; `official_names` how our parameters are
called there; both are declared by the designs. The names are facts about public checkpoints; nothing here is their code.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

from models import build
from models.base import RestorationNet
from models.catalog import design_of
from models.design import Config, OfficialClass
from models.designs import DESIGNS, Live
from models.keywords import Keywords, OfficialMismatch
from models.lookup import lookup

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


def unwrap(checkpoint: Mapping[str, object]) -> tuple[dict[str, Tensor], str]:
    """Return the state dict inside a checkpoint, and which one it is: `params_ema` before `params`, or the bare file.

    A `module.` prefix (left by DataParallel) is removed.
    """
    for key in ("params_ema", "params", "state_dict"):
        if key in checkpoint:
            state, which = checkpoint[key], key
            break
    else:
        state, which = checkpoint, "bare"
    return {str(name).removeprefix("module."): value for name, value in state.items()}, which


def from_official(arch: str, config: Mapping[str, object], state: Mapping[str, object]) -> RestorationNet:
    """Build our network with the authors' weights.

    `arch` is a class name of `ARCHITECTURES`, `config` its constructor's keywords, `state` a checkpoint (bare, or under
    params_ema, params or state_dict). Raises `UnknownName` for another class and `OfficialMismatch` for a keyword or a
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


def load_official(network: RestorationNet, checkpoint: Mapping[str, object]) -> str:
    """Load the authors' weights into `network`, strictly; return which state dict of the checkpoint was taken."""
    state, which = unwrap(checkpoint)
    _load_strictly(network, state, official_names(network), which)
    return which


def load_weights(network: RestorationNet, checkpoint: Mapping[str, object]) -> str:
    """Load weights under our names or the authors', strictly; return which state dict of the checkpoint was taken."""
    state, which = unwrap(checkpoint)
    # Whichever names the file has more of, so that a message about what does not fit uses the file's.
    ours, theirs = {name: name for name in network.state_dict()}, official_names(network)
    _load_strictly(network, state, max(ours, theirs, key=lambda names: len(state.keys() & set(names.values()))), which)
    return which


def _load_strictly(network: RestorationNet, state: Mapping[str, Tensor], names: Mapping[str, str], which: str) -> None:
    """Load `state`, in which our parameter `name` is called `names[name]`; `OfficialMismatch` unless all fits."""
    wanted = network.state_dict()
    # Whole numbers follow from the configuration, or count the batches of a training: a file may leave them out.
    optional = {names[ours] for ours, value in wanted.items() if not value.is_floating_point()}
    missing = [theirs for theirs in names.values() if theirs not in state and theirs not in optional]
    unexpected = sorted(set(state) - set(names.values()))
    misshapen = [
        f"{theirs} is {tuple(state[theirs].shape)}, the network has {tuple(wanted[ours].shape)}"
        for ours, theirs in names.items()
        if theirs in state and state[theirs].shape != wanted[ours].shape
    ]
    problems = [
        f"{len(found)} {kind}: {', '.join(found[:3])}{', ...' if len(found) > 3 else ''}"
        for kind, found in (("missing", missing), ("unexpected", unexpected), ("misshapen", misshapen))
        if found
    ]
    if problems:
        raise OfficialMismatch(f"the checkpoint ({which}, {len(state)} tensors) does not fit the network: {'; '.join(problems)}.")
    network.load_state_dict({ours: state.get(theirs, wanted[ours]) for ours, theirs in names.items()}, strict=True)
