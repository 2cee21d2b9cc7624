"""Checksums of the files that a cell reads, by which a changed set is told from the one that a number or a checkpoint was made with.

A `Manifest` holds the sha256 of every file of one split of a set, by the file's name. A file is hashed once: `$SUITE_CACHE/digests/` keeps
what was found by the file's folder, name, size and times of change, and every manifest under its own sha256, so that the file that differs
can be named later. All of it is a copy: where it is removed or cannot be written, files are hashed again, and differences are only counted.

The embedded photographs belong to a package, which may pack them otherwise in another version: they are told by their pixels.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from models.cache import find_in_cache
from suite.core.errors import Exit, SuiteError
from suite.core.files import replacing, sha256_of
from suite.core.parallel import map_ordered, show_progress
from suite.data.cards import Split
from suite.data.digest import add_image
from suite.data.feed.training_set import checksum, pair_images, training_sources, without_low
from suite.data.images import read_image
from suite.data.pairs import PairSource, read_for
from suite.data.photos import list_photo_files
from suite.data.sets import embedded_name, pair_sources

if TYPE_CHECKING:
    from suite.study.protocols import Protocol
    from suite.study.tasks import Task

DIGESTS = "digests"  # the folder in the cache
Files = Mapping[str, str]  # sha256 by name: "hq/0001.png", "lq/0001x4.png"


@dataclass(frozen=True)
class Manifest:
    """The files of one split of a set, with their sha256."""

    files: Files

    @cached_property
    def sha256(self) -> str:
        """The digest of them all: over names and digests, sorted."""
        return hashlib.sha256(json.dumps(sorted(self.files.items())).encode()).hexdigest()


def make_manifest(set_or_folder: str, split: Split, task: Task, rule: Protocol) -> Manifest:
    """Return the manifest of what a cell reads of a set: for training, or for validation and test the pairs by `rule`.

    Low-quality files count where they are read. It is kept in the cache. Raises SuiteError where the files cannot be had.
    """
    embedded = embedded_name(set_or_folder) is not None
    if embedded:
        named = {f"hq/{path.name}": str(path) for path in list_photo_files(split)}
    else:
        named = _name_files(_sources(set_or_folder, split, task, rule))
    digests = _hash_files(dict.fromkeys(named.values()), pixels=embedded)
    manifest = Manifest({name: digests[path] for name, path in named.items()})
    _write_once(_place("sets", manifest.sha256), manifest.files)
    return manifest


def recall_files(sha256: str) -> Files | None:
    """Return the files of an earlier manifest; None where the cache has it no more."""
    held = _read(_place("sets", sha256))
    return held if held is not None and Manifest(held).sha256 == sha256 else None


def list_changes(split: Split, before: Files, now: Files) -> list[str]:
    """Return what differs, a file each: `hq/a.png of the test images (changed)`, or removed, or new."""
    changed = [(name, "changed") for name in before if name in now and now[name] != before[name]]
    removed = [(name, "removed") for name in before if name not in now]
    new = [(name, "new") for name in now if name not in before]
    return [f"{name} of the {split} images ({what})" for name, what in (*changed, *removed, *new)]


def count_changes(changes: Sequence[str]) -> str:
    """Return the changes in a few words: how many files, and the first."""
    return f"{len(changes)} {'file differs' if len(changes) == 1 else 'files differ'}, e.g. {changes[0]}"


def check_same_files(before: Mapping[Split, Files], now: Mapping[Split, Files], whose: str, fresh: str) -> None:
    """Raise SuiteError where a split that both have is of other files; `fresh` says how to begin anew.

    `before` is empty in a checkpoint of a suite that kept no checksums.
    """
    changes = [change for split, files in now.items() if split in before for change in list_changes(split, before[split], files)]
    if changes:
        raise SuiteError(
            f"the data of {whose} are not those that it began with: {count_changes(changes)}. Put the old data back and run the same "
            f"command, or begin anew with the new data: {fresh}.",
            exit=Exit.NOT_READY,
        )


def digest_pixels(set_or_folder: str, split: Split, task: Task, rule: Protocol, manifest: Manifest) -> str:
    """Return the checksum over names and pixels that a record holds of a split (`checksum`); kept in the cache by the manifest.

    Raises SuiteError where an image cannot be read.
    """
    key = hashlib.sha256("\0".join((manifest.sha256, split, task.name, rule.key)).encode()).hexdigest()
    place = _place("pixels", key)
    held = _read(place)
    if held is not None and "pixels" in held:
        return held["pixels"]
    sources = _sources(set_or_folder, split, task, rule)
    if split == "train":
        digest, paired = hashlib.sha256(), any(source.lq is not None for source in sources)
        ordered = sorted(sources, key=lambda one: one.name)
        read = map_ordered(lambda source: _read_target(source, paired), ordered)  # a few at a time: the set may not fit in memory
        for source, image in zip(ordered, show_progress(read, len(ordered), "images compared with an old record"), strict=True):
            add_image(digest, source.name, image)
        found = digest.hexdigest()
    else:
        found = checksum(pair_images([source.load() for source in sources]))
    _write(place, {"pixels": found})
    return found


def _sources(set_or_folder: str, split: Split, task: Task, rule: Protocol) -> list[PairSource]:
    """Return the images of a split, without low-quality files that are not read."""
    if split == "train":
        return training_sources(set_or_folder, task)
    sources = pair_sources(set_or_folder, split, task, rule)
    made = rule.lowres == "float-y" and task.scale > 1  # as in PairSource.load
    return without_low(sources) if made else sources


def _read_target(source: PairSource, paired: bool) -> np.ndarray:
    """Read the target of a training image as `load_training` does."""
    if paired:
        return source.load().hq
    return source.hq if isinstance(source.hq, np.ndarray) else read_for(source.hq, source.task)


def _name_files(sources: Iterable[PairSource]) -> dict[str, str]:
    """Return the path of every file of the sources, by a name that does not depend on where the set lies."""
    named: dict[str, str] = {}
    for source in sources:
        inside = f"{source.name.rpartition('/')[0]}/" if "/" in source.name else ""
        for side, file in (("hq", source.hq), ("lq", source.lq)):
            if isinstance(file, Path):
                path = str(file)
                if named.setdefault(f"{side}/{inside}{file.name}", path) != path:  # two folders of one set have a file of this name
                    named[f"{side}/{source.name}{file.suffix}"] = path
    return named


def _hash_files(paths: Iterable[str], *, pixels: bool) -> dict[str, str]:
    """Return the digest of each file, or of its `pixels`; only those are read that are not in the cache as they are now."""
    hash_one = _hash_pixels if pixels else _hash_bytes
    folders: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for path in paths:
        folder, _, name = path.rpartition(os.sep)
        folders[folder].append((name, path))
    found: dict[str, str] = {}
    for folder, inside in folders.items():
        key = hashlib.sha256(os.fsencode(os.path.abspath(folder))).hexdigest()[:32]  # noqa: PTH100
        place = _place("pixels of files" if pixels else "files", key)
        held = _read(place) or {}
        missing: dict[str, tuple[str, str]] = {}  # name and stamp by path
        for name, path in inside:
            stamp, known = _stamp(path), held.get(name, "")
            if known.startswith(stamp):
                found[path] = known[len(stamp) :]
            else:
                missing[path] = name, stamp
        hashed = map_ordered(hash_one, map(Path, missing))
        for (path, (name, stamp)), digest in zip(missing.items(), show_progress(hashed, len(missing), "files hashed"), strict=True):
            found[path], held[name] = digest, stamp + digest
        if missing:
            _write(place, held)
    return found


def _stamp(path: str) -> str:
    """Return size and times of change. The second time is the system's own, which copying a file over with its old time does not keep."""
    try:
        state = os.stat(path)  # noqa: PTH116 a hundred thousand of them, of which no Path is made
    except OSError as error:
        raise SuiteError(f"{path} cannot be read: {error.strerror or error}.", exit=Exit.NOT_READY) from error
    return f"{state.st_size} {state.st_mtime_ns} {state.st_ctime_ns} "


