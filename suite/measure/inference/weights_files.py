"""Files of weights on this machine: which of the register's they are, and what is in one.

A sha256 that the register knows makes a file *verified*. Where it knows none, the one of the first download stands beside the file, in
`FILE.sha256` as sha256sum writes it; such a file is *seen first here*, never verified.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import models
from models.cache import FolderUnavailable, find_cache, folder_named_by
from suite.core.errors import SuiteError
from suite.core.files import sha256_of, write_whole
from suite.measure.inference import weights
from suite.study.weights_register import NO_DESIGN, Register, WeightsFile, layout_of, model_of

if TYPE_CHECKING:
    from torch import Tensor

State = Literal["verified", "seen first here", "not verified", "changed"]
BESIDE = ".sha256"  # ends the name of what was seen first
UNFINISHED = (".part", ".lock", ".from", ".rejected", BESIDE)


def weights_folder() -> Path:
    """Return `$SUITE_WEIGHTS`, or `weights` in the suite's cache folder; it need not exist. FolderUnavailable where there is no cache."""
    return folder_named_by("SUITE_WEIGHTS") or find_cache() / "weights"


def folders_to_search(others: Sequence[Path]) -> list[Path]:
    """Return `weights_folder()`, where there is one, and `others`."""
    try:
        return [weights_folder(), *others]
    except FolderUnavailable:
        if os.environ.get("SUITE_WEIGHTS"):
            raise
        return [*others]


@dataclass(frozen=True)
class Local:
    """A file of the register's that is here."""

    path: Path
    state: State


def find_local(register: Register, folders: Iterable[Path]) -> dict[str, Local]:
    """Return which of the register's files lie in `folders` or below, by sha256, and by name where none is known.

    Only files whose name or size fits an entry are read. A file that is verified is preferred.
    """
    found: dict[str, Local] = {}
    for path in _files(folders):
        size, digest = path.stat().st_size, ""
        for entry in register.files:
            named = path.name == entry.local_name
            if entry.kind != "weights" or not (named or size == entry.bytes):
                continue
            digest = digest or sha256_of(path)
            if entry.sha256 == digest or (named and found.get(entry.name, Local(path, "changed")).state == "changed"):
                found[entry.name] = Local(path, state_of(entry, path, digest))
    return found


def _files(folders: Iterable[Path]) -> list[Path]:
    every = {path for folder in folders for path in folder.rglob("*") if not path.name.endswith(UNFINISHED) and path.is_file()}
    return sorted(every)


def state_of(entry: WeightsFile, path: Path, digest: str) -> State:
    """Return what is known of the file `path` with the sha256 `digest` as a copy of `entry`."""
    if entry.sha256:
        return "verified" if digest == entry.sha256 else "changed"
    try:
        first = path.with_name(path.name + BESIDE).read_text(encoding="utf-8-sig").partition(" ")[0]
    except (OSError, UnicodeDecodeError):
        return "not verified"
    return "seen first here" if digest == first else "changed"


def remember(path: Path, digest: str) -> None:
    """Write the sha256 of a first download beside the file; what stands there already stays."""
    beside = path.with_name(path.name + BESIDE)
    if not beside.exists():
        write_whole(beside, os.fsencode(f"{digest}  {path.name}\n"), "The file itself is there; give its folder space or permission.")


@dataclass(frozen=True)
class Description:
    """What a file of weights is."""

    path: str
    bytes: int
    sha256: str
    state: State | Literal["unknown"]  # unknown: no entry of the register is known to be this file
    entries: tuple[str, ...] = ()  # of the register, by sha256, or by name where it knows no sha256
    problem: str = ""  # why nothing below could be said
    which: str = ""
    tensors: int = 0
    values: int = 0
    dtypes: tuple[str, ...] = ()
    not_finite: tuple[str, ...] = ()  # names of tensors
    not_floating: tuple[str, ...] = ()
    layout: str = ""
    networks: tuple[str, ...] = ()  # of the register, that have exactly these names and shapes
    models: tuple[str, ...] = ()  # of `list models`, that load it strictly
    fits: tuple[str, ...] = ()  # files of the register that have this network, and so could be this one
    reason: str = ""  # why no model loads it
    design: str = ""
    said: str = ""  # the model that the file names
    prefix: str = ""  # taken off the names
    left: tuple[str, ...] = ()  # what lies beside them in the file

    @property
    def good(self) -> bool:
        """True where the file is what it should be, of a known network, and finite."""
        return not (self.problem or self.not_finite or self.not_floating) and bool(self.networks or self.models) and self.state != "changed"

    def as_dict(self) -> dict[str, object]:
        """Return its fields, as --json has them."""
        return asdict(self)


def describe(path: Path, register: Register, key: str = "") -> Description:
    """Say what the file `path` is, or what `key` names in it; nothing in it is run. SuiteError where there is no file."""
    weights.check_file(path)
    digest = sha256_of(path)
    entries, state = find_entries(path, digest, register)
    known = {"path": str(path), "bytes": path.stat().st_size, "sha256": digest, "state": state, "entries": tuple(e.name for e in entries)}
    try:
        found = weights.read_weights(path, key)
    except SuiteError as error:
        return Description(**known, problem=str(error))
    shapes = {name: tuple(value.shape) for name, value in found.state.items()}
    known_layouts = {network.layout for network in register.networks.values()}
    layouts = (layout_of(shapes), layout_of({found.prefix + name: shape for name, shape in shapes.items()}))  # authors may have a prefix
    layout = next((one for one in layouts if one in known_layouts), layouts[0])
    networks = [name for name, network in register.networks.items() if network.layout == layout]
    fits = [entry for entry in register.files if set(entry.networks) & set(networks)]
    loads, reason = _loads(found.state, register, networks)
    odd = weights.find_odd(found.state)
    return Description(
        **known,
        which=found.which,
        tensors=len(found.state),
        values=sum(value.numel() for value in found.state.values()),
        dtypes=tuple(sorted({str(value.dtype).removeprefix("torch.") for value in found.state.values()})),
        not_finite=tuple(odd[weights.NOT_FINITE]),
        not_floating=tuple(odd[weights.NOT_FLOATING]),
        layout=layout,
        networks=tuple(networks),
        models=tuple(loads),
        fits=tuple(entry.name for entry in fits),
        reason=reason,
        design=register.networks[networks[0]].design if networks else "",
        said=found.said,
        prefix=found.prefix,
        left=found.others,
    )


def find_entries(path: Path, digest: str, register: Register) -> tuple[list[WeightsFile], State | Literal["unknown"]]:
    """Return the entries that the file `path` is known to be, by sha256, or by name where none is known; and what is known of it."""
    entries = [entry for entry in register.files if entry.sha256 == digest]
    entries = entries or [entry for entry in register.files if entry.kind == "weights" and entry.local_name == path.name]
    return entries, state_of(entries[0], path, digest) if entries else "unknown"


def _loads(state: Mapping[str, Tensor], register: Register, networks: Sequence[str]) -> tuple[list[str], str]:
    """Return the models that load `state` strictly, or none and why."""
    reason = "no network that this suite or its register knows has these names and shapes"
    first = None
    for name in networks:
        first, reason = model_of(register.networks[name])
        if first:
            break
    if reason != NO_DESIGN:
        first = first or weights.find_fitting_model(state, like=models.names()[0])
    if not first:
        return [], reason
    card = models.card(first)
    return [name for name in (*models.names(), *models.names(tiny=True)) if models.card(name).config == card.config], ""
