"""Build the wheel, install it into an empty environment beside Hugging Face's `datasets`, and use it where there is nothing of ours.

    .tox/test/bin/python tests/support/try_wheel.py

The environment is lent the packages of the Python that runs this (torch takes minutes to install), but for the suite that is installed
there. The folder has a package `models` of its own, as checkouts of other projects have. Exit code 1 names what does not work.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
IMAGES = """
from PIL import Image
for number in range(2):
    Image.effect_mandelbrot((48, 48), (-2, -1, 1, 1), 10 + number).convert("RGB").save(f"images/{number}.png")
"""


class Tryout:
    """An environment with the wheel, and a folder elsewhere in which it is used."""

    def __init__(self, folder: Path) -> None:
        self.here = folder / "here"
        (self.here / "models").mkdir(parents=True)
        (self.here / "models" / "__init__.py").write_text("raise ImportError('of another project')\n", encoding="utf-8")
        (self.here / "images").mkdir()
        subprocess.run([sys.executable, "-m", "venv", folder / "env"], check=True)
        self.bin = folder / "env" / "bin"
        self.packages = Path(self.python("import sysconfig; print(sysconfig.get_paths()['purelib'])").stdout.strip())
        lent = sysconfig.get_paths()["purelib"]  # .pth files in there, and so its editable suite, do not count
        (self.packages / "lent.pth").write_text(f"{lent}\n", encoding="utf-8")
        self.pip("install", "--no-deps", "--ignore-installed", build_wheel(folder / "wheel"))
        self.pip("install", "datasets")
        self.python(IMAGES)

    def pip(self, *words: str | Path) -> None:
        """Run pip of the environment."""
        subprocess.run([self.bin / "python", "-m", "pip", "-q", *words], check=True)

    def run(self, *words: str | Path) -> subprocess.CompletedProcess[str]:
        """Run a program of the environment where the user stands."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("SUITE_", "PYTHON"))}
        return subprocess.run([self.bin / words[0], *words[1:]], cwd=self.here, env=kept, capture_output=True, text=True, check=False)

    def python(self, code: str) -> subprocess.CompletedProcess[str]:
        """Run a piece of Python that finds nothing in the working folder; CalledProcessError where it fails."""
        done = self.run("python", "-P", "-c", code)
        done.check_returncode()
        return done

    def suite(self, *words: str) -> str:
        """Run `ssm-suite`, and return what it prints; RuntimeError with its words where it does not exit with 0."""
        done = self.run("ssm-suite", *words)
        if done.returncode:
            raise RuntimeError(f"exit code {done.returncode}\n{done.stdout}{done.stderr}")
        return done.stdout


def build_wheel(folder: Path) -> Path:
    """Build the wheel of the files that git knows, out of a copy, so that nothing built before gets into it."""
    copy = folder / "copy"
    listed = subprocess.run(["git", "-C", ROOT, "ls-files", "-z", "--", ".", ":!tests", ":!docs"], capture_output=True, check=True)
    for name in map(os.fsdecode, filter(None, listed.stdout.split(b"\0"))):
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, copy / name)
    subprocess.run([sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", folder, copy], check=True)
    return next(folder.glob("*.whl"))


def is_alone(one: Tryout) -> None:
    """The suite is the wheel's, and `datasets` is Hugging Face's."""
    code = "import datasets, models, suite; print(suite.__file__, models.__file__, datasets.__file__, hasattr(datasets, 'load_dataset'))"
    *files, theirs = one.python(code).stdout.split()
    assert theirs == "True"
    assert all(file.startswith(str(one.packages)) for file in files), files


def finds_what_comes_with_it(one: Tryout) -> None:
    """Cards, published tables and claims."""
    assert "Set5" in one.suite("list", "datasets")
    assert "mambair-light-x2" in one.suite("list", "models")
    assert "vmambair" in one.suite("claims", "--json")


def looks_at_images(one: Tryout) -> None:
    """The user's own, by a relative path."""
    assert "2 images, fine" in one.suite("data", "check", "images")


def measures_below_the_working_folder(one: Tryout) -> None:
    """The ledger is there."""
    assert "mean" in one.suite("evaluate", "bicubic", "--task", "sr-x2")
    assert list((one.here / "results" / "runs").glob("*.done.json"))


def reports_below_the_working_folder(one: Tryout) -> None:
    """The page is there, with its styles and scripts."""
    one.suite("report")
    page = (one.here / "reports" / "html" / "index.html").read_text(encoding="utf-8")
    assert "<style" in page
    assert "<script" in page


def plans_the_quick_grid(one: Tryout) -> None:
    """With the counts of operations, from which the time is estimated."""
    assert "to run" in one.suite("run", "--grid", "ablations", "--budget", "quick", "--dry-run")


def finds_no_problem(one: Tryout) -> None:
    """The doctor's checks."""
    found = json.loads(one.suite("doctor", "--json"))
    assert found["ok"], [check for check in found["checks"] if check["state"] == "problem"]


def says_whose_models_it_found(one: Tryout) -> None:
    """`python -m` looks where one stands first."""
    done = one.run("python", "-m", "suite", "list", "models")
    assert done.returncode == 6, done
    assert f"{one.here / 'models'}, which is another project's" in done.stderr
    assert "Type `ssm-suite list models`" in done.stderr


def wrote_nothing_where_it_is_installed(one: Tryout) -> None:
    """What is installed may be shared, or not be writable."""
    new = [path for path in (one.packages / "suite").rglob("*") if path.is_file() and path.suffix not in (".pyc", ".py", ".typed")]
    assert {path.relative_to(one.packages / "suite").parts[0] for path in new} == {"shipped"}, new
    assert not (one.packages / "results").exists()
    assert not (one.packages / "reports").exists()


CHECKS: tuple[Callable[[Tryout], None], ...] = (
    is_alone,
    finds_what_comes_with_it,
    looks_at_images,
    measures_below_the_working_folder,
    reports_below_the_working_folder,
    plans_the_quick_grid,
    finds_no_problem,
    says_whose_models_it_found,
    wrote_nothing_where_it_is_installed,
)


def main() -> int:
    """Make every check, say how each ended, and return the exit code."""
    failed = 0
    with tempfile.TemporaryDirectory(prefix="wheel-") as name:
        begun = time.perf_counter()
        one = Tryout(Path(name).resolve())
        sys.stdout.write(f"wheel: built and installed in {time.perf_counter() - begun:.0f} s\n")
        for check in CHECKS:
            begun, said = time.perf_counter(), "ok"
            try:
                check(one)
            except Exception as error:  # the others are tried all the same
                failed += 1
                said = f"FAILED: {type(error).__name__}: {error}"
            sys.stdout.write(f"wheel: {check.__name__.replace('_', ' ')}: {said} ({time.perf_counter() - begun:.0f} s)\n")
    return min(failed, 1)


if __name__ == "__main__":
    sys.exit(main())
