"""Plug-ins: what they register while they are loaded, what is said of those that are wrong, and how their code travels."""

import os
import pickle
import subprocess
import sys
from importlib import metadata

import outside
import pytest

import models
from models.official import ARCHITECTURES
from suite.core.errors import SuiteError
from suite.core.paths import ROOT
from suite.study import claims, published
from suite.study.grids import GRIDS, is_published, list_pairings
from suite.study.outside import plugins
from suite.study.outside.plugin_files import PluginCode, read_code
from suite.study.recipes import RECIPES, recipe_of
from suite.study.tasks import TASKS


def state():
    """All tables that a plug-in adds to."""
    return [list(table) for table in (models.MODELS, GRIDS, list_pairings(), ARCHITECTURES, TASKS, RECIPES)], dict(os.environ)


def test_a_plug_in_registers_what_a_design_has_and_leaves_nothing_behind(tmp_path):
    before = state()
    with plugins.loaded([str(outside.write(tmp_path))], installed=False):
        assert [name for name in models.names() if name.startswith("ladder")] == ["ladder-x4", "ladder-x4.one-direction"]
        assert models.create("ladder-x4-tiny.one-direction").config.directions == 1
        assert not any(is_published(name, "real-sr-x4") for name in ("ladder-x4", "ladder-x4.one-direction"))
        assert GRIDS["ladder"].models == ("ladder-x4", "ladder-x4.one-direction")
        assert [pairing.task for pairing in list_pairings() if pairing.model == "ladder-x4"] == ["real-sr-x4"]
        sha256 = plugins.digest_of("ladder-x4")
        assert len(sha256) == 64
        assert plugins.digest_of("ladder-x4-tiny.one-direction") == sha256
        assert plugins.digest_of("mambair-sr-x4") == plugins.digest_of("no-such") == ""
        assert os.environ[plugins.VARIABLE] == str(tmp_path / "mine.py")
    assert state() == before


def test_what_is_asked_for_twice_is_loaded_once_and_a_variable_names_plug_ins_too(tmp_path, monkeypatch):
    path = str(outside.write(tmp_path))
    monkeypatch.setenv(plugins.VARIABLE, path)
    with plugins.loaded([path, str(outside.write(tmp_path / "copy"))], installed=False):
        assert len(plugins.list_loaded()) == 1
    with plugins.loaded([], installed=False):
        assert "ladder-x4" in models.MODELS


MISTAKES = [
    ([(outside.SOURCE, "")], "declares no DESIGN.*It has: nothing"),
    ([('DESIGN = Design("Ladder",', 'OTHER = Design("Ladder",')], "declares no DESIGN"),
    ([("(LADDER,)", "(LADDER)")], r"networks is one ModelCard, and must be a tuple of them: \(network,\)"),
    ([("(LADDER,)", "[LADDER]")], "networks is a list, and must be a tuple"),
    ([("{LadderConfig: Ladder}", "{}")], "classes is not a mapping"),
    ([("{LadderConfig: Ladder}", "{Ladder: LadderConfig}")], "its keys are the configurations' classes"),
    ([("(RestorationNet)", "(nn.Module)")], "subclass of models.base.RestorationNet"),
    ([("def restore(", "def restored(")], r"Ladder defines no restore\(self, x\)"),
    ([("def work(", "def labour(")], r"LadderConfig, lacks work \(what training time goes with"),
    ([("def narrowed(", "def narrower(")], r"lacks narrowed \(a method \(self, width, depth_divisor\)"),
    ([("dim=width, blocks", "dim=dim, blocks")], "cannot be narrowed: .* raised NameError"),
    ([("dim=width, blocks", "dim=48, blocks")], r"must return a LadderConfig with dim = 16"),
    ([("    scale: int = 4\n", "")], r"lacks scale \(the enlargement"),
    ([("channels: int = 3", "channels: int = 0")], "channels = 0, and it must be a whole number of at least 1"),
    ([("@dataclass(frozen=True)", "@dataclass")], "cannot be hashed: declare it @dataclass.frozen=True"),
    ([('task="real-sr-x4"', 'task="real-sr-4"')], "has the task 'real-sr-4', which is not known. Did you mean 'real-sr-x4'"),
    ([('task="real-sr-x4"', 'task="sr-x2"')], "enlarges 4 times, the task 2 times"),
    ([('"ladder-x4"', '"mambair-sr-x4"')], "a network is called 'mambair-sr-x4' already"),
    ([('"ladder-x4"', '"Ladder x4"')], "names are of small letters"),
    ([('Design("Ladder"', 'Design("Tasks"')], "a grid is called 'tasks' already"),
    ([('Design("Ladder"', 'Design("MambaIR"')], "a design is called 'MambaIR' already"),
    ([("networks=(LADDER,)", "networks=(LADDER, LADDER)")], "a network is called 'ladder-x4' twice"),
    ([(', classes={LadderConfig: Ladder}', "")], r"line 55: TypeError: .*'classes'"),
    ([("ModelCard(", "Modelcard(")], r"line 53: ImportError|line \d+: NameError: name 'Modelcard'"),
    ([("class Ladder(", "class Ladder((")], r"it is not Python, line \d+"),
    ([("from torch import", "import nowhere\nfrom torch import")], r"No module named 'nowhere'. Install what it needs"),
    ([("LADDER =", "raise SystemExit(3)\nLADDER =")], "it ends the program where it is imported"),
    ([("DESIGN =", "TASKS = ('x',)\nDESIGN =")], "TASKS is not a tuple of suite.study.tasks.Task"),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "said"), MISTAKES, ids=[said for _, said in MISTAKES])
