"""Cards of data sets: what a set is, whose, how many images it has, and in which folders people keep it. One TOML file a set in datasets/.

A layout says where the targets (`hq`) and the low-quality files (`lq`) lie below one of its places in the user's data folder. Layouts that
several sets share are in datasets/layouts.toml, and a card names them; its own stand in the card. In folder names `{set}` is the set's name
or any of its aliases, `{s}` the scale, `{q}` the JPEG quality and `{split}` the split as the layout spells it; in file names `{}` is the
image's name. Unknown keys are refused, and so is a folder that would lead out of the data folder.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import Annotated, Literal, get_args

from pydantic import Field, RootModel, field_validator, model_validator

from models.lookup import UnknownName, suggest
from suite.core.errors import Exit, SuiteError
from suite.core.paths import shipped_folder
from suite.study.tasks import Kind
from suite.study.toml_data import Strict, load_toml

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)
CARD_KINDS: tuple[Kind, ...] = get_args(Kind)
MADE: frozenset[Kind] = frozenset({"sr", "denoise", "jpeg"})  # kinds whose low-quality images the suite makes where there are none
# Kinds of which training takes the pairs that a set has.
PAIRED: frozenset[Kind] = frozenset({"derain", "real-denoise", "motion-deblur", "defocus-deblur", "dehaze", "same-size-sr"})

LAYOUTS_FILE = "layouts.toml"
ANY_HIGH, ANY_LOW = "{high}", "{low}"  # a folder called after its side
USUAL_NAMES = {
    ANY_HIGH: ("HR", "; or GT, HQ, target, sharp, high ..."),
    ANY_LOW: ("LR", "; or LQ, input, blur, LRx{s}, LR_bicubic/X{s} ..."),
}
FOLDER_PLACEHOLDERS = frozenset({"{set}", "{s}", "{q}", "{split}", ANY_HIGH, ANY_LOW})

Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Layout(Strict):
    """One way in which people keep a set: folders below the data folder, whatever their case."""

    of: str = Field(description="whose layout it is")
    kinds: tuple[Kind, ...] = Field((), description="the tasks whose low-quality files these are")
    places: tuple[str, ...] = Field(min_length=1, description="folders of the set, in order of preference; '.' = the data folder")
    hq: str = Field("", description="folder of the targets below the place, '.' = the place; none = the set has no targets")
    lq: str = Field("", description="folder of the low-quality files, or one .mat file; none = they are made by the task")
    hq_names: tuple[str, ...] = Field((), description="names of the targets' files; none = the usual ones (suite.data.layouts.pairing)")
    lq_names: tuple[str, ...] = Field((), description="names of the low-quality files; none = the usual ones")
    splits: dict[Split, str] = Field({}, description="the splits that it holds, and what {split} is; none = every split, {split} unused")
    deep: bool = Field(False, description="images lie in folders below `hq`")
    many: bool = Field(False, description="a target has several low-quality files, whose names go on behind its own and a _")

    @property
    def usual(self) -> bool:
        """Tell whether its folders are those that are called after a side (suite.data.layouts.sides)."""
        return self.hq == ANY_HIGH

    @field_validator("places", "hq", "lq", "splits")
    @classmethod
    def _inside(cls, value: tuple[str, ...] | str | dict[Split, str]) -> tuple[str, ...] | str | dict[Split, str]:
        for folder in (value,) if isinstance(value, str) else value.values() if isinstance(value, dict) else value:
            path = PurePosixPath(folder)
            if path.is_absolute() or ".." in path.parts or any(letter in folder for letter in "\\:~$\0"):
                raise ValueError(f"{folder!r} leaves the data folder")
            _known_placeholders(folder)
        return value

    @field_validator("hq_names", "lq_names")
    @classmethod
    def _file_names(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for name in value:
            if name.count("{}") != 1 or any(letter in name for letter in "/\\\0"):
                raise ValueError(f"{name!r} is not a file name with exactly one {{}} for the image's name")
            _known_placeholders(name.replace("{}", ""))
        return value

    @model_validator(mode="after")
    def _whole_enough(self) -> Layout:
        if not self.hq and not self.lq:
            raise ValueError("a layout names the folder of the targets, of the low-quality files, or both")
        if (self.hq == ANY_HIGH) != (self.lq == ANY_LOW):
            raise ValueError(f"{ANY_HIGH} and {ANY_LOW} stand for both folders of a layout, or for none")
        if bool(self.lq) != bool(self.kinds):
            raise ValueError("a layout with low-quality files says for which kinds of task they are, and one without does not")
        return self


class Version(Strict):
    """Files of which the pixels are known: sha256 of the decoded pixels, uint8 RGB in C order, by the file's name without its ending."""

    of: str
    side: Literal["hq", "lq"] = "hq"
    pixels: dict[str, Digest] = Field(min_length=1)


