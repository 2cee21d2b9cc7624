"""Folders in which targets lie beside their low-quality versions: which file is which, told by the names.

People keep both sides in one folder: img_001_SRF_4_HR.png beside img_001_SRF_4_LR.png (SelfExSR), Canon_001_HR.png beside
Canon_001_LR4.png (RealSR), 0001.png beside 0001x4.png (DIV2K), norain-1.png beside rain-1.png (Rain100L), GT_SRGB_010.PNG beside
NOISY_SRGB_010.PNG (SIDD). A name is cut into tokens; one of them may be a mark, a word of one side (HIGH, LOW) or a scale, and the others
are the core. Two files of one core and different sides are a pair, and so are a marked file and the one that is called like its core.

A folder in which no two files pair holds one side. One in which some do is never taken for targets alone: where every file has its place,
the pairs are taken, else the folder is refused, with what was found.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Literal, NamedTuple

from suite.core.errors import Exit, SuiteError
from suite.core.output import note
from suite.core.text import count_of
from suite.data.images import describe
from suite.data.layouts.pairing import NamePair, Pairing, name_of, shorten

Side = Literal["high", "low"]
Core = tuple[str, ...]

# weak: names of things, too, which count at the end of a name, and elsewhere beside a word that is not; loose: names of results, too.
Strength = Literal["sure", "loose", "weak"]
SIDE_WORDS: tuple[tuple[Side, Strength, str], ...] = (
    ("high", "sure", "hr hq gt gtmod12 groundtruth target clean norain derained sharp ref reference orig original label"),
    ("high", "weak", "high highres highresolution highquality hires hd full big large"),
    ("low", "sure", "lr lq lrbi lrbic lrbicubic lrbd lrdn input noisy noise sigma rain rainy blur blurry blurred haze hazy degraded"),
    ("low", "loose", "downsampled bicubic nearest compressed jpeg jpg q qf"),
    ("low", "weak", "in low lowres lowresolution lowquality lores sd half small down"),
)
SIDES: Mapping[str, Side] = MappingProxyType({word: side for side, _, words in SIDE_WORDS for word in words.split()})
STRENGTHS: Mapping[str, Strength] = MappingProxyType({word: strength for _, strength, words in SIDE_WORDS for word in words.split()})
LEVEL_WORDS = frozenset({"jpeg", "jpg", "q", "qf", "lq", "noise", "noisy", "sigma"})  # a number behind them is how strong it is

_TOKEN = re.compile(r"[^_\-. ]+")
_MARK = re.compile(r"(?P<word>[a-z]+?)x?(?P<scale>[2-9])?x?")  # hr, hr4, lrx4
_LEVEL = re.compile(rf"(?P<word>{'|'.join(sorted(LEVEL_WORDS))})\d{{1,3}}")
_SCALE = re.compile(r"x(?P<behind>[1-9])[mdw]?|(?P<before>[1-9])x")  # m, d, w: NTIRE's tracks
_GLUED_WORD = re.compile(r"(.*\d)((?:hr|hq|gt|lr|lq|in|input|target|clean|noisy|rain)x?[2-9]?)|((?:no)?rain)(\d.*)")
_GLUED_SCALE = re.compile(r"(.+?)(x[1-9][mdw]?)|(.*[^\dx])([1-9]x)")
_TWO_WORDS = frozenset({("ground", "truth"), ("no", "rain"), *((a, b) for a in ("low", "high") for b in ("res", "resolution", "quality"))})

APART = "Put the targets into HR/ and the low-quality files into LR/ of one folder, or name a folder that holds the targets alone."
_said: set[tuple[Path, int]] = set()


class _Token(NamedTuple):
    text: str  # in small letters
    start: int
    end: int


class Reading(NamedTuple):
    """One way to take a name."""

    side: Side
    core: Core
    scale: int | None
    edge: bool  # the mark is not in the middle: the partner may be called like the core
    strength: Strength  # weak: a weak word that is not at the end
    name: str  # what is left without the mark


class MarkedPair(NamedTuple):
    """A pair by its names."""

    name: str
    hq: Path
    lq: Path
    scale: int | None
    own: bool  # the target's name has the scale, too: another scale has a target of its own
    sure: bool = True  # False: the low-quality file may be a result


@dataclass(frozen=True)
class Both:
    """A folder's files, some of which pair; `others` do not."""

    folder: Path
    found: tuple[MarkedPair, ...]
    others: tuple[Path, ...]

    @cached_property
    def _pairs(self) -> tuple[MarkedPair, ...]:
        """With the scale of every pair: by its names, else by its files' sizes."""
        return tuple(pair if pair.scale else pair._replace(scale=_ratio(pair.hq, pair.lq)) for pair in self.found)

    @property
    def low(self) -> frozenset[Path]:
        """The low-quality files of the pairs."""
        return frozenset(pair.lq for pair in self.found)

    @property
    def high(self) -> frozenset[Path]:
        """The targets of the pairs."""
        return frozenset(pair.hq for pair in self.found)

    @cached_property
    def beside(self) -> frozenset[Path]:
        """Files that are called after a pair, like results that somebody keeps with it: img_001_SRF_4_SelfExSR.png."""
        cores = {(pair.hq.parent, _core(Path(pair.name).name)) for pair in self.found}
        names = [(path, _core(name_of(path))) for path in self.others]
        after = {path for path, name in names if any((path.parent, name[:length]) in cores for length in range(1, len(name)))}
        targets = {path for path in after for way in readings(name_of(path)) if way.side == "high" and (path.parent, way.core) in cores}
        sure = {(pair.hq, pair.scale) for pair in self._pairs if pair.sure}
        return frozenset(after - targets | {pair.lq for pair in self._pairs if not pair.sure and (pair.hq, pair.scale) in sure})

    @property
    def scales(self) -> tuple[int, ...]:
        """Return the scales of the pairs: 1 where both sides are of one size."""
        return tuple(sorted({pair.scale or 1 for pair in self._pairs}))

    @property
    def sentence(self) -> str:
        """Return what was found, in words."""
        examples = [f"{pair.hq.name} with {pair.lq.name}" for pair in self.found]
        return (
            f"{self.folder} holds targets and low-quality files together, {count_of(len(examples), 'pair')} by name ({shorten(examples)})"
        )

    def pairing(self, scale: int) -> Pairing:
        """Return the pairs of `scale` by name, and what does not fit."""
        chosen = [pair for pair in self._pairs if pair.scale == scale and pair.lq not in self.beside]
        partners: dict[Path, list[Path]] = defaultdict(list)
        for pair in chosen:
            partners[pair.hq].append(pair.lq)
        doubtful = [f"{hq.name} fits {shorten([lq.name for lq in lows])}" for hq, lows in partners.items() if len(lows) > 1]
        both = self.high & self.low
        doubtful += (
            [f"{count_of(len(both), 'file is', 'files are')} of both sides ({shorten(sorted(path.name for path in both))})"] if both else []
        )
        strange = [path.name for path in self.others if path not in self.beside]
        doubtful += [f"{count_of(len(strange), 'file pairs', 'files pair')} with none ({shorten(strange)})"] if strange else []
        lonely = {pair.hq for pair in self._pairs if not pair.own} - partners.keys()
        pairs = sorted(NamePair(pair.name, pair.hq, pair.lq) for pair in chosen)
        return Pairing(tuple(pairs), tuple(sorted(lonely)) if chosen else (), (), tuple(doubtful))

    def only(self, scale: int) -> list[NamePair]:
        """Return (image's name, target, low-quality file) of `scale`; SuiteError says what was found where that is not all."""
        pairing = self.pairing(scale)
        problems = [one.rstrip(".") for one in pairing.problems()]
        if not pairing.pairs:
            there = " and ".join(map(_size, self.scales))
            problems.insert(0, f"they are of {there}, and {_size(scale)} is asked for")
        if problems:
            raise SuiteError(f"{self.sentence}; {'; '.join(problems)}. {APART}", exit=Exit.NOT_READY)
        return list(pairing.pairs)

    def taken(self, scale: int) -> list[NamePair]:
        """Return the pairs as `only` does; standard error says once a process that they were taken, and what of the folder was left out."""
        found = self.only(scale)
        if (self.folder, scale) not in _said:
            _said.add((self.folder, scale))
            used = {path for _, hq, lq in found for path in (hq, lq)}
            rest = sorted({path.name for path in (*self.others, *self.high, *self.low) if path not in used})
            note(f"{self.sentence}: taken as pairs." + (f" {len(rest)} other files are left out ({shorten(rest)})." if rest else ""))
        return found


