"""Loaded once by the process that the doctor's checks are forks of: PyTorch takes seconds, and what it prints may be private."""

import contextlib
import importlib
import os
import signal

PRELOAD_SECONDS = 60  # that loading may take; then the process ends, and each check begins by itself

for _stream in (1, 2):
    os.dup2(os.open(os.devnull, os.O_WRONLY), _stream)
signal.alarm(PRELOAD_SECONDS)
for _name in ("torch", "numpy"):
    with contextlib.suppress(Exception):  # what cannot be imported is a finding of the checks that import it
        importlib.import_module(_name)
signal.alarm(0)
