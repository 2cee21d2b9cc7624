"""The code of a plug-in: one file, or a module with the package that it is in; found, kept by content, and run.

`PluginCode` is what travels to other processes and machines: all that is run of it is in it, and its sha256 names it in records.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import re
import sys
import traceback
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from models.cache import cache_folder
from suite.core.errors import Exit, SuiteError
from suite.core.files import replacing

MOST_BYTES = 16 * 2**20  # of a plug-in's code: it travels to every process that runs a cell
CACHE = "plugins"  # folder of the cache, for code that came from elsewhere


@dataclass(frozen=True)
class PluginCode:
    """A plug-in's files as bytes, by their paths; `module` is what is imported of them, empty where a single file is run."""

    name: str  # of the file, or of the module
    module: str
    files: tuple[tuple[str, bytes], ...]

    @property
    def sha256(self) -> str:
        """Return its digest: of a single file its own; of a package's files that over their paths and contents."""
        if len(self.files) == 1:
            return hashlib.sha256(self.files[0][1]).hexdigest()
        held = hashlib.sha256()
        for path, content in self.files:
            held.update(f"{path}\0{len(content)}\0".encode() + content)
        return held.hexdigest()

    def unpack(self) -> Path:
        """Write the files into this machine's cache, if they are not there yet, and return their folder: it is named by the sha256."""
        folder = cache_folder() / CACHE / self.sha256
        for path, content in self.files:
            target = folder / path
            if not (target.is_file() and target.read_bytes() == content):
                target.parent.mkdir(parents=True, exist_ok=True)
                with replacing(target) as file:
                    file.write(content)
        return folder


def read_code(name: str) -> tuple[PluginCode, Path]:
    """Return the code of the plug-in `name`, a file or a module, and the file that is run; SuiteError where there is none."""
    path = Path(name).expanduser()
    if name.endswith(".py") or "/" in name or path.exists():
        return _read_file(name, path)
    return _read_module(name)


def _read_file(name: str, path: Path) -> tuple[PluginCode, Path]:
    if path.is_dir():
        raise SuiteError(
            f"--plugin {name} is a folder. Give one Python file; a package that can be imported is named as a module, "
            "e.g. my_package.design."
        )
    if path.suffix != ".py":
        raise SuiteError(f"--plugin {name} is not a Python file: its name does not end in .py.")
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise SuiteError(f"--plugin {name}: there is no such file.", exit=Exit.NOT_READY) from None
    except OSError as error:
        raise SuiteError(f"--plugin {name} cannot be read: {error.strerror or error}.", exit=Exit.NOT_READY) from None
    return _checked(PluginCode(path.name, "", ((path.name, content),))), path.absolute()


def _read_module(name: str) -> tuple[PluginCode, Path]:
    if not re.fullmatch(r"[^\W\d]\w*(\.[^\W\d]\w*)*", name):
        raise SuiteError(f"--plugin {name!r} is neither a Python file nor the name of a module, such as my_package.design.")
    try:
        found = importlib.util.find_spec(name)
    except ModuleNotFoundError:
        found = None
    except Exception as error:  # of the package that it is in, which is run for that
        raise SuiteError(f"--plugin {name}: {describe_failure(error, None)}", exit=Exit.NOT_READY) from None
    if found is None:
        raise SuiteError(
            f"--plugin {name}: there is no file and no module of that name. A module is found where Python finds modules: install its "
            "package, or put its folder on PYTHONPATH.",
            exit=Exit.NOT_READY,
        )
    if not found.origin or not found.origin.endswith(".py"):
        raise SuiteError(f"--plugin {name} is not a module of Python code: {found.origin or 'a folder without __init__.py'}.")
    top = name.partition(".")[0]
    if top in ("suite", "models"):
        raise SuiteError(f"--plugin {name} is a module of this suite, whose designs are always there.")
    package = found if top == name else importlib.util.find_spec(top)
    folders = list(package.submodule_search_locations or ()) if package else []
    if not folders:
        held = [(Path(found.origin).name, Path(found.origin))]
    else:
        held = [(f"{top}/{path.relative_to(folder)}", path) for folder in map(Path, folders) for path in sorted(folder.rglob("*.py"))]
    return _checked(PluginCode(name, name, tuple((path, file.read_bytes()) for path, file in held))), Path(found.origin)


def _checked(code: PluginCode) -> PluginCode:
    size = sum(len(content) for _, content in code.files)
    if size > MOST_BYTES:
        raise SuiteError(
            f"--plugin {code.name}: its {len(code.files)} files of code are {size / 2**20:.0f} MiB, and {MOST_BYTES / 2**20:.0f} are "
            "carried to other processes at most. Put the design into a package of its own."
        )
    return code


def run_code(code: PluginCode, file: Path) -> ModuleType:
    """Run the plug-in's code, once in a process, and return its module; SuiteError says in which line of it what went wrong."""
    if code.module:
        try:
            return importlib.import_module(code.module)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # SystemExit, too: it is somebody's script
            raise SuiteError(f"--plugin {code.name}: {describe_failure(error, file)}", exit=Exit.NOT_READY) from None
    name = f"suite_plugin_{re.sub(r'[^0-9a-zA-Z]', '_', file.stem)}_{code.sha256[:8]}"
    if name in sys.modules:
        return sys.modules[name]
    module = ModuleType(name)
    module.__file__ = str(file)
    sys.modules[name] = module  # where dataclasses look for what annotations mean
    try:
        exec(compile(code.files[0][1], str(file), "exec"), module.__dict__)  # noqa: S102 - what a plug-in is for: docs/outside.md says so
    except BaseException as error:
        del sys.modules[name]
        if isinstance(error, KeyboardInterrupt):
            raise
        raise SuiteError(f"--plugin {code.name}: {describe_failure(error, file)}", exit=Exit.NOT_READY) from None
    return module


def describe_failure(error: BaseException, file: Path | None) -> str:
    """Say what went wrong, and in which line of `file` if it is of the error's way there."""
    if isinstance(error, SyntaxError):
        return f"it is not Python{f', line {error.lineno}' if error.lineno else ''}: {error.msg}."
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if file is not None and Path(frame.filename) == file]
    place = f"line {frames[-1].lineno}: " if frames else ""
    text = str(error).strip().rstrip(".")
    said = f"{place}{type(error).__name__}{': ' + text if text else ''}."
    if isinstance(error, SystemExit):
        return f"{place}it ends the program where it is imported. Put what it does as a script below `if __name__ == '__main__':`."
    if isinstance(error, ModuleNotFoundError) and not str(error.name).startswith(("models", "suite")):
        said += (
            " Install what it needs; where it imports a file beside it, make a package of both and name its module, for one file is "
            "carried alone."
        )
    return said