def without_mixed(pairing: Pairing, high: Sequence[Path]) -> Pairing:
    """Return `pairing` of two folders; doubtful where `high`, the files of the targets' folder, are of both sides."""
    both = both_sides(high)
    return pairing if both is None else replace(pairing, doubtful=(*pairing.doubtful, both.sentence))


def both_sides(paths: Sequence[Path], folder: Path | None = None) -> Both | None:
    """Find what of `paths`, the image files of one folder, pairs as targets and low-quality files; None where nothing does.

    With `folder`, they may lie in folders below it: each pairs with files of its own folder, and names begin with that.
    """
    read = {path: ways for path in paths if (ways := list(readings(name_of(path))))}
    if not read:
        return None
    plain: dict[tuple[Path, Core], Path] = {}
    for path in paths:  # by its tokens, and by those at its separators alone: ax2 is the core of ax2x4
        plain[path.parent, _core(name_of(path))] = plain[path.parent, tuple(_TOKEN.findall(name_of(path).casefold()))] = path
    targets: dict[tuple[Path, Core], list[tuple[Path, Reading]]] = defaultdict(list)
    for path, ways in read.items():
        for way in ways:
            if way.side == "high":
                targets[path.parent, way.core].append((path, way))
    found: dict[Path, MarkedPair] = {}  # by the low-quality file
    for path, ways in read.items():
        for way in ways:
            if way.side == "low" and (one := _target_of(path, way, targets, plain)) is not None:
                found.setdefault(path, one)
    settled = {pair.hq for pair in found.values()} | found.keys()
    for path, ways in read.items():  # targets that are marked, of low-quality files that are not
        for way in ways:
            other = plain.get((path.parent, way.core)) if way.side == "high" and way.edge and way.strength != "weak" else None
            if other is not None and not settled & {path, other}:
                found[other] = MarkedPair(name_of(other), path, other, way.scale, way.scale is not None)
                settled |= {path, other}
    if not found:
        return None
    used = {path for pair in found.values() for path in (pair.hq, pair.lq)}
    base = folder or paths[0].parent
    named = tuple(pair._replace(name=(pair.hq.parent.relative_to(base) / pair.name).as_posix()) for pair in found.values())
    return Both(base, named, tuple(path for path in paths if path not in used))


