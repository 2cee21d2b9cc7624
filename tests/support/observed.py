"""`python -m suite` with real cells whose processes say what they are at, for tests that kill them (killing.py).

    python tests/support/observed.py run ...

Every process keeps a file of its number in the folder SUITE_TEST_STATES: its role and what it is at. Beside that, batches are made by
two processes, checkpoints are written all the time on a disk that takes its time, and costs are counted on a small network.
"""

import contextlib
import functools
import os
import sys
import time
from pathlib import Path

FOLDER = "SUITE_TEST_STATES"
LOADERS = 2
CHECKPOINT_SECONDS = 0.2
SYNC_SECONDS = 0.01  # of a slow disk: a write is under way for long enough to be hit
STEP_SECONDS = 0.02
SMALL = "mambair-sr-x2-tiny"
CELL = "observed:run_cell"


def say(role, state):
    """This process's line, which replaces its last one."""
    with contextlib.suppress(OSError):
        (Path(os.environ[FOLDER]) / str(os.getpid())).write_text(f"{role} {state}")


def saying(role, during, after, function):
    """`function`, with what is said while it runs and when it has ended."""

    def observed(*arguments, **words):
        say(role, during)
        try:
            return function(*arguments, **words)
        finally:
            say(role, after)

    return observed


@functools.cache
def hurry(role):
    """Changes this process, once: see above."""
    from suite.data.feed import loader
    from suite.measure.costs import count as cost
    from suite.training import cell, checkpoints
    from suite.training import loop as train

    sync, count, begin = os.fsync, cost.count_full_size, loader._leave_interrupts_to_the_parent

    def slow_sync(descriptor):
        time.sleep(SYNC_SECONDS)
        sync(descriptor)

    def begin_loader(number):
        say("loader", "making")
        begin(number)

    os.fsync = slow_sync
    cost.count_full_size = lambda _: count(SMALL)
    loader.default_workers = lambda *_: LOADERS
    loader._leave_interrupts_to_the_parent = begin_loader
    train.CHECKPOINT_SECONDS = CHECKPOINT_SECONDS
    checkpoints.Checkpoints.save = saying(role, "writing", "training", checkpoints.Checkpoints.save)
    cell.save_weights = saying(role, "writing", "evaluating", cell.save_weights)


def run_cell(of, context):
    """The real cell; where several workers train it, with `loop`."""
    from suite.records.cell import Progress
    from suite.training import cell, workers

    role = "driver" if context.launcher == "inline" else "cell"
    say(role, "starting")
    hurry(role)
    if context.workers > 1:
        workers.run_worker = loop
    for event in cell.run_cell(of, context):
        if isinstance(event, Progress):
            say(role, event.state)
        time.sleep(STEP_SECONDS)
        yield event


def loop(config):
    """One of several workers."""
    from suite.training import workers

    say("worker", "starting")
    hurry("worker")
    workers._keep = saying("worker", "writing", "training", workers._keep)
    workers.report_progress = slow_progress
    workers.run_worker(config)


def slow_progress(run, steps):
    """As the cell's, slowly."""
    from suite.training import prepare

    for event in prepare.report_progress(run, steps):
        say("worker", "training")
        time.sleep(2 * STEP_SECONDS)
        yield event


def main():
    """The command line."""
    say("driver", "starting")
    from suite.cli import common
    from suite.cli import main as cli
    from suite.records.ledger import Ledger
    from suite.runner import attempt, progress

    show = progress.PlainView.show

    def show_and_wait(view, event):
        show(view, event)
        if inline == "ray":
            say("driver", "waiting")

    inline = sys.argv[sys.argv.index("--launcher") + 1]
    progress.PlainView.show = show_and_wait
    os.environ[attempt.CELL_VARIABLE] = CELL
    common.render = saying("driver", "reporting", "ending", common.render)
    Ledger.add = saying("driver", "recording", "recording", Ledger.add)
    Ledger.clear_work = saying("driver", "clearing", "waiting", Ledger.clear_work)
    hurry("driver")
    return cli.main()


if __name__ == "__main__":
    import observed  # by the name that Ray's processes know it by

    sys.exit(observed.main())
