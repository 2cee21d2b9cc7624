"""`python -m suite` with the cells of fake_cells.py; run in a process of its own by tests/runner/test_launch.py."""

import dataclasses
import os
import sys

import fake_cells

from suite.cli import main, run
from suite.core import stop

if __name__ == "__main__":
    real_how = run._how
    grace = float(os.environ.get("SUITE_TEST_GRACE", stop.GRACE_SECONDS))
    run._how = lambda *arguments: dataclasses.replace(real_how(*arguments), cell=fake_cells.CELL, grace=grace)
    if os.environ.get("SUITE_TEST_DISK") == "another":  # than the cells': the driver's file does not reach them
        stop.Stop.watch = lambda *_: None
    sys.exit(main.main())
