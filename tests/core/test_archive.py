"""Archives for others: the same bytes for the same members, and nothing is read that was not written so."""

import os
import struct
import zipfile

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from suite.core import archive
from suite.core.archive import ArchiveRefused, read_archive, write_archive
from suite.core.errors import Exit, SuiteError

MEMBERS = {"manifest.json": b"{}", "records/a.json": b'{"PSNR-Y": 30.25}', "records/b.json": b""}


@pytest.fixture
def written(tmp_path):
    path = tmp_path / "a.zip"
    write_archive(path, MEMBERS)
    return path


def crafted(path, *members, comment=b"", compress=zipfile.ZIP_STORED):
    """A zip file of (name, data, external attributes), as others may write it."""
    with zipfile.ZipFile(path, "w", compress) as made:
        made.comment = comment
        for name, data, attributes in members:
            about = zipfile.ZipInfo(name, archive.MADE)
            about.create_system, about.external_attr, about.compress_type = archive.UNIX, attributes, compress
            made.writestr(about, data)
    return path


def test_members_come_back_and_the_same_members_are_the_same_bytes(written, tmp_path):
    assert read_archive(written) == MEMBERS
    os.utime(written, (1, 1))
    write_archive(tmp_path / "b.zip", dict(reversed(MEMBERS.items())))
    assert (tmp_path / "b.zip").read_bytes() == written.read_bytes()
    with zipfile.ZipFile(written) as held:
        assert held.testzip() is None  # any program can unpack it


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_byte_that_was_changed_anywhere_is_found(written, data):
    good = written.read_bytes()
    place = data.draw(st.integers(0, len(good) - 1))
    bad = bytearray(good)
    bad[place] ^= data.draw(st.integers(1, 255))
    other = written.with_name("other.zip")
    other.write_bytes(bad)
    with pytest.raises(ArchiveRefused):
        read_archive(other)


LINK, DEVICE, PIPE, FOLDER = (kind << 16 for kind in (0o120777, 0o060600, 0o010600, 0o040755))
PLAIN = archive.PLAIN_FILE
UNSAFE = {
    "a path out of it": ([("../x", b"", PLAIN)], "no name of a file inside"),
    "a path out of a folder": ([("records/../../x", b"", PLAIN)], "no name of a file inside"),
    "an absolute path": ([("/etc/passwd", b"", PLAIN)], "no name of a file inside"),
    "a path of Windows": ([("C:\\x", b"", PLAIN)], "no name of a file inside"),
    "a hidden file": ([(".ssh/x", b"", PLAIN)], "no name of a file inside"),
    "a long name": ([("a" * 300, b"", PLAIN)], "names that are too long|no name of a file inside"),
    "a link": ([("a", b"/etc/passwd", LINK)], "a link, a folder or a device"),
    "a device": ([("a", b"", DEVICE)], "a link, a folder or a device"),
    "a pipe": ([("a", b"", PIPE)], "a link, a folder or a device"),
    "a folder": ([("a", b"", FOLDER)], "a link, a folder or a device"),
    "another order": ([("b", b"", PLAIN), ("a", b"", PLAIN)], "do not lie in order"),
    "two names that one file system takes for one": ([("A", b"", PLAIN), ("a", b"", PLAIN)], "twice"),
}


@pytest.mark.parametrize("kind", UNSAFE)
def test_what_an_archive_may_not_hold_is_named(tmp_path, kind):
    members, message = UNSAFE[kind]
    with pytest.raises(ArchiveRefused, match=message) as refused:
        read_archive(crafted(tmp_path / "x.zip", *members))
    assert refused.value.exit == Exit.DRIFT


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_twice_is_refused(tmp_path):
    with pytest.raises(ArchiveRefused, match="'a' twice"):
        read_archive(crafted(tmp_path / "x.zip", ("a", b"1", PLAIN), ("a", b"2", PLAIN)))


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path):
    bomb = crafted(tmp_path / "x.zip", ("a", bytes(2**26 + 1), PLAIN), compress=zipfile.ZIP_DEFLATED)
    assert bomb.stat().st_size < 2**17
    with pytest.raises(ArchiveRefused, match="compressed"):
        read_archive(bomb)


def test_limits_on_sizes_and_numbers(written, tmp_path, monkeypatch):
    monkeypatch.setattr(archive, "LARGEST_MEMBER_MIB", 1e-6)
    with pytest.raises(ArchiveRefused, match="is the most"):
        read_archive(written)
    with pytest.raises(SuiteError, match="too large"):  # what would be refused is not written
        write_archive(tmp_path / "b.zip", MEMBERS)
    monkeypatch.setattr(archive, "MOST_MEMBERS", 2)
    with pytest.raises(ArchiveRefused, match="more than 2 files"):
        read_archive(written)
    with pytest.raises(SuiteError, match="too many"):
        write_archive(tmp_path / "b.zip", MEMBERS)
    monkeypatch.setattr(archive, "LARGEST_MIB", -16)
    with pytest.raises(ArchiveRefused, match="is the most"):
        read_archive(written)


def test_nothing_hides_before_between_or_behind_the_members(written):
    good = written.read_bytes()
    start = struct.unpack_from("<L", good, len(good) - 6)[0]
    for bad in (b"x" + good, good + b"x", good[:start] + b"x" + good[start:], good[:-1], b"", b"PK"):
        written.write_bytes(bad)
        with pytest.raises(ArchiveRefused):
            read_archive(written)
    with pytest.raises(ArchiveRefused, match="behind its end"):
        read_archive(crafted(written, ("a", b"", PLAIN), comment=b"a remark"))


def test_what_is_no_file_is_said_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path, message in ((tmp_path / "none", "is not there"), (tmp_path, "is not a file"), (tmp_path / "pipe", "is not a file")):
        with pytest.raises(SuiteError, match=message) as refused:
            read_archive(path)
        assert refused.value.exit == Exit.NOT_READY
