"""What is looked up once while a look lasts, whoever asks: a folder of a hundred thousand files is listed once, a thousand trainings are
compared with their recipes once and not for each of the tables.
"""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Callable, Hashable, Iterator
from contextvars import ContextVar
from typing import TypeVar, cast

Found = TypeVar("Found")
_held: ContextVar[dict[Hashable, object] | None] = ContextVar("held", default=None)


@contextlib.contextmanager
def one_look() -> Iterator[None]:
    """Keep what `look_once` finds until the block ends; a look within a look is part of it. Nothing is kept of other threads.

    What changes meanwhile, on the disk or of the definitions, may not be seen: a look lasts seconds. Python's search for garbage in cycles
    rests so long: over a hundred thousand files it takes a quarter of the time and finds nothing.
    """
    if _held.get() is not None:
        yield
        return
    token, collects = _held.set({}), gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        _held.reset(token)
        if collects:
            gc.enable()


def look_once(key: Hashable, find: Callable[[], Found]) -> Found:
    """Return `find()`, or what it returned for `key` before in this look; outside of a look it is called each time.

    Nothing is kept of a call that raises. What is returned belongs to all who ask: do not change it.
    """
    held = _held.get()
    if held is None:
        return find()
    if key not in held:
        held[key] = find()
    return cast(Found, held[key])


def look_once_at(things: tuple[object, ...], key: Hashable, find: Callable[[], Found]) -> Found:
    """Return what `look_once` does, of things that are told apart by identity: to hash or compare them would take longer than to look.

    They are kept as long as the look lasts, so that nothing else takes their identity.
    """
    return look_once((key, *map(id, things)), lambda: (find(), things))[0]
