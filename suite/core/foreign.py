"""What a file is that is no checkpoint: told by its first bytes, before anything tries to read tensors from it.

Downloads bring pointers and web pages, copies end early, and archives, pictures and other programs' models get the same endings. Signatures
are those of the formats' own specifications. Nothing is unpacked or run.
"""

from __future__ import annotations

import codecs
import json
import re
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

HEAD = 1024  # bytes that are looked at
AGAIN = "Download or copy it again"
SHOWN = 3  # names of an archive's files

# How a file begins: what it is, and what to do.
SIGNATURES: Mapping[bytes, tuple[str, str]] = MappingProxyType(
    {
        b"\x1f\x8b": ("a gzip archive", "Unpack it first (gunzip, or tar -xzf)"),
        b"BZh": ("a bzip2 archive", "Unpack it first (bunzip2, or tar -xjf)"),
        b"\xfd7zXZ\x00": ("an xz archive", "Unpack it first (unxz, or tar -xJf)"),
        b"\x28\xb5\x2f\xfd": ("a Zstandard archive", "Unpack it first (unzstd)"),
        b"7z\xbc\xaf\x27\x1c": ("a 7z archive", "Unpack it first (7z x)"),
        b"Rar!\x1a\x07": ("a rar archive", "Unpack it first (unrar x)"),
        b"\x89HDF\r\n\x1a\n": ("an HDF5 file (Keras, MATLAB)", "Convert its tensors with the program that wrote it"),
        b"MATLAB 5.0": ("a MATLAB file", "Convert its tensors with the program that wrote it"),
        b"\x93NUMPY": ("an array of NumPy's, without names", "Ask for the checkpoint that it is of"),
        b"GGUF": ("a GGUF file of a language model", "Ask for the checkpoint of a restoration network"),
        b"\x89PNG\r\n": ("a PNG image", "Name the checkpoint with --weights, and images elsewhere"),
        b"\xff\xd8\xff": ("a JPEG image", "Name the checkpoint with --weights, and images elsewhere"),
        b"%PDF": ("a PDF document", "Name the checkpoint"),
        b"\x7fELF": ("a compiled program", "Name the checkpoint"),
    }
)
ONNX = re.compile(rb"\x08[\x01-\x1f](\x12|\x1a|\x22|\x2a|\x3a)")  # its first field is a small version, the next a text or the graph
PICKLE = re.compile(rb"\x80[\x02-\x05]")
TORCH_PICKLE = re.compile(
    rb"\x80[\x02-\x05](?:\x95.{8})?\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19\.", re.DOTALL
)  # torch's own before its zip files


def explain_foreign(path: Path) -> str:
    """Say what the file `path` is, if it is plainly no checkpoint, with its size and what to do; "" where it may be one. Raises OSError."""
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(HEAD)
    found = _explain(path, head, size)
    if found is None:
        return ""
    what, remedy = found
    is_what = f"damaged, or not a checkpoint of tensors: {what}" if remedy.startswith(AGAIN) else f"{what}, not a checkpoint of tensors"
    return f"{path} ({size:,} bytes) is {is_what}. {remedy}."


def _explain(path: Path, head: bytes, size: int) -> tuple[str, str] | None:
    if not head:
        return "an empty file", f"{AGAIN}: nothing came"
    if not head.strip(b"\0"):
        return "a file that begins with zeros alone", f"{AGAIN}: it was not written to its end"
    for begin, found in SIGNATURES.items():
        if head.startswith(begin):
            return found
    if head.startswith(b"PK"):
        return _explain_zip(path)
    if head[8:9] == b"{" and (length := int.from_bytes(head[:8], "little")) < 2**32:
        return _explain_safetensors(path, length, size)
    if path.suffix == ".safetensors" and size < 9:
        return "a safetensors file without its header", f"{AGAIN}: it is cut off"
    if head[257:262] == b"ustar":
        return _explain_tar(path)
    if ONNX.match(head) and (path.suffix == ".onnx" or b"\x12" in head[2:3]):
        return "an ONNX model", "Ask for the checkpoint that it was exported from"
    if PICKLE.match(head):
        return None if TORCH_PICKLE.match(head) else ("a Python pickle that torch did not write", _without_code())
    return _explain_text(head)


