"""Files below a folder: linked folders are followed once, and no loop is."""

import pytest

from suite.core.errors import SuiteError
from suite.data.layouts import walk
from suite.data.layouts.walk import Folders, folders_in, walk_files


@pytest.fixture(autouse=True)
def _nothing_said(monkeypatch):
    monkeypatch.setattr(walk, "_said", set())


def touch(*paths):
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def found(base):
    return sorted(path.relative_to(base).as_posix() for path in walk_files(base))


def test_linked_folders_are_followed_by_the_place_of_the_link(tmp_path):
    touch(tmp_path / "data/A/x.png", tmp_path / "data/A/deep/y.png", tmp_path / "in/own.png", tmp_path / "in/.hidden/z.png")
    (tmp_path / "in/B").symlink_to(tmp_path / "data/A")
    assert found(tmp_path / "in") == ["B/deep/y.png", "B/x.png", "own.png"]
    (tmp_path / "other").symlink_to(tmp_path / "in")
    assert found(tmp_path / "other") == ["B/deep/y.png", "B/x.png", "own.png"]


LOOPS = {"itself": ".", "the folder above": "..", "the root": "/", "a folder in it": "sub", "a folder in a linked one": "../data"}


@pytest.mark.parametrize("loop", LOOPS)
def test_a_loop_ends_and_is_named_once(tmp_path, capsys, loop):
    touch(tmp_path / "in/sub/a.png", tmp_path / "beside.png", tmp_path / "data/b.png")
    (tmp_path / "in/data").symlink_to(tmp_path / "data")
    (tmp_path / "data/back").symlink_to(tmp_path / "in")
    (tmp_path / "in/link").symlink_to(LOOPS[loop])
    for _ in range(2):
        assert found(tmp_path / "in") == ["data/b.png", "sub/a.png"]
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert f"2 linked folders in {tmp_path / 'in'} lead to folders that are read already, or above: left out (link, data/back)." in said


def test_links_that_lead_nowhere_are_files_for_whoever_reads_them(tmp_path):
    (tmp_path / "gone.png").symlink_to(tmp_path / "nowhere")
    (tmp_path / "self.png").symlink_to("self.png")
    assert found(tmp_path) == ["gone.png", "self.png"]
    assert folders_in(tmp_path) == []


def test_a_folder_that_cannot_be_read_is_named(tmp_path, monkeypatch):
    (tmp_path / "closed").mkdir()
    genuine = walk.os.scandir
    monkeypatch.setattr(walk.os, "scandir", lambda folder: genuine(folder if folder.name != "closed" else tmp_path / "none"))
    with pytest.raises(SuiteError, match=r"the folder .*closed cannot be read"):
        list(walk_files(tmp_path))


def test_folders_are_found_whatever_the_form_of_their_accents(tmp_path):
    (tmp_path / "Cafe\u0301/HR").mkdir(parents=True)
    assert Folders().below(tmp_path, "caf\u00e9/hr") == tmp_path / "Cafe\u0301/HR"
    assert Folders().below(tmp_path, "caf\u00e9/lr") is None
