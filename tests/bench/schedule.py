"""How well a simulated grid meets the measured one: `python tests/bench/schedule.py LEDGER [SLOTS]`, of one run of a grid in one ledger.

No test: the times are a machine's. The schedule is simulated three times: from each cell's own wall time, which shows the error of the
scheduler alone; from what the other cells tell (each cell estimated as `run` does, its own record left out); and by the rough rule.
Cells go in the order in which they were started. SLOTS is how many ran at a time (default: this machine's cores by the threads of a cell).
"""

import sys
import tempfile
from datetime import datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT)]

from suite.core import machine  # noqa: E402 - the path comes first
from suite.records.ledger import Ledger  # noqa: E402
from suite.runner.estimate import estimate_runs  # noqa: E402
from suite.runner.schedule import Job, measure_makespan, simulate_schedule  # noqa: E402


def moments(record):
    return [datetime.fromisoformat(text) for text in (record.provenance.started, record.provenance.finished)]


def say(text):
    sys.stdout.write(text + "\n")


def estimated(record, past):
    """Seconds of a record's cell as `run` estimates them from a ledger of the records `past`."""
    with tempfile.TemporaryDirectory() as folder:
        ledger = Ledger(Path(folder) / "runs")
        for one in past:
            ledger.add(one)
        return estimate_runs([record.spec], ledger).seconds


def main():
    records = [one for one in Ledger(Path(sys.argv[1])).records() if one.kind == "run" and one.status == "done"]
    records.sort(key=lambda one: moments(one)[0])
    first = records[0].provenance
    slots = int(sys.argv[2]) if len(sys.argv) > 2 else max(1, int(first.machine["cores"]) // first.threads)
    walls = {one.fingerprint: (moments(one)[1] - moments(one)[0]).total_seconds() for one in records}
    measured = (max(moments(one)[1] for one in records) - min(moments(one)[0] for one in records)).total_seconds()
    machine.describe_machine = lambda: first.machine  # the estimates are that machine's
    bare = [one.model_copy(update={"crops": (), "receptive_field": None}) for one in records]
    others = {one.fingerprint: estimated(one, [past for past in bare if past is not one]) for one in bare}
    rough = {one.fingerprint: estimated(one, []) for one in bare}
    say(f"{len(records)} cells, {slots} at a time, on {first.machine['cpu']}; measured {measured:.0f} s")
    for name, seconds in (("each cell's own time", walls), ("what the other cells tell", others), ("the rough rule", rough)):
        if any(value is None for value in seconds.values()):
            say(f"by {name}: not known of every cell")
            continue
        jobs = [Job(one.fingerprint, seconds[one.fingerprint], tuple(filter(None, [one.spec.start]))) for one in records]
        end = measure_makespan(simulate_schedule(jobs, slots))
        errors = sorted(abs(seconds[key] / walls[key] - 1) for key in walls)
        say(f"by {name}: {end:.0f} s, {end / measured - 1:+.1%}; a cell's error is {errors[len(errors) // 2]:.0%} in the median")


if __name__ == "__main__":
    main()
