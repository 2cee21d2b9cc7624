"""Designs from outside: a plug-in is a Python file or module that declares DESIGN as the files in models/designs do.

It may also hold TASKS and RECIPES, rows for the suite's tables of these names, and PAPER and CLAIMS, what its author prints and says of it,
as the files of results/published and results/claims hold it. `loaded` has all of it registered for the length of a block,
`install` for the rest of a process, from code that came from another. A plug-in runs its author's code, with the user's rights.
"""

from __future__ import annotations

import contextlib
import os
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from types import ModuleType

from models.catalog import list_rows, register, withdraw
from models.design import Design
from suite.core.errors import SuiteError
from suite.core.output import note
from suite.core.text import count_of
from suite.study import recipes, tasks
from suite.study.outside import plugin_check
from suite.study.outside.plugin_files import PluginCode, describe_failure, read_code, run_code

VARIABLE = "SUITE_PLUGINS"  # files and modules, as PATH holds folders
GROUP = "suite.designs"  # of entry points


@dataclass(frozen=True)
class Plugin:
    """A plug-in that is loaded."""

    code: PluginCode
    file: Path  # that was run
    module: ModuleType
    design: Design
    printed: tuple[str, ...]  # what its author prints and says of it, in words: how many tables, how many claims
    withdraw: Callable[[], None] = field(compare=False, repr=False)  # takes all that it registered away

    @property
    def models(self) -> tuple[str, ...]:
        """Names of its networks and ablations, without tiny siblings."""
        return tuple(row.name for row in (*self.design.networks, *self.design.ablations))


_LOADED: list[Plugin] = []


def list_loaded() -> tuple[Plugin, ...]:
    """Return the plug-ins that are loaded in this process."""
    return tuple(_LOADED)


def list_code() -> tuple[PluginCode, ...]:
    """Return what has to be installed elsewhere for the same networks to be there."""
    return tuple(plugin.code for plugin in _LOADED)


def digest_of(model: str) -> str:
    """Return the sha256 of the plug-in that declares `model`; "" where it is one of the suite's own, or not known."""
    found = plugin_of(model)
    return found.code.sha256 if found else ""


def plugin_of(model: str) -> Plugin | None:
    """Return the plug-in that declares `model`, or its tiny sibling; None where it is one of the suite's own, or not known."""
    return next((plugin for plugin in _LOADED if any(row.name == model for row in list_rows(plugin.design))), None)


@contextlib.contextmanager
def loaded(names: Sequence[str], *, installed: bool = True) -> Iterator[None]:
    """Have the plug-ins `names`, those of $SUITE_PLUGINS, and with `installed` those of installed packages, registered within the block.

    Child processes find all of them by the variable. SuiteError where one cannot be loaded; one of an installed package, which nobody
    asked for here, is left out with a note.
    """
    before, variable = list(_LOADED), os.environ.get(VARIABLE)
    try:
        for name in (*names, *filter(None, (variable or "").split(os.pathsep))):
            load(name)
        if installed:
            _load_installed()
        if len(_LOADED) > len(before):
            _name_in_environment()
        yield
    finally:
        for plugin in [one for one in reversed(_LOADED) if one not in before]:
            _unload(plugin)
        if variable is None:
            os.environ.pop(VARIABLE, None)
        else:
            os.environ[VARIABLE] = variable


def load(name: str) -> Plugin:
    """Load the plug-in `name`, a file or a module, and register what it declares; the same content is loaded once."""
    code, file = read_code(name)
    return _find(code) or _register(code, file)


def install(codes: Iterable[PluginCode]) -> None:
    """Load plug-ins from code that another process sent, for the rest of this one; what is loaded already stays."""
    new = [code for code in codes if _find(code) is None]
    for code in new:
        folder = code.unpack()
        if code.module:
            sys.path.insert(0, str(folder))
            os.environ["PYTHONPATH"] = os.pathsep.join([str(folder), *filter(None, [os.environ.get("PYTHONPATH")])])
        _register(code, folder / code.files[0][0])
    if new:  # for child processes, such as those that take times
        _name_in_environment()


