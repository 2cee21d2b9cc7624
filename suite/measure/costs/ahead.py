"""Counting networks in several processes ahead of whoever asks: tracing one after another is nearly all the time of `profile all`.

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
from suite.measure.costs.count import Counted, is_counted, waiting_for
from suite.measure.costs.kept import count_kept, is_kept, read_counted
from suite.measure.costs.printed import has_printed
from suite.records.kinds.profile import ProfileSpec
from suite.records.ledger import Ledger
from suite.study.outside.plugin_files import PluginCode
from suite.study.outside.plugins import digest_of, install, list_code

FEWEST = 6  # networks of a process: fewer take less time than PyTorch takes to load
MOST_PROCESSES = 8  # each holds PyTorch and a network, some 0.5 GiB
COUNTED = "counted"


def choose_processes(networks: int, cores: int | None = None) -> int:
    """Return how many processes count so many `networks` on `cores` (None: those of this machine); 1 means this one alone."""
    return max(1, min(count_cores() if cores is None else cores, networks // FEWEST, MOST_PROCESSES))


def find_needed(specs: Sequence[ProfileSpec], ledger: Ledger) -> list[str]:
    """Return the networks whose counts will be asked for: those of cells that are not done, and those of which a paper prints a cost."""
    done = ledger.find_done([spec.fingerprint for spec in specs])
    return [spec.model for spec in specs if spec.fingerprint not in done or has_printed(spec.model)]


@contextlib.contextmanager
def counted_ahead(names: Sequence[str], processes: int | None = None) -> Iterator[None]:
    """Have the networks `names` counted by other processes within the block, where `count_model` waits for theirs.

    `processes` None: as `choose_processes` says. With one, or where all were counted before, none is started. The end of the block ends
    them, whatever is left to count.
    """
    left = [name for name in dict.fromkeys(names) if not is_counted(name) and not is_kept(name)]
    chosen = choose_processes(len(left)) if processes is None else processes
    if chosen < 2 or not left:
        yield
        return
    waiting = {name: Future[Counted | None]() for name in left}
    plugins = [_pack(code) for code in list_code()]

    def take(number: int, kind: str, value: object) -> None:
        found = waiting[left[number]]
        if kind == COUNTED:
            found.set_result(read_counted(value))
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
        say(COUNTED, asdict(count_kept(asked["model"])))


def _pack(code: PluginCode) -> dict[str, Any]:
    files = [(path, base64.b64encode(content).decode()) for path, content in code.files]
    return {"name": code.name, "module": code.module, "files": files}


def _unpack(held: dict[str, Any]) -> PluginCode:
    return PluginCode(held["name"], held["module"], tuple((path, base64.b64decode(content)) for path, content in held["files"]))
