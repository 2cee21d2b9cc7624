"""Doing the same to many images on all cores, in order, and showing how far it is.

Threads, not processes: nothing has to be pickled, images are shared, and what takes the time (decoding, filtering, convolutions)
runs outside Python's lock. Only a few results are held ahead of the one that is wanted, so that a folder of any size fits in memory.
"""

from __future__ import annotations

import itertools
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TextIO, TypeVar

from suite.core.machine import count_cores

Item = TypeVar("Item")
Result = TypeVar("Result")

RESULTS_AHEAD = 2  # results per worker that may wait to be taken
SECONDS_BETWEEN_LINES = 10.0  # between lines of progress where there is no terminal


def map_ordered(function: Callable[[Item], Result], items: Iterable[Item], *, workers: int | None = None) -> Iterator[Result]:
    """Yield `function` of each of `items`, in their order, on `workers` threads (default: the cores that this process may use).

    `items` is read only as far ahead as results are taken. Torch's own threads are shared out among the workers, so that there are
    never more than torch used before; afterwards torch has its threads again. What `function` raises comes out at its item's place, and
    nothing further is begun. One worker means this thread. Raises ValueError for less.
    """
    count = count_cores() if workers is None else workers
    if count < 1:
        raise ValueError(f"work is done by at least 1 worker, not {count}")
    return map(function, items) if count == 1 else _threaded(function, iter(items), count)


def _threaded(function: Callable[[Item], Result], items: Iterator[Item], count: int) -> Iterator[Result]:
    torch = _TorchThreads(count)
    pool = ThreadPoolExecutor(count, thread_name_prefix="over")
    waiting: deque[Future[Result]] = deque()

    def call(item: Item) -> Result:
        torch.share()
        try:
            return function(item)
        finally:
            torch.share()  # a function may be the first to import it

    try:
        for item in itertools.islice(items, RESULTS_AHEAD * count):
            waiting.append(pool.submit(call, item))
        while waiting:
            result = waiting.popleft().result()
            for item in itertools.islice(items, 1):
                waiting.append(pool.submit(call, item))
            yield result
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
        torch.give_back()


class _TorchThreads:
    """Torch's threads while `workers` threads call it; torch is not imported for this."""

    def __init__(self, workers: int) -> None:
        self._workers, self._lock = workers, threading.Lock()
        torch = sys.modules.get("torch")
        self._before: int | None = torch.get_num_threads() if hasattr(torch, "get_num_threads") else None

    def share(self) -> None:
        """Give the calling thread its part, if torch is loaded: OpenMP keeps the number for each thread."""
        torch = sys.modules.get("torch")
        if torch is None or not hasattr(torch, "set_num_threads"):  # not loaded, or being loaded by another thread
            return
        with self._lock:
            now = torch.get_num_threads()
            if self._before is None:
                self._before = now
            part = max(1, self._before // self._workers)
            if now != part:
                torch.set_num_threads(part)

    def give_back(self) -> None:
        """Give the first thread as many as before."""
        if self._before is not None:
            sys.modules["torch"].set_num_threads(self._before)


def show_progress(results: Iterable[Result], total: int, what: str, stream: TextIO | None = None) -> Iterator[Result]:
    """Yield `results` as they come, with progress on `stream` (standard error): a bar on a terminal, elsewhere a line now and then.

    Nothing is written where all is done within PLAIN_SECONDS and there is no terminal. `what` is what is counted: "images scored".
    """
    stream = sys.stderr if stream is None else stream
    live = stream.isatty() and not os.environ.get("CI") and os.environ.get("TERM") != "dumb"
    return _bar(results, total, what, stream) if live else _lines(results, total, what, stream)


def _bar(results: Iterable[Result], total: int, what: str, stream: TextIO) -> Iterator[Result]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(file=stream, force_terminal=True, highlight=False)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(what, total=total)
        for result in results:
            progress.advance(task)
            yield result


def _lines(results: Iterable[Result], total: int, what: str, stream: TextIO) -> Iterator[Result]:
    started = said = time.monotonic()
    for done, result in enumerate(results, start=1):
        now = time.monotonic()
        if now - said >= SECONDS_BETWEEN_LINES and done < total:
            from suite.core.text import format_clock  # not needed for what is done sooner

            left = (now - started) / done * (total - done)
            stream.write(f"{done}/{total} {what}, {format_clock(left)} left\n")
            stream.flush()
            said = now
        yield result