class Shared(Strict):
    """Images that this set has in common with another, known and to be said."""

    set: str
    what: str


class Faulty(Strict):
    """A copy of the set that is about and is not the set: told by the size of its targets."""

    longest: int = Field(ge=1, description="half of the targets or more have no side that is longer, in pixels")
    what: str


class Packaged(Strict):
    """One image of a set that a Python package ships."""

    name: str
    file: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", description="in the package's folder of images")
    split: Split
    content: str = Field(description="what it shows")
    credit: str
    licence: str = Field(description="as the package states it")
    redistribution: bool = Field(False, description="true where its licence lets anyone pass it on; details of it may be kept then")
    source: str
    size: tuple[int, int] = Field(description="height, width in pixels")


class Card(Strict):
    """A data set."""

    schema_version: Literal[2] = Field(alias="schema")
    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9 _.+-]*$")
    title: str
    aliases: tuple[Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9 _.+-]*$")], ...] = ()
    what: str
    origin: str
    licence: str = Field(description="as its authors state it; 'not stated', or 'not verified here', where that is so")
    redistribution: bool = Field(
        False, description="true where its licence lets anyone pass its images on; details of them may be kept then"
    )
    kinds: tuple[Kind, ...] = Field(min_length=1, description="the kinds of task that it serves")
    size: str = Field("", description="width x height of its images, in words")
    scales: tuple[Annotated[int, Field(ge=2)], ...] = Field((), description="for which people keep low-resolution images")
    traps: tuple[str, ...] = Field((), description="what has misled people, with its source")
    splits: dict[Split, Annotated[int, Field(ge=0)]] = Field(min_length=1, description="images, or pairs, of each split; 0 = not known")
    also: dict[Annotated[str, Field(pattern=r"^[0-9]+$")], str] = Field({}, description="other counts that are met, and why")
    numbers: dict[Split, tuple[int, int]] = Field({}, description="first and last number, where splits share a folder")
    multiple: Annotated[int, Field(ge=1)] = Field(1, description="what the sides of its images are multiples of")
    layouts: tuple[str, ...] = Field((), description="names of shared layouts, in order of preference")
    layout: tuple[Layout, ...] = Field((), description="its own layouts, preferred to shared ones")
    parts: tuple[Annotated[str, Field(pattern=r"^[^:]+:(train|validation|test)$")], ...] = Field((), description="sets it is made of")
    shares: tuple[Shared, ...] = ()
    version: tuple[Version, ...] = ()
    faulty: tuple[Faulty, ...] = ()
    grey: str = Field("", description="published numbers are of grey images: how those were made; none = of colour ones")
    scored_by: str = Field("", description="who keeps its targets, and how its numbers are made then; none = nobody keeps them back")
    package: str = Field("", description="the Python package that ships its images; none = it lies in the user's folders")
    image: tuple[Packaged, ...] = Field((), description="those images")

    @model_validator(mode="after")
    def _fits(self) -> Card:
        if bool(self.package) != bool(self.image):
            raise ValueError("a set that a package ships lists its images, and no other does")
        if bool(self.layouts or self.layout) == bool(self.package):
            raise ValueError("a card has at least one layout, or names the package that ships the set")
        if self.package and self.splits != {split: sum(one.split == split for one in self.image) for split in self.splits}:
            raise ValueError("the splits count other images than are listed")
        for name in self.layouts:
            if name not in shared_layouts():
                raise ValueError(f"no shared layout is called {name!r}.{suggest(name, shared_layouts())}")
        for split in [*self.numbers, *(split for layout in self.layout for split in layout.splits)]:
            if split not in self.splits:
                raise ValueError(f"the split {split!r} is named, and no count of it is given")
        return self

    @property
    def stands_in(self) -> bool:
        """Tell whether it stands in for a folder of the user's, of which nothing is known (suite.data.layouts.folders)."""
        return not self.origin

    def may_pass_on(self, image: str) -> bool:
        """Return whether the licence of the set, or of its image of this name, lets anyone pass the image on."""
        return self.redistribution or any(one.redistribution for one in self.image if one.name == image)

    @property
    def names(self) -> tuple[str, ...]:
        """The set's name and its aliases."""
        return (self.name, *self.aliases)

    @property
    def ways(self) -> tuple[Layout, ...]:
        """Every layout accepted, in order of preference."""
        return (*self.layout, *(shared_layouts()[name] for name in self.layouts))


