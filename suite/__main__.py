"""`python -m suite`, and `ssm-suite`: the command line, once it is sure that the code beside it is the suite's."""

from __future__ import annotations

import importlib.util
import os
import shlex
import sys
from pathlib import Path

OURS = Path(__file__).resolve().parents[1]  # where `suite` and `models` lie
MARKS = ("catalog.py", "scan/op.py")  # files of our `models`


def start() -> int:
    """Run the command line and return its exit code; 6 where Python would take another project's `models` for ours."""
    problem = find_stranger()
    if problem:
        sys.stderr.write(f"python -m suite: {problem}\n")
        return 6  # Exit.NOT_READY, which cannot be imported yet
    os.environ.setdefault("PYTHONSAFEPATH", "1")  # for the processes that this one starts: they run our code, not the working folder's
    from suite.cli.main import main

    return main()


def find_stranger() -> str:
    """Say which folder is found by the name `models` where that is not the suite's, and what to type; "" where it is."""
    place = _find("models")
    if place == OURS / "models" and all((place / name).is_file() for name in MARKS):
        return ""
    words = shlex.join(sys.argv[1:])
    if place is None:
        return f"its package `models` is not beside it in {OURS}. Install the suite as a whole: `pip install .` in a clone of it."
    said = f"Python finds the package `models` in {place}, which is another project's; the suite's is {OURS / 'models'}."
    if place.parent == OURS:
        return f"{place} is another project's package, installed over the suite's of that name. Install each in an environment of its own."
    if place.parent == Path.cwd():
        return f"{said} `python -m` looks in the working folder first. Type `ssm-suite {words}`, or go to another folder."
    if str(place.parent) in map(_resolved, filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))):
        return f"{said} PYTHONPATH names that folder. Type `env -u PYTHONPATH ssm-suite {words}`, or take it out of PYTHONPATH."
    return f"{said} Take {place.parent} off Python's path, or install the suite in an environment of its own."


def _find(name: str) -> Path | None:
    """Return the folder that Python would import the package `name` from, without importing it."""
    spec = importlib.util.find_spec(name)
    if spec is None:
        return None
    places = (
        [Path(spec.origin).parent] if spec.has_location and spec.origin else [Path(one) for one in spec.submodule_search_locations or ()]
    )
    return next((place.resolve() for place in places), None)


def _resolved(folder: str) -> str:
    return str(Path(folder).resolve())


if __name__ == "__main__":
    sys.exit(start())
