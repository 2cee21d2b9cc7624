"""How the workers of a cell find each other: through a port of the first that listens on one address alone, that of Ray on its machine.

Left to itself, torch's store of keys opens its port on every interface. Here the first worker opens it, on the address by which Ray knows
its machine (127.0.0.1 with a Ray of our own), and hands the open socket to the store.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from ray.train.torch.config import TorchConfig, _TorchBackend

if TYPE_CHECKING:
    from ray.train._internal.base_worker_group import BaseWorkerGroup

QUEUE = 128  # connections that wait to be taken
_opened: list[socket.socket] = []  # in the first worker, between `listen` and `join`


@dataclass
class OneAddress(TorchConfig):
    """Ray's configuration of torch's process group, whose store listens on one address."""

    @property
    def backend_cls(self) -> type[_OneAddressBackend]:
        """What Ray starts it with."""
        return _OneAddressBackend


class _OneAddressBackend(_TorchBackend):
    def on_start(self, worker_group: BaseWorkerGroup, backend_config: OneAddress) -> None:
        """The group of all workers, as Ray's own backend makes it."""
        import ray

        address, port = worker_group.execute_single(0, listen)
        size = len(worker_group)
        words = {"address": address, "port": port, "size": size, "backend": backend_config.backend, "seconds": backend_config.timeout_s}
        ray.get([worker_group.execute_single_async(number, join, number, **words) for number in range(size)])


def listen() -> tuple[str, int]:
    """Opens a port in this process on the address by which Ray knows its machine; gives both."""
    import ray

    address = ray.util.get_node_ip_address()
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    door = socket.create_server((address, 0), family=family, backlog=QUEUE)
    for old in _opened:
        old.close()
    _opened[:] = [door]
    return address, door.getsockname()[1]


def join(number: int, size: int, address: str, port: int, backend: str, seconds: float) -> None:
    """Makes this process `number` of `size` in torch's process group; the first serves the open port."""
    from torch import distributed

    patience = timedelta(seconds=seconds)
    served = {"is_master": True, "master_listen_fd": _opened.pop().detach()} if number == 0 else {"is_master": False}
    store = distributed.TCPStore(address, port, size, timeout=patience, multi_tenant=False, wait_for_workers=False, **served)
    distributed.init_process_group(backend, store=store, rank=number, world_size=size, timeout=patience)
