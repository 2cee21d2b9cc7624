"""Checkpoints of a training run: written whole or not at all, checked on reading, read without running anything they contain.

The name of a checkpoint holds its iteration, its score and the sha256 of its content. So content, order and check come into being by
one rename, and there is no second file that could be older, newer or torn; clocks play no part. `save` and `load` are the layout of one
file, `checkpoint.pt`, which `Checkpoints` still reads.
"""

from __future__ import annotations

import contextlib
import hashlib
import math
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from suite.errors import Exit, SuiteError

if TYPE_CHECKING:
    from torch import Tensor

FILE = "checkpoint.pt"
NAME = re.compile(r"checkpoint-(?P<iteration>\d{9,})(?:-score(?P<score>-?(?:inf|[\d.]+(?:e[+-]?\d+)?)))?-(?P<sha256>[0-9a-f]{64})\.pt")
TEMPORARY = ".new-"  # begins the name of a file that is being written
ASIDE = ".damaged"  # ends the name of one that failed its check
PROBE_BYTES = 2**16
DIGEST = "tensors_sha256"  # among the metadata of a file of weights

Plain = str | int | float | bool | None


@dataclass(frozen=True)
class Saved:
    """A checkpoint, as its name describes it; `sha256` is empty for the layout of one file, which has none."""

    path: Path
    iteration: int = -1
    score: float | None = None
    sha256: str = ""


@dataclass(frozen=True)
class Checkpoints:
    """The checkpoints of one cell in `folder`: the last `keep`, and the one with the highest score."""

    folder: Path
    fingerprint: str
    keep: int = 2

    def save(self, iteration: int, state: Mapping[str, Any], score: float | None = None) -> Path:
        """Adds the checkpoint of `iteration`, and only then removes what is not kept; a score that is no number is none.

        SuiteError where it cannot be written; those that are there stay as they are.
        """
        scored = "" if score is None or math.isnan(score) else f"-score{float(score)!r}"
        temporary = self.folder / f"{TEMPORARY}{iteration}"
        with _written(self.folder, temporary):
            _write(temporary, {**state, "fingerprint": self.fingerprint, "iteration": iteration})
            path = self.folder / f"checkpoint-{iteration:09d}{scored}-{_sha256(temporary)}.pt"
            temporary.replace(path)
            _sync(self.folder)
            self._remove_old(path)
        return path

    def latest(self, on_damaged: Callable[[str], None]) -> dict[str, Any] | None:
        """The newest state that is whole, or None where there is no checkpoint at all.

        One that is damaged is put aside, and `on_damaged` is told which, why, and what is used instead. SuiteError where none is
        whole, or where it is another cell's.
        """
        damaged: list[tuple[Saved, str]] = []
        for saved in sorted(self.files(), key=lambda one: one.iteration, reverse=True):
            try:
                state = self._checked(saved)
            except _Damaged as error:
                damaged.append((saved, str(error)))
                continue
            for bad, why in damaged:
                on_damaged(self._put_aside(bad, why, f"{saved.path.name} (iteration {state.get('iteration')})"))
            return state
        left = sorted(path.name for path in self.folder.glob("checkpoint*"))
        if not left:
            return None
        reasons = "; ".join(f"{bad.path.name}: {why}" for bad, why in damaged) or f"found {', '.join(left)}"
        raise SuiteError(
            f"no checkpoint in {self.folder} can be used ({reasons}). Put a good copy back, or remove the folder to train from the start.",
            exit=Exit.NOT_READY,
        )

    def best(self) -> dict[str, Any] | None:
        """The state with the highest score, or None where none was scored; SuiteError where it is damaged."""
        saved = _highest(self.files())
        if saved is None:
            return None
        try:
            return self._checked(saved)
        except _Damaged as error:
            raise SuiteError(
                f"{saved.path}, the best checkpoint, is damaged ({error}). Put a good copy back.", exit=Exit.NOT_READY
            ) from error

    def files(self) -> list[Saved]:
        """What is there, whole or not, without looking inside; by iteration."""
        found = [Saved(self.folder / FILE)] if (self.folder / FILE).is_file() else []
        for path in self.folder.glob("checkpoint-*.pt"):
            match = NAME.fullmatch(path.name)
            if match:
                score = None if match["score"] is None else float(match["score"])
                found.append(Saved(path, int(match["iteration"]), score, match["sha256"]))
        return sorted(found, key=lambda one: (one.iteration, one.path.name))

    def _checked(self, saved: Saved) -> dict[str, Any]:
        try:
            if saved.sha256 and _sha256(saved.path) != saved.sha256:
                raise _Damaged("its content has not the sha256 in its name: it was cut short or changed")
            state = read(saved.path)
        except OSError as error:
            raise _Damaged(f"it cannot be read: {error.strerror or error}") from error
        except SuiteError as error:
            raise _Damaged(f"{error}") from error
        return _own(state, saved.path, self.fingerprint)

    def _put_aside(self, bad: Saved, why: str, instead: str) -> str:
        aside = bad.path.with_name(bad.path.name + ASIDE)
        with _written(self.folder):
            bad.path.rename(aside)
        return f"the checkpoint {bad.path} is damaged ({why}). {instead} is used instead; the damaged file is now {aside.name}."

    def _remove_old(self, newest: Path) -> None:
        files = self.files()
        others = [saved for saved in files if saved.path != newest]
        kept = {newest, *(saved.path for saved in others[len(others) - (self.keep - 1) :])}
        best = _highest(files)
        for saved in files:
            if saved.path not in kept and saved is not best:
                saved.path.unlink(missing_ok=True)
        for torn in self.folder.glob(f"{TEMPORARY}*"):
            torn.unlink(missing_ok=True)


