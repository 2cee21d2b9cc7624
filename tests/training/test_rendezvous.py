"""The port by which workers find each other: open on one address, not on all interfaces."""

import os
import subprocess
import sys

import pytest
from places import ROOT, SUPPORT
from processes import PATIENCE

WORKER = """
import os, sys
import torch
from processes import listening_elsewhere
from suite.training import rendezvous
rank = int(sys.argv[1])
door = None if rank else rendezvous.open_port("127.0.0.1")
port = door.getsockname()[1] if door else int(sys.argv[2])
print(port, flush=True)
rendezvous.join(rank, 2, "127.0.0.1", port, "gloo", 60.0, door)
total = torch.ones(1) * (rank + 1)
torch.distributed.all_reduce(total)
print(total.item(), listening_elsewhere([os.getpid()]), flush=True)
torch.distributed.barrier()
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc")
def test_two_workers_meet_and_listen_on_the_loopback_interface_alone():
    environment = os.environ | {"PYTHONPATH": f"{SUPPORT}{os.pathsep}{ROOT}", "GLOO_SOCKET_IFNAME": "lo"}

    def worker(*words):
        return subprocess.Popen([sys.executable, "-c", WORKER, *words], env=environment, stdout=subprocess.PIPE, text=True)

    with worker("0") as first, worker("1", first.stdout.readline().strip()) as second:
        said = [process.communicate(timeout=PATIENCE)[0].splitlines()[-1] for process in (first, second)]
    assert said == ["3.0 []", "3.0 []"]