def _target_of(
    path: Path, way: Reading, targets: Mapping[tuple[Path, Core], Sequence[tuple[Path, Reading]]], plain: Mapping[tuple[Path, Core], Path]
) -> MarkedPair | None:
    """Return the pair of the low-quality file `path`, read in one way: marked targets go first."""
    for hq, other in targets.get((path.parent, way.core), ()):
        if hq != path and not ("weak" == way.strength == other.strength) and (None in (way.scale, other.scale) or way.scale == other.scale):
            return MarkedPair(other.name, hq, path, way.scale or other.scale, other.scale is not None, way.strength != "loose")
    hq = plain.get((path.parent, way.core)) if way.edge and way.strength != "weak" else None
    return None if hq is None or hq == path else MarkedPair(name_of(hq), hq, path, way.scale, False, way.strength != "loose")


def readings(stem: str) -> Iterator[Reading]:
    """Yield every way to take a name as a side's; none where it has no mark."""
    if stem.upper() == stem.lower():  # no letters, as in 000123: of a hundred thousand names this saves seconds
        return
    tokens = _tokens(stem)
    last = len(tokens) - 1
    for place, token in enumerate(tokens):
        if (scale := _scale_of(token.text)) is not None:
            if place == last and place > 0:
                yield _reading(stem, tokens, "low" if scale > 1 else "high", place, place + 1, scale if scale > 1 else None)
            continue
        word, scale = _word_of(token.text)
        side = SIDES.get(word)
        if side is None or (place > 0 and _side_of(tokens[place - 1].text) == side):  # a second word of the side before
            continue
        begin, end = place, place + 1
        while end <= last and (
            _side_of(tokens[end].text) == side or (tokens[end - 1].text in LEVEL_WORDS and tokens[end].text.isdecimal())
        ):
            end += 1
        if scale is None and end <= last and (scale := _scale_of(tokens[end].text)) is not None:
            end += 1
        elif scale is None and begin > 1 and tokens[begin - 2].text == "srf" and tokens[begin - 1].text.isdecimal():
            scale, begin = int(tokens[begin - 1].text), begin - 2
        elif scale is None and begin > 0 and (scale := _scale_of(tokens[begin - 1].text)) is not None:
            begin -= 1
        if end - begin < len(tokens):
            yield _reading(stem, tokens, side, begin, end, scale)


