"""Checkpoints and other files of tensors: written whole or not at all, read without running anything they contain."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from suite.errors import Exit, SuiteError

if TYPE_CHECKING:
    from torch import Tensor

FILE = "checkpoint.pt"


def save(folder: Path, state: dict[str, Any]) -> None:
    """Writes `state` (tensors, numbers, texts, lists and dicts of them) as the checkpoint of `folder`, replacing it in one step."""
    write(folder / FILE, state)


def write(path: Path, state: dict[str, Any]) -> None:
    """Writes `state` to `path`, replacing what is there in one step."""
    import torch

    _in_one_step(path, lambda file: torch.save(state, file))


def write_safetensors(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    """Writes named tensors and texts about them to `path` as safetensors, replacing what is there in one step."""
    from safetensors import torch as safetensors

    _in_one_step(path, lambda file: file.write(safetensors.save(tensors, metadata)))


def _in_one_step(path: Path, fill: Callable[[BinaryIO], object]) -> None:
    folder, temporary = path.parent, path.with_name(f"{path.name}.tmp")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            fill(file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except (OSError, RuntimeError) as error:  # torch reports a full disk as RuntimeError
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise SuiteError(
            f"{path.name} cannot be written to {folder} ({error}). Free space or choose another folder.", exit=Exit.NOT_READY
        ) from error


def read(path: Path) -> dict[str, Any]:
    """The tensors and plain values in the file `path`, anyone's; SuiteError for one that is not readable as such.

    A safetensors file gives its tensors, under the key that its metadata names, if any, and its metadata as `metadata`.
    """
    import torch

    if path.suffix == ".safetensors" or _looks_like_safetensors(path):
        return _read_safetensors(path)
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a file of another kind fails inside the unpickler in any way
        asked = re.search(r"GLOBAL ([\w.]+)", str(error))
        if asked:
            raise SuiteError(
                f"{path} asks for {asked[1]} beside its tensors. Reading it could run code, so that it is refused, and nothing of it was "
                "run. Ask for a file of tensors alone, e.g. safetensors.",
                exit=Exit.NOT_READY,
            ) from error
        raise _unreadable(path, error) from error
    if not isinstance(state, dict):
        raise SuiteError(f"{path} holds a {type(state).__name__}, not named tensors.", exit=Exit.NOT_READY)
    return state


def _looks_like_safetensors(path: Path) -> bool:
    """Whether the file begins as one: the length of its header, then the header, which is JSON."""
    try:
        with path.open("rb") as file:
            head = file.read(9)
        return head[8:] == b"{" and int.from_bytes(head[:8], "little") <= path.stat().st_size - 8
    except OSError:
        return False  # reading it says why


def _read_safetensors(path: Path) -> dict[str, Any]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            metadata = dict(file.metadata() or {})
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is not a mapping
    except (SafetensorError, OSError) as error:
        raise _unreadable(path, error) from error
    held = {metadata["key"]: tensors} if metadata.get("key") else tensors
    return {**held, "metadata": metadata} if metadata else held


def _unreadable(path: Path, error: Exception) -> SuiteError:
    what = f"{path} is damaged, or not a checkpoint of tensors ({type(error).__name__})"
    return SuiteError(f"{what}. Replace it or take it away.", exit=Exit.NOT_READY)


def load(folder: Path, fingerprint: str) -> dict[str, Any] | None:
    """The checkpoint of `folder`, or None where there is none; SuiteError for one that is damaged or of another cell."""
    path = folder / FILE
    if not path.is_file():
        return None
    state = read(path)
    found = state.get("fingerprint")
    if found != fingerprint:
        what = f"{path} belongs to the cell {found}, not to {fingerprint}"
        raise SuiteError(f"{what}. Remove it to train from the start.", exit=Exit.NOT_READY)
    return state
