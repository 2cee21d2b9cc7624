"""The README and docs/: paths, links and commands are right, the example of a design runs, the reference is current."""

import importlib.util
import re
import shlex
import sys

import pytest
import reference
import torch

from models.designs import DESIGNS
from suite.cli import main
from suite.core.paths import ROOT

PAGES = {str(path.relative_to(ROOT)): path.read_text() for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))}
MADE = {"results/work/CELL/stop", "results/runs", "results/runs/pictures", "results/mine", "reports/html", "reports/html/index.html"}
MADE |= {"results/machines", "results/machines/"}  # once somebody has saved times
MADE |= {"models/designs/plain.py", "models/networks/plain.py"}  # of the example
TEXT = "\n".join(PAGES.values())
PATHS = sorted(set(re.findall(r"(?<![\w/.-])((?:suite|tests|models|results|reports|datasets)/[\w./*-]*)", TEXT)))
BLOCKS = re.findall(r"^ +(?:srun )?python -m suite ((?:.*\\\n)*.*)$", TEXT, re.MULTILINE)
INLINE = re.findall(r"`python -m suite ([^`]+)`", TEXT)
COMMANDS = sorted({*BLOCKS, *INLINE})
LINKS = [(page, link) for page, text in PAGES.items() for link in re.findall(r"\]\(([^)#]+)\)", text)]


@pytest.mark.parametrize("path", PATHS)
def test_a_path_exists(path):
    assert path in MADE or any(ROOT.glob(path.rstrip("."))), path


@pytest.mark.parametrize(("page", "link"), LINKS)
def test_a_link_leads_somewhere(page, link):
    assert ((ROOT / page).parent / link).is_file()


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_is_accepted(command):
    words = shlex.split(command.replace("\\\n", ""), comments=True)
    words = words[: words.index("||")] if "||" in words else words
    if words != ["--help"]:
        assert main.parser().parse_args(words).verb == words[0]


def test_the_readme_is_short():
    assert PAGES["README.md"].count("\n") <= 100


def test_every_page_is_linked_from_the_readme():
    linked = {link for page, link in LINKS if page == "README.md"}
    assert set(PAGES) - {"README.md"} <= linked


def test_the_reference_is_current():
    assert PAGES["docs/reference.md"] == reference.write(), "python tests/support/reference.py writes it anew"


def test_the_glossary_is_current():
    assert PAGES["docs/glossary.md"] == reference.write_glossary(), "python tests/support/reference.py writes it anew"


def test_the_times_by_machine_are_current():
    assert PAGES["docs/machines.md"] == reference.write_machines(), "python tests/support/reference.py writes it anew"


def test_the_readme_s_claims_are_those_of_the_evidence():
    assert PAGES["README.md"] == reference.fill_readme(PAGES["README.md"]), "python tests/support/reference.py writes them anew"


def test_the_example_of_a_design_runs(monkeypatch, tmp_path):
    declared, network = re.findall(r"```python\n(.*?)```", PAGES["docs/add-a-design.md"], re.DOTALL)
    for name, text in (("models.designs.plain", declared), ("models.networks.plain", network)):
        (tmp_path / f"{name}.py").write_text(text)
        found = importlib.util.spec_from_file_location(name, tmp_path / f"{name}.py")
        module = importlib.util.module_from_spec(found)
        monkeypatch.setitem(sys.modules, name, module)
        found.loader.exec_module(module)
    design = sys.modules["models.designs.plain"].DESIGN
    for card in (*design.networks, *design.ablations):
        made = sys.modules["models.networks.plain"].Plain(card.config.narrowed(8, 4))
        assert made(torch.rand(1, 3, 7, 9)).shape == (1, 3, 14, 18)
    assert vars(design).keys() == vars(DESIGNS[0]).keys()
