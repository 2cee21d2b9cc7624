"""The author's ten minutes: the example of docs/outside.md, from an empty folder to the page, and what is left where it is not given."""

import json
import re

import outside
import pytest

import models
from suite.cli import main
from suite.core.errors import Exit
from suite.study.outside import plugins

pytestmark = pytest.mark.usefixtures("one_thread")
THREE = ["ladder-x4", "mambair-sr-x4", "vmambair-realsr-x4"]
SMALL = [word for split in ("train", "validation", "test") for word in ("--set", f"{split}_set=photo-crops")]
HOW = ["--task", "real-sr-x4", "--budget", "smoke", "--device", "cpu", "--launcher", "inline", *SMALL]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """An empty folder in which the example was trained beside two of the suite's own networks."""
    found = tmp_path_factory.mktemp("author")
    outside.write(found)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(found)
        patch.delenv(plugins.VARIABLE, raising=False)
        assert main.main(["run", "--plugin", "mine.py", "--model", *THREE, *HOW, "--ledger", "runs", "--report", "page"]) == Exit.DONE
    return found


@pytest.fixture
def here(folder, monkeypatch):
    monkeypatch.chdir(folder)
    return folder


def run(*words):
    return main.main([*words, "--ledger", "runs"])


def records(folder):
    return [json.loads(path.read_text()) for path in (folder / "runs").glob("*.done.json")]


def test_the_example_is_short():
    assert outside.SOURCE.count("\n") <= 60


def test_the_page_has_the_three_in_one_table(here):
    page = re.sub(r"<[^>]+>", " ", (here / "page" / "index.html").read_text())
    table = page[page.index("Designs from outside on real-sr-x4") :]
    places = {name: table.index(f" {name} ") for name in THREE}
    assert min(places, key=places.get) == "ladder-x4"
    assert "of a plug-in" in table


def test_a_record_names_the_code_and_those_of_the_suite_s_own_networks_do_not(here):
    by_model = {one["spec"]["model"]: one for one in records(here)}
    sha256 = by_model["ladder-x4"]["spec"]["plugin"]
    assert by_model["ladder-x4"]["provenance"]["plugins"] == {"mine.py": sha256}
    assert [by_model[name]["spec"]["plugin"] for name in THREE[1:]] == ["", ""]


WITHOUT = (
    ["list", "records"],
    ["list", "records", "--csv", "-"],
    ["report", "--out", "other", "--format", "all"],
    ["compare", "ladder-x4", "vmambair-realsr-x4"],
    ["claims"],
    ["claims", "--plan"],
    ["run", "--grid", "ablations", "--dry-run", "--device", "cpu"],
    ["run", "--model", "mambair-sr-x4", *HOW, "--dry-run"],
)


@pytest.mark.parametrize("words", WITHOUT, ids=" ".join)
def test_without_the_plug_in_its_records_are_there_and_nothing_fails(words, here, capsys):
    assert run(*words) == Exit.DONE
    said = capsys.readouterr()
    assert "Traceback" not in said.out + said.err
    if words[:2] == ["list", "records"] or words[0] == "compare":
        assert "ladder-x4" in said.out
    if words[0] == "report":
        assert "Designs from outside on real-sr-x4" in (here / "other" / "index.html").read_text()


@pytest.mark.usefixtures("here")
def test_without_the_plug_in_its_network_is_not_known(capsys):
    assert run("run", "--model", "ladder-x4", *HOW) == Exit.USAGE
    said = capsys.readouterr().err
    assert "no model is called 'ladder-x4'" in said
    assert "--plugin FILE" in said
    assert len(said) < 400  # it is read, and no list of two hundred names
    assert "ladder-x4" not in models.MODELS


def dry_states(capsys, *words):
    assert run("run", *words, *HOW, "--dry-run", "--json") == Exit.DONE
    return {cell["model"]: cell["state"] for cell in json.loads(capsys.readouterr().out)["cells"]}


def test_a_changed_file_is_another_design_and_the_others_stay_done(here, tmp_path, capsys):
    same = outside.write(tmp_path / "moved")
    other = outside.write(tmp_path / "changed", ("d_state=8", "d_state=4"))
    assert dry_states(capsys, "--plugin", str(same), "--model", *THREE) == dict.fromkeys(THREE, "done")
    assert dry_states(capsys, "--plugin", str(other), "--model", *THREE) == dict.fromkeys(THREE, "done") | {"ladder-x4": "new"}
    assert here.is_dir()


