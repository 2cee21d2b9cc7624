"""Faults to inject: `edit` compiles a function with one line changed, and says so where the line is no longer there."""

import __future__

import importlib
import inspect
import sys
import textwrap
from collections.abc import Callable
from dataclasses import dataclass, replace
from types import MappingProxyType

import pytest


@dataclass(frozen=True)
class Mutation:
    """A fault; `part` of `probe` sees it, `moves` is in the key of a number that must drift, `fault` applies it."""

    name: str
    probe: str
    part: str
    moves: str
    fault: Callable[[pytest.MonkeyPatch], None]


def edit(target, before, after):
    """The fault of one changed line: `target` is module:function or module:Class.method."""

    def fault(patch):
        name, _, path = target.partition(":")
        *owners, attribute = path.split(".")
        owner = importlib.import_module(name)
        for part in owners:
            owner = getattr(owner, part)
        held = inspect.getattr_static(owner, attribute)
        function = inspect.unwrap(held.fget if isinstance(held, property) else getattr(held, "__func__", held))
        source = textwrap.dedent(inspect.getsource(function))
        assert source.count(before) == 1, f"{target} has {before!r} {source.count(before)} times"
        made = {}
        code = compile(source.replace(before, after), inspect.getfile(function), "exec", flags=__future__.annotations.compiler_flag)
        exec(code, function.__globals__, made)  # noqa: S102 - our own source
        changed = made[function.__name__]
        if not function.__closure__ and changed.__code__.co_freevars == ():
            patch.setattr(function, "__code__", changed.__code__)  # wherever it is held: by name, in a table, in a partial
            return
        patch.setattr(owner, attribute, changed)
        for other in [module for key, module in sys.modules.items() if key.startswith(("suite", "models"))]:
            if vars(other).get(attribute) is held:  # it was imported by name
                patch.setattr(other, attribute, changed)

    return fault


def row(table, name, **changes):
    """The fault of one changed row of a table, module:TABLE."""

    def fault(patch):
        module, _, attribute = table.partition(":")
        rows = dict(getattr(importlib.import_module(module), attribute))
        rows[name] = replace(rows[name], **changes)
        patch.setattr(importlib.import_module(module), attribute, MappingProxyType(rows))

    return fault


def constant(target, value):
    """The fault of another constant, module:NAME."""
    module, _, name = target.partition(":")
    return lambda patch: patch.setattr(importlib.import_module(module), name, value)
