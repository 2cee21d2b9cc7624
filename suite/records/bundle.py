"""Bundles: records with what was computed of them, in one archive that others can check (`python -m suite bundle` and `verify`).

    manifest.json            name, size and sha256 of every other file
    results.json             what was computed of the records, and by which code (suite.report.recompute)
    records/<its file>.json  a record as in the ledger: spec, image by image, digests of data and weights, commit, packages, protocol

Pictures are left out: no number rests on them, and not every image may be passed on. What tells who or where its maker is, is taken out.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from suite.core.archive import read_archive, write_archive
from suite.core.errors import Exit, SuiteError
from suite.core.output import printable
from suite.core.redaction import redact
from suite.records.evidence import with_pictures
from suite.records.ledger import entry_of
from suite.records.load import load
from suite.records.record import Attempt, dump

FORMAT, BUNDLE_SCHEMA = "bundle of state-space restoration results", 1
MANIFEST, RESULTS, RECORDS = "manifest.json", "results.json", "records/"
# words of the suite, names of images and digests: what holds them tells nothing of a person, and is no longer itself where it is changed
WORDS = frozenset(
    (
        *("kind", "status", "fingerprint", "model", "task", "budget", "backend", "device", "dtype", "protocol", "recipe", "metrics"),
        *("names", "state", "tile", "routing", "loss", "optimiser", "first_weights", "degrade_on", "verdict", "path", "work", "caches"),
        *("image", "scores", "cost", "card", "statement", "packages", "split", "commit", "sha256", "data_digest", "map_png"),
    )
)
FIELD = re.compile(r"[\w.@-]+")  # a key of JSON that is a word; another may hold a folder, as in "test (/home/...)"
NAMED = 3  # files in a message


@dataclass(frozen=True)
class Bundle:
    """What an archive holds; every file has its sha256."""

    path: Path
    records: Mapping[str, Attempt]  # by file
    texts: Mapping[str, str]  # of these files
    results: Mapping[str, Any]
    files: int


class ChangedBundle(SuiteError):
    """Says which files of a bundle are not what its manifest says."""

    def __init__(self, path: Path, what: Iterable[str]) -> None:
        found = list(what)
        more = f"; and {len(found) - NAMED} more" if len(found) > NAMED else ""
        super().__init__(f"{path} was changed: {printable('; '.join(found[:NAMED]))}{more}. Ask for it anew.", exit=Exit.DRIFT)


def prepare_records(records: Iterable[Attempt]) -> tuple[dict[str, str], dict[str, list[str]]]:
    """Return the texts of the records' files by name, without pictures and what is private, and the fields that were changed for that."""
    texts, changed = {}, {}
    for record in records:
        name = f"{RECORDS}{record.fingerprint}.{record.attempt:03d}.{record.status}.json"
        texts[name], fields = _redacted(with_pictures(record, ()))
        if fields:
            changed[name] = fields
    return texts, changed


def parse_records(texts: Mapping[str, str], origin: str) -> dict[str, Attempt]:
    """Return the records of the files by name, in the order of the names; SuiteError where one cannot be read or has another's name."""
    found = {}
    for name in sorted(texts):
        record = load(texts[name], origin=f"{origin}: {name}")
        entry = entry_of(Path(name))
        if entry is None or (entry.fingerprint, entry.attempt, entry.status) != (record.fingerprint, record.attempt, record.status):
            raise SuiteError(f"{origin}: {name} holds attempt {record.attempt} of cell {record.fingerprint}.", exit=Exit.DRIFT)
        found[name] = record
    return found


def write_bundle(path: Path, texts: Mapping[str, str], results: Mapping[str, Any]) -> int:
    """Write the archive, and return the number of its files; SuiteError where it cannot be written."""
    files = {name: text.encode() for name, text in texts.items()} | {RESULTS: _dumped(results)}
    manifest = {"format": FORMAT, "schema_version": BUNDLE_SCHEMA, "files": {name: _about(files[name]) for name in sorted(files)}}
    try:
        write_archive(path, files | {MANIFEST: _dumped(manifest)})
    except OSError as error:
        raise SuiteError(f"{path} cannot be written: {error.strerror or error}. Choose another OUT.", exit=Exit.NOT_READY) from error
    return len(files) + 1


