"""Pairs the files of two folders by name: never by position, whatever the files' endings.

One side are the targets, the other side are low-quality or restored images, whoever named them. People call the second kind of the image
`baby` baby.png, babyx4.png, baby_LRBI_x4.png, baby_SR.png, baby_RCAN_x4.png or baby_<experiment>.png, and its target baby.png,
baby_HR.png, baby_HR_x4.png or baby_SRF_4_HR.png. The rule, in this order:

1. All files of a folder are called alike: a name is the image's and one ending (or one beginning) that is the same for the whole folder;
   that of targets is one of the usual ones. Of all such rules the one that pairs most files is taken; equal names are the rule without
   endings, and go first among those that pair as many.
2. What is left: a file whose name begins with a target's, cut at a separator (163085_dncnn_2868 with 163085), if the longest such target
   has no other file.
3. What is left then: the same whatever the case of the names.

An ending begins at `_`, `-`, `.`, a space, or at x and a digit, so that img_1 is never a part of img_10. What fits several files is
doubtful, and never guessed; what fits none is listed. Where a layout says how its files are called, its patterns are taken off their names
first, and files that fit none of them are left alone: in some layouts both sides share a folder.

Letters with accents are stored composed (Linux, Windows) or decomposed (a Mac's zip): they are one name, and are shown composed. Two files
of one folder that only case, accents' form or ending tell apart are a fault, whoever lists them (`check_distinct`).
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from suite.core.errors import Exit, SuiteError

HQ_NAMES = ("{}", "{}_HR", "{}_HR_x{s}", "{}_SRF_{s}_HR")  # targets of the image {}, {s} being the scale: MambaIR, BasicSR, RCAN, SelfExSR
HOW = "with one ending or beginning that is the same in the whole folder; a target may end in _HR, _GT, _x4, _HR_x4, _SRF_4_HR and the like"
EXAMPLES = 3  # names shown of a longer list
RULES_TRIED = 50
MOST_SHARED = 4  # a core that more targets than this have tells nothing

SEPARATOR = re.compile(r"[_\-. ]|x(?=[1-9](?:$|[_\-. ]))")
TARGET_WORDS = "HR|HQ|GT|target|clean|ref|reference|orig|original"
TARGET_ENDING = re.compile(rf"(?:_SRF_[1-9]_HR|[_-](?:{TARGET_WORDS})(?:_?x[1-9])?|_?x[1-9])$", re.IGNORECASE)
TARGET_BEGINNING = re.compile(rf"^(?:norain|{TARGET_WORDS})[_-]", re.IGNORECASE)


class NamePair(NamedTuple):
    """An image's name, its target, and its low-quality or restored file."""

    name: str
    target: Path
    other: Path


@dataclass(frozen=True)
class Pairing:
    """Pairs, how they were found, and what has no partner or fits several files (`doubtful`, in sentences)."""

    pairs: tuple[NamePair, ...]
    lonely_targets: tuple[Path, ...] = ()
    lonely_others: tuple[Path, ...] = ()
    doubtful: tuple[str, ...] = ()
    rule: str = ""

    def problems(self) -> list[str]:
        """Return a sentence for each thing that is wrong; none where every file has its partner."""
        sides = (("high", "low", self.lonely_targets), ("low", "high", self.lonely_others))
        alone = [
            f"{len(paths)} {quality}-quality without {missing}-quality in {paths[0].parent} ({shorten([path.name for path in paths])})"
            for quality, missing, paths in sides
            if paths
        ]
        return [*self.doubtful, *alone]


@dataclass(frozen=True)
class _Rule:
    """Names of both sides are one core with an affix; `front`: before it, else behind it."""

    front: bool
    other: str
    target: str

    def core(self, stem: str, affix: str) -> str | None:
        """Return `stem` without `affix`, or None where it has none."""
        fits = stem.startswith(affix) if self.front else stem.endswith(affix)
        return (stem[len(affix) :] if self.front else stem[: len(stem) - len(affix)]) if fits and len(stem) > len(affix) else None

    def mapping(self, others: Collection[str], targets: Collection[str]) -> dict[str, str]:
        """Pair names of equal cores."""
        cores = {core: stem for stem in targets if (core := self.core(stem, self.target)) is not None}
        return {stem: cores[core] for stem in others if (core := self.core(stem, self.other)) in cores}

    def __str__(self) -> str:
        if not self.other and not self.target:
            return "equal names"
        return " with ".join(f"{affix}<name>" if self.front else f"<name>{affix}" for affix in (self.other, self.target))


def compose(name: str) -> str:
    """Return `name` with every letter and its accents as one character, where there is one: the same name whichever way it was stored."""
    return name if name.isascii() else unicodedata.normalize("NFC", name)


def fold_name(name: str) -> str:
    """Return what is the same for all spellings of a name: whatever the case, and however its accents are stored."""
    return name.lower() if name.isascii() else compose(compose(name).casefold())


def name_of(path: Path) -> str:
    """Return the name that counts of an image file: without the ending, composed."""
    return compose(path.stem)


