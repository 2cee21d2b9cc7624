"""The storage of checkpoints that several workers make: a folder that all machines have, or what pyarrow opens by a URI, s3://... for one.

Ray Train keeps a folder a cell there, with a folder a checkpoint and a snapshot of its own that names those that count. It writes the
snapshot in place: where that is broken off, it is torn, and Ray would refuse the folder for ever. `mended` then goes by the checkpoints
themselves.

    mended   before a training: what it goes on from where Ray cannot tell
    kept     a checkpoint by the name of its folder
    clear    after it: removes what finished cells have there
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Set
from pathlib import Path
from typing import TYPE_CHECKING

from suite.core.errors import Exit, SuiteError
from suite.training import checkpoints

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem
    from ray.train import Checkpoint

SNAPSHOT = "checkpoint_manager_snapshot.json"  # Ray's name for it
PREFIX = "checkpoint_"  # begins Ray's name for the folder of a checkpoint


def mended(place: str, name: str, fingerprint: str) -> tuple[str, list[str]]:
    """The folder of the checkpoint that the cell `name` goes on from where Ray cannot tell, else an empty text; and what was done.

    A snapshot that is torn, or names what is not there, is removed. Checkpoints that no snapshot names are those of runs that were killed:
    of them the newest that is whole stays, if there is no snapshot. SuiteError where the storage cannot be used.
    """
    try:
        system, folder = _opened(place, name)
        folders = _folders(system, folder)
        text = _snapshot(system, folder)
        named = None if text is None else _named(text)
        if named is not None and named <= folders:
            for extra in folders - named:
                system.delete_dir(f"{folder}/{extra}")
            return "", []
        said = []
        if text is not None:
            system.delete_file(f"{folder}/{SNAPSHOT}")
            said = ["Ray's list of checkpoints was torn, or named some that are gone, and is removed;"]
        best = _newest(system, folder, folders, fingerprint)
        for other in folders - {best}:
            system.delete_dir(f"{folder}/{other}")
        if not said and not best:
            return "", []
        return best, [*said, f"going on from the newest whole one, {best}" if best else "none is whole: the training begins anew"]
    except (OSError, ValueError) as error:  # pyarrow's own errors are of these kinds
        raise SuiteError(
            f"the checkpoints in {place}/{name} cannot be read ({error}). Give access, or take the folder away to begin anew.",
            exit=Exit.NOT_READY,
        ) from error


def kept(place: str, name: str, checkpoint_folder: str) -> Checkpoint | None:
    """The checkpoint of the cell `name` in `checkpoint_folder`; None where that is empty."""
    from ray.train import Checkpoint

    if not checkpoint_folder:
        return None
    system, folder = _opened(place, name)
    return Checkpoint(f"{folder}/{checkpoint_folder}", filesystem=system)


def clear(place: str, names: Set[str]) -> None:
    """Removes the checkpoints of the finished cells `names`, as far as they are there; SuiteError where that fails."""
    from pyarrow.fs import FileSelector, FileSystem

    left = set()
    try:
        system, folder = FileSystem.from_uri(place)
        found = system.get_file_info(FileSelector(folder.rstrip("/"), allow_not_found=True))  # one question, however many cells
        left = {info.base_name for info in found} & set(names)
        for name in sorted(left):
            system.delete_dir(f"{folder.rstrip('/')}/{name}")
            left.remove(name)
    except (OSError, ValueError) as error:  # pyarrow's own errors are of these kinds
        what = " ".join(sorted(left)) or "finished cells"
        raise SuiteError(
            f"the checkpoints of {what} in {place} cannot be removed now ({error}). Their records are in the ledger; the next run of the "
            "same command tries again.",
            exit=Exit.NOT_READY,
        ) from error


def _opened(place: str, name: str) -> tuple[FileSystem, str]:
    """The file system, as Ray Train finds it, and the path of the cell's folder in it."""
    from pyarrow.fs import FileSystem

    system, folder = FileSystem.from_uri(place)
    return system, f"{folder.rstrip('/')}/{name}"


def _folders(system: FileSystem, folder: str) -> set[str]:
    """Names of the folders of checkpoints."""
    from pyarrow.fs import FileSelector, FileType

    found = system.get_file_info(FileSelector(folder, allow_not_found=True))
    return {info.base_name for info in found if info.type == FileType.Directory and info.base_name.startswith(PREFIX)}


def _snapshot(system: FileSystem, folder: str) -> bytes | None:
    from pyarrow.fs import FileType

    path = f"{folder}/{SNAPSHOT}"
    if system.get_file_info(path).type == FileType.NotFound:
        return None
    with system.open_input_stream(path) as stream:
        return stream.read()


def _named(text: bytes) -> set[str] | None:
    """The checkpoints that a snapshot names; None for one that is torn."""
    try:
        held = json.loads(text)
        latest = held["latest_checkpoint_result"]
        return {one["checkpoint_dir_name"] for one in [*held["checkpoint_results"], *([latest] if latest else [])]}
    except (ValueError, KeyError, TypeError):
        return None


def _newest(system: FileSystem, folder: str, names: Set[str], fingerprint: str) -> str:
    """The whole checkpoint with the highest iteration, whatever the clock said when it was made; empty where none is whole."""
    from pyarrow.fs import LocalFileSystem, copy_files

    found = {}
    for name in names:
        with tempfile.TemporaryDirectory() as here:
            try:
                copy_files(f"{folder}/{name}", here, source_filesystem=system, destination_filesystem=LocalFileSystem())
                state = checkpoints.load(Path(here), fingerprint)
            except (OSError, SuiteError):
                continue  # cut short by the kill
            if state is not None:
                found[name] = state["iteration"]
    return max(found, key=lambda name: (found[name], name), default="")
