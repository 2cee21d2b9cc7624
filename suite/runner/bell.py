"""How cells on a cluster learn that the run is to stop: an actor of Ray's that they ask, for the driver may not reach their folders."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING

from suite.core.stop import StopFlag
from suite.records.cell import CellContext, Progress
from suite.records.record import Attempt
from suite.records.spec import CellSpec
from suite.runner.attempt import attempt

if TYPE_CHECKING:
    from ray.actor import ActorHandle

BELL_SECONDS = 1.0  # between a cell's questions


class Bell:
    """Says to the cells on a cluster, whose work folders the driver may not reach, that the run is to stop."""

    def __init__(self) -> None:
        self._rung = False

    def ring(self) -> None:
        """Note that the run is to stop."""
        self._rung = True

    def rung(self) -> bool:
        """Return whether the run is to stop."""
        return self._rung


def listening_attempt(spec: CellSpec, context: CellContext, bell: ActorHandle) -> Iterator[Progress | Attempt]:
    """Run `attempt` where only the network reaches: set the cell's flag on its own machine when the bell rings."""
    flag, ended = StopFlag.of(context.work), threading.Event()
    flag.clear()
    threading.Thread(target=_listen, args=(bell, flag, ended), daemon=True).start()
    try:
        yield from attempt(spec, context)
    finally:
        ended.set()


def _listen(bell: ActorHandle, flag: StopFlag, ended: threading.Event) -> None:
    import ray

    with contextlib.suppress(ray.exceptions.RayError):  # the driver is gone, and Ray ends this process
        while not ended.wait(BELL_SECONDS):
            if ray.get(bell.rung.remote()):
                flag.set()
                return
