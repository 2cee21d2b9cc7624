"""`python -m suite weights`: downloads from a server on the loopback address, and what is said of files."""

import hashlib
import json
import socket
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from file_server import Served, serving
from places import SHARED

import models
from models.official import official_names
from suite.cli import main
from suite.core.errors import Exit, SuiteError
from suite.measure.inference import download as downloads
from suite.study import weights_register

pytestmark = pytest.mark.usefixtures("one_thread")
CONTENT = bytes(range(256)) * 10_000  # 2.5 MB: three chunks
DIGEST = hashlib.sha256(CONTENT).hexdigest()
PAGE = b"<!DOCTYPE html><html><head><title>Sign in \x1b[2J - Accounts</title></head></html>"
DRIVE = "https://drive.google.com/file/d/1abc_-9/view"
HUB = "https://huggingface.co/owner/name/resolve/main/folder/net.pth"
MODEL = "mambair-light-x4"


@pytest.fixture
def server():
    with serving() as started:
        yield started


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("SUITE_WEIGHTS", str(tmp_path / "weights"))
    return tmp_path / "weights"


@pytest.fixture
def suite(capsys, folder):
    assert not folder.exists()

    def run(*words):
        code = main.main(["weights", *map(str, words)])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


@pytest.fixture
def register(monkeypatch):
    """Puts one entry, `toy`, in the place of the register's."""

    def make(*addresses, **fields):
        real = weights_register.load()
        if fields.get("sha256") or fields.get("bytes"):
            fields["origin"] = "this test"
        entry = {"name": "toy", "networks": (MODEL,), "addresses": addresses, "file": "net.pth", "source": "this test", **fields}
        toy = real.model_copy(update={"files": (weights_register.WeightsFile.model_validate(entry),)})
        monkeypatch.setattr(weights_register, "load", lambda: toy)

    return make


def state_dict():
    torch.manual_seed(0)
    network = models.create(MODEL)
    names = official_names(network)
    return {names[ours]: value for ours, value in network.state_dict().items()}


def names(folder):
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


# Downloads


def test_a_file_comes_whole_and_its_sha256_is_kept_as_seen_first(suite, server, register, folder):
    server.files["/net.pth"] = Served(CONTENT)
    register(f"{server.address}/net.pth")
    code, out, err = suite("get", "toy")
    assert (code, err) == (Exit.DONE, "")
    assert (folder / "net.pth").read_bytes() == CONTENT
    assert (folder / "net.pth.sha256").read_text() == f"{DIGEST}  net.pth\n"
    assert f"sha256 {DIGEST} (seen first here: the register knows no sha256 of it)" in out
    assert "verified" not in out
    assert names(folder) == ["net.pth", "net.pth.sha256"]
    again, out, _ = suite("get", "toy", "--json")
    assert (again, json.loads(out)["state"]) == (Exit.DONE, "seen first here")
    assert len(server.asked) == 1


def test_a_known_sha256_is_verified(suite, server, register, folder):
    server.files["/net.pth"] = Served(CONTENT)
    register(f"{server.address}/net.pth", sha256=DIGEST, bytes=len(CONTENT))
    code, out, _ = suite("get", "toy", "--to", folder / "else")
    assert code == Exit.DONE
    assert "(verified: as in the register)" in out
    assert names(folder / "else") == ["net.pth"]


def test_a_cut_connection_is_resumed_where_it_was_cut(suite, server, register, folder):
    cut = len(CONTENT) // 2 + 7
    server.files["/net.pth"] = Served(CONTENT, cuts=[cut])
    register(f"{server.address}/net.pth", sha256=DIGEST)
    assert suite("get", "toy")[0] == Exit.DONE
    assert (folder / "net.pth").read_bytes() == CONTENT
    assert [asked[2] for asked in server.asked] == [None, f"bytes={cut}-"]


