"""How long a large ledger takes: `python tests/bench/ledger.py [RECORDS] [FOLDER]`, wall time of the real commands and of pandas.

No test: times are of the machine and of what else it does. The records are made up (synthetic_records.py) and written to a temporary
folder, or to FOLDER, where they stay. `cold` is the first list, which reads every record; `one more` is the first list after one was added.
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "support")]

import synthetic_records as made  # noqa: E402 - the paths come first

AIM = 2.0  # seconds, for a list of 100,000


def fill(folder, count):
    """Writes `count` records of as many cells: seeds of the models of both papers."""
    from suite.records.record import dump

    folder.mkdir(parents=True, exist_ok=True)
    models = made.VMAMBAIR + made.MAMBAIR
    templates = {model: json.loads(dump(made.done(model, crops=False))) for model in models}
    for number in range(count):
        model, seed = models[number % len(models)], number // len(models)
        of = made.spec(model, seed=seed)
        raw = templates[model]
        raw["fingerprint"], raw["spec"]["seed"] = of.fingerprint, seed
        (folder / f"{of.fingerprint}.001.done.json").write_text(json.dumps(raw), encoding="utf-8")


def seconds(*words):
    """Wall time of one command in a process of its own, its output read and thrown away."""
    started = time.perf_counter()
    subprocess.run([sys.executable, *map(str, words)], cwd=ROOT, stdout=subprocess.PIPE, check=True)
    return time.perf_counter() - started


def say(text):
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main():
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    with tempfile.TemporaryDirectory() as name:
        folder = Path(sys.argv[2] if len(sys.argv) > 2 else name) / "runs"
        if not folder.is_dir():
            started = time.perf_counter()
            fill(folder, count)
            say(f"{count:,} records written: {time.perf_counter() - started:.1f} s")
        listed = ("-m", "suite", "list", "records", "--ledger", folder)
        (folder / ".index").unlink(missing_ok=True)
        say(f"list records, cold: {seconds(*listed):.1f} s")
        for _ in range(3):
            say(f"list records: {seconds(*listed):.2f} s (aim {AIM:g} s for 100,000)")
        say(f"list records --json: {seconds(*listed, '--json'):.2f} s")
        say(f"list records --csv: {seconds(*listed, '--csv', '-'):.2f} s")
        code = f"from suite.records.frame import frame; from suite.records.ledger import Ledger; print(len(frame(Ledger({str(folder)!r}))))"
        say(f"frame: {seconds('-c', code):.2f} s")
        next(iter(folder.glob("*.json"))).touch()
        say(f"list records, one changed: {seconds(*listed):.2f} s")


if __name__ == "__main__":
    main()
