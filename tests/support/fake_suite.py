"""`python -m suite` with the cells of fake_cells.py; run in a process of its own by tests/runner/test_launch.py."""

import os
import sys

import fake_cells

from suite.cli import main
from suite.core import stop
from suite.runner import attempt, execute

if __name__ == "__main__":
    os.environ[attempt.CELL_VARIABLE] = fake_cells.CELL
    execute.GRACE_SECONDS = float(os.environ.get("SUITE_TEST_GRACE", execute.GRACE_SECONDS))
    if os.environ.get("SUITE_TEST_DISK") == "another":  # than the cells': the driver's file does not reach them
        stop.Stop.watch = lambda *_: None
    sys.exit(main.main())
