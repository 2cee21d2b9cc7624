"""Versions of what decides a cost, a time, and a row of the index: a record of another version is another cell, measured anew.

Raise a number when what it stands for changes: then old records stay, and are not taken for new ones. A changed comment or a moved file
changes nothing. test_versions.py holds the code to its version, and says when one of the two has to follow the other.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable

from suite.core import machine

COSTS = 2  # how parameters and operations are counted (count and conventions of suite.measure.costs, suite.study.baselines); the networks
LATENCIES = 1  # how a network is timed (suite.measure.timing, suite.measure.costs.latency)
SCANS = 2  # the scan backends, and how they are verified and timed
INDEX = 3  # what a row of the ledger's index says
LATER = frozenset({"kernels"})  # packages that came after the first records: where they are absent, no digest changes


def software(versions: Iterable[int | str], packages: Iterable[str]) -> str:
    """Return 16 hexadecimal digits over versions of this table and of installed packages: what a cost or a time was made with."""
    held = machine.installed_packages()
    made_with = [*versions], {name: held.get(name) for name in packages if name in held or name not in LATER}
    return hashlib.sha256(json.dumps(made_with).encode()).hexdigest()[:16]
