"""Checkpoints of a training run: written whole or not at all, and checked on reading (suite.core.tensors).

The name of a checkpoint holds its iteration, its score and the sha256 of its content. So content, order and check come into being by
one rename, and there is no second file that could be older, newer or torn; clocks play no part. `save` and `load` are the layout of one
file, `checkpoint.pt`, which `Checkpoints` still reads.
"""

from __future__ import annotations

import math
import os
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from suite.core.errors import Exit, SuiteError
from suite.core.files import TEMPORARY, put_in_place, sha256_of, temporary_file
from suite.core.tensors import explain_unwritable, read, write
from suite.data.digests import Files
from suite.records.spec import RunSpec

SINGLE_FILE = "checkpoint.pt"
CHECKPOINT_NAME = re.compile(
    r"checkpoint-(?P<iteration>\d{9,})(?:-score(?P<score>-?(?:inf|[\d.]+(?:e[+-]?\d+)?)))?-(?P<sha256>[0-9a-f]{64})\.pt"
)
ASIDE = ".damaged"  # ends the name of one that failed its check
PROBE_BYTES = 2**16


@dataclass(frozen=True)
class Saved:
    """A checkpoint, as its name describes it; `sha256` is empty for the layout of one file, which has none."""

    path: Path
    iteration: int = -1
    score: float | None = None
    sha256: str = ""


@dataclass(frozen=True)
class Checkpoints:
    """The checkpoints of one cell in `folder`: the last `keep`, and the one with the highest score, which is for people.

    Its name tells it, and `evaluate --weights` and `export` read it as they read any checkpoint; a cell's own numbers are of its last step.
    """

    folder: Path
    fingerprint: str
    keep: int = 2
    aliases: tuple[str, ...] = ()  # names that its own checkpoints may hold beside the fingerprint: suite.records.trainings

    def save(self, iteration: int, state: Mapping[str, Any], score: float | None = None) -> Path:
        """Add the checkpoint of `iteration`, and only then remove what is not kept; a score that is not a number counts as none.

        SuiteError where it cannot be written; those that are there stay as they are.
        """
        import torch

        scored = "" if score is None or math.isnan(score) else f"-score{float(score)!r}"
        with explain_unwritable(self.folder), temporary_file(self.folder) as file:
            torch.save({**state, "fingerprint": self.fingerprint, "iteration": iteration}, file)
            file.flush()
            path = self.folder / f"checkpoint-{iteration:09d}{scored}-{sha256_of(Path(file.name))}.pt"
            put_in_place(file, path)
            self._remove_old(path)
        return path

    def latest(self, on_damaged: Callable[[str], None]) -> dict[str, Any] | None:
        """Return the newest state that is whole, or None where there is no checkpoint at all.

        One that is damaged is put aside, and `on_damaged` hears which, why, and what is used instead. SuiteError where none is
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

    def files(self) -> list[Saved]:
        """List what is there, whole or not, without looking inside; by iteration."""
        found = [Saved(self.folder / SINGLE_FILE)] if (self.folder / SINGLE_FILE).is_file() else []
        for path in self.folder.glob("checkpoint-*.pt"):
            match = CHECKPOINT_NAME.fullmatch(path.name)
            if match:
                score = None if match["score"] is None else float(match["score"])
                found.append(Saved(path, int(match["iteration"]), score, match["sha256"]))
        return sorted(found, key=lambda one: (one.iteration, one.path.name))

    def _checked(self, saved: Saved) -> dict[str, Any]:
        try:
            if saved.sha256 and sha256_of(saved.path) != saved.sha256:
                raise _Damaged("its content does not have the sha256 in its name: it was cut short or changed")
            state = read(saved.path)
        except OSError as error:
            raise _Damaged(f"it cannot be read: {error.strerror or error}") from error
        except SuiteError as error:
            raise _Damaged(f"{error}") from error
        return _own(state, saved.path, self.fingerprint, self.aliases)

    def _put_aside(self, bad: Saved, why: str, instead: str) -> str:
        aside = bad.path.with_name(bad.path.name + ASIDE)
        with explain_unwritable(self.folder):
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


def prove_writable(folder: Path, needed_bytes: int, instead: str = "another ledger with --ledger DIR") -> None:
    """Raise SuiteError, before there is work to lose, where `folder` cannot take `needed_bytes`; a quota shows itself in writing alone.

    `instead` is what a user may choose in its place.
    """
    with explain_unwritable(folder):
        free = shutil.disk_usage(folder).free
        with temporary_file(folder) as file:
            file.write(bytes(min(needed_bytes, PROBE_BYTES)))
            file.flush()
            os.fsync(file.fileno())
    if free < needed_bytes:
        raise SuiteError(
            f"{folder} has {free / 2**20:.0f} MiB free and the checkpoints need {needed_bytes / 2**20:.0f} MiB. "
            f"Free space there, or use {instead}.",
            exit=Exit.NOT_READY,
        )


def save(folder: Path, state: dict[str, Any]) -> None:
    """Write `state` (tensors, numbers, texts, lists and dicts of them) as the one checkpoint of `folder`, replacing it in one step."""
    write(folder / SINGLE_FILE, state)


def load(folder: Path, fingerprint: str, aliases: Sequence[str] = ()) -> dict[str, Any] | None:
    """Read the one checkpoint of `folder`, or None where there is none; SuiteError for one that is damaged or of another cell."""
    path = folder / SINGLE_FILE
    return _own(read(path), path, fingerprint, aliases) if path.is_file() else None


def _own(state: dict[str, Any], path: Path, fingerprint: str, aliases: Sequence[str]) -> dict[str, Any]:
    if not any(state.get(name) in (fingerprint, *aliases) for name in ("fingerprint", "training")):
        what = f"{path} belongs to the cell {state.get('fingerprint')}, not to {fingerprint}"
        raise SuiteError(f"{what}. Remove it to train from the start.", exit=Exit.NOT_READY)
    return state


def _highest(files: list[Saved]) -> Saved | None:
    """Return the earliest with the highest score."""
    return max((saved for saved in files if saved.score is not None), key=lambda saved: (saved.score, -saved.iteration), default=None)


def own_files(state: Mapping[str, object], spec: RunSpec) -> dict[str, Files]:
    """Return the files that a checkpoint was made with, those of test images only where the same cell made it; none before schema 5."""
    held = state.get("files", {})
    return {split: files for split, files in held.items() if split != "test" or state["fingerprint"] == spec.fingerprint}
