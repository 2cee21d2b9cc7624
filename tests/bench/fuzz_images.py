"""Mutated image files: `python tests/bench/fuzz_images.py [--seconds S] [--seed N]`; none may crash a reader, or be noisy.

A file that breaks a promise is kept in the folder that is printed. In the tests the same runs for a few seconds (tests/data/test_fuzz.py).
"""

import argparse
import os
import sys
import tempfile
import warnings
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "support")]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    os.environ["SUITE_MAX_MEGAPIXELS"] = "4"  # a head that claims more would cost seconds, and is refused alike
    warnings.simplefilter("error")  # before Pillow's are turned off, as in the verbs

    from fuzzed_images import fuzz

    folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
    tried, read = fuzz(folder, options.seconds, options.seed)
    sys.stdout.write(f"{tried} mutated files in {options.seconds:g} s: {read} read, {tried - read} refused by name, nothing found\n")


if __name__ == "__main__":
    main()
