"""Files of tensors: written whole or not at all, read without running anything they contain."""

from __future__ import annotations

import contextlib
import hashlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from suite.core.errors import Exit, SuiteError
from suite.core.files import replacing

if TYPE_CHECKING:
    from torch import Tensor

DIGEST = "tensors_sha256"  # among the metadata of a file of weights

Plain = str | int | float | bool | None


def write(path: Path, state: Mapping[str, Any]) -> None:
    """Write `state` to `path`, replacing what is there in one step; SuiteError where it cannot, and what is there stays."""
    import torch

    with explain_unwritable(path.parent), replacing(path) as file:
        torch.save(dict(state), file)


def write_safetensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write named tensors and texts about them to `path` as safetensors, replacing what is there in one step."""
    from safetensors import torch as safetensors

    with explain_unwritable(path.parent), replacing(path) as file:
        file.write(safetensors.save(dict(tensors), dict(metadata)))


def read(path: Path) -> dict[str, Any]:
    """Read the tensors and plain values in the file `path`, anyone's; SuiteError for one that is not readable as such.

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
    _check_weights(state, path)
    return state


def _looks_like_safetensors(path: Path) -> bool:
    """Return True if the file begins as one does: the length of its header, then the header, which is JSON."""
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


def save_weights(path: Path, params: Mapping[str, Tensor], metadata: Mapping[str, Plain], *, averaged: bool = False) -> None:
    """Write the weights of a finished cell as what `--weights` reads: `params`, or `params_ema` for a moving average.

    The metadata get a sha256 of the tensors, which `read` verifies.
    """
    write(path, {"params_ema" if averaged else "params": dict(params), "metadata": {**metadata, DIGEST: tensors_sha256(params)}})


def tensors_sha256(tensors: Mapping[str, Tensor]) -> str:
    """Return the sha256 over names, types, shapes and bytes, whatever the order and the device."""
    import torch

    found = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        found.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        found.update(tensor.reshape(-1).view(torch.uint8).numpy())
    return found.hexdigest()


def _check_weights(state: Mapping[str, Any], path: Path) -> None:
    """Raise SuiteError where a file of `save_weights` holds other tensors than were written; torch itself does not look."""
    metadata = state.get("metadata")
    expected = metadata.get(DIGEST) if isinstance(metadata, dict) else None
    if expected is None:
        return
    params = state.get("params_ema", state.get("params", {}))
    if tensors_sha256(params) != expected:
        raise SuiteError(
            f"{path} is damaged: its tensors are not those that were written. Replace it or take it away.", exit=Exit.NOT_READY
        )


@contextlib.contextmanager
def explain_unwritable(folder: Path) -> Iterator[None]:
    """Make `folder`, and turn what fails in the block into a SuiteError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    except (OSError, RuntimeError) as error:  # torch reports a full disk as RuntimeError
        reason = error.strerror if isinstance(error, OSError) and error.strerror else f"{error}".strip().partition("\n")[0]
        raise SuiteError(
            f"{folder} cannot be written: {reason}. What was there before is untouched. Give it space or permission, or use another "
            "folder; the same command continues.",
            exit=Exit.NOT_READY,
        ) from error
