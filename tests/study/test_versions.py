"""Code that decides a number or a time is held to its version: who changes the one is asked whether the other follows."""

import ast
import hashlib
import sys
from pathlib import Path

import pytest

from suite.core.paths import ROOT
from suite.study import versions

SUITE, MODELS = ROOT / "suite", ROOT / "models"
# By version: which files, and the digest of their code without comments, docstrings and imports, as it was when the version was raised.
HELD = {
    "COSTS": (
        2,
        [
            *(path for room in ("", "designs", "networks", "parts") for path in (MODELS / room).glob("*.py")),
            *(SUITE / f"{name}.py" for name in ("measure/costs/count", "measure/costs/conventions", "study/baselines")),
        ],
        "8577f3b884f888d6",
    ),
    "LATENCIES": (1, [SUITE / "measure" / f"{name}.py" for name in ("timing", "costs/latency")], "32e783040fe1d646"),
    "SCANS": (2, [*(MODELS / "scan").rglob("*.py"), *(MODELS / "scan").rglob("*.cpp")], "210342e0fc7ea197"),
    "INDEX": (
        3,
        [SUITE / "records" / f"{name}.py" for name in ("record", "kinds/scan", "kinds/profile", "spec", "summary", "index")],
        "32b6f9f72ef3e770",
    ),
}


class Bare(ast.NodeTransformer):
    """Takes docstrings and imports away."""

    def visit_Import(self, _node):
        return None

    def visit_ImportFrom(self, _node):
        return None

    def visit_Expr(self, node):
        return None if isinstance(node.value, ast.Constant) and isinstance(node.value.value, str) else node


def code_of(path: Path) -> str:
    source = path.read_text(encoding="utf-8")
    if path.suffix != ".py":
        return "\n".join(line.partition("//")[0].strip() for line in source.splitlines() if line.partition("//")[0].strip())
    return ast.unparse(Bare().visit(ast.parse(source)))


def digest_of(paths) -> str:
    return hashlib.sha256("\0".join(sorted(map(code_of, paths))).encode()).hexdigest()[:16]


@pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="another Python writes the same code otherwise")
@pytest.mark.parametrize("name", HELD)
def test_code_is_held_to_its_version(name):
    version, paths, digest = HELD[name]
    assert getattr(versions, name) == version
    assert digest_of(paths) == digest, (
        f"what {name} stands for has changed. If its numbers, times or rows can be others now, raise versions.{name}; "
        f"in any case the digest here is {digest_of(paths)} now"
    )


def test_comments_docstrings_and_imports_are_no_change(tmp_path):
    one, other = tmp_path / "one.py", tmp_path / "other.py"
    one.write_text('"""What."""\nimport os\n\n\ndef f(x):\n    """Doc."""\n    return x + 1  # why\n')
    other.write_text("from sys import path\n\n\ndef f(x):\n    return x + 1\n")
    assert digest_of([one]) == digest_of([other])
    other.write_text("def f(x):\n    return x + 2\n")
    assert digest_of([one]) != digest_of([other])


def test_another_version_or_package_is_another_cell(monkeypatch):
    made = versions.software((1,), ("torch",))
    assert made == versions.software((1,), ("torch",))
    assert made != versions.software((2,), ("torch",))
    monkeypatch.setattr(versions.machine, "installed_packages", lambda: {"torch": "another"})
    assert made != versions.software((1,), ("torch",))
