"""`python -m suite` with the cells of fake_cells.py; run in a process of its own by tests/test_launch.py."""

import dataclasses
import sys

import fake_cells

from suite import cli

if __name__ == "__main__":
    real_how = cli._how
    cli._how = lambda *arguments: dataclasses.replace(real_how(*arguments), cell=fake_cells.CELL)
    sys.exit(cli.main())
