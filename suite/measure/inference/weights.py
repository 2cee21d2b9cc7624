"""Weights of anyone's: read from torch's files or safetensors, loaded strictly, written under the authors' names.

What a file may hold: parameters under this suite's names or the authors' (models.official), directly or as `params_ema`, `params` or
`state_dict`, where the first that is there is taken; or the checkpoint of a cell, whose moving average is taken where it has one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import models
from suite.core import tensors as tensor_file
from suite.core.errors import Exit, SuiteError

if TYPE_CHECKING:
    from torch import Tensor

    from models.base import RestorationNet

Format = Literal["official", "safetensors"]
WRAPPINGS = ("params_ema", "params", "state_dict")  # of models.official.unwrap, in its order
FORMAT_VERSION = "1"  # of the metadata in safetensors files


@dataclass(frozen=True)
class Weights:
    """Named tensors from a file."""

    path: Path
    state: Mapping[str, Tensor]
    which: str  # of the file's: params_ema, params, state_dict, network, average, or bare
    others: tuple[str, ...]  # what else could have been taken
    said: str  # the model that the file says it is of; empty where it does not
    narrowing: tuple[int, int] = (0, 1)  # width and divisor of the block counts that it says that model was narrowed to; width 0: not


@dataclass(frozen=True)
class Used:
    """Which weights a network was given."""

    which: str
    names: Literal["suite", "authors"]
    tensors: int
    dtypes: tuple[str, ...]  # as in the file; the network's are float32
    others: tuple[str, ...]
    said: str

    def as_dict(self) -> dict[str, object]:
        """Return its fields, as --json has them."""
        return asdict(self)

    def sentence(self, path: Path) -> str:
        """Say so in a sentence."""
        whose = "this suite's" if self.names == "suite" else "the authors'"
        passed = f"; {' and '.join(self.others)} left aside" if self.others else ""
        cast = "" if self.dtypes == ("float32",) else f"; {' and '.join(self.dtypes)} made float32"
        return f"weights: {self.which} of {path}, {self.tensors} tensors under {whose} names{passed}{cast}"


def check_file(path: Path) -> None:
    """Raise SuiteError where there is no such file."""
    if not path.is_file():
        raise SuiteError(f"there is no weights file {path}.", exit=Exit.NOT_READY)


def read_weights(path: Path) -> Weights:
    """Read the weights in `path`; SuiteError where there are none that can be read, and where reading would run code of the file's."""
    from models.official import unwrap  # late: torch is slow to load

    check_file(path)
    held = tensor_file.read(path)
    about = held.pop("metadata", None)
    about = about if isinstance(about, Mapping) else {}
    narrowing = about.get("width"), about.get("depth_divisor")
    if not all(isinstance(value, int) for value in narrowing):
        narrowing = 0, 1
    if "network" in held and "fingerprint" in held:  # of a cell that is being trained
        average = held.get("average") or {}
        taken, which = (average, "average") if average else (held["network"], "network")
        state = {name.removeprefix("module."): value for name, value in taken.items() if name != "n_averaged"}
        others = ("network",) if average else ()
    else:
        for key in WRAPPINGS:
            if key in held and not isinstance(held[key], Mapping):
                raise SuiteError(f"{path} has a {type(held[key]).__name__} under {key!r}, not named tensors.", exit=Exit.NOT_READY)
        state, which = unwrap(held)
        others = tuple(key for key in WRAPPINGS if key in held and key != which)
    _check_tensors(path, state, which)
    return Weights(path, state, which, others, str(about.get("model", "")), narrowing)


def read_model(path: Path | None) -> str:
    """Return the model that the file `path` says it is of; SuiteError where it does not, or there is none."""
    if path is None:
        raise SuiteError("--model is not given: name one of `list models`, or give --weights FILE that this suite trained.")
    said = read_weights(path).said
    if said not in models.MODELS:
        what = f"says that it is of {said!r}, which is not in the catalogue" if said else "does not say which network it is of"
        raise SuiteError(f"{path} {what}. Name the network with --model; `weights check FILE` tries them all.")
    return said


def build_network(model: str, found: Weights) -> RestorationNet:
    """Return the catalogue's `model`, narrowed where the file says so of it."""
    width, depth_divisor = found.narrowing
    config = models.card(model).config
    narrowed = found.said == model and 0 < width <= config.dim and depth_divisor > 0  # the file may be anyone's
    return models.build(config.narrowed(width, depth_divisor) if narrowed else config)


def _check_tensors(path: Path, state: Mapping[str, object], which: str) -> None:
    import torch  # late: slow to load

    odd = [f"{name!r} ({type(value).__name__})" for name, value in state.items() if not isinstance(value, torch.Tensor)]
    if odd or not state:
        what = f"values that are not tensors: {', '.join(odd[:5])}{', ...' if len(odd) > 5 else ''}" if odd else "no tensor"
        raise SuiteError(
            f"{path} ({which}) holds {what}. Weights are looked for under params_ema, params and state_dict, or directly in the file.",
            exit=Exit.NOT_READY,
        )


def give_weights(network: RestorationNet, weights: Weights, model: str) -> Used:
    """Give `network`, the catalogue's `model`, all of `weights`, strictly; SuiteError says what does not fit, and what they do fit."""
    from models.official import OfficialMismatch, load_weights  # late: torch is slow to load

    wrapped = {weights.which: weights.state} if weights.which in WRAPPINGS else weights.state
    try:
        load_weights(network, wrapped)
    except OfficialMismatch as error:
        fits = find_fitting_model(weights.state, like=model)
        hint = f" It fits {fits}." if fits else " It fits no network of the catalogue."
        claim = f" The file says that it is of {weights.said}." if weights.said else ""
        raise SuiteError(f"{weights.path} does not fit {model}: {error}{claim}{hint}", exit=Exit.NOT_READY) from error
    names = "suite" if weights.state.keys() == network.state_dict().keys() else "authors"
    dtypes = tuple(sorted({str(value.dtype).removeprefix("torch.") for value in weights.state.values()}))
    return Used(weights.which, names, len(weights.state), dtypes, weights.others, weights.said)


def find_fitting_model(state: Mapping[str, Tensor], like: str, among: Iterable[str] | None = None) -> str | None:
    """Find the network of the catalogue, or `among` these, that has these names and shapes; those as large as `like` are tried first."""
    import torch  # late: slow to load

    from models.official import official_names  # late: torch is slow to load

    shapes = {name: tuple(value.shape) for name, value in state.items()}
    for name in sorted(models.MODELS if among is None else among, key=lambda name: models.card(name).tiny != models.card(like).tiny):
        with torch.device("meta"):
            network = models.create(name)
        ours = {key: tuple(value.shape) for key, value in network.state_dict().items()}
        if shapes == ours:
            return name
        theirs = official_names(network)
        if shapes == {theirs[key]: shape for key, shape in ours.items()}:
            return name
    return None


def write_weights(path: Path, network: RestorationNet, model: str, form: Format, key: str) -> int:
    """Write the weights of `network` under the authors' names, in one step, and return how many tensors they are.

    `official` is torch's file of `{key: tensors}`. A safetensors file holds the tensors, and the model, the version of this and `key` as
    its metadata.
    """
    from models.official import official_names  # late: torch is slow to load

    names = official_names(network)
    tensors = {names[ours]: value.detach().cpu().contiguous() for ours, value in network.state_dict().items()}
    if form == "official":
        tensor_file.write(path, {key: tensors})
    else:
        tensor_file.write_safetensors(path, tensors, {"format": "pt", "model": model, "format_version": FORMAT_VERSION, "key": key})
    return len(tensors)
