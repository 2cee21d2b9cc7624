"""Data of the project in TOML files: read into strict types, with an error that names file and field."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import pydantic
from pydantic import BaseModel, ConfigDict

from suite.core.errors import Exit, SuiteError


class Strict(BaseModel):
    """A part of such a file: unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


Described = TypeVar("Described", bound=BaseModel)


def load_toml(
    path: Path,
    kind: type[Described],
    what: str,
    allowed: Callable[[str, tuple[int | str, ...]], str] = lambda _kind, _where: "",
    *,
    exit: Exit = Exit.USAGE,
) -> Described:
    """Read `what`, a `kind`, from the file; SuiteError says which field is wrong and where.

    `allowed` is given an error's type and place, and says what may stand there.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise SuiteError(f"{path} is missing, which holds {what}. Restore the checkout.", exit=Exit.NOT_READY) from None
    except UnicodeDecodeError as error:
        raise SuiteError(f"{path} is not TOML: {error}", exit=exit) from None
    return read_toml(text, str(path), kind, what, allowed, exit=exit)


def read_toml(
    held: str | Mapping[str, object],
    name: str,
    kind: type[Described],
    what: str,
    allowed: Callable[[str, tuple[int | str, ...]], str] = lambda _kind, _where: "",
    *,
    exit: Exit = Exit.USAGE,
) -> Described:
    """Read `what`, a `kind`, from the text of a TOML file or from what such a text stands for; SuiteError calls it by `name`."""
    try:
        return kind.model_validate(tomllib.loads(held) if isinstance(held, str) else held)
    except tomllib.TOMLDecodeError as error:
        raise SuiteError(f"{name} is not TOML: {error}", exit=exit) from None
    except pydantic.ValidationError as error:
        lines = []
        for one in error.errors():
            said = "unknown key." if one["type"] == "extra_forbidden" else one["msg"].removeprefix("Value error, ")
            lines.append(f"  {'.'.join(map(str, one['loc'])) or 'file'}: {said}{allowed(one['type'], one['loc'])}")
        raise SuiteError(f"{name} does not describe {what}:\n" + "\n".join(lines), exit=exit) from None