def test_the_same_command_continues_what_was_cut_for_good(suite, server, register, folder):
    server.files["/net.pth"] = Served(CONTENT, cuts=[1000, 0])
    register(f"{server.address}/net.pth")
    code, out, err = suite("get", "toy")
    assert (code, out) == (Exit.NOT_READY, "")
    assert "the connection was cut after 1,000 bytes, which are kept; the same command continues." in err
    assert names(folder) == ["net.pth.part", "net.pth.part.from"]
    assert suite("get", "toy")[0] == Exit.DONE
    assert (folder / "net.pth").read_bytes() == CONTENT
    assert [asked[2] for asked in server.asked] == [None, "bytes=1000-", "bytes=1000-"]


@pytest.mark.parametrize("headers", [{}, {"ETag": ""}])
def test_a_file_that_changed_meanwhile_is_fetched_anew(suite, server, register, folder, headers):
    server.files["/net.pth"] = Served(CONTENT, cuts=[1000, 0], headers=headers)
    register(f"{server.address}/net.pth")
    assert suite("get", "toy")[0] == Exit.NOT_READY
    server.files["/net.pth"] = Served(CONTENT[::-1], headers=headers)
    assert suite("get", "toy")[0] == Exit.DONE
    assert (folder / "net.pth").read_bytes() == CONTENT[::-1]


@pytest.mark.parametrize("how", [{"ranges": False}, {"headers": {"ETag": ""}}])
def test_a_server_that_cannot_resume_is_asked_for_the_whole(suite, server, register, folder, how):
    server.files["/net.pth"] = Served(CONTENT, cuts=[1000, 2000], **how)
    register(f"{server.address}/net.pth", sha256=DIGEST)
    assert suite("get", "toy")[0] == Exit.DONE
    assert (folder / "net.pth").read_bytes() == CONTENT


def test_an_answer_of_unknown_length_that_is_cut_is_not_taken_for_whole(suite, server, register, folder):
    server.files["/net.pth"] = Served(CONTENT, chunked=True)
    register(f"{server.address}/net.pth")
    assert suite("get", "toy")[0] == Exit.DONE
    assert (folder / "net.pth").read_bytes() == CONTENT
    (folder / "net.pth").unlink()
    server.files["/net.pth"] = Served(CONTENT, chunked=True, ranges=False, cuts=[1000] * 9)
    assert suite("get", "toy")[0] == Exit.NOT_READY
    assert not (folder / "net.pth").exists()


def test_a_wrong_sha256_is_put_aside(suite, server, register, folder):
    server.files["/net.pth"] = Served(CONTENT)
    register(f"{server.address}/net.pth", sha256="0" * 64)
    code, out, err = suite("get", "toy")
    assert (code, out) == (Exit.NOT_READY, "")
    assert f"another file came, of {len(CONTENT):,} bytes and sha256 {DIGEST}; expected: sha256 {'0' * 64}." in err
    assert f"It was put aside as {folder / 'net.pth.rejected'}." in err
    assert names(folder) == ["net.pth.rejected"]


@pytest.mark.parametrize(("kind", "page"), [("text/html; charset=utf-8", PAGE[15:].replace(b"<html>", b"")), ("application/x-x", PAGE)])
def test_a_web_page_instead_of_a_file_is_refused(suite, server, register, folder, kind, page):
    server.files["/net.pth"] = Served(page, kind)
    register(f"{server.address}/net.pth")
    code, out, err = suite("get", "toy")
    assert (code, out) == (Exit.NOT_READY, "")
    assert (
        'the server sent a web page titled "Sign in [2J - Accounts" and not the file: probably one that asks for consent or a login' in err
    )
    assert not (folder / "net.pth").exists()
    assert not (folder / "net.pth.part").exists()


