"""How long a dry run over many files takes: `python tests/bench/dry_run.py [FILES] [FOLDER]`, processor time of fresh processes.

No test: times are of the machine and of what else it does. The images are noise of 16 x 16 pixels, written to a temporary folder, or to
FOLDER, where they stay. A network is trained on them for four iterations, which hashes them all; each dry run after it looks whether they
are still the same, and says that the cell is done.
"""

import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
AIM = 5.0  # seconds, for 100,000, of which starting Python and loading torch are a part
WORDS = "--model mambair-sr-x2 --budget smoke --set patch=16 --launcher inline --cpus-per-cell 1"


def fill(folder, count):
    """Writes `count` images; BMP, for nothing has to be compressed."""
    from PIL import Image

    folder.mkdir(parents=True)
    random = np.random.default_rng(0)
    for number in range(count):
        Image.fromarray(random.integers(0, 256, (16, 16, 3), dtype=np.uint8)).save(folder / f"{number:06}.bmp")


def run(folder, place, *more):
    """Runs or plans the training on `folder`, all that it writes below `place`; returns the processor time and the last line printed."""
    environment = os.environ | {"SUITE_CACHE": f"{place}/cache", "PYTHONPATH": str(ROOT)}
    words = [*WORDS.split(), "--set", f"train_set={folder}", "--ledger", f"{place}/ledger", "--report", f"{place}/report", *more]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    ran = subprocess.run([sys.executable, "-m", "suite", "run", *words], env=environment, stdout=subprocess.PIPE, text=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, ran.stdout.splitlines()[-1]


def main():
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    with tempfile.TemporaryDirectory() as name:
        folder = Path(sys.argv[2] if len(sys.argv) > 2 else name) / "images"
        if not folder.is_dir():
            started = time.perf_counter()
            fill(folder, count)
            sys.stdout.write(f"written: {time.perf_counter() - started:.1f} s\n")
        sys.stdout.write(f"trained, all files hashed: {run(folder, name)[0]:.1f} s\n")
        for _ in range(3):
            sys.stdout.write("dry run: {:.2f} s; it says: {}\n".format(*run(folder, name, "--dry-run")))
        sys.stdout.write(f"aim of a dry run: {AIM:g} s for 100,000\n")


if __name__ == "__main__":
    main()
