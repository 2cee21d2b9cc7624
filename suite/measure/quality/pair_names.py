"""Pairing the files of two folders by name: restored images, whoever named them, with their targets.

People call a restored `baby` baby.png, babyx4.png, baby_SR.png, baby_RCAN_x4.png or baby_<experiment>.png, and its target baby.png,
baby_HR.png, baby_HR_x4.png or baby_SRF_4_HR.png. The rule, in this order:

1. All files of a folder are called alike: a prediction is the image's name and one ending (or one beginning) that is the same for the
   whole folder, a target is the name and one of the usual endings of targets. Of all such rules the one that pairs most files is taken;
   equal names are the rule without endings, and go first among those that pair as many.
2. What is left: a prediction whose name begins with a target's, cut at a separator (163085_dncnn_2868 with 163085), if the longest such
   target has no other prediction.

Never by position. An ending begins at `_`, `-`, `.`, a space, or at x and a digit, so that img_1 is never a part of img_10. What fits
several files is an error; what fits none is listed.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from suite.core.errors import Exit, SuiteError

LISTED = 20  # names in a message
RULES_TRIED = 50
SHARED = 4  # a core that more targets than this have tells nothing

SEPARATOR = re.compile(r"[_\-. ]|x(?=[1-9](?:$|[_\-. ]))")
WORDS = "HR|HQ|GT|target|clean|ref|reference|orig|original"
TARGET_ENDING = re.compile(rf"(?:_SRF_[1-9]_HR|[_-](?:{WORDS})(?:_?x[1-9])?|_?x[1-9])$", re.IGNORECASE)
TARGET_BEGINNING = re.compile(rf"^(?:norain|{WORDS})[_-]", re.IGNORECASE)


@dataclass(frozen=True)
class NamePair:
    """A restored image and its target; `name` is what both names share."""

    name: str
    output: Path
    target: Path


@dataclass(frozen=True)
class Pairing:
    """Pairs in the order of their names, how they were found, and what has no partner."""

    pairs: tuple[NamePair, ...]
    rule: str
    lonely_outputs: tuple[Path, ...] = ()
    lonely_targets: tuple[Path, ...] = ()


@dataclass(frozen=True)
class _Rule:
    """Names of both sides are one core with an affix; `front`: before it, else behind it."""

    front: bool
    output: str
    target: str

    def core(self, stem: str, affix: str) -> str | None:
        """`stem` without `affix`, or None where it has none."""
        fits = stem.startswith(affix) if self.front else stem.endswith(affix)
        return (stem[len(affix) :] if self.front else stem[: len(stem) - len(affix)]) if fits and len(stem) > len(affix) else None

    def __str__(self) -> str:
        if not self.output and not self.target:
            return "equal names"
        return " with ".join(f"{affix}<name>" if self.front else f"<name>{affix}" for affix in (self.output, self.target))


def pair(outputs: Sequence[Path], targets: Sequence[Path], *, allow_missing: bool = False) -> Pairing:
    """Pairs restored images with targets; stems are unique within a side, as `list_images` makes sure.

    Raises SuiteError (Exit.NOT_READY) that lists what fits several files, what has no partner (unless `allow_missing`), and
    where nothing is paired at all.
    """
    by_output, by_target = ({path.stem: path for path in side} for side in (outputs, targets))
    rule, mapping = _best(by_output, by_target)
    said = str(rule) if rule else ""
    more = _alike(by_output.keys() - mapping.keys(), by_target.keys() - set(mapping.values()))
    if more:
        said = " and ".join(filter(None, [said, f"{len(more)} by the beginning of their names"]))
    names = {stem: (rule.core(target, rule.target) if rule else None) or target for stem, target in mapping.items()}
    found = mapping | more
    if more:  # an image's short name may be another one's full name
        names = {}
    pairs = [NamePair(names.get(stem, target), by_output[stem], by_target[target]) for stem, target in found.items()]
    result = Pairing(
        tuple(sorted(pairs, key=lambda one: one.name)),
        said,
        tuple(by_output[stem] for stem in sorted(by_output.keys() - found.keys())),
        tuple(by_target[stem] for stem in sorted(by_target.keys() - set(found.values()))),
    )
    if not pairs or ((result.lonely_outputs or result.lonely_targets) and not allow_missing):
        raise SuiteError(_unpaired(result), exit=Exit.NOT_READY)
    return result


def lonely(result: Pairing) -> str:
    """What has no partner, in words; empty where everything has one."""
    sides = (("without a target", result.lonely_outputs), ("without a prediction", result.lonely_targets))
    return "; ".join(
        f"{len(paths)} {what} in {paths[0].parent} ({_listed([path.name for path in paths])})" for what, paths in sides if paths
    )


def _best(outputs: Mapping[str, Path], targets: Mapping[str, Path]) -> tuple[_Rule | None, dict[str, str]]:
    """The rule that pairs most, and output's stem to target's stem; none where several pair as many, of different images each.

    SuiteError where they pair one image differently, unless equal names are among them.
    """
    votes = _votes(outputs, targets)
    tried = {rule: _mapping(rule, outputs, targets) for rule, _ in votes.most_common(RULES_TRIED)}
    most = max(map(len, tried.values()), default=0)
    if most == 0:
        return None, {}
    best = sorted((rule for rule in tried if len(tried[rule]) == most), key=lambda rule: len(rule.output) + len(rule.target))
    first = best[0]
    if all(tried[rule] == tried[first] for rule in best) or not (first.output or first.target):
        return first, tried[first]
    fits: dict[str, set[str]] = defaultdict(set)
    for rule in best:
        for output, target in tried[rule].items():
            fits[f"the target {targets[target].name}"].add(outputs[output].name)
            fits[f"the prediction {outputs[output].name}"].add(targets[target].name)
    if any(len(names) > 1 for names in fits.values()):
        raise _ambiguous(fits)
    return None, {}


def _votes(outputs: Mapping[str, Path], targets: Mapping[str, Path]) -> Counter[_Rule]:
    """How many predictions speak for a rule: each for those of the longest core that it shares with a target."""
    votes: Counter[_Rule] = Counter()
    for front, pattern in ((False, TARGET_ENDING), (True, TARGET_BEGINNING)):
        cores: dict[str, list[str]] = defaultdict(list)
        for stem in targets:
            affixes = {""} | ({match.group()} if (match := pattern.search(stem)) and match.group() != stem else set())
            for affix in affixes:
                cores[stem[len(affix) :] if front else stem[: len(stem) - len(affix)]].append(affix)
        for stem in outputs:
            for core, affix in _splits(stem, front):
                if core in cores:
                    if len(cores[core]) <= SHARED:
                        votes.update(_Rule(front, affix, other) for other in cores[core])
                    break
    for rule in [rule for rule in votes if rule.front and not rule.output and not rule.target]:  # equal names are one rule, not two
        del votes[rule]
    return votes


def _splits(stem: str, front: bool) -> Iterator[tuple[str, str]]:
    """Core and affix of a name, longest core first."""
    yield stem, ""
    places = [match.end() if front else match.start() for match in SEPARATOR.finditer(stem)]
    for place in places if front else reversed(places):
        if 0 < place < len(stem):
            yield (stem[place:], stem[:place]) if front else (stem[:place], stem[place:])


def _mapping(rule: _Rule, outputs: Mapping[str, Path], targets: Mapping[str, Path]) -> dict[str, str]:
    cores = {core: stem for stem in targets if (core := rule.core(stem, rule.target)) is not None}
    return {stem: cores[core] for stem in outputs if (core := rule.core(stem, rule.output)) in cores}


def _alike(outputs: set[str], targets: set[str]) -> dict[str, str]:
    """Left-over predictions whose names begin with a left-over target's; SuiteError where a target has several."""
    cores = {stem: stem for stem in targets} | {TARGET_ENDING.sub("", stem): stem for stem in targets if TARGET_ENDING.sub("", stem)}
    fits: dict[str, set[str]] = defaultdict(set)
    for stem in outputs:
        core = next((core for core, _ in _splits(stem, front=False) if core in cores), None)
        if core is not None:
            fits[cores[core]].add(stem)
    if any(len(stems) > 1 for stems in fits.values()):
        raise _ambiguous({f"the target {target}": stems for target, stems in fits.items()})
    return {stems.pop(): target for target, stems in fits.items()}


def _ambiguous(fits: Mapping[str, set[str]]) -> SuiteError:
    lines = [f"{name} fits {' and '.join(sorted(others))}" for name, others in sorted(fits.items()) if len(others) > 1]
    return SuiteError(
        f"files are paired by name, and some fit several: {_listed(lines, '; ')}. Keep one prediction and one target of each image.",
        exit=Exit.NOT_READY,
    )


def _unpaired(result: Pairing) -> str:
    found = f"{len(result.pairs)} are paired ({result.rule})" if result.pairs else "none is paired"
    mend = " --allow-missing scores those that are paired." if result.pairs else ""
    return (
        f"files are paired by name; {found}, but there are {lonely(result)}. "
        f"A prediction is called like its target, with one ending or beginning that is the same in the whole folder; a target may end "
        f"in _HR, _GT, _x4, _HR_x4, _SRF_4_HR and the like. Rename, or take out, what does not belong.{mend}"
    )


def _listed(names: Sequence[str], joint: str = ", ") -> str:
    return joint.join(names[:LISTED]) + (f" and {len(names) - LISTED} more" if len(names) > LISTED else "")