def test_no_file_and_no_server_are_said_with_the_address(suite, server, register, folder):
    register(f"{server.address}/net.pth")
    code, _, err = suite("get", "toy")
    assert code == Exit.NOT_READY
    assert err == f"python -m suite: toy was not downloaded: 127.0.0.1 answered 404 (Not Found). Its address: {server.address}/net.pth\n"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}/net.pth"
    register(address)
    code, _, err = suite("get", "toy")
    assert code == Exit.NOT_READY
    assert err.startswith("python -m suite: toy was not downloaded: no connection to 127.0.0.1 (")
    assert err.endswith(f"Its address: {address}\n")
    assert err.count("\n") == 1
    assert names(folder) == []


def test_the_next_address_is_tried(suite, server, register):
    server.files["/mirror/net.pth"] = Served(CONTENT)
    register(f"{server.address}/net.pth", f"{server.address}/mirror/net.pth", sha256=DIGEST)
    code, out, err = suite("get", "toy")
    assert (code, "(verified" in out) == (Exit.DONE, True)
    assert f"answered 404 (Not Found). It came from another address: {server.address}/mirror/net.pth" in err


def test_a_file_that_is_there_is_never_replaced(suite, server, register, folder):
    server.files["/net.pth"] = Served(CONTENT)
    folder.mkdir()
    (folder / "net.pth").write_bytes(b"the user's own")
    for known in ({}, {"sha256": DIGEST}):
        register(f"{server.address}/net.pth", **known)
        code, out, err = suite("get", "toy")
        assert (code, out) == (Exit.USAGE, "")
        assert "is there already" in err
        assert "a file is never replaced" in err
    with pytest.raises(SuiteError, match="a file is never replaced"):
        downloads.download(f"{server.address}/net.pth", folder / "net.pth")
    assert (folder / "net.pth").read_bytes() == b"the user's own"
    assert server.asked == []


def test_a_second_download_that_differs_from_the_first_is_told(suite, server, register, folder):
    server.files["/net.pth"] = Served(CONTENT)
    register(f"{server.address}/net.pth")
    assert suite("get", "toy")[0] == Exit.DONE
    (folder / "net.pth").unlink()
    server.files["/net.pth"] = Served(CONTENT[::-1])
    code, out, _ = suite("get", "toy")
    assert code == Exit.NOT_READY
    assert "changed: the authors' file is not the one that first came here" in out
    assert (folder / "net.pth.sha256").read_text().startswith(DIGEST)


def test_two_at_once_do_not_write_into_one_file(server, tmp_path):
    waiting, go = threading.Event(), threading.Event()

    class Slow(bytes):
        def __getitem__(self, part):
            waiting.set()
            go.wait(20)
            return bytes(self)[part]

    server.files["/net.pth"] = Served(Slow(CONTENT))
    first = threading.Thread(target=downloads.download, args=(f"{server.address}/net.pth", tmp_path / "net.pth"))
    first.start()
    try:
        assert waiting.wait(20)
        with pytest.raises(SuiteError, match="is downloading"):
            downloads.download(f"{server.address}/net.pth", tmp_path / "net.pth")
    finally:
        go.set()
        first.join()
    assert (tmp_path / "net.pth").read_bytes() == CONTENT
    assert names(tmp_path) == ["net.pth"]


def test_a_folder_that_cannot_be_written_is_said(suite, server, register, tmp_path):
    (tmp_path / "file").write_text("no folder")
    server.files["/net.pth"] = Served(CONTENT)
    register(f"{server.address}/net.pth")
    code, _, err = suite("get", "toy", "--to", tmp_path / "file" / "below")
    assert code == Exit.NOT_READY
    assert "cannot be written (Not a directory)" in err


def test_unknown_names_and_folders_for_people(suite):
    code, _, err = suite("get", "tpmambasr-light-x5")
    assert (code, "Did you mean" in err) == (Exit.USAGE, True)
    code, _, err = suite("get", "mair-all")
    assert code == Exit.NOT_READY
    assert "gdown --folder https://drive.google.com/drive/folders/1YYmIVTyynLg-Kfu-mviq24WdVkJu-S3M" in err
    code, _, err = suite("get", "mambair-images")
    assert (code, "python -m suite score" in err) == (Exit.NOT_READY, True)


