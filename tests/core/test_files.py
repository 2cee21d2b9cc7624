"""Files that appear whole or not at all, and what killed writers leave."""

import os
import stat

import pytest

from suite.core import files


def write(path, data, **how):
    with files.replacing(path, **how) as file:
        file.write(data)


def test_a_file_is_replaced_whole_with_the_user_s_mask(tmp_path):
    path = tmp_path / "new" / "file.txt"
    write(path, b"one")
    write(path, b"two")
    assert path.read_bytes() == b"two"
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~files._mask()
    assert list(path.parent.iterdir()) == [path]


def test_what_fails_leaves_the_file_before_it_and_nothing_else(tmp_path):
    path = tmp_path / "file.txt"
    write(path, b"one")
    with pytest.raises(TypeError), files.replacing(path) as file:
        file.writelines([b"tw", "o"])  # the second is no bytes
    assert path.read_bytes() == b"one"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("links", [True, False])
def test_a_file_is_not_overwritten_where_that_is_asked(tmp_path, monkeypatch, links):
    def refuse(*_):
        raise OSError(files.NO_HARD_LINKS[0], "no hard links here")

    if not links:
        monkeypatch.setattr(os, "link", refuse)
    path = tmp_path / "file.txt"
    write(path, b"one", overwrite=False)
    with pytest.raises(OSError, match="exists" if links else "no hard links"):
        write(path, b"two", overwrite=False)
    assert path.read_bytes() == b"one"
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_is_replaced_and_not_followed(tmp_path):
    outside = tmp_path / "outside.txt"
    outside.write_bytes(b"theirs")
    (tmp_path / "file.txt").symlink_to(outside)
    write(tmp_path / "file.txt", b"ours")
    assert outside.read_bytes() == b"theirs"
    assert not (tmp_path / "file.txt").is_symlink()


def test_only_what_ended_processes_left_is_removed(tmp_path):
    ours, ended, older, others = (tmp_path / name for name in (f".new-{os.getpid()}-x", f".new-{2**22 + 1}-x", ".new-abc_12", "notes"))
    for path in (ours, ended, older, others):
        path.touch()
    files.remove_left(tmp_path)
    assert set(tmp_path.iterdir()) == {ours, others}
