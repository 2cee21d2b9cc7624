"""The storage of checkpoints that several workers make: a folder that all machines have, or what pyarrow opens by a URI, s3://... for one.

Ray Train keeps a folder a cell there, with a folder a checkpoint and a snapshot of its own that names those that count. It writes the
snapshot in place: where that is broken off, it is torn, and Ray would refuse the folder for ever. `mended` then goes by the checkpoints
themselves.

    prepare  before a training: the cell's folder
    mended   then: what it goes on from where Ray cannot tell
    kept     a checkpoint by the name of its folder
    clear    after it: removes what finished cells have there
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Sequence, Set
from pathlib import Path
from typing import TYPE_CHECKING

from suite.core.errors import Exit, SuiteError
from suite.training import checkpoints
from suite.training.ray_internals import CHECKPOINT_PREFIX, SNAPSHOT, named_checkpoints

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem
    from ray.train import Checkpoint

# pyarrow and Ray are imported in functions: every run imports this module, and only those with several workers have a storage.
STORAGE_ADVICE = "Give a folder that every machine has (--storage PATH), or a URI that pyarrow opens, such as s3://bucket/folder."


def prepare(place: str, name: str) -> None:
    """Make the folder of the cell `name`, and write there once; SuiteError where that cannot be."""
    try:
        system, folder = _open(place, name)
        system.create_dir(folder)
        with system.open_output_stream(f"{folder}/.written"):
            pass
        system.delete_file(f"{folder}/.written")
    except Exception as error:  # of pyarrow's, the system's or a cloud's library
        raise SuiteError(f"--storage {place} cannot be used: {error}. {STORAGE_ADVICE}", exit=Exit.NOT_READY) from error


def find_cell(place: str, names: Sequence[str]) -> str:
    """Return the first of `names` whose folder holds checkpoints; the first of all where none does, or the storage cannot be read yet."""
    for name in dict.fromkeys(names):
        with contextlib.suppress(OSError, ValueError):  # `prepare` says why
            system, folder = _open(place, name)
            if _folders(system, folder):
                return name
    return names[0]


def mend_folder(place: str, name: str, fingerprint: str, aliases: Sequence[str] = ()) -> tuple[str, list[str]]:
    """Clean the folder of the cell `name`; return the checkpoint that it goes on from where Ray cannot tell (or ""), and what was done.

    A snapshot that is torn, or names what is not there, is removed. Checkpoints that no snapshot names are those of runs that were killed:
    of them the newest that is whole stays, if there is no snapshot. SuiteError where the storage cannot be used.
    """
    try:
        system, folder = _open(place, name)
        folders = _folders(system, folder)
        text = _snapshot(system, folder)
        named = None if text is None else named_checkpoints(text)
        if named is not None and named <= folders:
            for extra in folders - named:
                system.delete_dir(f"{folder}/{extra}")
            return "", []
        said = []
        if text is not None:
            system.delete_file(f"{folder}/{SNAPSHOT}")
            said = ["Ray's list of checkpoints was torn, or named some that are gone, and is removed;"]
        best = _newest(system, folder, folders, (fingerprint, *aliases))
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


def open_checkpoint(place: str, name: str, checkpoint_folder: str) -> Checkpoint | None:
    """Return the checkpoint of the cell `name` in `checkpoint_folder`; None where that is empty."""
    from ray.train import Checkpoint

    if not checkpoint_folder:
        return None
    system, folder = _open(place, name)
    return Checkpoint(f"{folder}/{checkpoint_folder}", filesystem=system)


def remove_cells(place: str, names: Set[str]) -> None:
    """Remove the checkpoints of the finished cells `names`, as far as they are there; SuiteError where that fails."""
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


def _open(place: str, name: str) -> tuple[FileSystem, str]:
    """Return the file system, as Ray Train finds it, and the path of the cell's folder in it."""
    from pyarrow.fs import FileSystem

    system, folder = FileSystem.from_uri(place)
    return system, f"{folder.rstrip('/')}/{name}"


def _folders(system: FileSystem, folder: str) -> set[str]:
    """Return the names of the folders of checkpoints."""
    from pyarrow.fs import FileSelector, FileType

    found = system.get_file_info(FileSelector(folder, allow_not_found=True))
    return {info.base_name for info in found if info.type == FileType.Directory and info.base_name.startswith(CHECKPOINT_PREFIX)}


def _snapshot(system: FileSystem, folder: str) -> bytes | None:
    from pyarrow.fs import FileType

    path = f"{folder}/{SNAPSHOT}"
    if system.get_file_info(path).type == FileType.NotFound:
        return None
    with system.open_input_stream(path) as stream:
        return stream.read()


def _newest(system: FileSystem, folder: str, names: Set[str], owners: Sequence[str]) -> str:
    """Return the whole checkpoint with the highest iteration, whatever the clock said when it was made; empty where none is whole."""
    from pyarrow.fs import LocalFileSystem, copy_files

    found = {}
    for name in names:
        with tempfile.TemporaryDirectory() as here:
            try:
                copy_files(f"{folder}/{name}", here, source_filesystem=system, destination_filesystem=LocalFileSystem())
                state = checkpoints.load(Path(here), owners[0], owners)
            except (OSError, SuiteError):
                continue  # cut short by the kill
            if state is not None:
                found[name] = state["iteration"]
    return max(found, key=lambda name: (found[name], name), default="")
