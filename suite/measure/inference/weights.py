"""Weights of anyone's: read from torch's files or safetensors, loaded strictly, written under the authors' names.

What a file may hold: parameters under this suite's names or the authors' (models.official), wherever they lie in it (models.checkpoints);
so may a cell's own checkpoint. A moving average is taken where there is one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import models
from suite.core import tensors as tensor_file
from suite.core.errors import Exit, SuiteError

if TYPE_CHECKING:
    from torch import Tensor

    from models.base import RestorationNet

Format = Literal["official", "safetensors"]
FORMAT_VERSION = "1"  # of the metadata in safetensors files
NOT_FINITE, NOT_FLOATING = "hold NaN or infinity", "are not of floating point"
PARAMETERS = ("weight", "bias")  # end the names of what is always of floating point
SHOWN = 12  # things that are left aside, in a message
NAMED = 5  # tensors


@dataclass(frozen=True)
class Weights:
    """Named tensors from a file."""

    path: Path
    state: Mapping[str, Tensor]
    which: str  # of the file's: the keys that lead to it, e.g. params_ema or state_dict; bare where the file is the mapping itself
    others: tuple[str, ...]  # what lies beside it, in words
    said: str  # the model that the file says it is of; empty where it does not
    narrowing: tuple[int, int] = (0, 1)  # width and divisor of the block counts that it says that model was narrowed to; width 0: not
    prefix: str = ""  # taken off the names, in words
    averaged: bool = False  # the moving average of the weights


@dataclass(frozen=True)
class Used:
    """Which weights a network was given."""

    which: str
    names: Literal["suite", "authors"]
    tensors: int
    dtypes: tuple[str, ...]  # as in the file; the network's are float32, and whole numbers
    others: tuple[str, ...]
    said: str
    prefix: str = ""
    averaged: bool = False

    def as_dict(self) -> dict[str, object]:
        """Return its fields, as --json has them."""
        return asdict(self)

    def sentence(self, path: Path) -> str:
        """Say so in a sentence."""
        whose = "this suite's" if self.names == "suite" else "the authors'"
        cast = [dtype for dtype in self.dtypes if "float" in dtype and dtype != "float32"]
        made = f"; {' and '.join(cast)} made float32" if cast else ""
        return f"weights: {self.which} of {path}, {self.tensors} tensors under {whose} names{say_cleaning(self.prefix, self.others)}{made}"


def say_cleaning(prefix: str, others: tuple[str, ...]) -> str:
    """Say what was taken off the names of tensors, and what was left in the file."""
    shown = [*others[:SHOWN], *([f"{len(others) - SHOWN} more"] if len(others) > SHOWN else [])]
    passed = f"; {', '.join(shown[:-1])}{' and ' if len(shown) > 1 else ''}{shown[-1]} left aside" if shown else ""
    return (f"; {prefix} taken off them" if prefix else "") + passed


def check_file(path: Path) -> None:
    """Raise SuiteError where there is no such file."""
    if path.is_dir():
        raise SuiteError(f"{path} is a folder: name the file of weights in it.", exit=Exit.NOT_READY)
    if not path.is_file():
        raise SuiteError(f"there is no weights file {path}.", exit=Exit.NOT_READY)


def read_weights(path: Path, key: str = "", model: str = "", choose: str = "--key NAME takes one of them.") -> Weights:
    """Read the weights in `path`; SuiteError where there are none that can be read, and where reading would run code of the file's.

    `key` names those that are wanted, and `model` the network of the catalogue that they are for, where that is known: of several in the
    file, those are taken that have its names. `choose` says how a person names one.
    """
    from models.checkpoints import NetworkNotFound, find_tensors  # late: torch is slow to load

    check_file(path)
    held = tensor_file.read(path)
    about = held.get("metadata")
    about = about if isinstance(about, Mapping) else {}
    narrowing = about.get("width"), about.get("depth_divisor")
    if not all(isinstance(value, int) for value in narrowing):
        narrowing = 0, 1
    try:
        found = find_tensors(held, key, partial(_has_names_of, model) if model in models.MODELS else None)
    except NetworkNotFound as error:
        advice = f" {choose}" if "There are: " in str(error) else ""
        raise SuiteError(f"{path}: {error}{advice}", exit=Exit.NOT_READY) from error
    said, average = str(about.get("model", "")), found.is_average
    return Weights(path, found.state, key or found.where, found.left, said, narrowing, found.prefix, average)


def is_needless(key: str, path: Path, model: str) -> bool:
    """Return whether `key` names the very weights that are taken from the file without it."""
    try:
        plain = read_weights(path, model=model)
    except SuiteError:  # several, and none that stands out: there a key is needed
        return False
    return plain.which == key or _same(plain.state, read_weights(path, key, model).state)


def _same(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(value.equal(other[name]) for name, value in one.items())


def _has_names_of(model: str, state: Mapping[str, Tensor]) -> bool:
    import torch  # late: slow to load

    from models.official import has_names, names_like

    with torch.device("meta"):
        network = models.create(model)
    return has_names(state, network, names_like(network, state).values())


def check_values(weights: Weights) -> None:
    """Raise SuiteError where a tensor holds NaN or infinity, or is none of floating point where a network's is; names the tensors."""
    odd = find_odd(weights.state)
    texts = [f"{len(names)} of {len(weights.state)} tensors {what}: {_shown(names)}" for what, names in odd.items() if names]
    if texts:
        raise SuiteError(
            f"{weights.path} ({weights.which}) cannot be used: {'; '.join(texts)}. A training that failed, a damaged copy or a quantised "
            "file is like that: take another checkpoint, or convert it to floating point with what it was quantised by.",
            exit=Exit.NOT_READY,
        )