def reload(name: str) -> Plugin:
    """Load the plug-in `name`, a file, as it is now; what was loaded of it before, by its path, goes."""
    code, file = read_code(name)
    for old in [one for one in _LOADED if one.file == file and one.code != code]:
        _unload(old)
    return _find(code) or _register(code, file)


def _name_in_environment() -> None:
    os.environ[VARIABLE] = os.pathsep.join(plugin.code.module or str(plugin.file) for plugin in _LOADED)


def _find(code: PluginCode) -> Plugin | None:
    return next((plugin for plugin in _LOADED if plugin.code.sha256 == code.sha256), None)


def _register(code: PluginCode, file: Path) -> Plugin:
    module = run_code(code, file)
    problems = plugin_check.find_problems(module)
    if problems:
        lines = "\n".join(f"  {problem.rstrip('.')}." for problem in problems)
        raise SuiteError(f"--plugin {code.name} does not declare a design:\n{lines}\ndocs/outside.md has an example.")
    with contextlib.ExitStack() as added:
        try:
            for row in plugin_check.list_rows(module, "TASKS"):
                tasks.add_task(row)
                added.callback(tasks.withdraw_task, row.name)
            for row in plugin_check.list_rows(module, "RECIPES"):
                recipes.add_recipe(row)
                added.callback(recipes.withdraw_recipe, row.name)
            register(module.DESIGN)
            added.callback(withdraw, module.DESIGN)
            printed = _register_printed(module, code.name, added) if plugin_check.PRINTED & vars(module).keys() else ()
        except (ValueError, SuiteError) as error:
            raise SuiteError(f"--plugin {code.name}: {error}") from None
        plugin = Plugin(code, file, module, module.DESIGN, printed, added.pop_all().close)
    _LOADED.append(plugin)
    return plugin


def _register_printed(module: ModuleType, name: str, added: contextlib.ExitStack) -> tuple[str, ...]:
    """Register a plug-in's paper and claims, and return what they hold; wherever they are shown, they are called the plug-in's."""
    from suite.study import claims, published  # late: pydantic is slow to load, and most plug-ins have neither

    whose, held, printed = f"plug-in {name}", vars(module), []
    if "PAPER" in held:
        paper = published.read_paper(held["PAPER"], "PAPER")
        published.add_paper(paper.model_copy(update={"name": f"{paper.name} ({whose})"}))
        added.callback(published.withdraw_paper, paper.key)
        printed.append(count_of(len(paper.tables), "table"))
    if "CLAIMS" in held:
        said = claims.read_claims(held["CLAIMS"], "CLAIMS")
        marked = tuple(claim.model_copy(update={"where": f"{claim.where}, {whose}"}) for claim in said.claims)
        claims.add_claims(said.model_copy(update={"claims": marked}))
        added.callback(claims.withdraw_claims, said.paper)
        printed.append(count_of(len(said.claims), "claim"))
    return tuple(printed)


def _unload(plugin: Plugin) -> None:
    plugin.withdraw()
    _LOADED.remove(plugin)


def _load_installed() -> None:
    """Load the designs of installed packages; one that fails is noted and left out, for other work does not need it."""
    for point in metadata.entry_points(group=GROUP):
        try:
            load(point.value.partition(":")[0])
        except SuiteError as error:
            package = point.dist.name if point.dist else "an installed package"
            note(f"left out: the design {point.name!r} of {package}: {error}")


def explain_failure(error: Exception) -> str:
    """Say in which line of a loaded plug-in an error was raised, and what it is; "" where it was not on its way."""
    frames = [Path(frame.filename) for frame in traceback.extract_tb(error.__traceback__)]
    for plugin in _LOADED:
        if plugin.file in frames:
            return f"{plugin.code.name}, {describe_failure(error, plugin.file)}"
    return ""
