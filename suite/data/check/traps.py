"""What has misled people about a set, where it can be seen of the files: said by `data check` of a copy, by `evaluate` of what it measures.

Which copies of a set are faulty, and how grey images of published numbers were made, stands on its card.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median

from models.lookup import UnknownName
from suite.core.errors import SuiteError
from suite.core.text import count_of, is_or_are
from suite.data.cards import Card, card
from suite.data.check.inspection import PAIRS_PROBED, Shrunk, Stored, find_rule, stored_as
from suite.data.images import ImageFacts, describe, lacks_colour, read_stored
from suite.data.layouts.locate import FilePair
from suite.data.layouts.pairing import shorten
from suite.data.pairs import PairSource
from suite.data.sets import card_name
from suite.study.protocols import Protocol
from suite.study.tasks import Task

FOLDER_LEVELS = 3  # of folders whose names may be the set's: Urban100/image_SRF_2, LIVE1/LIVE1_HQ


def card_of(data: str | Path) -> Card | None:
    """Return the card of the set `data`: its name or alias, or a folder that is called so or lies in one; None where there is none."""
    path = Path(data)
    for name in (path if len(path.parts) == 1 else path.absolute()).parts[: -FOLDER_LEVELS - 1 : -1]:
        try:
            return card(name)
        except UnknownName:
            continue
    return None


def warn_of_faulty_copy(chosen: Card, sizes: Sequence[tuple[int, int]]) -> list[str]:
    """Say it in a sentence where targets of these sizes (height, width) are those of a faulty copy that the card knows."""
    if not sizes:
        return []
    longer = median(max(size) for size in sizes)
    return [f"targets of {longer:g} pixels on the longer side (median): {one.what}" for one in chosen.faulty if longer <= one.longest]


def warn_of_number(data: str, number: int) -> list[str]:
    """Say it where the set called `data` is to be measured on fewer images than its card counts; nothing of a folder."""
    name = card_name(data)
    if name is None:
        return []
    chosen = card(name)
    expected = chosen.splits.get("test", chosen.splits.get("validation", 0))
    if number >= expected:
        return []
    why = f" ({chosen.also[str(number)]})" if str(number) in chosen.also else ""
    return [f"{number} of the {expected} images that its card counts{why}: no printed number is of these alone"]


def warn_of_grey(chosen: Card | None, stored: Mapping[str, Stored], rule: Protocol | None = None) -> list[str]:
    """Say what it means where published numbers are of grey images and these files are not grey, or only by their pixels.

    `stored` is by the files' names. With a protocol, what it does not do is left out.
    """
    said = []
    colour = [name for name, how in stored.items() if how == "colour"]
    if chosen is not None and chosen.grey and colour and (rule is None or rule.grey == "repeat"):
        files = f"{count_of(len(colour), 'file')} ({shorten(colour)}) {is_or_are(len(colour))}"
        said.append(f"{files} colour, and published numbers are of grey images: {chosen.grey}")
    equal = [name for name, how in stored.items() if how == "equal"]
    if equal and (chosen is not None and chosen.grey if rule is None else rule.grey == "plane"):
        files = f"{count_of(len(equal), 'file')} ({shorten(equal)}) {is_or_are(len(equal))}"
        said.append(
            f"{files} grey, in three equal channels: jpeg-grey takes the plane, jpeg-matlab takes them "
            "for colour and compares Y, which spans 219 levels. Store them as grey files"
        )
    return said


def warn_of_rules(found: Sequence[tuple[FilePair, Shrunk]], scale: int, of: int) -> list[str]:
    """Say how many low-resolution images were made by none of MATLAB's rules; `found` are those looked at, of `of`."""
    others = [(pair, shrunk) for pair, shrunk in found if not shrunk.exact and not shrunk.problem]
    if not others:
        return []
    best = max((shrunk for _, shrunk in others), key=lambda shrunk: shrunk.psnr)
    worst = min(shrunk.psnr for _, shrunk in others)
    looked = "" if len(found) == of else f" looked at, of {of}"
    names = shorten([pair.lq.name for pair, _ in others])
    return [
        f"x{scale}, {len(others)} of {len(found)} low-quality images{looked} ({names}) made by none of MATLAB's three rules; "
        f"{worst:.1f} to {best.psnr:.1f} dB from the nearest, {best.rule}"
    ]


def warn_of_sources(data: str, sources: Sequence[PairSource], task: Task, rule: Protocol) -> list[str]:
    """Return the warnings of `evaluate` about the set `data`; files that cannot be read are reported when they are measured."""
    files = [source for source in sources if isinstance(source.hq, Path) and source.block is None]
    if not files:
        return []
    chosen, heads = card_of(data), [describe(source.hq) for source in files]
    said = warn_of_faulty_copy(chosen, [(head.height, head.width) for head in heads if not head.problem]) if chosen else []
    if task.kind == "jpeg":
        said += warn_of_grey(chosen, {source.hq.name: _stored(source.hq) for source in files}, rule)
    said += warn_of_lost_colour([(head, source) for head, source in zip(heads, files, strict=True) if source.lq is not None])
    if task.kind == "sr":
        pairs = [FilePair(source.name, source.hq, source.lq) for source in files if source.lq is not None]
        said += warn_of_rules([(pair, find_rule(pair, task.scale)) for pair in pairs[:PAIRS_PROBED]], task.scale, len(pairs))
    return said


def warn_of_lost_colour(pairs: Sequence[tuple[ImageFacts, PairSource]]) -> list[str]:
    """Say it where of a pair (with the head of its target) one image is a grey file, and the other has colours."""
    unlike = [source for head, source in pairs if head.grey != describe(source.lq).grey]
    lost = [source.name for source in unlike if _lacks_colour(source)]
    return [f"of {count_of(len(lost), 'pair')} ({shorten(lost)}) one image is a grey file and the other has colours"] if lost else []


def _lacks_colour(source: PairSource) -> bool:
    try:
        return lacks_colour(read_stored(source.hq), read_stored(source.lq))
    except SuiteError:
        return False  # which is said when it is measured


def _stored(path: Path) -> Stored:
    try:
        return stored_as(read_stored(path))
    except SuiteError:
        return ""