def test_a_grid_of_a_file_names_the_same_cells(here, tmp_path, capsys):
    text = re.search(r"```toml\n(summary.*?)```", outside.PAGE, re.DOTALL)[1]
    (tmp_path / "mine.toml").write_text(text)
    words = ["--plugin", "mine.py", "--grid", str(tmp_path / "mine.toml"), *HOW[2:], "--dry-run", "--json"]
    assert run("run", *words) == Exit.DONE
    assert {cell["model"]: cell["state"] for cell in json.loads(capsys.readouterr().out)["cells"]} == dict.fromkeys(THREE, "done")
    assert here.is_dir()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "does not describe a grid"),
        ("[[cells]]\nmodels = []", "does not describe a grid"),
        ("[[cells]]\nmodels = ['mambair-sr-x2']\ntask = ['sr-x2']", "unknown key"),
        ("[[cells]]\nmodels = ['mambair-sr-x22']", "no model is called 'mambair-sr-x22'. Did you mean"),
        ("[[cells]]\nmodels = ['mambair-sr-x2']\ntasks = ['sr-x4']", "enlarges 2 times, the task 4 times"),
        ("cells =", "is not TOML"),
    ],
)
def test_a_wrong_grid_file_is_told(text, said, tmp_path, capsys):
    (tmp_path / "mine.toml").write_text(text)
    assert main.main(["run", "--grid", str(tmp_path / "mine.toml"), "--dry-run"]) == Exit.USAGE
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "no --grid is given"),
        (["--task", "sr-x2"], "no --model is given"),
        (["--grid", "ablations", "--model", "mambair-sr-x2"], "give it, or --model and --task"),
        (["--model", "mambair-sr-x2", "--task", "sr-x4"], "enlarges 2 times, the task 4 times"),
        (["--model", "mambair-sr-x2", "--task", "sr-x22"], "no task is called 'sr-x22'"),
        (["--grid", "nowhere.toml"], "there is no such file"),
        (["--model", "mambair-sr-x2", "--set", "plugin=x"], "choose it with --plugin"),
        (["--model", "mambair-sr-x2", "--plugin", "nowhere.py"], "there is no such file"),
    ],
)
def test_what_cannot_be_run_is_told(words, said, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main.main(["run", *words, "--dry-run"]) in (Exit.USAGE, Exit.NOT_READY)
    assert said in capsys.readouterr().err


def test_models_run_without_a_grid_on_their_own_tasks(tmp_path, capsys):
    words = ["run", "--model", "mambair-sr-x2", "vmambair-derain", "--dry-run", "--json", "--device", "cpu", "--ledger", str(tmp_path)]
    assert main.main(words) == Exit.DONE
    assert [(one["model"], one["task"]) for one in json.loads(capsys.readouterr().out)["cells"]] == [
        ("mambair-sr-x2", "sr-x2"),
        ("vmambair-derain", "derain"),
    ]


def test_an_error_of_the_plug_in_s_code_is_told_with_its_line(here, tmp_path, capsys):
    weights = next((here / "runs" / "weights").glob("ladder*.pt"))
    path = outside.write(tmp_path, ("return F.interpolate", "return nowhere + F.interpolate"))
    assert run("evaluate", "ladder-x4", "--weights", str(weights), "--plugin", str(path), "--data", "photo-crops") == Exit.NOT_READY
    said = capsys.readouterr().err
    assert re.search(r"mine\.py, line \d+: NameError: name 'nowhere' is not defined", said)
    assert "Traceback" not in said


def test_what_its_author_says_of_it_is_judged_and_called_the_plug_in_s(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    outside.write(tmp_path, ("DESIGN =", f"{outside.PRINTED}DESIGN ="))
    assert main.main(["profile", "--plugin", "mine.py", "ladder-x4", "--size", "64x64", "--ledger", "runs"]) == Exit.DONE
    assert re.search(r"ladder-1, ladder +params +48.24 K +48.24 K", capsys.readouterr().out)
    about = ["--plugin", "mine.py", "--ledger", "runs"]
    assert main.main(["claims", *about]) == Exit.DONE
    said = capsys.readouterr().out
    assert "[holds] ladder-params\n  Ladder has 48.24 K parameters. (table 1, plug-in mine.py)" in said
    assert "claims (1 of them of plug-ins)" in " ".join(said.split())
    assert main.main(["report", *about, "--out", "page"]) == Exit.DONE
    page = (tmp_path / "page" / "index.html").read_text()
    assert "Ladder (plug-in mine.py), Table 1" in page
    assert main.main(["check-design", "mine.py", "--only", "shapes"]) == Exit.DONE
    assert "held to its own tables: 1 table, 1 claim." in capsys.readouterr().out
    assert main.main(["bundle", "held.zip", *about]) == Exit.DONE
    assert main.main(["verify", "held.zip", "--plugin", "mine.py"]) == Exit.DONE
    assert main.main(["verify", "held.zip"]) == Exit.INCOMPLETE
    assert "where the plug-in is given with --plugin" in capsys.readouterr().out


def test_its_claims_name_commands_that_load_it(tmp_path, capsys):
    path = outside.write(tmp_path, ("DESIGN =", f"{outside.PRINTED}DESIGN ="))
    assert main.main(["claims", "ladder-params", "--plugin", str(path), "--ledger", str(tmp_path / "runs")]) == Exit.DONE
    assert "$ python -m suite profile ladder-x4 --plugin mine.py" in capsys.readouterr().out


@pytest.mark.slow
def test_ray_s_workers_have_the_plug_in(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    outside.write(tmp_path)
    words = ["run", "--plugin", "mine.py", "--model", "ladder-x4", *HOW, "--launcher", "ray", "--workers-per-trial", "2"]
    assert main.main([*words, "--cpus-per-cell", "1", "--ledger", "runs", "--report", "page"]) == Exit.DONE
