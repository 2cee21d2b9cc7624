"""Files of tensors: written whole or not at all, read without running anything they contain."""

from __future__ import annotations

import contextlib
import hashlib
import re
import warnings
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from suite.core.errors import Exit, SuiteError
from suite.core.files import replacing
from suite.core.foreign import explain_foreign

if TYPE_CHECKING:
    from torch import Tensor

DIGEST = "tensors_sha256"  # among the metadata of a file of weights

Plain = str | int | float | bool | None

# What trainings leave beside tensors and is no program: numbers of NumPy's, options, paths, dates.
BYSTANDERS = (
    *(f"numpy.{core}.multiarray.{name}" for core in ("core", "_core") for name in ("scalar", "_reconstruct")),
    *(f"numpy.dtypes.{name}DType" for name in ("Float64", "Float32", "Float16", "Int64", "Int32", "UInt8", "Bool", "Str")),
    *("numpy.dtype", "numpy.ndarray", "argparse.Namespace", "types.SimpleNamespace", "datetime.datetime", "typing.Any"),
    *(f"omegaconf.{name}" for name in ("dictconfig.DictConfig", "listconfig.ListConfig", "nodes.AnyNode")),
    *(f"omegaconf.base.{name}" for name in ("ContainerMetadata", "Metadata")),
    *(
        f"{module}.{name}"
        for module in ("pathlib", "pathlib._local")  # of a Python from 3.13 on
        for name in ("PosixPath", "WindowsPath", "PurePosixPath", "PureWindowsPath", "Path")
    ),
)


# Their mappings of options, which become plain ones.
MAPPINGS = (
    *("easydict.EasyDict", "addict.addict.Dict", "yacs.config.CfgNode", "pytorch_lightning.utilities.parsing.AttributeDict"),
    *("lightning_fabric.utilities.data.AttributeDict", "lightning.fabric.utilities.data.AttributeDict"),
)


class Bystander:
    """Stands for an object in a file that is neither a tensor nor a plain value; nothing of what it was is kept."""

    def __new__(cls, *_arguments: object) -> Bystander:
        """Return an empty one, whatever the file calls it with."""
        return super().__new__(cls)

    def __setstate__(self, _state: object) -> None:
        pass


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
    """Read the tensors and plain values in the file `path`, anyone's; SuiteError says what the file is that holds none.

    A safetensors file gives its tensors, under the key that its metadata names, if any, and its metadata as `metadata`. A list gives its
    members by their places, "0" and on. Nothing that the file asks for is run: objects of BYSTANDERS become empty ones of our own.
    """
    import torch

    try:
        if foreign := explain_foreign(path):
            raise SuiteError(foreign, exit=Exit.NOT_READY)
        if _is_safetensors(path):
            return _read_safetensors(path)
        allowed = [*((Bystander, name) for name in BYSTANDERS), *((OrderedDict, name) for name in MAPPINGS)]
        with path.open("rb") as file, torch.serialization.safe_globals(allowed), warnings.catch_warnings(action="ignore"):
            state = torch.load(file, map_location="cpu", weights_only=True)  # by what is in the file, not by its name
    except SuiteError:
        raise
    except OSError as error:
        raise SuiteError(f"{path} cannot be read: {error.strerror or error}.", exit=Exit.NOT_READY) from error
    except Exception as error:  # a file of another kind fails inside the unpickler in any way
        asked = re.search(r"GLOBAL ([\w.]+)", str(error))
        if asked:
            raise SuiteError(
                f"{path} asks for {asked[1]} beside its tensors. Reading it could run code, so that it is refused, and nothing of it was "
                "run. Ask for a file of tensors alone: the state dict of the network, e.g. as safetensors.",
                exit=Exit.NOT_READY,
            ) from error
        raise _unreadable(path, error) from error
    if isinstance(state, list | tuple) and any(isinstance(member, dict | list | tuple) for member in state):
        state = {str(place): member for place, member in enumerate(state)}
    if not isinstance(state, dict):
        raise SuiteError(f"{path} holds a {type(state).__name__}, not named tensors.", exit=Exit.NOT_READY)
    _check_weights(state, path)
    return state


def _is_safetensors(path: Path) -> bool:
    """Return True if the file begins as one does: the length of its header, then the header, which is JSON."""
    with path.open("rb") as file:
        head = file.read(9)
    return head[8:] == b"{" and int.from_bytes(head[:8], "little") <= path.stat().st_size - 8


def _read_safetensors(path: Path) -> dict[str, Any]:
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        metadata = dict(file.metadata() or {})
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is not a mapping
    held = {metadata["key"]: tensors} if metadata.get("key") else tensors
    return {**held, "metadata": metadata} if metadata else held


def _unreadable(path: Path, error: Exception) -> SuiteError:
    what = f"{path} ({path.stat().st_size:,} bytes) is damaged, or not a checkpoint of tensors ({type(error).__name__})"
    return SuiteError(f"{what}. Download or copy it again, or take it away.", exit=Exit.NOT_READY)


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