def read_bundle(path: Path) -> Bundle:
    """Return what the bundle at `path` holds, each file held to its sha256.

    `ChangedBundle` names the files that have another, `ArchiveRefused` what an archive may not hold; both have Exit.DRIFT.
    """
    files = read_archive(path)
    manifest = _read_json(path, MANIFEST, files.pop(MANIFEST, b""))
    _check_manifest(path, manifest)
    wanted, found = manifest["files"], {name: _about(data) for name, data in files.items()}
    problems = [f"{name} is missing" for name in wanted if name not in found]
    problems += [
        f"{name} has the sha256 {about['sha256']} ({about['bytes']:,} bytes), and the manifest says {_shown(wanted[name])}"
        for name, about in found.items()
        if name in wanted and about != wanted[name]
    ]
    problems += [f"{name} is in no line of the manifest" for name in found if name not in wanted]
    if problems:
        raise ChangedBundle(path, problems)
    results = _read_json(path, RESULTS, files.pop(RESULTS, b""))
    if strange := [name for name in files if not name.startswith(RECORDS)]:
        raise ChangedBundle(path, [f"{name} is no file of a bundle" for name in strange])
    try:
        texts = {name: data.decode() for name, data in files.items()}
        for name, text in texts.items():
            _parse(text, name)
    except ValueError as error:
        raise ChangedBundle(path, [str(error)]) from error
    return Bundle(path, parse_records(texts, str(path)), texts, results, len(found) + 1)


def _check_manifest(path: Path, manifest: Mapping[str, Any]) -> None:
    """Refuse a manifest of another program or of a newer suite; there is one way to write each part of it."""
    known = set(manifest) == {"format", "schema_version", "files"} and isinstance(manifest["schema_version"], int)
    if not known or manifest["format"] != FORMAT:
        raise ChangedBundle(path, [f"its {MANIFEST} is not one of a bundle"])
    if manifest["schema_version"] != BUNDLE_SCHEMA:
        raise SuiteError(
            f"{path} is a bundle of schema {manifest['schema_version']}, and this suite reads {BUNDLE_SCHEMA}. Update the checkout.",
            exit=Exit.NOT_READY,
        )
    if not isinstance(manifest.get("files"), dict) or RESULTS not in manifest["files"]:
        raise ChangedBundle(path, [f"its {MANIFEST} does not name {RESULTS}"])


def _about(data: bytes) -> dict[str, object]:
    return {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def _shown(said: object) -> str:
    if not isinstance(said, dict) or not isinstance(said.get("bytes"), int):
        return repr(said)
    return f"{said.get('sha256')} ({said['bytes']:,} bytes)"


def _dumped(value: object) -> bytes:
    return (json.dumps(value, indent=1, ensure_ascii=True, allow_nan=False) + "\n").encode()


def _read_json(path: Path, name: str, data: bytes) -> dict[str, Any]:
    """Return the object in a file that this module wrote: read and written again, it must be the same bytes."""
    try:
        value = _parse(data.decode(), name)
        if isinstance(value, dict) and _dumped(value) == data:
            return value
    except (ValueError, RecursionError) as error:
        raise ChangedBundle(path, [f"{name} cannot be read ({error})"]) from error
    raise ChangedBundle(path, [f"{name} is not written as a bundle's"])


def _parse(text: str, name: str) -> object:
    """Parse JSON whose objects hold no name twice; ValueError says which does, or that it is nested too deeply."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        held = dict(pairs)
        if len(held) < len(pairs):
            raise ValueError(f"{name} holds a name twice")
        return held

    try:
        return json.loads(text, object_pairs_hook=once)
    except RecursionError as error:
        raise ValueError(f"{name} is nested too deeply") from error


def _redacted(record: Attempt) -> tuple[str, list[str]]:
    """Return the record's text without what tells who or where its maker is, and the fields in which something was taken out."""
    raw = json.loads(dump(record))
    clean: dict[str, str] = {}
    private = dict.fromkeys(text for text in _private_texts(raw, ""))
    lines = [text for text in private if "\n" not in text]
    clean |= zip(lines, redact("\n".join(lines)).split("\n"), strict=True)
    clean |= {text: redact(text) for text in private if "\n" in text}
    changed: list[str] = []
    value = _replaced(raw, clean, "", changed)
    return json.dumps(value, indent=1, ensure_ascii=True, allow_nan=False) + "\n", changed


def _private_texts(value: object, name: str) -> Iterable[str]:
    if name in WORDS:
        return
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, held in value.items():
            if not FIELD.fullmatch(key):
                yield key
            yield from _private_texts(held, key)
    elif isinstance(value, list):
        for held in value:
            yield from _private_texts(held, name)


def _replaced(value: Any, clean: Mapping[str, str], where: str, changed: list[str]) -> Any:  # noqa: ANN401 - JSON
    """Return `value` with its private texts as `clean` has them, and add where they stood to `changed`."""
    if where.rpartition(".")[2] in WORDS:
        return value
    if isinstance(value, str):
        changed += [where] if clean[value] != value else []
        return clean[value]
    if isinstance(value, list):
        return [_replaced(held, clean, where, changed) for held in value]
    if isinstance(value, dict):
        changed += [f"{where}.*" for key in value if clean.get(key, key) != key]
        return {clean.get(key, key): _replaced(held, clean, f"{where}.{key}".strip("."), changed) for key, held in value.items()}
    return value
