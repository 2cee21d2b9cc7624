"""Counting networks in several processes ahead of whoever asks: of `profile all`, tracing one network after another is nearly all the time.

Threads would not help, for a trace holds Python's lock. A process takes the next network when it has counted one, so that none waits for
another; this process waits for the counts that it needs, in its own order. They are the same numbers, as `count_model` gave them there.
What no process could count is counted here, where its error belongs.
"""

from __future__ import annotations

import base64
import contextlib
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from dataclasses import asdict
from typing import Any

from suite.core.machine import count_cores
from suite.core.process import Say, asking_each, environment_for
from suite.measure.costs.count import Counted, Counts, count_model, is_counted, waiting_for
from suite.study.outside.plugin_files import PluginCode
from suite.study.outside.plugins import digest_of, install, list_code

FEWEST = 6  # networks of a process: fewer take less time than PyTorch takes to load
MOST_PROCESSES = 8  # each holds PyTorch and a network, some 0.5 GiB
COUNTED = "counted"


def choose_processes(networks: int, cores: int | None = None) -> int:
    """Return how many processes count so many `networks` on `cores` (None: those of this machine); 1 means this one alone."""
    return max(1, min(count_cores() if cores is None else cores, networks // FEWEST, MOST_PROCESSES))


@contextlib.contextmanager
def counted_ahead(names: Sequence[str], processes: int | None = None) -> Iterator[None]:
    """Have the networks `names` counted by other processes within the block, where `count_model` waits for theirs.

    `processes` None: as `choose_processes` says. With one, or where nothing is left to count, none is started. The end of the block ends
    them, whatever is left to count.
    """
    left = [name for name in dict.fromkeys(names) if not is_counted(name)]
    chosen = choose_processes(len(left)) if processes is None else processes
    if chosen < 2 or not left:
        yield
        return
    waiting = {name: Future[Counted | None]() for name in left}
    plugins = [_pack(code) for code in list_code()]

    def take(number: int, kind: str, value: object) -> None:
        found = waiting[left[number]]
        if kind == COUNTED:
            found.set_result(_read_counted(value))
        elif not found.done():  # it could not be counted, or the process ended
            found.set_result(None)

    questions = [{"model": name, "plugins": plugins} for name in left]
    with (
        waiting_for({(name, digest_of(name)): found for name, found in waiting.items()}),
        asking_each(f"{__name__}:answer", questions, chosen, environment_for(1), take),
    ):
        yield


def answer(asked: dict[str, Any], say: Say) -> None:
    """Count the network of {"model": ..., "plugins": ...} in a process of its own and say what it costs; nothing where that fails."""
    with contextlib.suppress(Exception):  # whoever asked counts it once more, and sees why
        install(_unpack(one) for one in asked["plugins"])
        say(COUNTED, asdict(count_model(asked["model"])))


def _read_counted(said: dict[str, Any]) -> Counted:
    """Return the counts that another process said, as they were: JSON makes lists of tuples, and keeps every digit."""

    def pair(held: Any) -> tuple[tuple[int, int], Counts] | None:  # noqa: ANN401 - JSON
        return None if held is None else ((held[0][0], held[0][1]), Counts(**held[1]))

    small = tuple(pair(held) for held in said["small"])
    return Counted(**{**said, "small": small, "uneven": pair(said["uneven"])})


def _pack(code: PluginCode) -> dict[str, Any]:
    files = [(path, base64.b64encode(content).decode()) for path, content in code.files]
    return {"name": code.name, "module": code.module, "files": files}


def _unpack(held: dict[str, Any]) -> PluginCode:
    return PluginCode(held["name"], held["module"], tuple((path, base64.b64decode(content)) for path, content in held["files"]))
