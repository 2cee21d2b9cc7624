"""What a wheel holds: the code, and the checkout's folders that it reads, as data of the package `suite`. All else is in pyproject.toml.

One copy of them is in git. A checkout reads them where they lie, and so does `pip install -e`; suite/core/paths.py finds them in all cases.
At the top of what is installed `datasets` would be another project's package.
"""

import json
import subprocess
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

HERE = Path(__file__).parent

SHIPPED = {
    "datasets": ["*.toml"],
    "results": [
        "baseline.json",
        "operations.json",
        "claims/*.toml",
        "evidence/*.json",
        "evidence/pictures/*",
        "machines/*.json",
        "published/*.toml",
    ],
    "reports": ["*.toml", "assets/*", "templates/*"],
}


class WithCommit(build_py):
    """Notes in the wheel which commit it was built of: git does not know what is installed, and records name the commit."""

    def run(self) -> None:
        """Build, and write the note where the files are of a checkout."""
        super().run()
        head, changes = (_git("rev-parse", "HEAD"), _git("status", "--porcelain")) if (HERE / ".git").exists() else (None, None)
        if head and not self.editable_mode:
            note = Path(self.build_lib, "suite", "shipped", "commit.json")
            note.write_text(json.dumps({"name": head, "dirty": None if changes is None else bool(changes)}), encoding="utf-8")


def _git(*words: str) -> str | None:
    try:
        done = subprocess.run(["git", "-C", HERE, *words], capture_output=True, text=True, check=False)  # noqa: S603, S607 - fixed words
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None


setup(
    cmdclass={"build_py": WithCommit},
    packages=[*find_packages(include=["models", "models.*", "suite", "suite.*"]), *(f"suite.shipped.{name}" for name in SHIPPED)],
    package_dir={f"suite.shipped.{name}": name for name in SHIPPED},
    package_data={f"suite.shipped.{name}": patterns for name, patterns in SHIPPED.items()}
    | {"models.scan.backends": ["scan.cpp"]},  # compiled at first use
)
