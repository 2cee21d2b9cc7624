"""Where the suite's folders are found: in a checkout, in an installed wheel, and whose code it is."""

import os
import subprocess
import sys

import pytest
from places import ROOT

import suite.__main__ as entry
from suite.core import paths
from suite.core.errors import SuiteError


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """As a wheel lies beside another project's `datasets`; the user stands in a folder of their own."""
    packages = tmp_path / "site-packages"
    (packages / "datasets").mkdir(parents=True)
    (packages / "suite" / "shipped" / "datasets").mkdir(parents=True)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setattr(paths, "ROOT", packages)
    monkeypatch.setattr(paths, "SHIPPED", packages / "suite" / "shipped")
    return packages


def test_a_checkout_reads_and_writes_its_own_folders():
    assert not paths.is_installed()
    assert paths.shipped_folder("results/published") == ROOT / "results" / "published"
    assert paths.own_folder("results") == ROOT / "results"
    assert paths.python_path().split(os.pathsep)[0] == str(ROOT)


def test_what_is_installed_reads_its_package_and_writes_below_the_working_folder(installed, tmp_path, monkeypatch):
    assert paths.is_installed()
    assert paths.shipped_folder("datasets") == installed / "suite" / "shipped" / "datasets"  # and not the other project's
    assert paths.own_folder("results") == tmp_path / "here" / "results"
    monkeypatch.delenv("PYTHONPATH", raising=False)
    assert paths.python_path() == ""  # packages would come before Python's own modules
    with pytest.raises(SuiteError, match="the suite's folder reports/ is not with its code"):
        paths.shipped_folder("reports")


def test_a_process_that_began_elsewhere_goes_to_where_the_user_stands(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here").mkdir()
    monkeypatch.setenv(paths.WORKING_FOLDER, str(tmp_path / "here"))
    paths.go_to_working_folder()
    assert os.getcwd() == str(tmp_path / "here")  # noqa: PTH109
    monkeypatch.setenv(paths.WORKING_FOLDER, str(tmp_path / "gone"))
    paths.go_to_working_folder()


# Whose `models` Python finds


def start(folder, *words, code="pass", **environment):
    """The command line in `folder`, where the suite is installed elsewhere: what it says, and its exit code."""
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONSAFEPATH")}
    program = f"import sys; sys.path.append({str(ROOT)!r}); sys.argv[1:] = {list(words)!r}; {code}"
    program += "; import runpy; runpy.run_module('suite', run_name='__main__')"
    done = subprocess.run([sys.executable, "-c", program], cwd=folder, env=kept | environment, capture_output=True, text=True, check=False)
    return done.returncode, done.stderr, done.stdout


@pytest.fixture
def stranger(tmp_path):
    """A folder with a package `models` of another project."""
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "__init__.py").touch()
    return tmp_path


def test_a_stranger_s_models_where_one_stands_is_named_with_what_to_type(stranger):
    code, said, _ = start(stranger, "list", "models")
    assert code == 6
    assert f"Python finds the package `models` in {stranger / 'models'}, which is another project's; the suite's is {ROOT}/models" in said
    assert "Type `ssm-suite list models`" in said
    assert "Traceback" not in said


def test_ssm_suite_works_there(stranger):
    without_here = "sys.path = [one for one in sys.path if one not in ('', '.')]"  # as a script in an environment's bin/ begins
    code, said, out = start(stranger, "list", "tasks", code=without_here)
    assert (code, said) == (0, "")
    assert "sr-x2" in out


def test_a_stranger_s_models_on_the_path_of_the_environment_is_named_too(stranger, tmp_path_factory):
    code, said, _ = start(tmp_path_factory.mktemp("elsewhere"), "doctor", PYTHONPATH=str(stranger))
    assert code == 6
    assert "PYTHONPATH names that folder. Type `env -u PYTHONPATH ssm-suite doctor`" in said


def test_a_package_installed_over_ours_is_told(stranger, monkeypatch):
    monkeypatch.setattr(entry, "OURS", stranger)
    monkeypatch.setattr(entry, "_find", lambda _: stranger / "models")
    assert "installed over the suite's" in entry.find_stranger()
    monkeypatch.setattr(entry, "_find", lambda _: None)
    assert "is not beside it" in entry.find_stranger()


def test_a_folder_of_that_name_without_code_does_not_matter(tmp_path):
    (tmp_path / "models").mkdir()  # a folder of weights, say
    (tmp_path / "suite").mkdir()
    assert start(tmp_path, "list", "tasks")[0] == 0


def test_the_suite_s_own_processes_take_no_code_from_the_working_folder(stranger, monkeypatch):
    from suite.core.process import Child, environment_for

    monkeypatch.chdir(stranger)
    with Child("-c", "import models; print(len(models.names()))", environment=environment_for(1)) as child:
        assert child.hear() > 0