def _hash_bytes(path: Path) -> str:
    try:
        return sha256_of(path)
    except OSError as error:
        raise SuiteError(f"{path} cannot be read: {error.strerror or error}.", exit=Exit.NOT_READY) from error


def _hash_pixels(path: Path) -> str:
    digest = hashlib.sha256()
    add_image(digest, "", read_image(path))
    return digest.hexdigest()


def _place(kind: str, key: str) -> Path | None:
    """Return the cache's file of a kind; None where there is no cache."""
    return find_in_cache(DIGESTS, kind, f"{key}.json")


def _read(place: Path | None) -> dict[str, str] | None:
    """Return what a file of the cache holds; None where it is not there or damaged."""
    if place is None:
        return None
    try:
        held = json.loads(place.read_bytes())
    except (OSError, ValueError):
        return None
    sound = isinstance(held, dict) and all(isinstance(value, str) for value in held.values())
    return held if sound else None


def _write(place: Path | None, held: Mapping[str, str]) -> None:
    if place is None:
        return
    with contextlib.suppress(OSError), replacing(place) as file:  # it is a copy, and saves time alone
        file.write(_encode(held))


def _write_once(place: Path | None, held: Mapping[str, str]) -> None:
    """Write what is always the same under its key, unless it is there, whole."""
    with contextlib.suppress(OSError):
        if place is None or place.read_bytes() == _encode(held):
            return
    _write(place, held)


def _encode(held: Mapping[str, str]) -> bytes:
    return json.dumps(held, separators=(",", ":"), sort_keys=True).encode()
