"""Downloads: one file of an address, resumed where it was cut, checked, and never put over a file that is there.

Plain addresses are read with the standard library, Google Drive with gdown, Hugging Face with huggingface_hub. Beside `target` lie, until
it is whole, `target.part` with what has come, `target.part.from` with what it came from, and `target.lock`, held by the one who downloads.
"""

from __future__ import annotations

import contextlib
import http.client
import re
import shutil
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from suite.core.errors import Exit, SuiteError
from suite.core.files import sha256_of, take_lock
from suite.core.parallel import show_progress

Kind = Literal["direct", "drive", "hub", "page"]  # a page is for people: a release, a folder of Google Drive

CHUNK = 2**20
TIMEOUT = 30.0  # seconds without a byte
TRIES = 5  # of a connection that is cut again and again
HEAD = 2**16  # bytes in which a web page names itself
DRIVE = re.compile(r"https://drive\.google\.com/file/d/([\w-]+)")
HUB = re.compile(r"https://huggingface\.co/([\w.-]+/[\w.-]+)/resolve/([\w.-]+)/([^?#]+)")
PAGES = re.compile(r"https://(drive\.google\.com/drive/folders/|github\.com/[^/]+/[^/]+/releases/tag/)")


class _Cut(Exception):
    """A connection that ended too early."""


def kind_of(address: str) -> Kind:
    """Return how an address is fetched."""
    for kind, pattern in (("drive", DRIVE), ("hub", HUB), ("page", PAGES)):
        if pattern.match(address):
            return kind
    return "direct"


def download(address: str, target: Path, *, size: int | None = None, sha256: str = "") -> str:
    """Download the file at `address` to `target` and return its sha256.

    `size` in bytes and `sha256` are compared where they are known. Raises SuiteError where there is no connection, the answer is no file,
    the file is another one (it is put aside), or `target` is there already.
    """
    ways = {"direct": _direct, "drive": _drive, "hub": _hub}
    kind = kind_of(address)
    if kind == "page":
        raise _unavailable(f"{address} is a page for people, which a program cannot fetch; open it in a browser")
    part, lock = (target.with_name(target.name + ending) for ending in (".part", ".lock"))
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with lock.open("a+") as handle:
            if holder := take_lock(handle):
                raise _unavailable(f"process {holder} is downloading {target}; wait for it")
            try:
                if target.exists():
                    raise SuiteError(f"{target} is there already; a file is never replaced. Move it away, or choose another folder.")
                ways[kind](address, part)
                found = _checked(part, size, sha256)
                part.rename(target)
                _source(part).unlink(missing_ok=True)
            finally:
                lock.unlink(missing_ok=True)
    except OSError as error:
        reason = error.strerror or error
        raise _unavailable(f"{target} cannot be written ({reason}); give it space or permission, or choose another folder") from error
    return found


def _unavailable(message: str) -> SuiteError:
    return SuiteError(f"{message}.", exit=Exit.NOT_READY)


def _checked(part: Path, size: int | None, sha256: str) -> str:
    """Return the sha256 of a download; put it aside, with a SuiteError, where it is a web page or another file than was expected."""
    with part.open("rb") as file:
        head = file.read(HEAD)
    if head.lstrip()[:14].lower().startswith((b"<!doctype html", b"<html")):
        part.unlink()
        raise _page(head)
    found = sha256_of(part)
    came = part.stat().st_size
    if (size is not None and came != size) or (sha256 and found != sha256):
        aside = part.with_name(part.name.removesuffix(".part") + ".rejected")
        part.replace(aside)
        _source(part).unlink(missing_ok=True)
        wanted = " and ".join([*([f"{size:,} bytes"] if size else []), *([f"sha256 {sha256}"] if sha256 else [])])
        raise _unavailable(f"another file came, of {came:,} bytes and sha256 {found}; expected: {wanted}. It was put aside as {aside}")
    return found


def _page(head: bytes) -> SuiteError:
    title = re.search(rb"<title[^>]*>(.*?)</title>", head, re.IGNORECASE | re.DOTALL)
    words = " ".join(title[1].decode("utf-8", "replace").split()) if title else ""
    shown_title = "".join(letter for letter in words if letter.isprintable())[:80]
    named = f' titled "{shown_title}"' if shown_title else ""
    return _unavailable(f"the server sent a web page{named} and not the file: probably one that asks for consent or a login, or says no")