class _Damaged(Exception):
    """Why a checkpoint cannot be used."""


def prove_writable(folder: Path, needed_bytes: int) -> None:
    """SuiteError, before there is work to lose, where `folder` cannot take `needed_bytes`; a quota shows itself in writing alone."""
    with _written(folder):
        free = shutil.disk_usage(folder).free
        descriptor, name = tempfile.mkstemp(prefix=TEMPORARY, dir=folder)
        try:
            os.write(descriptor, bytes(min(needed_bytes, PROBE_BYTES)))
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
            Path(name).unlink()
    if free < needed_bytes:
        raise SuiteError(
            f"{folder} has {free / 2**20:.0f} MiB free and the checkpoints need {needed_bytes / 2**20:.0f} MiB. "
            "Free space there, or use another ledger with --ledger DIR.",
            exit=Exit.NOT_READY,
        )


def save(folder: Path, state: dict[str, Any]) -> None:
    """Writes `state` (tensors, numbers, texts, lists and dicts of them) as the one checkpoint of `folder`, replacing it in one step."""
    write(folder / FILE, state)


def load(folder: Path, fingerprint: str) -> dict[str, Any] | None:
    """The one checkpoint of `folder`, or None where there is none; SuiteError for one that is damaged or of another cell."""
    path = folder / FILE
    return _own(read(path), path, fingerprint) if path.is_file() else None


def write(path: Path, state: Mapping[str, Any]) -> None:
    """Writes `state` to `path`, replacing what is there in one step; SuiteError where it cannot, and what is there stays."""
    temporary = path.with_name(f"{TEMPORARY}{path.name}")
    with _written(path.parent, temporary):
        _write(temporary, dict(state))
        temporary.replace(path)
        _sync(path.parent)


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
    _check_weights(state, path)
    return state


def save_weights(path: Path, params: Mapping[str, Tensor], metadata: Mapping[str, Plain], *, averaged: bool = False) -> None:
    """Writes the weights of a finished cell as what `--weights` reads: `params`, or `params_ema` for a moving average.

    The metadata get a sha256 of the tensors, which `read` verifies.
    """
    write(path, {"params_ema" if averaged else "params": dict(params), "metadata": {**metadata, DIGEST: tensors_sha256(params)}})


def tensors_sha256(tensors: Mapping[str, Tensor]) -> str:
    """sha256 over names, types, shapes and bytes, whatever the order and the device."""
    import torch

    found = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        found.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        found.update(tensor.reshape(-1).view(torch.uint8).numpy())
    return found.hexdigest()


def _check_weights(state: Mapping[str, Any], path: Path) -> None:
    """SuiteError where a file of `save_weights` holds other tensors than were written; torch itself does not look."""
    metadata = state.get("metadata")
    expected = metadata.get(DIGEST) if isinstance(metadata, dict) else None
    if expected is None:
        return
    params = state.get("params_ema", state.get("params", {}))
    if tensors_sha256(params) != expected:
        raise SuiteError(
            f"{path} is damaged: its tensors are not those that were written. Replace it or take it away.", exit=Exit.NOT_READY
        )


def _own(state: dict[str, Any], path: Path, fingerprint: str) -> dict[str, Any]:
    found = state.get("fingerprint")
    if found != fingerprint:
        what = f"{path} belongs to the cell {found}, not to {fingerprint}"
        raise SuiteError(f"{what}. Remove it to train from the start.", exit=Exit.NOT_READY)
    return state


def _highest(files: list[Saved]) -> Saved | None:
    """The earliest with the highest score."""
    return max((saved for saved in files if saved.score is not None), key=lambda saved: (saved.score, -saved.iteration), default=None)


@contextlib.contextmanager
def _written(folder: Path, temporary: Path | None = None) -> Iterator[None]:
    """Makes `folder`; turns what fails in the block into a SuiteError, and gives the space of `temporary` back."""
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
    finally:
        if temporary is not None:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)


def _write(path: Path, state: dict[str, Any]) -> None:
    """Writes and syncs one file."""
    import torch

    with path.open("wb") as file:
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    """Makes renames in `folder` outlive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
