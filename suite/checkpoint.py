"""Checkpoints of a training run: written whole or not at all, read without running anything they contain."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

from suite.errors import Exit, SuiteError

FILE = "checkpoint.pt"


def save(folder: Path, state: dict[str, Any]) -> None:
    """Writes `state` (tensors, numbers, texts, lists and dicts of them) as the checkpoint of `folder`, replacing it in one step."""
    import torch

    temporary = folder / f"{FILE}.tmp"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(folder / FILE)
    except (OSError, RuntimeError) as error:  # torch reports a full disk as RuntimeError
        raise SuiteError(
            f"the checkpoint cannot be written to {folder} ({error}). Free space or choose another folder.", exit=Exit.NOT_READY
        ) from error


def load(folder: Path, fingerprint: str) -> dict[str, Any] | None:
    """The checkpoint of `folder`, or None where there is none; SuiteError for one that is damaged or of another cell."""
    import torch

    path = folder / FILE
    if not path.is_file():
        return None
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError) as error:
        raise SuiteError(
            f"{path} is damaged ({type(error).__name__}: {error}). Remove it to train this cell from the start.", exit=Exit.NOT_READY
        ) from error
    if state.get("fingerprint") != fingerprint:
        raise SuiteError(
            f"{path} belongs to the cell {state.get('fingerprint')}, not to {fingerprint}. Remove it to train from the start.",
            exit=Exit.NOT_READY,
        )
    return state
