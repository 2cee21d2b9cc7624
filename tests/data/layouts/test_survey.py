"""What lies in folders beside the images: named, with the reason; and what is a fault."""

import os

import pytest
from PIL import Image

from suite.core.errors import Exit, SuiteError
from suite.data.images import check_readable, list_images
from suite.data.layouts.survey import check_images, find_below, survey


def tree(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        if name.endswith(".png"):
            Image.new("RGB", (4, 4)).save(folder / name)
        else:
            (folder / name).write_bytes(b"x")
    return folder


@pytest.fixture
def forbidden(monkeypatch):
    """Gives a function after which a folder cannot be listed, as another user's."""
    real, closed = os.scandir, set()

    def scandir(path):
        if str(path) in closed:
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    return lambda path: closed.add(str(path))


def test_all_that_is_left_out_is_counted_and_named_with_the_reason(tmp_path):
    tree(tmp_path, "a.png", "b.heic", "c.PSD", "notes.txt", "._a.png", ".DS_Store", "more/z.png", "README")
    os.mkfifo(tmp_path / "pipe.png")
    (sentence,) = survey(list_images(tmp_path)).left_out
    assert sentence == (
        f"7 left out in {tmp_path}: 1 hidden (._a.png); 2 without an image's ending (README, notes.txt); "
        "2 of a format that is not read here (b.heic, c.PSD); 1 as a folder, not looked into (more); 1 no regular file (pipe.png)"
    )
    assert list_images(tmp_path) == [tmp_path / "a.png"]


def test_nothing_is_said_where_nothing_is_left_out(tmp_path):
    tree(tmp_path, "HR/a.png", "LR/a.png")
    assert check_images([tmp_path / "HR/a.png", tmp_path / "LR/a.png"]) == survey([])


def test_folders_of_what_is_taken_are_not_left_out(tmp_path):
    tree(tmp_path, "a.png", "X2/a.png", "X3/a.png")
    (sentence,) = survey([tmp_path / "a.png", tmp_path / "X2/a.png"]).left_out
    assert sentence.endswith("1 left out in " + str(tmp_path) + ": 1 as a folder, not looked into (X3)")


def test_a_link_that_leads_nowhere_is_an_image_that_cannot_be_read(tmp_path):
    tree(tmp_path, "a.png")
    (tmp_path / "b.png").symlink_to(tmp_path / "gone.png")
    (tmp_path / "c.png").symlink_to("c.png")
    (tmp_path / "d.png").symlink_to(tmp_path / "a.png")
    paths = list_images(tmp_path)
    assert [path.name for path in paths] == ["a.png", "b.png", "c.png", "d.png"]
    with pytest.raises(
        SuiteError, match=r"2 of the files cannot be read: .*b\.png \(a link to .*gone\.png, which is not there\)"
    ) as caught:
        check_images(paths)
    assert caught.value.exit is Exit.NOT_READY
    check_readable([tmp_path / "a.png", tmp_path / "d.png"])


def test_a_link_of_which_nobody_knows_what_it_was_is_a_fault(tmp_path):
    tree(tmp_path, "a.png")
    (tmp_path / "part2").symlink_to("/nowhere/part2")
    (tmp_path / "notes.txt").symlink_to("/nowhere/notes.txt")
    found = survey([tmp_path / "a.png"])
    assert found.faults == (f"{tmp_path} holds 1 link to what is not there (part2)",)
    assert "notes.txt" in found.left_out[0]
    with pytest.raises(SuiteError, match="part2"):
        check_images([tmp_path / "a.png"])


def test_a_folder_that_must_not_be_read_is_a_fault(tmp_path, forbidden):
    tree(tmp_path, "a.png", "other/b.png")
    forbidden(tmp_path / "other")
    found = find_below(tmp_path)
    assert found.images == (tmp_path / "a.png",)
    assert {path: str(error) for path, error in found.faults.items()} == {
        tmp_path / "other": f"the folder {tmp_path / 'other'} cannot be read: Permission denied. Make it readable, or take it out."
    }
    assert found.left_out == ()
    for look in (list_images, find_below):
        with pytest.raises(SuiteError, match="cannot be read: Permission denied") as caught:
            look(tmp_path / "other")
        assert caught.value.exit is Exit.NOT_READY


def test_linked_folders_are_followed_once_and_circles_end(tmp_path, capsys):
    tree(tmp_path, "data/x.png", "in/a.png", "in/deep/b.png", "in/.hidden/c.png")
    (tmp_path / "in/linked").symlink_to(tmp_path / "data")
    (tmp_path / "in/again").symlink_to(tmp_path / "in/deep")
    (tmp_path / "in/deep/up").symlink_to(tmp_path / "in")
    (tmp_path / "in/lost").symlink_to(tmp_path / "gone")
    found = find_below(tmp_path / "in")
    assert [path.relative_to(tmp_path / "in").as_posix() for path in found.images] == ["a.png", "deep/b.png", "linked/x.png"]
    assert found.left_out == ()
    assert "left out (again, deep/up)" in capsys.readouterr().err
    assert list(found.faults) == [tmp_path / "in/lost"]


def test_a_folder_without_images_says_what_it_holds(tmp_path):
    tree(tmp_path, "a.heic", "b.txt")
    with pytest.raises(SuiteError, match=r"no images directly in .*; it holds a\.heic, b\.txt"):
        list_images(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(SuiteError, match="it is empty"):
        list_images(tmp_path / "empty")
