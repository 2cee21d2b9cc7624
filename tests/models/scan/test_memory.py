"""Freed memory of the size of a scan's results stays with the process, unless the user has a setting of their own."""

import ctypes
import os
import subprocess
import sys

import pytest

from models.scan.backends.memory import OWN_SETTINGS

# Faults of a 40 MB tensor that is made, filled and freed again and again, after a backend has been loaded. The first are not counted:
# holes of the right size are still to be made.
COUNT = """
import resource, sys, torch
from models.scan.backends import module_of
if sys.argv[1] == "load":
    module_of("numba")
faults = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(8):
    torch.empty(10_000_000).fill_(1.0)
before = faults()
for _ in range(3):
    torch.empty(10_000_000).fill_(1.0)
print(faults() - before)
"""

glibc = pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="another C library than glibc")


def _faults(what, **settings):
    environment = {name: value for name, value in os.environ.items() if name not in OWN_SETTINGS} | settings | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", COUNT, what], env=environment, capture_output=True, text=True, check=True)
    return int(done.stdout)


@glibc
def test_large_blocks_are_not_mapped_anew_once_a_backend_is_loaded():
    """40 MB are 9,766 pages of 4 KiB; without the setting each is mapped again at each of the three times."""
    assert _faults("nothing") > 3 * 9_000
    assert _faults("load") < 1_000


@glibc
def test_a_setting_of_the_users_own_is_left_alone():
    assert _faults("load", MALLOC_MMAP_THRESHOLD_="1000000") > 3 * 9_000
