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
from suite.core.text import format_clock

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
    pool, lock, before = ThreadPoolExecutor(count, thread_name_prefix="over"), threading.Lock(), _torch_threads()
    waiting: deque[Future[Result]] = deque()

    def share() -> None:
        """Give the calling thread its part of torch's threads, if that is loaded: OpenMP keeps the number for each thread."""
        nonlocal before
        with lock:
            if (now := _torch_threads()) is not None:
                before = now if before is None else before
                part = max(1, before // count)
                if now != part:
                    sys.modules["torch"].set_num_threads(part)

    def call(item: Item) -> Result:
        share()
        try:
            return function(item)
        finally:
            share()  # a function may be the first to import it

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
        if before is not None:
            sys.modules["torch"].set_num_threads(before)


def _torch_threads() -> int | None:
    """Return how many threads torch has; None where it is not loaded, or being loaded by another thread. It is not imported for this."""
    torch = sys.modules.get("torch")
    return torch.get_num_threads() if hasattr(torch, "get_num_threads") and hasattr(torch, "set_num_threads") else None


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
            left = (now - started) / done * (total - done)
            stream.write(f"{done}/{total} {what}, {format_clock(left)} left\n")
            stream.flush()
            said = now
        yield result
