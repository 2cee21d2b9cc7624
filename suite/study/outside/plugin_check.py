"""What a plug-in has to hold before its design is registered: every problem is found at once, and told with what to do."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import ModuleType

from models.catalog import TINY_DEPTH_DIVISOR, TINY_WIDTH
from models.design import AblationTable, Design, ModelCard, OfficialClass, Runs
from models.lookup import suggest
from suite.study.grids import GRIDS, RESERVED, find_misfit, grid_name
from suite.study.recipe import Recipe
from suite.study.recipes import RECIPES
from suite.study.tasks import TASKS, Task

PARTS: Mapping[str, type] = {
    "networks": ModelCard,
    "ablations": ModelCard,
    "runs": Runs,
    "tables": AblationTable,
    "official": OfficialClass,
}
PRINTED = frozenset({"PAPER", "CLAIMS"})  # what is printed and said of it, as results/published and results/claims have it
OF_CONFIG: Mapping[str, str] = {  # what models.design.Config asks for, and what it is
    "scale": "the enlargement from input to output, e.g. 4",
    "channels": "of input and output: 3, or 1 for grey",
    "dim": "the channels of the features",
    "size_multiple": "what an input's sides are padded to a multiple of, in pixels, e.g. 1",
    "smallest_side": "the smallest side of an input, in pixels, e.g. 1",
    "work": "what training time goes with, e.g. width times blocks",
    "narrowed": "a method (self, width, depth_divisor) that returns the same design, smaller",
}


def find_problems(module: ModuleType) -> list[str]:
    """Return what is wrong with what a plug-in declares; nothing where its design can be registered."""
    design = vars(module).get("DESIGN")
    if not isinstance(design, Design):
        if isinstance(design, type) or design is not None:
            return [f"DESIGN is a {type(design).__name__}, and must be a models.design.Design"]
        names = [name for name in vars(module) if not name.startswith("_")]
        return [f"it declares no DESIGN, a models.design.Design. It has: {', '.join(names) or 'nothing'}"]
    rows = [*_find_in_rows(module, "TASKS", Task), *_find_in_rows(module, "RECIPES", Recipe)]
    rows += [
        f"{name} is a {type(held).__name__}, and must be a dictionary, or the text of a TOML file"
        for name in sorted(PRINTED & vars(module).keys())
        if not isinstance(held := vars(module)[name], Mapping | str)
    ]
    problems = [*rows, *_find_in_shape(design)]
    if problems:  # what follows rests on the shape
        return problems
    tasks = dict(TASKS) | {row.name: row for row in list_rows(module, "TASKS")}
    recipes = [*RECIPES, *(row.name for row in list_rows(module, "RECIPES"))]
    problems += [
        f"the task {name!r} has no recipe {name}/released; put it into RECIPES" for name in tasks if f"{name}/released" not in recipes
    ]
    problems += [
        f"the recipe {name!r} is of no task{suggest(name.partition('/')[0], tasks)}"
        for name in recipes
        if name.partition("/")[0] not in tasks
    ]
    told: set[type] = set()  # configurations whose class lacks something: of each that is said once
    for card in (*design.networks, *design.ablations):
        if type(card.config) not in told:
            found = list(_find_in_card(design, card, tasks))
            told |= {type(card.config)} if found else set()
            problems += found
    return [*problems, *_find_in_names(design, tasks)]


def list_rows(module: ModuleType, name: str) -> tuple[object, ...]:
    """Return the rows that a plug-in adds to a table of the suite: TASKS or RECIPES; none where it does not name them."""
    return tuple(vars(module).get(name, ()))


def _find_in_rows(module: ModuleType, name: str, kind: type) -> list[str]:
    held = vars(module).get(name, ())
    if not isinstance(held, tuple | list) or not all(isinstance(row, kind) for row in held):
        return [f"{name} is not a tuple of {kind.__module__}.{kind.__name__}"]
    return []


def _find_in_shape(design: Design) -> Iterator[str]:
    """Yield which parts of the design are not what they must be."""
    if not isinstance(design.name, str) or not design.name.strip():
        yield f"the design's name is {design.name!r}, and must be a word or two"
    for name, kind in PARTS.items():
        held = getattr(design, name)
        if isinstance(held, kind):
            yield f"{name} is one {kind.__name__}, and must be a tuple of them: ({name[:-1]},) with a comma"
        elif not isinstance(held, tuple) or not all(isinstance(row, kind) for row in held):
            yield f"{name} is a {type(held).__name__}, and must be a tuple of models.design.{kind.__name__}"
    if not design.networks:
        yield "networks is empty: a design has one network or more"
    if not isinstance(design.classes, Mapping) or not design.classes:
        yield "classes is not a mapping from a configuration's class to its network's, e.g. {MyConfig: MyNetwork}"
    elif wrong := [key for key in design.classes if not (isinstance(key, type) and dataclasses.is_dataclass(key))]:
        yield f"classes has the key {wrong[0]!r}, and its keys are the configurations' classes, dataclasses: {{MyConfig: MyNetwork}}"
    else:
        yield from (problem for made in design.classes.values() for problem in _find_in_class(made))
    if not isinstance(design.rules, Callable):
        yield "rules is not a function from a configuration to pairs of a regular expression and what replaces it"


def _find_in_class(made: object) -> Iterator[str]:
    """Yield what a network's class lacks; one that is named as "module:class" is looked at when it is built."""
    if isinstance(made, str):
        if ":" not in made:
            yield f"classes names {made!r}, which is not module:class"
        return
    from models.base import RestorationNet  # late: torch is slow to load, and the plug-in has loaded it

    if not isinstance(made, type) or not issubclass(made, RestorationNet):
        yield f"classes holds {getattr(made, '__name__', made)!r}, and a network is a subclass of models.base.RestorationNet"
    elif made.restore is RestorationNet.restore:
        yield f"{made.__name__} defines no restore(self, x): (B, C, H, W) to (B, C, scale*H, scale*W)"