def test_a_mistake_is_told_with_its_place_and_nothing_of_it_stays(changes, said, tmp_path):
    before = state()
    changes = [] if changes[0][1] == "" and changes[0][0] == outside.SOURCE else changes
    path = outside.write(tmp_path, *changes)
    if not changes:
        path.write_text("")
    with pytest.raises(SuiteError, match=said) as caught, plugins.loaded([str(path)], installed=False):
        pass
    assert "Traceback" not in str(caught.value)
    assert "mine.py" in str(caught.value)
    assert state() == before


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("nowhere.py", "there is no such file"),
        (".", "is a folder"),
        ("a b", "neither a Python file nor the name of a module"),
        ("no_such_package.design", "no file and no module of that name"),
        ("suite.study", "is a module of this suite"),
        ("sys", "is not a module of Python code"),
    ],
)
def test_what_is_no_plug_in_is_told(name, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SuiteError, match=said):
        plugins.load(name)


def test_a_plug_in_adds_tasks_and_recipes(tmp_path):
    more = (
        "from dataclasses import replace as _r\nfrom suite.study.tasks import TASKS as _T\nfrom suite.study.recipes import RECIPES as _R\n"
        'TASKS = (_r(_T["sr-x4"], name="mine-sr-x4", test_sets=("Set5",)),)\n'
        'RECIPES = (_r(_R["sr-x2/released"], name="mine-sr-x4/released", patch=128), _r(_R["sr-x2/released"], name="sr-x4/ladder"))\n'
    )
    path = outside.write(tmp_path, ('task="real-sr-x4"', 'task="mine-sr-x4"'), ("LADDER =", f"{more}LADDER ="))
    before = state()
    with plugins.loaded([str(path)], installed=False):
        assert recipe_of("ladder-x4", "mine-sr-x4").name == "mine-sr-x4/released"
        assert recipe_of("ladder-x4", "sr-x4").name == "sr-x4/ladder"
        assert recipe_of("mambair-sr-x4", "sr-x4").name == "sr-x4/released"
    assert state() == before


def printed(folder, *changes):
    """Write the example with what its author prints of it."""
    text = outside.PRINTED
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new)
    return str(outside.write(folder, ("DESIGN =", f"{text}DESIGN =")))


def list_printed():
    """All papers, claims and tables by name."""
    return [paper.key for paper in published.load_all()], [one.paper for one in claims.load_claims()], list(claims.tables_by_id())


