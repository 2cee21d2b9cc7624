"""A process of its own for what is timed: the parent's side and the child's.

The child reads one line of JSON, what is asked, from standard input and writes lines of JSON, {kind: value}, to standard output. It ends
when standard input is closed, as it is when the parent dies. Environment variables hold its threads from the outset, as OpenMP wants it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from suite.core.paths import python_path
from suite.core.torch_state import thread_environment

LAST_WORDS = 2000  # characters of a process that died

Say = Callable[[str, object], None]


class ChildDied(RuntimeError):
    """The process ended before it said all; `code` as subprocess has it, negative for a signal."""

    def __init__(self, what: str, code: int, last_words: str) -> None:
        super().__init__(f"the process of {what} ended with {code}:\n{last_words}")
        self.code = code


def environment_for(threads: int) -> dict[str, str]:
    """Return the environment of this process with `threads` for every library, in which `suite` is found whatever the working folder."""
    return os.environ | thread_environment(threads) | {"PYTHONPATH": python_path()}


def ask(module: str, asked: object, environment: Mapping[str, str], what: str) -> Iterator[tuple[str, Any]]:
    """Yield what the child `python -m module` says, by kind; `ChildDied` with its last words where it dies."""
    with (
        tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as errors,
        subprocess.Popen(  # noqa: S603 - our own module
            [sys.executable, "-m", module], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True, env=environment
        ) as process,
    ):
        try:
            process.stdin.write(json.dumps(asked) + "\n")
            process.stdin.flush()
            for line in process.stdout:
                yield from json.loads(line).items()
            code = process.wait()
        finally:
            process.kill()
        if code:
            errors.seek(0)
            raise ChildDied(what, code, errors.read().strip()[-LAST_WORDS:])


def serve(answer: Callable[[Any, Say], None]) -> None:
    """Hand what is asked to `answer`, on the child's side, with a function that says something of a kind."""
    asked = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_the_parent, daemon=True).start()
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")  # for us alone: what libraries and compilers print goes to standard error
    os.dup2(2, 1)

    def say(kind: str, value: object) -> None:
        out.write(json.dumps({kind: value}) + "\n")
        out.flush()

    answer(asked, say)


def _end_with_the_parent() -> None:
    sys.stdin.read()
    os._exit(1)
