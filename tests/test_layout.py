"""The house itself: rooms that stay small, contracts that know every room, tests that lie where their code lies."""

import configparser
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = sorted(file.parent for top in ("suite", "models") for file in (ROOT / top).rglob("__init__.py"))
MOST = 17  # Python files of a folder


@pytest.mark.parametrize("folder", PACKAGES, ids=lambda folder: str(folder.relative_to(ROOT)))
def test_a_folder_holds_few_files_and_says_what_for(folder):
    files = sorted(file.name for file in folder.glob("*.py"))
    assert len(files) <= MOST, f"{folder.name}/ has {len(files)} Python files, {MOST} are allowed: make a room for some"
    assert (folder / "__init__.py").read_text(encoding="utf-8").startswith('"""')


def test_the_contract_of_circles_knows_every_package():
    contracts = configparser.ConfigParser()
    contracts.read(ROOT / ".importlinter", encoding="utf-8")
    named = contracts["importlinter:contract:circles"]["ancestors"].split()
    assert sorted(named) == [str(folder.relative_to(ROOT)).replace("/", ".") for folder in PACKAGES]


def test_every_folder_of_tests_is_called_after_a_package():
    apart = {"bench", "golden", "history", "support", "__pycache__"}
    for folder in (ROOT / "tests").iterdir():
        if folder.is_dir() and folder.name not in apart:
            assert (ROOT / "suite" / folder.name).is_dir() or folder.name == "models", folder.name
            for room in folder.iterdir():
                home = ROOT / ("models" if folder.name == "models" else f"suite/{folder.name}") / room.name
                assert not room.is_dir() or room.name == "__pycache__" or home.is_dir(), f"{room} mirrors no package"