def find_odd(state: Mapping[str, Tensor]) -> dict[str, list[str]]:
    """Return the names of the tensors that no network can use, by what is wrong with them, in words."""
    import torch  # late: slow to load

    whole = [name for name, value in state.items() if not value.is_floating_point() and (_is_small(value) or name.endswith(PARAMETERS))]
    bad = [
        name
        for name, value in state.items()
        if value.is_floating_point() and not torch.isfinite(value if value.element_size() > 1 else value.float()).all()
    ]
    return {NOT_FINITE: bad, NOT_FLOATING: whole}


def _is_small(value: Tensor) -> bool:
    """Return True for types that no index and no counter of a network has: quantised weights, complex numbers, truth values."""
    import torch

    return value.dtype not in (torch.int16, torch.int32, torch.int64)


def _shown(names: Sequence[str]) -> str:
    return f"{', '.join(names[:NAMED])}{', ...' if len(names) > NAMED else ''}"


def read_model(path: Path | None, key: str = "") -> str:
    """Return the model that the file `path` says it is of; SuiteError where it does not, or there is none."""
    if path is None:
        raise SuiteError("--model is not given: name one of `list models`, or give --weights FILE that this suite trained.")
    said = read_weights(path, key).said
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


def give_weights(network: RestorationNet, weights: Weights, model: str) -> Used:
    """Give `network`, the catalogue's `model`, all of `weights`, strictly; SuiteError says what does not fit, and what they do fit."""
    from models.official import OfficialMismatch, load_state  # late: torch is slow to load

    check_values(weights)
    try:
        counters = load_state(network, weights.state, weights.which)
    except OfficialMismatch as error:
        fits = find_fitting_model(weights.state, like=model)
        hint = f" It fits {fits}." if fits else " It fits no network of the catalogue."
        claim = f" The file says that it is of {weights.said}." if weights.said else ""
        beside = f" Beside it in the file: {_shown(weights.others)}." if weights.others else ""
        raise SuiteError(f"{weights.path} does not fit {model}: {error}{claim}{hint}{beside}", exit=Exit.NOT_READY) from error
    names = "suite" if weights.state.keys() - set(counters) <= network.state_dict().keys() else "authors"
    dtypes = tuple(sorted({str(value.dtype).removeprefix("torch.") for value in weights.state.values()}))
    others = (*weights.others, *counters)
    count = len(weights.state) - len(counters)
    return Used(weights.which, names, count, dtypes, others, weights.said, weights.prefix, weights.averaged)


def find_fitting_model(state: Mapping[str, Tensor], like: str, among: Iterable[str] | None = None) -> str | None:
    """Find the network of the catalogue, or `among` these, that has these names and shapes; those as large as `like` are tried first.

    Tensors of whole numbers do not count: they follow from the configuration, or count batches.
    """
    import torch  # late: slow to load

    from models.official import official_names  # late: torch is slow to load

    shapes = _floating_shapes(state)
    for name in sorted(models.MODELS if among is None else among, key=lambda name: models.card(name).tiny != models.card(like).tiny):
        with torch.device("meta"):
            network = models.create(name)
        ours = _floating_shapes(network.state_dict())
        if shapes == ours:
            return name
        theirs = official_names(network)
        if shapes == {theirs[key]: shape for key, shape in ours.items()}:
            return name
    return None


def _floating_shapes(state: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(value.shape) for name, value in state.items() if value.is_floating_point()}


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