def check_distinct(named: Iterable[tuple[str, Path]]) -> None:
    """Raise SuiteError where two of the files, given with their names, have one name but for case, accents' form or ending."""
    named = list(named)
    if len({fold_name(name) for name, _ in named}) == len(named):
        return
    seen: dict[str, tuple[str, Path]] = {}
    for name, path in named:
        other, first = seen.setdefault(fold_name(name), (name, path))
        if first is path:
            continue
        how = "their case alone" if other != name else "how their accents are stored (composed or decomposed)"
        how = "their endings alone" if first.stem == path.stem else how
        raise SuiteError(
            f"{path.parent} has two images called {name!r}: {stored_name(first)} and {stored_name(path)}, which differ in {how}. "
            "Nothing tells which is meant, and other systems take them for one file: rename or remove one.",
            exit=Exit.NOT_READY,
        )


def stored_name(path: Path) -> str:
    """Return the file's name; where it would look like a composed one and is none, with the bytes that it has."""
    return path.name if compose(path.name) == path.name else f"{path.name} (stored as {path.name!a})"


def shorten(names: Sequence[str]) -> str:
    """Join the first EXAMPLES names, with dots where there are more."""
    return ", ".join(names[:EXAMPLES]) + (" ..." if len(names) > EXAMPLES else "")


def match_names(targets: Mapping[str, Path], others: Mapping[str, Path]) -> Pairing:
    """Pair the files of two folders, given by the names that count; pairs are in the order of the images' names."""
    rule, found, more, doubtful = _exact(others, targets)
    said, used = [str(rule)] if rule else [], found | more
    low, high = _folded(others.keys() - used.keys()), _folded(targets.keys() - {*used.values()})
    _, alike, begun, unclear = _exact(low, high)
    cased = {low[other]: high[target] for other, target in (alike | begun).items()}
    doubtful += [(low[other], high[target]) for other, target in unclear]
    said += [f"{len(part)} {how} of their names" for part, how in ((more, "by the beginning"), (cased, "whatever the case")) if part]
    # An image's short name may be another one's full name.
    names = {target: rule.core(target, rule.target) for target in found.values()} if rule and not (more or cased) else {}
    found = used | cased
    paired = {*found.values()}
    pairs = sorted(NamePair(names.get(target) or target, targets[target], others[other]) for other, target in found.items())
    fits: dict[Path, set[str]] = defaultdict(set)
    for other, target in doubtful:
        fits[targets[target]].add(others[other].name)
        fits[others[other]].add(targets[target].name)
    return Pairing(
        tuple(pairs),
        tuple(path for stem, path in sorted(targets.items()) if stem not in paired and path not in fits),
        tuple(path for stem, path in sorted(others.items()) if stem not in found and path not in fits),
        tuple(f"{path} fits {' and '.join(sorted(names))}" for path, names in sorted(fits.items()) if len(names) > 1),
        " and ".join(said),
    )


def pair_up(
    targets: Sequence[Path],
    low: Sequence[Path],
    *,
    scale: int = 1,
    level: int | None = None,
    hq_names: Sequence[str] = (),
    lq_names: Sequence[str] = (),
) -> Pairing:
    """Pair targets with low-quality files, in the order of `targets`; an image is called like its target, less what HQ_NAMES add.

    `hq_names` and `lq_names` are a layout's patterns with `{}` for the image's name; none: files may be called as is usual.
    """
    sides = name_images(targets, hq_names, scale, level), name_images(low, lq_names, scale, level)
    high, others = map(dict, sides)  # two files of one name, by different patterns: one of them has no partner
    found = match_names(high, others)
    names = {path: name for name, path in name_images([pair.target for pair in found.pairs], hq_names or HQ_NAMES, scale, level)}
    unique = len({*names.values()}) == len(names)
    pairs = {pair.target: pair._replace(name=names[pair.target]) if unique else pair for pair in found.pairs}
    left = map(name_of, found.lonely_others)
    lonely = {stem: next((core for core, _ in _splits(stem, front=False) if core in high), "") for stem in left}
    doubtful = [
        f"{pair.target} fits several low-quality files: {', '.join(sorted([name_of(pair.other), *also]))}. Keep one."
        for pair in pairs.values()
        if (also := [stem for stem, core in lonely.items() if high.get(core) == pair.target])
    ]
    twice = [tuple(path for name, path in side if held[name] != path) for side, held in zip(sides, (high, others), strict=True)]
    return Pairing(
        tuple(pairs[path] for path in targets if path in pairs),
        found.lonely_targets + twice[0],
        found.lonely_others + twice[1],
        (*found.doubtful, *doubtful),
        found.rule,
    )


def only_pairs(pairing: Pairing) -> list[NamePair]:
    """Return the pairs; SuiteError lists what is left over, with counts and examples."""
    wrong = pairing.problems()
    if wrong:
        raise SuiteError(
            f"files are paired by name, and not all have one partner: {'; '.join(one.rstrip('.') for one in wrong)}. "
            f"A low-quality file is called like its target, {HOW}.",
            exit=Exit.NOT_READY,
        )
    return list(pairing.pairs)


