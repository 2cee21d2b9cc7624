"""How long scoring takes: `python tests/bench/scoring.py [RUNS]`, wall time of the real commands, each in a process of its own.

No test: times are of the machine and of what else it does. The sets are those of ../shared/data; without them nothing is timed.
"""

import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT.parent / "shared" / "data"
RAIN = DATA / "Rain100L"

# what is timed: the words after `python -m suite`, and the seconds aimed at
COMMANDS = {
    "Set5 x2, bicubic, PSNR and SSIM": (("evaluate", "bicubic", "--task", "sr-x2", "--data", "Set5"), 5.0),
    "Set5 x4, bicubic, PSNR and SSIM": (("evaluate", "bicubic", "--task", "sr-x4", "--data", "Set5"), 5.0),
    "Rain100L, 100 pairs as a set": (("evaluate", "identity", "--task", "derain", "--data", "Rain100L"), 15.0),
    "Rain100L, 100 pairs of two folders": (
        ("score", "--pred", str(RAIN / "input"), "--gt", str(RAIN / "target"), "--protocol", "derain-matlab"),
        15.0,
    ),
}


def seconds(words):
    """Wall time of one command; its output is shown where it fails."""
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "suite", *words], cwd=ROOT, env={**os.environ, "SUITE_DATA": str(DATA)}, capture_output=True, text=True
    )
    elapsed = time.perf_counter() - started
    if done.returncode:
        sys.exit(f"python -m suite {' '.join(words)} ended with {done.returncode}:\n{done.stderr}")
    return elapsed


def main():
    if not DATA.is_dir():
        sys.stdout.write(f"skipped: needs the real images in {DATA}\n")
        return
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    for what, (words, aim) in COMMANDS.items():
        times = sorted(seconds(words) for _ in range(runs))
        spread = f"{times[0]:.2f} to {times[-1]:.2f} s in {runs} runs"
        sys.stdout.write(f"{what}: median {statistics.median(times):.2f} s, {spread}; aim {aim:g} s\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
