"""How long a second look at many files takes: `python tests/bench/dry_run.py [FILES] [FOLDER]`, processor time of fresh processes.

No test: times are of the machine and of what else it does. The images are noise of 16 x 16 pixels, written to a temporary folder, or to
FOLDER, where they stay. The first look hashes all of them; those after it are what a dry run does for a set of a record.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
AIM = 5.0  # seconds, for a whole dry run over 100,000, of which starting Python and loading torch are a part
LOOK = """
import sys, time
from suite.data.digests import make_manifest
from suite.study.protocols import protocol
from suite.study.tasks import task
of = task("sr-x2")
started = time.process_time()
found = make_manifest(sys.argv[1], "train", of, protocol(of.protocol))
print(f"{len(found.files):,} files: {time.process_time() - started:.2f} s")
"""


def fill(folder, count):
    """Writes `count` images; BMP, for nothing has to be compressed."""
    from PIL import Image

    folder.mkdir(parents=True)
    random = np.random.default_rng(0)
    for number in range(count):
        Image.fromarray(random.integers(0, 256, (16, 16, 3), dtype=np.uint8)).save(folder / f"{number:06}.bmp")


def look(folder, cache):
    environment = os.environ | {"SUITE_CACHE": cache, "PYTHONPATH": str(ROOT)}
    return subprocess.run([sys.executable, "-c", LOOK, folder], env=environment, stdout=subprocess.PIPE, text=True, check=True).stdout


def main():
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    with tempfile.TemporaryDirectory() as name:
        folder = Path(sys.argv[2] if len(sys.argv) > 2 else name) / "images"
        if not folder.is_dir():
            started = time.perf_counter()
            fill(folder, count)
            sys.stdout.write(f"written: {time.perf_counter() - started:.1f} s\n")
        for which in ("first", "second", "third"):
            sys.stdout.write(f"{which} look, {look(folder, f'{name}/cache')}")
    sys.stdout.write(f"aim of a whole dry run: {AIM:g} s for 100,000\n")


if __name__ == "__main__":
    main()