def test_a_plug_in_brings_its_paper_and_its_claims_and_takes_them_along(tmp_path):
    before = list_printed()
    with plugins.loaded([printed(tmp_path)], installed=False):
        assert published.load_all()[-1].name == "Ladder (plug-in mine.py)"
        (claim,) = claims.load_claims()[-1].claims
        assert (claim.id, claim.where, claims.is_added("ladder")) == ("ladder-params", "table 1, plug-in mine.py", True)
        assert claims.find_row(claim.row, claims.tables_by_id())[1].cells == {"params": 48.24}
        assert plugins.list_loaded()[0].printed == ("1 table", "1 claim")
    assert not claims.is_added("ladder")
    assert before == list_printed()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("printed = 48.24", "printed = 48.25"), "claim 'ladder-params' says 48.25 of params, and its table prints 48.24"),
        (('row = "ladder-1.ladder"', 'row = "ladder-1.lader"'), "has no row 'lader'. Did you mean 'ladder'"),
        (('"model": "ladder-x4"', '"model": "ladder-x5"'), "names the model 'ladder-x5', which is not known. Did you mean 'ladder-x4'"),
        (('"grid": "ladder"', '"grid": "leader"'), "names the grid 'leader', which is not known"),
        (('"task": "real-sr-x4"', '"task": "real-sr"'), "names the task 'real-sr', which is not known"),
        (('"id": "ladder-1"', '"id": "mambair-2"'), "a table is called 'mambair-2' already"),
        (('"key": "ladder",\n    "name"', '"key": "mambair",\n    "name"'), "a paper is called 'mambair' already"),
        (('paper = "ladder"', 'paper = "mambair"'), "the claims of a paper 'mambair' are there already"),
        (('"digits": 2', '"decimals": 2'), "PAPER does not describe a paper's tables:\n  tables.0.columns.0.decimals: unknown key"),
        (("schema = 1", "schema ="), "CLAIMS is not TOML"),
        (("PAPER = {", "PAPER = 3\nOTHER = {"), "PAPER is a int, and must be a dictionary, or the text of a TOML file"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_wrong_in_what_an_author_prints_is_told_and_nothing_stays(change, said, tmp_path):
    before = state(), len(published.load_all()), len(claims.load_claims())
    with pytest.raises(SuiteError) as caught, plugins.loaded([printed(tmp_path, change)], installed=False):
        pass
    assert said in str(caught.value)
    assert "--plugin mine.py" in str(caught.value)
    assert before == (state(), len(published.load_all()), len(claims.load_claims()))


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package whose design is made of two modules, found by Python."""
    first, second = outside.SOURCE.split("class Ladder(RestorationNet)")
    folder = tmp_path / "lib" / "ladder_package"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("")
    (folder / "config.py").write_text(first)
    names = "from ladder_package.config import *\nfrom .config import LadderConfig\n"
    (folder / "design.py").write_text(f"{names}class Ladder(RestorationNet){second}")
    monkeypatch.syspath_prepend(str(tmp_path / "lib"))
    yield folder
    for name in [name for name in sys.modules if name.startswith("ladder_package")]:
        del sys.modules[name]


def test_a_module_brings_all_of_its_package(package):
    code, file = read_code("ladder_package.design")
    assert file == package / "design.py"
    assert [path for path, _ in code.files] == [f"ladder_package/{name}.py" for name in ("__init__", "config", "design")]
    before = code.sha256
    (package / "config.py").write_text((package / "config.py").read_text() + "\n")
    assert read_code("ladder_package.design")[0].sha256 != before


@pytest.mark.usefixtures("package")
def test_an_entry_point_is_loaded_and_a_broken_one_left_out(monkeypatch, capsys):
    points = [metadata.EntryPoint("ladder", "ladder_package.design", plugins.GROUP), metadata.EntryPoint("bad", "nowhere", plugins.GROUP)]
    monkeypatch.setattr(plugins.metadata, "entry_points", lambda group: points if group == plugins.GROUP else [])
    with plugins.loaded([]):
        assert "ladder-x4" in models.MODELS
    assert "left out: the design 'bad'" in capsys.readouterr().err
    with plugins.loaded([], installed=False):
        assert "ladder-x4" not in models.MODELS


ELSEWHERE = """
import pickle, sys
import models
from suite.study.outside import plugins
plugins.install(pickle.load(sys.stdin.buffer))
print(type(models.create("ladder-x4-tiny")).__name__, plugins.digest_of("ladder-x4"))
"""


@pytest.mark.parametrize("kind", ["file", "module"])
def test_code_travels_by_content_to_a_process_that_lacks_the_file(kind, tmp_path, package):
    code, _ = read_code("ladder_package.design" if kind == "module" else str(outside.write(tmp_path)))
    for path in (package / "design.py", package / "config.py", tmp_path / "mine.py"):
        path.unlink(missing_ok=True)
    environment = os.environ | {"PYTHONPATH": str(ROOT), "SUITE_CACHE": str(tmp_path / "cache")}
    said = subprocess.run(
        [sys.executable, "-c", ELSEWHERE], input=pickle.dumps([code]), env=environment, cwd=tmp_path, capture_output=True, check=True
    )
    assert said.stdout.decode().split() == ["Ladder", code.sha256]


def test_what_lies_in_the_cache_is_held_to_its_content(tmp_path, monkeypatch):
    monkeypatch.setenv("SUITE_CACHE", str(tmp_path))
    code = PluginCode("mine.py", "", (("mine.py", b"x = 1\n"),))
    (code.unpack() / "mine.py").write_text("x = 2\n")
    assert (code.unpack() / "mine.py").read_bytes() == b"x = 1\n"