def _without_code() -> str:
    return "Reading it could run code, so that nothing of it was read; ask for its tensors as safetensors, or saved by torch.save"


def _explain_text(head: bytes) -> tuple[str, str] | None:
    try:
        text = codecs.getincrementaldecoder("utf-8-sig")().decode(head).strip()  # the last letter may be cut in two
    except UnicodeDecodeError:
        return None
    if not text or not text.replace("\n", " ").replace("\r", " ").replace("\t", " ").isprintable():
        return None
    if text.startswith("version https://git-lfs"):
        stated = re.search(r"^size (\d+)$", text, re.MULTILINE)
        whole = f" of {int(stated[1]):,} bytes" if stated else ""
        return (
            f"a Git LFS pointer to a file{whole}",
            "`git lfs pull` in its repository brings the file itself, or download it from its page",
        )
    if "/annex/objects/" in text:
        return "a git-annex pointer", "`git annex get` in its repository brings the file itself"
    if text.startswith("<"):
        title = re.search(r"<title[^>]*>\s*([^<]*?)\s*</title>", text, re.IGNORECASE)
        called = f" titled {title[1][:80]!r}" if title and title[1] else ""
        return f"a web page{called}", "The server sent it in the file's place: open the address in a browser, and download the file there"
    return f"a text that begins {text.splitlines()[0][:60]!r}", "Name the checkpoint, or download it again if this stands in its place"


def _explain_zip(path: Path) -> tuple[str, str] | None:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return (
            "the beginning of a zip file (torch's checkpoints are such), whose directory at the end is missing",
            f"{AGAIN}: it is cut off",
        )
    if any(name.endswith("/constants.pkl") for name in names) or any("/code/" in name for name in names):
        return "a TorchScript program", "Ask for its state dict; where you trust it, torch.jit.load(FILE).state_dict() gives it"
    if any(name.endswith("archive_format") for name in names):
        return "an exported program of torch.export", "Ask for the state dict that it was exported from"
    if any(name == "data.pkl" or name.endswith("/data.pkl") for name in names):
        return None
    if names and all(name.endswith(".npy") for name in names):
        return "an archive of NumPy arrays", "Save them by torch.save, as a mapping of tensors"
    return f"a zip archive of {_shown(names)}", "Unpack it, and name the checkpoint in it"


def _explain_tar(path: Path) -> tuple[str, str]:
    try:
        with tarfile.open(path) as archive:
            names = archive.getnames()
    except (tarfile.TarError, OSError, EOFError):
        return "a tar archive that is cut off", AGAIN
    return f"a tar archive of {_shown(names)}", "Unpack it (tar -xf), and name the checkpoint in it"


def _shown(names: list[str]) -> str:
    return f"{', '.join(names[:SHOWN]) or 'nothing'}{f' and {len(names) - SHOWN} more' if len(names) > SHOWN else ''}"


def _explain_safetensors(path: Path, length: int, size: int) -> tuple[str, str] | None:
    """Say where a file is cut off that begins as safetensors do: the length of its header, the header in JSON, then the tensors."""
    if length > size - 8:
        return f"the beginning of a safetensors file, whose header alone has {length:,} bytes", f"{AGAIN}: it is cut off"
    with path.open("rb") as file:
        file.seek(8)
        try:
            header = json.loads(file.read(length))
            ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
            whole = 8 + length + max(ends, default=0)
        except (ValueError, LookupError, TypeError, AttributeError):
            return "a safetensors file with a damaged header", AGAIN
    if whole > size:
        return f"the beginning of a safetensors file of {whole:,} bytes", f"{AGAIN}: it is cut off"
    return None
