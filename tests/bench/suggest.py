"""How far the estimates of `suggest` lie off: `python tests/bench/suggest.py [LEDGER]`, each kept time of this machine left out in turn.

No test: times are of the machine. `python -m suite profile all --time` fills the ledger; the aim is 15 % in the median.
"""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT)]

from models.scan.backends import resolve_backend  # noqa: E402
from suite.core import machine  # noqa: E402
from suite.measure.costs.grid import TimingOptions  # noqa: E402
from suite.measure.costs.points import Plan, gather  # noqa: E402
from suite.records.ledger import Ledger  # noqa: E402

AIM = 0.15


def main():
    device = machine.default_device()
    backend, reason = resolve_backend("auto", device)
    timing = TimingOptions(backend, device, machine.count_cores(), 1.0)
    ledger = Ledger(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
    estimator = gather(ledger.records(), (), Plan({}, timing, reason))
    noisy = sum(point.source.endswith("noisy") for point in estimator.points)
    sys.stdout.write(f"{len(estimator.points)} calls, {noisy} of them noisy, on {device}, {timing.threads} threads, backend {backend}\n")
    for what, name in (("ms", "time"), ("mib", "memory")):
        for basis in ("other networks", "other sizes"):
            error = estimator.leave_one_out(what, basis)
            told = f"median {error.median:.0%}, largest {error.largest:.0%}, of {error.points}" if error else "too few calls"
            sys.stdout.write(f"{name} from {basis}: {told}; aim {AIM:.0%} in the median\n")


if __name__ == "__main__":
    main()