# Services with a library of their own


@pytest.mark.parametrize(("address", "package"), [(DRIVE, "gdown"), (HUB, "huggingface_hub")])
def test_without_the_library_its_command_and_the_address_are_printed(suite, register, monkeypatch, address, package):
    monkeypatch.setitem(sys.modules, package, None)
    register(address)
    code, _, err = suite("get", "toy")
    assert code == Exit.NOT_READY
    assert f"need {package}: pip install {package}." in err
    assert f"Its address: {address}" in err


def test_google_drive_is_asked_through_gdown(suite, register, monkeypatch, folder):
    asked = {}

    def stand_in(*, id, output, quiet, resume):
        asked.update(id=id, quiet=quiet, resume=resume)
        Path(output).write_bytes(CONTENT)
        return output

    monkeypatch.setitem(sys.modules, "gdown", SimpleNamespace(download=stand_in))
    register(DRIVE, sha256=DIGEST)
    assert suite("get", "toy")[0] == Exit.DONE
    assert asked == {"id": "1abc_-9", "quiet": True, "resume": True}
    assert names(folder) == ["net.pth"]


@pytest.mark.parametrize("how", ["raises", "none", "page"])
def test_what_gdown_does_not_get_is_said(suite, register, monkeypatch, folder, how):
    def stand_in(*, output, **_):
        if how == "raises":
            raise ConnectionError("Failed to retrieve file url:\n\n\tToo many users have viewed")
        if how == "page":
            Path(output).write_bytes(PAGE)
            return output
        return None

    monkeypatch.setitem(sys.modules, "gdown", SimpleNamespace(download=stand_in))
    register(DRIVE)
    code, _, err = suite("get", "toy")
    assert code == Exit.NOT_READY
    assert {"raises": "gave no file: Failed to retrieve", "none": "gave no file.", "page": "sent a web page"}[how] in err
    assert f"Its address: {DRIVE}" in err
    assert not (folder / "net.pth").exists()


def test_hugging_face_is_asked_through_its_library(suite, server, register, monkeypatch, folder):
    constants = pytest.importorskip("huggingface_hub.constants", reason="needs huggingface_hub")
    from huggingface_hub import file_download

    monkeypatch.setattr(constants, "ENDPOINT", server.address)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", server.address + "/{repo_id}/resolve/{revision}/{filename}")
    monkeypatch.setattr(file_download, "HUGGINGFACE_CO_URL_TEMPLATE", constants.HUGGINGFACE_CO_URL_TEMPLATE, raising=False)
    register(HUB, sha256=DIGEST)
    code, _, err = suite("get", "toy")
    assert code == Exit.NOT_READY
    assert "Hugging Face gave no file: " in err
    server.files["/owner/name/resolve/main/folder/net.pth"] = Served(CONTENT, headers={"X-Repo-Commit": "0" * 40})
    code, out, _ = suite("get", "toy")
    assert (code, "(verified" in out) == (Exit.DONE, True)
    assert (folder / "net.pth").read_bytes() == CONTENT
    assert names(folder) == ["net.pth"]


# What is here


def test_the_list_says_what_is_here_and_what_fits_which_row(suite, folder, tmp_path):
    code, out, _ = suite("list")
    assert code == Exit.DONE
    lines = {line.split()[0]: line for line in out.splitlines() if line}
    assert "no network of `list models` has this configuration" in lines["evssm-all"]
    assert "mambair-4-eccv/ours-x2" in lines["mambair-light-x2.generation-2"]
    folder.mkdir()
    (folder / "ColorDN_MambaIR_level15.pth").write_bytes(CONTENT)
    (folder / "T_PMambaSR_x2.pth").write_bytes(CONTENT)
    code, out, _ = suite("list", "--json")
    files = {row["name"]: row for row in json.loads(out)["files"]}
    assert files["mambair-denoise-15"]["here"] == {"path": str(folder / "ColorDN_MambaIR_level15.pth"), "state": "not verified"}
    assert files["tpmambasr-light-x2"]["here"]["state"] == "changed"
    assert files["mambair-denoise-15"]["sha256"] == files["evssm-all"]["sha256"] == files["evssm-all"]["file"] == "unknown"
    assert files["mambair-sr-x2"]["networks"][0]["model"] == "mambair-sr-x2"
    assert files["vmambair-all"]["licence"].startswith("none stated")
    assert files["mambair-light-x2"]["printed_of"] == "mambair-light-x2.generation-2"
    code, _, err = suite("list", "--in", tmp_path / "nowhere")
    assert (code, "there is no such folder" in err) == (Exit.NOT_READY, True)