def name_images(paths: Sequence[Path], patterns: Sequence[str], scale: int, level: int | None) -> list[tuple[str, Path]]:
    """Return (image's name, file) of those files that fit one of the patterns; of every file, by its own name, where there are none."""
    if not patterns:
        return [(name_of(path), path) for path in paths]
    quality = "none" if level is None else str(level)
    regexes = [re.escape(one.replace("{s}", str(scale)).replace("{q}", quality)).replace(r"\{\}", "(.+)") for one in patterns]
    found = [([match[1] for regex in regexes if (match := re.fullmatch(regex, name_of(path)))], path) for path in paths]
    return [(min(cores, key=len), path) for cores, path in found if cores]


def _exact(others: Collection[str], targets: Collection[str]) -> tuple[_Rule | None, dict[str, str], dict[str, str], list[tuple[str, str]]]:
    """Apply points 1 and 2 of the rule: the folder's rule, the pairs by it, those by beginnings, and what fits several."""
    rule, found, doubtful = _best(others, targets)
    if doubtful:
        return None, {}, {}, doubtful
    left = set(targets) - {*found.values()}
    cores: dict[str, set[str]] = defaultdict(set)
    for stem in left:
        cores[TARGET_ENDING.sub("", stem) or stem].add(stem)
    cores |= {stem: {stem} for stem in left}
    edges = [
        (stem, target)
        for stem in others
        if stem not in found
        for target in next((cores[core] for core, _ in _splits(stem, front=False) if core in cores), ())
    ]
    more = _unique(edges)
    return rule, found, dict(more), [edge for edge in edges if edge not in more]


def _best(others: Collection[str], targets: Collection[str]) -> tuple[_Rule | None, dict[str, str], list[tuple[str, str]]]:
    """Return the rule that pairs most, and its pairs; none where several pair as many, of different images each.

    Where they pair one image differently, and equal names are not among them, the third is all that they pair.
    """
    tried = {rule: rule.mapping(others, targets) for rule, _ in _votes(others, targets).most_common(RULES_TRIED)}
    most = max(map(len, tried.values()), default=0)
    if most == 0:
        return None, {}, []
    best = sorted((rule for rule in tried if len(tried[rule]) == most), key=lambda rule: len(rule.other) + len(rule.target))
    first = best[0]
    if all(tried[rule] == tried[first] for rule in best) or not (first.other or first.target):
        return first, tried[first], []
    edges = sorted({edge for rule in best for edge in tried[rule].items()})
    return None, {}, edges if len(_unique(edges)) < len(edges) else []


def _votes(others: Collection[str], targets: Collection[str]) -> Counter[_Rule]:
    """Count how many files speak for a rule: each for those of the longest core that it shares with a target."""
    votes: Counter[_Rule] = Counter()
    for front, pattern in ((False, TARGET_ENDING), (True, TARGET_BEGINNING)):
        cores: dict[str, list[str]] = defaultdict(list)
        for stem in targets:
            affixes = {""} | ({match.group()} if (match := pattern.search(stem)) and match.group() != stem else set())
            for affix in affixes:
                cores[stem[len(affix) :] if front else stem[: len(stem) - len(affix)]].append(affix)
        for stem in others:
            for core, affix in _splits(stem, front):
                if core in cores:
                    if len(cores[core]) <= MOST_SHARED:
                        votes.update(_Rule(front, affix, other) for other in cores[core])
                    break
    for rule in [rule for rule in votes if rule.front and not rule.other and not rule.target]:  # equal names are one rule, not two
        del votes[rule]
    return votes


def _splits(stem: str, front: bool) -> Iterator[tuple[str, str]]:
    """Yield core and affix of a name, longest core first."""
    yield stem, ""
    places = [match.end() if front else match.start() for match in SEPARATOR.finditer(stem)]
    for place in places if front else reversed(places):
        if 0 < place < len(stem):
            yield (stem[place:], stem[:place]) if front else (stem[:place], stem[place:])


def _folded(stems: Collection[str]) -> dict[str, str]:
    counts = Counter(map(fold_name, stems))
    return {fold_name(stem): stem for stem in stems if counts[fold_name(stem)] == 1}


def _unique(edges: Sequence[tuple[str, str]]) -> set[tuple[str, str]]:
    """Return the edges whose two ends are in no other."""
    counts = [Counter(edge[side] for edge in edges) for side in (0, 1)]
    return {edge for edge in edges if counts[0][edge[0]] == counts[1][edge[1]] == 1}


def share_targets(high: Sequence[Path], low: Sequence[Path]) -> Pairing:
    """Pair each low-quality file with the target of its name, or of what stands before its first _; the pair has the file's name."""
    targets = {name_of(path): path for path in high}
    found = {path: targets.get(name_of(path)) or targets.get(name_of(path).partition("_")[0]) for path in low}
    used = {*found.values()}
    lonely = (tuple(path for path in high if path not in used), tuple(path for path, target in found.items() if target is None))
    return Pairing(tuple((name_of(path), target, path) for path, target in found.items() if target is not None), *lonely)