def _known_placeholders(text: str) -> None:
    for name in FOLDER_PLACEHOLDERS:
        text = text.replace(name, "")
    if "{" in text or "}" in text:
        raise ValueError(f"{text!r} has braces that mean nothing here; known: {', '.join(sorted(FOLDER_PLACEHOLDERS))}")


@cache
def shared_layouts() -> Mapping[str, Layout]:
    """Return the layouts of datasets/layouts.toml by their names; SuiteError names file and field."""
    held = load_toml(shipped_folder("datasets") / LAYOUTS_FILE, RootModel[dict[str, Layout]], "the shared layouts", exit=Exit.NOT_READY)
    return MappingProxyType(held.root)


def load_card(path: Path) -> Card:
    """Read the card in a TOML file; SuiteError names file and field."""
    return load_toml(path, Card, "a data set", exit=Exit.NOT_READY)


@cache
def cards() -> Mapping[str, Card]:
    """Return every card of datasets/ by its name: packages' first, then by the alphabet; SuiteError where two share a name or alias."""
    found = [load_card(path) for path in sorted(shipped_folder("datasets").glob("*.toml")) if path.name != LAYOUTS_FILE]
    by_name: dict[str, str] = {}
    for one in found:
        for name in one.names:
            if name.casefold() in by_name:
                raise SuiteError(f"the data sets {by_name[name.casefold()]} and {one.name} are both called {name!r}.", exit=Exit.NOT_READY)
            by_name[name.casefold()] = one.name
    return MappingProxyType({one.name: one for one in sorted(found, key=lambda one: (not one.package, one.name.casefold()))})


def card(name: str) -> Card:
    """Return the card of this name or alias, whatever its case; raises `UnknownName` with suggestions."""
    for one in cards().values():
        if name.casefold() in {known.casefold() for known in one.names}:
            return one
    raise UnknownName(f"no data set is called {name!r}.{suggest(name, cards())}")


def draw_layout(one: Card, layout: Layout) -> Iterator[str]:
    """Yield the layout as indented lines that can be copied: the set's places, and the files below them."""
    name = one.name
    places = [place.replace("{set}", name) for place in layout.places]
    also = f"   (or {', '.join(places[1:])})" if places[1:] else ""
    kinds = "any task" if layout.usual else " and ".join(layout.kinds)
    yield f"{layout.of} ({kinds or 'no low-quality files'}):"
    yield f"  {places[0]}/{also}"
    for folder, names, what in ((layout.hq, layout.hq_names, "target"), (layout.lq, layout.lq_names, "low quality")):
        if not folder:
            continue
        usual = "{}x{s}" if what == "low quality" and "sr" in layout.kinds else "{}"
        file = "" if folder.endswith(".mat") else "/" + (names[0] if names else usual).replace("{}", "NAME") + ".png"
        below = "/FOLDER" if layout.deep else ""
        folder, others = USUAL_NAMES.get(folder, (folder, ""))
        shown = (folder + below + file).removeprefix("./").replace("{set}", name)
        splits = "|".join(layout.splits.values())
        yield f"    {shown.replace('{split}', splits)}   ({what}{others})"