def _find_in_card(design: Design, card: ModelCard, tasks: Mapping[str, Task]) -> Iterator[str]:
    config, what = card.config, f"the configuration of {card.name}"
    if type(config) not in design.classes:
        known = ", ".join(key.__name__ for key in design.classes)
        yield f"{what} is a {type(config).__name__}, for which classes has no network; it has {known}"
        return
    try:
        hash(config)
    except TypeError:
        yield f"{what} cannot be hashed: declare it @dataclass(frozen=True), with tuples for lists"
        return
    lacking = [f"{name} ({why})" for name, why in OF_CONFIG.items() if not hasattr(config, name)]
    if lacking:
        yield f"{what}, {type(config).__name__}, lacks {', '.join(lacking)}"
        return
    if wrong := [name for name in ("scale", "channels", "dim", "size_multiple", "smallest_side") if not _is_count(getattr(config, name))]:
        yield f"{what} has {wrong[0]} = {getattr(config, wrong[0])!r}, and it must be a whole number of at least 1"
        return
    if card.task not in tasks:
        yield f"{card.name} has the task {card.task!r}, which is not known.{suggest(card.task, tasks)}"
    elif misfit := find_misfit(card.name, config, tasks[card.task]):
        yield misfit.rstrip(".")
    try:
        small = config.narrowed(TINY_WIDTH, TINY_DEPTH_DIVISOR)
    except Exception as error:
        yield f"{what} cannot be narrowed: narrowed({TINY_WIDTH}, {TINY_DEPTH_DIVISOR}) raised {type(error).__name__}: {error}"
        return
    if type(small) is not type(config) or small.scale != config.scale or small.dim != TINY_WIDTH:
        yield (
            f"narrowed({TINY_WIDTH}, {TINY_DEPTH_DIVISOR}) of {card.name} must return a {type(config).__name__} with dim = {TINY_WIDTH} "
            "and the same scale"
        )


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _find_in_names(design: Design, tasks: Mapping[str, Task]) -> Iterator[str]:
    """Yield which names of the design's rows mean nothing, or something else already."""
    networks, ablations = ([card.name for card in rows] for rows in (design.networks, design.ablations))
    for name in (*networks, *ablations):
        if not name or set(name) - set("abcdefghijklmnopqrstuvwxyz0123456789-._"):
            yield f"a network is called {name!r}: names are of small letters, digits, hyphens and dots, e.g. my-net-x4"
    yield from (
        f"the network {name!r} has a dot, which stands before the change of an ablation: use a hyphen" for name in networks if "." in name
    )
    for card in design.ablations:
        if card.parent not in networks:
            yield (f"the ablation {card.name!r} is of {card.parent!r}, none of this design's networks; make it by NETWORK.ablation(...)")
    for table in design.tables:
        yield from _unknown(f"the table {table.grid!r} is of", [table.parent], networks)
    for runs in design.runs:
        yield from _unknown("runs names", [runs.model], (*networks, *ablations))
        yield from _unknown(f"{runs.model} runs", (*runs.printed, *runs.others), tasks)
    grids = [table.grid for table in design.tables] or [grid_name(design)]
    yield from (f"a grid is called {name!r} already: choose another" for name in grids if name in GRIDS or name in RESERVED)


def _unknown(what: str, names: Iterable[str], known: Iterable[str]) -> Iterator[str]:
    yield from (f"{what} {name!r}, which is not known.{suggest(name, known)}" for name in names if name not in known)
