"""Training sets that are too large for memory: decoded once into the cache (suite.data.feed.cache), and mapped.

Low-quality images that do not depend on chance (bicubic, JPEG) are made once, too. The pixels are those that a small set has in memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from importlib import metadata
from pathlib import Path

from suite.data.degrade import jpeg
from suite.data.degrade.degradations import Degradation, degradation, image_rng
from suite.data.feed.cache import Mapped, NamedImages, check_disk_room, make_entry, open_entry
from suite.data.images import Pixels, open_image
from suite.data.pairs import PairSource, read_for
from suite.data.resize import mod_crop
from suite.study.tasks import Task


def decoded_bytes(paths: Sequence[Path], channels: int) -> int:
    """Return what the image files take decoded, as their heads say; SuiteError for one that cannot be read."""
    total = 0
    for path in paths:
        with open_image(path) as file:
            total += file.width * file.height * channels  # both may be exchanged when it is turned upright: as many bytes
    return total


def map_pairs(sources: Sequence[PairSource], task: Task) -> tuple[NamedImages, Mapped]:
    """Map targets and the user's low-quality images; SuiteError as `PairSource.load`."""
    names, done = [source.name for source in sources], _decoding(task)
    high_files, low_files = [source.hq for source in sources], [source.lq for source in sources]
    high = make_entry("targets", names, [[path] for path in high_files], done, decoded_bytes(high_files, task.channels))
    both = list(zip(low_files, high_files, strict=True))  # the target decides whether the sizes fit
    low = make_entry("low-quality images", names, both, f"{done}, beside its target", decoded_bytes(low_files, task.channels))
    check_disk_room([high, low])
    targets = open_entry(high, lambda number: read_for(sources[number].hq, task))
    return NamedImages(targets), open_entry(low, lambda number: replace(sources[number], hq=targets[number]).load().lq)


def map_targets(sources: Sequence[PairSource], task: Task) -> tuple[NamedImages, Mapped | None]:
    """Map targets, and what the task makes of them where chance has no part in it."""
    row, files = degradation(task.degradation), [source.hq for source in sources]
    names, done, size = [source.name for source in sources], _decoding(task), decoded_bytes(files, task.channels)
    entries = [make_entry("targets", names, [[path] for path in files], done, size)]
    if not row.random:
        made = f"{done}, {row.name} version {row.version}, JPEG by {jpeg.encoder()}"
        entries.append(make_entry(f"{row.name} images", names, [[path] for path in files], made, size // row.scale**2))
    check_disk_room(entries)
    targets = open_entry(entries[0], lambda number: read_for(sources[number].hq, task))
    if row.random:
        return NamedImages(targets), None
    return NamedImages(targets), open_entry(entries[1], lambda number: _degraded(targets[number], row))


def _degraded(image: Pixels, row: Degradation) -> Pixels:
    return row.apply(mod_crop(image, row.scale), image_rng(0))  # it asks its generator for nothing


def _decoding(task: Task) -> str:
    return f"{'grey' if task.channels == 1 else 'RGB'} by Pillow {metadata.version('pillow')}"