def _source(part: Path) -> Path:
    return part.with_name(part.name + ".from")


# Plain addresses


def _direct(address: str, part: Path) -> None:
    """Fetch `part` in as many connections as it takes, while each brings something."""
    for _ in range(TRIES):
        before = part.stat().st_size if part.exists() else 0
        if _transfer(address, part):
            return
        if part.stat().st_size <= before:
            break
    raise _unavailable(f"the connection was cut after {part.stat().st_size:,} bytes, which are kept; the same command continues")


def _transfer(address: str, part: Path) -> bool:
    """Fetch what `part` lacks in one connection; True where it is whole then."""
    host = urlsplit(address).hostname
    begin, mark = _resumable(address, part)
    headers = {"User-Agent": "ssm-restoration-suite", "Accept-Encoding": "identity"}
    headers |= {"Range": f"bytes={begin}-", "If-Range": mark} if begin else {}
    try:
        response = urllib.request.urlopen(urllib.request.Request(address, headers=headers), timeout=TIMEOUT)  # noqa: S310 - the register's
    except urllib.error.HTTPError as error:
        if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and begin:
            part.unlink()  # the file there has changed
            return _transfer(address, part)
        raise _unavailable(f"{host} answered {error.code} ({error.reason})") from error
    except (OSError, http.client.HTTPException) as error:  # URLError is an OSError
        raise _unavailable(f"no connection to {host} ({getattr(error, 'reason', None) or error})") from error
    with response:
        if response.headers.get_content_type() == "text/html":
            raise _page(response.read(HEAD))
        if response.status != http.HTTPStatus.PARTIAL_CONTENT:
            begin = 0
        length = response.headers["Content-Length"]
        tag = response.headers["ETag"] or ""
        mark = response.headers["Last-Modified"] or "" if tag.startswith("W/") or not tag else tag
        _source(part).write_text(f"{address}\n{mark}", encoding="utf-8")
        chunks = _chunks(response)
        with part.open("ab" if begin else "wb") as file, contextlib.suppress(_Cut):
            for chunk in show_progress(chunks, -(-int(length) // CHUNK), "MiB downloaded") if length else chunks:
                file.write(chunk)
            return length is None or file.tell() == begin + int(length)
        return False


def _resumable(address: str, part: Path) -> tuple[int, str]:
    """Return how many bytes of the same file are here, and the server's mark of it; 0 where it gave none: the file may be another."""
    try:
        source, _, mark = _source(part).read_text(encoding="utf-8").partition("\n")
        return (part.stat().st_size, mark) if source == address and mark else (0, "")
    except OSError:
        return 0, ""


def _chunks(response: http.client.HTTPResponse) -> Iterator[bytes]:
    """Yield what comes; _Cut where the connection ends before the file does."""
    try:
        while chunk := response.read(CHUNK):
            yield chunk
    except http.client.IncompleteRead as error:
        yield error.partial
        raise _Cut from error
    except (OSError, http.client.HTTPException) as error:
        raise _Cut from error


# Services that want a library of their own. What they raise where there is no connection is of many kinds.


def _drive(address: str, part: Path) -> None:
    try:
        import gdown
    except ModuleNotFoundError:
        raise _unavailable("files of Google Drive need gdown: pip install gdown") from None
    number = DRIVE.match(address)
    try:
        came = gdown.download(id=number[1], output=str(part), quiet=not sys.stderr.isatty(), resume=True)
    except Exception as error:
        raise _unavailable(f"Google Drive gave no file: {_first_line(error)}") from error
    if came is None or not part.exists():
        raise _unavailable("Google Drive gave no file")


def _hub(address: str, part: Path) -> None:
    try:
        import huggingface_hub
    except ModuleNotFoundError:
        raise _unavailable("files of Hugging Face need huggingface_hub: pip install huggingface_hub") from None
    repository, revision, path = HUB.match(address).groups()
    folder = part.with_name(part.name + ".hub")  # keeps what has come of a cut download
    try:
        came = huggingface_hub.hf_hub_download(repository, path, revision=revision, local_dir=folder)
    except Exception as error:
        raise _unavailable(f"Hugging Face gave no file: {_first_line(error)}") from error
    Path(came).replace(part)
    shutil.rmtree(folder)


def _first_line(error: Exception) -> str:
    return (str(error).strip().partition("\n")[0] or type(error).__name__).rstrip(".")
