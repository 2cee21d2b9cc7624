"""How often the gate cries wolf, and whether it hears one: `python tests/bench/gate.py repeats 20`, `settings 0`, `same 5`, `slower 0.15`.

repeats N  the watched numbers measured N times, alternately at 1 and 2 threads, against the committed baseline
settings N the same under each of suite.health.gate_measure.SETTINGS at 1 and 2 threads, and with N draws of rounding: a row each
same N     the code of HEAD timed against itself, N times
slower S   HEAD against this tree with a scan that takes a share S longer forward; the cases of the scan alone

Run it on a quiet machine. The tree may not have changes that are not committed.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path

from suite.cli.health import check
from suite.core.output import Output
from suite.health import gate, gate_measure
from suite.health.gate_measure import Setting
from suite.health.probes import PROBES
from suite.health.time import old_code, report, verdict
from suite.health.time.turns import TURN_SECONDS

QUIET = (gate.Verdict.SAME, gate.Verdict.INSIGNIFICANT)
OPERATOR = "models/scan/op.py"
CALL = "    return _scan(*args, delta_softplus, name, wants_gradient(given))[0].to(u.dtype)\n"
SLOWER = """    import time
    begun = time.process_time()  # not the clock: on a busy machine that would be waiting, too
    y = _scan(*args, delta_softplus, name, wants_gradient(given))[0].to(u.dtype)
    ends = time.process_time() + {share} * (time.process_time() - begun)
    while time.process_time() < ends:
        pass
    return y
"""


def measure(setting: Setting, probes: Sequence[str]) -> None:
    """Prints a line: the setting, seconds, verdicts, the largest share of what is allowed, the largest move, and what was loud."""
    begun = time.perf_counter()
    baseline = gate.load_baseline(gate.baseline_path())
    numbers = list(chain(*gate_measure.measure_parts(gate_measure.list_parts(probes), setting).values()))
    findings = gate.compare(baseline, numbers, probes=probes, data=check.digest_data())
    moved = [(abs(f.difference) / f.allowed, abs(f.difference / f.before)) for f in findings if f.difference and f.allowed and f.before]
    verdicts = dict(Counter(finding.verdict.value for finding in findings))
    loud = [finding.key for finding in findings if finding.verdict not in QUIET]
    share, most = (max((each[place] for each in moved), default=0) for place in (0, 1))
    how = f"{setting.name}, {setting.threads} threads  {time.perf_counter() - begun:.0f} s"
    Output(sys.stdout).line(f"{how}  {verdicts}  {share:.2f} of what is allowed, {most:.1e} of itself  {loud}")


def repeats(count: int) -> None:
    """The numbers as they are, again and again."""
    for number in range(count):
        measure(replace(gate_measure.PLAIN, threads=1 + number % 2), list(PROBES))


def settings(draws: int) -> None:
    """The numbers that each setting can move."""
    for setting in gate_measure.SETTINGS:
        for threads in (1, 2):
            measure(replace(setting, threads=threads), [name for name in PROBES if name in setting.probes])
    for setting in map(gate_measure.make_nudge, range(1, draws + 1)):
        measure(setting, list(setting.probes))


def timed(tree: Path) -> None:
    """Prints the table of HEAD's code against that in `tree`."""
    verdict.ROOT = tree
    found = verdict.time_against(old_code.find_commit("HEAD"), binding=True, seconds=TURN_SECONDS)
    out = Output(sys.stdout)
    out.table(report.make_rows(found))
    out.line(report.summarise(found))


def slower(share: float) -> None:
    """Times HEAD against a copy of this tree whose scan of sequences works longer."""
    with tempfile.TemporaryDirectory(prefix="bench-gate-") as name:
        tree = Path(name) / "tree"
        subprocess.run(["git", "clone", "--quiet", "--shared", old_code.ROOT, tree], check=True)
        verdict.CASES = {case: row for case, row in verdict.CASES.items() if case.startswith("scan/")}
        file = tree / OPERATOR
        source = file.read_text(encoding="utf-8")
        if CALL not in source:
            raise SystemExit(f"{OPERATOR} has no longer the line that is made slower")
        file.write_text(source.replace(CALL, SLOWER.format(share=share)), encoding="utf-8")
        timed(tree)


if __name__ == "__main__":
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("what", choices=("repeats", "settings", "same", "slower"))
    asked.add_argument("number", type=float)
    options = asked.parse_args()
    if options.what == "repeats":
        repeats(int(options.number))
    elif options.what == "settings":
        settings(int(options.number))
    elif options.what == "slower":
        slower(options.number)
    else:
        for _ in range(int(options.number)):
            timed(old_code.ROOT)