def _reading(stem: str, tokens: Sequence[_Token], side: Side, begin: int, end: int, scale: int | None) -> Reading:
    core = tuple(token.text for token in (*tokens[:begin], *tokens[end:]))
    before = stem[: tokens[begin - 1].end] if begin else ""
    after = stem[tokens[end].start :] if end < len(tokens) else ""
    joint = stem[tokens[begin - 1].end : tokens[begin].start] if before and after else ""
    found = {STRENGTHS[word] for token in tokens[begin:end] if (word := _word_of(token.text)[0])} or {"loose"}
    strength = next(one for one in ("sure", "loose", "weak") if one in found)
    at_end = strength == "weak" and not after
    return Reading(side, core, scale, not (before and after), "sure" if at_end else strength, before + joint + after)


def _tokens(stem: str) -> list[_Token]:
    """Split a name into tokens: cut at separators, and where a mark is glued to a number or a scale to the end."""
    pieces = [(match.group(), match.start()) for match in _TOKEN.finditer(stem)]
    tokens = [_Token(text.casefold(), start, start + len(text)) for text, start in pieces]
    cut: list[_Token] = []
    for place, token in enumerate(tokens):
        glued = _GLUED_WORD.fullmatch(token.text)
        if glued is None and place == len(tokens) - 1 and _side_of(token.text) is None and _scale_of(token.text) is None:
            glued = _GLUED_SCALE.fullmatch(token.text)
        middle = token.start + len(next(text for text in glued.groups() if text is not None)) if glued else token.end
        parts = [(token.start, middle), (middle, token.end)] if glued else [(token.start, token.end)]
        cut += [_Token(stem[start:end].casefold(), start, end) for start, end in parts]
    for place in range(len(cut) - 2, -1, -1):
        if (cut[place].text, cut[place + 1].text) in _TWO_WORDS:
            cut[place : place + 2] = [_Token(cut[place].text + cut[place + 1].text, cut[place].start, cut[place + 1].end)]
    return cut


def _core(stem: str) -> Core:
    return tuple(token.text for token in _tokens(stem))


def _word_of(token: str) -> tuple[str, int | None]:
    """Return the word of SIDES that a token is, and the scale that it says with it: hr, lr4, lrx4, noise25; empty where it is none."""
    if token in SIDES:
        return token, None
    level = _LEVEL.fullmatch(token)
    if level:
        return level["word"], None
    match = _MARK.fullmatch(token)
    if match is None or match["word"] not in SIDES or match["scale"] is None:
        return "", None
    return match["word"], int(match["scale"])


def _side_of(token: str) -> Side | None:
    return SIDES.get(_word_of(token)[0])


def _scale_of(token: str) -> int | None:
    match = _SCALE.fullmatch(token)
    return int(match["behind"] or match["before"]) if match else None


def _ratio(hq: Path, lq: Path) -> int:
    """Return how many times as large the target is, by the files' heads; 1 where that cannot be told."""
    high, low = describe(hq).height, describe(lq).height
    return max(1, round(high / low)) if high and low else 1


def _size(scale: int) -> str:
    return "one size" if scale == 1 else f"x{scale}"
