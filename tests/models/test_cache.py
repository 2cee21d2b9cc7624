"""Folders that the environment names, the cache, and users who have neither a home nor a folder that they may write to."""

import logging
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models import cache
from models.scan.backends import cpp_build, numba_cache, numba_kernels, triton


@pytest.fixture(autouse=True)
def _said_anew():
    cache.say_temporary.cache_clear()
    yield
    cache.say_temporary.cache_clear()


@pytest.mark.parametrize("name", ["SUITE_CACHE", "SUITE_DATA", "SUITE_WEIGHTS", "XDG_CACHE_HOME"])
def test_a_folder_of_the_environment_is_absolute_and_its_tilde_is_the_home(name, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    for text, folder in {"~/d": tmp_path / "home/d", "~": tmp_path / "home", "d": tmp_path / "d", "/d": Path("/d")}.items():
        monkeypatch.setenv(name, text)
        assert cache.folder_named_by(name) == folder
    for nothing in ("", None):
        monkeypatch.setenv(name, "") if nothing == "" else monkeypatch.delenv(name)
        assert cache.folder_named_by(name) is None
    assert list(tmp_path.iterdir()) == []  # looking makes nothing


@given(st.text(st.characters(blacklist_characters="\0", blacklist_categories=["Cs"]), min_size=1))
def test_whatever_is_named_is_absolute_or_refused_by_the_variable_s_name(text):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SUITE_CACHE", text)
        known = not text.startswith("~") or text == "~" or text.startswith("~/")
        if known:
            assert cache.find_cache().is_absolute()
        else:  # of a user whom nobody knows
            with pytest.raises(cache.FolderUnavailable, match=r"\$SUITE_CACHE"):
                cache.find_cache()


def test_an_empty_xdg_cache_home_counts_as_none(tmp_path, monkeypatch):
    monkeypatch.delenv("SUITE_CACHE", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    assert cache.find_cache() == tmp_path / ".cache" / cache.NAME


def test_a_user_without_a_home_has_no_cache_until_one_is_named(homeless, monkeypatch):
    assert cache.find_in_cache("data") is None
    with pytest.raises(cache.FolderUnavailable, match=r"no home folder.*export SUITE_CACHE="):
        cache.cache_folder()
    monkeypatch.setenv("SUITE_CACHE", "~/c")
    with pytest.raises(cache.FolderUnavailable, match=r"\$SUITE_CACHE is ~/c, and there is no home folder.*in full"):
        cache.find_cache()
    monkeypatch.delenv("SUITE_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(homeless / "x"))
    assert cache.cache_folder() == homeless / "x" / cache.NAME


def test_a_cache_that_cannot_be_made_is_named_with_the_way_out(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("SUITE_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(cache.FolderUnavailable, match=r"the cache folder .*file/cache cannot be made \(Not a directory\). Name another"):
        cache.cache_folder()
    assert not cache.can_write(tmp_path / "file" / "cache")
    assert cache.can_write(tmp_path / "new")


def test_the_private_folder_is_nobody_else_s(homeless):
    folder = cache.private_folder()
    assert folder == homeless / f"{cache.NAME}-{os.getuid()}" == cache.private_folder()
    assert folder.stat().st_mode & 0o777 == 0o700
    folder.chmod(0o777)
    with pytest.raises(cache.FolderUnavailable, match="no folder of this user's alone"):
        cache.private_folder()
    folder.rmdir()
    (homeless / "elsewhere").mkdir()
    folder.symlink_to(homeless / "elsewhere")
    with pytest.raises(cache.FolderUnavailable):
        cache.private_folder()
    assert list(cache.folders_for_kernels("scan")) == []


def test_without_a_cache_the_library_is_compiled_among_temporary_files_and_that_is_said_once(homeless, monkeypatch, caplog):
    monkeypatch.setattr(cpp_build, "_compile", lambda *words: words[-1].touch())
    with caplog.at_level(logging.WARNING):
        found = cpp_build.library()
        assert cpp_build.library() == found
    assert found.parent == cache.private_folder() / "scan"
    assert [record.getMessage().partition(",")[0] for record in caplog.records] == ["no cache folder can be written"]
    assert [path.name for path in homeless.iterdir()] == [cache.private_folder().name]  # no folder called ~


def test_of_two_users_the_second_compiles_its_own_where_the_first_s_cache_is_closed(homeless, monkeypatch):
    first = homeless / "shared" / "scan"

    def compile_into(*words):
        if words[-1].parent == first:
            raise PermissionError(13, "Permission denied", str(first))
        words[-1].touch()

    monkeypatch.setenv("SUITE_CACHE", str(first.parent))
    monkeypatch.setattr(cpp_build, "_compile", compile_into)
    assert cpp_build.library().parent == cache.private_folder() / "scan"
    monkeypatch.setattr(cpp_build, "folders_for_kernels", lambda _: [first])
    with pytest.raises(cpp_build.CannotCompile, match=r"the cache cannot be written \(.*Permission denied"):
        cpp_build.library()


def test_what_another_user_compiled_is_used_though_nothing_can_be_added(homeless, monkeypatch):
    monkeypatch.setenv("SUITE_CACHE", str(homeless / "shared"))
    monkeypatch.setattr(cpp_build, "_compile", lambda *words: words[-1].touch())
    held = cpp_build.library()
    assert held.parent == homeless / "shared" / "scan"
    with monkeypatch.context() as patch:
        patch.setattr(cpp_build, "_compile", None)
        assert cpp_build.library() == held
    assert [path.name for path in homeless.iterdir()] == ["shared"]  # nothing among temporary files where it is not needed
    reads = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: path != held and reads(path, mode))  # a umask closes it to others
    monkeypatch.setattr(cpp_build, "_compile", lambda *words: words[-1].write_text("anew"))
    assert cpp_build.library().read_text() == "anew"


def test_numba_keeps_kernels_where_it_can_and_nowhere_else(homeless, monkeypatch, caplog):
    monkeypatch.setattr(numba_cache, "BESIDE", homeless / "file" / "beside")
    (homeless / "file").touch()
    assert numba_cache.choose_folder() == cache.private_folder() / "numba"
    monkeypatch.setenv("SUITE_CACHE", str(homeless / "cache"))
    assert numba_cache.choose_folder() == homeless / "cache" / "numba"
    monkeypatch.setenv("NUMBA_CACHE_DIR", "kernels")
    assert numba_cache.choose_folder() == homeless / "kernels"
    monkeypatch.setattr(numba_cache, "can_write", lambda _: False)
    given = numba_cache.config.CACHE_DIR
    with numba_cache.keeping() as keeps:
        assert not keeps
    assert given == numba_cache.config.CACHE_DIR
    assert "every process compiles them anew" in caplog.text


def test_triton_keeps_kernels_in_the_home_if_it_can(homeless, monkeypatch):
    for name in ("TRITON_CACHE_DIR", "TRITON_HOME"):
        monkeypatch.setenv(name, "given")
        triton.place_kernels()
        monkeypatch.delenv(name)
    assert list(homeless.iterdir()) == []
    monkeypatch.setenv("HOME", str(homeless / "home"))
    triton.place_kernels()
    assert "TRITON_CACHE_DIR" not in os.environ
    for home in ("/proc", None):  # it cannot be written; there is none
        monkeypatch.setenv("HOME", home) if home else monkeypatch.delenv("HOME")
        triton.place_kernels()
        assert os.environ["TRITON_CACHE_DIR"] == str(cache.private_folder() / "triton")
        monkeypatch.delenv("TRITON_CACHE_DIR")


@pytest.mark.parametrize("keeps", [False, True])
def test_numba_s_kernels_are_declared_with_and_without_a_folder(keeps):
    for kernel in numba_kernels.entry_points(0, keeps):
        assert (type(kernel._cache).__name__ == "NullCache") is not keeps
