"""Checkpoints of a training run: written whole or not at all, read without running anything they contain."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from suite.errors import Exit, SuiteError
from suite.whole import replacing

FILE = "checkpoint.pt"


def save(folder: Path, state: dict[str, Any]) -> None:
    """Writes `state` (tensors, numbers, texts, lists and dicts of them) as the checkpoint of `folder`, replacing it in one step."""
    write(folder / FILE, state)


def write(path: Path, state: dict[str, Any]) -> None:
    """Writes `state` to `path`, replacing what is there in one step."""
    import torch

    try:
        with replacing(path) as file:
            torch.save(state, file)
    except (OSError, RuntimeError) as error:  # torch reports a full disk as RuntimeError
        raise SuiteError(
            f"{path.name} cannot be written to {path.parent} ({error}). Free space or choose another folder.", exit=Exit.NOT_READY
        ) from error


def read(path: Path) -> dict[str, Any]:
    """The tensors and plain values in the file `path`, anyone's; SuiteError for one that is not readable as such."""
    import torch

    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a file of another kind fails inside the unpickler in any way
        what = f"{path} is damaged, or not a checkpoint of tensors ({type(error).__name__})"
        raise SuiteError(f"{what}. Replace it or take it away.", exit=Exit.NOT_READY) from error
    if not isinstance(state, dict):
        raise SuiteError(f"{path} holds a {type(state).__name__}, not named tensors.", exit=Exit.NOT_READY)
    return state


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