# What a file is


def test_a_file_of_a_known_network_is_named_with_what_loads_it(suite, tmp_path):
    path = tmp_path / "mine.pth"
    torch.save({"params": state_dict()}, path)
    code, out, _ = suite("check", path)
    assert code == Exit.DONE
    assert "(unknown)" in out.splitlines()[1]
    assert "finite: yes" in out
    assert "network: MambaIR, mambair-light-x4 (MambaIR, 924,492 parameters): every name and shape" in out
    assert "loads strictly as: mambair-light-x4\n" in out
    assert "published files of this network: mambair-light-x4" in out


def test_files_under_our_names_and_of_small_networks_are_known_too(suite, tmp_path):
    torch.manual_seed(0)
    torch.save(models.create("mambair-sr-x2-tiny").state_dict(), tmp_path / "ours.pt")
    code, out, _ = suite("check", tmp_path / "ours.pt", "--json")
    found = json.loads(out)
    assert (code, found["models"], found["networks"], found["which"]) == (Exit.DONE, ["mambair-sr-x2-tiny"], [], "bare")


def test_what_is_wrong_with_a_file_is_said(suite, tmp_path):
    state = state_dict()
    state["conv_first.weight"][0, 0, 0, 0] = float("nan")
    torch.save({"params": state}, tmp_path / "nan.pth")
    code, out, _ = suite("check", tmp_path / "nan.pth")
    assert (code, "finite: NO, 1 tensors hold NaN or infinity: conv_first.weight" in out) == (Exit.NOT_READY, True)
    torch.save({"params": {"some.weight": torch.zeros(3)}}, tmp_path / "other.pth")
    code, out, _ = suite("check", tmp_path / "other.pth")
    assert (code, "loads as no model here: no network that this suite or its register knows" in out) == (
        Exit.NOT_READY,
        True,
    )
    (tmp_path / "T_PMambaSR_x2.pth").write_bytes(PAGE)
    code, out, _ = suite("check", tmp_path / "T_PMambaSR_x2.pth")
    assert code == Exit.NOT_READY
    assert "NOT that of tpmambasr-light-x2" in out
    assert "not read: " in out
    code, _, err = suite("check", tmp_path / "none.pth")
    assert (code, "there is no weights file" in err) == (Exit.NOT_READY, True)


@pytest.mark.skipif(not (SHARED / "weights").is_dir(), reason="needs real weights beside the checkout")
@pytest.mark.parametrize(
    ("file", "entry", "network"),
    [
        ("team40_mambairv2light.pth", "mambairv2-light-x4.ntire2025", "mambairv2-light-x4"),
        *((f"T_PMambaSR_x{scale}.pth", f"tpmambasr-light-x{scale}", f"tpmambasr-light-x{scale}") for scale in (2, 3, 4)),
    ],
)
def test_real_files_are_recognised(suite, file, entry, network):
    code, out, _ = suite("check", SHARED / "weights" / file, "--json")
    found = json.loads(out)
    assert (code, found["state"], found["entries"], found["networks"]) == (Exit.DONE, "verified", [entry], [network])
    assert found["not_finite"] == []
    assert bool(found["models"]) != bool(found["reason"])
