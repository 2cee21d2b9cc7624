"""How far the estimates of `suggest` lie off: `python tests/bench/suggest.py [LEDGER]`, each kept time of this machine left out in turn.

No test: times are of the machine. `python -m suite profile all --time` fills the ledger; the aim is 15 % in the median. With a file of
results/machines in the place of LEDGER, its times are left out in turn.
"""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT)]

from models.scan.backends import resolve_backend  # noqa: E402
from suite.core import machine  # noqa: E402
from suite.measure.costs.estimate import Measured  # noqa: E402
from suite.measure.costs.grid import TimingOptions  # noqa: E402
from suite.measure.costs.points import Plan, describe_call, gather, make_estimator  # noqa: E402
from suite.records.ledger import Ledger  # noqa: E402
from suite.records.machines import read_machines  # noqa: E402

AIM = 0.15


def main():
    if sys.argv[1:] and sys.argv[1].endswith(".json"):
        tell(of_file(Path(sys.argv[1])), sys.argv[1])
        return
    device = machine.default_device()
    backend, reason = resolve_backend("auto", device)
    timing = TimingOptions(backend, device, machine.count_cores(), 1.0)
    ledger = Ledger(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
    estimator = gather(ledger.records(), (), Plan({}, timing, reason))
    tell(estimator, f"{device}, {timing.threads} threads, backend {backend}")


def of_file(path):
    """Return an estimator of the times of a machine's file."""
    (held,) = (one for one in read_machines(path.parent) if one.file == path.name)
    return make_estimator(
        Measured(describe_call(one.model, one.input_size), one.median_ms, one.peak_memory_mib, "file") for one in held.times
    )


def tell(estimator, where):
    """Print how far estimates lie off."""
    noisy = sum(point.source.endswith("noisy") for point in estimator.points)
    sys.stdout.write(f"{len(estimator.points)} calls, {noisy} of them noisy, on {where}\n")
    for what, name in (("ms", "time"), ("mib", "memory")):
        for basis, by_design in (("other networks", False), ("other networks", True), ("other sizes", False)):
            error = estimator.leave_one_out(what, basis, by_design=by_design)
            told = f"median {error.median:.0%}, largest {error.largest:.0%}, of {error.points}" if error else "too few calls"
            source = "other designs" if by_design else basis
            sys.stdout.write(f"{name} from {source}: {told}; aim {AIM:.0%} in the median\n")


if __name__ == "__main__":
    main()
