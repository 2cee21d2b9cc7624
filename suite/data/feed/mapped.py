"""Training sets that are too large for memory: decoded once into the cache (suite.data.feed.cache), and mapped.

Low-quality images that do not depend on chance (bicubic, JPEG) are made once, too. The pixels are those that a small set has in memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from importlib import metadata
from pathlib import Path

from suite.data.degrade import jpeg
from suite.data.degrade.degradations import degradation, image_rng
from suite.data.feed.cache import CacheEntry, Mapped, NamedImages, check_disk_room, make_entry, open_entry
from suite.data.images import open_image
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
    names, done, high = _describe_targets(sources, task)
    both = [(source.lq, source.hq) for source in sources]  # the target decides whether the sizes fit
    low = make_entry(
        "low-quality images", names, both, f"{done}, beside its target", decoded_bytes([low for low, _ in both], task.channels)
    )
    check_disk_room([high, low])
    targets = open_entry(high, lambda number: read_for(sources[number].hq, task))
    return NamedImages(targets), open_entry(low, lambda number: replace(sources[number], hq=targets[number]).load().lq)


def map_targets(sources: Sequence[PairSource], task: Task) -> tuple[NamedImages, Mapped | None]:
    """Map targets, and what the task makes of them where chance has no part in it."""
    row, (names, done, high) = degradation(task.degradation), _describe_targets(sources, task)
    made = f"{done}, {row.name} version {row.version}, JPEG by {jpeg.encoder()}"
    low = make_entry(f"{row.name} images", names, [[source.hq] for source in sources], made, high.size // row.scale**2)
    check_disk_room([high] if row.random else [high, low])
    targets = open_entry(high, lambda number: read_for(sources[number].hq, task))
    if row.random:
        return NamedImages(targets), None
    rng = image_rng(0)  # such a row asks its generator for nothing
    return NamedImages(targets), open_entry(low, lambda number: row.apply(mod_crop(targets[number], row.scale), rng))


def _describe_targets(sources: Sequence[PairSource], task: Task) -> tuple[list[str], str, CacheEntry]:
    """Return the images' names, how they are decoded, and the entry of the targets."""
    names, files = [source.name for source in sources], [source.hq for source in sources]
    done = f"{'grey' if task.channels == 1 else 'RGB'} by Pillow {metadata.version('pillow')}"
    return names, done, make_entry("targets", names, [[path] for path in files], done, decoded_bytes(files, task.channels))
