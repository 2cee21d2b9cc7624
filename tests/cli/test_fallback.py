"""A slower scan backend than the first choice is said by every verb that takes one; folders that are not to be had are no tracebacks."""

import argparse

import pytest

from models.scan import backends
from models.scan.backends import BackendUnavailable
from suite.cli import common, main
from suite.cli.measure import inference, profile, restore
from suite.core.errors import Exit


@pytest.fixture
def without(monkeypatch):
    """Makes backends unavailable."""

    def lacking(*names):
        def module_of(name):
            if name in names:
                raise BackendUnavailable(name, "it is not here.", "get it.")

        monkeypatch.setattr(backends, "module_of", module_of)

    backends.resolve_backend.cache_clear()
    yield lacking
    backends.resolve_backend.cache_clear()


def options(verb, *words):
    parser = argparse.ArgumentParser()
    verb.add_arguments(parser)
    return parser.parse_args(words)


@pytest.mark.parametrize(
    ("lacking", "name", "said"),
    [
        (["cpp"], "numba", "scan backend numba (auto: the fastest that runs on this machine's cpu; it scans copies of an image"),
        (["cpp", "numba"], "reference", "scan backend reference (auto: no compiled backend runs on this machine's cpu, and the plain"),
    ],
)
def test_restore_evaluate_and_profile_say_the_fall_back_and_why(lacking, name, said, without, capsys):
    without(*lacking)
    found, _ = inference.choose_inference(options(restore, "a.png", "b.png", "--model", "mambair-sr-x2-tiny", "--device", "cpu"))
    timing, _ = profile.choose_timing(options(profile, "mambair-sr-x2-tiny", "--device", "cpu"))
    assert found.backend == timing.backend == name
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    for line in lines:
        assert line.startswith(said)
        assert "cpp is not available (it is not here.)" in line
        assert "`python -m suite doctor` says how" in line


def test_the_first_choice_and_one_that_is_asked_for_are_not_remarked_on(without, capsys):
    without()
    assert common.choose_backend("auto", "cpu")[0] == "cpp"
    assert common.choose_backend("reference", "cpu")[0] == "reference"
    assert capsys.readouterr().err == ""


def test_run_says_it_where_nothing_is_run(without, capsys):
    without("cpp")
    assert main.main(["run", "--grid", "ablations", "--only", "mambair-sr-x2.one-direction", "--device", "cpu", "--dry-run"]) == Exit.DONE
    assert "scan backend numba (auto" in capsys.readouterr().err


def test_folders_that_are_not_to_be_had_are_said_without_a_traceback(homeless, monkeypatch, capsys):
    monkeypatch.setenv("SUITE_DATA", "~/sets")
    assert main.main(["data", "list"]) == Exit.NOT_READY
    assert "$SUITE_DATA is ~/sets, and there is no home folder" in capsys.readouterr().err
    monkeypatch.delenv("SUITE_DATA")
    assert main.main(["weights", "list", "--json"]) == Exit.DONE
    assert '"folder": null' in capsys.readouterr().out
    assert list(homeless.iterdir()) == []


def test_a_commit_that_is_lost_is_said(monkeypatch, capsys):
    from suite.core import machine

    monkeypatch.setattr(machine, "find_commit", lambda: machine.Commit("unknown", None, "git is not installed, or not on PATH"))
    common.note_lost_commit()
    assert capsys.readouterr().err == "the records will not name the suite's commit: git is not installed, or not on PATH.\n"
    monkeypatch.setattr(machine, "find_commit", lambda: machine.Commit("0" * 40, False))
    common.note_lost_commit()
    assert capsys.readouterr().err == ""


def test_a_file_that_may_not_be_read_is_no_traceback(monkeypatch, capsys):
    from suite.cli import data

    def refuse(*_):
        raise PermissionError(13, "Permission denied", "/srv/sets/a.png")

    monkeypatch.setattr(data, "run", refuse)
    assert main.main(["data", "list"]) == Exit.NOT_READY
    assert "/srv/sets/a.png cannot be read or written: Permission denied" in capsys.readouterr().err


def test_a_folder_of_a_user_whom_nobody_knows_is_not_found(homeless, capsys):
    assert main.main(["evaluate", "bicubic", "--task", "sr-x2", "--no-record", "--data", "~/sets"]) == Exit.NOT_READY
    assert f"no data set and no folder is called '~/sets'; looked for a folder at {homeless}/~/sets" in capsys.readouterr().err
