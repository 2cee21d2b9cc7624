"""How the workers of a cell meet: at a port of the first that listens on one address alone, that of Ray on its machine.

Left to itself, torch's store of keys opens its port on every interface, and so does Ray Train's backend for torch. Here the first worker
opens it, on the address by which Ray knows its machine (127.0.0.1 with a Ray of our own), and hands the open socket to the store.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

import ray
from ray.train.backend import Backend
from ray.train.collective import broadcast_from_rank_zero
from ray.train.torch import TorchConfig
from torch import distributed

QUEUE = 128  # connections that wait to be taken


class _OwnMeeting(Backend):
    share_cuda_visible_devices = True  # as Ray's own for torch


@dataclass
class OneAddress(TorchConfig):
    """Ray's configuration of torch, without a process group: workers make theirs by `process_group`."""

    @property
    def backend_cls(self) -> type[Backend]:
        """Return what Ray prepares the workers with."""
        return _OwnMeeting


@contextlib.contextmanager
def process_group(rank: int, world: int, backend: str, seconds: float) -> Iterator[None]:
    """Make a worker of Ray Train's number `rank` of `world` in torch's process group for the block; all must enter it."""
    door = open_port(ray.util.get_node_ip_address()) if rank == 0 else None
    address, port = broadcast_from_rank_zero(door and door.getsockname()[:2])
    join(rank, world, address, port, backend, seconds, door)
    yield
    distributed.destroy_process_group()  # where the block fails, Ray ends the process


def open_port(address: str) -> socket.socket:
    """Open a port of this process on `address` alone."""
    return socket.create_server((address, 0), family=socket.AF_INET6 if ":" in address else socket.AF_INET, backlog=QUEUE)


def join(rank: int, world: int, address: str, port: int, backend: str, seconds: float, door: socket.socket | None) -> None:
    """Make this process `rank` of `world` in torch's process group; the one that has the `door` at `address` and `port` serves it.

    Processes wait for one another up to `seconds`.
    """
    patience = timedelta(seconds=seconds)
    served = {"is_master": door is not None, "master_listen_fd": door and door.detach()}
    store = distributed.TCPStore(address, port, world, timeout=patience, multi_tenant=False, wait_for_workers=False, **served)
    distributed.init_process_group(backend, store=store, rank=rank, world_size=world, timeout=patience)
