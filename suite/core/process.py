"""Python processes of our own: the parent's side and the child's.

The child, `python -m suite.core.process MODULE:FUNCTION`, reads a line of JSON, what is asked, from standard input, calls the function with
it and writes lines of JSON, {kind: value}, to standard output; with `--each` it does so for every line, and says when it is ready for the
next. It ends when standard input is closed, as it is when the parent dies, and not by Ctrl-C, which the terminal sends to it as well: the
parent decides. Environment variables hold its threads from the outset, as OpenMP wants it.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import queue
import select
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from suite.core.paths import python_path
from suite.core.torch_state import thread_environment

LAST_WORDS = 2000  # characters of a process that died
EACH = "--each"  # of a child that answers one question after another
READY, DIED = "ready", "died"  # kinds that no function says: the question is answered, or its process has ended before

Say = Callable[[str, object], None]


class ChildDied(RuntimeError):
    """The process ended before it said all; `code` as subprocess has it, negative for a signal."""

    def __init__(self, what: str, code: int, last_words: str) -> None:
        super().__init__(f"the process of {what} ended with {code}:\n{last_words}")
        self.code = code


class Child:
    """The process `python WORDS`, in this process's environment if none is given; it is killed where the block ends."""

    def __init__(self, *words: str, environment: Mapping[str, str] | None = None, folder: Path | None = None) -> None:
        self._errors = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115 - closed by `end`
        self.process = subprocess.Popen(  # noqa: S603 - our own code
            [sys.executable, "-P", *words],  # the working folder holds others' code
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            env=None if environment is None else dict(environment),
            cwd=folder,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def say(self, value: object) -> None:
        """Write `value` as a line of JSON without waiting for an answer; OSError where the process has ended."""
        self.process.stdin.write(json.dumps(value) + "\n")
        self.process.stdin.flush()

    def hear(self, seconds: float | None = None) -> Any:  # noqa: ANN401 - JSON
        """Read the next line of JSON; EOFError where there is none, TimeoutError after `seconds` (None: wait for ever).

        With `seconds`, nothing may have been said beyond one line: what is buffered here is not waited for.
        """
        if seconds is not None and not select.select([self.process.stdout], [], [], seconds)[0]:
            raise TimeoutError(f"no answer within {seconds:g} s")
        line = self.process.stdout.readline()
        if not line:
            raise EOFError("the process says nothing more")
        return json.loads(line)

    def last_words(self) -> str:
        """Return what the process has written to standard error."""
        self._errors.seek(0)
        return self._errors.read().strip()

    def end(self) -> None:
        """Kill the process, if it still runs, and wait for its end."""
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout, self._errors):
            with contextlib.suppress(OSError):  # what was still to be said to it
                stream.close()


def environment_for(threads: int) -> dict[str, str]:
    """Return the environment of this process with `threads` for every library, in which `suite` is found."""
    return os.environ | thread_environment(threads) | {"PYTHONPATH": python_path()}


@contextlib.contextmanager
def changed_environment(changes: Mapping[str, str]) -> Iterator[None]:
    """Change variables of this process's environment for the length of the block: for processes that libraries start."""
    before = {name: os.environ.get(name) for name in changes}
    os.environ.update(changes)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def ask(function: str, asked: object, environment: Mapping[str, str], what: str) -> Iterator[tuple[str, Any]]:
    """Yield what `function`, "module:name", says in a process of its own, by kind; `ChildDied` with its last words where that dies.

    It is called with `asked` and a function that says something of a kind.
    """
    with Child("-m", __spec__.name, function, environment=environment) as child:
        with contextlib.suppress(EOFError, BrokenPipeError):
            child.say(asked)
            while True:
                yield from child.hear().items()
        code = child.process.wait()
        if code:
            raise ChildDied(what, code, child.last_words()[-LAST_WORDS:])


Take = Callable[[int, str, Any], None]  # the question's number, and what was said by kind


@contextlib.contextmanager
def asking_each(function: str, questions: Sequence[object], processes: int, environment: Mapping[str, str], take: Take) -> Iterator[None]:
    """Have `function`, "module:name", answer each of `questions` in one of several processes while the block runs; then they are killed.

    A process is handed the next question when it has answered one. `take` is given what they say, as it comes, in threads of this process:
    last READY, None; or DIED and a `ChildDied` where the process of a question ended before. Where none is left, so do all further ones.
    """
    numbers: queue.SimpleQueue[int] = queue.SimpleQueue()
    for number in range(len(questions)):
        numbers.put(number)
    with contextlib.ExitStack() as stack:
        children = [
            stack.enter_context(Child("-m", __spec__.name, function, EACH, environment=environment))
            for _ in range(min(processes, len(questions)))
        ]
        alive, lock = len(children), threading.Lock()

        def converse(child: Child) -> None:
            """Ask `child` one question after another, as long as there are any."""
            nonlocal alive
            died: ChildDied | None = None
            with contextlib.suppress(queue.Empty):
                while True:
                    number, kind = numbers.get_nowait(), ""
                    try:
                        child.say(questions[number])
                        while kind != READY:
                            for kind, value in child.hear().items():
                                take(number, kind, value)
                    except (EOFError, OSError, ValueError):  # it has ended, maybe within a line
                        died = ChildDied(function, child.process.wait(), child.last_words()[-LAST_WORDS:])
                        take(number, DIED, died)
                        break
            with lock:
                alive -= 1
                while not alive and not numbers.empty():
                    take(numbers.get(), DIED, died)

        threads = [threading.Thread(target=converse, args=(child,), daemon=True) for child in children]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            for child in children:
                child.process.kill()
            for thread in threads:
                thread.join()


def _serve(function: str, *, each: bool) -> None:
    """Do the child's side of `ask`, or of `asking_each`; the module is imported when its output goes to standard error."""
    signal.signal(signal.SIGINT, lambda *_: None)  # a handler, not SIG_IGN, which compilers that are started here would inherit
    asked: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=_read_questions, args=(asked,), daemon=True).start()
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")  # for us alone: what libraries and compilers print goes to standard error
    os.dup2(2, 1)

    def say(kind: str, value: object) -> None:
        out.write(json.dumps({kind: value}) + "\n")
        out.flush()

    module, _, name = function.partition(":")
    answer = getattr(importlib.import_module(module), name)
    answer(json.loads(asked.get()), say)
    while each:
        say(READY, None)
        answer(json.loads(asked.get()), say)


def _read_questions(asked: queue.SimpleQueue[str]) -> None:
    """Hand over the lines of standard input, and end the process with its parent."""
    for line in sys.stdin:
        asked.put(line)
    os._exit(1)


if __name__ == "__main__":
    _serve(sys.argv[1], each=EACH in sys.argv[2:])
