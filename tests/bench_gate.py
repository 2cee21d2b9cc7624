"""How often the gate cries wolf, and whether it hears a wolf: `python tests/bench_gate.py repeats 20`, `same 5`, `slower 0.15`.

repeats N  the watched numbers measured N times, alternately at 1 and 2 threads, against the committed baseline
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
from pathlib import Path

from suite import gate, gate_time, gate_time_report, old_code, verb_check
from suite.gate_turns import SECONDS
from suite.output import Output
from suite.probes import PROBES

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


def repeats(count: int) -> None:
    """Prints a line a repeat: threads, seconds, verdicts, what was loud, and the largest share of what is allowed."""
    baseline = gate.load(gate.baseline_path())
    for number in range(count):
        begun = time.perf_counter()
        with verb_check._threads(1 + number % 2):
            findings = gate.compare(baseline, verb_check.measure(list(PROBES)), data=verb_check.data_digest())
        moved = [abs(finding.difference) / finding.allowed for finding in findings if finding.difference and finding.allowed]
        verdicts = dict(Counter(finding.verdict.value for finding in findings))
        loud = [finding.key for finding in findings if finding.verdict not in QUIET]
        seconds = time.perf_counter() - begun
        Output(sys.stdout).line(
            f"{1 + number % 2} threads  {seconds:.0f} s  {verdicts}  {max(moved, default=0):.2f} of what is allowed  {loud}"
        )


def timed(tree: Path) -> None:
    """Prints the table of HEAD's code against that in `tree`."""
    gate_time.ROOT = tree
    found = gate_time.timing(old_code.commit_named("HEAD"), binding=True, seconds=SECONDS)
    out = Output(sys.stdout)
    out.table(gate_time_report.rows(found))
    out.line(gate_time_report.sentence(found))


def slower(share: float) -> None:
    """Times HEAD against a copy of this tree whose scan of sequences works longer."""
    with tempfile.TemporaryDirectory(prefix="bench-gate-") as name:
        tree = Path(name) / "tree"
        subprocess.run(["git", "clone", "--quiet", "--shared", old_code.ROOT, tree], check=True)
        gate_time.CASES = {case: row for case, row in gate_time.CASES.items() if case.startswith("scan/")}
        file = tree / OPERATOR
        source = file.read_text(encoding="utf-8")
        if CALL not in source:
            raise SystemExit(f"{OPERATOR} has no longer the line that is made slower")
        file.write_text(source.replace(CALL, SLOWER.format(share=share)), encoding="utf-8")
        timed(tree)


if __name__ == "__main__":
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("what", choices=("repeats", "same", "slower"))
    asked.add_argument("number", type=float)
    options = asked.parse_args()
    if options.what == "repeats":
        repeats(int(options.number))
    elif options.what == "slower":
        slower(options.number)
    else:
        for _ in range(int(options.number)):
            timed(old_code.ROOT)
