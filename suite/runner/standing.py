"""How the selected cells stand: done, failed, new, or done with data that have changed since.

A cell is done where a record of it loads and its images are still those that the record's checksums are of. A record of before schema 5
holds checksums of pixels, and is compared by them. Where the data are not on this machine nothing can be compared, and the record counts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from suite.core.errors import SuiteError
from suite.core.look import one_look
from suite.core.output import note
from suite.data.cards import Split, card
from suite.data.digests import Manifest, count_changes, digest_pixels, list_changes, make_manifest, recall_files
from suite.data.layouts.locate import locate
from suite.data.sets import card_name, embedded_name, resolve_folder
from suite.records.ledger import Ledger
from suite.records.record import Record
from suite.records.spec import CellSpec, RunSpec
from suite.study.protocols import protocol
from suite.study.tasks import task

CHANGED = "data changed"  # the state of such a cell


@dataclass(frozen=True)
class Standing:
    """What is known of the selected cells before a run, by fingerprint."""

    states: Mapping[str, str]  # done, failed, new or CHANGED
    changed: Mapping[str, str]  # in words, of those whose data have changed
    retrained: frozenset[str] = frozenset()  # of these, those that were trained or validated with what has changed

    @property
    def done(self) -> frozenset[str]:
        """The cells that need nothing."""
        return frozenset(fingerprint for fingerprint, state in self.states.items() if state == "done")

    def note_changes(self, specs: Sequence[CellSpec], again: bool) -> None:
        """Note which done cells have other data now, and what to do."""
        for spec in specs:
            if spec.fingerprint in self.changed:
                verb = "trains and measures" if spec.fingerprint in self.retrained else "measures"
                what = "it is run again" if again else f"--again {verb} it with the new data; or put the old data back"
                note(f"{spec.label} ({spec.fingerprint}) was done before, but {self.changed[spec.fingerprint]}: {what}.")


def look_up(specs: Sequence[CellSpec], ledger: Ledger) -> Standing:
    """Return how the cells stand; records that do not load are noted, and so is what cannot be compared."""
    failed = {entry.fingerprint for entry in ledger.entries() if entry.status == "failed"}
    recorded = ledger.find_done([spec.fingerprint for spec in specs], lambda error: note(f"{error} It does not count as done."))
    data = _Data()
    changed: dict[str, str] = {}
    retrained = set()
    with one_look():  # cells of several tasks read one set
        for record in recorded.values():
            said, splits = data.find_change(record) if isinstance(record, Record) else ("", set())
            if splits:
                changed[record.fingerprint] = said
            if splits - {"test"}:
                retrained.add(record.fingerprint)
    data.note_unknown()
    states = {}
    for spec in specs:
        one = spec.fingerprint
        states[one] = CHANGED if one in changed else "done" if one in recorded else "failed" if one in failed else "new"
    return Standing(states, changed, frozenset(retrained))


@dataclass
class _Data:
    """The data sets as they are now, each looked at once."""

    manifests: dict[tuple[str, ...], Manifest | SuiteError] = field(default_factory=dict)
    unknown: dict[str, set[str]] = field(default_factory=dict)  # cells that could not be compared, by why

    def find_change(self, record: Record) -> tuple[str, set[Split]]:
        """Return in words what has changed of the record's data, and of which splits; none where nothing has, or that cannot be told."""
        splits: set[Split] = set()
        held = {one.split: one.sha256 for one in record.data_files}
        pixels = record.provenance.data_checksums if record.provenance else {}
        changes: list[str] = []
        vague: list[str] = []
        for split, name in record.spec.sets.items():
            pixels_before = pixels.get(f"{split} ({name})", "")
            if not (split in held or pixels_before):
                continue
            try:
                found, said = self._compare(record.spec, split, name, held.get(split, ""), pixels_before)
            except SuiteError as error:
                if not _is_here(record.spec, name):
                    self.unknown.setdefault(str(error), set()).add(record.fingerprint)
                    continue
                found, said = [], f"the {split} set {name!r} is not whole ({error})"
            changes += found
            vague += [said] if said else []
            if found or said:
                splits.add(split)
        return "its data changed: " + "; ".join([*([count_changes(changes)] if changes else []), *vague]), splits

    def _compare(self, spec: RunSpec, split: Split, name: str, before: str, pixels: str) -> tuple[list[str], str]:
        """Return the files that differ, and in words what differs where those are not known."""
        now = self._manifest(spec, split, name)
        if before:
            if now.sha256 == before:
                return [], ""
            files = recall_files(before)
            if files is not None:
                return list_changes(split, files, now.files), ""
            return [], f"the {split} images of {name!r} are {len(now.files)} files with other checksums; which differ is not known any more"
        found = digest_pixels(name, split, task(spec.task), protocol(spec.protocol), now)
        return [], "" if found == pixels else f"the {split} images of {name!r} do not have the checksum that the record holds"

    def _manifest(self, spec: RunSpec, split: Split, name: str) -> Manifest:
        key = (name, split, spec.task, spec.protocol)
        if key not in self.manifests:
            try:
                self.manifests[key] = make_manifest(name, split, task(spec.task), protocol(spec.protocol))
            except SuiteError as error:
                self.manifests[key] = error
        found = self.manifests[key]
        if isinstance(found, SuiteError):
            raise found
        return found

    def note_unknown(self) -> None:
        """Note of which cells the data cannot be compared."""
        for why, cells in self.unknown.items():
            note(f"{len(cells)} done {'cell has' if len(cells) == 1 else 'cells have'} data that cannot be compared on this machine: {why}")


def _is_here(spec: RunSpec, name: str) -> bool:
    """Return whether a set lies on this machine, whole or not."""
    if embedded_name(name):
        return False
    carded = card_name(name)
    try:
        row = task(spec.task)
        return bool(locate(card(carded), scale=row.scale, level=row.level)) if carded else resolve_folder(name).is_dir()
    except SuiteError:
        return False
