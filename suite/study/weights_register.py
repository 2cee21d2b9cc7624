"""The register of published weights: results/published/weights.toml as typed data, unknown keys refused.

The file says where the authors of the designs keep their networks (and result images), what they print beside each, and what is known of
the files: nothing in it is guessed. Whether this suite can build a network is asked of `models`, so that a new design needs no edit here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from models.lookup import lookup
from suite.core.paths import shipped_folder
from suite.study.toml_data import Strict, load_toml

NO_DESIGN = "this suite has no such design yet"
NO_NETWORK = "no network of `list models` has this configuration"
UNKNOWN = "unknown"


class Design(Strict):
    """A design, and what its authors' repository says."""

    repository: str = Field(pattern=r"^https://")
    commit: str = Field(description="at which it was read")
    licence: str = Field(description="as stated there; 'none stated' where nothing is")
    paper: str


class Network(Strict):
    """A network as its authors build it."""

    design: str
    authors_class: str = Field(alias="class")
    keywords: dict[str, object] = Field(description="of the class's constructor")
    parameters: int = Field(gt=0)
    tensors: int = Field(gt=0, description="in a file of its weights, buffers too")
    layout: str = Field(pattern=r"^[0-9a-f]{16}$", description="layout_of() the tensors under the authors' names")
    model: str = Field("", description="of `list models`, where class and keywords alone do not say it (an older version of the class)")


class WeightsFile(Strict):
    """A file that can be downloaded, or a folder of files whose names are not known."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9.-]*$")
    kind: Literal["weights", "images"] = "weights"
    networks: tuple[str, ...] = Field((), description="one; more for a folder; none for images")
    task: str = Field("", description="a name of `list tasks`")
    addresses: tuple[str, ...] = Field(min_length=1, description="the one to try first is first")
    file: str = Field("", pattern=r"^[\w.-]*$", description="its name there; empty = unknown")
    bytes: int | None = Field(None, gt=0)
    sha256: str = Field("", pattern=r"^([0-9a-f]{64})?$", description="empty = unknown")
    origin: str = Field("", description="who says size and sha256")
    log: str = Field("", description="address of the authors' training log")
    licence: str = Field("", description="where it is not the design's repository that states it")
    rows: tuple[str, ...] = Field((), description="table/row of results/published that it should give")
    stands: str = Field("", description="table and row of a paper that is not in results/published")
    printed: tuple[tuple[str, str, float], ...] = Field((), description="data set, metric, value that the authors print beside it")
    printed_of: str = Field("", description="the file whose value that really is, where it is not this one's")
    shares: str = Field("", description="why an address of this entry stands twice in the register")
    source: str = Field(description="where the addresses stand")
    remark: str = ""

    @model_validator(mode="after")
    def _whole(self) -> WeightsFile:
        if (self.kind == "weights") != bool(self.networks):
            raise ValueError(f"{self.name}: weights name their networks, images none")
        if (self.bytes or self.sha256) and not self.origin:
            raise ValueError(f"{self.name}: size and sha256 need an origin")
        if odd := [one for one in (*self.addresses, *filter(None, [self.log])) if not one.startswith(("https://", "http://127.0.0.1:"))]:
            raise ValueError(f"{self.name}: {', '.join(odd)} is not an https address")
        return self

    @property
    def local_name(self) -> str:
        """Its name on this machine: the authors', or one made from the entry's where theirs is unknown."""
        return self.file or f"{self.name}.pth"


class Register(Strict):
    """The whole file."""

    schema_version: Literal[1] = Field(alias="schema")
    designs: dict[str, Design]
    networks: dict[str, Network]
    files: tuple[WeightsFile, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _references(self) -> Register:
        names = [file.name for file in self.files]
        seen: dict[str, str] = {}
        for file in self.files:
            if names.count(file.name) > 1:
                raise ValueError(f"the file {file.name} is there twice")
            if unknown := [name for name in file.networks if name not in self.networks]:
                raise ValueError(f"{file.name}: no network {', '.join(unknown)} is in the register")
            if file.printed_of and file.printed_of not in names:
                raise ValueError(f"{file.name}: printed_of names no file: {file.printed_of}")
            for address in (*file.addresses, *filter(None, [file.log])):
                if address in seen and not file.shares:
                    raise ValueError(f"{file.name}: {address} is the address of {seen[address]}, too; say why in `shares`")
                seen[address] = file.name
        for name, network in self.networks.items():
            if network.design not in self.designs:
                raise ValueError(f"the network {name}: no design {network.design} is in the register")
        return self

    def file(self, name: str) -> WeightsFile:
        """Return the entry `name`; UnknownName suggests others."""
        return lookup("published weights", name, {file.name: file for file in self.files})

    def design_of(self, file: WeightsFile) -> str:
        """Return the design's name of a file, by its network; that of images is the first part of the entry's name."""
        if file.networks:
            return self.networks[file.networks[0]].design
        return next((name for name in self.designs if name.lower() == file.name.partition("-")[0]), "")

    def licence_of(self, file: WeightsFile) -> str:
        """Return the licence as stated for a file."""
        design = self.designs.get(self.design_of(file))
        return file.licence or (design.licence if design else UNKNOWN)


def load(path: Path | None = None) -> Register:
    """Read the register; SuiteError says which field is wrong and where."""
    return load_toml(path or shipped_folder("results/published") / "weights.toml", Register, "the register of weights")


def layout_of(shapes: Mapping[str, Sequence[int]]) -> str:
    """Return 16 hex digits that stand for the names and shapes of all tensors of a file, in any order."""
    text = "\n".join(sorted(f"{name} {'x'.join(map(str, shape))}" for name, shape in shapes.items()))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def model_of(network: Network, task: str = "") -> tuple[str, str]:
    """Return the name in `list models` that a network has here, or "" and the reason why there is none. Loads torch.

    Where one configuration has several names (classic and real x4 super-resolution), the one of `task` is meant.
    """
    import models
    from models import official

    if network.model:
        return network.model, ""
    if network.authors_class not in official.ARCHITECTURES:
        return "", NO_DESIGN
    try:
        config = official.configuration(network.authors_class, network.keywords)
    except official.OfficialMismatch as error:
        return "", f"{NO_NETWORK}: {error}"
    found = [name for name in models.names() if models.card(name).config == config]
    found.sort(key=lambda name: models.card(name).task != task)
    return (found[0], "") if found else ("", NO_NETWORK)
